"""What carries a network, as administrators choose and see it."""

from __future__ import annotations

import msgspec
import pytest

from pilvi.settings import NetworkSettings
from tests.api.test_network_edges import ADMIN, ALICE, client, cloud  # noqa: F401

TYPE, PHYSICAL, NUMBER = (f"provider:{name}" for name in ("network_type", "physical_network", "segmentation_id"))


def make(client, kind, physical=None, number=None):  # noqa: F811
    said = {TYPE: kind, PHYSICAL: physical, NUMBER: number}
    return client.make("network", ADMIN, **{name: value for name, value in said.items() if value is not None})


def carrier(cloud, network):  # noqa: F811
    cloud.network.reconciler.reconcile()
    (found,) = (one for one in cloud.northbound.topology.networks if one.id == network["id"])
    return found.physical_network, found.vlan, found.tunnel_key


def test_a_vlan_of_a_physical_network(client, cloud):  # noqa: F811
    tagged = make(client, "vlan", "public", 42)
    assert (tagged[TYPE], tagged[PHYSICAL], tagged[NUMBER], tagged["mtu"]) == ("vlan", "public", 42, 1500)
    assert carrier(cloud, tagged) == ("public", 42, None)
    body = {"network": {TYPE: "vlan", PHYSICAL: "public", NUMBER: 42}}
    assert client.refused("POST", "/networks", body, ADMIN) == (409, "VlanIdInUse")
    make(client, "vlan", "public", 43)
    found = client.get("/networks?provider:segmentation_id=42", ADMIN)["networks"]
    assert [one["id"] for one in found] == [tagged["id"]]
    client("PUT", f"/networks/{tagged['id']}", {"network": {"mtu": 1500}}, ADMIN, 200)


def test_tunnels_are_numbered(client, cloud):  # noqa: F811
    one, two = (client.make("network") for _ in range(2))
    seen = [client.get(f"/networks/{each['id']}", ADMIN)["network"][NUMBER] for each in (one, two)]
    assert seen == [100_000, 100_001]
    assert NUMBER not in one
    assert carrier(cloud, one) == (None, None, 100_000)
    chosen = make(client, "geneve", None, 5)
    assert carrier(cloud, chosen) == (None, None, 5)
    assert client.refused("POST", "/networks", {"network": {NUMBER: 5}}, ADMIN) == (409, "TunnelIdInUse")


def test_numbers_that_came_back_are_given_again_and_then_none(client, cloud):  # noqa: F811
    settings = cloud.network._settings
    small = msgspec.structs.replace(settings.network, geneve_ids=(7, 8))
    cloud.network._settings = msgspec.structs.replace(settings, network=small)
    one, _ = client.make("network"), client.make("network")
    assert client.refused("POST", "/networks", {"network": {}}) == (409, "NoNetworkAvailable")
    client.delete(f"/networks/{one['id']}")
    assert carrier(cloud, client.make("network"))[2] == 7


@pytest.mark.parametrize("said", [
    {TYPE: "vlan", PHYSICAL: "public"}, {TYPE: "vlan", NUMBER: 42}, {TYPE: "vlan", PHYSICAL: "public", NUMBER: 4095},
    {TYPE: "vlan", PHYSICAL: "other", NUMBER: 42}, {TYPE: "flat", PHYSICAL: "public", NUMBER: 42}, {TYPE: "flat"},
    {TYPE: "geneve", PHYSICAL: "public"}, {TYPE: "geneve", NUMBER: 2**24}, {TYPE: "gre", NUMBER: 1}, {NUMBER: 0},
])  # fmt: skip
def test_what_carries_nothing(client, said):  # noqa: F811
    assert client.refused("POST", "/networks", {"network": said}, ADMIN) == (400, "InvalidInput")


def test_carriers_are_the_administrators(client):  # noqa: F811
    body = {"network": {TYPE: "vlan", PHYSICAL: "public", NUMBER: 42}}
    assert client.refused("POST", "/networks", body) == (403, "PolicyNotAuthorized")
    found = client.make("network")
    assert client.refused("PUT", f"/networks/{found['id']}", {"network": {NUMBER: 6}}, ADMIN)[0] == 400


def test_transparency_is_chosen_at_the_start(client, cloud):  # noqa: F811
    plain, open_ = client.make("network"), client.make("network", vlan_transparent=True)
    assert (plain["vlan_transparent"], open_["vlan_transparent"]) == (False, True)
    cloud.network.reconciler.reconcile()
    assert {one.id for one in cloud.northbound.topology.networks if one.vlan_transparent} == {open_["id"]}
    assert client.refused("PUT", f"/networks/{plain['id']}", {"network": {"vlan_transparent": True}})[0] == 400
    assert client("GET", "/networks?vlan_transparent=true", token=ALICE).json["networks"][0]["id"] == open_["id"]


def test_ranges_of_ids_are_checked():
    with pytest.raises(ValueError, match="no range"):
        NetworkSettings(geneve_ids=(9, 8))
