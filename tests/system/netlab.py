"""A network laboratory for tests: a private OVN, an outside world and guests, each in a namespace of its own.

No packet leaves these namespaces. A guest is a namespace with a veth, or a tap that the test itself reads and
writes. Everything is taken away by `close`, also after a failure half-way.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pilvi.drivers.fabric.base import (
    FixedIp,
    Gateway,
    Network,
    Port,
    Router,
    RouterPort,
    Rule,
    SecurityGroup,
    Subnet,
    Topology,
)
from pilvi.drivers.fabric.ovn import OvnNorthbound
from pilvi.drivers.fabric.ovs import OvsFabric
from pilvi.supervise import namespace as host
from pilvi.supervise.ovn import OvnStack, missing_programs

PATIENCE = 15.0  # seconds after which a condition that should come has not come
EXTERNAL = "172.24.4.0/24"
WORLD = "172.24.4.1"
SOL_PACKET, PACKET_AUXDATA, TAGGED = 263, 8, 16  # linux/if_packet.h: TP_STATUS_VLAN_VALID
_labs = itertools.count()


def missing() -> str | None:
    """Why no lab can be made here, None where one can."""
    if os.geteuid():
        return "network namespaces need root"
    absent = [*missing_programs(), *(name for name in ("ip", "nsenter", "ethtool") if not shutil.which(name))]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return None


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> object:
    """The condition's first true answer. Fails the test where none comes."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)


