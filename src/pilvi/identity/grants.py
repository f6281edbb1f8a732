"""Roles, what they imply, and who was given which of them where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, NotFound
from pilvi.identity import store
from pilvi.identity.directory import Directory, Values, merged, mutable_options, same_domain, taken
from pilvi.identity.store import Assignment
from pilvi.identity.tables import ROOT, groups, projects, roles, users

_ACTORS = {"user": users, "group": groups}


class Effective(NamedTuple):
    """A role that somebody has, and why: `direct` is the assignment it comes from."""

    assignment: Assignment
    direct: Assignment


class Named(NamedTuple):
    """Rows with id, name, domain_id and domain_name, by id."""

    users: Mapping[str, sa.Row]
    groups: Mapping[str, sa.Row]
    projects: Mapping[str, sa.Row]
    roles: Mapping[str, sa.Row]


class Grants(Directory):
    def create_role(self, context: Any, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            if values["domain_id"] is not None:
                self._get(tx, projects, values["domain_id"], "domain", is_domain=True)
            key = self._ids.hex()
            store.insert(
                tx,
                roles,
                {
                    "id": key,
                    "name": values["name"],
                    "domain_id": values["domain_id"] or ROOT,
                    "description": values["description"],
                    "options": merged({}, values["options"]),
                    "extra": extra,
                },
                taken("role", values["name"]),
            )
            return store.get(tx, roles, key)

    def update_role(self, context: Any, role_id: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            row = self._get(tx, roles, role_id, "role")
            same_domain(row, values)
            changes = {name: values[name] for name in ("name", "description") if name in values}
            changes["options"] = mutable_options(row, values)
            store.update(
                tx,
                roles,
                role_id,
                {**changes, "extra": {**row.extra, **extra}},
                taken("role", values.get("name", row.name)),
            )
            return store.get(tx, roles, role_id)

    def delete_role(self, context: Any, role_id: str) -> None:
        """Takes it away from everybody."""
        with self._change() as tx:
            mutable_options(self._get(tx, roles, role_id, "role"), {})
            store.delete(tx, roles, role_id)

    # Implications

    def implied_roles(self) -> tuple[dict[str, sa.Row], list[sa.Row]]:
        """All roles by id, and the pairs (prior_id, implied_id)."""
        with self._db.read() as tx:
            every = {row.id: row for row in store.listing(tx, roles, [])}
            return every, list(store.implications(tx))

    def imply(self, prior_id: str, implied_id: str) -> None:
        """Raises NotFound; BadRequest where a role would come to imply itself."""
        with self._change() as tx:
            for role in (prior_id, implied_id):
                self._get(tx, roles, role, "role")
            known = self._roles(tx, store.change_count(tx)).implied
            if prior_id in known[implied_id]:
                raise BadRequest(
                    f"The role {implied_id} already implies {prior_id}: they cannot imply each other."
                )
            store.imply(tx, prior_id, implied_id)

    def no_longer_imply(self, prior_id: str, implied_id: str) -> None:
        with self._change() as tx:
            if not store.no_longer_imply(tx, prior_id, implied_id):
                raise NotFound(f"The role {prior_id} does not imply {implied_id}.")

    # Assignments

    def grant(self, wanted: Assignment) -> None:
        """Raises NotFound where any part of it does not exist."""
        with self._change() as tx:
            self._parts_exist(tx, wanted)
            store.assign(tx, wanted)

    def check_grant(self, wanted: Assignment) -> None:
        with self._db.read() as tx:
            self._parts_exist(tx, wanted)
            if not store.is_assigned(tx, wanted):
                raise _not_assigned(wanted)

    def take_away(self, wanted: Assignment) -> None:
        """Takes effect on the tokens that are in use, too."""
        with self._change() as tx:
            if not store.unassign(tx, wanted):
                raise _not_assigned(wanted)

    def granted(self, actor_type: str, actor_id: str, target_type: str, target_id: str) -> list[sa.Row]:
        with self._db.read() as tx:
            self._ends_exist(tx, actor_type, actor_id, target_type, target_id)
            return list(store.assigned_roles(tx, actor_type, actor_id, target_type, target_id))

    def assignments(
        self, conditions: Mapping[str, str], user_id: str | None, role_id: str | None, *, effective: bool
    ) -> list[Effective]:
        """Assignments by columns. Effective: groups resolved into users, roles into what they imply."""
        if user_id is not None and not effective:
            conditions = {**conditions, "actor_type": "user", "actor_id": user_id}
        if role_id is not None and not effective:
            conditions = {**conditions, "role_id": role_id}
        with self._db.read() as tx:
            found = store.assigned(tx, conditions, user_id if effective else None)
            if not effective:
                return [Effective(each, each) for each in found]
            people = store.memberships(tx)
            implied = self._roles(tx, store.change_count(tx)).implied
        seen: dict[Assignment, Assignment] = {}
        for direct in found:
            actors = [direct.actor_id] if direct.actor_type == "user" else people.get(direct.actor_id, [])
            for actor in actors:
                for role in sorted(implied[direct.role_id]):
                    seen.setdefault(direct._replace(actor_type="user", actor_id=actor, role_id=role), direct)
        return [
            Effective(each, direct)
            for each, direct in seen.items()
            if user_id in (None, each.actor_id) and role_id in (None, each.role_id)
        ]

    def assignment_names(self, found: list[Effective]) -> Named:
        every = [each.assignment for each in found]
        with self._db.read() as tx:
            return Named(
                store.names(tx, users, (each.actor_id for each in every if each.actor_type == "user")),
                store.names(tx, groups, (each.actor_id for each in every if each.actor_type == "group")),
                store.names(tx, projects, (each.target_id for each in every if each.target_type != "system")),
                store.names(tx, roles, (each.role_id for each in every)),
            )

    def _parts_exist(self, tx: Tx, wanted: Assignment) -> None:
        self._ends_exist(tx, *wanted[:4])
        self._get(tx, roles, wanted.role_id, "role")

    def _ends_exist(self, tx: Tx, actor_type: str, actor_id: str, target_type: str, target_id: str) -> None:
        self._get(tx, _ACTORS[actor_type], actor_id, actor_type)
        if target_type != "system":
            self._get(tx, projects, target_id, target_type, is_domain=target_type == "domain")


def _not_assigned(wanted: Assignment) -> NotFound:
    return NotFound(
        f"Could not find role assignment with role: {wanted.role_id}, {wanted.actor_type}: "
        f"{wanted.actor_id}, {wanted.target_type}: {wanted.target_id}."
    )
