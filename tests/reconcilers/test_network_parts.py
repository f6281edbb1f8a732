"""Passes that look at what has changed come to the same as passes that look at everything."""

from __future__ import annotations

import contextlib
import random
import uuid

import pytest

from pilvi.drivers.fabric.simulated import SimulatedNorthbound
from pilvi.engine.clock import Ids, ManualClock
from pilvi.faults import Fault
from pilvi.network import store_changes, topology, wire, wire_qos
from pilvi.network.nouns import (
    ADDRESS_GROUP,
    BANDWIDTH_LIMIT_RULE,
    FLOATING_IP,
    NETWORK,
    PORT,
    PORT_FORWARDING,
    QOS_POLICY,
    ROUTER,
    RULE,
    SECURITY_GROUP,
    SUBNET,
    TRUNK,
)
from pilvi.network.reconcilers import NetworkReconciler
from pilvi.network.service import Networks, NicRequest
from pilvi.network.wire_forwardings import PortForwardingChange, PortForwardingNew
from pilvi.network.wire_groups import AddressGroupNew
from pilvi.network.wire_trunks import SubPort, TrunkNew
from pilvi.policy import Context, with_implied
from tests.support import ovsdb
from tests.support.faces import SmallCloud
from tests.support.postgresql import postgresql

ADMIN = Context(user_id="alice", project_id="a", roles=with_implied(frozenset({"admin"})))


