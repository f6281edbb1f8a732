"""RBAC policies: what a project shares with another one, or with everybody. The verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden
from pilvi.network import store, store_qos, store_sharing, wire
from pilvi.network.base import Base
from pilvi.network.nouns import NETWORK, NOUNS, RBAC_POLICY, Noun
from pilvi.network.store_sharing import EVERYBODY, EXTERNAL, SHARED
from pilvi.network.tables import floatingips, port_groups, ports, routers, rules, subnets
from pilvi.network.wire_sharing import RbacPolicyChange, RbacPolicyNew
from pilvi.policy import Context

SHAREABLE: dict[str, Noun] = {noun.shared_as: noun for noun in NOUNS if noun.shared_as}
ACTIONS: dict[str, tuple[str, ...]] = {NETWORK.shared_as: (SHARED, EXTERNAL)}  # others have the first alone

# The projects that use an object, by its type and the way that it is shared: a select of one column.
Users = Callable[[str], sa.Select | sa.CompoundSelect]
USERS: dict[tuple[str, str], Users] = {
    ("network", SHARED): lambda object_id: sa.select(ports.c.project_id).where(
        ports.c.network_id == object_id, ports.c.device_owner.not_in([store.ROUTER_GATEWAY, store.FLOATING_IP])
    ),
    ("network", EXTERNAL): lambda object_id: sa.union(
        sa.select(floatingips.c.project_id).where(floatingips.c.floating_network_id == object_id),
        sa.select(routers.c.project_id)
        .join(ports, ports.c.id == routers.c.gateway_port_id)
        .where(ports.c.network_id == object_id),
    ),
    ("subnetpool", SHARED): lambda object_id: sa.select(subnets.c.project_id).where(
        subnets.c.subnetpool_id == object_id
    ),
    ("qos_policy", SHARED): store_qos.projects_using,
    ("security_group", SHARED): lambda object_id: sa.union(
        sa.select(ports.c.project_id)
        .join(port_groups, port_groups.c.port_id == ports.c.id)
        .where(port_groups.c.security_group_id == object_id),
        sa.select(rules.c.project_id).where(rules.c.remote_group_id == object_id),
    ),
}


class SharingVerbs(Base):
    def create_rbac_policies(self, context: Context, wanted: Sequence[RbacPolicyNew]) -> list[dict[str, Any]]:
        """Raises BadRequest (type, action, an object of another project's), NotFound, Forbidden (to share with
        everybody takes an administrator), Conflict (quota, there is such a policy)."""
        return self._each(context, RBAC_POLICY, wanted, self._create_rbac_policy)

    def _create_rbac_policy(self, tx: Tx, context: Context, wanted: RbacPolicyNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        noun = _noun_of(wanted.object_type, wanted.action)
        _permit_target(context, wanted.target)
        self._take_quota(tx, RBAC_POLICY, project)
        self._lock_shared(tx, noun, wanted.object_id)
        row = self._get(tx, noun, context, wanted.object_id)
        if row.project_id != context.project_id and not context.is_admin:
            raise BadRequest(
                f"Invalid input for operation: Only admins can manipulate policies on a {noun.name} that they do not "
                "own.",
                kind="InvalidInput",
            )
        policy_id = self._ids.uuid()
        self._share(tx, policy_id, project, noun, row.id, wanted.action, wanted.target)
        return policy_id

    def _share(
        self, tx: Tx, policy_id: str, project: str, noun: Noun, object_id: str, action: str, target: str
    ) -> None:
        if target in store_sharing.targets(tx, noun.shared_as, object_id, action):
            raise Conflict("An RBAC policy already exists with those values.", kind="DuplicateRbacPolicy")
        store_sharing.insert(tx, policy_id, project, noun.shared_as, object_id, action, target)
        self._note_sharing(tx, noun, object_id)

    def update_rbac_policy(self, context: Context, policy_id: str, change: RbacPolicyChange) -> dict[str, Any]:
        """Shares the object with another project instead. Raises Conflict where the present one uses it."""
        values = wire.given(change)
        with self._db.transaction() as tx:
            row = self._own(tx, RBAC_POLICY, context, policy_id)
            noun = SHAREABLE[row.object_type]
            if values and change.target != row.target:
                _permit_target(context, change.target)
                self._lock_shared(tx, noun, row.object_id)
                if change.target in store_sharing.targets(tx, row.object_type, row.object_id, row.action):
                    raise Conflict("An RBAC policy already exists with those values.", kind="DuplicateRbacPolicy")
                self._unused_through(tx, noun, row, {change.target})
                store.update(tx, RBAC_POLICY, policy_id, target=change.target)
                self._note_sharing(tx, noun, row.object_id)
            return self._fresh(tx, RBAC_POLICY, context, [policy_id])[0]

    def delete_rbac_policy(self, context: Context, policy_id: str) -> None:
        """Raises Conflict where a project uses the object that could not without this policy."""
        with self._db.transaction() as tx:
            row = self._own(tx, RBAC_POLICY, context, policy_id)
            noun = SHAREABLE[row.object_type]
            self._lock_shared(tx, noun, row.object_id)
            self._unused_through(tx, noun, row)
            store.delete(tx, RBAC_POLICY, policy_id)
            self._note_sharing(tx, noun, row.object_id)

    def _lock_shared(self, tx: Tx, noun: Noun, object_id: str) -> None:
        if noun is NETWORK:
            store.lock_network(tx, object_id)
        else:
            tx.lock(f"sharing of {noun.name}", object_id)

    def _unused_through(self, tx: Tx, noun: Noun, policy: Any, instead: set[str] = frozenset()) -> None:
        allowed = instead | store_sharing.targets(tx, noun.shared_as, policy.object_id, policy.action, policy.id)
        stranded = self._users_but(tx, noun, policy.object_id, policy.action, allowed)
        if stranded:
            raise Conflict(
                f"RBAC policy on object {policy.object_id} cannot be removed because other objects depend on it. "
                f"Details: project {stranded[0]} uses this {noun.name}.",
                kind="RbacPolicyInUse",
            )

    def _users_but(self, tx: Tx, noun: Noun, object_id: str, action: str, allowed: set[str]) -> list[str]:
        """The projects that use the object, without its owner and those that may."""
        if EVERYBODY in allowed or (noun.shared_as, action) not in USERS:
            return []
        owner = store.get(tx, noun, object_id).project_id
        found = {row[0] for row in tx.all(USERS[noun.shared_as, action](object_id))}
        return sorted(found - allowed - {owner, ""})

    def _note_sharing(self, tx: Tx, noun: Noun, object_id: str) -> None:
        """What follows for the object's own columns: an external network is one that is shared as such."""
        if "shared" not in noun.table.c:
            return
        everybody = EVERYBODY in store_sharing.targets(tx, noun.shared_as, object_id, SHARED)
        values: dict[str, Any] = {"shared": everybody}
        if noun is NETWORK and store_sharing.targets(tx, noun.shared_as, object_id, EXTERNAL):
            values["external"] = True
        store.update(tx, noun, object_id, **values)

    # -- for other verbs

    def _shares(self, tx: Tx, noun: Noun, context: Context, object_id: str) -> bool:
        """Is the object shared with the caller's project, to be used as its own?"""
        return bool(store_sharing.shared_with(tx, noun.shared_as, [object_id], context.project_id))

    def _share_with_all(self, tx: Tx, noun: Noun, object_id: str, project: str, values: Mapping[str, Any]) -> None:
        """Policies as an object's own flags (`shared`, `external`) say. Raises Conflict where it is in use."""
        for flag, action in (("shared", SHARED), ("external", EXTERNAL)):
            present = store_sharing.targets(tx, noun.shared_as, object_id, action)
            if values.get(flag) and EVERYBODY not in present:
                store_sharing.insert(tx, self._ids.uuid(), project, noun.shared_as, object_id, action, EVERYBODY)
            elif flag in values and not values[flag]:
                gone = {EVERYBODY} if flag == "shared" else present
                target = store_sharing.rbac_policies.c.target
                same = store_sharing.rbac_policies.c.action == action
                store_sharing.forget(tx, noun.shared_as, [object_id], same, target.in_(gone))


def _noun_of(kind: str, action: str) -> Noun:
    """Raises BadRequest."""
    if kind not in SHAREABLE:
        raise BadRequest(
            f"Invalid input for operation: Object type '{kind}' is not supported: there are "
            f"{', '.join(sorted(SHAREABLE))}.",
            kind="InvalidInput",
        )
    if action not in (actions := ACTIONS.get(kind, (SHARED,))):
        raise BadRequest(
            f"Invalid input for operation: '{action}' is no action of a {kind}: there are {', '.join(actions)}.",
            kind="InvalidInput",
        )
    return SHAREABLE[kind]


def _permit_target(context: Context, target: str) -> None:
    if target == EVERYBODY and not context.is_admin:
        raise Forbidden(
            "Policy doesn't allow to share with all projects: it takes the role admin.", kind="PolicyNotAuthorized"
        )
