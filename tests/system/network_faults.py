"""What packets lose when an engine or Pilvi dies: `python -m tests.system.network_faults` prints the table.

A real `pilvi up` with counted flows between namespaces that stand for guests, within a network and through a floating
IP. Each engine is killed in turn, then all, then Pilvi, then everything; northbound and southbound databases are lost
and damaged while flows run. Needs root; no packet leaves the namespaces."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pilvi.site import build_stack
from pilvi.supervise import namespace as host
from tests.support.wait import eventually
from tests.system import lab, netlab
from tests.system.flows import Traffic, traffic
from tests.system.netlab import Guest, wait_for

V2 = "/network/v2.0"
BACK = 60  # seconds within which everything has come back
ENGINES = ("nb-db", "sb-db", "conf-db", "northd", "ovnc", "switch")


class Lost(NamedTuple):
    """What one fault cost: by flow, packets that were never answered and the slowest answer in seconds."""

    fault: str
    seconds: float  # until all engines ran and all flows flowed again
    lost: dict[str, int]
    longest: dict[str, float]
    broken: list[str]  # TCP connections that did not survive


class Ground:
    """A cloud with two guests in one network behind a router; one of them has a floating IP."""

    def __init__(self, cloud: lab.Lab) -> None:
        self.cloud, self.stack = cloud, build_stack(cloud.place)
        api = cloud.client()
        network = api.post(f"{V2}/networks", {"network": {"name": "net"}})["network"]["id"]
        subnet = api.post(f"{V2}/subnets", {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.9.0.0/24"}})
        self.public = api.find(f"{V2}/networks?router:external=True", "networks", "public")["id"]
        gateway = {"external_gateway_info": {"network_id": self.public}}
        router = api.post(f"{V2}/routers", {"router": gateway})["router"]["id"]
        api.put(f"{V2}/routers/{router}/add_router_interface", {"subnet_id": subnet["subnet"]["id"]})
        group = api.find(f"{V2}/security-groups?project_id={api.project_id}", "security_groups", "default")["id"]
        api.post(f"{V2}/security-group-rules", {"security_group_rule": {
            "security_group_id": group, "direction": "ingress", "ethertype": "IPv4"}})
        self.network, self.api, self.devices = network, api, {}
        self.one, self.other = self._guest(), self._guest()
        self.floating = api.post(f"{V2}/floatingips", {"floatingip": {
            "floating_network_id": self.public, "port_id": self.one[1]}})["floatingip"]["floating_ip_address"]
        self.world = Guest(cloud.namespace, "", cloud.names.outer)

    def _guest(self) -> tuple[Guest, str, str]:
        """(the guest, its port, its address): a veth in place of a tap."""
        port = self.api.post(f"{V2}/ports", {"port": {"network_id": self.network}})["port"]
        address, short = port["fixed_ips"][0]["ip_address"], port["id"][:8]
        space, inside, device = f"{self.stack.namespace}-g{short}", self.stack.namespace, f"g-{short}"
        host.ensure_namespace(space)
        host.ip(inside, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", space)
        host.checksums_off(space, "eth0")
        host.ip(space, "link", "set", "dev", "eth0", "address", port["mac_address"], "mtu", "1400", "up")
        host.ip(inside, "link", "set", "dev", device, "up")
        self.devices[device] = port["id"]
        self.join()
        host.ip(space, "address", "add", f"{address}/24", "dev", "eth0")
        host.ip(space, "route", "add", "default", "via", "10.9.0.1")
        eventually(lambda: self.api.get(f"{V2}/ports/{port['id']}")["port"]["status"] == "ACTIVE", BACK, "an active port")
        return Guest(space, port["mac_address"]), port["id"], address

    def join(self) -> None:
        """What the agent does for the cards of guests that are its own."""
        for device, port_id in self.devices.items():
            joined = ("set", "Interface", device, f"external_ids:iface-id={port_id}")
            self.stack.vsctl("--may-exist", "add-port", "br-int", device, "--", *joined)

    def start(self, flowing: Traffic) -> None:
        (one, _, address), (other, *_) = self.one, self.other
        wait_for(lambda: other.pings(address) and self.world.pings(self.floating), "packets", BACK)
        flowing.udp("within the network", other, one, address, 7001)
        flowing.udp("through the floating IP", self.world, one, self.floating, 7002)
        flowing.tcp("TCP within the network", other, one, address, 7003)
        flowing.tcp("TCP through the floating IP", self.world, one, self.floating, 7004)
        flowing.start()
        flowing.settle()

    # -- what may happen

    def kill(self, *engines: str) -> None:
        pids = [daemon.pid() for daemon in self.stack.daemons if daemon.name in engines]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), "the killed to die")

    def kill_pilvi(self) -> None:
        self.cloud.kill9()

    def up(self) -> None:
        self.cloud.up("--listen", f"127.0.0.1:{lab.PORT}", "--no-demo")

    def lose(self, name: str, damage: Callable[[Path], Any] = Path.unlink) -> None:
        """The database's file is gone or damaged, and its server dies."""
        damage(self.stack.root / f"{name}.db")
        self.kill(f"{name}-db")

    # -- what must come of it

    def all_run(self) -> bool:
        return all(self.stack.status().values())

    def rows(self, table: str, column: str) -> list[str]:
        """None while the database is away."""
        command = ("ovn-nbctl", f"--db={self.stack.sockets.nb}", "--timeout=10", "--bare", f"--columns={column}", "list")
        return sorted(self.cloud.run(*command, table, check=False).stdout.split())

    def takes_orders(self) -> None:
        """What is asked of the API comes about on the switch."""
        made = self.api.post(f"{V2}/networks", {"network": {"name": "after"}})["network"]["id"]
        wait_for(lambda: made in self.rows("Logical_Switch", "name"), "the new network in the northbound database", BACK)
        self.api.delete(f"{V2}/networks/{made}")
        wait_for(lambda: made not in self.rows("Logical_Switch", "name"), "its end", BACK)
        host.run("ovn-nbctl", f"--db={self.stack.sockets.nb}", "--timeout=30", "--wait=hv", "sync")

    def close(self) -> None:
        for guest, *_ in (self.one, self.other):
            host.absent_namespace(guest.namespace)


