"""What the logical network does with one packet: the words for it, and how ovn-trace(8) tells it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from pilvi.supervise.namespace import HostError, run

# What each kind of packet is to ovn-trace, by IP version; a connection begins with it.
KINDS = {
    "tcp": "tcp && tcp.src == 49152 && tcp.dst == {port}",
    "udp": "udp && udp.src == 49152 && udp.dst == {port}",
    "sctp": "sctp && sctp.src == 49152 && sctp.dst == {port}",
}
PINGS = {4: "icmp4.type == 8 && icmp4.code == 0", 6: "icmp6.type == 128 && icmp6.code == 0"}
LOOKUPS = 24  # how often a packet may be looked up in connection tracking, each time as the first of its connection

_PIPELINE = re.compile(r'\s*(ingress|egress)\(dp="([^"]*)", inport="([^"]*)"(?:, outport="([^"]*)")?\)')
_STAGE = re.compile(r"\s*\d+\. (\w+)(?: \([^)]*\))?: (.*)")
_HINT = re.compile(r"reg\d+\[\d+\] == 1 && \((.*)\)")  # what comes before an access rule's own match
_FLOW = re.compile(r"(.*), priority \d+(?:, uuid [0-9a-f]+)?$")


class Packet(msgspec.Struct, frozen=True):
    """The first packet of a connection, as it enters the logical network at a port."""

    inport: str
    eth_src: str
    eth_dst: str
    ip_src: str
    ip_dst: str
    protocol: str = "icmp"  # icmp (an echo request) | tcp | udp | sctp
    port: int | None = None  # the destination's; None where the protocol is icmp


class Stage(msgspec.Struct, frozen=True):
    """One table of a pipeline. `match` of the flow that was taken; None where none fits, which drops the packet."""

    table: str
    match: str | None
    actions: tuple[str, ...] = ()  # and what the tracer remarks: "/* No MAC binding. */"
    rule: str | None = None  # id of the security group rule that the flow is made of


class Pipeline(msgspec.Struct, frozen=True):
    """One pass through a switch or router: `outport` is known of egress pipelines alone."""

    direction: str  # ingress | egress
    datapath: str
    inport: str
    outport: str
    stages: tuple[Stage, ...]


def trace(southbound: str, packet: Packet) -> tuple[Pipeline, ...]:
    """The pipelines that the packet goes through, in order; datapaths are the UUIDs of rows of the northbound database.

    `southbound`: "unix:/path". Raises HostError."""
    flags = ("--no-friendly-names", *("--ct=new",) * LOOKUPS)  # else UUIDs are cut short
    return parse(run("ovn-trace", f"--db={southbound}", *flags, expression(packet)))


def expression(packet: Packet) -> str:
    version = 6 if ":" in packet.ip_dst else 4
    kind = KINDS[packet.protocol].format(port=packet.port) if packet.protocol in KINDS else PINGS[version]
    return " && ".join([
        f'inport == "{packet.inport}"', f"eth.src == {packet.eth_src}", f"eth.dst == {packet.eth_dst}",
        f"ip{version}.src == {packet.ip_src}", f"ip{version}.dst == {packet.ip_dst}", "ip.ttl == 64", kind,
    ])  # fmt: skip


def parse(text: str) -> tuple[Pipeline, ...]:
    """ovn-trace's detailed output. What is not of a pipeline's stage (its first line, rules of dashes) is left out."""
    pipelines: list[tuple[re.Match[str], list[tuple[str, str | None, list[str]]]]] = []
    for line in text.splitlines():
        if begins := _PIPELINE.fullmatch(line):
            pipelines.append((begins, []))
        elif not pipelines:
            continue
        elif stage := _STAGE.fullmatch(line):
            flow = _FLOW.fullmatch(stage[2])
            pipelines[-1][1].append((stage[1], flow and flow[1], []))
        elif pipelines[-1][1] and line.strip(" -"):
            pipelines[-1][1][-1][2].append(line.strip())
    return tuple(
        Pipeline(head[1], head[2], head[3], head[4] or "",
                 tuple(Stage(table, match, tuple(actions)) for table, match, actions in stages))
        for head, stages in pipelines
    )  # fmt: skip


def named(pipelines: Iterable[Pipeline], datapaths: Mapping[str, str], rules: Mapping[str, str]) -> tuple[Pipeline, ...]:
    """The same in Pilvi's ids: `datapaths` by the tracer's names for them, `rules` by their own matches."""

    def ruled(stage: Stage) -> Stage:
        hinted = _HINT.fullmatch(stage.match or "")
        own = hinted[1] if hinted else (stage.match or "").removeprefix("(").removesuffix(")")
        return msgspec.structs.replace(stage, rule=rules[own]) if own in rules else stage

    return tuple(
        msgspec.structs.replace(one, datapath=datapaths.get(one.datapath, one.datapath),
                                stages=tuple(map(ruled, one.stages)))
        for one in pipelines
    )  # fmt: skip


__all__ = ["HostError", "Packet", "Pipeline", "Stage", "expression", "named", "parse", "trace"]
