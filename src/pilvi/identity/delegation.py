"""Application credentials, by which a program acts for a user in one project, and other services' secrets."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.engine.clock import parse_time
from pilvi.faults import BadRequest, Forbidden
from pilvi.identity import passwords, store
from pilvi.identity.base import missing, own_or_admin, role_ids_of
from pilvi.identity.directory import Values, taken
from pilvi.identity.grants import Grants
from pilvi.identity.tables import application_credentials, credentials, users
from pilvi.identity.wire import ApplicationCredentialNew
from pilvi.policy import Context


class Secrets(Grants):
    def create_application_credential(
        self, context: Context, user_id: str, wanted: ApplicationCredentialNew
    ) -> tuple[sa.Row, str]:
        """The new row and its secret, which is shown this once. Raises Forbidden, BadRequest, Conflict."""
        if context.user_id != user_id or context.restricted:
            raise Forbidden(
                "Application credentials are made by the user they act for, "
                "not by way of a restricted application credential."
            )
        if wanted.access_rules:
            raise BadRequest("Invalid input for field/attribute access_rules. They are not served here.")
        if context.project_id is None:
            raise BadRequest(
                "An application credential belongs to a project: use a token that is scoped to one."
            )
        secret = wanted.secret or secrets.token_urlsafe(64)
        hashed = passwords.hashed(secret)
        with self._db.transaction() as tx:
            key = self._ids.hex()
            store.insert(
                tx,
                application_credentials,
                {
                    "id": key,
                    "user_id": user_id,
                    "project_id": context.project_id,
                    "name": wanted.name,
                    "description": wanted.description,
                    "secret_hash": hashed,
                    "unrestricted": wanted.unrestricted,
                    "role_ids": self._delegated(tx, context, wanted),
                    "expires_at": _moment(wanted.expires_at, tx.now),
                },
                taken("application_credential", wanted.name),
            )
            return store.get(tx, application_credentials, key), secret

    def application_credentials(
        self, context: Context, user_id: str, name: str | None = None
    ) -> list[sa.Row]:
        own_or_admin(context, user_id, "identity:list_application_credentials")
        filters = [store.Filter("user_id", "", user_id)]
        if name is not None:
            filters.append(store.Filter("name", "", name))
        return self.listing(application_credentials, filters, None, None)

    def application_credential(self, context: Context, user_id: str, key: str) -> sa.Row:
        own_or_admin(context, user_id, "identity:get_application_credential")
        with self._db.read() as tx:
            return self._get(tx, application_credentials, key, "application credential", user_id=user_id)

    def delete_application_credential(self, context: Context, user_id: str, key: str) -> None:
        """Ends the tokens that were issued for it."""
        own_or_admin(context, user_id, "identity:delete_application_credential")
        if context.restricted:
            raise Forbidden("A restricted application credential cannot delete application credentials.")
        with self._change() as tx:
            self._get(tx, application_credentials, key, "application credential", user_id=user_id)
            store.delete(tx, application_credentials, key)

    def role_rows(self) -> dict[str, sa.Row]:
        return self.implied_roles()[0]

    def _delegated(self, tx: Tx, context: Context, wanted: ApplicationCredentialNew) -> list[str]:
        """Ids of the roles, all of which the caller must have. Raises BadRequest."""
        by_id = {
            role: name
            for role, name in self._roles(tx, store.change_count(tx)).names.items()
            if name in context.roles
        }
        if wanted.roles is None:
            return sorted(by_id)
        found = role_ids_of(by_id, wanted.roles)
        if found is None:
            raise BadRequest(
                "Invalid input for field/attribute roles. "
                "An application credential has one or more of its user's roles in the project, no others."
            )
        return found

    # Credentials: keys for other services, encrypted

    def credentials(self, context: Context, filters: list[store.Filter]) -> list[sa.Row]:
        """Everybody's for administrators, otherwise the caller's own."""
        own = [] if context.is_admin else [store.Filter("user_id", "", context.user_id)]
        return self.listing(credentials, [*filters, *own], None, None)

    def credential(self, context: Context, key: str) -> sa.Row:
        """Raises NotFound, for what is somebody else's too."""
        with self._db.read() as tx:
            return self._own_credential(tx, context, key)

    def create_credential(self, context: Context, values: Values, extra: Values) -> sa.Row:
        user_id = values["user_id"] or context.user_id
        own_or_admin(context, user_id, "identity:create_credential")
        with self._db.transaction() as tx:
            self._get(tx, users, user_id, "user")
            key = self._ids.hex()
            store.insert(
                tx,
                credentials,
                {
                    "id": key,
                    "user_id": user_id,
                    "project_id": values["project_id"],
                    "type": values["type"],
                    "blob": self._secrets.encrypt(values["blob"].encode(), tx.now // 1_000_000),
                    "extra": extra,
                },
                f"Conflict occurred attempting to store credential {key}.",
            )
            return store.get(tx, credentials, key)

    def update_credential(self, context: Context, key: str, values: Values, extra: Values) -> sa.Row:
        if "user_id" in values:
            own_or_admin(context, values["user_id"], "identity:update_credential")
        with self._db.transaction() as tx:
            row = self._own_credential(tx, context, key)
            if "user_id" in values:
                self._get(tx, users, values["user_id"], "user")
            changes: dict[str, Any] = {**values, "extra": {**row.extra, **extra}}
            if "blob" in values:
                changes["blob"] = self._secrets.encrypt(values["blob"].encode(), tx.now // 1_000_000)
            store.update(tx, credentials, key, changes)
            return store.get(tx, credentials, key)

    def delete_credential(self, context: Context, key: str) -> None:
        with self._db.transaction() as tx:
            self._own_credential(tx, context, key)
            store.delete(tx, credentials, key)

    def credential_blob(self, row: sa.Row) -> str:
        return self._secrets.decrypt(row.blob).decode()

    def _own_credential(self, tx: Tx, context: Context, key: str) -> sa.Row:
        row = store.get(tx, credentials, key)
        if row is None or (row.user_id != context.user_id and not context.is_admin):
            raise missing("credential", key)
        return row


def _moment(text: str | None, now: int) -> int | None:
    """When a credential expires, microseconds since 1970. Raises BadRequest for the past, and for no time."""
    if text is None:
        return None
    try:
        moment = parse_time(text)
    except (ValueError, OverflowError):
        raise BadRequest(
            f"Invalid input for field/attribute expires_at. Value: {text[:64]}. It is not a time."
        ) from None
    if moment <= now:
        raise BadRequest(f"Invalid input for field/attribute expires_at. Value: {text}. It has passed.")
    return moment
