"""With packets: traffic that is shaped, ports that are VLANs of a trunk, networks that are VLANs of the world outside."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import msgspec
import pytest

from pilvi.drivers.fabric.base import FixedIp, FloatingIp, Network, Port, Shaping, Subnet, Topology
from pilvi.supervise import namespace as host
from tests.system import netlab
from tests.system.netlab import (
    EXTERNAL_NETWORK,
    OPEN,
    WORLD,
    Guest,
    Lab,
    Vlan,
    addressed,
    network,
    port,
    router,
    wait_for,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(netlab.missing() is not None, reason=f"no OVN here: {netlab.missing()}"),
]

SENT = 5000  # kbit/s that a test sends; a limit of 1000 is far from it, whatever else the machine does
LIMIT, BURST = 1000, 100


class Flow:
    """Datagrams of 1000 bytes from one guest to another, SENT kbit/s for `seconds`."""

    def __init__(self, sender: Guest, receiver: Guest, address: str, seconds: float = 1.0, number: int = 9000):
        self.received = 0
        self.marks: set[int] = set()
        self._inward = receiver.call(_listening, number)
        self._outward = sender.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        self._to, self._count, self._seconds = (address, number), int(seconds * SENT / 8), seconds

    def run(self) -> float:
        """What share of it arrived."""
        listener = threading.Thread(target=self._listen)
        listener.start()
        with self._outward, self._inward:
            start = time.monotonic()
            for number in range(self._count):
                self._outward.sendto(bytes(1000), self._to)
                time.sleep(max(0.0, start + number * self._seconds / self._count - time.monotonic()))
            # A slow machine takes longer, and so more may pass.
            self.longer = max(1.0, (time.monotonic() - start) / self._seconds)
            listener.join()
        return self.received / self._count

    def _listen(self) -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                _, hidden, _, _ = self._inward.recvmsg(2000, 100)
                self.received += 1
                self.marks |= {data[0] >> 2 for level, kind, data in hidden if (level, kind) == (0, socket.IP_TOS)}


def _listening(number: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    found.bind(("0.0.0.0", number))
    found.settimeout(0.4)
    return found


def all_arrives(*between: object) -> bool:
    return Flow(*between, seconds=0.3).run() > 0.9


def is_limited(*between: object) -> bool:
    """About LIMIT of SENT arrives, and what may pass at once."""
    flow = Flow(*between)
    share = flow.run()
    return 0.1 < share < (LIMIT + BURST) / SENT * 1.2 * flow.longer


def test_a_ports_traffic_is_limited_in_the_direction_that_was_said_and_marked(lab: Lab):
    one, other = port(1, 11), port(1, 12)

    def shape(*shaping: Shaping) -> None:
        shaped = msgspec.structs.replace(one, shaping=shaping)
        lab.sync(Topology((network(1),), (shaped, other), (), (OPEN,)))

    shape()
    here, there = addressed(lab, one), addressed(lab, other)
    assert here.pings("10.0.1.12")
    outward, inward = (here, there, "10.0.1.12"), (there, here, "10.0.1.11")
    assert all_arrives(*outward)
    shape(Shaping("egress", LIMIT, BURST, 26))
    assert is_limited(*outward)
    assert all_arrives(*inward)
    marked = Flow(*outward, seconds=0.1)
    assert marked.run() > 0
    assert marked.marks == {26}
    shape(Shaping("ingress", LIMIT, BURST))
    assert is_limited(*inward)
    assert all_arrives(*outward)
    shape()
    assert all_arrives(*inward)


def test_ports_of_one_policy_have_its_limit_each(lab: Lab):
    shaping = (Shaping("egress", LIMIT, BURST),)
    ports = port(1, 11, shaping=shaping), port(1, 12, shaping=shaping), port(1, 13)
    lab.sync(Topology((network(1),), ports, (), (OPEN,)))
    *senders, receiver = (addressed(lab, each) for each in ports)
    flows = [Flow(sender, receiver, "10.0.1.13", number=number) for number, sender in enumerate(senders, 9000)]
    threads = [threading.Thread(target=flow.run) for flow in flows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    least = LIMIT / SENT * 0.7 * SENT / 8
    assert all(flow.received > least for flow in flows), [flow.received for flow in flows]


def test_a_floating_ip_and_a_gateway_have_limits_of_their_own(lab: Lab):
    one, other = port(1, 11), port(1, 12)
    limit = Shaping("egress", LIMIT, BURST)

    def shape(floating: Shaping | None = None, gateway: Shaping | None = None) -> None:
        known = FloatingIp("fip", "172.24.4.100", "10.0.1.11", one.id, (floating,) if floating else ())
        way = router(1, floating_ips=(known,))
        out = msgspec.structs.replace(way.gateway, shaping=(gateway,) if gateway else ())
        way = msgspec.structs.replace(way, gateway=out)
        lab.sync(Topology((network(1), EXTERNAL_NETWORK), (one, other), (way,), (OPEN,)))

    shape()
    known, hidden, world = addressed(lab, one), addressed(lab, other), lab.outsider()
    assert known.pings(WORLD)
    assert hidden.pings(WORLD)
    shape(floating=limit)
    assert is_limited(known, world, WORLD)
    assert all_arrives(hidden, world, WORLD)
    assert all_arrives(world, known, "172.24.4.100")
    shape(floating=Shaping("ingress", LIMIT, BURST))
    assert is_limited(world, known, "172.24.4.100")
    shape(floating=Shaping("egress", 100 * SENT), gateway=limit)
    assert is_limited(hidden, world, WORLD)
    assert all_arrives(known, world, WORLD), "a floating address goes before its gateway"


def vlan(guest: Guest, number: int, address: str, mac: str | None = None) -> contextlib.closing[Vlan]:
    found = Vlan(guest, number, mac or guest.mac)
    found.use(address)
    return contextlib.closing(found)


def test_a_trunks_subports_are_reached_over_its_parents_card(lab: Lab):
    parent, two, three = port(1, 11), port(2, 11), port(3, 11)
    peers = [port(number, 12) for number in (1, 2, 3)]
    subports = (msgspec.structs.replace(two, trunk=(parent.id, 100)), msgspec.structs.replace(three, trunk=(parent.id, 200)))
    nets = (network(1), network(2), network(3))
    lab.sync(Topology(nets, (parent, *subports, *peers), (), (OPEN,)))
    guest = lab.guest(parent)
    guest.use("10.0.1.11/24")
    for each in peers:
        lab.guest(each).use(f"{each.fixed_ips[0].ip_address}/24")
    wait_for(lambda: {two.id, three.id} <= lab.northbound.ports_up(), "the subports to come up with their parent")
    with vlan(guest, 100, "10.0.2.11/24", two.mac), vlan(guest, 200, "10.0.3.11/24", three.mac):
        for address in ("10.0.1.12", "10.0.2.12", "10.0.3.12"):
            assert guest.pings(address), address
        lab.sync(Topology(nets, (parent, two, subports[1], *peers), (), (OPEN,)))
        assert guest.pings("10.0.3.12")
        assert not guest.pings("10.0.2.12", tries=3), "the VLAN leads nowhere any more"


def test_a_guests_own_vlans_pass_where_the_network_is_transparent(lab: Lab):
    one, other = (port(1, number, port_security=False) for number in (11, 12))

    def transparent(wanted: bool) -> None:
        lab.sync(Topology((msgspec.structs.replace(network(1), vlan_transparent=wanted),), (one, other), (), (OPEN,)))

    transparent(True)
    here, there = addressed(lab, one), addressed(lab, other)
    with vlan(here, 7, "192.0.2.1/24"), vlan(there, 7, "192.0.2.2/24"):
        assert here.pings("192.0.2.2")
        transparent(False)
        assert here.pings("10.0.1.12")
        assert not here.pings("192.0.2.2", tries=3)


def test_a_vlan_network_is_that_vlan_of_the_world_outside(lab: Lab):
    subnet = Subnet("sub5", "10.0.5.0/24", gateway_ip="10.0.5.1")
    net = Network("net5", "tagged", 1500, (subnet,), "public", vlan=42)
    one = Port("p5-11", "net5", "0a:00:00:00:05:0b", (FixedIp("sub5", "10.0.5.11"),), ("open",))
    lab.sync(Topology((EXTERNAL_NETWORK, net), (one,), (router(5),), (OPEN,)))
    guest, world = addressed(lab, one), lab.outsider()
    assert guest.pings(WORLD), "through a router, from one VLAN of the world to another"
    with vlan(world, 42, "10.0.5.200/24", "0a:00:00:00:05:c8"):
        assert guest.pings("10.0.5.200")
    with vlan(world, 43, "10.0.5.200/24", "0a:00:00:00:05:c8"):
        assert not guest.pings("10.0.5.200", tries=3), "another VLAN is another network"


def test_a_networks_tunnels_have_its_id(lab: Lab):
    numbered = msgspec.structs.replace(network(1), tunnel_key=70_000)
    lab.sync(Topology((numbered,), (port(1, 11),), (), (OPEN,)))
    southbound = ("ovn-sbctl", f"--db={lab.stack.sockets.sb}", "--bare", "--columns=tunnel_key", "list")
    assert host.run(*southbound, "Datapath_Binding").split() == ["70000"]
