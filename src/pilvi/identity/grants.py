"""Roles, what they imply, and who was given which of them where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.identity import store
from pilvi.identity import store_grants as sql
from pilvi.identity.base import forbidden, may_see
from pilvi.identity.directory import Directory, Values, merged, mutable_options, same_domain, taken
from pilvi.identity.store_grants import Assignment, Wanted
from pilvi.identity.tables import ROOT, groups, projects, roles, users
from pilvi.policy import Context

_ACTORS = {"user": users, "group": groups}
MANAGED = frozenset({"manager", "member", "reader"})  # roles that the manager of a domain may give in it


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
    def role(self, context: Context, role_id: str) -> sa.Row:
        """A domain's own roles are its managers' and the auditors' to see. Raises NotFound, Forbidden."""
        with self._db.read() as tx:
            row = self._get(tx, roles, role_id, "role")
        if row.domain_id != ROOT:
            may_see(context, row.domain_id, "identity:get_domain_role")
        return row

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
        """Raises NotFound; Forbidden for what would make a role worth more than it should be; BadRequest where
        a role would come to imply itself."""
        with self._change() as tx:
            prior, role = (self._get(tx, roles, each, "role") for each in (prior_id, implied_id))
            if role.domain_id != ROOT and prior.domain_id == ROOT:
                raise Forbidden(
                    f"The role {prior_id} is the whole cloud's: it cannot imply a domain's own one."
                )
            if role.domain_id == ROOT and role.name == "admin":
                raise Forbidden("The role admin cannot be implied.")
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

    def grant(self, context: Context, wanted: Assignment) -> None:
        """Raises NotFound where any part of it does not exist, Forbidden where it is not the caller's to give."""
        with self._change() as tx:
            self._parts_exist(tx, wanted)
            self._may_give(tx, context, wanted)
            sql.assign(tx, wanted)

    def check_grant(self, context: Context, wanted: Assignment) -> None:
        with self._db.read() as tx:
            self._parts_exist(tx, wanted)
            self._in_reach(tx, context, wanted, context.read_domain)
            if not sql.is_assigned(tx, wanted):
                raise _not_assigned(wanted)

    def take_away(self, context: Context, wanted: Assignment) -> None:
        """Takes effect on the tokens that are in use, too."""
        with self._change() as tx:
            if not context.is_admin:
                self._parts_exist(tx, wanted)
                self._may_give(tx, context, wanted)
            if not sql.unassign(tx, wanted):
                raise _not_assigned(wanted)

    def granted(self, context: Context, ends: Assignment) -> list[sa.Row]:
        """The roles of one actor at one target."""
        with self._db.read() as tx:
            self._ends_exist(tx, ends)
            self._in_reach(tx, context, ends, context.read_domain)
            return list(sql.assigned_roles(tx, ends))

    def assignments(self, wanted: Wanted) -> list[Effective]:
        with self._db.read() as tx:
            found = sql.assigned(tx, wanted)
            if not wanted.effective:
                return [Effective(each, each) for each in found]
            people = sql.memberships(tx, (each.actor_id for each in found if each.actor_type == "group"))
            known = self._roles(tx, store.change_count(tx))
            one = wanted.target_id is not None and not wanted.subtree
            tree = {} if one or not any(each.inherited for each in found) else sql.children_of_all(tx)
        inside = {wanted.target_id, *_below(wanted.target_id or "", tree)}
        seen: dict[Assignment, Assignment] = {}
        for direct in found:
            actors = [direct.actor_id] if direct.actor_type == "user" else people.get(direct.actor_id, [])
            targets = [direct.target_id]
            if direct.inherited:
                targets = [wanted.target_id] if one else list(_below(direct.target_id, tree))
                targets = (
                    targets if wanted.target_id is None else [each for each in targets if each in inside]
                )
            kind = "project" if direct.inherited else direct.target_type
            for role in sorted(known.implied[direct.role_id] & known.names.keys()):
                for target, actor in product(targets, actors):
                    seen.setdefault(Assignment("user", actor, kind, target, role, direct.inherited), direct)
        return [
            Effective(each, direct)
            for each, direct in seen.items()
            if wanted.user_id in (None, each.actor_id) and wanted.role_id in (None, each.role_id)
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
        """Raises Forbidden for a domain's own role outside of it, too."""
        self._ends_exist(tx, wanted)
        role = self._get(tx, roles, wanted.role_id, "role")
        if role.domain_id != ROOT and role.domain_id != self._domain_of(tx, wanted):
            raise Forbidden(
                f"The role {role.id} is the domain {role.domain_id}'s own: it can be given in it only."
            )

    def _ends_exist(self, tx: Tx, wanted: Assignment) -> None:
        self._get(tx, _ACTORS[wanted.actor_type], wanted.actor_id, wanted.actor_type)
        if wanted.target_type != "system":
            is_domain = wanted.target_type == "domain"
            self._get(tx, projects, wanted.target_id, wanted.target_type, is_domain=is_domain)

    def _domain_of(self, tx: Tx, wanted: Assignment) -> str | None:
        """The one that the target is, or is in."""
        row = store.get(tx, projects, wanted.target_id)
        return row and (row.domain_id or row.id)

    def _may_give(self, tx: Tx, context: Context, wanted: Assignment) -> None:
        """Administrators give anything; the manager of a domain a few roles, in it, to those in it."""
        self._in_reach(tx, context, wanted, context.managed_domain, everything=context.is_admin)
        role = store.get(tx, roles, wanted.role_id)
        if not context.is_admin and (role.domain_id != ROOT or role.name not in MANAGED):
            raise Forbidden(f"Only administrators give the role {role.name}.")

    def _in_reach(
        self,
        tx: Tx,
        context: Context,
        wanted: Assignment,
        domain_id: str | None,
        everything: bool | None = None,
    ) -> None:
        """Raises Forbidden unless both ends are in the domain, or the caller is concerned with everything."""
        if context.is_auditor if everything is None else everything:
            return
        actor = store.get(tx, _ACTORS[wanted.actor_type], wanted.actor_id)
        if domain_id is None or actor.domain_id != domain_id or self._domain_of(tx, wanted) != domain_id:
            raise forbidden("identity:list_grants" if everything is None else "identity:create_grant")


def _below(project_id: str, below: Mapping[str, list[str]]) -> Iterator[str]:
    for child in below.get(project_id, ()):
        yield child
        yield from _below(child, below)


def _not_assigned(wanted: Assignment) -> NotFound:
    return NotFound(
        f"Could not find role assignment with role: {wanted.role_id}, {wanted.actor_type}: "
        f"{wanted.actor_id}, {wanted.target_type}: {wanted.target_id}."
    )
