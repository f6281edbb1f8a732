"""SQL of assignments: who was given which role where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.identity import store
from pilvi.identity.tables import ROOT, assignments, inherited_assignments, members, projects, roles


class Assignment(NamedTuple):
    actor_type: str  # user | group
    actor_id: str
    target_type: str  # project | domain | system
    target_id: str
    role_id: str
    inherited: bool = False  # by all projects below the target, and not by it itself

    @property
    def table(self) -> sa.Table:
        return inherited_assignments if self.inherited else assignments

    def columns(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = Assignment._fields[:5]


class Wanted(NamedTuple):
    """Which assignments to list; None: whichever."""

    user_id: str | None = None
    group_id: str | None = None
    role_id: str | None = None
    target_type: str | None = None
    target_id: str | None = None
    inherited: bool = False  # only those that are
    effective: bool = False  # as they work: users instead of groups, projects below instead of those above
    subtree: bool = False  # of the target project as well
    domain_id: str | None = None  # only what is in this domain


def is_assigned(tx: Tx, wanted: Assignment) -> bool:
    return tx.one(sa.select(wanted.table.c.role_id).where(_is(wanted))) is not None


def assign(tx: Tx, wanted: Assignment) -> None:
    store.ensure(tx, wanted.table, **wanted.columns())


def unassign(tx: Tx, wanted: Assignment) -> bool:
    return bool(tx.execute(wanted.table.delete().where(_is(wanted))).rowcount)


def _is(wanted: Assignment) -> sa.ColumnElement:
    return sa.and_(*(wanted.table.c[name] == value for name, value in wanted.columns().items()))


def assigned_roles(tx: Tx, ends: Assignment) -> Sequence[sa.Row]:
    """The roles of one actor at one target, whatever role `ends` names."""
    table = ends.table
    fits = (table.c[name] == value for name, value in ends.columns().items() if name != "role_id")
    return store.listing(tx, roles, [roles.c.id.in_(sa.select(table.c.role_id).where(*fits))])


def assigned(tx: Tx, wanted: Wanted) -> list[Assignment]:
    """What was assigned; for effective ones, all that have an effect on what is asked about."""
    tables = (inherited_assignments,) if wanted.inherited else (assignments, inherited_assignments)
    parts = [
        sa.select(
            *(table.c[name] for name in COLUMNS),
            sa.literal(table is inherited_assignments).label("inherited"),
        ).where(*_conditions(table, wanted))
        for table in tables
    ]
    order = [sa.column(name) for name in COLUMNS]
    statement = parts[0] if len(parts) == 1 else sa.union_all(*parts)
    return [Assignment(*row[:5], inherited=bool(row[5])) for row in tx.all(statement.order_by(*order))]


def _conditions(table: sa.Table, wanted: Wanted) -> list[sa.ColumnElement]:
    found: list[sa.ColumnElement] = []
    if wanted.user_id is not None and wanted.effective:
        found.append(store.is_actor(wanted.user_id, table))
    elif wanted.user_id is not None:
        found += [table.c.actor_type == "user", table.c.actor_id == wanted.user_id]
    if wanted.group_id is not None:
        found += [table.c.actor_type == "group", table.c.actor_id == wanted.group_id]
    if wanted.role_id is not None and not wanted.effective:
        found.append(table.c.role_id == wanted.role_id)
    if wanted.target_id is not None:
        found.append(_at(table, wanted, wanted.target_id))
    if wanted.domain_id is not None:
        inside = sa.select(projects.c.id).where(projects.c.domain_id == wanted.domain_id)
        found.append((table.c.target_id == wanted.domain_id) | table.c.target_id.in_(inside))
    return found


def _at(table: sa.Table, wanted: Wanted, target_id: str) -> sa.ColumnElement:
    """At the target, below it where its subtree is asked for, above it where that has an effect on it."""
    there = (table.c.target_type == wanted.target_type) & (table.c.target_id == target_id)
    inherited = table is inherited_assignments
    if wanted.target_type != "project":
        return sa.false() if wanted.effective and inherited else there
    if wanted.effective and inherited:
        there = table.c.target_id.in_(store.above(target_id))
        if wanted.subtree:  # what a project in between is given, those below it have
            there |= table.c.target_id == target_id
    if wanted.subtree:
        there |= table.c.target_id.in_(store.below([target_id]))
    return there


def is_admin_beyond(tx: Tx, actor_type: str, actor_id: str, domain_id: str | None) -> bool:
    """Is the user (or group) administrator of more than this domain?"""
    admin = sa.select(roles.c.id).where(roles.c.name == "admin", roles.c.domain_id == ROOT)
    for table in (assignments, inherited_assignments):
        actor = (table.c.actor_type == actor_type) & (table.c.actor_id == actor_id)
        if actor_type == "user":
            actor = store.is_actor(actor_id, table)
        wanted = sa.select(table.c.role_id).where(actor, table.c.role_id.in_(admin))
        if table is assignments:
            wanted = wanted.where((table.c.target_type != "domain") | (table.c.target_id != domain_id))
        if tx.one(wanted) is not None:
            return True
    return False


def memberships(tx: Tx, group_ids: Iterable[str]) -> dict[str, list[str]]:
    """The users of each of these groups."""
    found: dict[str, list[str]] = {}
    wanted = sa.select(members).where(members.c.group_id.in_(set(group_ids))).order_by(members.c.user_id)
    for row in tx.all(wanted):
        found.setdefault(row.group_id, []).append(row.user_id)
    return found


def children_of_all(tx: Tx) -> dict[str, list[str]]:
    """The projects right below each project and domain."""
    found: dict[str, list[str]] = {}
    pairs = sa.select(projects.c.id, projects.c.parent_id).where(projects.c.parent_id.is_not(None))
    for row in tx.all(pairs.order_by(projects.c.id)):
        found.setdefault(row.parent_id, []).append(row.id)
    return found
