"""Trunks over the Networking API: which ports they take, and where those are then."""

from __future__ import annotations

import pytest

from pilvi.network.service import NicRequest
from pilvi.policy import Context, with_implied
from tests.api.test_network_edges import ADMIN, ALICE, BOB, UNKNOWN, Client, client, cloud  # noqa: F401

MEMBER = Context(user_id="alice", project_id="a", roles=with_implied(frozenset({"member"})))


@pytest.fixture
def ports(client: Client) -> list[dict]:  # noqa: F811
    network, _ = client.lan()
    return [client.make("port", network_id=network["id"]) for _ in range(4)]


def vlan(port, number, kind="vlan"):
    return {"port_id": port["id"], "segmentation_type": kind, "segmentation_id": number}


def change(client, trunk, verb, *wanted, token=ALICE, status=200):  # noqa: F811
    answer = client("PUT", f"/trunks/{trunk['id']}/{verb}_subports", {"sub_ports": list(wanted)}, token, status).json
    return answer if status == 200 else answer["NeutronError"]["type"]


def carried(cloud):  # noqa: F811
    """Which ports are reached over which, and as which VLAN."""
    cloud.network.reconciler.reconcile()
    return {port.id: port.trunk for port in cloud.northbound.topology.ports if port.trunk}


def test_a_trunk_carries_its_subports(client, cloud, ports):  # noqa: F811
    parent, one, two, _ = ports
    trunk = client.make("trunk", name="t", port_id=parent["id"], sub_ports=[vlan(one, 100)])
    assert (trunk["status"], trunk["admin_state_up"], trunk["sub_ports"]) == ("DOWN", True, [vlan(one, 100)])
    assert carried(cloud) == {one["id"]: (parent["id"], 100)}
    assert change(client, trunk, "add", vlan(two, 200))["sub_ports"] == [vlan(one, 100), vlan(two, 200)]
    assert carried(cloud) == {one["id"]: (parent["id"], 100), two["id"]: (parent["id"], 200)}
    shown = client.get(f"/ports/{parent['id']}")["port"]["trunk_details"]
    assert shown["trunk_id"] == trunk["id"]
    assert shown["sub_ports"][0] == {**vlan(one, 100), "mac_address": one["mac_address"]}
    held = client.get(f"/ports/{one['id']}")["port"]
    assert (held["device_owner"], held["device_id"]) == ("trunk:subport", trunk["id"])
    assert "trunk_details" not in held
    change(client, trunk, "remove", {"port_id": one["id"]})
    assert client.get(f"/trunks/{trunk['id']}/get_subports") == {"sub_ports": [vlan(two, 200)]}
    assert carried(cloud) == {two["id"]: (parent["id"], 200)}
    assert client.get(f"/ports/{one['id']}")["port"]["device_owner"] == ""
    assert [one["id"] for one in client.get(f"/trunks?port_id={parent['id']}")["trunks"]] == [trunk["id"]]
    client.delete(f"/trunks/{trunk['id']}")
    assert carried(cloud) == {}
    client.delete(f"/ports/{two['id']}")


def test_subports_are_where_their_parent_is(client, cloud, ports):  # noqa: F811
    parent, one, two, _ = ports
    trunk = client.make("trunk", port_id=parent["id"], sub_ports=[vlan(one, 100)])

    def hosts():
        return [client.get(f"/ports/{port['id']}", ADMIN)["port"]["binding:host_id"] for port in (parent, one, two)]

    with cloud.db.transaction() as tx:
        cloud.network.allocate(tx, MEMBER, "server", "server", [_card(parent)])
        cloud.network.bind(tx, "server", "host-1")
    change(client, trunk, "add", vlan(two, 200))
    assert hosts() == ["host-1"] * 3
    with cloud.db.transaction() as tx:
        cloud.network.release(tx, "server")
    assert hosts() == [""] * 3


def test_a_servers_card_that_became_a_parent_outlives_the_server(client, cloud, ports):  # noqa: F811
    with cloud.db.transaction() as tx:
        (card,) = cloud.network.allocate(tx, MEMBER, "server", "server", [_card(None, ports[0]["network_id"])])
    trunk = client.make("trunk", port_id=card, sub_ports=[vlan(ports[1], 7)])
    with cloud.db.transaction() as tx:
        cloud.network.release(tx, "server")
    assert client.get(f"/ports/{card}")["port"]["device_id"] == ""
    client.delete(f"/trunks/{trunk['id']}")
    client.delete(f"/ports/{card}")


