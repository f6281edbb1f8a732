"""With packets: longer ways. Several routers, no translation, packets of every size, metadata and DHCP of each kind."""

from __future__ import annotations

import contextlib
import socket

import msgspec
import pytest

from pilvi.drivers.fabric.base import (
    FixedIp,
    Gateway,
    Network,
    Port,
    Route,
    Router,
    RouterPort,
    Subnet,
    Topology,
)
from pilvi.supervise import namespace as host
from tests.system import netlab
from tests.system.netlab import EXTERNAL_NETWORK, OPEN, WORLD, Guest, Lab, addressed, network, port, router, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(netlab.missing() is not None, reason=f"no OVN here: {netlab.missing()}"),
]


IP_MTU_DISCOVER, IP_MTU, IP_PMTUDISC_DONT, IP_PMTUDISC_DO = 10, 14, 0, 2  # linux/in.h
HEADERS = 28  # of IPv4 and UDP


def test_without_snat_guests_are_known_outside_by_their_own_addresses(lab: Lab):
    one = port(1, 11)
    outward = Gateway("gw", "ext", "0a:00:00:00:ff:01", (FixedIp("ext-4", "172.24.4.10"),), enable_snat=False)
    leg = RouterPort("leg1", "net1", "0a:00:00:00:01:01", (FixedIp("sub1", "10.0.1.1"),))
    lab.sync(Topology((network(1), EXTERNAL_NETWORK), (one,), (Router("r", "router", (leg,), outward),), (OPEN,)))
    guest, world = addressed(lab, one), lab.outsider()
    assert not guest.pings(WORLD, tries=2), "the outside knows no way back"
    host.ip(lab.outside, "route", "add", "10.0.1.0/24", "via", "172.24.4.10")
    try:
        with world.serving(8080), guest.serving(22):
            assert guest.asks(WORLD, 8080) == "10.0.1.11"
            assert world.asks("10.0.1.11", 22) == WORLD
    finally:
        host.ip(lab.outside, "route", "delete", "10.0.1.0/24")


def test_two_subnets_reach_each_other_over_three_routers_by_static_routes(lab: Lab):
    """net1 - left - net8 - middle - net9 - right - net2; the outermost routers know nothing but the next one."""

    def joins(name: str, *legs: tuple[int, int], **details: object) -> Router:
        ports = (RouterPort(f"{name}{net}", f"net{net}", f"0a:00:00:00:{net:02x}:{last:02x}",
                            (FixedIp(f"sub{net}", f"10.0.{net}.{last}"),)) for net, last in legs)
        return Router(name, name, tuple(ports), **details)

    def routed(*back: Route) -> Topology:
        left = joins("left", (1, 1), (8, 21), routes=(Route("10.0.2.0/24", "10.0.8.22"),))
        middle = joins("middle", (8, 22), (9, 22), routes=(Route("10.0.2.0/24", "10.0.9.23"), *back))
        right = joins("right", (9, 23), (2, 1), routes=(Route("10.0.1.0/24", "10.0.9.22"),))
        return Topology(tuple(map(network, (1, 2, 8, 9))), (here, there), (left, middle, right), (OPEN,))

    here, there = port(1, 11), port(2, 11)
    lab.sync(routed())
    guest, other = addressed(lab, here), addressed(lab, there)
    assert not guest.pings("10.0.2.11", tries=3), "no way back yet"
    lab.sync(routed(Route("10.0.1.0/24", "10.0.8.21")))
    assert guest.pings("10.0.2.11")
    assert other.pings("10.0.1.11")
    assert not guest.pings("10.0.9.23", tries=2), "a subnet that nobody has a route to"
    with other.serving(80):
        assert guest.asks("10.0.2.11", 80) == "10.0.1.11"


