"""How the network scales: `python -m tests.perf.network [--real]` makes a big one through the API and prints a table.

The cloud is a process of its own, with simulated hosts. Its logical network is simulated too, or with --real a
northbound database of OVN's (ovsdb-server alone: no root, no packets).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pilvi.drivers.fabric.ovn import OvnNorthbound
from pilvi.site import SimulatedSite
from tests.support import ovsdb
from tests.support.cloud import PASSWORDS, Served, Session, simulated_cloud
from tests.support.wait import eventually

V2 = "/network/v2.0"
NEUTRON = {"port": 370, "list": 890}  # ms, of docs/reference/performance.md
PATIENCE = 120  # seconds


# -- the cloud's process


class OvnSite(SimulatedSite):
    """Simulated hosts on a northbound database that is real."""

    def __init__(self, cloud: Any, address: str):
        super().__init__(cloud)
        self.northbound = OvnNorthbound(address, ("simulated-1",))


def serve(folder: str, northbound: str) -> None:
    """Serves a cloud until its standard input ends; a line there asks for a whole pass and is told of all passes."""
    make_site = (lambda cloud: OvnSite(cloud, northbound)) if northbound else None
    with simulated_cloud(Path(folder), make_site=make_site) as served:
        reconciler, passes = served.cloud.network.reconciler, []
        inner = reconciler._pass  # without the rest that a pass takes before it begins

        def timed(now: float) -> str:
            began, cpu = time.perf_counter(), time.process_time()
            said = inner(now)
            passes.append((time.perf_counter() - began, time.process_time() - cpu, said))
            return said

        reconciler._pass = timed
        print(served.port, flush=True)
        for line in sys.stdin:
            if line.strip() == "whole":
                served.cloud.network.refresh()
            print(json.dumps(passes), flush=True)
            if line.strip() == "forget":
                passes.clear()


class Process:
    def __init__(self, folder: str, northbound: str):
        command = [sys.executable, "-m", "tests.perf.network", "--serve", folder, "--northbound", northbound]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.child.stdout.readline())

    def login(self, user: str) -> Session:
        return Served(None, self.port).login(user, PASSWORDS[user])

    def ask(self, line: str = "") -> list[tuple[float, float, str]]:
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def working_passes(self) -> list[tuple[float, float, str]]:
        return [one for one in self.ask() if one[2] != "nothing to do"]

    def settle(self) -> None:
        """Waits until no pass has had anything to do for a while."""
        eventually(lambda: [said for *_, said in self.ask()[-2:]] == ["nothing to do"] * 2, PATIENCE, "a network at rest")

    def pss(self) -> float:
        return pss(self.child.pid)

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def close(self) -> None:
        self.child.stdin.close()
        self.child.wait(30)


def pss(pid: int) -> float:
    """Proportional share of memory, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


# -- what is measured


