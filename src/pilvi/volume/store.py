"""All SQL of Volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.policy import Context
from pilvi.volume.tables import (
    attachments,
    backups,
    default_types,
    groups,
    services,
    snapshots,
    type_access,
    types,
    volumes,
)

GONE = ("error_deleting",)


def owned(context: Context, table: sa.Table, everybody: bool = True) -> sa.ColumnElement[bool]:
    """The caller's project's things; an administrator's are all, unless only its project's are wanted."""
    if context.is_admin and everybody:
        return sa.true()
    return table.c.project_id == context.project_id


def get(tx: Tx, table: sa.Table, key: str, *where: sa.ColumnElement[bool]) -> sa.Row | None:
    return tx.one(sa.select(table).where(table.c.id == key, *where))


def find(tx: Tx, table: sa.Table, **values: Any) -> sa.Row | None:
    return tx.one(sa.select(table).where(*(table.c[name] == value for name, value in values.items())))


def listing(tx: Tx, table: sa.Table, *where: sa.ColumnElement[bool]) -> Sequence[sa.Row]:
    order = [table.c.seq] if "seq" in table.c else []
    return tx.all(sa.select(table).where(*where).order_by(*order))


def by_ids(tx: Tx, table: sa.Table, ids: Iterable[str | None]) -> dict[str, sa.Row]:
    wanted = {each for each in ids if each}
    return {row.id: row for row in tx.all(sa.select(table).where(table.c.id.in_(wanted)))} if wanted else {}


def chain(tx: Tx, backup: sa.Row | None) -> list[str]:
    """A backup's file in the vault, and those that this is based on."""
    found = []
    while backup is not None:
        found.append(backup.file)
        backup = get(tx, backups, backup.parent_id) if backup.parent_id else None
    return found


def insert(tx: Tx, table: sa.Table, values: Mapping[str, Any]) -> sa.Row:
    tx.execute(table.insert(), dict(values))
    row = get(tx, table, values["id"])
    assert row is not None
    return row


def update(tx: Tx, table: sa.Table, key: str, **values: Any) -> sa.Row | None:
    if "updated_at" in table.c:
        values.setdefault("updated_at", tx.now)
    tx.execute(table.update().where(table.c.id == key).values(**values))
    return get(tx, table, key)


def switch(tx: Tx, table: sa.Table, key: str, statuses: Iterable[str], status: str, **values: Any) -> bool:
    """From one of these statuses to another, if it is in one of them; says whether it was."""
    if "updated_at" in table.c:
        values.setdefault("updated_at", tx.now)
    return bool(tx.execute(table.update().where(table.c.id == key, table.c.status.in_(list(statuses)))
                           .values(status=status, **values)).rowcount)


def delete(tx: Tx, table: sa.Table, key: str) -> bool:
    return bool(tx.execute(table.delete().where(table.c.id == key)).rowcount)


def count(tx: Tx, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return tx.scalar(sa.select(sa.func.count()).select_from(table).where(*where))


# -- attachments


def attachments_of(tx: Tx, volume_ids: Sequence[str]) -> dict[str, list[sa.Row]]:
    found: dict[str, list[sa.Row]] = defaultdict(list)
    if volume_ids:
        for row in tx.all(sa.select(attachments).where(attachments.c.volume_id.in_(volume_ids))
                          .order_by(attachments.c.seq)):
            found[row.volume_id].append(row)
    return found


# -- types


def usable_types(context: Context) -> sa.ColumnElement[bool]:
    if context.is_admin:
        return sa.true()
    shared = sa.select(1).where(type_access.c.type_id == types.c.id, type_access.c.project_id == context.project_id)
    return sa.or_(types.c.is_public, shared.exists())


def default_type(tx: Tx, project_id: str | None) -> sa.Row | None:
    return tx.one(sa.select(types).join(default_types, default_types.c.type_id == types.c.id)
                  .where(default_types.c.project_id == project_id))


# -- what a project has


def usage(tx: Tx, project_id: str) -> dict[str, int]:
    """By resource; also `volumes_TYPE`, `gigabytes_TYPE` and `snapshots_TYPE` of the types in use."""
    found: dict[str, int] = defaultdict(int)
    names = dict(tx.all(sa.select(types.c.id, types.c.name)))
    for table, noun in ((volumes, "volumes"), (snapshots, "snapshots")):
        for type_id, number, size in tx.all(
                sa.select(table.c.type_id, sa.func.count(), sa.func.sum(table.c.size))
                .where(table.c.project_id == project_id).group_by(table.c.type_id)):
            found[noun] += number
            found["gigabytes"] += int(size)
            if type_id in names:
                found[f"{noun}_{names[type_id]}"] += number
                found[f"gigabytes_{names[type_id]}"] += int(size)
    number, size = tx.one(sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(backups.c.size), 0))
                          .where(backups.c.project_id == project_id))
    found["backups"], found["backup_gigabytes"] = number, int(size)
    found["groups"] = count(tx, groups, groups.c.project_id == project_id)
    return found


def host_usage(tx: Tx, host: str, backend: str | None) -> list[tuple[str, int, int, int, int]]:
    """By project: volumes, their GiB, snapshots, their GiB."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for project, number, size in tx.all(
            sa.select(volumes.c.project_id, sa.func.count(), sa.func.sum(volumes.c.size))
            .where(volumes.c.host == host, volumes.c.backend == backend).group_by(volumes.c.project_id)):
        found[project][:2] = number, int(size)
    for project, number, size in tx.all(
            sa.select(snapshots.c.project_id, sa.func.count(), sa.func.sum(snapshots.c.size))
            .join(volumes, volumes.c.id == snapshots.c.volume_id)
            .where(volumes.c.host == host, volumes.c.backend == backend)
            .group_by(snapshots.c.project_id)):
        found[project][2:] = number, int(size)
    return [(project, *numbers) for project, numbers in sorted(found.items())]


def summary(tx: Tx, where: sa.ColumnElement[bool]) -> tuple[int, int, list[dict[str, str]]]:
    rows = tx.all(sa.select(volumes.c.size, volumes.c.metadata).where(where))
    return len(rows), sum(row.size for row in rows), [row.metadata for row in rows]


def service(tx: Tx, host: str, binary: str) -> sa.Row | None:
    return tx.one(sa.select(services).where(services.c.host == host, services.c.binary == binary))


def set_service(tx: Tx, host: str, binary: str, **values: Any) -> None:
    where = (services.c.host == host, services.c.binary == binary)
    if not tx.execute(services.update().where(*where).values(**values)).rowcount:
        fresh = {"disabled": False, "disabled_reason": None, "frozen": False}
        tx.execute(services.insert(), {"host": host, "binary": binary, **fresh, **values})
