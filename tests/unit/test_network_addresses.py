"""Addresses, pools, and what security group rules may say: without a database."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilvi.faults import BadRequest, Conflict, Fault
from pilvi.network import addresses
from pilvi.network.securitygroups import check_rule, meaning
from pilvi.network.wire import Pool


def prefix(text):
    return addresses.parse_prefix(text, "cidr")


@given(st.ip_addresses(), st.ip_addresses())
def test_numbers_sort_as_addresses_do(one, other):
    assert (addresses.number(one) < addresses.number(other)) == (int(one) < int(other))
    assert addresses.from_number(addresses.number(one), one.version) == str(one)


@pytest.mark.parametrize(("cidr", "gateway", "pools"), [
    ("10.0.0.0/24", "10.0.0.1", [("10.0.0.2", "10.0.0.254")]),
    ("10.0.0.0/24", None, [("10.0.0.1", "10.0.0.254")]),
    ("10.0.0.0/24", "10.0.0.9", [("10.0.0.1", "10.0.0.8"), ("10.0.0.10", "10.0.0.254")]),
    ("10.0.0.0/24", "10.0.0.254", [("10.0.0.1", "10.0.0.253")]),
    ("10.0.0.0/30", "10.0.0.1", [("10.0.0.2", "10.0.0.2")]),
    ("10.0.0.0/31", "10.0.0.0", [("10.0.0.1", "10.0.0.1")]),
    ("fd00::/64", "fd00::1", [("fd00::2", "fd00::ffff:ffff:ffff:ffff")]),
    ("fd00::/64", "fe80::1", [("fd00::1", "fd00::ffff:ffff:ffff:ffff")]),
])
def test_default_pools(cidr, gateway, pools):
    found = addresses.default_pools(prefix(cidr), gateway)
    assert [(pool["start"], pool["end"]) for pool in found] == pools


@given(st.integers(1, 30), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_default_pools_hold_every_host_but_the_gateway(length, base, offset):
    network = ipaddress.ip_network((base, length), strict=False)
    first, last = addresses.usable(network)
    gateway = str(ipaddress.ip_address(first + offset % (last - first + 1)))
    pools = addresses.default_pools(network, gateway)
    size = sum(int(ipaddress.ip_address(pool["end"])) - int(ipaddress.ip_address(pool["start"])) + 1 for pool in pools)
    assert size == network.num_addresses - 3
    addresses.check_gateway(pools, gateway)


@pytest.mark.parametrize(("pools", "error"), [
    ([("10.0.0.5", "10.0.0.4")], BadRequest), ([("10.0.0.5", "fd00::1")], BadRequest),
    ([("10.0.0.5", "10.0.1.4")], BadRequest), ([("10.0.0.0", "10.0.0.9")], BadRequest),
    ([("10.0.0.5", "10.0.0.255")], BadRequest), ([("x", "10.0.0.4")], BadRequest),
    ([("10.0.0.5", "10.0.0.9"), ("10.0.0.9", "10.0.0.12")], Conflict), ([("10.0.0.1", "10.0.0.9")], Conflict),
])
def test_pools_that_cannot_be(pools, error):
    with pytest.raises(error):
        addresses.check_pools([Pool(*pool) for pool in pools], prefix("10.0.0.0/24"), "10.0.0.1")


@pytest.mark.parametrize("text", ["10.0.0.5/24", "10.0.0.0", "10.0.0.0/33", "x/8", "", "/", "fe80::%eth0/64"])
def test_prefixes_that_cannot_be(text):
    with pytest.raises(BadRequest):
        prefix(text)


def test_the_address_that_a_host_makes_of_its_mac_address():
    """The example of RFC 4291's appendix A is 34-56-78-9A-BC-DE."""
    assert addresses.eui64(prefix("2001:db8::/64"), "34:56:78:9a:bc:de") == "2001:db8::3656:78ff:fe9a:bcde"


def rule(**fields):
    return {"direction": "ingress", "ethertype": "IPv4", "protocol": None, "port_range_min": None,
            "port_range_max": None, "remote_group_id": None, "remote_ip_prefix": None,
            "remote_address_group_id": None, **fields}


@pytest.mark.parametrize(("fields", "kind"), [
    ({"ethertype": "IPv5"}, "SecurityGroupRuleInvalidEtherType"),
    ({"protocol": "nonsense"}, "SecurityGroupRuleInvalidProtocol"),
    ({"protocol": 256}, "SecurityGroupRuleInvalidProtocol"),
    ({"protocol": -1}, "SecurityGroupRuleInvalidProtocol"),
    ({"protocol": "ipv6-icmp"}, "SecurityGroupEthertypeConflictWithProtocol"),
    ({"port_range_min": 80, "port_range_max": 80}, "SecurityGroupProtocolRequiredWithPorts"),
    ({"protocol": "ah", "port_range_min": 80, "port_range_max": 80}, "SecurityGroupProtocolRequiredWithPorts"),
    ({"protocol": "tcp", "port_range_min": 80}, "SecurityGroupInvalidPortRange"),
    ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 79}, "SecurityGroupInvalidPortRange"),
    ({"protocol": "6", "port_range_min": 0, "port_range_max": 79}, "SecurityGroupInvalidPortValue"),
    ({"protocol": "udp", "port_range_min": 1, "port_range_max": 65536}, "SecurityGroupInvalidPortValue"),
    ({"protocol": "icmp", "port_range_min": 256}, "SecurityGroupInvalidIcmpValue"),
    ({"protocol": "icmp", "port_range_max": 3}, "SecurityGroupMissingIcmpType"),
    ({"remote_group_id": "g", "remote_ip_prefix": "10.0.0.0/8"}, "SecurityGroupRemoteGroupAndRemoteIpPrefix"),
    ({"remote_ip_prefix": "fd00::/8"}, "SecurityGroupRuleParameterConflict"),
    ({"remote_ip_prefix": "10.0.0.0/x"}, "HTTPBadRequest"),
])
def test_rules_that_match_nothing(fields, kind):
    with pytest.raises(Fault) as refused:
        check_rule(rule(**fields))
    assert (refused.value.status, refused.value.kind) == (400, kind)


@pytest.mark.parametrize(("fields", "kept"), [
    ({"protocol": "TCP", "port_range_min": 22, "port_range_max": 22}, {"protocol": "tcp"}),
    ({"protocol": 6}, {"protocol": "6"}), ({"protocol": "any"}, {"protocol": None}),
    ({"protocol": "0"}, {"protocol": None}), ({"ethertype": "ipv6"}, {"ethertype": "IPv6"}),
    ({"ethertype": "IPv6", "protocol": "icmpv6"}, {"protocol": "ipv6-icmp"}),
    ({"protocol": "icmp", "port_range_min": 8, "port_range_max": 0}, {"protocol": "icmp"}),
    ({"protocol": "icmp", "port_range_min": 8}, {"port_range_max": None}),
    ({"remote_ip_prefix": "10.1.2.3/8"}, {"remote_ip_prefix": "10.0.0.0/8"}),
    ({"remote_ip_prefix": "10.1.2.3"}, {"remote_ip_prefix": "10.1.2.3/32"}),
])
def test_rules_as_they_are_kept(fields, kept):
    values = rule(**fields)
    check_rule(values)
    assert {name: values[name] for name in kept} == kept


def test_a_protocol_by_name_and_by_number_is_the_same_rule():
    one, other, third = rule(protocol="tcp"), rule(protocol="6"), rule(protocol="udp")
    for each in (one, other, third):
        check_rule(each)
    assert meaning(one) == meaning(other) != meaning(third)
