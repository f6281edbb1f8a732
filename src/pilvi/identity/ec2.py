"""EC2 keys: tokens for who signs requests as Amazon's clients do (OS-EC2, ec2tokens, s3tokens)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import Unauthorized
from pilvi.identity import delegations, store, wire
from pilvi.identity import store_delegation as sql
from pilvi.identity.authentication import Authentication, Issued
from pilvi.identity.base import missing, own_or_admin, own_or_auditor
from pilvi.identity.credentials import EC2, Credentials, key_of, leave_of
from pilvi.identity.delegations import Delegation
from pilvi.identity.ec2_signature import ec2_matches, moment_of_request, s3_matches
from pilvi.identity.logins import Login
from pilvi.identity.scoping import REFUSED
from pilvi.identity.tables import application_credentials, credentials, users
from pilvi.identity.tables_delegation import access_tokens, trusts
from pilvi.policy import Context

TTL = 15 * 60 * 1_000_000  # how long a signed request is good for, as in OpenStack, microseconds


class Key(NamedTuple):
    user_id: str
    project_id: str
    access: str
    secret: str
    trust_id: str | None


class _Blob(msgspec.Struct):
    access: str
    secret: str
    trust_id: str | None = None
    app_cred_id: str | None = None
    access_token_id: str | None = None


class Ec2(Authentication, Credentials):
    def create_ec2(self, context: Context, user_id: str, project_id: str) -> Key:
        """Raises Forbidden, NotFound."""
        own_or_admin(context, user_id, "identity:ec2_create_credential")
        known = {"access": self._ids.hex(), "secret": self._ids.hex(), **leave_of(context, project_id)}
        blob = msgspec.json.encode(known).decode()
        with self._db.transaction() as tx:
            self._get(tx, users, user_id, "user")
            return self._key(self._keep(tx, key_of(known["access"]), user_id, project_id, EC2, blob, {}))

    def ec2_keys(self, context: Context, user_id: str) -> list[Key]:
        own_or_auditor(context, user_id, "identity:ec2_list_credentials")
        with self._db.read() as tx:
            self._get(tx, users, user_id, "user")
            return [self._key(row) for row in sql.credentials_of(tx, user_id, EC2)]

    def ec2_key(self, context: Context, user_id: str, access: str) -> Key:
        own_or_auditor(context, user_id, "identity:ec2_get_credential")
        with self._db.read() as tx:
            return self._key(_own(tx, user_id, access))

    def delete_ec2(self, context: Context, user_id: str, access: str) -> None:
        own_or_admin(context, user_id, "identity:ec2_delete_credential")
        with self._db.transaction() as tx:
            store.delete(tx, credentials, _own(tx, user_id, access).id)

    def issue_for_ec2(self, shown: wire.Ec2Signed) -> Issued:
        """For the signature of a request. Raises Unauthorized, BadRequest for a moment that is none."""
        row, blob, now = self._shown(shown.access)
        moment = moment_of_request(shown)
        if moment is not None and abs(moment - now) > TTL:
            raise Unauthorized(REFUSED)
        if blob is None or not ec2_matches(shown, blob.secret):
            raise Unauthorized(REFUSED)
        return self._issue_for(row, blob)

    def issue_for_s3(self, shown: wire.S3Signed) -> Issued:
        """For the signature of what an object store says that it got. Raises Unauthorized."""
        row, blob, _ = self._shown(shown.access)
        if blob is None or not s3_matches(shown, blob.secret):
            raise Unauthorized(REFUSED)
        return self._issue_for(row, blob)

    def _shown(self, access: str) -> tuple[sa.Row | None, _Blob | None, int]:
        with self._db.read() as tx:
            row, now = store.find(tx, credentials, access_digest=key_of(access)), tx.now
        return row, None if row is None else self._blob(row), now

    def _issue_for(self, row: sa.Row, blob: _Blob) -> Issued:
        delegation = self._leave(blob)
        project = wire.ScopeRef(project=wire.ProjectRef(id=row.project_id))
        return self._issue([Login(row.user_id, None, "ec2credential", delegation=delegation)], project)

    def _leave(self, blob: _Blob) -> Delegation | None:
        """What the key was made by way of. Raises Unauthorized where that is gone."""
        with self._db.read() as tx:
            for key, table in _TABLES:
                if (wanted := getattr(blob, key)) is None:
                    continue
                if (found := store.get(tx, table, wanted)) is None:
                    raise Unauthorized(REFUSED)
                if table is application_credentials:
                    return delegations.of_application_credential(tx, found)
                return delegations.of_trust(found) if table is trusts else delegations.of_access_token(found)
        return None

    def _key(self, row: sa.Row) -> Key:
        blob = self._blob(row)
        return Key(row.user_id, row.project_id, blob.access, blob.secret, blob.trust_id)

    def _blob(self, row: sa.Row) -> _Blob:
        return msgspec.json.decode(self.credential_blob(row), type=_Blob)


def _own(tx: Tx, user_id: str, access: str) -> sa.Row:
    """Raises NotFound."""
    row = store.find(tx, credentials, access_digest=key_of(access), user_id=user_id)
    if row is None:
        raise missing("credential", access)
    return row


_TABLES: Sequence[tuple[str, sa.Table]] = (
    ("trust_id", trusts),
    ("app_cred_id", application_credentials),
    ("access_token_id", access_tokens),
)
