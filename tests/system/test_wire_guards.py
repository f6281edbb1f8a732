"""With packets: guests that pretend to be others, or to be the network; and rules that are taken away under a flow."""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from pilvi.drivers.fabric import ovs_guard
from pilvi.drivers.fabric.base import FixedIp, Network, Port, Rule, SecurityGroup, Subnet, Topology
from pilvi.supervise import namespace as host
from tests.system import netlab
from tests.system.netlab import OPEN, Guest, Lab, TapGuest, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(netlab.missing() is not None, reason=f"no OVN here: {netlab.missing()}"),
]

EGRESS = tuple(Rule(f"egress-{ip}", "egress", ip) for ip in ("IPv4", "IPv6"))
SSH = Rule("ssh", "ingress", "IPv4", "tcp", 22, 22)
LAN = Network("net1", "lan 1", 1442, (Subnet("four", "10.0.1.0/24", enable_dhcp=False),
                                      Subnet("six", "fd00:1::/64", 6, enable_dhcp=False, ipv6_ra_mode=None)))
EVERYONE = "ff:ff:ff:ff:ff:ff"


def card(last: int, *groups: str, **details) -> Port:
    """A port with an address of each kind."""
    fixed = FixedIp("four", f"10.0.1.{last}"), FixedIp("six", f"fd00:1::{last}")
    return Port(f"p1-{last}", "net1", f"0a:00:00:00:01:{last:02x}", fixed, groups or ("open",), **details)


def guests(lab: Lab, *ports: Port) -> list[Guest]:
    found = [lab.guest(one) for one in ports]
    for guest, one in zip(found, ports, strict=True):
        for fixed, prefix in zip(one.fixed_ips, (24, 64), strict=True):
            guest.use(f"{fixed.ip_address}/{prefix}")
    return found


# -- frames


def octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(source: str, kind: int, payload: bytes, destination: str = EVERYONE) -> bytes:
    return octets(destination) + octets(source) + struct.pack("!H", kind) + payload


def claim(mac: str, address: str) -> bytes:
    """ARP: everybody is told that the address is at this MAC address."""
    said = octets(mac) + socket.inet_aton(address)
    return ethernet(mac, 0x0806, struct.pack("!2H2BH", 1, 0x0800, 6, 4, 2) + said + octets(EVERYONE) + said[6:])


def link_local(mac: str) -> str:
    """RFC 4291, modified EUI-64."""
    own = octets(mac)
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes([own[0] ^ 2]) + own[1:3] + b"\xff\xfe" + own[3:]))


def udp6(mac: str, to: Guest, source: int, destination: int) -> bytes:
    said = struct.pack("!3H", source, destination, 12)
    ends = b"".join(socket.inet_pton(socket.AF_INET6, link_local(one)) for one in (mac, to.mac))
    total = netlab.checksum(ends + struct.pack("!2I", 12, 17) + said + b"\0\0any!")
    header = struct.pack("!IHBB", 6 << 28, 12, 17, 255)
    return ethernet(mac, 0x86DD, header + ends + said + struct.pack("!H", total) + b"any!", to.mac)


def udp4(mac: str, address: str, source: int, destination: int) -> bytes:
    said = struct.pack("!4H", source, destination, 12, 0) + b"any!"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(said), 0, 0, 64, 17, 0, socket.inet_aton(address), b"\xff" * 4)
    return ethernet(mac, 0x0800, header[:10] + struct.pack("!H", netlab.checksum(header)) + header[12:] + said)


@contextlib.contextmanager
def listening(guest: Guest) -> Iterator[Callable[[bytes], bool]]:
    """Yields a function that tells whether this very frame has come so far."""
    came: set[bytes] = set()
    with contextlib.closing(guest.call(netlab.packet_socket, guest.device)) as wire:

        def heard(frame: bytes) -> bool:
            while select.select([wire], [], [], 0)[0]:
                came.add(wire.recv(2000))
            return any(one.startswith(frame) for one in came)

        yield heard


def say(guest: Guest, *frames: bytes) -> None:
    with contextlib.closing(guest.call(netlab.packet_socket, guest.device)) as wire:
        for frame in frames:
            wire.send(frame)


def test_a_guest_cannot_pretend_to_be_others_or_a_dhcp_server(lab: Lab):
    """Each false frame is followed by a true one, and none of the false ones has come when that has."""
    victim, thief, trusted = card(11), card(12), card(13, port_security=False)
    lab.sync(Topology((LAN,), (victim, thief, trusted), (), (OPEN,)))
    target, guest, free = guests(lab, victim, thief, trusted)

    def false(mac: str, address: str) -> dict[str, bytes]:
        return {
            "ARP for the gateway": claim(mac, "10.0.1.1"),
            "ARP for a neighbour": claim(mac, "10.0.1.11"),
            "a DHCP server's answer": udp4(mac, address, 67, 68),
            "a DHCPv6 server's answer": udp6(mac, target, 547, 546),
        }

    true = claim(thief.mac, "10.0.1.12"), udp4(thief.mac, "10.0.1.12", 6767, 6868), udp6(thief.mac, target, 5470, 5460)
    with listening(target) as heard:
        said = false(thief.mac, "10.0.1.12")
        say(guest, *said.values())
        for frame in true:
            wait_for(lambda frame=frame: say(guest, frame) or heard(frame), "what the guest may say")
        assert [what for what, frame in said.items() if heard(frame)] == []
        for what, frame in false(trusted.mac, "10.0.1.13").items():
            wait_for(lambda frame=frame: say(free, frame) or heard(frame), f"{what}, without port security")


