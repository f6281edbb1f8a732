"""What is said of a packet's path is what becomes of a packet: the same question to the tracer and to the wire."""

from __future__ import annotations

import pytest

from pilvi.drivers.fabric.base import (
    FixedIp,
    FloatingIp,
    Gateway,
    Network,
    Port,
    PortForwarding,
    Route,
    Router,
    RouterPort,
    Rule,
    SecurityGroup,
    Subnet,
    Topology,
)
from pilvi.network.paths import Known, Question, Step, explain
from tests.system import netlab
from tests.system.netlab import EXTERNAL_NETWORK, OPEN, WORLD, Lab, network, port, router

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(netlab.missing() is not None, reason=f"no OVN here: {netlab.missing()}"),
]

WEB = SecurityGroup("web", (Rule("out", "egress", "IPv4"), Rule("ssh", "ingress", "IPv4", "tcp", 22, 22)))
FLOATING = FloatingIp("fip", "172.24.4.100", "10.0.2.11", "p2-11")
FAR = Router("far", "far", (RouterPort("far-leg3", "net3", "0a:00:00:00:03:fe", (FixedIp("sub3", "10.0.3.254"),)),
                            RouterPort("far-leg4", "net4", "0a:00:00:00:04:01", (FixedIp("sub4", "10.0.4.1"),))))
ALONE = Router("alone", "alone",
               (RouterPort("leg5", "net5", "0a:00:00:00:05:01", (FixedIp("sub5", "10.0.5.1"),)),),
               Gateway("gw5", "ext", "0a:00:00:00:ff:05", (FixedIp("ext-4", "172.24.4.15"),), enable_snat=False))
PORTS = (port(1, 11), port(1, 12, "web"), port(2, 11, "web"), port(4, 11), port(5, 11), port(6, 11),
         port(1, 13, admin_state_up=False), port(1, 14), port(1, 15, port_security=False))
SIX = tuple(Network(f"six{number}", f"six {number}", 1442, (Subnet(f"fd{number}", f"fd00:{number}::/64", 6,
                                                                 gateway_ip=f"fd00:{number}::1"),)) for number in (1, 2))
SIX_PORTS = tuple(Port(f"six{number}-5", f"six{number}", f"0a:00:00:06:0{number}:05",
                       (FixedIp(f"fd{number}", f"fd00:{number}::5"),), ("open",)) for number in (1, 2))
SIX_ROUTER = Router("r6", "six", tuple(
    RouterPort(f"leg6{number}", f"six{number}", f"0a:00:00:06:0{number}:01", (FixedIp(f"fd{number}", f"fd00:{number}::1"),))
    for number in (1, 2)))
PORTS += SIX_PORTS
TOPOLOGY = Topology(
    (*(network(number) for number in range(1, 7)), *SIX, EXTERNAL_NETWORK), PORTS,
    (router(1, 2, 3, floating_ips=(FLOATING,), routes=(Route("10.0.4.0/24", "10.0.3.254"),),
            port_forwardings=(PortForwarding("172.24.4.102", "tcp", 2222, "10.0.2.11", 22),
                              PortForwarding("172.24.4.102", "tcp", 8080, "10.0.2.11", 80))), FAR, ALONE, SIX_ROUTER),
    (OPEN, WEB),
)  # fmt: skip
FLOATING_IDS = {"172.24.4.100": "fip", "172.24.4.101": "idle-fip", "172.24.4.102": "door"}
UP = {one.id for one in PORTS} - {"p1-14"}


@pytest.fixture(scope="module")
def lab():
    made = Lab()
    try:
        made.sync(TOPOLOGY)
        yield made
    finally:
        made.close()


def ask(lab: Lab, source: str, address: str, protocol: str = "icmp", number: int | None = None,
        sender: str | None = None) -> list[Step]:
    known = Known(TOPOLOGY, UP, FLOATING_IDS, lambda kind, object_id: f"{kind} {object_id}")
    return explain(known, lab.northbound.trace, Question(source, address, protocol, number, sender))


def passing(steps: list[Step]) -> list[tuple[str, str]]:
    """What the packet meets, which passes."""
    assert all(step.passes for step in steps), steps
    return [(step.kind, step.id) for step in steps]


def dropped(steps: list[Step]) -> Step:
    *before, last = steps
    assert [step.passes for step in before] == [True] * len(before), steps
    assert not last.passes, steps
    return last


def test_a_rule_of_a_security_group_lets_it_in_and_without_one_it_is_dropped(lab: Lab):
    assert passing(ask(lab, "p1-11", "10.0.1.12", "tcp", 22)) == [
        ("security_group_rule", "open-egress-IPv4"), ("security_group_rule", "ssh"), ("port", "p1-12"),
    ]  # fmt: skip
    refused = dropped(ask(lab, "p1-11", "10.0.1.12", "tcp", 80))
    assert (refused.kind, refused.id) == ("port", "p1-12")
    assert "no ingress rule for tcp 80 from 10.0.1.11 in security_group web" in refused.text
    assert "--dst-port 80 --remote-ip 10.0.1.11/32 web" in refused.remedy


def test_routers_on_the_way_and_their_routes_are_named(lab: Lab):
    steps = ask(lab, "p1-11", "10.0.4.11")
    assert passing(steps)[1:3] == [("router", "r"), ("router", "far")]
    assert "its extra route 10.0.4.0/24 via 10.0.3.254" in steps[1].text
    back = dropped(ask(lab, "p4-11", "10.0.1.11"))
    assert (back.kind, back.id) == ("router", "far")
    assert "no route to 10.0.1.11, and no external gateway" in back.text
    assert "openstack router set --external-gateway" in dropped(ask(lab, "p4-11", "8.8.8.8")).remedy