class Bench:
    def __init__(self, process: Process, options: argparse.Namespace):
        self.process, self.options, self.rows = process, options, []
        self.user, self.admin = process.login("pilvi"), process.login("admin")
        kinds = ("network", "subnet", "port", "router", "security_group", "security_group_rule", "floatingip")
        unlimited = {"quota": dict.fromkeys(kinds, -1)}
        self.admin.ok("PUT", f"{V2}/quotas/{self.user.project_id}", unlimited)

    def row(self, what: str, value: str) -> None:
        self.rows.append((what, value))
        print(f"{what}: {value}", flush=True)

    def run(self) -> None:
        options = self.options
        groups = self._made(options.groups, "security groups with 4 rules", self._group)
        networks = self._made(options.networks, "networks with a subnet", self._network)
        routers = self._made(options.routers, "routers with a gateway and a leg", self._router(networks))
        assert len(routers) == options.routers
        made = min(1000, options.ports)
        self._made(made, "ports", self._port(networks, groups))
        self._at_a_thousand(networks, groups)
        if options.ports > made:
            self._made(options.ports - made, "further ports", self._port(networks, groups))
        self.process.settle()
        self._passes(networks, groups)
        self._rest()

    def _made(self, count: int, what: str, make: Callable[[int], Any]) -> list[Any]:
        began, cpu = time.perf_counter(), self.process.cpu()
        found = [make(number) for number in range(count)]
        spent, cpu = time.perf_counter() - began, self.process.cpu() - cpu
        each = f"{1000 * spent / max(count, 1):.1f} ms each, {1000 * cpu / max(count, 1):.1f} ms of Pilvi's CPU"
        self.row(f"create {count:,} {what}, one by one", f"{spent:.1f} s ({each})")
        return found

    def _group(self, number: int) -> str:
        group = self.user.post(f"{V2}/security-groups", {"security_group": {"name": f"g{number}"}})
        group_id = group["security_group"]["id"]
        rules = [{"security_group_id": group_id, "direction": "ingress", "protocol": "tcp", "port_range_min": port,
                  "port_range_max": port, "ethertype": "IPv4"} for port in (22, 80, 443)]
        rules.append({"security_group_id": group_id, "direction": "ingress", "remote_group_id": group_id})
        self.user.post(f"{V2}/security-group-rules", {"security_group_rules": rules})
        return group_id

    def _network(self, number: int) -> tuple[str, str]:
        network = self.user.post(f"{V2}/networks", {"network": {"name": f"n{number}"}})["network"]["id"]
        subnet = {"network_id": network, "ip_version": 4, "cidr": f"10.{number >> 8}.{number & 255}.0/24"}
        return network, self.user.post(f"{V2}/subnets", {"subnet": subnet})["subnet"]["id"]

    def _router(self, networks: list[tuple[str, str]]) -> Callable[[int], str]:
        external = self.user.get(f"{V2}/networks?router:external=True")["networks"][0]["id"]

        def make(number: int) -> str:
            gateway = {"external_gateway_info": {"network_id": external}}
            router = self.user.post(f"{V2}/routers", {"router": gateway})["router"]["id"]
            leg = {"subnet_id": networks[number % len(networks)][1]}
            self.user.ok("PUT", f"{V2}/routers/{router}/add_router_interface", leg)
            return router

        return make

    def _port(self, networks: list[tuple[str, str]], groups: list[str]) -> Callable[[int], str]:
        def make(number: int) -> str:
            port = {"network_id": networks[number % len(networks)][0], "security_groups": [groups[number % len(groups)]]}
            return self.user.post(f"{V2}/ports", {"port": port})["port"]["id"]

        return make

    def _at_a_thousand(self, networks: list[tuple[str, str]], groups: list[str]) -> None:
        self.process.settle()
        make = self._port(networks, groups)
        self._against_neutron("create a port, 1,000 exist", NEUTRON["port"], make, 50)
        self._against_neutron(
            "list 1,000 ports", NEUTRON["list"], lambda _: self.user.get(f"{V2}/ports?limit=1000"), 20
        )

    def _against_neutron(self, what: str, neutron: float, action: Callable[[int], Any], times: int) -> None:
        cpu = self.process.cpu()
        took = [_timed(action, number) for number in range(times)]
        cpu, middle = 1000 * (self.process.cpu() - cpu) / times, statistics.median(took)
        self.row(what, f"{middle:.1f} ms, the fastest {min(took):.1f} ms, {cpu:.1f} ms of Pilvi's CPU (Neutron "
                       f"{neutron} ms: {neutron / middle:.0f} times as fast)")

    def _passes(self, networks: list[tuple[str, str]], groups: list[str]) -> None:
        make, process = self._port(networks, groups), self.process
        whole, parts = [], []
        for _ in range(self.options.samples):
            process.ask("forget")
            process.ask("whole")
            eventually(process.working_passes, PATIENCE, "a whole pass")
            whole.append(process.working_passes()[0])
            process.settle()
        for number in range(4 * self.options.samples):
            process.ask("forget")
            make(number)
            eventually(process.working_passes, PATIENCE, "a pass for the port")
            parts.append(process.working_passes()[0])
        process.settle()
        process.ask("forget")
        ports = [make(number) for number in range(100)]
        process.settle()
        burst = process.working_passes()
        self.row("a whole pass with nothing to do", _of(whole))
        self.row("a pass for one new port", _of(parts))
        self.row("passes for 100 ports in a burst", f"{len(burst)}, {1000 * sum(one[0] for one in burst):.0f} ms in all")
        assert len(burst) < len(ports), "a pass takes what has gathered since the last one"

    def _rest(self) -> None:
        self.row("list all ports", f"{_timed(self.user.get, f'{V2}/ports'):.0f} ms")
        began, cpu = time.monotonic(), self.process.cpu()
        time.sleep(self.options.idle)
        share = (self.process.cpu() - cpu) / (time.monotonic() - began)
        self.row("CPU at rest, all of Pilvi", f"{100 * share:.1f} % of one core")
        self.row("memory (PSS) of Pilvi", f"{self.process.pss():.0f} MB")


def _timed(action: Callable[..., Any], *arguments: Any) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    action(*arguments)
    return 1000 * (time.perf_counter() - began)


def _of(passes: list[tuple[float, float, str]]) -> str:
    return (f"{1000 * statistics.median(one[0] for one in passes):.0f} ms, "
            f"{1000 * statistics.median(one[1] for one in passes):.0f} ms CPU")


@contextlib.contextmanager
def cloud(real: bool) -> Iterator[tuple[Process, ovsdb.Database | None]]:
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(ovsdb.northbound_database()) if real else None
        process = Process(stack.enter_context(tempfile.TemporaryDirectory()), database.address if database else "")
        stack.callback(process.close)
        yield process, database


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", action="store_true", help="a northbound database of OVN's instead of a simulated one")
    for name, count in (("networks", 200), ("routers", 200), ("groups", 50), ("ports", 5000)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--samples", type=int, default=5, help="whole passes that are timed")
    parser.add_argument("--idle", type=float, default=20, help="seconds over which CPU at rest is taken")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--northbound", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        return serve(options.serve, options.northbound)
    if options.real and (reason := ovsdb.missing()):
        parser.error(reason)
    with cloud(options.real) as (process, database):
        before = process.pss()
        bench = Bench(process, options)
        bench.row("memory (PSS) of Pilvi, empty", f"{before:.0f} MB")
        bench.run()
        if database is not None:
            bench.row("memory (PSS) of the northbound ovsdb-server", f"{pss(database.daemon.pid()):.0f} MB")
            bench.row("size of the northbound database", f"{database.file.stat().st_size / 1e6:.1f} MB")
    print("\n| measure | value |\n|---|---|")
    for what, value in bench.rows:
        print(f"| {what} | {value} |")


if __name__ == "__main__":
    main()