class Lab:
    """`stack`, `northbound` and `fabric` are the real ones; `outside` is the namespace behind br-ex."""

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()
        self.name = f"lab{os.getpid()}-{next(_labs)}"
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="lab"))
        self._undo.callback(shutil.rmtree, self.root, ignore_errors=True)
        self.stack = OvnStack(
            self.root / "ovn", self.name, system_id="host-1", bridge_mappings={"public": "br-ex"}
        )
        self._undo.callback(self._absent_namespaces)
        self._undo.callback(self.stack.stop)
        self.stack.start()
        self.outside = f"{self.name}-out"
        host.ensure_namespace(self.outside)
        self.stack.ensure_way_out("br-ex", "up0", "out0", [f"{WORLD}/24"], self.outside)
        self.northbound = OvnNorthbound(
            self.stack.sockets.nb, ["host-1"], southbound=self.stack.sockets.sb
        )
        self._undo.callback(self.northbound.close)
        self.fabric = OvsFabric(self.stack.sockets.ovsdb, self.name, userspace=self.stack.userspace)
        self._guests = contextlib.ExitStack()
        self._undo.callback(self._guests.close)

    def close(self) -> None:
        self._undo.close()

    def _absent_namespaces(self) -> None:
        for name in os.listdir(host.NAMESPACES):
            if name == self.name or name.startswith(f"{self.name}-"):
                host.absent_namespace(name)

    def clear(self) -> None:
        """Takes guests, taps, metadata ports and the topology away: the lab is as new."""
        self._guests.close()
        for port_id in self.fabric.plugged():
            self.fabric.unplug(port_id)
        for network_id in self.fabric.metadata_networks():
            self.fabric.absent_metadata(network_id)
        self.northbound.sync(Topology())

    def sync(self, topology: Topology) -> None:
        """Returns when the switch has all of it."""
        self.northbound.sync(topology)
        self.settle()

    def settle(self) -> None:
        host.run("ovn-nbctl", f"--db={self.stack.sockets.nb}", "--timeout=15", "--wait=hv", "sync")

    def guest(self, port: Port, mtu: int = 1442, on: OvnStack | None = None) -> Guest:
        """A namespace with the port's card in it, without an address; `on` another host than the lab's own."""
        stack = on or self.stack
        number = f"{port.id}"[:11]
        name, device = f"{self.name}-{number}", f"v-{number}"
        self._guests.callback(host.absent_namespace, name)
        # A guest is not of the stack: it hears of IPv6 and answers as any host does.
        host.ensure_namespace(name)
        self._guests.callback(host.absent_link, stack.namespace, device)
        self._guests.callback(stack.vsctl, "--if-exists", "del-port", "br-int", device)
        host.ip(stack.namespace, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
        host.checksums_off(name, "eth0")
        host.ip(name, "link", "set", "dev", "eth0", "address", port.mac, "mtu", str(mtu), "up")
        host.ip(stack.namespace, "link", "set", "dev", device, "up")
        joined = ("set", "Interface", device, f"external_ids:iface-id={port.id}")
        stack.vsctl("add-port", "br-int", device, "--", *joined)
        wait_for(lambda: port.id in self.northbound.ports_up(), f"port {port.id} to come up")
        self.settle()
        return Guest(name, port.mac)

    def outsider(self) -> Guest:
        return Guest(self.outside, "", "out0")


class Guest:
    """Speaks from inside a namespace."""

    def __init__(self, namespace: str, mac: str, device: str = "eth0") -> None:
        self.namespace = namespace
        self.mac = mac
        self.device = device

    def call(self, function: Callable, *arguments: object) -> object:
        return host.call_in(self.namespace, function, *arguments)

    def use(self, address: str, gateway: str | None = None) -> None:
        nodad = ("nodad",) if ":" in address else ()
        host.ip(self.namespace, "address", "add", address, "dev", self.device, *nodad)
        if gateway is not None:
            host.ip(self.namespace, "route", "add", "default", "via", gateway)

    def pretend(self, address: str, towards: str) -> None:
        """Sends with this address from now on where the other one is spoken to."""
        host.ip(self.namespace, "address", "add", f"{address}/32", "dev", self.device)
        host.ip(self.namespace, "route", "replace", f"{towards}/32", "dev", self.device, "src", address)

    def use_lease(self, lease: dict) -> None:
        """Configures itself as a DHCP client does."""
        self.use(f"{lease['address']}/{lease['prefix']}")
        for destination, nexthop in lease["routes"]:
            host.ip(self.namespace, "route", "add", destination, "via", nexthop)

    def dhcp(self) -> dict:
        with contextlib.closing(self.call(packet_socket, self.device)) as wire:
            return dhcp(wire.send, wire.recv, wire.fileno(), self.mac)

    def dhcpv6(self) -> str | None:
        """The address that a server offers to a Solicit (RFC 8415); None where nobody does."""
        usable = ("-6", "-o", "address", "show", "dev", self.device, "scope", "link", "-tentative")
        wait_for(lambda: host.ip(self.namespace, *usable), "a usable link-local address")
        return self.call(_solicit, self.device, self.mac)

    def dhcpv6_names(self) -> list[str]:
        """The name servers that a server tells one who only asks for information (RFC 8415)."""
        usable = ("-6", "-o", "address", "show", "dev", self.device, "scope", "link", "-tentative")
        wait_for(lambda: host.ip(self.namespace, *usable), "a usable link-local address")
        return self.call(_information, self.device, self.mac)

    def pings(self, address: str, tries: int = 10) -> bool:
        """Whether an answer comes to one of the echo requests."""
        return bool(self.call(_ping, address, tries))

    @contextlib.contextmanager
    def hearing(self) -> Iterator[Callable[[], set[str]]]:
        """Yields a function that tells the MAC addresses of those from whom frames have come so far."""
        senders: set[str] = set()
        with contextlib.closing(self.call(packet_socket, self.device)) as wire:

            def heard() -> set[str]:
                while select.select([wire], [], [], 0)[0]:
                    frame, (_, _, kind, *_) = wire.recvfrom(2000)
                    if kind != socket.PACKET_OUTGOING:
                        senders.add(frame[6:12].hex(":"))
                return senders

            yield heard

    @contextlib.contextmanager
    def serving(self, port: int, address: str = "0.0.0.0") -> Iterator[list[str]]:
        """A TCP server that tells each client the address it came from; yields the list of them."""
        peers: list[str] = []
        listener = host.listen_in(self.namespace, address, port)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, peer = listener.accept()
                    peers.append(peer[0])
                    with client:
                        client.sendall(peer[0].encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield peers
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(5)

    def asks(self, address: str, port: int, tries: int = 5) -> str | None:
        """What the server at the address says; None where no connection comes about."""

        def ask() -> str | None:
            for _ in range(tries):
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection((address, port), 1.0) as connection,
                ):
                    return connection.recv(100).decode()
            return None

        return self.call(ask)

    def resolves(self, name: str, server: str) -> list[str]:
        """The A records that the server has of a name."""

        def ask() -> list[str]:
            labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split(".")) + b"\0"
            query = struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!2H", 1, 1)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(1.0)
                for _ in range(5):
                    with contextlib.suppress(OSError):
                        asking.sendto(query, (server, 53))
                        answer = asking.recv(1500)
                        count = struct.unpack_from("!H", answer, 6)[0]
                        # A record: the name (OVN writes it out again), type, class, TTL, length, address.
                        size = len(labels) + 14
                        ends = range(len(query) + size, len(query) + size * count + 1, size)
                        return [socket.inet_ntoa(answer[end - 4 : end]) for end in ends]
            return []

        return self.call(ask)

    def addresses(self) -> set[str]:
        listed = host.ip(self.namespace, "-o", "address", "show", "dev", self.device)
        return {line.split()[3].partition("/")[0] for line in listed.splitlines()}


