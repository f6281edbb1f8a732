"""The contract of the fabric drivers: each test holds for every one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from pilvi.drivers.fabric.base import (
    AddressGroup,
    FabricError,
    FloatingIp,
    HostFabric,
    HostRoute,
    Northbound,
    Port,
    PortForwarding,
    Route,
    Rule,
    SecurityGroup,
    Shaping,
    Topology,
)
from pilvi.drivers.fabric.ovn import OvnNorthbound
from pilvi.drivers.fabric.ovs import OvsFabric
from pilvi.drivers.fabric.simulated import SimulatedFabric, SimulatedNorthbound
from tests.system import netlab
from tests.system.netlab import EXTERNAL_NETWORK, OPEN, Lab, network, port, router, wait_for


@dataclass
class Driver:
    """A driver's two halves, and how another process of Pilvi would open the same ones."""

    northbound: Northbound
    fabric: HostFabric
    reopen_northbound: Callable[[], Northbound]
    reopen_fabric: Callable[[], HostFabric]
    forget: Callable[[str], object]  # the switch loses what it knows of a device


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    whole = Lab()
    yield whole
    whole.close()


@pytest.fixture(
    params=[
        "simulated",
        pytest.param(
            "ovn",
            marks=[
                pytest.mark.system,
                pytest.mark.skipif(netlab.missing() is not None, reason=f"no OVN here: {netlab.missing()}"),
            ],
        ),
    ]
)
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driver]:
    if request.param == "simulated":
        fabric = SimulatedFabric(tmp_path)
        yield Driver(
            SimulatedNorthbound((fabric,), tmp_path, ("host-1",)),
            fabric,
            lambda: SimulatedNorthbound((SimulatedFabric(tmp_path),), tmp_path),
            lambda: SimulatedFabric(tmp_path),
            lambda _: fabric.forget(),
        )
        return
    lab: Lab = request.getfixturevalue("lab")
    stack = lab.stack
    try:
        yield Driver(
            lab.northbound,
            lab.fabric,
            lambda: OvnNorthbound(stack.sockets.nb, ["host-1"]),
            lambda: OvsFabric(stack.sockets.ovsdb, lab.name, userspace=stack.userspace),
            lambda device: stack.vsctl("del-port", device),
        )
    finally:
        lab.clear()


WHOLE = Topology(
    (network(1), network(2), EXTERNAL_NETWORK),
    (port(1, 11, hostname="one"), port(2, 11, "web")),
    (router(1, 2, floating_ips=(FloatingIp("fip", "172.24.4.100", "10.0.1.11", "p1-11"),)),),
    (OPEN, SecurityGroup("web", (Rule("80", "ingress", "IPv4", "tcp", 80, 80, remote_group_id="open"),))),
)


def altered(kind: str, number: int, **changes: object) -> Topology:
    """WHOLE with one of its objects changed."""
    things = list(getattr(WHOLE, kind))
    things[number] = msgspec.structs.replace(things[number], **changes)
    return msgspec.structs.replace(WHOLE, **{kind: tuple(things)})


