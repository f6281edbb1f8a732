"""Verbs for guests at rest and in trouble: memory on disk, a rescue disk, a password, an interrupt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilvi.drivers.disk.base import DiskError, Image
from pilvi.drivers.hypervisor.base import Disk, PowerState
from pilvi.node.messages import GuestSpec, Order, PasswordOrder, Question

if TYPE_CHECKING:
    from pilvi.node.agent import Agent


def save(agent: Agent, order: Order) -> None:
    with agent.ordered(order.server_id, order.generation):
        agent.hypervisor.save(order.server_id)
        agent.restarts.done(order.server_id)


def restore(agent: Agent, order: Order) -> None:
    """Also after its host was restarted and its taps are gone."""
    with agent.ordered(order.server_id, order.generation):
        spec = agent.spec_of(order.server_id)
        if agent.hypervisor.state(order.server_id) is not PowerState.RUNNING:
            agent.hypervisor.restore(agent.guest_of(spec, agent.plug_all(spec)))


def dress(agent: Agent, spec: GuestSpec) -> None:
    """A guest that is off gets its rescue disk, or loses it, and with it the config drive that goes with that."""
    name = rescue_disk(spec.server_id)
    with agent.ordered(spec.server_id, spec.generation):
        agent.journal.write(spec)
        if spec.rescue is None:
            agent.disks.absent(name)
        else:
            image = spec.rescue.image
            agent.disks.ensure_from_image(name, Image(image.id, image.path, image.format), 0)
        agent.ensure_config_drive(spec)


def with_rescue(agent: Agent, spec: GuestSpec, root: Disk) -> list[Disk]:
    """A guest's disks: the one for its rescue takes the first place, or only the first turn at booting.

    Raises DiskError where it is to have one that there is not."""
    if spec.rescue is None:
        return [root]
    found = agent.disks.info(rescue_disk(spec.server_id))
    if found is None:
        raise DiskError(f"guest {spec.server_id} has no rescue disk on host {agent.name}")
    rescue = Disk("rescue", found.path, found.format, serial="rescue")
    if not spec.rescue.bus:
        return [rescue, root]
    return [root, msgspec.structs.replace(rescue, bus=spec.rescue.bus, first=True)]


def interrupt(agent: Agent, order: Order) -> None:
    with agent.ordered(order.server_id, order.generation):
        agent.hypervisor.interrupt(order.server_id)


def set_password(agent: Agent, order: PasswordOrder) -> None:
    with agent.ordered(order.server_id, order.generation):
        agent.hypervisor.set_password(order.server_id, order.user, order.password)


def has_agent(agent: Agent, question: Question) -> bool:
    return agent.hypervisor.has_agent(question.server_id)


def rescue_disk(server_id: str) -> str:
    return server_id + ".rescue"


VERBS = {
    "save": (save, Order),
    "restore": (restore, Order),
    "dress": (dress, GuestSpec),
    "interrupt": (interrupt, Order),
    "set_password": (set_password, PasswordOrder),
    "has_agent": (has_agent, Question),
}