def test_packets_of_every_size_arrive_or_their_sender_is_told(lab: Lab):
    """Through a router into a network that takes smaller ones (RFC 1191), and in fragments where that is allowed."""
    wide, narrow = network(1), msgspec.structs.replace(network(2), mtu=1300)
    here, there = port(1, 11), port(2, 11)
    lab.sync(Topology((wide, narrow), (here, there), (router(1, 2, gateway=False),), (OPEN,)))
    guest, other = addressed(lab, here), lab.guest(there, mtu=1300)
    other.use("10.0.2.11/24", "10.0.2.1")
    inbox = other.call(_datagrams, 9000)
    whole = guest.call(_datagrams, 0)
    whole.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    parted = guest.call(_datagrams, 0)
    parted.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
    with inbox, whole, parted:
        whole.connect(("10.0.2.11", 9000))

        def told() -> bool:
            with contextlib.suppress(OSError):
                whole.send(b"x" * (1442 - HEADERS))
            whole.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # which what comes next would else report
            return whole.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1300

        assert whole.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1442
        wait_for(told, "the router's word that it was too big")
        whole.send(b"x" * (1300 - HEADERS))
        assert len(inbox.recv(5000)) == 1300 - HEADERS
        with pytest.raises(OSError, match="Message too long"):
            whole.send(b"x" * (1301 - HEADERS))
        parted.sendto(b"y" * 4000, ("10.0.2.11", 9000))
        assert inbox.recv(5000) == b"y" * 4000


def _datagrams(number: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("0.0.0.0", number))
    made.settimeout(netlab.PATIENCE)
    return made


def test_metadata_is_reached_from_isolated_networks_over_both_ip_versions(lab: Lab):
    """No router: the way to 169.254.169.254 comes by DHCP, fe80::a9fe:a9fe is on every link."""
    six = Subnet("six1", "fd00:1::/64", 6, metadata_ip="fd00:1::2", ipv6_ra_mode=None)
    lan = msgspec.structs.replace(network(1), subnets=(*network(1).subnets, six))
    one = msgspec.structs.replace(port(1, 11), fixed_ips=(FixedIp("sub1", "10.0.1.11"), FixedIp("six1", "fd00:1::11")))
    lab.sync(Topology((lan,), (one,), (), (OPEN,)))
    place = lab.fabric.ensure_metadata("net1", "md1", "0a:00:00:00:01:02", ("10.0.1.2/24", "fd00:1::2/64"))
    guest = lab.guest(one)
    guest.use_lease(guest.dhcp())
    guest.use("fd00:1::11/64")
    with Guest(place, "").serving(80, "169.254.169.254"):
        assert guest.asks("169.254.169.254", 80) == "10.0.1.11"
    with Guest(place, "").serving(80, "fe80::a9fe:a9fe%eth0"):
        assert guest.asks("fe80::a9fe:a9fe%eth0", 80).partition("%")[0] in ("fd00:1::11", "fe80::800:ff:fe00:10b")


def test_name_servers_are_told_over_dhcpv6_where_addresses_come_from_advertisements(lab: Lab):
    subnet = Subnet("six", "fd00:1::/64", 6, gateway_ip="fd00:1::1", ipv6_ra_mode="dhcpv6-stateless",
                    dns_nameservers=("fd00:53::53",))
    one = Port("p11", "net1", "0a:00:00:00:01:11", (FixedIp("six", "fd00:1::800:ff:fe00:111"),), ("open",))
    leg = RouterPort("leg", "net1", "0a:00:00:00:01:01", (FixedIp("six", "fd00:1::1"),))
    lab.sync(Topology((Network("net1", "six", 1442, (subnet,)),), (one,), (Router("r", "router", (leg,)),), (OPEN,)))
    guest = lab.guest(one)
    wait_for(lambda: "fd00:1::800:ff:fe00:111" in guest.addresses(), "an address of one's own making")
    assert guest.dhcpv6_names() == ["fd00:53::53"]
    assert guest.dhcpv6() is None, "no address is given"
