"""The network with packets: what a guest gets, whom it reaches, and whom it does not."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import msgspec
import pytest

from pilvi.drivers.fabric.base import (
    AddressGroup,
    FixedIp,
    FloatingIp,
    HostRoute,
    Network,
    Port,
    Router,
    RouterPort,
    Rule,
    SecurityGroup,
    Subnet,
    Topology,
)
from pilvi.supervise import namespace as host
from tests.system import netlab
from tests.system.netlab import EXTERNAL_NETWORK, OPEN, WORLD, Lab, TapGuest, addressed, network, port, router, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(netlab.missing() is not None, reason=f"no OVN here: {netlab.missing()}"),
]

EGRESS = tuple(Rule(f"egress-{ip}", "egress", ip) for ip in ("IPv4", "IPv6"))


def test_a_guest_gets_its_address_routes_and_names_by_dhcp(lab: Lab):
    net = network(1, dns_nameservers=("192.0.2.53",), host_routes=(HostRoute("192.0.2.0/24", "10.0.1.9"),))
    one = port(1, 11)
    lab.sync(Topology((net,), (one,), (), (OPEN,)))
    lease = lab.guest(one).dhcp()
    assert lease == {
        "kind": 5,
        "address": "10.0.1.11",
        "server": "10.0.1.1",
        "prefix": 24,
        "router": "10.0.1.1",
        "dns": ["192.0.2.53"],
        "mtu": 1442,
        "routes": [
            ("169.254.169.254/32", "10.0.1.2"),
            ("192.0.2.0/24", "10.0.1.9"),
            ("0.0.0.0/0", "10.0.1.1"),
        ],
    }


def test_a_port_has_dhcp_options_of_its_own(lab: Lab):
    own = (4, "mtu", "1300"), (4, "dns-server", "192.0.2.77,192.0.2.78"), (4, "bootfile-name", "pxelinux.0"), (
        4, "tftp-server", "boot.cloud.test"), (4, "server-ip-address", "192.0.2.99")
    one, other = port(1, 11, dhcp_options=own), port(1, 12)
    lab.sync(Topology((network(1),), (one, other), (), (OPEN,)))
    lease, plain = lab.guest(one).dhcp(), lab.guest(other).dhcp()
    assert (lease["mtu"], lease["dns"]) == (1300, ["192.0.2.77", "192.0.2.78"])
    assert lease["boot"] == {67: b"pxelinux.0", 66: b"boot.cloud.test", 150: bytes([192, 0, 2, 99])}
    assert (plain["mtu"], plain["dns"]) == (1442, ["10.0.1.1"])
    assert "boot" not in plain


def test_dhcp_is_answered_where_no_rule_allows_anything(lab: Lab):
    one = port(1, 11, "closed")
    lab.sync(Topology((network(1),), (one,), (), (SecurityGroup("closed"),)))
    assert lab.guest(one).dhcp()["address"] == "10.0.1.11"


def test_a_tap_carries_packets_and_still_does_when_it_is_made_again(lab: Lab):
    one = port(1, 11)
    lab.sync(Topology((network(1),), (one,), (), (OPEN,)))
    for _ in range(3):
        device = lab.fabric.plug(one.id, one.mac, 1442, os.getuid())
        wait_for(lambda: one.id in lab.northbound.ports_up(), "the tap's port to come up")
        with contextlib.closing(TapGuest(lab.name, device, one.mac)) as guest:
            assert guest.dhcp()["address"] == "10.0.1.11"
        host.absent_link(lab.name, device)  # as a host's restart does: the switch still has the port


def test_guests_reach_each_other_within_a_network_and_through_a_router(lab: Lab):
    here, near, far = port(1, 11), port(1, 12), port(2, 11)
    alone = port(3, 11)
    nets = (network(1), network(2), network(3), EXTERNAL_NETWORK)
    lab.sync(Topology(nets, (here, near, far, alone), (router(1, 2),), (OPEN,)))
    guest = addressed(lab, here)
    for other in (near, far, alone):
        addressed(lab, other)
    assert guest.pings("10.0.1.12")
    assert guest.pings("10.0.2.11")
    assert not guest.pings("10.0.3.11", tries=3)


def test_a_guest_goes_out_with_the_routers_address(lab: Lab):
    one = port(1, 11)
    topology = Topology((network(1), EXTERNAL_NETWORK), (one,), (router(1),), (OPEN,))
    lab.sync(topology)
    guest, world = addressed(lab, one), lab.outsider()
    assert guest.pings(WORLD)
    with world.serving(8080):
        assert guest.asks(WORLD, 8080) == "172.24.4.10"
    assert not world.pings("10.0.1.11", tries=2)


def test_a_floating_ip_is_the_guest_in_both_directions(lab: Lab):
    one, other = port(1, 11), port(1, 12)
    floating = FloatingIp("fip", "172.24.4.100", "10.0.1.11", one.id)
    nets = (network(1), EXTERNAL_NETWORK)
    lab.sync(Topology(nets, (one, other), (router(1, floating_ips=(floating,)),), (OPEN,)))
    guest, neighbour, world = addressed(lab, one), addressed(lab, other), lab.outsider()
    assert world.pings("172.24.4.100")
    with guest.serving(22), world.serving(8080):
        assert world.asks("172.24.4.100", 22) == WORLD
        assert guest.asks(WORLD, 8080) == "172.24.4.100"
        assert neighbour.asks(WORLD, 8080) == "172.24.4.10"
        assert neighbour.asks("172.24.4.100", 22) is not None
    lab.sync(Topology(nets, (one, other), (router(1),), (OPEN,)))
    wait_for(lambda: not world.pings("172.24.4.100", tries=3), "the floating IP to lead nowhere")


def test_connections_do_not_stay_with_the_guest_that_a_floating_ip_has_left(lab: Lab):
    one, other = port(1, 11), port(1, 12)
    nets, address = (network(1), EXTERNAL_NETWORK), "172.24.4.100"

    def lead_to(there: Port, fixed: str) -> None:
        floating = FloatingIp("fip", address, fixed, there.id)
        lab.sync(Topology(nets, (one, other), (router(1, floating_ips=(floating,)),), (OPEN,)))

    lead_to(one, "10.0.1.11")
    left, taken, world = addressed(lab, one), addressed(lab, other), lab.outsider()
    assert world.pings(address)
    server = left.call(socket.create_server, ("0.0.0.0", 80))
    line = world.call(socket.create_connection, (address, 80), 10)
    with server, line, server.accept()[0] as end:
        end.settimeout(2)
        lead_to(other, "10.0.1.12")
        assert world.pings(address)
        line.sendall(b"still here")
        assert end.recv(20) == b"still here", "which is why somebody has to end it"
        assert lab.fabric.end_stale({address: "10.0.1.12"}) > 0
        line.sendall(b"and now?")
        with pytest.raises(TimeoutError):
            end.recv(20)
        assert lab.fabric.end_stale({address: "10.0.1.12"}) == 0
    with taken.serving(80):
        assert world.asks(address, 80) == WORLD


def test_a_security_group_lets_in_what_its_rules_say_and_nothing_else(lab: Lab):
    one = port(1, 11, "web")
    nets = (network(1), EXTERNAL_NETWORK)
    floating = FloatingIp("fip", "172.24.4.100", "10.0.1.11", one.id)
    way = (router(1, floating_ips=(floating,)),)

    def allow(*rules: Rule) -> None:
        lab.sync(Topology(nets, (one,), way, (SecurityGroup("web", (*EGRESS, *rules)),)))

    allow()
    guest, world = addressed(lab, one), lab.outsider()
    with guest.serving(22), guest.serving(80):
        assert guest.pings(WORLD), "answers to what the guest asked come back"
        assert world.asks("172.24.4.100", 22, tries=2) is None
        assert not world.pings("172.24.4.100", tries=2)
        allow(Rule("ssh", "ingress", "IPv4", "tcp", 22, 22))
        assert world.asks("172.24.4.100", 22) == WORLD
        assert world.asks("172.24.4.100", 80, tries=2) is None
        allow(
            Rule("ping", "ingress", "IPv4", "icmp"),
            Rule("range", "ingress", "IPv4", "6", 50, 90, "172.24.0.0/16"),
        )
        assert world.pings("172.24.4.100")
        assert world.asks("172.24.4.100", 80) == WORLD
        assert world.asks("172.24.4.100", 22, tries=2) is None, "a rule that was taken away"
        allow(Rule("range", "ingress", "IPv4", "tcp", 50, 90, "192.0.2.0/24"))
        assert world.asks("172.24.4.100", 80, tries=2) is None, "another sender than the rule's"


def test_a_connection_outlives_nothing_but_its_rules(lab: Lab):
    """Connection tracking: a guest that may not speak first may still answer."""
    silent, asking = port(1, 11, "silent"), port(1, 12)
    only_ingress = SecurityGroup("silent", (Rule("in", "ingress", "IPv4", "tcp", 80, 80),))
    lab.sync(Topology((network(1),), (silent, asking), (), (OPEN, only_ingress)))
    quiet, asker = addressed(lab, silent), addressed(lab, asking)
    with quiet.serving(80), asker.serving(80):
        assert asker.asks("10.0.1.11", 80) == "10.0.1.12"
        assert quiet.asks("10.0.1.12", 80, tries=2) is None


def test_a_stateless_group_lets_answers_in_by_its_rules_alone(lab: Lab):
    bare, other = port(1, 11, "bare"), port(1, 12)
    there = (*EGRESS, Rule("in", "ingress", "IPv4", "tcp", 80, 80))
    answers = Rule("back", "ingress", "IPv4", "tcp", 1024, 65535)

    def allow(*rules: Rule) -> None:
        lab.sync(Topology((network(1),), (bare, other), (), (OPEN, SecurityGroup("bare", rules, stateful=False))))

    allow(*there)
    guest, peer = addressed(lab, bare), addressed(lab, other)
    with guest.serving(80), peer.serving(80):
        assert peer.asks("10.0.1.11", 80) == "10.0.1.12", "both directions have a rule"
        assert guest.asks("10.0.1.12", 80, tries=2) is None, "no connection is tracked: its answers have no rule"
        assert peer.asks("10.0.1.11", 81, tries=1) is None
        allow(*there, answers)
        assert guest.asks("10.0.1.12", 80) == "10.0.1.11"


def test_a_remote_group_is_its_members_addresses(lab: Lab):
    ports = (port(1, 11, "db"), port(1, 12, "web"), port(1, 13))
    db = SecurityGroup(
        "db", (*EGRESS, Rule("from-web", "ingress", "IPv4", "tcp", 80, 80, remote_group_id="web"))
    )
    web = SecurityGroup("web", (Rule("out", "egress", "IPv4"),))
    lab.sync(Topology((network(1),), ports, (), (db, web, OPEN)))
    database, member, stranger = (addressed(lab, one) for one in ports)
    with database.serving(80):
        assert member.asks("10.0.1.11", 80) == "10.0.1.12"
        assert stranger.asks("10.0.1.11", 80, tries=2) is None


def test_a_remote_address_group_is_what_it_holds_by_now(lab: Lab):
    one, friend = port(1, 11, "web"), port(1, 12)
    rule = Rule("from", "ingress", "IPv4", remote_address_group_id="friends")

    def befriend(*addresses: str) -> None:
        web = SecurityGroup("web", (*EGRESS, rule))
        friends = AddressGroup("friends", addresses)
        lab.sync(Topology((network(1),), (one, friend), (), (OPEN, web), (friends,)))

    befriend("10.0.1.0/28", "fd00::/64")
    addressed(lab, one)
    guest = addressed(lab, friend)
    assert guest.pings("10.0.1.11")
    befriend()
    assert not guest.pings("10.0.1.11", tries=3)
    befriend("10.0.1.12/32")
    assert guest.pings("10.0.1.11")


def test_a_guest_cannot_take_another_address(lab: Lab):
    victim, thief = port(1, 11), port(1, 12)
    lab.sync(Topology((network(1),), (victim, thief), (), (OPEN,)))
    target, guest = addressed(lab, victim), addressed(lab, thief)
    assert guest.pings("10.0.1.11")
    guest.pretend("10.0.1.99", "10.0.1.11")
    assert not guest.pings("10.0.1.11", tries=3), "a foreign IP address"
    with target.serving(80) as peers:
        assert guest.asks("10.0.1.11", 80, tries=2) is None
    assert peers == []
    paired = port(1, 12, allowed_address_pairs=((thief.mac, "10.0.1.99"),))
    lab.sync(Topology((network(1),), (victim, paired), (), (OPEN,)))
    assert guest.pings("10.0.1.11"), "an allowed address pair"


def test_a_guest_cannot_take_another_hardware_address(lab: Lab):
    victim, thief = port(1, 11), port(1, 12)
    lab.sync(Topology((network(1),), (victim, thief), (), (OPEN,)))
    target, guest, false = addressed(lab, victim), addressed(lab, thief), "0a:00:00:00:01:66"
    assert guest.pings("10.0.1.11")
    with target.hearing() as heard:
        host.ip(guest.namespace, "link", "set", "dev", "eth0", "address", false)
        guest.pretend("10.0.1.99", "10.0.1.11")
        assert not guest.pings("10.0.1.11", tries=3)
        assert false not in heard()
        trusted = port(1, 12, port_security=False)
        lab.sync(Topology((network(1),), (victim, trusted), (), (OPEN,)))
        assert guest.pings("10.0.1.11"), "without port security it may be anyone"
        assert false in heard()


def test_a_port_that_is_down_carries_nothing(lab: Lab):
    one, other = port(1, 11), port(1, 12)
    lab.sync(Topology((network(1),), (one, other), (), (OPEN,)))
    guest = addressed(lab, one)
    addressed(lab, other)
    assert guest.pings("10.0.1.12")
    lab.sync(Topology((network(1),), (one, port(1, 12, admin_state_up=False)), (), (OPEN,)))
    assert not guest.pings("10.0.1.12", tries=3)
    lab.sync(Topology((network(1),), (one, other), (), (OPEN,)))
    assert guest.pings("10.0.1.12")


def test_metadata_sees_which_guest_of_which_network_asks(lab: Lab):
    """Two networks with the same addresses: each reaches its own listener, with its own address."""
    twin = Network(
        "net9", "twin", 1442, (Subnet("sub9", "10.0.1.0/24", gateway_ip="10.0.1.1", metadata_ip="10.0.1.2"),),
        metadata_port_id="md9", metadata_mac="0a:00:00:00:09:02",
    )  # fmt: skip
    one = port(1, 11)
    other = Port("p9-11", "net9", "0a:00:00:00:09:11", (FixedIp("sub9", "10.0.1.11"),), ("open",))
    lab.sync(Topology((network(1), twin), (one, other), (), (OPEN,)))
    served = {}
    with contextlib.ExitStack() as stack:
        for net, metadata, mac in (
            ("net1", "md1", "0a:00:00:00:01:02"),
            ("net9", "md9", "0a:00:00:00:09:02"),
        ):
            place = lab.fabric.ensure_metadata(net, metadata, mac, ("10.0.1.2/24",))
            served[net] = stack.enter_context(netlab.Guest(place, mac).serving(80, "169.254.169.254"))
        for which, net, unasked in ((one, "net1", "net9"), (other, "net9", "net1")):
            guest = lab.guest(which)
            guest.use_lease(guest.dhcp())
            served[net].clear(), served[unasked].clear()
            assert guest.asks("169.254.169.254", 80) == "10.0.1.11"
            assert served[net] == ["10.0.1.11"]
            assert served[unasked] == []


def test_a_network_has_a_domain_of_its_own(lab: Lab):
    net = network(1)
    one, other = port(1, 11, hostname="one"), port(1, 12)
    named = msgspec.structs.replace(net, dns_domain="lab.test")
    lab.sync(Topology((named,), (one, other), (router(1, gateway=False),), (OPEN,)))
    guest = addressed(lab, other)
    assert guest.resolves("one.lab.test", "10.0.1.1") == ["10.0.1.11"]


def test_names_of_guests_are_answered_on_their_network(lab: Lab):
    one, other = port(1, 11, hostname="First"), port(1, 12, hostname="second")
    lab.sync(Topology((network(1), EXTERNAL_NETWORK), (one, other), (router(1),), (OPEN,)))
    guest = lab.guest(one)
    lease = guest.dhcp()
    guest.use_lease(lease)
    assert lease["dns"] == ["10.0.1.1"]
    assert guest.resolves("second", lease["dns"][0]) == ["10.0.1.12"]
    assert guest.resolves("first.openstacklocal", lease["dns"][0]) == ["10.0.1.11"]


def test_ipv6_addresses_come_from_router_advertisements(lab: Lab):
    """The port's address is what the guest makes of its MAC address (RFC 4291, modified EUI-64)."""
    subnet = Subnet("six", "fd00:1::/64", 6, gateway_ip="fd00:1::1")
    net = Network("net1", "six", 1442, (subnet,))
    addresses = ("fd00:1::800:ff:fe00:111", "fd00:1::800:ff:fe00:112")
    ports = tuple(
        Port(f"p{n}", "net1", f"0a:00:00:00:01:{n}", (FixedIp("six", address),), ("open",))
        for n, address in zip((11, 12), addresses, strict=True)
    )
    leg = RouterPort("leg", "net1", "0a:00:00:00:01:01", (FixedIp("six", "fd00:1::1"),))
    lab.sync(Topology((net,), ports, (Router("r", "router", (leg,)),), (OPEN,)))
    guests = [lab.guest(one) for one in ports]
    for guest, address in zip(guests, addresses, strict=True):
        wait_for(lambda guest=guest, address=address: address in guest.addresses(), f"{address} to be made")
    assert guests[0].pings(addresses[1])


