"""A host's half on Open vSwitch: taps for guests and veth pairs for metadata, joined to OVN's br-int.

A device is known by its link (the port's id is its alias) and by its OVS interface (`external_ids:iface-id`).
Making one takes the order: out of the bridge, link, into the bridge. Where the link is new, leaving and
coming back must be two transactions, or OVS keeps the dead device's socket and silently drops everything.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pilvi.drivers.fabric import ovs_connections, ovs_guard
from pilvi.drivers.fabric.base import Counters, FabricError
from pilvi.supervise import namespace as host

BRIDGE = "br-int"
METADATA_DEVICE = "eth0"
METADATA_ADDRESSES = ("169.254.169.254/32", "fe80::a9fe:a9fe/64")
VSCTL_SECONDS = 15


class OvsFabric:
    """`ovsdb` is the switch's database ("unix:/path"); the devices are in `namespace`, None: the host's."""

    def __init__(self, ovsdb: str, namespace: str | None, *, userspace: bool) -> None:
        self._ovsdb = ovsdb
        self._namespace = namespace
        self._userspace = userspace

    def plug(self, port_id: str, mac: str, mtu: int, owner_uid: int) -> str:
        device = _name("tap", port_id)
        with self._doing(f"plug port {port_id} as {device}"):
            there = host.links(self._namespace, "type", "tun").get(device)
            if there is not None and _owner(there) != owner_uid:
                self._remove(device)
                there = None
            if there is None:
                self._leave_bridge(device)
                commands = [f"tuntap add dev {device} mode tap user {owner_uid}"]
            else:
                commands = []
            commands.append(f"link set dev {device} mtu {mtu} alias {port_id} up")
            host.ip(self._namespace, "-batch", "-", stdin="\n".join([*commands, ""]))
            self._join_bridge(device, port_id, mac)
            number = json.loads(self._vsctl("get", "Interface", device, "ofport"))
            if _opened(number):
                self._ofctl("add-flow", self._bridge, ovs_guard.drop(number))
        return device

    def unplug(self, port_id: str) -> None:
        device = _name("tap", port_id)
        with self._doing(f"unplug port {port_id} from {device}"):
            self._remove(device)

    def plugged(self) -> dict[str, str]:
        with self._doing("list the plugged ports"):
            links = host.links(self._namespace, "type", "tun")
            devices = {link["ifalias"]: name for name, link in links.items() if "ifalias" in link}
            return {**devices, **self._joined("tap")}

    def joined(self) -> frozenset[str]:
        with self._doing("list what the switch has joined"):
            return frozenset(self._joined("tap"))

    def counters(self) -> dict[str, Counters]:
        with self._doing("count what has gone through the ports"):
            links = host.links(self._namespace, "type", "tun", statistics=True)
            return {link["ifalias"]: _counters(link["stats64"]) for link in links.values() if "ifalias" in link}

    def end_stale(self, floating: Mapping[str, str | None]) -> int:
        with self._doing("end the connections of floating addresses that lead elsewhere now"):
            found = ovs_connections.stale(self._appctl("dpctl/dump-conntrack"), floating)
            for zone, tuples in found:
                self._appctl("dpctl/flush-conntrack", f"zone={zone}", *tuples)
        return len(found)

    def guard(self, trusted: Collection[str]) -> int:
        with self._doing("keep guests' router advertisements back"):
            want = {number for port_id, number in self._numbers().items() if port_id not in trusted}
            mark = f"cookie={ovs_guard.COOKIE}/-1"
            have = ovs_guard.present(self._ofctl("--no-names", "dump-flows", self._bridge, mark))
            if have != want:
                changes = "\n".join([*ovs_guard.changes(have, want), ""])
                self._ofctl("add-flows", self._bridge, "-", stdin=changes)
        return len(have ^ want)

    def namespace(self) -> str | None:
        return self._namespace

    def ensure_metadata(self, network_id: str, port_id: str, mac: str, addresses: tuple[str, ...]) -> str:
        place, device = self._metadata_namespace(network_id), _name("md", network_id)
        with self._doing(f"make the metadata port of network {network_id} as {device}"):
            host.ensure_namespace(place)
            if METADATA_DEVICE not in host.links(place) or device not in host.links(self._namespace):
                self._remove(device)
                self._make_pair(device, place)
            host.ip(place, "link", "set", "dev", METADATA_DEVICE, "address", mac, "up")
            host.ensure_addresses(place, METADATA_DEVICE, (*addresses, *METADATA_ADDRESSES))
            host.ip(self._namespace, "link", "set", "dev", device, "up")
            self._join_bridge(device, port_id, mac)
        return place

    def absent_metadata(self, network_id: str) -> None:
        with self._doing(f"take away the metadata port of network {network_id}"):
            self._remove(_name("md", network_id))
            host.absent_namespace(self._metadata_namespace(network_id))

    def metadata_networks(self) -> dict[str, str]:
        prefix = self._metadata_namespace("")
        try:
            names = os.listdir(host.NAMESPACES)
        except FileNotFoundError:
            return {}
        return {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}

    def close(self) -> None:
        """Nothing is held open; the devices stay."""

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        try:
            yield
        except host.HostError as error:
            raise FabricError(f"cannot {what}: {error}") from error

    def _metadata_namespace(self, network_id: str) -> str:
        return f"{self._namespace or 'pilvi'}-md-{network_id}"

    def _make_pair(self, device: str, place: str) -> None:
        ends = ("add", device, "type", "veth", "peer", "name", METADATA_DEVICE, "netns", place)
        host.ip(self._namespace, "link", *ends)
        if self._userspace:
            host.checksums_off(place, METADATA_DEVICE)

    def _remove(self, device: str) -> None:
        self._leave_bridge(device)
        host.absent_link(self._namespace, device)

    def _leave_bridge(self, device: str) -> None:
        self._vsctl("--if-exists", "del-port", BRIDGE, device)

    def _join_bridge(self, device: str, port_id: str, mac: str) -> None:
        marks = (f"external_ids:iface-id={port_id}", f'external_ids:attached-mac="{mac}"')
        self._vsctl("--may-exist", "add-port", BRIDGE, device, "--", "set", "Interface", device, *marks)

    def _joined(self, prefix: str) -> dict[str, str]:
        return {port_id: name for port_id, (name, _) in self._interfaces(prefix).items()}

    def _numbers(self) -> dict[str, int]:
        """Port -> what the switch calls its tap in flows; not yet those that it has not opened."""
        return {port_id: number for port_id, (_, number) in self._interfaces("tap").items() if _opened(number)}

    def _interfaces(self, prefix: str) -> dict[str, tuple[str, object]]:
        """Port -> its device, if that begins so, and the number that the switch has given it, if any."""
        listed = self._vsctl("--format=json", "--columns=name,ofport,external_ids", "list", "Interface")
        found = [(name, number, dict(marks[1])) for name, number, marks in json.loads(listed)["data"]]
        return {marks["iface-id"]: (name, number) for name, number, marks in found
                if name.startswith(prefix) and "iface-id" in marks}

    @property
    def _bridge(self) -> str:
        return f"unix:{Path(self._ovsdb.removeprefix('unix:')).parent / BRIDGE}.mgmt"

    def _ofctl(self, *arguments: str, stdin: str = "") -> str:
        return host.run("ovs-ofctl", f"--timeout={VSCTL_SECONDS}", *arguments, stdin=stdin)

    def _appctl(self, *arguments: str) -> str:
        return host.run("ovs-appctl", f"--timeout={VSCTL_SECONDS}", "-t", _control_socket(self._ovsdb), *arguments)

    def _vsctl(self, *arguments: str) -> str:
        """Waits until the switch has done it, which is what makes two calls two transactions for it."""
        return host.run("ovs-vsctl", f"--db={self._ovsdb}", f"--timeout={VSCTL_SECONDS}", *arguments)


def _opened(number: object) -> bool:
    """An empty set where the switch has not come to the device yet, -1 where it could not open it."""
    return isinstance(number, int) and number > 0


def _control_socket(ovsdb: str) -> str:
    """Of the switch whose database this is: beside it, named after the process. Raises HostError."""
    folder = Path(ovsdb.removeprefix("unix:")).parent
    found = sorted(folder.glob("ovs-vswitchd.*.ctl"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise host.HostError(f"there is no control socket of ovs-vswitchd in {folder}")
    return str(found[-1])


def _counters(stats: dict) -> Counters:
    """A tap's two ends see each other's packets: what the host sent, the guest received."""
    out, into = stats["tx"], stats["rx"]
    return Counters(out["bytes"], out["packets"], out["errors"], out["dropped"],
                    into["bytes"], into["packets"], into["errors"], into["dropped"])


def _name(prefix: str, object_id: str) -> str:
    """As much of an id as a device's name holds (15 characters with the prefix)."""
    return f"{prefix}{object_id}"[:14]


def _owner(link: dict) -> int | None:
    """The user id that may open a tap; iproute2 gives a name where it knows one."""
    owner = link.get("linkinfo", {}).get("info_data", {}).get("user")
    return pwd.getpwnam(owner).pw_uid if isinstance(owner, str) else owner
