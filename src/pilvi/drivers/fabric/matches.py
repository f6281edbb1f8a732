"""Security group rules as OVN match expressions (ovn-sb(5), Logical_Flow.match; ovn-nb(5), ACL)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pilvi.drivers.fabric.base import FabricError, Rule

DROP_GROUP = "pilvi_drop"
DROP_PRIORITY, ALLOW_PRIORITY, GUARD_PRIORITY = 1001, 1002, 1003

# The names that Networking API v2.0 takes for a rule's protocol, by IANA's protocol numbers.
PROTOCOLS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "icmp": 1, "icmpv6": 58, "igmp": 2, "ipip": 4,
    "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ipv6-route": 43,
    "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}  # fmt: skip
WITH_PORTS = {6: "tcp", 17: "udp", 132: "sctp"}
ICMP = {1, 58}

PORT_PRIORITY, ADDRESS_PRIORITY = 2001, 2002  # of shaping: a floating address goes before the gateway it goes through


def shaping_match(port_id: str, direction: str, address: str | None) -> str:
    """Which packets it is about, of those that pass through the port's switch."""
    inward = direction == "ingress"
    match = f'{"outport" if inward else "inport"} == "{port_id}"'
    return match if address is None else f'{match} && ip4.{"dst" if inward else "src"} == {address}'


def port_group(security_group_id: str) -> str:
    """The port group's name; OVN wants an identifier. Its address sets are `$<name>_ip4` and `..._ip6`."""
    return "pg_" + re.sub(r"\W", "_", security_group_id)


def address_set(address_group_id: str, version: str) -> str:
    """The name of the set of an address group's addresses of one IP version."""
    return "ag_" + re.sub(r"\W", "_", f"{address_group_id}_ip{version}")


def rule_match(security_group_id: str, rule: Rule) -> str:
    """Raises FabricError for a rule that says nothing OVN can match."""
    ingress = rule.direction == "ingress"
    family = "ip4" if rule.ethertype == "IPv4" else "ip6"
    peer = f"{family}.{'src' if ingress else 'dst'}"
    terms = [f"{'outport' if ingress else 'inport'} == @{port_group(security_group_id)}", family]
    if rule.remote_ip_prefix is not None and not rule.remote_ip_prefix.endswith("/0"):
        terms.append(f"{peer} == {rule.remote_ip_prefix}")
    if rule.remote_group_id is not None:
        terms.append(f"{peer} == ${port_group(rule.remote_group_id)}_{family}")
    if rule.remote_address_group_id is not None:
        terms.append(f"{peer} == ${address_set(rule.remote_address_group_id, rule.ethertype[-1])}")
    return " && ".join([*terms, *_protocol(rule)])


def _protocol(rule: Rule) -> Iterator[str]:
    if rule.protocol is None:
        return
    number = _number(rule)
    low, high = rule.port_range_min, rule.port_range_max
    if number in ICMP:
        # Both numbers mean ICMP of the rule's own IP version, as they always have in OpenStack.
        icmp = "icmp4" if rule.ethertype == "IPv4" else "icmp6"
        yield icmp
        if low is not None:
            yield f"{icmp}.type == {low}"
        if high is not None:
            yield f"{icmp}.code == {high}"
    elif number in WITH_PORTS:
        name = WITH_PORTS[number]
        yield name
        if low is not None and low == high:
            yield f"{name}.dst == {low}"
        elif low is not None or high is not None:
            yield f"{name}.dst >= {low or 0} && {name}.dst <= {65535 if high is None else high}"
    else:
        yield f"ip.proto == {number}"


def _number(rule: Rule) -> int:
    try:
        number = PROTOCOLS.get(str(rule.protocol).lower())
        number = int(str(rule.protocol)) if number is None else number
    except ValueError:
        number = -1
    if not 0 <= number <= 255:
        raise FabricError(f"security group rule {rule.id}: there is no IP protocol {rule.protocol!r}")
    return number
