"""Placement: which host has room, and who holds what. All of it inside the caller's transaction."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Database, Tx
from pilvi.faults import Conflict, NotFound
from pilvi.placement import store
from pilvi.placement.store import DISK_GB, MEMORY_MB, VCPU

WORDS = {VCPU: "VCPUs", MEMORY_MB: "MiB of memory", DISK_GB: "GiB of disk"}
NAMES = {VCPU: "vcpus", MEMORY_MB: "memory_mib", DISK_GB: "disk_gib"}


class NoValidHost(Conflict):
    """No host has room, or is the right one; the message has each host's reason."""


class Placement:
    def __init__(self, db: Database):
        self.db = db

    def ensure_host(
        self,
        tx: Tx,
        host: str,
        *,
        vcpus: int,
        memory_mib: int,
        disk_gib: int,
        cpu_ratio: float = 1.0,
        memory_ratio: float = 1.0,
        disk_ratio: float = 1.0,
        reserved_memory_mib: int = 0,
    ) -> None:
        """What a host has, of which (total - reserved) * ratio may be taken."""
        store.ensure_provider(tx, host, str(uuid.uuid5(uuid.NAMESPACE_DNS, host)))
        changed = [
            store.save_inventory(tx, host, VCPU, vcpus, 0, cpu_ratio),
            store.save_inventory(
                tx, host, MEMORY_MB, memory_mib, min(reserved_memory_mib, memory_mib), memory_ratio
            ),
            store.save_inventory(tx, host, DISK_GB, disk_gib, 0, disk_ratio),
        ]
        if any(changed):
            store.count_generation(tx, host)

    def remove_host(self, tx: Tx, host: str) -> None:
        """Raises Conflict while somebody holds some of what it has."""
        tx.lock("placement")
        if held := store.allocations_on(tx, host):
            raise Conflict(f"Host {host} cannot be removed: {held[0].consumer_id} and maybe others hold some of it.")
        store.remove_provider(tx, host)

    def claim(
        self,
        tx: Tx,
        consumer_id: str,
        *,
        vcpus: int,
        memory_mib: int,
        disk_gib: int,
        hosts: Sequence[str],
        ranks: Mapping[str, int] | None = None,
        project_id: str = "",
        user_id: str = "",
    ) -> str:
        """Takes this much on one of the hosts, the one with most room first, and returns its name.

        `project_id`, `user_id`: whose it is. `ranks`: a host of a lower rank comes before all of a higher one,
        however full it is.
        Raises NoValidHost with each host's reason when none has room; then nothing is taken."""
        amounts = {
            name: amount
            for name, amount in ((VCPU, vcpus), (MEMORY_MB, memory_mib), (DISK_GB, disk_gib))
            if amount
        }
        tx.lock(
            "placement"
        )  # or two that try several hosts in another order would wait for each other for ever
        rows: dict[str, dict[str, sa.Row]] = defaultdict(dict)
        for row in store.inventories_of(tx, hosts):
            rows[row.host][row.resource_class] = row
        reasons = [f"host {host}: it has not said what it has" for host in hosts if host not in rows]
        order = ranks or {}
        for host in sorted(rows, key=lambda host: (order.get(host, 0), _load(rows[host], amounts))):
            lacking = store.take(tx, host, amounts)
            if not lacking:
                store.note(tx, consumer_id, host, amounts, project_id, user_id)
                return host
            reasons += [f"host {host}: {_lack(rows[host], name, amounts[name])}" for name in lacking]
        raise NoValidHost(f"No valid host was found. {'; '.join(sorted(reasons)) or 'There are no hosts.'}")

    def release(self, tx: Tx, consumer_id: str) -> None:
        """Gives back what a consumer holds; one that holds nothing is fine."""
        tx.lock("placement")
        held: dict[str, dict[str, int]] = defaultdict(dict)
        for row in store.forget(tx, consumer_id):
            held[row.host][row.resource_class] = row.used
        for host, amounts in held.items():
            store.give_back(tx, host, amounts)

    def hand_over(self, tx: Tx, consumer_id: str, to: str) -> None:
        """From now on it is `to`, which held nothing, that holds what the consumer held."""
        tx.lock("placement")
        store.hand_over(tx, consumer_id, to)

    def allocations(self, tx: Tx, consumer_id: str) -> dict[str, Any]:
        """{"host": ..., "resources": {class: amount}}, empty for one that holds nothing."""
        rows = store.allocations_of(tx, consumer_id)
        if not rows:
            return {}
        return {"host": rows[0].host, "resources": {row.resource_class: row.used for row in rows}}

    def usage(self, tx: Tx) -> list[dict[str, Any]]:
        """Each host with what it has, vcpus, memory_mib, disk_gib, and what is used of that: ..._used."""
        found: dict[str, dict[str, Any]] = {}
        for row in store.inventories_of(tx):
            host = found.setdefault(row.host, {"host": row.host})
            host[NAMES[row.resource_class]] = row.total
            host[NAMES[row.resource_class] + "_used"] = row.used
        return list(found.values())

    # -- the HTTP API's views

    def providers(
        self, name: str | None = None, uuids: Sequence[str] = (), resources: Mapping[str, int] | None = None
    ) -> Sequence[sa.Row]:
        """Those of this name, with all of these ids, and with room for this much."""
        with self.db.read() as tx:
            free = {
                (row.host, row.resource_class): _capacity(row) - row.used for row in store.inventories_of(tx)
            }
            return [
                row
                for row in store.providers_all(tx)
                if name in (None, row.host)
                and all(row.uuid == uuid for uuid in uuids)
                and all(free.get((row.host, each), 0) >= amount for each, amount in (resources or {}).items())
            ]

    def provider(self, uuid: str) -> tuple[sa.Row, Sequence[sa.Row], Sequence[sa.Row]]:
        """A resource provider, its inventories and its allocations. Raises NotFound."""
        with self.db.read() as tx:
            row = store.provider(tx, uuid)
            if row is None:
                raise NotFound(f"No resource provider with uuid {uuid} found")
            return row, store.inventories_of(tx, [row.host]), store.allocations_on(tx, row.host)

    def used_by(self, project_id: str, user_id: str | None = None) -> tuple[dict[str, int], int]:
        """(what the consumers of a project hold of each resource class, how many they are)"""
        with self.db.read() as tx:
            rows = store.allocations_by(tx, project_id, user_id)
        sums: dict[str, int] = defaultdict(int)
        for row in rows:
            sums[row.resource_class] += row.used
        return dict(sums), len({row.consumer_id for row in rows})

    def candidates(self, resources: Mapping[str, int], limit: int | None) -> list[tuple[sa.Row, list[sa.Row]]]:
        """Providers that have room for this much, each with its inventories; the emptiest comes first."""
        with self.db.read() as tx:
            inventories: dict[str, dict[str, sa.Row]] = defaultdict(dict)
            for row in store.inventories_of(tx):
                inventories[row.host][row.resource_class] = row
            found = [row for row in store.providers_all(tx)
                     if all(name in inventories[row.host]
                            and _capacity(inventories[row.host][name]) - inventories[row.host][name].used >= amount
                            for name, amount in resources.items())]
        found.sort(key=lambda row: _load(inventories[row.host], dict(resources)))
        return [(row, list(inventories[row.host].values())) for row in found[:limit]]

    def consumer(self, consumer_id: str) -> tuple[Sequence[sa.Row], dict[str, sa.Row]]:
        """A consumer's allocations, and the providers by host."""
        with self.db.read() as tx:
            return store.allocations_of(tx, consumer_id), {row.host: row for row in store.providers_all(tx)}


def _capacity(row: sa.Row) -> float:
    return (row.total - row.reserved) * row.ratio


def _load(rows: dict[str, sa.Row], amounts: dict[str, int]) -> float:
    """How full the fullest of its resources would be."""
    return max(
        (rows[name].used + amount) / (_capacity(rows[name]) or 1e-9)
        for name, amount in amounts.items()
        if name in rows
    )


def _lack(rows: dict[str, sa.Row], name: str, amount: int) -> str:
    free = max(0, int(_capacity(rows[name]) - rows[name].used)) if name in rows else 0
    return f"{amount} {WORDS[name]} wanted, {free} free"
