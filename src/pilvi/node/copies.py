"""Verbs for copies of a guest's root disk, which become images: made while it runs, or is at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.drivers.disk.base import DiskError, DiskSource
from pilvi.drivers.hypervisor.base import PowerState
from pilvi.node.messages import CopyOrder

if TYPE_CHECKING:
    from pilvi.node.agent import Agent

ALIVE = (PowerState.RUNNING, PowerState.PAUSED)


def copy(agent: Agent, order: CopyOrder) -> DiskSource | None:
    """Where the copy is, once it is whole; None: to be asked again. Raises DiskError where there is no disk."""
    with agent.ordered(order.server_id, order.generation):
        name, root = copy_disk(order.server_id, order.name), agent.disk_called(order.server_id, "root")
        if (made := agent.disks.export(name)) is not None:
            return made
        if (source := agent.disks.export(root)) is None:
            raise DiskError(f"guest {order.server_id} has no root disk on host {agent.name}")
        if agent.hypervisor.state(order.server_id) not in ALIVE:
            agent.disks.absent(name)
            agent.disks.ensure_flat(name, source)
        elif agent.hypervisor.copy_disk(order.server_id, source.url, agent.disks.blank(name, source.size_bytes)):
            agent.disks.finish(name)
        return agent.disks.export(name)


def drop_copy(agent: Agent, order: CopyOrder) -> None:
    with agent.ordered(order.server_id, order.generation):
        agent.hypervisor.stop_copying(order.server_id)
        agent.disks.absent(copy_disk(order.server_id, order.name))


def drop_all(agent: Agent, server_id: str) -> None:
    """Of a guest that is gone."""
    for disk in agent.disks.disks():
        if disk.startswith(copy_disk(server_id, "")):
            agent.disks.absent(disk)


def copy_disk(server_id: str, name: str) -> str:
    return f"{server_id}.copy-{name}"


VERBS = {
    "copy": (copy, CopyOrder),
    "drop_copy": (drop_copy, CopyOrder),
}
