"""Agents over the Networking API: who carries the network, and who has fallen silent."""

from __future__ import annotations

import pytest

from pilvi.drivers.fabric.base import FabricError, HostState
from pilvi.network.agents import AgentsReconciler
from pilvi.network.nouns import AGENT
from tests.api.test_network_edges import ADMIN, ALICE, client, cloud  # noqa: F401


@pytest.fixture
def look(cloud):  # noqa: F811
    """What the fabric says of its hosts, and a pass over that."""

    def passed(*hosts):
        cloud.northbound.hosts = lambda: hosts
        AgentsReconciler(cloud.db, cloud.ids, cloud.northbound).reconcile()

    return passed


def fall_silent(cloud):  # noqa: F811
    """The agents were heard last 80 s ago."""
    with cloud.db.transaction() as tx:
        tx.execute(AGENT.table.update().values(heartbeat_at=tx.now - 80_000_000))


def agents(client, query=""):  # noqa: F811
    return client.get("/agents" + query, ADMIN)["agents"]


def test_hosts_are_agents(client, cloud, look):  # noqa: F811
    look(HostState("c1", "host-1", bridge_mappings={"public": "br-ex"}), HostState("c2", "host-2", gateway=False))
    one, two = sorted(agents(client), key=lambda agent: agent["host"])
    assert (one["agent_type"], one["binary"], one["alive"]) == ("OVN Controller Gateway agent", "ovn-controller", True)
    assert one["configurations"] == {"bridge-mappings": {"public": "br-ex"}, "chassis_name": "c1"}
    assert two["agent_type"] == "OVN Controller agent"
    assert client.get(f"/agents/{one['id']}", ADMIN)["agent"] == one
    assert [each["host"] for each in agents(client, "?host=host-2&alive=true&admin_state_up=true")] == ["host-2"]
    cloud.network.metadata_served("host-1")
    (metadata,) = agents(client, "?agent_type=OVN%20Metadata%20agent")
    assert (metadata["host"], metadata["alive"]) == ("host-1", True)
    assert client.get("/agents") == {"agents": []}
    assert client.refused("GET", f"/agents/{one['id']}", token=ALICE)[0] == 403


def test_who_falls_silent_is_dead_until_heard_again(client, cloud, look):  # noqa: F811
    look(HostState("c1", "host-1", silent_seconds=60))
    assert agents(client)[0]["alive"] is True
    look(HostState("c1", "host-1", silent_seconds=80))
    assert agents(client)[0]["alive"] is True, "older news change nothing"
    look(HostState("c2", "host-2", silent_seconds=80), HostState("c3", "host-3", silent_seconds=None))
    assert len(agents(client)) == 1, "nobody has ever heard them"
    fall_silent(cloud)
    look(HostState("c1", "host-1", silent_seconds=80))
    assert agents(client)[0]["alive"] is False
    look(HostState("c1", "host-1"))
    assert agents(client)[0]["alive"] is True


def test_only_the_dead_are_deleted(client, cloud, look):  # noqa: F811
    look(HostState("c1", "host-1"))
    fall_silent(cloud)
    look(HostState("c2", "host-2"))
    dead, alive = sorted(agents(client), key=lambda agent: agent["host"])
    assert client.refused("DELETE", f"/agents/{alive['id']}", token=ADMIN) == (409, "AgentInUse")
    client.delete_as_admin(f"/agents/{dead['id']}")
    assert client.refused("GET", f"/agents/{dead['id']}", token=ADMIN) == (404, "AgentNotFound")
    look(HostState("c1", "host-1", silent_seconds=81))
    assert len(agents(client)) == 1
    look(HostState("c1", "host-1"))
    assert len(agents(client)) == 2, "it came back"


def test_what_can_be_changed(client, look):  # noqa: F811
    look(HostState("c1", "host-1"))
    (one,) = agents(client)
    path = f"/agents/{one['id']}"
    assert client("PUT", path, {"agent": {"description": "rack 3"}}, ADMIN, 200).json["agent"]["description"] == "rack 3"
    assert client.refused("PUT", path, {"agent": {"admin_state_up": False}}, ADMIN) == (400, "HTTPBadRequest")


def test_where_the_fabric_cannot_be_asked_nobody_is_alive_for_long(client, cloud, look):  # noqa: F811
    look(HostState("c1", "host-1"))
    cloud.northbound = type(cloud.northbound)()
    cloud.northbound.fail("hosts", "no database", times=None)
    with pytest.raises(FabricError, match="no database"):
        AgentsReconciler(cloud.db, cloud.ids, cloud.northbound).reconcile()
    assert agents(client)[0]["alive"] is True
