"""How many addresses of a network are taken."""

from __future__ import annotations

from typing import Any

from pilvi.db import Tx
from pilvi.faults import NotFound
from pilvi.network import store, store_addresses
from pilvi.network.addresses import number
from pilvi.network.base import Base
from pilvi.network.nouns import NETWORK
from pilvi.policy import Context


class AvailabilityVerbs(Base):
    def ip_availabilities(self, wanted: dict[str, list[str]]) -> list[dict[str, Any]]:
        """Of networks with subnets; `wanted` filters by `network_id`, `network_name`, `project_id`, `ip_version`."""
        columns = NETWORK.table.c
        by = {
            "network_id": columns.id,
            "network_name": columns.name,
            "project_id": columns.project_id,
            "tenant_id": columns.project_id,
        }
        conditions = [by[name].in_(values) for name, values in wanted.items() if name in by]
        with self._db.read() as tx:
            rows = store.page(tx, NETWORK, conditions, [columns.id], None)
            return self._availabilities(tx, rows, wanted.get("ip_version", ["4", "6"]))

    def ip_availability(self, context: Context, network_id: str) -> dict[str, Any]:
        with self._db.read() as tx:
            found = self._availabilities(tx, [self._get(tx, NETWORK, context, network_id)], ["4", "6"])
            if not found:
                raise NotFound(f"Network {network_id} has no subnets.", kind="NetworkNotFound")
            return found[0]

    def _availabilities(self, tx: Tx, networks: list[Any], versions: list[str]) -> list[dict[str, Any]]:
        subnets = [
            row for row in store.subnets_of(tx, *(row.id for row in networks)) if str(row.ip_version) in versions
        ]
        used = store_addresses.used(tx, [row.id for row in subnets])
        found = []
        for network in networks:
            own = [
                {
                    "subnet_id": row.id,
                    "subnet_name": row.name,
                    "cidr": row.cidr,
                    "ip_version": row.ip_version,
                    "used_ips": used.get(row.id, 0),
                    "total_ips": _size(row),
                }
                for row in subnets
                if row.network_id == network.id
            ]
            if own:
                found.append(
                    {
                        "network_id": network.id,
                        "network_name": network.name,
                        "project_id": network.project_id,
                        "tenant_id": network.project_id,
                        "subnet_ip_availability": own,
                        "used_ips": sum(one["used_ips"] for one in own),
                        "total_ips": sum(one["total_ips"] for one in own),
                    }
                )
        return found


def _size(subnet: Any) -> int:
    return sum(int(number(pool["end"]), 16) - int(number(pool["start"]), 16) + 1 for pool in subnet.allocation_pools)
