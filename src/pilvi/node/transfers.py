"""Verbs for guests that go to another host while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.drivers.hypervisor.base import Places, Transfer
from pilvi.node.messages import Expected, Question, Rest, Sending

if TYPE_CHECKING:
    from pilvi.node.agent import Agent


def disk_bytes(agent: Agent, question: Question) -> dict[str, int]:
    """The sizes of those of the guest's disks that it writes to on this host, by name."""
    found = {name: agent.disks.info(disk) for name, disk in agent.written_disks(question.server_id).items()}
    return {name: info.size_bytes for name, info in found.items() if info is not None}


def places(agent: Agent, question: Question) -> Places:
    return agent.hypervisor.places(question.server_id)


def expect(agent: Agent, expected: Expected) -> str:
    """Everything for the guest is here, and room for what its disks hold; says where it is to be sent."""
    spec = expected.spec
    with agent.ordered(spec.server_id, spec.generation):
        agent.journal.write(spec)
        for name, size_bytes in expected.disk_bytes.items():
            agent.disks.ensure_empty(agent.disk_called(spec.server_id, name), size_bytes)
        agent.ensure_config_drive(spec)
        return agent.hypervisor.expect(agent.guest_of(spec, agent.plug_all(spec)), expected.places)


def send(agent: Agent, sending: Sending) -> Transfer:
    with agent.ordered(sending.server_id, sending.generation):
        return agent.hypervisor.send(sending.server_id, sending.where, hurry=sending.hurry)


def give_up(agent: Agent, rest: Rest) -> None:
    with agent.ordered(rest.server_id, rest.generation):
        agent.hypervisor.give_up(rest.server_id, paused=rest.paused)


def take_over(agent: Agent, rest: Rest) -> None:
    with agent.ordered(rest.server_id, rest.generation):
        agent.hypervisor.take_over(rest.server_id, paused=rest.paused)


VERBS = {
    "disk_bytes": (disk_bytes, Question),
    "places": (places, Question),
    "expect": (expect, Expected),
    "send": (send, Sending),
    "give_up": (give_up, Rest),
    "take_over": (take_over, Rest),
}
