"""What a user may be in a scope right now: the roles that a token stands for."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, Unauthorized
from pilvi.identity import delegations, store, wire
from pilvi.identity.base import Base
from pilvi.identity.delegations import Delegation
from pilvi.identity.tables_delegation import trusts
from pilvi.identity.tokens import DOMAIN, PROJECT, SYSTEM, UNSCOPED

REFUSED = "The request you have made requires authentication."
_TARGETS = {PROJECT: "project", DOMAIN: "domain", SYSTEM: "system"}


class Grant(NamedTuple):
    """What a user may be, right now, in one scope."""

    subject: sa.Row
    scope: int
    roles: dict[str, str]  # name by id, implied ones included
    epoch: int
    delegation: Delegation | None = None

    @property
    def restricted(self) -> bool:
        return self.delegation is not None and self.delegation.restricted


class Scoping(Base):
    def _scoped(
        self, tx: Tx, user_id: str, wanted: wire.ScopeRef | str | None, delegation: Delegation | None
    ) -> Grant:
        """Raises Unauthorized where the user has no part in the scope."""
        count = store.change_count(tx)
        if isinstance(wanted, wire.ScopeRef) and wanted.trust is not None:
            delegation, wanted = self._trusted(tx, user_id, wanted, delegation), None
        if delegation is not None:
            return self._delegated_grant(tx, wanted, delegation, count)
        if wanted is None:
            return self._default_scope(tx, user_id, count)
        grant = self._grant(tx, user_id, *resolve_scope(tx, wanted), count)
        if grant is None:
            raise Unauthorized(REFUSED)
        return grant

    def _delegated_grant(
        self, tx: Tx, wanted: wire.ScopeRef | str | None, delegation: Delegation, count: int
    ) -> Grant:
        """In the one project that it is for."""
        place = (PROJECT, delegation.project_id) if delegation.project_id is not None else (UNSCOPED, "")
        if wanted is not None and resolve_scope(tx, wanted) != place:
            raise Unauthorized(REFUSED)
        grant = self._grant(tx, delegation.user_id, *place, count, delegation)
        if grant is None:
            raise Unauthorized(REFUSED)
        return grant

    def _trusted(
        self, tx: Tx, user_id: str, wanted: wire.ScopeRef, delegation: Delegation | None
    ) -> Delegation:
        """Raises Unauthorized where there is no such trust, Forbidden where it is not for this user."""
        if delegation is not None or [wanted.project, wanted.domain, wanted.system].count(None) != 3:
            raise BadRequest("Invalid input for field/attribute auth.scope. A trust is the whole scope.")
        row = store.get(tx, trusts, wanted.trust.id)
        if row is None or (row.expires_at is not None and row.expires_at <= tx.now):
            raise Unauthorized(REFUSED)
        if row.trustee_id != user_id:
            raise Forbidden("User is not a trustee.")
        if row.remaining_uses is not None and row.remaining_uses <= 0:
            raise Forbidden(f"No remaining uses for trust {row.id}.")
        return delegations.of_trust(row)

    def _default_scope(self, tx: Tx, user_id: str, count: int) -> Grant:
        """The user's default project where they can work there, otherwise none."""
        unscoped = self._grant(tx, user_id, UNSCOPED, "", count)
        if unscoped is None:
            raise Unauthorized(REFUSED)
        default = unscoped.subject.default_project_id
        return (default and self._grant(tx, user_id, PROJECT, default, count)) or unscoped

    def _grant(
        self,
        tx: Tx,
        user_id: str,
        scope: int,
        scope_id: str,
        count: int,
        delegation: Delegation | None = None,
    ) -> Grant | None:
        """None where a user, project or domain is gone or disabled, or the user has no role there."""
        row = store.subject(tx, user_id, scope_id or None)
        epoch = _epoch(row, scope)
        if epoch is None:
            return None
        for other in delegation.others if delegation is not None else ():
            more = _epoch(store.subject(tx, other, None), UNSCOPED)
            if more is None:
                return None
            epoch += more
        if delegation is not None and delegation.expires_at is not None and delegation.expires_at <= tx.now:
            return None
        if scope == UNSCOPED:
            return Grant(row, scope, {}, epoch, delegation)
        giver = user_id if delegation is None else delegation.giver_id
        known = self._roles(tx, count)
        roles = known.expand(store.granted_roles(tx, giver, _TARGETS[scope], scope_id or store.ALL))
        if delegation is not None:
            if delegation.whole and not delegation.role_ids <= roles.keys():
                return None
            allowed = known.expand(delegation.role_ids & known.implied.keys())
            roles = {role: name for role, name in roles.items() if role in allowed}
        return Grant(row, scope, roles, epoch, delegation) if roles else None


def _epoch(row: sa.Row | None, scope: int) -> int | None:
    """What is added up of all that a token rests on; None where some of it is gone or disabled."""
    if row is None or not row.user_enabled or not row.user_domain_enabled:
        return None
    epoch = row.user_epoch + row.user_domain_epoch
    if scope not in (PROJECT, DOMAIN):
        return epoch
    disabled = not row.project_enabled or row.project_domain_enabled is False
    if disabled or row.is_domain != (scope == DOMAIN):
        return None
    return epoch + row.project_epoch + (row.project_domain_epoch or 0)


def resolve_scope(tx: Tx, wanted: wire.ScopeRef | str) -> tuple[int, str]:
    """Raises Unauthorized for what does not exist, BadRequest for none or several scopes."""
    if isinstance(wanted, str) or wanted.unscoped is not None:
        return UNSCOPED, ""
    if [wanted.project, wanted.domain, wanted.system].count(None) != 2:
        raise BadRequest(
            "Invalid input for field/attribute auth.scope. Give one of project, domain and system."
        )
    if wanted.system is not None:
        if not wanted.system.all:
            raise BadRequest(
                "Invalid input for field/attribute auth.scope.system. The only system is 'all': true."
            )
        return SYSTEM, ""
    if wanted.domain is not None:
        found = wanted.domain.id or store.domain_key(tx, wanted.domain.name or "")
    elif wanted.project.id is not None:
        found = wanted.project.id
    elif wanted.project.name is None:
        raise BadRequest("A project is given by id, or by name and domain.")
    else:
        found = store.project_key(
            tx, name=wanted.project.name, **domain_key(wanted.project.domain, "project")
        )
    if not found:
        raise Unauthorized(REFUSED)
    return (DOMAIN if wanted.domain is not None else PROJECT), found


def domain_key(domain: wire.DomainRef | None, what: str) -> dict[str, str | None]:
    if domain is None or (domain.id is None and domain.name is None):
        raise BadRequest(f"A {what} that is given by name needs the domain it is in, by id or by name.")
    return {"domain_id": domain.id} if domain.id is not None else {"domain_name": domain.name}


def user_key(user: wire.UserRef) -> dict[str, str | None]:
    if user.id is not None:
        return {"user_id": user.id}
    if user.name is None:
        raise BadRequest("A user is given by id, or by name and domain.")
    return {"name": user.name, **domain_key(user.domain, "user")}
