"""The hosts that servers run on: hypervisors, services and availability zones are three views of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.bus.base import BusError
from pilvi.compute import store, store_aggregates
from pilvi.compute.base import Base
from pilvi.faults import BadRequest, Conflict, NotFound

AUDIT_FORMAT = "%Y-%m-%d %H:%M:%S"
DOWN_AFTER_SECONDS = 60  # since its agent last answered


def is_up(host: sa.Row, now: int) -> bool:
    return not host.forced_down and now - host.seen_at < DOWN_AFTER_SECONDS * 1_000_000


class HostView(msgspec.Struct):
    """A host, what it has and what is used of it: vCPUs, memory in MiB, disk in GiB."""

    row: Any
    up: bool
    vcpus: int = 0
    memory_mib: int = 0
    disk_gib: int = 0
    vcpus_used: int = 0
    memory_mib_used: int = 0
    disk_gib_used: int = 0
    servers: list[tuple[str, str]] = []  # (id, name)


class Hosts(Base):
    def hosts(self) -> list[HostView]:
        """All hosts, in the order in which they joined."""
        with self.db.read() as tx:
            usage = {each["host"]: each for each in self.placement.usage(tx)}
            servers = store.servers_by_host(tx)
            return [_view(row, usage.get(row.name, {}), servers.get(row.name, []), tx.now)
                    for row in store.all_hosts(tx)]

    def host_statuses(self) -> dict[str, str]:
        """Each host's status as servers show it (microversion 2.16)."""
        with self.db.read() as tx:
            return {row.name: "MAINTENANCE" if row.disabled else "UP" if is_up(row, tx.now) else "DOWN"
                    for row in store.all_hosts(tx)}

    def used_on(self, name: str) -> dict[str, dict[str, int]]:
        """What each project's servers on a host have: `cpu`, `memory_mb`, `disk_gb`."""
        found: dict[str, dict[str, int]] = {}
        with self.db.read() as tx:
            for row in store.flavors_on_host(tx, name):
                sums = found.setdefault(row.project_id, {"cpu": 0, "memory_mb": 0, "disk_gb": 0})
                sums["cpu"] += row.vcpus
                sums["memory_mb"] += row.ram
                sums["disk_gb"] += row.flavor["disk"] + row.flavor["ephemeral"]
        return found

    def host_uptime(self, name: str) -> str:
        """Since when the host runs, and how busy it is, in the words of uptime(1).

        Raises BadRequest while its agent does not answer."""
        try:
            return self.bus.call(name, "uptime", None, str)
        except BusError as error:
            raise BadRequest(f"Compute service of {name} is unavailable at this time: {error}") from None

    def audit_period(self, before: int) -> tuple[str, str]:
        """Beginning and end of the last whole month before a time (microseconds)."""
        end = datetime.fromtimestamp(before // 1_000_000, UTC).replace(day=1, hour=0, minute=0, second=0)
        begin = (end - timedelta(days=1)).replace(day=1)
        return begin.strftime(AUDIT_FORMAT), end.strftime(AUDIT_FORMAT)

    def delete_host(self, name: str) -> None:
        """Forgets a host that is down.

        Raises Conflict while its agent answers, which would bring it back at once, and while servers, or what else
        holds its capacity, are on it."""
        with self.db.transaction() as tx:
            row = store.host(tx, name)
            if row is not None and is_up(row, tx.now):
                raise Conflict(f"Unable to delete the compute service of host {name}: its agent answers. Stop it, or "
                               "force the service down, first.")
            if count := store.count_by_host(tx).get(name):
                raise Conflict(f"Unable to delete compute service that is hosting instances: {count} servers are on "
                               f"host {name}. Migrate or delete them first.")
            self.placement.remove_host(tx, name)
            store_aggregates.remove_host(tx, name)
            store.delete_host(tx, name)

    def change_host(self, name: str, **values: Any) -> HostView:
        """Writes `disabled`, `disabled_reason`, `forced_down`. Raises NotFound."""
        with self.db.transaction() as tx:
            if store.host(tx, name) is None:
                raise NotFound(f"Could not find binary nova-compute on host {name}.")
            store.save_host(tx, name, self.ids, **values)
        return next(view for view in self.hosts() if view.row.name == name)


def _view(row: sa.Row, usage: dict[str, Any], servers: list[tuple[str, str]], now: int) -> HostView:
    amounts = {name: int(value) for name, value in usage.items() if name != "host"}
    return HostView(row, is_up(row, now), servers=servers, **amounts)
