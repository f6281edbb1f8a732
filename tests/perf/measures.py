"""What is measured, in this order, with the budgets of the design; later measures find what earlier ones have made."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.perf.bench import NETWORK, SERVERS, Bench, Result

Measure = Callable[[Bench], None]


def start(bench: Bench) -> None:
    bench.keep("from `pilvi up` to the first authenticated `GET /servers`", "s", bench.target.ready_seconds, 1)
    bench.keep("memory (PSS) after that", "MB", bench.target.memory_mib(), 120)


def tokens(bench: Bench) -> None:
    auth = {"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": "admin", "domain": {"id": "default"}, "password": bench.password}}},
        "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}}
    path, token = "/identity/v3/auth/tokens", bench.session.token
    bench.latency("issue a token (password)", 30, lambda: bench.check("POST", path, auth), 10)
    bench.latency("validate a token", 1, lambda: bench.check("GET", path, headers={"X-Subject-Token": token}), 100)


def no_servers(bench: Bench) -> None:
    def call() -> bytes:
        return bench.check("GET", f"{SERVERS}/detail")

    bench.latency("`GET /servers/detail`, none", 2, call, 100)
    bench.rate("`GET /servers/detail`, none, 8 clients", 1500, call, 400)


def one_server(bench: Bench) -> None:
    accepted, active = [], []
    for number in range(10):
        begun = time.perf_counter()
        server = json.loads(bench.boot(f"one-{number}"))["server"]["id"]
        accepted.append((time.perf_counter() - begun) * 1000)
        while bench.session.get(f"{SERVERS}/{server}")["server"]["status"] != "ACTIVE":
            time.sleep(0.002)
        active.append((time.perf_counter() - begun) * 1000)
    bench.keep("boot one server, accepted", "ms", sorted(accepted)[5], 10)
    bench.keep("boot one server, active", "ms", sorted(active)[5], 60)
    bench.delete_all("one-")


def _boots(bench: Bench, what: str, name: str, count: int, budget: float, *, at_once: bool = False) -> None:
    with bench.cpu(count) as used:
        begun = time.perf_counter()
        if at_once:
            bench.boot(name, count)
        else:
            bench.together([lambda each=each: bench.boot(f"{name}{each}") for each in range(count)])
        bench.wait_for(count, name, "&status=ACTIVE")
        seconds = time.perf_counter() - begun
    bench.keep(what, "/s", count / seconds, budget, used[0])


def many_servers(bench: Bench) -> None:
    few, many = min(50, bench.servers), min(200, bench.servers)
    _boots(bench, f"boot {few}, 8 clients", "few-", few, 100)
    with bench.cpu(few) as used:
        begun = time.perf_counter()
        bench.delete_all("few-")
        seconds = time.perf_counter() - begun
    bench.keep(f"delete {few}, 8 clients", "/s", few / seconds, 100, used[0])
    _boots(bench, f"boot {few}, one request", "set-", few, 100, at_once=True)
    bench.delete_all("set-")
    _boots(bench, f"boot {many}, 8 clients", "many-", many, 100)


def long_lists(bench: Bench) -> None:
    part = min(100, bench.servers)
    bench.latency(f"`GET /servers/detail`, {part} servers", 10, lambda: bench.check("GET", f"{SERVERS}/detail?limit={part}"))
    while (missing := bench.servers - len(bench.named("many-"))) > 0:
        bench.boot(f"many-more-{missing}", min(missing, 100))
    bench.wait_for(bench.servers, "many-", "&status=ACTIVE")
    count = bench.servers
    bench.latency(f"`GET /servers/detail`, {count} servers", 60, lambda: bench.check("GET", f"{SERVERS}/detail"), 8)
    bench.latency(f"`GET /servers`, {count} servers", None, lambda: bench.check("GET", SERVERS), 8)
    one = bench.named("many-")[0]
    bench.latency(f"`GET` one server of {count}", 2, lambda: bench.check("GET", f"{SERVERS}/{one}"), 100)
    bench.latency(f"list {count} ports", 40, lambda: bench.check("GET", f"{NETWORK}/ports?limit={count}"), 8)


def networks(bench: Bench) -> None:
    group = bench.session.get(f"{NETWORK}/security-groups")["security_groups"][0]["id"]
    made: list[str] = []

    def network() -> None:
        made.append(json.loads(bench.check("POST", f"{NETWORK}/networks", {"network": {"name": "n"}}))["network"]["id"])

    def make(noun: str, path: str, **values: Any) -> Callable[[], bytes]:
        return lambda: bench.check("POST", f"{NETWORK}/{path}", {noun: {name: value() if callable(value) else value
                                                                       for name, value in values.items()}})

    def cidr() -> str:
        number = next(numbers)
        return f"10.{128 + number // 256}.{number % 256}.0/24"

    numbers = iter(range(1, 30_000))
    bench.latency("create a network", 10, network, 10)
    bench.latency("create a subnet", 10, make("subnet", "subnets", network_id=lambda: made[-1], ip_version=4, cidr=cidr), 10)
    bench.latency("create a port", 10, make("port", "ports", network_id=bench.network), 10)
    bench.latency("create a security group rule", 10, make(
        "security_group_rule", "security-group-rules", security_group_id=group, direction="ingress", protocol="tcp",
        port_range_min=lambda: next(numbers), port_range_max=60_000), 10)


def short_lists(bench: Bench) -> None:
    project = bench.session.project_id
    for noun, path in (("images", "/image/v2/images"), ("flavors in detail", "/compute/v2.1/flavors/detail"),
                       ("security groups", f"{NETWORK}/security-groups"),
                       ("volumes", f"/volume/v3/{project}/volumes/detail")):
        bench.latency(f"list {noun}, a few", None, lambda path=path: bench.check("GET", path))


MEASURES: tuple[Measure, ...] = (start, tokens, no_servers, one_server, many_servers, long_lists, networks, short_lists)


def table(results: Sequence[Result]) -> str:
    """In Markdown."""
    lines = ["| measure | budget | Pilvi | CPU of the cloud | met |", "|---|---|---|---|---|"]
    for result in results:
        met = {None: "", True: "yes", False: "no"}[result.met]
        budget = "" if result.budget is None else _number(result.budget, result.unit)
        cpu = "" if result.cpu_ms is None else f"{_number(result.cpu_ms, 'ms')} each"
        lines.append(f"| {result.what} | {budget} | {_number(result.value, result.unit)} | {cpu} | {met} |")
    return "\n".join(lines)


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text}{unit}" if unit == "/s" else f"{text} {unit}"
