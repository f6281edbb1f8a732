"""SQL of host aggregates and server groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.compute.tables import servers
from pilvi.compute.tables_aggregates import aggregate_hosts, aggregates, server_groups
from pilvi.db import Tx

A, H, G, S = aggregates.c, aggregate_hosts.c, server_groups.c, servers.c

# -- aggregates


def insert_aggregate(tx: Tx, **values: Any) -> int:
    return tx.scalar(aggregates.insert().values(created_at=tx.now, **values).returning(A.id))


def aggregate(tx: Tx, aggregate_id: int) -> sa.Row | None:
    return tx.one(sa.select(aggregates).where(A.id == aggregate_id))


def aggregate_named(tx: Tx, name: str) -> sa.Row | None:
    return tx.one(sa.select(aggregates).where(A.name == name))


def all_aggregates(tx: Tx) -> Sequence[sa.Row]:
    return tx.all(sa.select(aggregates).order_by(A.id))


def update_aggregate(tx: Tx, aggregate_id: int, **values: Any) -> None:
    tx.execute(aggregates.update().where(A.id == aggregate_id).values(updated_at=tx.now, **values))


def delete_aggregate(tx: Tx, aggregate_id: int) -> None:
    tx.execute(aggregates.delete().where(A.id == aggregate_id))


def hosts_by_aggregate(tx: Tx) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for aggregate_id, host in tx.all(sa.select(H.aggregate_id, H.host).order_by(H.host)):
        found.setdefault(aggregate_id, []).append(host)
    return found


def add_aggregate_host(tx: Tx, aggregate_id: int, host: str) -> None:
    tx.execute(aggregate_hosts.insert(), {"aggregate_id": aggregate_id, "host": host})


def remove_aggregate_host(tx: Tx, aggregate_id: int, host: str) -> bool:
    return bool(tx.execute(aggregate_hosts.delete().where(H.aggregate_id == aggregate_id, H.host == host)).rowcount)


def remove_host(tx: Tx, host: str) -> None:
    """From all aggregates."""
    tx.execute(aggregate_hosts.delete().where(H.host == host))


_METADATA_BY_HOST = sa.select(H.host, A.metadata).where(A.id == H.aggregate_id).order_by(A.id)


def metadata_by_host(tx: Tx) -> dict[str, list[Mapping[str, str]]]:
    """The metadata of all aggregates that each host is in; hosts in none are not there."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for host, metadata in tx.all(_METADATA_BY_HOST):
        found.setdefault(host, []).append(metadata)
    return found


# -- server groups


def insert_group(tx: Tx, **values: Any) -> None:
    tx.execute(server_groups.insert(), {"seq": tx.now, **values})


def group(tx: Tx, group_id: str) -> sa.Row | None:
    return tx.one(sa.select(server_groups).where(G.id == group_id))


def select_groups(tx: Tx, project_id: str | None, *, offset: int = 0, limit: int | None = None) -> Sequence[sa.Row]:
    """In the order in which they were made; None: every project's."""
    owner = [G.project_id == project_id] if project_id is not None else []
    return tx.all(sa.select(server_groups).where(*owner).order_by(G.seq, G.id).offset(offset).limit(limit))


def count_groups(tx: Tx, project_id: str, user_id: str | None = None) -> int:
    """Those of a project, or those of them that one user made."""
    owner = [G.user_id == user_id] if user_id is not None else []
    return tx.scalar(sa.select(sa.func.count()).select_from(server_groups).where(G.project_id == project_id, *owner))


def delete_group(tx: Tx, group_id: str) -> None:
    """Its servers stay, in no group."""
    tx.execute(server_groups.delete().where(G.id == group_id))
    tx.execute(servers.update().where(S.server_group_id == group_id).values(server_group_id=None))


_MEMBERS = (
    sa.select(S.server_group_id, S.id, S.host, S.user_id)
    .where(S.server_group_id.in_(sa.bindparam("groups", expanding=True)), S.deleted_at.is_(None))
    .order_by(S.seq)
)


def members(tx: Tx, group_ids: Sequence[str]) -> dict[str, list[sa.Row]]:
    """The servers (id, host, user_id) of each of these groups."""
    found: dict[str, list[sa.Row]] = {group_id: [] for group_id in group_ids}
    for row in tx.all(_MEMBERS, {"groups": list(group_ids)}) if group_ids else ():
        found[row.server_group_id].append(row)
    return found


def hosts_of_servers(tx: Tx, server_ids: Sequence[str], project_id: str | None) -> set[str]:
    """The hosts of these servers, as far as they are this project's (None: anybody's)."""
    owner = [S.project_id == project_id] if project_id is not None else []
    return {row.host for row in tx.all(sa.select(S.host).where(
        S.id.in_(server_ids), S.host.is_not(None), S.deleted_at.is_(None), *owner))}