CHANGES = {
    "a network's name": altered("networks", 0, name="renamed"),
    "a network's MTU": altered("networks", 0, mtu=1400),
    "a network's domain": altered("networks", 0, dns_domain="lab.test"),
    "a network's state": altered("networks", 0, admin_state_up=False),
    "a subnet's DHCP": altered("networks", 0, subnets=network(1, enable_dhcp=False).subnets),
    "a subnet's name servers": altered(
        "networks", 0, subnets=network(1, dns_nameservers=("192.0.2.1",)).subnets
    ),
    "a subnet's routes": altered(
        "networks", 0, subnets=network(1, host_routes=(HostRoute("192.0.2.0/24", "10.0.1.9"),)).subnets
    ),
    "a port's MAC address": altered("ports", 0, mac="0a:00:00:00:01:77"),
    "a port's addresses": altered("ports", 0, fixed_ips=port(1, 12).fixed_ips),
    "a port's groups": altered("ports", 0, security_group_ids=("web",)),
    "a port's security": altered("ports", 0, port_security=False),
    "a port's address pairs": altered(
        "ports", 0, allowed_address_pairs=(("0a:00:00:00:01:88", "10.0.1.88"),)
    ),
    "a port's state": altered("ports", 0, admin_state_up=False),
    "a port's name": altered("ports", 0, hostname="other"),
    "a router's legs": altered("routers", 0, ports=router(1).ports),
    "a router's gateway": altered("routers", 0, gateway=None),
    "a router's SNAT": altered(
        "routers", 0, gateway=msgspec.structs.replace(WHOLE.routers[0].gateway, enable_snat=False)
    ),
    "a router's routes": altered("routers", 0, routes=(Route("198.51.100.0/24", "10.0.1.9"),)),
    "a router's floating IPs": altered("routers", 0, floating_ips=()),
    "a router's port forwardings": altered(
        "routers", 0, port_forwardings=(PortForwarding("172.24.4.101", "tcp", 2201, "10.0.1.11", 22),)
    ),
    "a router's state": altered("routers", 0, admin_state_up=False),
    "a group's rules": altered("security_groups", 1, rules=(Rule("80", "ingress", "IPv4", "tcp", 80, 81),)),
    "an address group": msgspec.structs.replace(WHOLE, address_groups=(AddressGroup("lab", ("10.9.0.0/24",)),)),
    "an address group's rule": msgspec.structs.replace(
        altered("security_groups", 1, rules=(Rule("80", "ingress", "IPv4", remote_address_group_id="lab"),)),
        address_groups=(AddressGroup("lab", ("10.9.0.0/24", "fd00::/64")),),
    ),
    "a network's VLAN transparency": altered("networks", 0, vlan_transparent=True),
    "a network's key": altered("networks", 0, tunnel_key=70_000),
    "a physical network's VLAN": altered("networks", 2, vlan=42),
    "a port's trunk": altered("ports", 0, trunk=("p2-11", 100)),
    "a port's shaping": altered("ports", 0, shaping=(Shaping("egress", 1000, 100, 26),)),
    "a gateway's shaping": altered(
        "routers",
        0,
        gateway=msgspec.structs.replace(WHOLE.routers[0].gateway, shaping=(Shaping("egress", 1000),)),
    ),
    "a floating IP's shaping": altered(
        "routers",
        0,
        floating_ips=(FloatingIp("fip", "172.24.4.100", "10.0.1.11", "p1-11", (Shaping("ingress", 1000),)),),
    ),
    "a subnet's address scope": altered("networks", 0, subnets=network(1, address_scope="lab").subnets),
    "a network less": Topology(
        WHOLE.networks[:1] + WHOLE.networks[2:], WHOLE.ports[:1], (router(1),), WHOLE.security_groups
    ),
    "nothing left": Topology(),
}

MISTAKES = {
    "p1-11 is on network net1": msgspec.structs.replace(WHOLE, networks=WHOLE.networks[1:]),
    "p1-11 has security group gone": altered("ports", 0, security_group_ids=("gone",)),
    "p1-11 has an address of subnet sub2": altered("ports", 0, fixed_ips=port(2, 11).fixed_ips),
    "router r is on network net2": msgspec.structs.replace(
        WHOLE, networks=(WHOLE.networks[0], WHOLE.networks[2]), ports=WHOLE.ports[:1]
    ),
    "gateway of router r is on network ext": msgspec.structs.replace(WHOLE, networks=WHOLE.networks[:2]),
    "rule 80 has remote address group gone": altered(
        "security_groups", 1, rules=(Rule("80", "ingress", "IPv4", remote_address_group_id="gone"),)
    ),
    "rule 80 has remote group open": msgspec.structs.replace(
        altered("ports", 0, security_group_ids=()), security_groups=WHOLE.security_groups[1:]
    ),
}


