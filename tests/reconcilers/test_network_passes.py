"""Network's pass, alone: what it notices, what it leaves alone, and how much time it leaves to others."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from pilvi.drivers.fabric.base import FabricError, Topology
from pilvi.drivers.fabric.simulated import SimulatedFabric, SimulatedNorthbound
from pilvi.engine.clock import ManualClock
from pilvi.network import tables, wire
from pilvi.network.nouns import PORT
from pilvi.network.reconcilers import LONGEST_REST, REST, SHORTEST_REST, WHOLE_SECONDS, NetworkReconciler
from pilvi.network.service import Networks
from pilvi.policy import Context, with_implied
from tests.support.faces import SmallCloud

ALICE = Context(user_id="alice", project_id="a", roles=with_implied(frozenset({"member"})))


class Northbound(SimulatedNorthbound):
    """Counts what it is given; `meanwhile` happens while it is at work."""

    def __init__(self, *fabrics):
        super().__init__(fabrics)
        self.syncs, self.meanwhile = 0, lambda: None

    def sync(self, topology, scope=None):
        self.syncs += 1
        self.given = topology
        self.meanwhile()
        return super().sync(topology, scope)


class World:
    def __init__(self, cloud):
        self.cloud, self.fabric, self.rests, self.calls = cloud, SimulatedFabric(), [], []
        self.northbound = Northbound(self.fabric)
        self.networks = Networks(cloud.db, cloud.clock, cloud.ids, cloud.engine, cloud.settings,
                                 northbound=self.northbound)
        cloud.create_tables()
        self.reconciler = NetworkReconciler(cloud.db, cloud.clock, self.northbound, pause=self.rests.append)
        self.reconciler.on_change(lambda: self.calls.append(1))
        self.network = self.networks.create_networks(ALICE, [wire.NetworkNew()])[0]["id"]
        self.networks.create_subnets(ALICE, [wire.SubnetNew(network_id=self.network, ip_version=4, cidr="10.0.0.0/16")])

    def port(self, count=1):
        made = self.networks.create_ports(ALICE, [wire.PortNew(network_id=self.network)] * count)
        return made[0]["id"]

    def status(self, port):
        return self.networks.show(ALICE, PORT, port)["status"]

    def pending(self):
        with self.cloud.db.read() as tx:
            return tx.scalar(sa.select(sa.func.count()).select_from(tables.changes))


@pytest.fixture
def world(tmp_path):
    cloud = SmallCloud(f"sqlite:///{tmp_path}/pilvi.db", clock=ManualClock())
    yield World(cloud)
    cloud.close()


def test_nothing_new_is_not_given_again(world):
    world.port()
    world.reconciler.reconcile()
    assert (world.northbound.syncs, world.pending(), len(world.calls)) == (1, 0, 1)
    assert world.reconciler.reconcile() == "nothing to do"
    assert (world.northbound.syncs, len(world.calls)) == (1, 1)


def test_a_change_while_the_driver_is_at_work_is_the_next_pass_s(world):
    made = []
    world.northbound.meanwhile = lambda: made or made.append(world.port())
    world.reconciler.reconcile()
    assert not world.reconciler.realised(made)
    assert world.pending()
    world.reconciler.reconcile()
    assert world.reconciler.realised(made)
    assert world.pending() == 0


def test_what_failed_is_done_by_the_next_pass(world):
    world.reconciler.reconcile()
    port = world.port()
    world.northbound.fail("sync", "no")
    with pytest.raises(FabricError):
        world.reconciler.reconcile()
    assert world.pending()
    assert not world.reconciler.realised([port])
    world.reconciler.reconcile()
    assert world.reconciler.realised([port])


def test_what_somebody_else_took_away_comes_back(world):
    world.reconciler.reconcile()
    wanted, world.northbound.topology = world.northbound.topology, Topology()
    world.reconciler.reconcile()
    assert world.northbound.topology == Topology(), "it does not look at every pass"
    world.cloud.clock.advance(WHOLE_SECONDS + 1)
    world.reconciler.reconcile()
    assert world.northbound.topology == wanted


def test_ports_come_up_and_go_down(world):
    port = world.port()
    world.reconciler.reconcile()
    assert world.status(port) == "DOWN"
    world.fabric.plug(port, "02:00:00:00:00:01", 1442, 0)
    world.reconciler.reconcile()
    assert world.status(port) == "ACTIVE"
    world.fabric.unplug(port)
    world.reconciler.reconcile()
    assert world.status(port) == "DOWN"
    assert (world.northbound.syncs, len(world.calls)) == (1, 3), "a status is no change of the logical network"


def test_a_restarted_controller_learns_what_is_up(world):
    port = world.port()
    world.reconciler.reconcile()
    world.fabric.plug(port, "02:00:00:00:00:01", 1442, 0)
    NetworkReconciler(world.cloud.db, world.cloud.clock, world.northbound, pause=world.rests.append).reconcile()
    assert world.status(port) == "ACTIVE"


def test_ports_that_are_gone_are_realised(world):
    assert not world.reconciler.realised([]), "nothing is, before the first pass"
    world.reconciler.reconcile()
    port = world.port()
    assert not world.reconciler.realised([port])
    world.networks.delete_port(ALICE, port)
    assert world.reconciler.realised([port])


@pytest.mark.parametrize(("took", "rest"), [(0, SHORTEST_REST), (0.1, 0.1 * REST), (10, LONGEST_REST)])
def test_a_pass_rests_in_proportion(world, took, rest):
    world.northbound.meanwhile = lambda: world.cloud.clock.advance(took)
    world.reconciler.reconcile()
    assert world.rests == []
    world.port()
    world.reconciler.reconcile()
    assert world.rests == [pytest.approx(rest, abs=0.001)]


def test_a_pass_that_is_rare_does_not_rest(world):
    world.reconciler.reconcile()
    world.cloud.clock.advance(LONGEST_REST)
    world.reconciler.reconcile()
    assert world.rests == []


@pytest.mark.parametrize("whole", [False, True])
def test_a_pass_takes_as_many_queries_however_many_ports_there_are(world, whole):
    world.reconciler.reconcile()
    counts = []
    for ports in (1, 200):
        world.port(ports)
        if whole:
            world.cloud.clock.advance(WHOLE_SECONDS + 1)
        with world.cloud.db.counting() as seen:
            world.reconciler.reconcile()
        counts.append(len(seen))
    assert counts[0] == counts[1], seen


def test_a_burst_of_changes_is_one_pass(world):
    world.reconciler.reconcile()
    for _ in range(100):
        port = world.port()
    world.reconciler.reconcile()
    assert world.northbound.syncs == 2
    assert world.reconciler.realised([port])


def test_a_pass_reads_the_changed_ports_and_no_others(world):
    world.port(50)
    world.reconciler.reconcile()
    port, given = world.port(), []
    world.northbound.meanwhile = lambda: given.append(world.northbound.given)
    world.reconciler.reconcile()
    assert [[one.id for one in topology.ports] for topology in given] == [[port]]


def test_when_others_have_been_at_it_everything_is_compared(world):
    world.reconciler.reconcile()
    wanted, world.northbound.topology = world.northbound.topology, Topology()
    world.northbound.disturbances = lambda: 1
    world.reconciler.reconcile()
    assert world.northbound.topology == wanted
    assert world.reconciler.reconcile() == "nothing to do"
