"""A private OVN and Open vSwitch in one namespace: three databases, northd, the switch, the controller.

All its files are in one folder, nothing is system-wide, and any number of stacks may run side by side. The
daemons go on when Pilvi ends, however it ends; `start` takes over what runs and starts what does not.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pilvi.supervise import namespace as host
from pilvi.supervise.namespace import HostError, run
from pilvi.supervise.processes import Daemon

SCHEMAS = {
    "nb": Path("/usr/share/ovn/ovn-nb.ovsschema"),
    "sb": Path("/usr/share/ovn/ovn-sb.ovsschema"),
    "conf": Path("/usr/share/openvswitch/vswitch.ovsschema"),
}
PROGRAMS = ("ovsdb-server", "ovsdb-client", "ovsdb-tool", "ovs-vsctl", "ovs-vswitchd", "ovn-northd", "ovn-controller")
VSCTL_SECONDS = 15
SOCKET_PATH_LIMIT = 107  # unix(7): sun_path, less its final NUL


@dataclass(frozen=True)
class Sockets:
    """Connection strings of the three databases."""

    nb: str
    sb: str
    ovsdb: str


def kernel_datapath() -> bool:
    """Whether the kernel's openvswitch module is there, loading it where that is possible."""
    loaded = Path("/sys/module/openvswitch")
    if not loaded.exists():
        try:
            subprocess.run(["modprobe", "-q", "openvswitch"], capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
    return loaded.exists()


class OvnStack:
    """`namespace` is made where it is not there. `userspace` None finds out which datapath this kernel has.

    `bridge_mappings` are physical networks and their bridges, {"public": "br-ex"}; the bridges are made.
    `northd_waits_for` is a port group that a northbound database has once it is complete: northd does not run before,
    or it would take the hosts' flows away after the database was lost."""

    def __init__(
        self,
        root: Path,
        namespace: str,
        *,
        system_id: str,
        userspace: bool | None = None,
        bridge_mappings: Mapping[str, str] | None = None,
        encap_ip: str = "127.0.0.1",
        northd_waits_for: str | None = None,
    ) -> None:
        self.root = Path(root).absolute()
        self.namespace = namespace
        self.system_id = system_id
        self.userspace = not kernel_datapath() if userspace is None else userspace
        self.bridge_mappings = dict(bridge_mappings or {})
        self.encap_ip = encap_ip
        self._northd_waits_for = northd_waits_for
        longest = self.root / "br-int.snoop"
        if len(os.fsencode(longest)) > SOCKET_PATH_LIMIT:
            raise ValueError(
                f"{self.root} is too long a path for sockets: {longest} passes {SOCKET_PATH_LIMIT} bytes"
            )
        self._databases = tuple(self._database(name) for name in SCHEMAS)
        self._northd = self._daemon(
            "northd", "ovn-northd", f"--ovnnb-db={self.sockets.nb}", f"--ovnsb-db={self.sockets.sb}"
        )
        self._switch = self._daemon("switch", "ovs-vswitchd", self.sockets.ovsdb)
        self._controller = self._daemon("ovnc", "ovn-controller", self.sockets.ovsdb)

    @property
    def sockets(self) -> Sockets:
        return Sockets(*(f"unix:{self.root / name}.sock" for name in SCHEMAS))

    @property
    def daemons(self) -> tuple[Daemon, ...]:
        """In the order they start in."""
        return (*self._databases, self._northd, self._switch, self._controller)

    def start(self) -> None:
        """Starts what does not run and sets what is not set. Raises HostError, with what each daemon said."""
        self.root.mkdir(parents=True, exist_ok=True)
        # The kernel hears the guests on their taps: it keeps silent, and answers only for its own.
        host.ensure_namespace(
            self.namespace, ipv6__conf__default__disable_ipv6=1, ipv4__conf__all__arp_ignore=1
        )
        with ThreadPoolExecutor(len(self._databases)) as pool:
            list(pool.map(self._start_database, self._databases))
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *self._settings())
        runnable = (self._switch,) if self.northd_waits() else (self._switch, self._northd)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Daemon.start, runnable))
        self._ensure_bridges()
        self._controller.start()

    def northd_waits(self) -> bool:
        """Whether northd does not run because the northbound database has not got everything yet."""
        if self._northd_waits_for is None or self._northd.pid() is not None:
            return False
        where = [["name", "==", self._northd_waits_for]]
        query = ["OVN_Northbound", {"op": "select", "table": "Port_Group", "where": where, "columns": ["name"]}]
        try:
            answer = run("ovsdb-client", f"--timeout={VSCTL_SECONDS}", "query", self.sockets.nb, json.dumps(query))
        except HostError:
            return True
        return not json.loads(answer)[0].get("rows")

    def stop(self) -> None:
        """Ends the daemons; the databases stay. Traffic of the guests stops with them."""
        for daemon in reversed(self.daemons):
            daemon.stop()

    def status(self) -> dict[str, int | None]:
        """Each daemon's process id, None where it does not run."""
        return {daemon.name: daemon.pid() for daemon in self.daemons}

    def check(self) -> list[str]:
        """Restarts the daemons that died and returns the names of those that run again. Raises HostError."""
        dead = [daemon for daemon in self.daemons if daemon.pid() is None]
        if dead == [self._northd] and self.northd_waits():
            dead = []
        if dead or not host.exists(self.namespace):
            self.start()
        return [daemon.name for daemon in dead if daemon.pid() is not None]

    def ensure_way_out(
        self,
        bridge: str,
        inner: str,
        outer: str,
        addresses: Sequence[str],
        outer_namespace: str | None = None,
    ) -> None:
        """The external network's gateway: a veth pair from the bridge to where we are (or `outer_namespace`).

        The outer end has `addresses`, e.g. 172.24.4.1/24. Raises HostError."""
        if inner not in host.links(self.namespace):
            # A new device under an old name: the switch must have let go of the old one before.
            self.detach(bridge, inner)
        host.ensure_pair(self.namespace, inner, outer, addresses, outer_namespace)
        self.attach(bridge, inner)

    def absent_way_out(self, bridge: str, inner: str, outer: str, outer_namespace: str | None = None) -> None:
        """Raises HostError."""
        self.detach(bridge, inner)
        host.absent_link(outer_namespace, outer)

    def ensure_uplink(self, bridge: str, interface: str) -> None:
        """Gives one of the host's interfaces to the bridge: guests reach what it is wired to, the host not.

        It comes back to the host by itself when the namespace goes. Raises HostError."""
        if interface not in host.links(self.namespace):
            self.detach(bridge, interface)
        host.take_interface(self.namespace, interface)
        self.attach(bridge, interface)

    def attach(self, bridge: str, device: str) -> None:
        """Joins a device of the namespace to one of the bridges. Raises HostError."""
        self.vsctl("--may-exist", "add-port", bridge, device)

    def detach(self, bridge: str, device: str) -> None:
        """Raises HostError."""
        self.vsctl("--if-exists", "del-port", bridge, device)

    def vsctl(self, *arguments: str) -> str:
        """ovs-vsctl on this stack's switch. Raises HostError."""
        return run("ovs-vsctl", f"--db={self.sockets.ovsdb}", f"--timeout={VSCTL_SECONDS}", *arguments)

    def _daemon(self, name: str, program: str, *arguments: str) -> Daemon:
        return Daemon(name, (program, *arguments), self.root, self.namespace)

    def _database(self, name: str) -> Daemon:
        socket = self.root / f"{name}.sock"
        return self._daemon(
            f"{name}-db", "ovsdb-server", str(self.root / f"{name}.db"), f"--remote=punix:{socket}"
        )

    def _start_database(self, daemon: Daemon) -> None:
        file = Path(daemon.command[1])
        if not file.exists():
            self._create_database(file)
        try:
            daemon.start()
        except HostError:
            if not self._damaged(file):
                raise
            # It holds nothing that is not made again from elsewhere, and nothing works before it serves.
            file.replace(file.with_suffix(".damaged"))
            self._create_database(file)
            daemon.start()

    def _create_database(self, file: Path) -> None:
        if file.stem == "nb" and self._northd_waits_for is not None:
            self._northd.stop()
        unfinished = file.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        run("ovsdb-tool", "create", str(unfinished), str(SCHEMAS[file.stem]))
        unfinished.rename(file)

    def _damaged(self, file: Path) -> bool:
        try:
            run("ovsdb-tool", "query", str(file), json.dumps([json.loads(SCHEMAS[file.stem].read_text())["name"]]))
        except HostError:
            return True
        return False

    def _settings(self) -> list[str]:
        mappings = ",".join(f"{network}:{bridge}" for network, bridge in sorted(self.bridge_mappings.items()))
        settings = {
            "system-id": self.system_id,
            "ovn-remote": self.sockets.sb,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": self.encap_ip,
            "ovn-bridge-datapath-type": self._datapath,
            "ovn-bridge-mappings": mappings,
            "ovn-monitor-all": "true",  # one host sees it all anyway: spare the round trips of conditions
            "ovn-openflow-probe-interval": "0",
        }
        return [f'external_ids:{key}="{value}"' for key, value in settings.items()]

    @property
    def _datapath(self) -> str:
        return "netdev" if self.userspace else "system"

    def _ensure_bridges(self) -> None:
        wanted = ["--may-exist", "add-br", "br-int", "--", "set", "Bridge", "br-int"]
        wanted += [f"datapath_type={self._datapath}", "fail_mode=secure", "other_config:disable-in-band=true"]
        for bridge in sorted(set(self.bridge_mappings.values())):
            wanted += ["--", "--may-exist", "add-br", bridge, "--", "set", "Bridge", bridge]
            wanted += [f"datapath_type={self._datapath}"]
        self.vsctl(*wanted)


def missing_programs() -> list[str]:
    """What `OvnStack` needs and this host does not have: programs and schemas."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    programs = [name for name in PROGRAMS if not any(os.access(Path(one, name), os.X_OK) for one in folders)]
    return programs + [str(schema) for schema in SCHEMAS.values() if not schema.exists()]


__all__ = ["HostError", "OvnStack", "Sockets", "kernel_datapath", "missing_programs"]