class TestNorthbound:
    def test_what_is_too_much_and_what_is_missing(self, driver: Driver):
        one, other = port(1, 11), port(1, 12)
        driver.northbound.sync(Topology((network(1),), (one,), (), (OPEN,)))
        wanted = Topology((network(1),), (other,), (), (OPEN,))
        surplus, missing = driver.northbound.compare(wanted)
        assert any(one.id in name for name in surplus)
        assert any(other.id in name for name in missing)
        driver.northbound.sync(wanted)
        assert driver.northbound.compare(wanted) == ([], [])

    def test_a_subport_is_up_with_its_parent(self, driver: Driver):
        parent, below = port(1, 11), port(2, 11, trunk=("p1-11", 100))
        driver.northbound.sync(Topology((network(1), network(2)), (parent, below), (), (OPEN,)))
        driver.fabric.plug(parent.id, parent.mac, 1442, os.getuid())
        wait_for(lambda: driver.northbound.ports_up() == {parent.id, below.id}, "both to come up")
        driver.fabric.unplug(parent.id)
        wait_for(lambda: not driver.northbound.ports_up(), "both to go down")

    def test_hosts_are_heard(self, driver: Driver):
        def heard() -> bool:
            (one,) = driver.northbound.hosts()
            return one.name == "host-1" and one.gateway and one.silent_seconds is not None and one.silent_seconds < 60

        wait_for(heard, "the only host to be heard")

    def test_a_second_pass_changes_nothing(self, driver: Driver):
        assert driver.northbound.sync(WHOLE) > 0
        assert driver.northbound.sync(WHOLE) == 0

    @pytest.mark.parametrize("what", CHANGES)
    def test_each_change_is_made_once_and_can_be_taken_back(self, driver: Driver, what: str):
        driver.northbound.sync(WHOLE)
        for topology in (CHANGES[what], WHOLE):
            assert driver.northbound.sync(topology) > 0
            assert driver.northbound.sync(topology) == 0

    @pytest.mark.parametrize("said", MISTAKES)
    def test_a_contradiction_is_named_and_nothing_has_changed(self, driver: Driver, said: str):
        driver.northbound.sync(WHOLE)
        with pytest.raises(FabricError, match=said):
            driver.northbound.sync(MISTAKES[said])
        assert driver.northbound.sync(WHOLE) == 0

    def test_it_lasts(self, driver: Driver):
        driver.northbound.sync(WHOLE)
        again = driver.reopen_northbound()
        try:
            assert again.sync(WHOLE) == 0
            assert again.sync(CHANGES["a network less"]) > 0
        finally:
            again.close()

    def test_a_port_is_up_while_it_is_plugged(self, driver: Driver):
        one, other = WHOLE.ports
        driver.northbound.sync(WHOLE)
        assert driver.northbound.ports_up() == frozenset()
        driver.fabric.plug(one.id, one.mac, 1442, os.getuid())
        wait_for(lambda: driver.northbound.ports_up() == {one.id}, "the first port")
        driver.fabric.plug(other.id, other.mac, 1442, os.getuid())
        wait_for(lambda: driver.northbound.ports_up() == {one.id, other.id}, "both ports")
        driver.fabric.unplug(one.id)
        wait_for(lambda: driver.northbound.ports_up() == {other.id}, "the first port to go")

    def test_a_port_may_be_plugged_before_it_is_known(self, driver: Driver):
        one = WHOLE.ports[0]
        driver.fabric.plug(one.id, one.mac, 1442, os.getuid())
        driver.northbound.sync(WHOLE)
        wait_for(lambda: driver.northbound.ports_up() == {one.id}, "the port")


