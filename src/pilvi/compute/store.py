"""All SQL of Compute's API half; what operations and reconcilers need besides is in `store_running`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.compute.tables import hosts, servers
from pilvi.db import Tx

# -- servers

_SERVER = sa.select(servers).where(servers.c.id == sa.bindparam("id"))
_SERVER_ALIVE = _SERVER.where(servers.c.deleted_at.is_(None))


def server(tx: Tx, server_id: str, *, deleted: bool = False) -> sa.Row | None:
    """One server, whoever it belongs to; one that is gone only where `deleted`."""
    return tx.one(_SERVER if deleted else _SERVER_ALIVE, {"id": server_id})


def insert_servers(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    tx.execute(servers.insert(), rows)


def update_server(tx: Tx, server_id: str, **values: Any) -> bool:
    """Writes columns of a server; False when there is none."""
    return bool(tx.execute(servers.update().where(servers.c.id == server_id)
                           .values({"updated_at": tx.now, **values})).rowcount)


def transition(tx: Tx, server_id: str, vm_states: Sequence[str] | None, task_states: Sequence[str | None] | None,
               **values: Any) -> int | None:
    """Writes columns and counts `generation` up, if the server is in one of these states (None: in any).

    Returns the new generation; None where it is not in such a state, or gone. Two requests cannot both win."""
    conditions = [servers.c.id == server_id, servers.c.deleted_at.is_(None)]
    if vm_states is not None:
        conditions.append(servers.c.vm_state.in_(vm_states))
    if task_states is not None:
        named = [state for state in task_states if state is not None]
        idle = [servers.c.task_state.is_(None)] if None in task_states else []
        conditions.append(sa.or_(servers.c.task_state.in_(named), *idle))
    return tx.scalar(servers.update().where(*conditions)
                     .values({"updated_at": tx.now, "generation": servers.c.generation + 1, **values})
                     .returning(servers.c.generation))


# -- hosts


def host(tx: Tx, name: str) -> sa.Row | None:
    return tx.one(sa.select(hosts).where(hosts.c.name == name))


def all_hosts(tx: Tx) -> Sequence[sa.Row]:
    return tx.all(sa.select(hosts).order_by(hosts.c.number))


def save_host(tx: Tx, name: str, ids: Any, **values: Any) -> None:
    """Writes columns of a host, which is made if it is new (with two ids of `ids.uuid()`)."""
    if not tx.execute(hosts.update().where(hosts.c.name == name).values({"updated_at": tx.now, **values})).rowcount:
        tx.execute(hosts.insert(), {"name": name, "id": ids.uuid(), "service_id": ids.uuid(), "created_at": tx.now,
                                    "updated_at": tx.now, "seen_at": tx.now, **values})
