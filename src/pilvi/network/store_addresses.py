"""Giving out addresses. Callers hold the network's lock, so what was found free stays free until the commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx, one_of
from pilvi.network.addresses import from_number, number
from pilvi.network.store import METADATA, chunks
from pilvi.network.tables import addresses, ports, subnets

GAP_ROWS = 512  # addresses looked at in one query of a search for a gap


_HOLDER = sa.select(addresses.c.port_id).where(
    addresses.c.subnet_id == sa.bindparam("subnet"), addresses.c.number == sa.bindparam("number")
)


def is_taken(tx: Tx, subnet_id: str, digits: str) -> bool:
    return tx.one(_HOLDER, {"subnet": subnet_id, "number": digits}) is not None


def holder(tx: Tx, subnet_id: str, address: str) -> str | None:
    """The port that has this address."""
    return tx.scalar(_HOLDER, {"subnet": subnet_id, "number": number(address)})


_CURSOR = sa.select(subnets.c.cursor).where(subnets.c.id == sa.bindparam("subnet"))
_MOVE_CURSOR = subnets.update().where(subnets.c.id == sa.bindparam("subnet")).values(cursor=sa.bindparam("digits"))


def next_free(tx: Tx, subnet: Any) -> str | None:
    """The next free address of the subnet's pools after the one given out last, round and round.

    So an address that was given back rests as long as it can, and the next one is found without looking at the
    others, until the pools have been through once. None when all are taken."""
    pools = [(int(number(pool["start"]), 16), int(number(pool["end"]), 16)) for pool in subnet.allocation_pools]
    cursor = tx.scalar(_CURSOR, {"subnet": subnet.id})
    after = int(cursor, 16) if cursor else -1
    rest = [(max(low, after + 1), high) for low, high in pools if high > after]
    for low, high in [*rest, *pools]:
        found = _first_gap(tx, subnet.id, low, high)
        if found is not None:
            digits = f"{found:032x}"
            tx.execute(_MOVE_CURSOR, {"subnet": subnet.id, "digits": digits})
            return from_number(digits, subnet.ip_version)
    return None


def _first_gap(tx: Tx, subnet_id: str, low: int, high: int) -> int | None:
    if not is_taken(tx, subnet_id, f"{low:032x}"):
        return low
    while low <= high:
        taken = tx.all(
            sa.select(addresses.c.number)
            .where(addresses.c.subnet_id == subnet_id, addresses.c.number.between(f"{low:032x}", f"{high:032x}"))
            .order_by(addresses.c.number)
            .limit(GAP_ROWS)
        )
        for row in taken:
            if int(row.number, 16) != low:
                return low
            low += 1
        if len(taken) < GAP_ROWS:
            return low if low <= high else None
    return None


_ADD = addresses.insert()
_OF_PORTS = (
    sa.select(addresses.c.port_id, addresses.c.subnet_id, addresses.c.address)
    .where(one_of(addresses.c.port_id, "ids"))
    .order_by(addresses.c.number)
)


def add(tx: Tx, port_id: str, pairs: Collection[tuple[str, str]]) -> None:
    """`pairs`: (subnet, address)."""
    if pairs:
        tx.execute(
            _ADD,
            [
                {"port_id": port_id, "subnet_id": subnet_id, "address": address, "number": number(address)}
                for subnet_id, address in pairs
            ],
        )


def remove(tx: Tx, port_id: str, pairs: Collection[tuple[str, str]]) -> None:
    for subnet_id, address in pairs:
        tx.execute(
            addresses.delete().where(
                addresses.c.port_id == port_id,
                addresses.c.subnet_id == subnet_id,
                addresses.c.number == number(address),
            )
        )


def of_ports(tx: Tx, port_ids: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """Port -> (subnet, address), in the order of the addresses, IPv4 first."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for port_id, subnet_id, address in tx.all(_OF_PORTS, {"ids": port_ids}):
        found[port_id].append((subnet_id, address))
    return found


def in_subnet(tx: Tx, subnet_id: str) -> list[sa.Row]:
    """(port, its owner, address) of all that is given out in a subnet."""
    return list(
        tx.all(
            sa.select(ports.c.id, ports.c.device_owner, addresses.c.address)
            .join(addresses, addresses.c.port_id == ports.c.id)
            .where(addresses.c.subnet_id == subnet_id)
        )
    )


def remove_subnet(tx: Tx, subnet_id: str) -> None:
    tx.execute(addresses.delete().where(addresses.c.subnet_id == subnet_id))


def server_at(tx: Tx, network_id: str, address: str) -> str | None:
    return tx.scalar(
        sa.select(ports.c.device_id)
        .join(addresses, addresses.c.port_id == ports.c.id)
        .where(
            addresses.c.address == address,
            ports.c.network_id == network_id,
            ports.c.device_owner.like("compute:%"),
        )
    )


def server_with(tx: Tx, network_id: str, mac: str) -> str | None:
    """The server whose card on this network has the MAC address."""
    return tx.scalar(
        sa.select(ports.c.device_id).where(
            ports.c.network_id == network_id, ports.c.mac_address == mac, ports.c.device_owner.like("compute:%")
        )
    )


def metadata_ports(tx: Tx) -> list[sa.Row]:
    """(network, port, MAC address, address, CIDR) of each address of each metadata port; None where one has none."""
    return list(
        tx.all(
            sa.select(ports.c.network_id, ports.c.id, ports.c.mac_address, addresses.c.address, subnets.c.cidr)
            .outerjoin(addresses, addresses.c.port_id == ports.c.id)
            .outerjoin(subnets, subnets.c.id == addresses.c.subnet_id)
            .where(ports.c.device_owner == METADATA)
            .order_by(ports.c.network_id, addresses.c.number)
        )
    )


def used(tx: Tx, subnet_ids: Collection[str]) -> dict[str, int]:
    """How many addresses are given out, by subnet."""
    return {
        row.subnet_id: row.used
        for part in chunks(subnet_ids)
        for row in tx.all(
            sa.select(addresses.c.subnet_id, sa.func.count().label("used"))
            .where(addresses.c.subnet_id.in_(part))
            .group_by(addresses.c.subnet_id)
        )
    }