def garbage(file: Path) -> None:
    file.write_bytes(b"no database")


def scramble(file: Path) -> None:
    """The second half of the file is overwritten."""
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] + b"\xff" * (len(whole) // 2))


def faults(ground: Ground) -> dict[str, Callable[[], None]]:
    """Each with what starts it; Pilvi's restart is part of the fault where Pilvi is killed."""
    found: dict[str, Callable[[], None]] = {f"{one} killed": lambda one=one: ground.kill(one) for one in ENGINES}

    def everything() -> None:
        ground.kill_pilvi()
        ground.kill(*ENGINES)
        ground.up()

    def pilvi() -> None:
        ground.kill_pilvi()
        time.sleep(1)  # flows go on without it
        ground.up()

    def switch_database() -> None:
        ground.lose("conf")
        wait_for(lambda: ground.all_run() and "br-int" in ground.stack.vsctl("list-br"), "the bridge", BACK)
        ground.join()

    return {
        **found,
        "switch's database deleted": switch_database,
        "all databases killed": lambda: ground.kill("nb-db", "sb-db", "conf-db"),
        "all engines killed": lambda: ground.kill(*ENGINES),
        "Pilvi killed, started after 1 s": pilvi,
        "everything killed, Pilvi started": everything,
        "northbound database deleted": lambda: ground.lose("nb"),
        "northbound database full of rubbish": lambda: ground.lose("nb", garbage),
        "northbound database half overwritten": lambda: ground.lose("nb", scramble),
        "southbound database deleted": lambda: ground.lose("sb"),
    }


def strike(ground: Ground, flowing: Traffic, name: str, fault: Callable[[], None]) -> Lost:
    """Raises AssertionError where something does not come back."""
    rows = ground.rows("Logical_Switch_Port", "_uuid")
    first = [len(flow.sent) for flow in flowing.flows]
    began = time.monotonic()
    fault()
    wait_for(ground.all_run, f"all engines to run after: {name}", BACK)
    flowing.settle(BACK)
    seconds = time.monotonic() - began
    ground.takes_orders()
    assert ground.rows("Logical_Switch_Port", "_uuid") == rows
    flowing.settle(BACK)
    last = [len(flow.sent) - 5 for flow in flowing.flows]
    spans = list(zip(flowing.flows, first, last, strict=True))
    found = Lost(
        name,
        seconds,
        {flow.name: flow.lost(start, end) for flow, start, end in spans if not flow.name.startswith("TCP")},
        {flow.name: flow.longest(start, end) for flow, start, end in spans},
        [flow.name for flow in flowing.flows if flow.broken],
    )
    return found


@contextmanager
def ground() -> Iterator[Ground]:
    with lab.lab(Path()) as cloud:
        made = Ground(cloud)
        try:
            yield made
        finally:
            made.close()


def line(found: Lost) -> str:
    lost = " | ".join(f"{count} ({count * 20 / 1000:.1f} s)" for count in found.lost.values())
    stalled = " | ".join(f"{seconds:.1f} s" for name, seconds in found.longest.items() if name.startswith("TCP"))
    broken = f" broken: {', '.join(found.broken)}" if found.broken else ""
    return f"| {found.fault} | {lost} | {stalled} | {found.seconds:.1f} s |{broken}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="faults whose names hold this")
    options = parser.parse_args()
    if reason := netlab.missing():
        parser.error(reason)
    with ground() as made, traffic() as flowing:
        made.start(flowing)
        print("| fault | lost within | lost through | TCP within stalls | TCP through stalls | all back after |")
        print("|---|---|---|---|---|---|")
        for name, fault in faults(made).items():
            if options.only in name:
                print(line(strike(made, flowing, name, fault)), flush=True)


if __name__ == "__main__":
    main()