def _card(port, network_id=None):


    return NicRequest(network_id, port and port["id"])


def test_what_a_trunk_does_not_take(client, ports):  # noqa: F811
    parent, one, two, three = ports
    trunk = client.make("trunk", port_id=parent["id"], sub_ports=[vlan(one, 100)])
    assert change(client, trunk, "add", vlan(two, 100), status=409) == "DuplicateSubPort"
    assert change(client, trunk, "add", vlan(one, 101), status=409) == "PortInUseAsSubPort"
    assert change(client, trunk, "add", vlan(parent, 101), status=409) == "PortInUseAsTrunkParent"
    assert change(client, trunk, "add", vlan({"id": UNKNOWN}, 101), status=404) == "PortNotFound"
    assert change(client, trunk, "remove", {"port_id": two["id"]}, status=404) == "SubPortNotFound"
    assert change(client, trunk, "add", {"port_id": two["id"]}, status=400) == "InvalidInput"
    assert change(client, trunk, "add", vlan(two, None, "inherit"), status=400) == "InvalidInput"
    assert client("PUT", f"/trunks/{trunk['id']}/add_subports", {"sub_ports": [vlan(two, 4095)]}).status_code == 400
    client.put("port", three, device_id="x", device_owner="compute:none")
    assert change(client, trunk, "add", vlan(three, 101), status=409) == "PortInUse"
    for port, kind in ((parent, "PortInUseAsTrunkParent"), (one, "PortInUseAsSubPort")):
        assert client.refused("DELETE", f"/ports/{port['id']}") == (409, kind)
        body = {"trunk": {"port_id": port["id"]}}
        assert client.refused("POST", "/trunks", body) == (409, kind)
    assert client.put("port", one, status=409, device_owner="", device_id="") == "ServicePortInUse"


def test_subports_fit_into_their_parents_packets(client, ports):  # noqa: F811
    small, _ = client.lan("10.1.0.0/24", network=client.make("network", mtu=1000))
    parent = client.make("port", network_id=small["id"])
    body = {"trunk": {"port_id": parent["id"], "sub_ports": [vlan(ports[0], 100)]}}
    assert client.refused("POST", "/trunks", body) == (409, "SubPortMtuGreaterThanTrunkPortMtu")


def test_a_trunk_that_is_down_is_not_changed(client, ports):  # noqa: F811
    trunk = client.make("trunk", port_id=ports[0]["id"])
    assert client.put("trunk", trunk, admin_state_up=False, name="closed")["name"] == "closed"
    assert change(client, trunk, "add", vlan(ports[1], 1), status=409) == "TrunkDisabled"
    assert client.refused("DELETE", f"/trunks/{trunk['id']}") == (409, "TrunkDisabled")
    client.put("trunk", trunk, admin_state_up=True)
    client.delete(f"/trunks/{trunk['id']}")


def test_whose_trunk_it_is(client, cloud, ports):  # noqa: F811
    trunk = client.make("trunk", port_id=ports[0]["id"])
    assert client.refused("GET", f"/trunks/{trunk['id']}", token=BOB) == (404, "TrunkNotFound")
    assert client.refused("POST", "/trunks", {"trunk": {"port_id": ports[1]["id"]}}, BOB) == (404, "PortNotFound")
    client("PUT", "/quotas/a", {"quota": {"trunk": 1}}, ADMIN, 200)
    assert client.refused("POST", "/trunks", {"trunk": {"port_id": ports[1]["id"]}}) == (409, "OverQuota")
    assert client.get("/quotas/a/details", ADMIN)["quota"]["trunk"]["used"] == 1


def test_a_listing_takes_as_many_queries_for_many_trunks(client, cloud, ports):  # noqa: F811
    def queries(path):
        with cloud.db.counting() as seen:
            client.get(path)
        return len(seen)

    before = [queries("/trunks"), queries("/ports")]
    client.make("trunk", port_id=ports[0]["id"], sub_ports=[vlan(ports[1], 1)])
    once = [queries("/trunks"), queries("/ports")]
    client.make("trunk", port_id=ports[2]["id"], sub_ports=[vlan(ports[3], 1)])
    assert [queries("/trunks"), queries("/ports")] == once
    assert before[1] < once[1]
