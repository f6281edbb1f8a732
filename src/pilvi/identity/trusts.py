"""Trusts: a user (trustor) lets another (trustee) use some of their roles in a project (OS-TRUST)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.identity import store, wire
from pilvi.identity import store_delegation as sql
from pilvi.identity.base import missing, moment_of, role_ids_of
from pilvi.identity.scoping import Scoping
from pilvi.identity.tables import projects, users
from pilvi.identity.tables_delegation import trusts
from pilvi.identity.tokens import PROJECT
from pilvi.policy import Context

MAX_REDELEGATIONS = 3  # as in OpenStack


class Trusts(Scoping):
    def create_trust(self, context: Context, wanted: wire.TrustNew, extra: dict[str, Any]) -> sa.Row:
        """By the trustor. Raises Forbidden, NotFound for a user, project or role, BadRequest."""
        if context.user_id != wanted.trustor_user_id or context.restricted or context.access_token_id:
            raise Forbidden(
                "A trust is made by the trustor, and neither by way of OAuth nor of a restricted "
                "application credential."
            )
        with self._db.transaction() as tx:
            self._get(tx, users, wanted.trustee_user_id, "user")
            parent = self._get(tx, trusts, context.trust_id, "trust") if context.trust_id else None
            values = {
                "id": self._ids.hex(),
                "trustor_id": wanted.trustor_user_id,
                "trustee_id": wanted.trustee_user_id,
                "origin_id": parent.origin_id if parent is not None else wanted.trustor_user_id,
                "project_id": wanted.project_id,
                "impersonation": wanted.impersonation,
                "role_ids": self._entrusted(tx, context, wanted, parent),
                "expires_at": moment_of(wanted.expires_at, tx.now),
                "remaining_uses": wanted.remaining_uses,
                "extra": extra,
            }
            if wanted.redelegated_trust_id not in (None, context.trust_id or None):
                raise Forbidden("redelegated_trust_id is that of the trust whose token is used, or nothing.")
            values |= _first(wanted) if parent is None else _passed_on(wanted, parent, values)
            tx.execute(trusts.insert(), values)
            return store.get(tx, trusts, values["id"])

    def _entrusted(
        self, tx: Tx, context: Context, wanted: wire.TrustNew, parent: sa.Row | None
    ) -> list[str]:
        """Ids of the roles, all of which the trustor has in the project. Raises NotFound, Forbidden."""
        if wanted.project_id is None:
            if wanted.roles:
                raise BadRequest("Invalid input for field/attribute project_id. Roles are roles in a project.")
            return []
        self._get(tx, projects, wanted.project_id, "project", is_domain=False)
        if not wanted.roles:
            raise Forbidden("At least one role should be specified.")
        count = store.change_count(tx)
        giver = parent.origin_id if parent is not None else context.user_id
        grant = self._grant(tx, giver, PROJECT, wanted.project_id, count)
        having = grant.roles if grant is not None else {}
        if parent is not None or context.application_credential_id:
            here = wanted.project_id == context.project_id
            having = {role: name for role, name in having.items() if here and name in context.roles}
        found = role_ids_of(having, wanted.roles)
        if found is None:
            names = ", ".join(str(role.id or role.name) for role in wanted.roles)
            raise NotFound(f"Could not find role: {names}. The trustor has not all of them in the project.")
        return found

    def trusts(self, context: Context, trustor_id: str | None, trustee_id: str | None) -> list[sa.Row]:
        """Everybody's for those who see all; otherwise one's own, as trustor or as trustee."""
        if context.user_id not in (trustor_id, trustee_id) and not context.is_auditor:
            raise Forbidden("You are not authorized to perform the requested action: identity:list_trusts.")
        wanted = {"trustor_id": trustor_id, "trustee_id": trustee_id}
        with self._db.read() as tx:
            return list(sql.trusts_of(tx, {name: key for name, key in wanted.items() if key is not None}))

    def trust(self, context: Context, key: str) -> sa.Row:
        """Raises NotFound for one that has expired or is used up, too."""
        with self._db.read() as tx:
            row = self._get(tx, trusts, key, "trust")
            if context.user_id not in (row.trustor_id, row.trustee_id) and not context.is_auditor:
                raise Forbidden("You are not authorized to perform the requested action: identity:get_trust.")
            if (row.expires_at is not None and row.expires_at <= tx.now) or row.remaining_uses == 0:
                raise missing("trust", key)
            return row

    def delete_trust(self, context: Context, key: str) -> None:
        """With those it was passed on by, and with all their tokens."""
        with self._change() as tx:
            row = self._get(tx, trusts, key, "trust")
            if context.user_id != row.trustor_id and not context.is_admin:
                raise Forbidden("You are not authorized to perform the requested action: identity:delete_trust.")
            front = [key]
            while front:
                ended = front.pop()
                sql.note_revocation(tx, trust_id=ended)
                front += [child.id for child in sql.trusts_of(tx, {"parent_id": ended})]
            store.delete(tx, trusts, key)


def _first(wanted: wire.TrustNew) -> dict[str, Any]:
    """Raises BadRequest, Forbidden."""
    if not wanted.allow_redelegation:
        return {"redelegation_count": 0, "parent_id": None}
    if wanted.remaining_uses is not None:
        raise BadRequest("remaining_uses must not be set if redelegation is allowed.")
    count = MAX_REDELEGATIONS if wanted.redelegation_count is None else wanted.redelegation_count
    if count > MAX_REDELEGATIONS:
        raise Forbidden(f"Requested redelegation depth of {count} exceeds allowed {MAX_REDELEGATIONS}.")
    return {"redelegation_count": count, "parent_id": None}


def _passed_on(wanted: wire.TrustNew, parent: sa.Row, values: dict[str, Any]) -> dict[str, Any]:
    """No more than the trust it comes from. Raises Forbidden."""
    left = parent.redelegation_count - 1
    count = left if wanted.redelegation_count is None else wanted.redelegation_count
    if left < 0 or count > left:
        raise Forbidden(f"Remaining redelegation depth of {left + 1} does not allow another of {count}.")
    if wanted.remaining_uses is not None:
        raise BadRequest("remaining_uses must not be set for a trust that is passed on.")
    if wanted.impersonation and not parent.impersonation:
        raise Forbidden("Impersonation is not allowed because redelegated trust does not specify impersonation.")
    expires = values["expires_at"]
    if parent.expires_at is not None and (expires is None or expires > parent.expires_at):
        if expires is not None:
            raise Forbidden("Requested expiration time is more than redelegated trust can provide.")
        expires = parent.expires_at
    return {
        "redelegation_count": count if wanted.allow_redelegation else 0,
        "parent_id": parent.id,
        "expires_at": expires,
    }