class SeededIds(Ids):
    """The same world for the same seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def uuid(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def mac(self):
        return "fa:16:3e:" + self.random.randbytes(3).hex(":")


class Watched:
    """Counts how often the driver is given everything."""

    def __init__(self, driver):
        self.driver, self.whole = driver, 0
        self.ports_up, self.disturbances = driver.ports_up, driver.disturbances

    def sync(self, topology, scope=None):
        self.whole += scope is None
        return self.driver.sync(topology, scope)


class World:
    """Random verbs of the Networking API, whatever comes of them."""

    def __init__(self, cloud, driver, seed):
        self.cloud, self.random, self.northbound = cloud, random.Random(seed), Watched(driver)
        cloud.ids = SeededIds(seed)
        self.networks = Networks(cloud.db, cloud.clock, cloud.ids, cloud.engine, cloud.settings,
                                 northbound=self.northbound)
        cloud.create_tables()
        self.networks.bootstrap("172.24.4.0/24", "172.24.4.1", [], project_id="a")
        self.reconciler = NetworkReconciler(cloud.db, cloud.clock, self.northbound, pause=lambda seconds: None)
        self.numbers = iter(range(1, 250))
        self.done: set[str] = set()

    def any(self, noun, **where):
        with self.cloud.db.read() as tx:
            columns = noun.table.c
            found = tx.all(noun.table.select().where(*(columns[name] == value for name, value in where.items()))
                           .order_by(columns.created_at, columns.id))
        if not found:
            raise IndexError
        return self.random.choice(found)

    def step(self):
        verbs = sorted(name for name in vars(World) if name.startswith("do_"))
        weights = [1 if name.startswith(("do_delete", "do_remove", "do_no")) else 3 for name in verbs]
        (verb,) = self.random.choices(verbs, weights)
        try:
            getattr(self, verb)()
            self.done.add(verb)
        except (Fault, IndexError, StopIteration):
            pass  # the cloud may say no: that, too, must leave both passes of one mind

    def flag(self):
        return self.random.random() < 0.5

    # -- what may happen

    def do_network(self):
        network = self.networks.create_networks(ADMIN, [wire.NetworkNew()])[0]["id"]
        self._subnet(network)

    def do_subnet(self):
        self._subnet(self.any(NETWORK, external=False).id)

    def _subnet(self, network):
        number = next(self.numbers)
        six = wire.SubnetNew(network_id=network, ip_version=6, cidr=f"fd00:{number}::/64", ipv6_ra_mode="slaac",
                             ipv6_address_mode="slaac")
        four = wire.SubnetNew(network_id=network, ip_version=4, cidr=f"10.{number}.0.0/24")
        self.networks.create_subnets(ADMIN, [six if number % 4 == 0 else four])

    def do_change_network(self):
        self.networks.update_network(ADMIN, self.any(NETWORK).id, wire.NetworkChange(admin_state_up=self.flag()))

    def do_change_subnet(self):
        self.networks.update_subnet(ADMIN, self.any(SUBNET).id, wire.SubnetChange(enable_dhcp=self.flag()))

    def do_delete_subnet(self):
        self.networks.delete_subnet(ADMIN, self.any(SUBNET).id)

    def do_delete_network(self):
        self.networks.delete_network(ADMIN, self.any(NETWORK, external=False).id)

    def do_port(self):
        network = self.any(NETWORK, external=False).id
        count, groups = self.random.randrange(1, 4), [self.any(SECURITY_GROUP).id]
        self.networks.create_ports(ADMIN, [wire.PortNew(network_id=network, security_groups=groups)] * count)

    def do_change_port(self):
        port = self.any(PORT, device_owner="").id
        groups = [self.any(SECURITY_GROUP).id for _ in range(self.random.randrange(3))]
        change = wire.PortChange(security_groups=groups, dns_name=f"host-{self.random.randrange(4)}")
        self.networks.update_port(ADMIN, port, change)

    def do_policy(self):
        policy = self.networks.create_qos_policies(ADMIN, [wire_qos.PolicyNew(name="p")])[0]["id"]
        self._limit(policy)

    def do_limit(self):
        self._limit(self.any(QOS_POLICY).id)

    def _limit(self, policy):
        direction = self.random.choice(["egress", "ingress"])
        rule = wire_qos.BandwidthLimitNew(max_kbps=self.random.randrange(1, 9000), direction=direction)
        self.networks.create_qos_rules(ADMIN, "bandwidth_limit", policy, [rule])

    def do_no_limit(self):
        rule = self.any(BANDWIDTH_LIMIT_RULE)
        self.networks.delete_qos_rule(ADMIN, "bandwidth_limit", rule.policy_id, rule.id)

    def do_shape_network(self):
        change = wire.NetworkChange(qos_policy_id=self.any(QOS_POLICY).id)
        self.networks.update_network(ADMIN, self.any(NETWORK).id, change)

    def do_shape_port(self):
        self.networks.update_port(ADMIN, self.any(PORT).id, wire.PortChange(qos_policy_id=self.any(QOS_POLICY).id))

    def do_shape_floating_ip(self):
        change = wire.FloatingIpChange(qos_policy_id=self.any(QOS_POLICY).id)
        self.networks.update_floating_ip(ADMIN, self.any(FLOATING_IP).id, change)

    def do_trunk(self):
        parent, below = (self.any(PORT, device_owner="").id for _ in range(2))
        subport = SubPort(port_id=below, segmentation_type="vlan", segmentation_id=self.random.randrange(1, 9))
        self.networks.create_trunks(ADMIN, [TrunkNew(port_id=parent, sub_ports=[subport])])

    def do_delete_trunk(self):
        self.networks.delete_trunk(ADMIN, self.any(TRUNK).id)

    def do_readdress(self):
        port = self.any(PORT, device_owner="")
        subnet = self.any(SUBNET, network_id=port.network_id).id
        self.networks.update_port(ADMIN, port.id, wire.PortChange(fixed_ips=[wire.FixedIp(subnet_id=subnet)]))

    def do_unsecure(self):
        change = wire.PortChange(security_groups=[], port_security_enabled=False)
        self.networks.update_port(ADMIN, self.any(PORT, device_owner="").id, change)

    def do_delete_port(self):
        self.networks.delete_port(ADMIN, self.any(PORT, device_owner="").id)

    def do_server(self):
        network, group = self.any(NETWORK, external=False).id, self.any(SECURITY_GROUP)
        with self.cloud.db.transaction() as tx:
            server = f"server-{next(self.numbers)}"
            nics = [NicRequest(network), NicRequest(network)]
            self.networks.allocate(tx, ADMIN, server, server, nics, [group.id])
            self.networks.bind(tx, server, "host")

    def do_delete_server(self):
        with self.cloud.db.transaction() as tx:
            self.networks.release(tx, self.any(PORT, device_owner="compute:nova").device_id)

    def do_router(self):
        gateway = wire.Gateway(network_id=self.any(NETWORK, external=True).id)
        self.networks.create_routers(ADMIN, [wire.RouterNew(external_gateway_info=gateway)])

    def do_change_router(self):
        self.networks.update_router(ADMIN, self.any(ROUTER).id, wire.RouterChange(admin_state_up=self.flag()))

    def do_no_gateway(self):
        self.networks.update_router(ADMIN, self.any(ROUTER).id, wire.RouterChange(external_gateway_info=None))

    def do_delete_router(self):
        self.networks.delete_router(ADMIN, self.any(ROUTER).id)

    def do_interface(self):
        self.networks.add_interface(ADMIN, self.any(ROUTER).id, wire.Interface(subnet_id=self.any(SUBNET).id))

    def do_interface_by_port(self):
        port = self.any(PORT, device_owner="").id
        self.networks.add_interface(ADMIN, self.any(ROUTER).id, wire.Interface(port_id=port))

    def do_remove_interface(self):
        leg = self.any(PORT, device_owner="network:router_interface")
        self.networks.remove_interface(ADMIN, leg.device_id, wire.Interface(port_id=leg.id))

    def do_floating(self):
        external = self.any(NETWORK, external=True).id
        self.networks.create_floating_ips(
            ADMIN, [wire.FloatingIpNew(floating_network_id=external, port_id=self.any(PORT, device_owner="").id)]
        )

    def do_lead_elsewhere(self):
        port = self.any(PORT, device_owner="").id if self.flag() else None
        self.networks.update_floating_ip(ADMIN, self.any(FLOATING_IP).id, wire.FloatingIpChange(port_id=port))

    def do_delete_floating(self):
        self.networks.delete_floating_ip(ADMIN, self.any(FLOATING_IP).id)

    def do_forward(self):
        external, internal = (f"{first}:{first + 1}" for first in self.random.sample(range(1, 60000), 2))
        wanted = PortForwardingNew(protocol="tcp", internal_port_id=self.any(PORT, device_owner="").id,
                                   external_port_range=external, internal_port_range=internal)
        self.networks.create_port_forwardings(ADMIN, self.any(FLOATING_IP).id, [wanted])

    def do_forward_elsewhere(self):
        forwarding = self.any(PORT_FORWARDING)
        change = PortForwardingChange(internal_port_id=self.any(PORT, device_owner="").id)
        self.networks.update_port_forwarding(ADMIN, forwarding.floatingip_id, forwarding.id, change)

    def do_delete_forwarding(self):
        forwarding = self.any(PORT_FORWARDING)
        self.networks.delete_port_forwarding(ADMIN, forwarding.floatingip_id, forwarding.id)

    def do_address_group(self):
        self.networks.create_address_groups(ADMIN, [AddressGroupNew(addresses=["192.0.2.0/24", "fd00::1"])])

    def do_change_addresses(self):
        addresses = [f"192.0.2.{self.random.randrange(4)}"]
        self.networks.change_addresses(ADMIN, self.any(ADDRESS_GROUP).id, addresses, self.flag())

    def do_delete_address_group(self):
        self.networks.delete_address_group(ADMIN, self.any(ADDRESS_GROUP).id)

    def do_rule_of_addresses(self):
        rule = wire.RuleNew(security_group_id=self.any(SECURITY_GROUP).id, direction="ingress",
                            remote_address_group_id=self.any(ADDRESS_GROUP).id)
        self.networks.create_security_group_rules(ADMIN, [rule])

    def do_group(self):
        self.networks.create_security_groups(ADMIN, [wire.SecurityGroupNew(name="g", stateful=self.flag())])

    def do_rule(self):
        port = self.random.randrange(1, 50)
        rule = wire.RuleNew(security_group_id=self.any(SECURITY_GROUP).id, direction="ingress", protocol="tcp",
                            port_range_min=port, port_range_max=port, remote_group_id=self.any(SECURITY_GROUP).id)
        self.networks.create_security_group_rules(ADMIN, [rule])

    def do_delete_rule(self):
        self.networks.delete_security_group_rule(ADMIN, self.any(RULE).id)

    def do_delete_group(self):
        self.networks.delete_security_group(ADMIN, self.any(SECURITY_GROUP).id)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/pilvi.db"


@pytest.fixture
def cloud(url):
    cloud = SmallCloud(url, clock=ManualClock())
    yield cloud
    cloud.close()


@pytest.fixture(params=["simulated", "ovn"])
def driver(request):
    if request.param == "simulated":
        yield SimulatedNorthbound()
        return
    if reason := ovsdb.missing():
        pytest.skip(reason)
    with ovsdb.northbound_database() as database, contextlib.closing(database.northbound()) as northbound:
        yield northbound


def check(cloud, driver, seed, rounds):
    world = World(cloud, driver, seed)
    world.reconciler.reconcile()
    for _ in range(rounds):
        for _ in range(world.random.randrange(1, 5)):
            world.step()
        world.reconciler.reconcile()
        with cloud.db.read() as tx:
            wanted, left = topology.read(tx).topology, store_changes.pending(tx)
        assert driver.sync(wanted) == 0
        assert not left
    assert world.northbound.whole == 1, "it never had to look at everything"
    return world.done


@pytest.mark.parametrize("seed", range(2))
def test_parts_come_to_the_same_as_the_whole(cloud, driver, seed):
    done = check(cloud, driver, seed, 35)
    assert len(done) >= 12, done


@pytest.mark.postgresql
class TestOnPostgresql:
    @pytest.fixture
    def url(self):
        with postgresql() as url:
            yield url

    def test_parts_come_to_the_same_as_the_whole(self, cloud):
        check(cloud, SimulatedNorthbound(), 5, 12)
