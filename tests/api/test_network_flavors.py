"""Routers' flavors over the Networking API."""

from __future__ import annotations

import pytest

from tests.api.test_network_edges import ADMIN, ALICE, UNKNOWN, client, cloud  # noqa: F401


@pytest.fixture
def made(client):  # noqa: F811
    """A flavor, and the service profile that it has."""
    body = {"flavor": {"name": "plain", "service_type": "L3_ROUTER_NAT"}}
    flavor = client("POST", "/flavors", body, ADMIN, 201).json["flavor"]
    profile = client("POST", "/service_profiles", {"service_profile": {"driver": "ovn"}}, ADMIN, 201).json
    profile = profile["service_profile"]
    client("POST", f"/flavors/{flavor['id']}/service_profiles", {"service_profile": {"id": profile["id"]}}, ADMIN, 201)
    return flavor, profile


def test_a_router_has_a_flavor(client, made):  # noqa: F811
    flavor, profile = made
    shown = client.get(f"/flavors/{flavor['id']}")["flavor"]
    assert (shown["enabled"], shown["service_profiles"]) == (True, [profile["id"]])
    router = client.make("router", flavor_id=flavor["id"])
    assert router["flavor_id"] == flavor["id"]
    assert client.make("router")["flavor_id"] is None
    assert client.refused("DELETE", f"/flavors/{flavor['id']}", token=ADMIN) == (409, "FlavorInUse")
    assert client.put("router", router, status=400, flavor_id=None) == "HTTPBadRequest"
    assert len(client.get(f"/routers?flavor_id={flavor['id']}")["routers"]) == 1
    client.delete(f"/routers/{router['id']}")
    assert client.refused("DELETE", f"/service_profiles/{profile['id']}", token=ADMIN) == (409, "ServiceProfileInUse")
    client.delete_as_admin(f"/flavors/{flavor['id']}")
    client.delete_as_admin(f"/service_profiles/{profile['id']}")


def test_a_flavor_that_makes_no_routers(client, made):  # noqa: F811
    flavor, profile = made
    body, path = {"router": {"flavor_id": flavor["id"]}}, f"/flavors/{flavor['id']}"
    client("PUT", path, {"flavor": {"enabled": False}}, ADMIN, 200)
    assert client.refused("POST", "/routers", body) == (400, "FlavorDisabled")
    client("PUT", path, {"flavor": {"enabled": True}}, ADMIN, 200)
    client("PUT", f"/service_profiles/{profile['id']}", {"service_profile": {"enabled": False}}, ADMIN, 200)
    assert client.refused("POST", "/routers", body) == (400, "ServiceProfileDisabled")
    client.delete_as_admin(f"{path}/service_profiles/{profile['id']}")
    assert client.refused("POST", "/routers", body) == (400, "ServiceProfileDisabled")
    gone = client.refused("DELETE", f"{path}/service_profiles/{profile['id']}", token=ADMIN)
    assert gone == (404, "FlavorServiceProfileBindingNotFound")
    assert client.refused("POST", "/routers", {"router": {"flavor_id": UNKNOWN}}) == (404, "FlavorNotFound")


def test_what_flavors_are_of(client, made):  # noqa: F811
    flavor, profile = made
    assert client.refused("POST", "/flavors", {"flavor": {"service_type": "FIREWALL"}}, ADMIN)[0] == 400
    for body, status in (({"driver": "other"}, 404), ({"driver": "ovn", "metainfo": "{}"}, 400), ({}, 400)):
        assert client.refused("POST", "/service_profiles", {"service_profile": body}, ADMIN)[0] == status
    again = {"service_profile": {"id": profile["id"]}}
    path = f"/flavors/{flavor['id']}/service_profiles"
    assert client.refused("POST", path, again, ADMIN) == (409, "FlavorServiceProfileBindingExists")
    assert client.refused("POST", "/flavors", {"flavor": {"service_type": "L3_ROUTER_NAT"}})[0] == 403
    assert client.refused("GET", f"/service_profiles/{profile['id']}", token=ALICE)[0] == 404


def test_who_provides_routers(client):  # noqa: F811
    providers = [{"service_type": "L3_ROUTER_NAT", "name": "ovn", "default": True}]
    assert client.get("/service-providers") == {"service_providers": providers}
    assert client.get("/service-providers?name=other&default=true") == {"service_providers": []}
    assert client.refused("GET", "/service-providers?colour=red")[0] == 400
