"""Addresses, pools and prefixes: arithmetic without a database."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Sequence
from typing import Any

from pilvi.faults import BadRequest, Conflict

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Prefix = ipaddress.IPv4Network | ipaddress.IPv6Network

AUTOMATIC = (
    "slaac",
    "dhcpv6-stateless",
)  # address modes in which a guest makes its address from its MAC address


def number(address: Address | str) -> str:
    """32 hexadecimal digits, which sort as the addresses do."""
    return f"{int(ipaddress.ip_address(address)):032x}"


def from_number(digits: str, version: int) -> str:
    """The address, as text."""
    return str((ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address)(int(digits, 16)))


def parse(text: str, field: str) -> Address:
    """Raises BadRequest."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise BadRequest(
            f"Invalid input for {field}. Reason: '{text}' is not a valid IP address.", kind="HTTPBadRequest"
        ) from None
    if getattr(address, "scope_id", None):
        raise BadRequest(f"Invalid input for {field}. Reason: '{text}' names a zone.", kind="HTTPBadRequest")
    return address


def parse_prefix(text: str, field: str) -> Prefix:
    """A CIDR without host bits. Raises BadRequest."""
    try:
        if "/" not in text or "%" in text:
            raise ValueError
        loose = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadRequest(
            f"Invalid input for {field}. Reason: '{text}' is not a valid IP subnet.", kind="HTTPBadRequest"
        ) from None
    if str(loose).partition("/")[0] != str(ipaddress.ip_address(text.partition("/")[0])):
        raise BadRequest(
            f"Invalid input for {field}. Reason: '{text}' isn't a recognized IP subnet cidr, '{loose}' is recommended.",
            kind="HTTPBadRequest",
        )
    return loose


def eui64(prefix: Prefix, mac: str) -> str:
    """The address that a host makes of its MAC address (RFC 4291, appendix A)."""
    octets = [int(part, 16) for part in mac.split(":")]
    interface = bytes([octets[0] ^ 2, octets[1], octets[2], 0xFF, 0xFE, *octets[3:]])
    return str(prefix[int.from_bytes(interface, "big")])


def mac_of(address: Address) -> str | None:
    """The MAC address that such an address was made of (RFC 4291); None where it was made of none."""
    own = address.packed[8:]
    if address.version == 4 or own[3:5] != b"\xff\xfe":
        return None
    return bytes([own[0] ^ 2, *own[1:3], *own[5:]]).hex(":")


def usable(prefix: Prefix) -> tuple[int, int]:
    """The first and the last number that a host may have: without the network's own address and IPv4's broadcast."""
    first, last = int(prefix.network_address), int(prefix.broadcast_address)
    if prefix.version == 6:
        return (first + 1, last) if prefix.prefixlen < 127 else (first, last)
    return (first + 1, last - 1) if prefix.prefixlen < 31 else (first, last)


def is_host(prefix: Prefix, address: Address) -> bool:
    first, last = usable(prefix)
    return address.version == prefix.version and first <= int(address) <= last


def default_gateway(prefix: Prefix) -> str:
    return str(type(prefix.network_address)(usable(prefix)[0]))


def default_pools(prefix: Prefix, gateway: str | None) -> list[dict[str, str]]:
    """All that hosts may have, less the gateway's address."""
    make = type(prefix.network_address)
    first, last = usable(prefix)
    parts = [(first, last)]
    if gateway is not None and (taken := ipaddress.ip_address(gateway)) in prefix:
        parts = [(first, int(taken) - 1), (int(taken) + 1, last)]
    return [{"start": str(make(low)), "end": str(make(high))} for low, high in parts if low <= high]


def check_pools(pools: Sequence[Any], prefix: Prefix, gateway: str | None) -> list[dict[str, str]]:
    """The pools in order, in canonical writing. Raises BadRequest, and Conflict for overlaps and the gateway."""
    found = []
    for pool in pools:
        start, end = parse(pool.start, "allocation_pools"), parse(pool.end, "allocation_pools")
        if start.version != prefix.version or end.version != prefix.version or start > end:
            raise BadRequest(f"The allocation pool {start}-{end} is not valid.", kind="InvalidAllocationPool")
        if not (is_host(prefix, start) and is_host(prefix, end)):
            raise BadRequest(
                f"The allocation pool {start}-{end} spans beyond the subnet cidr {prefix}.",
                kind="OutOfBoundsAllocationPool",
            )
        found.append((start, end))
    found.sort(key=lambda pair: int(pair[0]))
    for one, other in itertools.pairwise(found):
        if other[0] <= one[1]:
            raise Conflict(
                f"Found overlapping allocation pools: {one[0]}-{one[1]}, {other[0]}-{other[1]} for subnet {prefix}.",
                kind="OverlappingAllocationPools",
            )
    pools = [{"start": str(start), "end": str(end)} for start, end in found]
    check_gateway(pools, gateway)
    return pools


def check_gateway(pools: Sequence[dict[str, str]], gateway: str | None) -> None:
    """Raises Conflict where the gateway's address could be given to a port."""
    if gateway is None:
        return
    digits = number(gateway)
    for pool in pools:
        if ipaddress.ip_address(gateway).version == ipaddress.ip_address(pool["start"]).version and (
            number(pool["start"]) <= digits <= number(pool["end"])
        ):
            raise Conflict(
                f"Gateway ip {gateway} conflicts with allocation pool {pool['start']}-{pool['end']}.",
                kind="GatewayConflictWithAllocationPools",
            )


def is_automatic(subnet: Any) -> bool:
    """Do guests make their own addresses in this subnet?"""
    return subnet.ip_version == 6 and subnet.ipv6_address_mode in AUTOMATIC
