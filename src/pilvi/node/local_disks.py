"""The disks that a guest has on its host beside its root disk and its config drive: ephemeral ones, and swap."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pilvi.drivers.hypervisor.base import Disk, UnknownGuest
from pilvi.node.messages import Away, GuestSpec

if TYPE_CHECKING:
    from pilvi.node.agent import Agent

_NAME = re.compile(r"ephemeral\d+|swap")


def disk_name(server_id: str, name: str) -> str:
    return f"{server_id}.{name}"


def names(agent: Agent, server_id: str, ending: str = "") -> list[str]:
    """Of those that are here: "ephemeral0", "swap". `ending`: of those that are kept under such names."""
    prefix, found = f"{server_id}.", []
    for disk in agent.disks.disks():
        if disk.startswith(prefix) and disk.endswith(ending):
            name = disk[len(prefix) : len(disk) - len(ending)]
            if _NAME.fullmatch(name):
                found.append(name)
    return sorted(found)


def ensure(agent: Agent, spec: GuestSpec) -> None:
    """Those that are not here yet are made, with nothing in them but their format."""
    for disk in spec.local_disks:
        agent.disks.ensure_formatted(disk_name(spec.server_id, disk.name), disk.size_bytes, disk.filling, disk.label)


def disks_of(agent: Agent, spec: GuestSpec) -> list[Disk]:
    """Raises UnknownGuest where one is not here."""
    disks = []
    for disk in spec.local_disks:
        found = agent.disks.info(disk_name(spec.server_id, disk.name))
        if found is None:
            raise UnknownGuest(f"guest {spec.server_id} has no {disk.name} disk on host {agent.name}")
        disks.append(Disk(disk.name, found.path, found.format, serial=disk.name))
    return disks


def hand_on(agent: Agent, order: Away) -> None:
    """What the old guest had set aside is the new one's: all but its swap, of which nothing is to be kept."""
    with agent.ordered(order.server_id, order.generation):
        ending = aside("", order.mark)
        for name in names(agent, order.server_id, ending):
            if name != "swap":
                disk = disk_name(order.server_id, name)
                agent.disks.rename(disk + ending, disk)


def hand_back(agent: Agent, order: Away) -> None:
    """What the new guest was handed is set aside again."""
    with agent.locks.hold(order.server_id):
        entry = agent.journal.get(order.server_id)
        if entry is None or entry.spec is not None:
            agent.journal.admit(order.server_id, order.generation)
        agent.hypervisor.undefine(order.server_id)
        for name in names(agent, order.server_id):
            if name != "swap":
                disk = disk_name(order.server_id, name)
                agent.disks.rename(disk, disk + aside("", order.mark))


def aside(disk_id: str, mark: int) -> str:
    return f"{disk_id}.aside-{mark}"


VERBS = {
    "hand_on": (hand_on, Away),
    "hand_back": (hand_back, Away),
}
