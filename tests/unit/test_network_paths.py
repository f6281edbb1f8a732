"""What ovn-trace tells, read and retold: outputs recorded of OVN 23.03 (tests/unit/ovn_traces), and a topology to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilvi.drivers.fabric import tracing
from pilvi.drivers.fabric.base import (
    FixedIp,
    FloatingIp,
    Gateway,
    Network,
    Packet,
    Port,
    Router,
    RouterPort,
    Rule,
    SecurityGroup,
    Subnet,
    Topology,
)
from pilvi.drivers.fabric.matches import rule_match
from pilvi.network.neighbours import Neighbours
from pilvi.network.paths import Known, Question, explain

RECORDED = Path(__file__).with_name("ovn_traces")


def recorded(name: str) -> tuple[tracing.Pipeline, ...]:
    pipelines = tracing.parse((RECORDED / f"{name}.txt").read_text())
    groups = ((group, rule) for group in TOPOLOGY.security_groups for rule in group.rules)
    return tracing.named(pipelines, {}, {rule_match(group.id, rule): rule.id for group, rule in groups})


def lan(number: int, **more) -> Network:
    subnet = Subnet(f"sub{number}", f"10.0.{number}.0/24", gateway_ip=f"10.0.{number}.1",
                    metadata_ip=f"10.0.{number}.2", **more)
    return Network(f"net{number}", f"lan {number}", 1442, (subnet,), metadata_port_id=f"md{number}",
                   metadata_mac=f"0a:00:00:00:{number:02x}:02")


def guest(net: int, last: int, group: str, **more) -> Port:
    return Port(f"p{net}-{last}", f"net{net}", f"0a:00:00:00:{net:02x}:{last:02x}",
                (FixedIp(f"sub{net}", f"10.0.{net}.{last}"),), (group,), **more)


def leg(net: int) -> RouterPort:
    return RouterPort(f"leg{net}", f"net{net}", f"0a:00:00:00:{net:02x}:01", (FixedIp(f"sub{net}", f"10.0.{net}.1"),))


OPEN = SecurityGroup("open", tuple(Rule(f"open-{way}", way, "IPv4") for way in ("ingress", "egress")))
WEB = SecurityGroup("web", (Rule("e4", "egress", "IPv4"), Rule("ssh", "ingress", "IPv4", "tcp", 22, 22)))
OUTSIDE = Network("ext", "public", 1500, (Subnet("ext-4", "172.24.4.0/24", gateway_ip="172.24.4.1"),),
                  physical_network="public")
ROUTER = Router("r", "router", (leg(1), leg(2)),
                Gateway("gw", "ext", "0a:00:00:00:ff:01", (FixedIp("ext-4", "172.24.4.10"),)),
                floating_ips=(FloatingIp("fip", "172.24.4.100", "10.0.2.11", "p2-11"),))
TOPOLOGY = Topology((lan(1), lan(2), lan(3), OUTSIDE),
                    (guest(1, 11, "open"), guest(1, 12, "web"), guest(2, 11, "web"), guest(3, 11, "open")),
                    (ROUTER, Router("r2", "other", (leg(3),))), (OPEN, WEB))


def told(traces: list[str], question: Question) -> list[tuple[bool, str, str]]:
    """(passes, kind, id) of each step, where the network traces as recorded; all recordings are asked for."""
    names, asked = iter(traces), []

    def trace(packet: Packet):
        asked.append(packet)
        return recorded(next(names))

    up = {port.id for port in TOPOLOGY.ports}
    known = Known(TOPOLOGY, up, {"172.24.4.100": "fip"}, lambda kind, object_id: f"{kind} {object_id}")
    steps = explain(known, trace, question)
    assert len(asked) == len(traces)
    return [(step.passes, step.kind, step.id) for step in steps]


OUT = (True, "security_group_rule", "open-egress")
SSH = (True, "security_group_rule", "ssh")


def test_a_trace_is_pipelines_of_stages():
    pipelines = recorded("snat")
    assert [(one.direction, one.datapath, one.inport, one.outport) for one in pipelines] == [
        ("ingress", "net1", "p1-11", ""), ("egress", "net1", "p1-11", "leg1"), ("ingress", "r", "lrp-leg1", ""),
        ("egress", "r", "lrp-leg1", "lrp-gw"), ("ingress", "ext", "gw", ""), ("egress", "ext", "gw", "localnet-ext"),
    ]  # fmt: skip
    routing = next(stage for stage in pipelines[2].stages if stage.table == "lr_in_ip_routing")
    assert routing.match == "reg7 == 0 && ip4.dst == 0.0.0.0/0"
    assert routing.actions[2] == "reg0 = 172.24.4.1;"
    assert pipelines[5].stages[-1].actions == ("output;", '/* output to "localnet-ext", type "localnet" */')


def test_a_table_in_which_nothing_fits_has_no_match():
    text = 'ingress(dp="r", inport="lrp-a")\n----\n 3. lr_in_ip_input: no match (implicit drop)\n'
    (pipeline,) = tracing.parse(text)
    assert pipeline.stages == (tracing.Stage("lr_in_ip_input", None),)


def test_flows_are_named_by_the_rules_that_they_are_made_of():
    tracked, bare = "reg0[7] == 1 && (outport == @g && ip4 && tcp)", "outport == @g && ip4 && tcp"
    stages = tuple(tracing.Stage("ls_out_acl", match) for match in (tracked, bare, "reg0[7] == 1 && (outport == @g && ip4)"))
    (found,) = tracing.named([tracing.Pipeline("egress", "row", "a", "b", stages)], {"row": "net"}, {bare: "rule"})
    assert found.datapath == "net"
    assert [stage.rule for stage in found.stages] == ["rule", "rule", None]


def test_what_is_asked_of_the_tracer():
    packet = Packet("p", "0a:00:00:00:00:01", "0a:00:00:00:00:02", "10.0.0.1", "10.0.0.2", "udp", 53)
    assert tracing.expression(packet) == (
        'inport == "p" && eth.src == 0a:00:00:00:00:01 && eth.dst == 0a:00:00:00:00:02 && ip4.src == 10.0.0.1 && '
        "ip4.dst == 10.0.0.2 && ip.ttl == 64 && udp && udp.src == 49152 && udp.dst == 53")
    six = Packet("p", "0a:00:00:00:00:01", "0a:00:00:00:00:02", "fd00::1", "fd00::2")
    assert tracing.expression(six).endswith("icmp6.type == 128 && icmp6.code == 0")


@pytest.mark.parametrize(("trace", "question", "steps"), [
    ("allowed", Question("p1-11", "10.0.1.12", "tcp", 22, None), [OUT, SSH, (True, "port", "p1-12")]),
    ("no_rule", Question("p1-11", "10.0.1.12", "icmp", None, None), [OUT, (False, "port", "p1-12")]),
    ("spoof", Question("p1-11", "10.0.1.12", "tcp", 22, "10.0.1.99"), [(False, "port", "p1-11")]),
    ("no_route", Question("p3-11", "8.8.8.8", "tcp", 22, None), [OUT, (False, "router", "r2")]),
    ("snat", Question("p1-11", "8.8.8.8", "tcp", 22, None),
     [OUT, (True, "router", "r"), (True, "router", "r"), (True, "network", "ext")]),
    ("floating_ip", Question("p1-11", "172.24.4.100", "tcp", 22, None),
     [OUT, (True, "router", "r"), (True, "router", "r"), (True, "floatingip", "fip"), (True, "router", "r"), SSH,
      (True, "port", "p2-11")]),
])  # fmt: skip
def test_a_recorded_trace_is_told_in_the_apis_words(trace, question, steps):
    assert told([trace], question) == steps


def test_a_router_that_must_ask_first_is_followed_past_its_question():
    """It is traced on from the router's leg: the second recording here drops it, wherever it began."""
    steps = told(["neighbour_unknown", "no_route"], Question("p1-11", "8.8.8.8", "tcp", 22, None))
    assert steps[1:3] == [(True, "router", "r")] * 2
    assert steps[-1][0] is False


