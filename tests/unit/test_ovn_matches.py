"""Security group rules as OVN matches."""

from __future__ import annotations

import pytest

from pilvi.drivers.fabric.base import FabricError, Rule
from pilvi.drivers.fabric.matches import port_group, rule_match

IN4, IN6, OUT4 = ("ingress", "IPv4"), ("ingress", "IPv6"), ("egress", "IPv4")

CASES = [
    (Rule("r", *IN4), "outport == @pg_g && ip4"),
    (Rule("r", *OUT4), "inport == @pg_g && ip4"),
    (Rule("r", *IN6), "outport == @pg_g && ip6"),
    (Rule("r", *IN4, remote_ip_prefix="0.0.0.0/0"), "outport == @pg_g && ip4"),
    (Rule("r", *IN6, remote_ip_prefix="::/0"), "outport == @pg_g && ip6"),
    (Rule("r", *IN4, remote_ip_prefix="10.0.0.0/8"), "outport == @pg_g && ip4 && ip4.src == 10.0.0.0/8"),
    (Rule("r", *OUT4, remote_ip_prefix="10.0.0.0/8"), "inport == @pg_g && ip4 && ip4.dst == 10.0.0.0/8"),
    (Rule("r", *IN4, remote_group_id="a-b"), "outport == @pg_g && ip4 && ip4.src == $pg_a_b_ip4"),
    (Rule("r", *IN6, remote_group_id="a-b"), "outport == @pg_g && ip6 && ip6.src == $pg_a_b_ip6"),
    (Rule("r", *IN4, "tcp"), "outport == @pg_g && ip4 && tcp"),
    (Rule("r", *IN4, "TCP", 22, 22), "outport == @pg_g && ip4 && tcp && tcp.dst == 22"),
    (Rule("r", *IN4, "17", 1, 9), "outport == @pg_g && ip4 && udp && udp.dst >= 1 && udp.dst <= 9"),
    (Rule("r", *IN4, "sctp", 0, 0), "outport == @pg_g && ip4 && sctp && sctp.dst == 0"),
    (Rule("r", *IN4, "udp", 7), "outport == @pg_g && ip4 && udp && udp.dst >= 7 && udp.dst <= 65535"),
    (Rule("r", *IN4, "icmp", 8, 0), "outport == @pg_g && ip4 && icmp4 && icmp4.type == 8 && icmp4.code == 0"),
    (Rule("r", *IN4, "icmp", 0), "outport == @pg_g && ip4 && icmp4 && icmp4.type == 0"),
    (Rule("r", *IN6, "ipv6-icmp", 128), "outport == @pg_g && ip6 && icmp6 && icmp6.type == 128"),
    (Rule("r", *IN6, "icmp"), "outport == @pg_g && ip6 && icmp6"),
    (Rule("r", *IN4, "vrrp"), "outport == @pg_g && ip4 && ip.proto == 112"),
    (Rule("r", *IN4, "0"), "outport == @pg_g && ip4 && ip.proto == 0"),
]


@pytest.mark.parametrize(("rule", "match"), CASES, ids=[match for _, match in CASES])
def test_a_rule_matches_what_it_says(rule: Rule, match: str):
    assert rule_match("g", rule) == match


@pytest.mark.parametrize("protocol", ["tpc", "256", "-1", ""])
def test_a_protocol_that_is_none_is_refused_with_the_rules_id(protocol: str):
    with pytest.raises(FabricError, match="rule r: there is no IP protocol"):
        rule_match("g", Rule("r", *IN4, protocol))


def test_a_groups_name_is_an_identifier_for_ovn():
    assert port_group("9c2f0e0a-1b6d-4f7e") == "pg_9c2f0e0a_1b6d_4f7e"
