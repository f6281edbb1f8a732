"""What carries a network: tunnels between hosts, or a physical network with or without a VLAN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict
from pilvi.network.tables import networks

PHYSICAL_NETWORK, PHYSICAL_MTU = "public", 1500
# The ids that a network may have on what carries it: RFC 8926 (24 bits), IEEE 802.1Q.
IDS = {"geneve": (1, 2**24 - 1), "vlan": (1, 4094)}
IN_USE = {
    "geneve": ("TunnelIdInUse", "The tunnel ID {number} is in use."),
    "vlan": ("VlanIdInUse", "The VLAN {number} on physical network {physical} is in use."),
    "flat": ("FlatNetworkInUse", "Physical network {physical} is in use."),
}


def settle(tx: Tx, values: dict[str, Any], geneve_ids: tuple[int, int]) -> None:
    """Makes what was said of a new network's carrier whole; `geneve_ids`: from which to which tunnels are numbered.

    Raises BadRequest, and Conflict where another network has it."""
    kind = values.pop("network_type", None) or "geneve"
    physical, number = values.pop("physical_network", None), values.pop("segmentation_id", None)
    for problem in _problems(kind, physical, number):
        raise BadRequest(f"Invalid input for operation: {problem}.", kind="InvalidInput")
    tx.lock("segments", physical or kind)
    same = (networks.c.network_type == kind, networks.c.physical_network.is_not_distinct_from(physical))
    if kind == "geneve" and number is None:
        number = _free(tx, geneve_ids, *same)
    elif tx.one(sa.select(networks.c.id).where(*same, networks.c.segmentation_id.is_not_distinct_from(number))):
        fault, message = IN_USE[kind]
        raise Conflict("Unable to create the network. " + message.format(number=number, physical=physical), kind=fault)
    values.update(network_type=kind, physical_network=physical, segmentation_id=number)


def _problems(kind: str, physical: str | None, number: int | None) -> Iterator[str]:
    if kind not in IN_USE:
        yield f"network_type value '{kind}' not supported: there are {', '.join(sorted(IN_USE))}"
    if (physical is None) != (kind == "geneve"):
        yield f"a {kind} network {'has no' if kind == 'geneve' else 'needs a'} physical_network"
    if physical not in (None, PHYSICAL_NETWORK):
        yield f"physical_network '{physical}' unknown: there is {PHYSICAL_NETWORK}"
    if kind == "flat" and number is not None:
        yield "segmentation_id is prohibited for a flat network"
    if kind == "vlan" and number is None:
        yield "a vlan network needs a segmentation_id"
    if number is not None and kind in IDS and not IDS[kind][0] <= number <= IDS[kind][1]:
        yield f"segmentation_id out of range: {number} is not from {IDS[kind][0]} to {IDS[kind][1]}"


def _free(tx: Tx, ids: tuple[int, int], *same: Any) -> int:
    """The number after the highest one in use, or the lowest free one. Raises Conflict."""
    first, last = ids
    column = networks.c.segmentation_id
    within = (*same, column.between(first, last))
    highest = tx.scalar(sa.select(sa.func.max(column)).where(*within))
    if highest is None or highest < last:
        return first if highest is None else highest + 1
    used = {row[0] for row in tx.all(sa.select(column).where(*within))}
    free = next((number for number in range(first, last + 1) if number not in used), None)
    if free is None:
        raise Conflict(
            "Unable to create the network. No tenant network is available for allocation.", kind="NoNetworkAvailable"
        )
    return free