class Vlan(Guest):
    """A VLAN of a guest's card as an interface of its own: what the kernel's 8021q does, which not every kernel has."""

    def __init__(self, guest: Guest, number: int, mac: str) -> None:
        super().__init__(guest.namespace, mac, f"vlan{number}")
        host.ip(self.namespace, "tuntap", "add", "dev", self.device, "mode", "tap")
        host.ip(self.namespace, "link", "set", "dev", self.device, "address", mac, "mtu", "1400", "up")
        self._number = number
        self._inner = host.open_tap(self.namespace, self.device, offloads=False)
        self._wire = guest.call(packet_socket, guest.device)
        self._wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.close(self._stopped)
        self._thread.join(5)
        self._wire.close()
        os.close(self._inner)
        os.close(self._stop)
        host.absent_link(self.namespace, self.device)

    def _carry(self) -> None:
        tag = struct.pack("!2H", 0x8100, self._number)
        while True:
            ready = select.select([self._stop, self._inner, self._wire], [], [])[0]
            if self._stop in ready:
                return
            if self._inner in ready:
                frame = os.read(self._inner, 2000)
                self._wire.send(frame[:12] + tag + frame[12:])
            if self._wire in ready:
                frame, auxiliary, _, (_, _, kind, *_) = self._wire.recvmsg(2000, 100)
                if kind != socket.PACKET_OUTGOING and _tag(auxiliary) == self._number:
                    os.write(self._inner, frame)


def _tag(auxiliary: list[tuple[int, int, bytes]]) -> int | None:
    """The VLAN of a frame, which the kernel gives beside it (packet(7), PACKET_AUXDATA)."""
    for level, kind, data in auxiliary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, number = struct.unpack_from("I12xH", data)
            return number & 0xFFF if status & TAGGED else None
    return None


class TapGuest:
    """What QEMU is to a tap: the test holds the other end."""

    def __init__(self, namespace: str, device: str, mac: str) -> None:
        self.mac = mac
        self._handle = host.open_tap(namespace, device, offloads=False)

    def dhcp(self) -> dict:
        send, receive = (
            (lambda frame: os.write(self._handle, frame)),
            (lambda size: os.read(self._handle, size)),
        )
        return dhcp(send, receive, self._handle, self.mac)

    def say(self, frame: bytes) -> None:
        os.write(self._handle, frame)

    def close(self) -> None:
        os.close(self._handle)


def packet_socket(device: str) -> socket.socket:
    everything = socket.htons(3)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, everything)
    wire.bind((device, 3))
    return wire


def _solicit(device: str, mac: str) -> str | None:
    transaction = os.urandom(3)
    client = struct.pack("!4H", 1, 10, 3, 1) + bytes.fromhex(mac.replace(":", ""))
    association = struct.pack("!2H3I", 3, 12, 1, 0, 0)
    message = b"\x01" + transaction + client + association + struct.pack("!3H", 8, 2, 0)
    answer = _ask6(device, message, b"\x02" + transaction)
    if answer is None or 3 not in answer:
        return None
    # IA_NA has 12 bytes of its own before its options, IA Address begins with the address.
    return socket.inet_ntop(socket.AF_INET6, _options6(answer[3][12:])[5][:16])