def test_ipv6_is_told_the_same_way(lab: Lab):
    assert passing(ask(lab, "six1-5", "fd00:2::5", "tcp", 22)) == [
        ("security_group_rule", "open-egress-IPv6"), ("router", "r6"), ("security_group_rule", "open-ingress-IPv6"),
        ("port", "six2-5"),
    ]  # fmt: skip
    assert "no route to fd00:3::1" in dropped(ask(lab, "six1-5", "fd00:3::1")).text
    assert "nobody on network six2 has the address fd00:2::77" in dropped(ask(lab, "six1-5", "fd00:2::77")).text
    assert "has no IPv4 address" in dropped(ask(lab, "six1-5", "10.0.1.11")).text


def test_a_missing_router_is_named(lab: Lab):
    missing = dropped(ask(lab, "p6-11", "8.8.8.8"))
    assert (missing.kind, missing.id) == ("subnet", "sub6")
    assert "10.0.6.1, which no router has" in missing.text


def test_spoofing_is_called_so(lab: Lab):
    spoofed = dropped(ask(lab, "p1-11", "10.0.1.12", "tcp", 22, "10.0.1.99"))
    assert (spoofed.kind, spoofed.id) == ("port", "p1-11")
    assert spoofed.text.startswith("anti-spoofing: 10.0.1.99 ")
    assert passing(ask(lab, "p1-15", "10.0.1.12", "tcp", 22, "10.0.1.99"))[0] == ("port", "p1-15")


def test_translations_of_the_source_are_told_before_and_after_the_neighbours_are_known(lab: Lab):
    def ways_out() -> list[list[tuple[str, str]]]:
        return [passing(ask(lab, one, WORLD))[1:] for one in ("p1-11", "p2-11", "p5-11")]

    expected = [
        [("router", "r"), ("router", "r"), ("network", "ext")],
        [("router", "r"), ("floatingip", "fip"), ("network", "ext")],
        [("router", "alone"), ("router", "alone"), ("network", "ext")],
    ]
    assert ways_out() == expected
    guest = lab.guest(PORTS[0])
    guest.use("10.0.1.11/24", "10.0.1.1")
    assert guest.pings(WORLD)
    assert ways_out() == expected
    assert "SNAT: the source 10.0.1.11 becomes 172.24.4.10" in ask(lab, "p1-11", WORLD)[2].text
    assert "no SNAT" in ask(lab, "p5-11", WORLD)[2].text


def test_a_floating_ip_is_followed_from_outside_and_from_inside(lab: Lab):
    inside = [("floatingip", "fip"), ("router", "r"), ("security_group_rule", "ssh"), ("port", "p2-11")]
    assert passing(ask(lab, "ext", "172.24.4.100", "tcp", 22)) == inside
    for source in ("p1-11", "p5-11"):
        assert passing(ask(lab, source, "172.24.4.100", "tcp", 22))[-4:] == inside
    assert "no ingress rule for icmp from 172.24.4.1" in dropped(ask(lab, "ext", "172.24.4.100")).text
    assert dropped(ask(lab, "p1-11", "172.24.4.101")).id == "idle-fip"
    assert "nobody on network ext has the address 172.24.4.7" in dropped(ask(lab, "ext", "172.24.4.7")).text


def test_a_forwarded_port_is_followed_and_another_one_is_not(lab: Lab):
    for source in ("ext", "p1-11", "p5-11"):
        steps = ask(lab, source, "172.24.4.102", "tcp", 2222)
        assert passing(steps)[-2:] == [("security_group_rule", "ssh"), ("port", "p2-11")]
        assert any("door forwards tcp 2222 to 10.0.2.11:22" in step.text for step in steps)
        closed = dropped(ask(lab, source, "172.24.4.102", "tcp", 8080))
        assert "no ingress rule for tcp 80 " in closed.text
        other = dropped(ask(lab, source, "172.24.4.102", "tcp", 23))
        assert "door forwards other ports, and not tcp 23" in other.text


def test_ports_that_are_down_are_named_at_both_ends(lab: Lab):
    for source, address, culprit in (
        ("p1-13", "10.0.1.11", "p1-13 is administratively down"), ("p1-11", "10.0.1.13", "p1-13 is administratively"),
        ("p1-14", "10.0.1.11", "p1-14 is DOWN"), ("p1-11", "10.0.1.14", "p1-14 is DOWN"),
    ):  # fmt: skip
        assert culprit in dropped(ask(lab, source, address)).text


def test_what_routers_and_the_metadata_service_answer_themselves(lab: Lab):
    assert passing(ask(lab, "p1-11", "10.0.2.1"))[-1] == ("router", "r")
    assert "answers nothing but pings" in dropped(ask(lab, "p1-11", "10.0.1.1", "tcp", 80)).text
    assert "metadata service" in ask(lab, "p1-11", "169.254.169.254", "tcp", 80)[-1].text


def test_nobody_is_named_where_nobody_has_the_address(lab: Lab):
    assert "nobody on network net2 has the address 10.0.2.77" in dropped(ask(lab, "p1-11", "10.0.2.77")).text
    assert "p1-15, which may have any address" in ask(lab, "p1-11", "10.0.1.77")[-1].text
