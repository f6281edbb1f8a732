"""Secrets that users keep here, encrypted: EC2 keys, seeds of one-time passwords, certificates, anything."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden
from pilvi.identity import store
from pilvi.identity.base import missing, own_or_admin
from pilvi.identity.directory import Directory, Values
from pilvi.identity.tables import credentials, projects, users
from pilvi.policy import Context

EC2, TOTP = "ec2", "totp"
# Fields of an EC2 key's blob that say by whose leave it was made: it is worth no more than that.
_LEAVES = ("trust_id", "app_cred_id", "access_token_id")
_DUPLICATE = "Conflict occurred attempting to store credential: there is one with this access key already."


class Credentials(Directory):
    def credentials(self, context: Context, filters: list[store.Filter]) -> list[sa.Row]:
        """Everybody's for those who see all, otherwise the caller's own."""
        own = [] if context.is_auditor else [store.Filter("user_id", "", context.user_id)]
        return self.listing(credentials, [*filters, *own], None, None)

    def credential(self, context: Context, key: str) -> sa.Row:
        """Raises NotFound, for what is somebody else's too."""
        with self._db.read() as tx:
            row = store.get(tx, credentials, key)
            if row is None or (row.user_id != context.user_id and not context.is_auditor):
                raise missing("credential", key)
            return row

    def create_credential(self, context: Context, values: Values, extra: Values) -> sa.Row:
        """Raises Forbidden, NotFound, BadRequest for an EC2 key without what it needs, Conflict."""
        user_id = values["user_id"] or context.user_id
        own_or_admin(context, user_id, "identity:create_credential")
        _may_have_factor(context, values["type"])
        key, blob, project_id = self._ids.hex(), values["blob"], values["project_id"]
        if values["type"] == EC2:
            known = _ec2_blob(blob)
            if project_id is None:
                raise BadRequest("Invalid input for field/attribute project_id. An EC2 key is for a project.")
            if any(name in known for name in _LEAVES):
                raise BadRequest(f"Invalid input for field/attribute blob. It must not say {', '.join(_LEAVES)}.")
            known |= leave_of(context, project_id)
            key, blob = key_of(known["access"]), msgspec.json.encode(known).decode()
        with self._db.transaction() as tx:
            self._get(tx, users, user_id, "user")
            return self._keep(tx, key, user_id, project_id, values["type"], blob, extra)

    def update_credential(self, context: Context, key: str, values: Values, extra: Values) -> sa.Row:
        """Whose it is and what for stays. Raises NotFound, BadRequest, Forbidden, Conflict."""
        with self._db.transaction() as tx:
            row = self._own_credential(tx, context, key)
            for name in ("type", "user_id", "project_id"):
                if values.get(name, getattr(row, name)) != getattr(row, name):
                    raise BadRequest(f"Invalid input for field/attribute {name}. It cannot be changed: make another.")
            _may_have_factor(context, row.type)
            changes: dict[str, Any] = {"extra": {**row.extra, **extra}}
            if "blob" in values:
                changes |= self._sealed_blob(tx, values["blob"])
                if row.type == EC2:
                    changes["access_digest"] = self._same_leave(row, values["blob"], context)
            store.update(tx, credentials, key, changes, _DUPLICATE)
            return store.get(tx, credentials, key)

    def delete_credential(self, context: Context, key: str) -> None:
        with self._db.transaction() as tx:
            _may_have_factor(context, self._own_credential(tx, context, key).type)
            store.delete(tx, credentials, key)

    def credential_blob(self, row: sa.Row) -> str:
        return self._secrets.decrypt(row.blob).decode()

    def _keep(
        self, tx: Tx, key: str, user_id: str, project_id: str | None, kind: str, blob: str, extra: Values
    ) -> sa.Row:
        if project_id is not None and kind == EC2:
            self._get(tx, projects, project_id, "project", is_domain=False)
        values = {"id": key, "user_id": user_id, "project_id": project_id, "type": kind, "extra": extra}
        values["access_digest"] = key if kind == EC2 else None
        store.insert(tx, credentials, values | self._sealed_blob(tx, blob), _DUPLICATE)
        return store.get(tx, credentials, key)

    def _sealed_blob(self, tx: Tx, blob: str) -> dict[str, str]:
        return {"blob": self._secrets.encrypt(blob.encode(), tx.now // 1_000_000)}

    def _same_leave(self, row: sa.Row, blob: str, context: Context) -> str:
        """The digest of an EC2 key that is changed; by whose leave it was made stays. Raises BadRequest."""
        leave_of(context, row.project_id)
        old, new = _ec2_blob(self.credential_blob(row)), _ec2_blob(blob)
        if any(old.get(name) != new.get(name) for name in _LEAVES):
            raise BadRequest(f"Invalid input for field/attribute blob. {', '.join(_LEAVES)} cannot be changed.")
        return key_of(new["access"])

    def _own_credential(self, tx: Tx, context: Context, key: str) -> sa.Row:
        row = store.get(tx, credentials, key)
        if row is None or (row.user_id != context.user_id and not context.is_admin):
            raise missing("credential", key)
        return row


def key_of(access: str) -> str:
    """The digest by which an EC2 key is found; the id of its row, too, as long as it keeps its name."""
    return hashlib.sha256(access.encode()).hexdigest()


def leave_of(context: Context, project_id: str) -> dict[str, str]:
    """What a key made with this token says of the token's own limits. Raises Forbidden for another project."""
    leaves = zip(
        _LEAVES, (context.trust_id, context.application_credential_id, context.access_token_id), strict=True
    )
    found = {name: key for name, key in leaves if key}
    if found and project_id != context.project_id:
        raise Forbidden("By way of a delegation EC2 keys are made and changed for its own project only.")
    return found


def _may_have_factor(context: Context, kind: str) -> None:
    """Raises Forbidden where somebody who only acts for a user would change how that user logs in."""
    if kind == TOTP and (context.trust_id or context.access_token_id or context.application_credential_id):
        raise Forbidden("Seeds of one-time passwords are managed with a token of one's own.")


def _ec2_blob(blob: str) -> dict[str, str]:
    try:
        known = msgspec.json.decode(blob, type=dict[str, str | None])
    except msgspec.DecodeError:
        known = {}
    if not known.get("access") or not known.get("secret"):
        raise BadRequest("Invalid blob for ec2 credential: it takes JSON with access and secret.")
    return known
