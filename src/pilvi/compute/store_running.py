"""SQL of Compute's operations and reconcilers."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.compute.tables import servers
from pilvi.db import Tx

S = servers.c

_SPEC = sa.select(
    S.id,
    S.name,
    S.hostname,
    S.host,
    S.flavor,
    S.image_id,
    S.config_drive,
    S.image_properties,
    S.volumes,
    S.local_disks,
    S.generation,
    S.project_id,
    S.user_id,
    S.vm_state,
    S.task_state,
).where(S.id == sa.bindparam("id"), S.deleted_at.is_(None))


def for_spec(tx: Tx, server_id: str) -> sa.Row | None:
    return tx.one(_SPEC, {"id": server_id})


@functools.cache
def _settle(names: tuple[str, ...]) -> sa.Update:
    return (
        servers.update()
        .where(
            S.id == sa.bindparam("the_id"),
            S.generation == sa.bindparam("the_generation"),
            S.deleted_at.is_(None),
        )
        .values({name: sa.bindparam(name) for name in names})
    )


def settle(tx: Tx, server_id: str, generation: int, **values: Any) -> bool:
    """Writes how an operation ended, unless a later order has been taken meanwhile: then that one will
    say."""
    values["updated_at"] = tx.now
    parameters = {"the_id": server_id, "the_generation": generation, **values}
    return bool(tx.execute(_settle(tuple(values)), parameters).rowcount)


def fault(tx: Tx, reason: str) -> dict[str, Any]:
    """What a server that failed shows."""
    return {"code": 500, "message": reason, "details": "", "created": tx.now}


_BURY = (
    servers.update()
    .where(S.id == sa.bindparam("the_id"), S.deleted_at.is_(None))
    .values(
        updated_at=sa.bindparam("now"),
        deleted_at=sa.bindparam("now"),
        terminated_at=sa.bindparam("now"),
        vm_state="deleted",
        task_state=None,
        power_state=0,
    )
)


def bury(tx: Tx, server_id: str) -> None:
    tx.execute(_BURY, {"the_id": server_id, "now": tx.now})


def on_host(tx: Tx, host: str) -> Sequence[sa.Row]:
    return tx.all(
        sa.select(S.id, S.vm_state, S.task_state, S.generation, S.host).where(
            S.host == host, S.deleted_at.is_(None)
        )
    )


def with_local_root(tx: Tx, host: str, vm_states: Collection[str]) -> frozenset[str]:
    """Servers in these states, at rest, that were made from an image on a disk of this host.

    One that was made from an image may boot from a volume all the same: the image may describe one."""
    rows = tx.all(sa.select(S.id, S.volumes).where(
        S.host == host, S.deleted_at.is_(None), S.task_state.is_(None), S.vm_state.in_(vm_states),
        S.image_id.is_not(None)))
    return frozenset(row.id for row in rows if all(each.get("boot_index") != 0 for each in row.volumes or ()))


def known(tx: Tx, server_ids: Collection[str]) -> dict[str, sa.Row]:
    """(id, host) of servers that there are."""
    rows = tx.all(sa.select(S.id, S.host).where(S.id.in_(server_ids), S.deleted_at.is_(None)))
    return {row.id: row for row in rows}


def owners(tx: Tx, server_ids: Sequence[str]) -> dict[str, sa.Row]:
    """(id, host, generation, deleted_at) of servers, also of those that are gone."""
    rows = tx.all(sa.select(S.id, S.host, S.generation, S.deleted_at).where(S.id.in_(server_ids)))
    return {row.id: row for row in rows}


def with_task(tx: Tx) -> Sequence[sa.Row]:
    return tx.all(
        sa.select(S.id, S.vm_state, S.task_state, S.generation, S.host).where(
            S.deleted_at.is_(None), sa.or_(S.task_state.is_not(None), S.vm_state == "building")
        )
    )


def forget_deleted(tx: Tx, before: int) -> int:
    return tx.execute(servers.delete().where(S.deleted_at < before)).rowcount