def _information(device: str, mac: str) -> list[str]:
    transaction = os.urandom(3)
    client = struct.pack("!4H", 1, 10, 3, 1) + bytes.fromhex(mac.replace(":", ""))
    message = b"\x0b" + transaction + client + struct.pack("!3H3H", 8, 2, 0, 6, 2, 23)
    names = (_ask6(device, message, b"\x07" + transaction) or {}).get(23, b"")
    return [socket.inet_ntop(socket.AF_INET6, names[start : start + 16]) for start in range(0, len(names), 16)]


def _ask6(device: str, message: bytes, beginning: bytes) -> dict[int, bytes] | None:
    """The options of the answer that begins so; None where none comes."""
    servers = ("ff02::1:2", 547, 0, socket.if_nametoindex(device))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
        asking.bind(("::", 546))
        asking.settimeout(0.3)
        for _ in range(10):
            with contextlib.suppress(OSError):
                asking.sendto(message, servers)
                answer = asking.recv(1500)
                if answer[:4] == beginning:
                    return _options6(answer[4:])
    return None


def _options6(data: bytes) -> dict[int, bytes]:
    options = {}
    while len(data) >= 4:
        kind, length = struct.unpack_from("!2H", data)
        options[kind] = data[4 : 4 + length]
        data = data[4 + length :]
    return options


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ping(address: str, tries: int) -> bool:
    six = ":" in address
    family, protocol = (
        (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
    )
    request, reply = (128, 129) if six else (8, 0)
    mark = os.urandom(2)
    with socket.socket(family, socket.SOCK_RAW, protocol) as echo:
        for number in range(tries):
            message = struct.pack("!BBH2sH", request, 0, 0, mark, number)
            message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
            with contextlib.suppress(OSError):
                echo.sendto(message, (address, 0))
            deadline = time.monotonic() + 0.3
            while (left := deadline - time.monotonic()) > 0 and select.select([echo], [], [], left)[0]:
                with contextlib.suppress(OSError):
                    answer = echo.recv(2000)
                    answer = answer if six else answer[(answer[0] & 15) * 4 :]
                    if answer[0] == reply and answer[4:6] == mark:
                        return True
    return False


def dhcp(send: Callable, receive: Callable, handle: int, mac: str, tries: int = 10) -> dict:
    """An address by DHCP (RFC 2131), spoken frame by frame; fails the test where none is given."""
    offer = _exchange(send, receive, handle, mac, b"\x35\x01\x01", 2, tries)
    wanted = b"\x35\x01\x03\x32\x04" + socket.inet_aton(offer["address"])
    wanted += b"\x36\x04" + socket.inet_aton(offer["server"])
    return _exchange(send, receive, handle, mac, wanted, 5, tries)


def _exchange(
    send: Callable, receive: Callable, handle: int, mac: str, options: bytes, kind: int, tries: int
) -> dict:
    hardware, transaction = bytes.fromhex(mac.replace(":", "")), os.urandom(4)
    frame = _dhcp_frame(hardware, transaction, options + b"\x37\x06\x01\x03\x06\x0f\x1a\x79")
    for _ in range(tries):
        send(frame)
        deadline = time.monotonic() + 0.5
        while (left := deadline - time.monotonic()) > 0 and select.select([handle], [], [], left)[0]:
            lease = _lease(receive(2000), transaction)
            if lease is not None and lease["kind"] == kind:
                return lease
    raise AssertionError(f"{mac} got no DHCP message of type {kind}")


def _dhcp_frame(hardware: bytes, transaction: bytes, options: bytes) -> bytes:
    message = struct.pack("!4B4s2H16x", 1, 1, 6, 0, transaction, 0, 0) + hardware.ljust(208, b"\0")
    message += b"\x63\x82\x53\x63" + options + b"\xff"
    datagram = struct.pack("!4H", 68, 67, 8 + len(message), 0) + message
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0, b"\0" * 4, b"\xff" * 4
    )
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return b"\xff" * 6 + hardware + b"\x08\x00" + header + datagram


