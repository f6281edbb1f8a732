"""The hosts that servers run on: hypervisors, services and availability zones are three views of them."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.compute import store
from pilvi.compute.base import Base
from pilvi.faults import NotFound

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
