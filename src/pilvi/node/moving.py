"""Verbs for guests that are replaced or move: the old disks are set aside until it is certain that nobody wants them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pilvi.drivers.disk.base import DiskSource
from pilvi.drivers.hypervisor.base import UnknownGuest
from pilvi.node import local_disks
from pilvi.node.local_disks import aside
from pilvi.node.messages import Arrival, Away, Back, Order

if TYPE_CHECKING:
    from pilvi.node.agent import Agent


def set_aside(agent: Agent, order: Away) -> None:
    """The guest is no longer here, but for its disks. It does not run any more by now."""
    server_id = order.server_id
    with agent.locks.hold(server_id):
        entry = agent.journal.get(server_id)
        if entry is None or entry.spec is not None:
            agent.journal.admit(server_id, order.generation)
        agent.hypervisor.undefine(server_id)
        agent.unplug_all(server_id)
        for disk in agent.disks_of(server_id):
            agent.disks.rename(disk, aside(disk, order.mark))
        agent.restarts.done(server_id)
        agent.journal.bury(server_id, order.generation)


def take_back(agent: Agent, back: Back) -> None:
    """The guest is here again as it was, switched off."""
    spec = back.spec
    with agent.ordered(spec.server_id, spec.generation):
        agent.journal.write(spec)
        for disk in agent.disks_of(spec.server_id, aside("", back.mark)):
            agent.disks.rename(aside(disk, back.mark), disk)
        with suppress(UnknownGuest):  # what had no disk before has none now
            agent.hypervisor.define(agent.guest_of(spec, agent.plug_all(spec)))


def discard(agent: Agent, order: Away) -> None:
    """Whatever is under this mark goes. Nobody asks for it again, so no generation is too old for that."""
    with agent.locks.hold(order.server_id):
        for disk in agent.disks_of(order.server_id, aside("", order.mark)):
            agent.disks.absent(aside(disk, order.mark))


def export(agent: Agent, order: Away) -> dict[str, DiskSource]:
    """Where another host reads the disks that were set aside, by name: those whose content is worth it."""
    disks = agent.written_disks(order.server_id, aside("", order.mark))
    found = {name: agent.disks.export(aside(disk, order.mark)) for name, disk in disks.items() if name != "swap"}
    return {name: source for name, source in found.items() if source is not None}


def receive(agent: Agent, arrival: Arrival) -> None:
    """Its disks, of what another guest's were; others are new."""
    spec = arrival.spec
    with agent.ordered(spec.server_id, spec.generation):
        agent.journal.write(spec)
        sizes = {"root": spec.disk_bytes} | {disk.name: disk.size_bytes for disk in spec.local_disks}
        for name, source in arrival.disks.items():
            if name in sizes:
                agent.disks.ensure_copy(agent.disk_called(spec.server_id, name), source, sizes[name])
        local_disks.ensure(agent, spec)
        agent.ensure_config_drive(spec)


def define(agent: Agent, order: Order) -> None:
    """It is known to the hypervisor, switched off, with its ports plugged: as one that was stopped."""
    with agent.ordered(order.server_id, order.generation):
        spec = agent.spec_of(order.server_id)
        agent.hypervisor.define(agent.guest_of(spec, agent.plug_all(spec)))


VERBS = {
    "set_aside": (set_aside, Away),
    "take_back": (take_back, Back),
    "discard": (discard, Away),
    "export": (export, Away),
    "receive": (receive, Arrival),
    "define": (define, Order),
}
