"""The agent's verbs for the network cards of a guest that is there, whether it runs or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilvi.drivers.hypervisor.base import Nic, PowerState
from pilvi.node.messages import CardOrder, CardUse, Question, UseReport

if TYPE_CHECKING:
    from pilvi.node.agent import Agent

ALIVE = (PowerState.RUNNING, PowerState.PAUSED)


def attach_card(agent: Agent, order: CardOrder) -> None:
    """From now on it has this card; noted first, so that a start that comes between gives it the card too."""
    port = order.port
    with agent.ordered(order.server_id, order.generation):
        spec = agent.spec_of(order.server_id)
        if port not in spec.ports:
            ports = (*(each for each in spec.ports if each.id != port.id), port)
            agent.journal.write(msgspec.structs.replace(spec, generation=order.generation, ports=ports))
        device = agent.fabric.plug(port.id, port.mac, port.mtu, agent.settings.host.guest_uid)
        if agent.hypervisor.state(order.server_id) in ALIVE:
            agent.hypervisor.attach_nic(order.server_id, Nic(port.id, port.mac, device, port.mtu))


def detach_card(agent: Agent, order: CardOrder) -> bool:
    """Whether the card is gone; while the guest holds on to it, it stays what it was. To be asked again until then.

    By force it is cut off at once: the guest may show a dead one until it lets go or is started anew."""
    port_id = order.port.id
    with agent.ordered(order.server_id, order.generation):
        spec = agent.spec_of(order.server_id)
        if agent.hypervisor.state(order.server_id) in ALIVE:
            gone = agent.hypervisor.detach_nic(order.server_id, port_id)
            if not gone and not order.force:
                return False
        agent.fabric.unplug(port_id)
        ports = tuple(each for each in spec.ports if each.id != port_id)
        agent.journal.write(msgspec.structs.replace(spec, generation=order.generation, ports=ports))
    return True


def addresses(agent: Agent, question: Question) -> dict[str, str]:
    """Port, or disk of a volume -> PCI address within the guest; none while it is off."""
    if agent.hypervisor.state(question.server_id) not in ALIVE:
        return {}
    return agent.hypervisor.addresses(question.server_id) | agent.hypervisor.disk_addresses(question.server_id)


def layout(agent: Agent, cards: int) -> list[str]:
    """PCI addresses of a guest's cards, the next time that it is started with so many."""
    return agent.hypervisor.layout(cards)


def use(agent: Agent, question: Question) -> UseReport:
    """What a running guest has used, and its network cards."""
    counters = agent.fabric.counters()
    entry = agent.journal.get(question.server_id)
    ports = entry.spec.ports if entry and entry.spec else ()
    cards = tuple(CardUse(port.id, port.mac, counters.get(port.id)) for port in ports)
    return UseReport(agent.hypervisor.use(question.server_id), cards)


VERBS = {
    "attach_card": (attach_card, CardOrder),
    "detach_card": (detach_card, CardOrder),
    "addresses": (addresses, Question),
    "layout": (layout, int),
    "use": (use, Question),
}