def advertisement(mac: str) -> bytes:
    """RFC 4861, 4.2: everybody is told that this is a router."""
    ends = socket.inet_pton(socket.AF_INET6, link_local(mac)) + socket.inet_pton(socket.AF_INET6, "ff02::1")
    said = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    total = netlab.checksum(ends + struct.pack("!2I", len(said), 58) + said)
    header = struct.pack("!IHBB", 6 << 28, len(said), 58, 255)
    return ethernet(mac, 0x86DD, header + ends + said[:2] + struct.pack("!H", total) + said[4:], "33:33:00:00:00:01")


def test_a_guest_cannot_pretend_to_be_a_router(lab: Lab):
    """As on a host: behind taps, whose guards the agent keeps, and which the switch forgets with its controller."""
    victim, thief, trusted = card(11), card(12), card(13, port_security=False)
    lab.sync(Topology((LAN,), (victim, thief, trusted), (), (OPEN,)))
    target = lab.guest(victim)
    with contextlib.ExitStack() as stack:
        taps = {one.id: stack.enter_context(contextlib.closing(TapGuest(
            lab.name, lab.fabric.plug(one.id, one.mac, 1442, 0), one.mac))) for one in (thief, trusted)}
        wait_for(lambda: {thief.id, trusted.id} <= lab.northbound.ports_up(), "the taps' ports")
        heard = stack.enter_context(listening(target))
        false, marker = advertisement(thief.mac), claim(thief.mac, "10.0.1.12")

        def nothing_but_the_marker() -> None:
            taps[thief.id].say(false)
            wait_for(lambda: taps[thief.id].say(marker) or heard(marker), "what the guest may say")
            assert not heard(false)

        nothing_but_the_marker()  # as soon as it is plugged
        lab.fabric.guard([trusted.id])
        nothing_but_the_marker()
        free = advertisement(trusted.mac)
        wait_for(lambda: taps[trusted.id].say(free) or heard(free), "a router without port security")
        lab.fabric.guard([])
        host.run("ovs-ofctl", "del-flows", f"unix:{lab.root}/ovn/br-int.mgmt", f"cookie={ovs_guard.COOKIE}/-1")
        assert lab.fabric.guard([]) == 2
        assert lab.fabric.guard([]) == 0


def test_a_connection_is_cut_when_its_rule_is_taken_away(lab: Lab):
    ports = card(11, "web"), card(12)

    def allow(*rules: Rule) -> None:
        lab.sync(Topology((LAN,), ports, (), (OPEN, SecurityGroup("web", (*EGRESS, *rules)))))

    allow(SSH)
    server, client = guests(lab, *ports)
    listener = server.call(socket.create_server, ("0.0.0.0", 22))
    line = client.call(socket.create_connection, ("10.0.1.11", 22), 10)
    with listener, line, listener.accept()[0] as end:
        for one in (line, end):
            one.settimeout(1)
        line.sendall(b"in")
        end.settimeout(netlab.PATIENCE)
        assert end.recv(20) == b"in"
        end.settimeout(1)
        allow()
        line.sendall(b"still?")
        with pytest.raises(TimeoutError):
            end.recv(20)
        end.sendall(b"and back?")
        with pytest.raises(TimeoutError):
            line.recv(20)
        allow(SSH)
        end.settimeout(netlab.PATIENCE)
        assert end.recv(20) == b"still?", "what was sent again, since it is allowed again"


def test_a_connection_is_cut_when_its_client_leaves_the_remote_group(lab: Lab):
    members = SecurityGroup("members", EGRESS)
    inside = SecurityGroup("inside", (*EGRESS, Rule("in", "ingress", "IPv4", "tcp", 22, 22, remote_group_id="members")))

    def client_in(*groups: str) -> None:
        lab.sync(Topology((LAN,), (card(11, "inside"), card(12, *groups)), (), (OPEN, members, inside)))

    client_in("open", "members")
    server, client = guests(lab, card(11), card(12))
    listener = server.call(socket.create_server, ("0.0.0.0", 22))
    line = client.call(socket.create_connection, ("10.0.1.11", 22), 10)
    with listener, line, listener.accept()[0] as end:
        end.settimeout(netlab.PATIENCE)
        line.sendall(b"in")
        assert end.recv(20) == b"in"
        end.settimeout(1)
        client_in("open")
        line.sendall(b"still?")
        with pytest.raises(TimeoutError):
            end.recv(20)
