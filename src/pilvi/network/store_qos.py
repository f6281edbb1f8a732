"""SQL about quality of service: policies, their rules, and who has which."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.network import store
from pilvi.network.tables import (
    floatingips,
    networks,
    ports,
    qos_bandwidth_limit_rules,
    qos_dscp_marking_rules,
    qos_policies,
    routers,
)

# What can have a policy, by what faults call it.
USERS = {
    "network": networks.c.qos_policy_id,
    "port": ports.c.qos_policy_id,
    "floatingip": floatingips.c.qos_policy_id,
    "router": routers.c.qos_policy_id,
}


def users_of(tx: Tx, policy_id: str) -> dict[str, list[str]]:
    """What has the policy: ids by their kinds; no kind of which nothing has it."""
    found = {
        kind: [row[0] for row in tx.all(sa.select(column.table.c.id).where(column == policy_id))]
        for kind, column in USERS.items()
    }
    return {kind: ids for kind, ids in found.items() if ids}


def projects_using(policy_id: str) -> sa.CompoundSelect:
    """The projects of what has the policy."""
    return sa.union(*(sa.select(one.table.c.project_id).where(one == policy_id) for one in USERS.values()))


def default_of(tx: Tx, project_id: str) -> str | None:
    return tx.scalar(sa.select(qos_policies.c.id).where(qos_policies.c.default_of == project_id))


def rules(tx: Tx, table: sa.Table, policy_ids: Collection[str]) -> list[sa.Row]:
    return [
        row
        for part in store.chunks(policy_ids)
        for row in tx.all(sa.select(table).where(table.c.policy_id.in_(part)).order_by(table.c.created_at, table.c.id))
    ]


def delete_rules(tx: Tx, policy_id: str) -> None:
    for table in (qos_bandwidth_limit_rules, qos_dscp_marking_rules):
        tx.execute(table.delete().where(table.c.policy_id == policy_id))


def policies_of_networks(tx: Tx, network_ids: Collection[str]) -> dict[str, str]:
    """The policies of those networks that have one."""
    rows = store.given_to_ports(tx, network_ids).values()
    return {row.id: row.qos_policy_id for row in rows if row.qos_policy_id is not None}


# -- for the logical network


def limits(tx: Tx) -> list[sa.Row]:
    return list(tx.all(sa.select(qos_bandwidth_limit_rules)))


def marks(tx: Tx) -> list[sa.Row]:
    return list(tx.all(sa.select(qos_dscp_marking_rules)))
