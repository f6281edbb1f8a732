"""Application credentials, by which a program acts for a user in one project."""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden
from pilvi.identity import passwords, store
from pilvi.identity.access import Access
from pilvi.identity.base import moment_of, own_or_admin, own_or_auditor, role_ids_of
from pilvi.identity.directory import taken
from pilvi.identity.grants import Grants
from pilvi.identity.tables import application_credentials
from pilvi.identity.wire import ApplicationCredentialNew
from pilvi.policy import Context


class ApplicationCredentials(Grants, Access):
    def create_application_credential(
        self, context: Context, user_id: str, wanted: ApplicationCredentialNew
    ) -> tuple[sa.Row, str]:
        """The new row and its secret, which is shown this once. Raises Forbidden, BadRequest, Conflict."""
        if context.user_id != user_id or context.restricted or context.trust_id or context.access_token_id:
            raise Forbidden(
                "Application credentials are made by the user they act for, "
                "not by way of a trust, of OAuth or of a restricted application credential."
            )
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
                    "expires_at": moment_of(wanted.expires_at, tx.now),
                    "access_rule_ids": self._rule_ids(tx, user_id, wanted.access_rules),
                },
                taken("application_credential", wanted.name),
            )
            return store.get(tx, application_credentials, key), secret

    def application_credentials(
        self, context: Context, user_id: str, name: str | None = None
    ) -> list[sa.Row]:
        own_or_auditor(context, user_id, "identity:list_application_credentials")
        filters = [store.Filter("user_id", "", user_id)]
        if name is not None:
            filters.append(store.Filter("name", "", name))
        return self.listing(application_credentials, filters, None, None)

    def application_credential(self, context: Context, user_id: str, key: str) -> sa.Row:
        own_or_auditor(context, user_id, "identity:get_application_credential")
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
