"""Verbs for guests that go to another host while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.drivers.hypervisor.base import Places, Transfer
from pilvi.node.messages import Expected, Question, Rest, Sending

if TYPE_CHECKING:
    from pilvi.node.agent import Agent


def root_bytes(agent: Agent, question: Question) -> int | None:
    """The size of the guest's root disk on this host; None where it has none here."""
    root, _ = agent.disks_of(question.server_id)
    found = agent.disks.info(root)
    return found and found.size_bytes


def places(agent: Agent, question: Question) -> Places:
    return agent.hypervisor.places(question.server_id)


def expect(agent: Agent, expected: Expected) -> str:
    """Everything for the guest is here, and room for what its root disk holds; says where it is to be sent."""
    spec = expected.spec
    with agent.ordered(spec.server_id, spec.generation):
        agent.journal.write(spec)
        root, config = agent.disks_of(spec.server_id)
        if expected.root_bytes is not None:
            agent.disks.ensure_empty(root, expected.root_bytes)
        if spec.config_drive is not None:
            agent.disks.ensure_file(config, spec.config_drive)
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
    "root_bytes": (root_bytes, Question),
    "places": (places, Question),
    "expect": (expect, Expected),
    "send": (send, Sending),
    "give_up": (give_up, Rest),
    "take_over": (take_over, Rest),
}