def test_ipv6_addresses_come_from_dhcp_where_the_subnet_says_so(lab: Lab):
    subnet = Subnet("six", "fd00:1::/64", 6, gateway_ip="fd00:1::1", ipv6_ra_mode="dhcpv6-stateful")
    mac = "0a:00:00:00:01:11"
    one = Port("p11", "net1", mac, (FixedIp("six", "fd00:1::abcd"),), ("closed",))
    lab.sync(Topology((Network("net1", "six", 1442, (subnet,)),), (one,), (), (SecurityGroup("closed"),)))
    assert lab.guest(one).dhcpv6() == "fd00:1::abcd"


def test_packets_flow_again_after_each_engine_was_killed(lab: Lab):
    one = port(1, 11)
    topology = Topology((network(1), EXTERNAL_NETWORK), (one,), (router(1),), (OPEN,))
    lab.sync(topology)
    guest = addressed(lab, one)
    assert guest.pings(WORLD)
    for daemon in lab.stack.daemons:
        before = daemon.pid()
        os.kill(before, signal.SIGKILL)
        wait_for(lambda daemon=daemon: daemon.pid() is None, f"{daemon.name} to die")
        assert lab.stack.check() == [daemon.name]
        assert daemon.pid() not in (None, before)
        assert lab.stack.check() == []
        wait_for(lambda: guest.pings(WORLD, tries=1), f"packets after {daemon.name} came back")
    assert lab.northbound.sync(topology) == 0