class TestHostFabric:
    @staticmethod
    def plug(driver: Driver, one: Port, **changes: int) -> str:
        return driver.fabric.plug(one.id, one.mac, **{"mtu": 1442, "owner_uid": os.getuid(), **changes})

    def test_plugging_twice_is_plugging_once(self, driver: Driver):
        one, other = WHOLE.ports
        device = self.plug(driver, one)
        assert self.plug(driver, one) == device
        assert len(device) < 16, "what the kernel allows"
        assert driver.fabric.plugged() == {one.id: device}
        second = self.plug(driver, other)
        assert driver.fabric.plugged() == {one.id: device, other.id: second}

    def test_what_the_switch_has_forgotten_is_joined_by_plugging_it_again(self, driver: Driver):
        one = WHOLE.ports[0]
        assert driver.fabric.joined() == frozenset()
        device = self.plug(driver, one)
        assert driver.fabric.joined() == {one.id}
        driver.forget(device)
        assert driver.fabric.joined() == frozenset()
        assert driver.fabric.plugged() == {one.id: device}
        assert self.plug(driver, one) == device
        assert driver.fabric.joined() == {one.id}

    def test_a_port_is_plugged_for_another_user(self, driver: Driver):
        one = WHOLE.ports[0]
        assert self.plug(driver, one) == self.plug(driver, one, owner_uid=12345, mtu=1400)

    def test_unplugging_twice_is_unplugging_once(self, driver: Driver):
        one, other = WHOLE.ports
        self.plug(driver, one)
        kept = self.plug(driver, other)
        driver.fabric.unplug(one.id)
        driver.fabric.unplug(one.id)
        driver.fabric.unplug("never-was")
        assert driver.fabric.plugged() == {other.id: kept}

    def test_plugged_ports_are_counted(self, driver: Driver):
        one = WHOLE.ports[0]
        assert driver.fabric.counters() == {}
        self.plug(driver, one)
        found = driver.fabric.counters()
        assert found.keys() == {one.id}
        assert found[one.id].rx_errors == found[one.id].tx_bytes == 0

    def test_where_nobody_is_connected_nothing_ends(self, driver: Driver):
        assert driver.fabric.end_stale({"172.24.4.100": "10.0.1.11", "172.24.4.101": None}) == 0

    def test_metadata_is_there_once_and_gone_for_good(self, driver: Driver):
        wanted = ("net1", "md1", "0a:00:00:00:01:02", ("10.0.1.2/24",))
        place = driver.fabric.ensure_metadata(*wanted)
        assert driver.fabric.ensure_metadata(*wanted) == place
        assert list(driver.fabric.metadata_networks()) == ["net1"]
        assert driver.fabric.plugged() == {}, "a metadata port is no guest's"
        driver.fabric.absent_metadata("net1")
        driver.fabric.absent_metadata("net1")
        assert driver.fabric.metadata_networks() == {}

    def test_it_lasts(self, driver: Driver):
        one = WHOLE.ports[0]
        device = self.plug(driver, one)
        driver.fabric.ensure_metadata("net1", "md1", "0a:00:00:00:01:02", ("10.0.1.2/24",))
        again = driver.reopen_fabric()
        try:
            assert again.plugged() == {one.id: device}
            assert list(again.metadata_networks()) == ["net1"]
            assert again.namespace() == driver.fabric.namespace()
            again.unplug(one.id)
            again.absent_metadata("net1")
        finally:
            again.close()


class TestSimulatedFaults:
    """What only the simulated driver has: failures on demand."""

    def test_a_verb_fails_as_often_as_it_was_told_and_leaves_nothing(self):
        fabric = SimulatedFabric()
        fabric.fail("plug", "no more taps", times=2)
        for _ in range(2):
            with pytest.raises(FabricError, match="cannot plug port p1: no more taps"):
                fabric.plug("p1", "", 1500, 0)
        assert fabric.plugged() == {}
        fabric.plug("p1", "", 1500, 0)
        assert list(fabric.plugged()) == ["p1"]

    def test_a_verb_fails_until_it_is_healed(self):
        northbound = SimulatedNorthbound()
        northbound.fail("sync", "no database", times=None)
        for _ in range(3):
            with pytest.raises(FabricError, match="no database"):
                northbound.sync(WHOLE)
        northbound.heal()
        assert northbound.sync(WHOLE) > 0