def _lease(frame: bytes, transaction: bytes) -> dict | None:
    """What a frame offers, None where it is no DHCP answer to us."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[34:38] != struct.pack("!2H", 67, 68):
        return None
    message = frame[42:]
    if message[4:8] != transaction:
        return None
    options: dict[int, bytes] = {}
    rest = message[240:]
    while rest and rest[0] != 255:
        if rest[0] == 0:
            rest = rest[1:]
            continue
        options[rest[0]] = rest[2 : 2 + rest[1]]
        rest = rest[2 + rest[1] :]
    return {
        "kind": options[53][0],
        "address": socket.inet_ntoa(message[16:20]),
        "server": socket.inet_ntoa(options[54]),
        "prefix": int.from_bytes(options[1]).bit_count(),
        "router": socket.inet_ntoa(options[3]) if 3 in options else None,
        "dns": [socket.inet_ntoa(options[6][n : n + 4]) for n in range(0, len(options.get(6, b"")), 4)],
        "mtu": int.from_bytes(options.get(26, b"")),
        "routes": list(_classless_routes(options.get(121, b""))),
        **({"boot": boot} if (boot := {code: options[code] for code in (66, 67, 150) if code in options}) else {}),
    }


def _classless_routes(data: bytes) -> Iterator[tuple[str, str]]:
    """RFC 3442: prefix length, as many octets of the destination as it has, the router."""
    while data:
        length, octets = data[0], (data[0] + 7) // 8
        destination = socket.inet_ntoa(data[1 : 1 + octets].ljust(4, b"\0"))
        yield f"{destination}/{length}", socket.inet_ntoa(data[1 + octets : 5 + octets])
        data = data[5 + octets :]


# Topologies

OPEN = SecurityGroup(
    "open",
    tuple(Rule(f"open-{way}-{ip}", way, ip) for way in ("ingress", "egress") for ip in ("IPv4", "IPv6")),
)
EXTERNAL_NETWORK = Network(
    "ext", "public", 1500,
    (Subnet("ext-4", EXTERNAL, gateway_ip=WORLD, enable_dhcp=False),), physical_network="public",
)  # fmt: skip


def network(number: int, **subnet: object) -> Network:
    """Network `net<number>` with subnet `sub<number>`, 10.0.<number>.0/24, and a metadata port at .2."""
    base = f"10.0.{number}"
    details = {"gateway_ip": f"{base}.1", "metadata_ip": f"{base}.2", **subnet}
    return Network(
        f"net{number}", f"lan {number}", 1442, (Subnet(f"sub{number}", f"{base}.0/24", **details),),
        metadata_port_id=f"md{number}", metadata_mac=f"0a:00:00:00:{number:02x}:02",
    )  # fmt: skip


def port(net: int, host_number: int, *groups: str, **details: object) -> Port:
    """Port `p<net>-<host>` with address 10.0.<net>.<host>."""
    return Port(
        f"p{net}-{host_number}", f"net{net}", f"0a:00:00:00:{net:02x}:{host_number:02x}",
        (FixedIp(f"sub{net}", f"10.0.{net}.{host_number}"),), groups or ("open",), **details,
    )  # fmt: skip


def router(*nets: int, gateway: bool = True, **details: object) -> Router:
    """Router `r` with a leg at .1 in each network and a gateway at 172.24.4.10."""
    legs = tuple(
        RouterPort(
            f"leg{net}", f"net{net}", f"0a:00:00:00:{net:02x}:01", (FixedIp(f"sub{net}", f"10.0.{net}.1"),)
        )
        for net in nets
    )
    outward = (
        Gateway("gw", "ext", "0a:00:00:00:ff:01", (FixedIp("ext-4", "172.24.4.10"),)) if gateway else None
    )
    return Router("r", "router", legs, outward, **details)


def addressed(lab: Lab, which: Port, gateway: bool = True) -> Guest:
    """A guest that has its address without asking for it."""
    guest = lab.guest(which)
    address = which.fixed_ips[0].ip_address
    guest.use(f"{address}/24", f"{address.rpartition('.')[0]}.1" if gateway else None)
    return guest
