"""How it is measured: over HTTP, from the request to the last byte of the answer; the best run counts.

Beside the time on the clock goes the cloud's own CPU time, which means something on a busy machine too.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.perf.target import Target
from tests.support.cloud import Session
from tests.support.wait import eventually

CLIENTS = 8
SERVERS, NETWORK = "/compute/v2.1/servers", "/network/v2.0"


class Result(NamedTuple):
    what: str
    unit: str  # "ms", "s", "MB": less is better; "/s": more is
    value: float
    budget: float | None
    cpu_ms: float | None  # of the cloud's process, for each

    @property
    def met(self) -> bool | None:
        if self.budget is None:
            return None
        return self.value >= self.budget if self.unit == "/s" else self.value <= self.budget


class Bench:
    def __init__(self, target: Target, servers: int, runs: int):
        self.target, self.session, self.servers, self.runs = target, target.session, servers, runs
        self.password = json.loads(target.password)["admin"]
        self.results: list[Result] = []
        self.image, self.flavor, self.network = self._image(), self._flavor(), self.make_network()

    # -- what is measured with

    def _image(self) -> str:
        image = self.session.post("/image/v2/images", {"name": "empty", "disk_format": "raw", "container_format": "bare"})
        kind = {"Content-Type": "application/octet-stream"}
        self.check("PUT", f"/image/v2/images/{image['id']}/file", bytes(1 << 20), kind)
        return image["id"]

    def _flavor(self) -> str:
        flavors = self.session.get("/compute/v2.1/flavors/detail")["flavors"]
        return min(flavors, key=lambda flavor: (flavor["ram"], flavor["disk"]))["id"]

    def make_network(self) -> str:
        """With room for everything, and the subnet's addresses given by nobody."""
        network = self.session.post(f"{NETWORK}/networks", {"network": {"name": "wide"}})["network"]["id"]
        self.session.post(f"{NETWORK}/subnets", {"subnet": {
            "network_id": network, "ip_version": 4, "cidr": "10.64.0.0/16", "enable_dhcp": False}})
        return network

    def check(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> bytes:
        """The answer as it came; nothing is decoded while the clock runs."""
        answer = self.session.request(method, path, body, headers)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body[:300]!r}"
        return answer.body

    # -- measuring

    def keep(self, what: str, unit: str, value: float, budget: float | None = None, cpu_ms: float | None = None) -> None:
        self.results.append(Result(what, unit, value, budget, cpu_ms))

    def latency(self, what: str, budget: float | None, call: Callable[[], Any], count: int = 30) -> None:
        """Of one call after another: the median, in milliseconds."""
        medians, cpus = [], []
        call()
        for _ in range(self.runs):
            with self.cpu(count) as used:
                samples = []
                for _ in range(count):
                    begun = time.perf_counter()
                    call()
                    samples.append((time.perf_counter() - begun) * 1000)
            medians.append(statistics.median(samples))
            cpus.append(used[0])
        self.keep(what, "ms", min(medians), budget, min(cpus))

    def rate(self, what: str, budget: float | None, call: Callable[[], Any], count: int) -> None:
        """Calls a second by several clients at once."""
        rates, cpus = [], []
        for _ in range(self.runs):
            with self.cpu(count) as used:
                rates.append(count / self.together([call] * count))
            cpus.append(used[0])
        self.keep(what, "/s", max(rates), budget, min(cpus))

    @contextmanager
    def cpu(self, count: int) -> Iterator[list[float]]:
        """The cloud's CPU time meanwhile, in milliseconds for each of so many."""
        used, before = [0.0], self.target.cpu_seconds()
        yield used
        used[0] = (self.target.cpu_seconds() - before) * 1000 / count

    def together(self, calls: list[Callable[[], Any]]) -> float:
        """How many seconds several clients take for all of them."""
        begun = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            for done in [pool.submit(call) for call in calls]:
                done.result()
        return time.perf_counter() - begun

    # -- servers

    def wanted(self, name: str, count: int = 1) -> dict[str, Any]:
        server = {"name": name, "imageRef": self.image, "flavorRef": self.flavor, "networks": [{"uuid": self.network}]}
        if count > 1:
            server |= {"min_count": count, "max_count": count}
        return {"server": server}

    def boot(self, name: str, count: int = 1) -> bytes:
        return self.check("POST", SERVERS, self.wanted(name, count))

    def named(self, name: str, query: str = "") -> list[str]:
        servers = self.session.get(f"{SERVERS}?limit=1000&name=^{name}{query}")["servers"]
        return [server["id"] for server in servers]

    def wait_for(self, count: int, name: str, query: str = "") -> None:
        """Polls seldom: the watcher is not to be the load."""
        eventually(lambda: len(self.named(name, query)) == count, 120, f"{count} servers {name}{query}", poll=0.05)

    def delete_all(self, name: str) -> None:
        self.together([_deletion(self.session, server) for server in self.named(name)])
        self.wait_for(0, name)


def _deletion(session: Session, server: str) -> Callable[[], Any]:
    return lambda: session.request("DELETE", f"{SERVERS}/{server}")
