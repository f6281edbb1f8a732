"""Routers with packets: ports of one address that lead to several guests, and networks that are routed as they are."""

from __future__ import annotations

import msgspec
import pytest

from pilvi.drivers.fabric.base import FloatingIp, PortForwarding, Topology
from pilvi.supervise import namespace as host
from tests.system import netlab
from tests.system.netlab import EXTERNAL_NETWORK, OPEN, WORLD, Lab, addressed, network, port, router, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(netlab.missing() is not None, reason=f"no OVN here: {netlab.missing()}"),
]
DOOR = "172.24.4.100"


def forwarded(external: int, fixed_ip: str, internal: int, protocol: str = "tcp") -> PortForwarding:
    return PortForwarding(DOOR, protocol, external, fixed_ip, internal)


def test_ports_of_one_address_lead_to_several_guests(lab: Lab):
    one, other = port(1, 11), port(2, 11)
    nets = (network(1), network(2), EXTERNAL_NETWORK)
    mine = FloatingIp("fip", "172.24.4.101", "10.0.2.11", other.id)

    def forward(*ports: PortForwarding) -> None:
        way = router(1, 2, port_forwardings=ports, floating_ips=(mine,))
        lab.sync(Topology(nets, (one, other), (way,), (OPEN,)))

    forward(forwarded(2201, "10.0.1.11", 22), forwarded(2202, "10.0.2.11", 22), forwarded(2203, "10.0.2.11", 80))
    first, second, world = addressed(lab, one), addressed(lab, other), lab.outsider()
    with first.serving(22) as seen_by_first, second.serving(22) as seen_by_second, second.serving(80):
        assert world.asks(DOOR, 2201) == WORLD
        assert (list(seen_by_first), seen_by_second) == ([WORLD], [])
        assert world.asks(DOOR, 2202) == WORLD
        assert seen_by_second == [WORLD]
        assert world.asks(DOOR, 2203) == WORLD
        assert world.asks(DOOR, 22, tries=2) is None, "a port that is not forwarded"
        assert world.asks("172.24.4.101", 22) == WORLD, "a guest may have a floating IP of its own as well"
        assert first.asks(DOOR, 2202) == "10.0.1.11", "from a guest behind the same router"
        assert first.asks(DOOR, 2201) is not None, "even to itself"
        assert second.asks(DOOR, 2201) == "10.0.2.11"
        forward(forwarded(2201, "10.0.2.11", 22))

        def leads_to_the_other() -> bool:
            before = len(seen_by_second)
            return world.asks(DOOR, 2201) == WORLD and len(seen_by_second) > before

        wait_for(leads_to_the_other, "the port to lead to the other guest")
        wait_for(lambda: world.asks(DOOR, 2202, tries=1) is None, "the port to lead nowhere")
        forward()
        wait_for(lambda: world.asks(DOOR, 2201, tries=1) is None, "no port to lead anywhere")
    with world.serving(8080):
        assert first.asks(WORLD, 8080) == "172.24.4.10"


def test_within_an_address_scope_nobody_is_translated_and_beyond_it_nobody_is_routed(lab: Lab):
    same, apart, plain = port(1, 11), port(2, 11), port(3, 11)
    world_of_scope = msgspec.structs.replace(
        EXTERNAL_NETWORK, subnets=(msgspec.structs.replace(EXTERNAL_NETWORK.subnets[0], address_scope="lab"),)
    )
    nets = (network(1, address_scope="lab"), network(2, address_scope="other"), network(3), world_of_scope)
    lab.sync(Topology(nets, (same, apart, plain), (router(1, 2, 3),), (OPEN,)))
    inside, other, unscoped, world = *(addressed(lab, one) for one in (same, apart, plain)), lab.outsider()
    back = ("10.0.1.0/24", "via", "172.24.4.10")
    host.ip(lab.outside, "route", "add", *back)
    try:
        with world.serving(8080), inside.serving(80):
            assert inside.asks(WORLD, 8080) == "10.0.1.11", "as itself"
            assert world.asks("10.0.1.11", 80) == WORLD, "and is found as itself"
            assert other.asks(WORLD, 8080) == "172.24.4.10", "whose addresses may be there elsewhere too"
            assert unscoped.asks(WORLD, 8080) == "172.24.4.10"
            assert other.asks("10.0.1.11", 80, tries=2) is None
            assert not inside.pings("10.0.2.11", tries=2)
            assert not unscoped.pings("10.0.1.11", tries=2)
        one_scope = (nets[0], network(2, address_scope="lab"), *nets[2:])
        lab.sync(Topology(one_scope, (same, apart, plain), (router(1, 2, 3),), (OPEN,)))
        assert inside.pings("10.0.2.11")
    finally:
        host.ip(lab.outside, "route", "delete", *back)
