"""Verbs for an audit: all that a host has, whoever it belongs to, and taking away what belongs to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pilvi.node.agent import Agent


class HostInventory(msgspec.Struct, frozen=True):
    """Names of what there is on a host."""

    guests: dict[str, int]  # server -> the generation that the journal has (0: none)
    disks: tuple[str, ...]
    cards: tuple[str, ...]  # ports that are plugged in
    metadata_networks: tuple[str, ...]
    strays: tuple[str, ...]  # processes of guests that the hypervisor does not know


def inventory(agent: Agent, _: None) -> HostInventory:
    return HostInventory(
        {guest.server_id: guest.generation for guest in agent.observe()},
        tuple(agent.disks.disks()), tuple(agent.fabric.plugged()), tuple(agent.fabric.metadata_networks()),
        tuple(agent.hypervisor.strays()))


def drop_disk(agent: Agent, disk_id: str) -> None:
    agent.disks.absent(disk_id)


def drop_card(agent: Agent, port_id: str) -> None:
    agent.fabric.unplug(port_id)


def drop_metadata(agent: Agent, network_id: str) -> None:
    agent.fabric.absent_metadata(network_id)


def end_strays(agent: Agent, _: None) -> None:
    agent.hypervisor.strays(end=True)


VERBS = {
    "inventory": (inventory, type(None)),
    "drop_disk": (drop_disk, str),
    "drop_orphaned_card": (drop_card, str),
    "drop_metadata": (drop_metadata, str),
    "end_strays": (end_strays, type(None)),
}
