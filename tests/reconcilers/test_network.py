"""Network's pass: from nothing, twice, and while something fails."""

from __future__ import annotations

import pytest

from pilvi.drivers.fabric.base import FabricError, Topology
from pilvi.drivers.fabric.simulated import SimulatedNorthbound
from pilvi.network.reconcilers import NetworkReconciler
from tests.support.cloud import simulated_cloud

V2 = "/network/v2.0"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A cloud with a tenant's network behind a router, and a port with a floating IP."""
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        user = cloud.login()
        network = cloud.network(user)
        subnet = user.get(f"{V2}/subnets?network_id={network}")["subnets"][0]["id"]
        external = user.get(f"{V2}/networks?router:external=True")["networks"][0]["id"]
        router = user.post(f"{V2}/routers", {"router": {"external_gateway_info": {"network_id": external}}})
        user.ok("PUT", f"{V2}/routers/{router['router']['id']}/add_router_interface", {"subnet_id": subnet})
        port = user.post(f"{V2}/ports", {"port": {"network_id": network}})["port"]["id"]
        user.post(f"{V2}/floatingips", {"floatingip": {"floating_network_id": external, "port_id": port}})
        cloud.port_id, cloud.user, cloud.network_id = port, user, network
        yield cloud


@pytest.fixture
def northbound():
    return SimulatedNorthbound()


@pytest.fixture
def reconciler(served, northbound):
    """A pass of its own, on the cloud's rows and a logical network that is still empty."""
    return NetworkReconciler(served.cloud.db, served.cloud.clock, northbound, pause=lambda seconds: None)


def test_from_nothing(served, reconciler, northbound):
    assert not reconciler.realised([served.port_id])
    reconciler.reconcile()
    topology = northbound.topology
    assert {network.id for network in topology.networks} >= {served.network_id}
    port = next(port for port in topology.ports if port.id == served.port_id)
    assert port.security_group_ids
    (router,) = topology.routers
    assert router.gateway is not None
    assert [floating.port_id for floating in router.floating_ips] == [served.port_id]
    assert reconciler.realised([served.port_id])


def test_twice(reconciler, northbound):
    reconciler.reconcile()
    before, calls = northbound.topology, []
    northbound.sync = lambda *given: calls.append(given) or 0
    assert reconciler.reconcile() == "nothing to do"
    assert calls == []
    assert northbound.topology == before


def test_while_something_fails(served, reconciler, northbound):
    northbound.fail("sync", "the database does not answer")
    with pytest.raises(FabricError, match="does not answer"):
        reconciler.reconcile()
    assert northbound.topology == Topology()
    assert not reconciler.realised([served.port_id]), "nobody boots on a network that is not there"
    reconciler.reconcile()
    assert reconciler.realised([served.port_id])


def test_what_is_gone_goes(served, reconciler, northbound):
    extra = served.user.post(f"{V2}/networks", {"network": {"name": "extra"}})["network"]["id"]
    reconciler.reconcile()
    assert extra in {network.id for network in northbound.topology.networks}
    served.user.ok("DELETE", f"{V2}/networks/{extra}")
    # The cloud's own pass may have taken note of the change first, so this one compares everything.
    other = NetworkReconciler(served.cloud.db, served.cloud.clock, northbound, pause=lambda seconds: None)
    other.reconcile()
    assert extra not in {network.id for network in northbound.topology.networks}