def test_routers_that_send_it_round_and_round_are_stopped():
    steps = told(["neighbour_unknown"] * 16, Question("p1-11", "8.8.8.8", "tcp", 22, None))
    assert steps[-1] == (False, "", "")


def test_a_guest_sends_to_whom_its_routes_say():
    world = Neighbours(Topology((lan(1, host_routes=()),), (guest(1, 11, "open"),)))
    port = world.ports["p1-11"]
    assert world.next_hop(port, "10.0.1.99") == "10.0.1.99"
    assert world.next_hop(port, "8.8.8.8") == "10.0.1.1"
    assert world.next_hop(port, "169.254.169.254") == "10.0.1.2"
    assert world.next_hop(port, "fe80::1") == "fe80::1"
    assert world.next_hop(port, "fd00::1") is None


def test_addresses_are_held_by_ports_their_pairs_routers_floating_ips_and_metadata():
    world = Neighbours(Topology((lan(1), lan(2), OUTSIDE), (
        guest(1, 11, "open", allowed_address_pairs=(("", "10.0.1.64/26"),)),), (ROUTER,)))  # fmt: skip
    assert world.holder("net1", "10.0.1.11")[:2] == ("port", "p1-11")
    assert world.holder("net1", "10.0.1.70").mac == world.ports["p1-11"].mac
    assert world.holder("net1", "10.0.1.1")[:2] == ("router", "r")
    assert world.holder("net1", "10.0.1.2").kind == world.holder("net1", "fe80::a9fe:a9fe").kind == "metadata"
    assert world.holder("ext", "172.24.4.100") == ("floatingip", "fip", "0a:00:00:00:ff:01")
    assert world.holder("net1", "10.0.1.130") is None


def test_the_source_with_which_a_packet_leaves():
    world = Neighbours(TOPOLOGY)
    assert world.translated(ROUTER, "10.0.1.11") == "172.24.4.10"
    assert world.translated(ROUTER, "10.0.2.11") == "172.24.4.100"
    assert world.translated(ROUTER, "10.9.9.9") == "10.9.9.9"
    assert world.translated(world.routers["r2"], "10.0.3.11") == "10.0.3.11"
