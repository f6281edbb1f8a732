"""SQL of migrations: changes of a server's host or flavor, each with what it was and is to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.compute.tables import migrations
from pilvi.db import Tx

M = migrations.c

RESIZE, COLD, LIVE, EVACUATION = "resize", "migration", "live-migration", "evacuation"
# What a server in VERIFY_RESIZE (or on its way out of it) has; while there is one, two claims are held.
UNDECIDED = ("migrating", "finished", "confirming", "reverting")
LIVE_IN_PROGRESS = ("queued", "preparing", "running", "post-migrating")


def insert(tx: Tx, **values: Any) -> None:
    tx.execute(migrations.insert(), {"created_at": tx.now, "updated_at": tx.now, **values})


def update(tx: Tx, uuid: str, **values: Any) -> None:
    tx.execute(migrations.update().where(M.uuid == uuid).values({"updated_at": tx.now, **values}))


def get(tx: Tx, uuid: str) -> sa.Row | None:
    return tx.one(sa.select(migrations).where(M.uuid == uuid))


_UNDECIDED = sa.select(migrations).where(
    M.server_id == sa.bindparam("server"), M.type.in_((RESIZE, COLD)), M.status.in_(UNDECIDED)).order_by(M.id.desc())


def undecided(tx: Tx, server_id: str) -> sa.Row | None:
    """The resize or cold migration of a server that is neither confirmed nor reverted."""
    return tx.one(_UNDECIDED, {"server": server_id})


def of_server(tx: Tx, server_id: str, statuses: Sequence[str] | None = None,
              types: Sequence[str] | None = None) -> Sequence[sa.Row]:
    conditions = [M.server_id == server_id]
    if statuses is not None:
        conditions.append(M.status.in_(statuses))
    if types is not None:
        conditions.append(M.type.in_(types))
    return tx.all(sa.select(migrations).where(*conditions).order_by(M.id))


def servers_at(tx: Tx, host: str) -> frozenset[str]:
    """Servers that may still have something on this host, or have it already, since they move."""
    live = sa.and_(M.type == LIVE, M.status.in_(LIVE_IN_PROGRESS))
    moved = sa.and_(M.type.in_((RESIZE, COLD)), M.status.in_(UNDECIDED))
    left = sa.and_(M.type == EVACUATION, M.status == "done")
    return frozenset(row.server_id for row in tx.all(sa.select(M.server_id).where(
        sa.or_(live, moved, left), sa.or_(M.source_host == host, M.dest_host == host))))


def numbered(tx: Tx, server_id: str, number: int) -> sa.Row | None:
    return tx.one(sa.select(migrations).where(M.server_id == server_id, M.id == number))


def finished_before(tx: Tx, moment: int) -> Sequence[sa.Row]:
    """Resizes that have waited for a word since before this moment."""
    return tx.all(sa.select(migrations).where(
        M.type.in_((RESIZE, COLD)), M.status == "finished", M.updated_at < moment))


def evacuated_from(tx: Tx, host: str) -> Sequence[sa.Row]:
    """Evacuations whose old guests this host may still have."""
    return tx.all(sa.select(migrations).where(
        M.type == EVACUATION, M.status == "done", M.source_host == host))


def forget(tx: Tx, before: int) -> None:
    """Deletes what has come to its end before this moment."""
    tx.execute(migrations.delete().where(
        M.updated_at < before, M.status.in_(("confirmed", "reverted", "completed", "cancelled", "error"))))


class MigrationQuery(msgspec.Struct):
    """What to list. Times are microseconds, both ends included."""

    equal: dict[str, Any] = {}  # column: value
    project_id: str | None = None
    project_id: str | None = None
    host: str | None = None  # source or destination
    since: int | None = None
    until: int | None = None
    marker: str | None = None  # the uuid of the last one seen
    limit: int | None = None


class UnknownMarker(LookupError):
    """The page is to begin after a migration that there is not."""


def select(tx: Tx, query: MigrationQuery) -> Sequence[sa.Row]:
    """Newest first. Raises UnknownMarker."""
    conditions = [M[name] == value for name, value in query.equal.items()]
    if query.project_id is not None:
        conditions.append(M.project_id == query.project_id)
    if query.project_id is not None:
        conditions.append(M.project_id == query.project_id)
    if query.host is not None:
        conditions.append(sa.or_(M.source_host == query.host, M.dest_host == query.host))
    if query.since is not None:
        conditions.append(M.updated_at >= query.since)
    if query.until is not None:
        conditions.append(M.updated_at <= query.until)
    if query.marker is not None:
        found = get(tx, query.marker)
        if found is None:
            raise UnknownMarker(query.marker)
        conditions.append(M.id < found.id)
    return tx.all(sa.select(migrations).where(*conditions).order_by(M.id.desc()).limit(query.limit))
