"""The agent's verbs for the volumes of a guest that is there, whether it runs or not."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from pilvi.drivers.hypervisor.base import Disk, HypervisorError, PowerState
from pilvi.drivers.volume.base import VolumeError
from pilvi.node.messages import GuestSpec, VolumeSpec, disk_name, disk_serial
from pilvi.node.messages_volumes import Limiting, Redirect, Resized, VolumeOrder

if TYPE_CHECKING:
    from pilvi.node.agent import Agent

ALIVE = (PowerState.RUNNING, PowerState.PAUSED)


def disk_of(agent: Agent, volume: VolumeSpec) -> Disk:
    found = agent.volumes.info(volume.volume_id)
    if found is None:
        raise HypervisorError(f"volume {volume.volume_id} is not there")
    if volume.shared and found.format != "raw":
        with suppress(VolumeError):  # a guest has it open, for itself: QEMU will say so
            found = agent.volumes.share(volume.volume_id, True)
    return Disk(disk_name(volume.volume_id), found.path, found.format, serial=disk_serial(volume.volume_id),
                readonly=volume.readonly, bus=volume.bus, shared=volume.shared,
                limits=volume.limits, key=volume.key)


def root_volume(agent: Agent, spec: GuestSpec) -> Disk | None:
    """The disk of the volume that the guest boots from; None where that is a disk of its own."""
    return next((disk_of(agent, volume) for volume in spec.volumes if volume.root), None)


def disks_of(agent: Agent, spec: GuestSpec) -> list[Disk]:
    """All others."""
    return [disk_of(agent, volume) for volume in spec.volumes if not volume.root]


def attach(agent: Agent, order: VolumeOrder) -> None:
    """From now on it has this volume; noted first, so that a start that comes between gives it the volume too."""
    with agent.ordered(order.server_id, order.generation):
        spec = agent.spec_of(order.server_id)
        if order.volume not in spec.volumes:
            agent.journal.write(_with(spec, order, (*_others(spec, order), order.volume)))
        if agent.hypervisor.state(order.server_id) in ALIVE:
            agent.hypervisor.attach_disk(order.server_id, disk_of(agent, order.volume))


def detach(agent: Agent, order: VolumeOrder) -> bool:
    """Whether the volume is gone; while the guest holds on to it, it stays what it was. To be asked until then."""
    with agent.ordered(order.server_id, order.generation):
        spec = agent.spec_of(order.server_id)
        if agent.hypervisor.state(order.server_id) in ALIVE:
            gone = agent.hypervisor.detach_disk(order.server_id, disk_name(order.volume.volume_id))
            if not gone and not order.force:
                return False
        agent.journal.write(_with(spec, order, _others(spec, order)))
    return True


def redirect(agent: Agent, order: Redirect) -> None:
    """A guest that is off opens what it is to write to when it is started."""
    with agent.locks.hold(order.server_id):
        if agent.hypervisor.state(order.server_id) in ALIVE:
            agent.hypervisor.redirect_disk(order.server_id, disk_name(order.volume_id), order.target.path)


def resize(agent: Agent, order: Resized) -> None:
    with agent.locks.hold(order.server_id):
        if agent.hypervisor.state(order.server_id) in ALIVE:
            agent.hypervisor.resize_disk(order.server_id, disk_name(order.volume_id), order.size_bytes)
        agent.volumes.extend(order.volume_id, order.size_bytes)  # which a guest that runs has done by now


def limit(agent: Agent, order: Limiting) -> None:
    with agent.locks.hold(order.server_id):
        entry = agent.journal.get(order.server_id)
        if entry is None or entry.spec is None:
            return
        volumes = tuple(msgspec.structs.replace(each, limits=order.limits) if each.volume_id == order.volume_id else each
                        for each in entry.spec.volumes)
        agent.journal.write(msgspec.structs.replace(entry.spec, generation=entry.generation, volumes=volumes))
        if agent.hypervisor.state(order.server_id) in ALIVE:
            agent.hypervisor.limit_disk(order.server_id, disk_name(order.volume_id), order.limits)


def _others(spec: GuestSpec, order: VolumeOrder) -> tuple[VolumeSpec, ...]:
    return tuple(each for each in spec.volumes if each.volume_id != order.volume.volume_id)


def _with(spec: GuestSpec, order: VolumeOrder, volumes: tuple[VolumeSpec, ...]) -> GuestSpec:
    return msgspec.structs.replace(spec, generation=order.generation, volumes=volumes)


VERBS = {
    "attach_volume": (attach, VolumeOrder),
    "detach_volume": (detach, VolumeOrder),
    "redirect_volume": (redirect, Redirect),
    "resize_volume": (resize, Resized),
    "limit_volume": (limit, Limiting),
}
