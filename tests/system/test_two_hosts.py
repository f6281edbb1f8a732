"""Two hosts on one kernel, each a namespace with a switch of its own, and Geneve on the wire between them."""

from __future__ import annotations

import contextlib
import socket

import pytest

from pilvi.drivers.fabric.base import FloatingIp, Rule, SecurityGroup, Topology
from pilvi.drivers.fabric.ovs import OvsFabric
from pilvi.supervise import namespace as host
from pilvi.supervise.ovn import OvnStack, Sockets
from tests.system import netlab
from tests.system.netlab import EXTERNAL_NETWORK, OPEN, WORLD, Guest, Lab, network, port, router, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(netlab.missing() is not None, reason=f"no OVN here: {netlab.missing()}"),
]

WIRE = {1: "198.18.0.1", 2: "198.18.0.2"}  # the hosts' addresses to each other
PORT, METADATA = 9000, "169.254.169.254"


class SecondHost(OvnStack):
    """A switch and its controller; the logical network comes from the first host's databases."""

    def __init__(self, lab: Lab) -> None:
        self._central = lab.stack.sockets
        super().__init__(lab.root / "two", f"{lab.name}-two", system_id="host-2", encap_ip=WIRE[2])
        self._databases = self._databases[-1:]

    @property
    def sockets(self) -> Sockets:
        return Sockets(self._central.nb, self._central.sb, super().sockets.ovsdb)


def wire(stack: OvnStack, device: str, address: str) -> None:
    """The host's end of the wire: the userspace datapath sends tunnels out of a bridge with the address."""
    kind = "netdev" if stack.userspace else "system"
    host.checksums_off(stack.namespace, device)
    host.ip(stack.namespace, "link", "set", device, "up")
    made = ("add-br", "br-phy", "--", "set", "Bridge", "br-phy", f"datapath_type={kind}")
    stack.vsctl(*made, "--", "add-port", "br-phy", device)
    host.ip(stack.namespace, "address", "add", f"{address}/24", "dev", "br-phy")
    host.ip(stack.namespace, "link", "set", "br-phy", "up")


@pytest.fixture(scope="module")
def both():
    """The lab, whose own host is the first one, and the second."""
    with contextlib.ExitStack() as undo:
        lab = Lab()
        undo.callback(lab.close)
        second = SecondHost(lab)
        undo.callback(second.stop)
        second.start()
        host.ip(lab.name, "link", "add", "wire1", "type", "veth", "peer", "name", "wire2", "netns", second.namespace)
        lab.stack.vsctl("set", "Open_vSwitch", ".", f"external_ids:ovn-encap-ip={WIRE[1]}")
        wire(lab.stack, "wire1", WIRE[1])
        wire(second, "wire2", WIRE[2])
        undo.callback(lab.clear)
        yield lab, second


def test_guests_on_two_hosts_are_on_one_network(both):
    lab, second = both
    web = SecurityGroup("web", (Rule("out", "egress", "IPv4"), Rule("in", "ingress", "IPv4", "tcp", 80, 80)))
    here, there, routed = port(1, 11), port(1, 12, "web"), port(2, 11)
    floating = FloatingIp("fip", "172.24.4.100", "10.0.2.11", routed.id)
    way = router(1, 2, floating_ips=(floating,))
    lab.sync(Topology((network(1), network(2), EXTERNAL_NETWORK), (here, there, routed), (way,), (OPEN, web)))
    guest, far, behind = lab.guest(here), lab.guest(there, on=second), lab.guest(routed, on=second)
    for one in (guest, far, behind):
        one.use_lease(one.dhcp())

    with far.serving(80), far.serving(81), behind.serving(22):
        wait_for(lambda: guest.asks("10.0.1.12", 80, tries=1) == "10.0.1.11", "the other host's guest")
        assert guest.asks("10.0.1.12", 81, tries=2) is None, "security groups count across hosts"
        assert not guest.pings("10.0.1.12", tries=2)
        assert guest.asks("10.0.2.11", 22) == "10.0.1.11", "through a router"
        world = lab.outsider()
        assert world.asks("172.24.4.100", 22) == WORLD, "in through the first host's gateway"
    with world.serving(8080):
        assert behind.asks(WORLD, 8080) == "172.24.4.100"
        assert far.asks(WORLD, 8080) == "172.24.4.10", "and out"
    with far.serving(80), contextlib.closing(guest.call(socket.create_connection, ("10.0.1.12", 80), 10)) as line:
        assert line.recv(100) == b"10.0.1.11"
    assert big_packets_pass(guest, behind, "10.0.2.11")


def big_packets_pass(sender: Guest, receiver: Guest, address: str) -> bool:
    """Datagrams that fill the network's packets whole, which the tunnel makes as large as the wire's (1500)."""
    with receiver.call(_inbox) as inbox, sender.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO: never in fragments

        def arrives() -> bool:
            out.sendto(b"x" * (1442 - 28), (address, PORT))
            with contextlib.suppress(TimeoutError):
                return len(inbox.recv(2000)) == 1442 - 28
            return False

        return bool(wait_for(arrives, "a packet of 1442 bytes"))


def _inbox() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("0.0.0.0", PORT))
    made.settimeout(0.5)
    return made


def test_each_host_answers_its_own_guests_for_metadata(both):
    lab, second = both
    lab.clear()
    here, there = port(1, 11), port(1, 12)
    lab.sync(Topology((network(1),), (here, there), (), (OPEN,)))
    fabrics = lab.fabric, OvsFabric(second.sockets.ovsdb, second.namespace, userspace=second.userspace)
    places = [one.ensure_metadata("net1", "md1", "0a:00:00:00:01:02", ("10.0.1.2/24",)) for one in fabrics]
    first, other = (Guest(place, "") for place in places)
    try:
        with first.serving(80, METADATA) as at_first, other.serving(80, METADATA) as at_other:
            for which, on, asked, unasked in ((here, None, at_first, at_other), (there, second, at_other, at_first)):
                guest = lab.guest(which, on=on)
                guest.use_lease(guest.dhcp())
                asked.clear(), unasked.clear()
                assert guest.asks(METADATA, 80) == which.fixed_ips[0].ip_address
                assert (len(asked), unasked) == (1, [])
    finally:
        fabrics[1].absent_metadata("net1")
