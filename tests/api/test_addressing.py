"""Address scopes, subnets for services, and networks for those who ask for none, over HTTP, on a simulated cloud."""

from __future__ import annotations

import pytest

from tests.api.test_network import V2, fault, make, public
from tests.support.cloud import simulated_cloud
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def user(served, request):
    return served.new_user(request.node.name[:60])


@pytest.fixture
def admin(served):
    return served.login("admin")


def pool(session, prefix="10.9.0.0/16", **fields):
    return make(session, "subnetpool", name="pool", prefixes=[prefix], default_prefixlen=24, **fields)


def pooled(session, pool_id):
    """A network with a subnet of this pool."""
    network = make(session, "network")["id"]
    make(session, "subnet", network_id=network, ip_version=4, subnetpool_id=pool_id)
    return session.get(f"{V2}/networks/{network}")["network"]


# -- address scopes


def test_a_scope_holds_pools(user):
    scope = make(user, "address-scope", name="lab", ip_version=4)
    assert {name: scope[name] for name in ("name", "ip_version", "shared", "project_id")} == {
        "name": "lab", "ip_version": 4, "shared": False, "project_id": user.project_id}
    path = f"/address-scopes/{scope['id']}"
    assert user.ok("PUT", V2 + path, {"address_scope": {"name": "labs"}})["address_scope"]["name"] == "labs"
    held = pool(user, address_scope_id=scope["id"])
    assert held["address_scope_id"] == scope["id"]
    found = user.get(f"{V2}/subnetpools?address_scope_id={scope['id']}")["subnetpools"]
    assert [one["id"] for one in found] == [held["id"]]
    network = pooled(user, held["id"])
    assert (network["ipv4_address_scope"], network["ipv6_address_scope"]) == (scope["id"], None)
    body = {"subnetpool": {"name": "p", "prefixes": ["10.9.7.0/24"], "address_scope_id": scope["id"]}}
    assert fault(user, "POST", "/subnetpools", body) == (409, "AddressScopePrefixConflict")
    six = {"subnetpool": {"name": "p", "prefixes": ["fd00::/48"], "address_scope_id": scope["id"]}}
    assert fault(user, "POST", "/subnetpools", six)[1] == "IllegalSubnetPoolIpVersionAssociationToAddressScope"
    assert fault(user, "DELETE", path) == (409, "AddressScopeInUse")
    free = pool(user, "10.10.0.0/16")["id"]
    wide = {"subnetpool": {"prefixes": ["10.8.0.0/13"], "address_scope_id": scope["id"]}}
    assert fault(user, "PUT", f"/subnetpools/{free}", wide) == (409, "AddressScopePrefixConflict")
    out = user.ok("PUT", f"{V2}/subnetpools/{held['id']}", {"subnetpool": {"address_scope_id": None}})["subnetpool"]
    assert out["address_scope_id"] is None
    user.ok("DELETE", V2 + path)
    assert fault(user, "GET", path) == (404, "AddressScopeNotFound")


@pytest.mark.parametrize(("fields", "status"), [
    ({"ip_version": 5}, 400), ({}, 400), ({"ip_version": 4, "shared": True}, 403), ({"ip_version": 4, "more": 1}, 400),
])  # fmt: skip
def test_what_is_no_scope(user, fields, status):
    assert fault(user, "POST", "/address-scopes", {"address_scope": {"name": "x", **fields}})[0] == status


def test_a_scope_is_shared(served, user, admin):
    scope = make(user, "address-scope", name="lab", ip_version=4)["id"]
    friend = served.new_user("friend-" + scope)
    wanted = {"subnetpool": {"name": "p", "prefixes": ["10.7.0.0/16"], "address_scope_id": scope}}
    assert fault(friend, "POST", "/subnetpools", wanted) == (404, "AddressScopeNotFound")
    policy = user.post(f"{V2}/rbac-policies", {"rbac_policy": {
        "object_type": "address_scope", "object_id": scope, "action": "access_as_shared",
        "target_tenant": friend.project_id}})["rbac_policy"]["id"]  # fmt: skip
    assert friend.get(f"{V2}/address-scopes/{scope}")["address_scope"]["shared"] is True
    friend.post(f"{V2}/subnetpools", wanted)
    assert fault(user, "DELETE", f"/rbac-policies/{policy}") == (409, "RbacPolicyInUse")
    all_of = make(admin, "address-scope", name="all", ip_version=4, shared=True)["id"]
    assert user.get(f"{V2}/address-scopes?shared=true")["address_scopes"][0]["id"] == all_of
    back = {"address_scope": {"shared": False}}
    assert fault(admin, "PUT", f"/address-scopes/{all_of}", back) == (400, "AddressScopeUpdateError")
    admin.ok("DELETE", f"{V2}/address-scopes/{all_of}")


def test_the_fabric_is_told_of_scopes(served, user):
    held = pool(user)["id"]
    network = pooled(user, held)["id"]

    def told():
        topology = served.cloud.site.northbound.topology
        return [subnet.address_scope for one in topology.networks if one.id == network for subnet in one.subnets]

    eventually(lambda: told() == [None])
    scope = make(user, "address-scope", name="lab", ip_version=4)["id"]
    user.ok("PUT", f"{V2}/subnetpools/{held}", {"subnetpool": {"address_scope_id": scope}})
    eventually(lambda: told() == [scope])


# -- subnet pools, bit by bit


def test_prefixes_come_and_go(user):
    made = pool(user, "10.9.0.0/16")["id"]
    path = f"/subnetpools/{made}"
    more = user.ok("PUT", f"{V2}{path}/add_prefixes", {"prefixes": ["10.8.0.0/16", "192.0.2.0/24"]})
    assert more == {"prefixes": ["10.8.0.0/15", "192.0.2.0/24"]}
    assert pooled(user, made)["subnets"]  # 10.8.0.0/24
    assert fault(user, "PUT", path + "/remove_prefixes", {"prefixes": ["10.8.0.0/20"]})[1] == "IllegalSubnetPoolUpdate"
    left = user.ok("PUT", f"{V2}{path}/remove_prefixes", {"prefixes": ["10.9.0.0/16", "192.0.2.0/24"]})
    assert left == {"prefixes": ["10.8.0.0/16"]}
    assert user.get(V2 + path)["subnetpool"]["prefixes"] == ["10.8.0.0/16"]
    for wrong in ({"prefixes": []}, {"prefixes": ["x"]}, {"prefixes": ["fd00::/48"]}, {}):
        assert fault(user, "PUT", path + "/add_prefixes", wrong)[0] == 400
    scope = make(user, "address-scope", name="lab", ip_version=4)["id"]
    for one, prefix in ((made, None), (None, "10.7.0.0/16")):
        if one is None:
            pool(user, prefix, address_scope_id=scope)
        else:
            user.ok("PUT", V2 + path, {"subnetpool": {"address_scope_id": scope}})
    clash = {"prefixes": ["10.7.1.0/24"]}
    assert fault(user, "PUT", path + "/add_prefixes", clash) == (409, "AddressScopePrefixConflict")


def test_subnets_join_a_pool(user):
    made = pool(user, "10.9.0.0/16")["id"]
    path = f"/subnetpools/{made}/onboard_network_subnets"
    network = make(user, "network")["id"]
    assert fault(user, "PUT", path, {"network_id": network}) == (404, "SubnetNotFound")
    subnet = make(user, "subnet", network_id=network, ip_version=4, cidr="10.3.0.0/24")["id"]
    assert user.ok("PUT", V2 + path, {"network_id": network}) == {}
    assert user.get(f"{V2}/subnets/{subnet}")["subnet"]["subnetpool_id"] == made
    assert user.get(f"{V2}/subnetpools/{made}")["subnetpool"]["prefixes"] == ["10.3.0.0/24", "10.9.0.0/16"]
    twin = make(user, "network")["id"]
    make(user, "subnet", network_id=twin, ip_version=4, cidr="10.3.0.0/25")
    assert fault(user, "PUT", path, {"network_id": twin}) == (400, "IllegalSubnetPoolUpdate")
    other = pool(user, "10.10.0.0/16")["id"]
    elsewhere = f"/subnetpools/{other}/onboard_network_subnets"
    assert fault(user, "PUT", elsewhere, {"network_id": network}) == (400, "NetworkSubnetPoolAffinityError")


# -- what ports and networks have besides


def test_a_network_has_a_domain(served, user):
    made = make(user, "network", dns_domain="lab.example.org.")
    network = made["id"]
    make(user, "subnet", network_id=network, ip_version=4, cidr="10.3.0.0/24")
    port = make(user, "port", network_id=network, dns_name="web")
    assert [one["fqdn"] for one in port["dns_assignment"]] == ["web.lab.example.org."]

    def told():
        return [one.dns_domain for one in served.cloud.site.northbound.topology.networks if one.id == network]

    eventually(lambda: told() == ["lab.example.org"])
    user.ok("PUT", f"{V2}/networks/{network}", {"network": {"dns_domain": ""}})
    shown = user.get(f"{V2}/ports/{port['id']}")["port"]
    assert [one["fqdn"] for one in shown["dns_assignment"]] == ["web.openstacklocal."]
    for wrong in ("lab.example.org", "-x.", "a..b.", "x" * 64 + ".", 5):
        assert fault(user, "PUT", f"/networks/{network}", {"network": {"dns_domain": wrong}})[0] == 400


def test_a_port_gets_another_mac_address_and_begins_with_tags(user):
    network = make(user, "network")["id"]
    port = make(user, "port", network_id=network, tags=["red", "blue"], mac_address="FA:16:3E:00:00:01")
    assert (port["tags"], port["mac_address"]) == (["blue", "red"], "fa:16:3e:00:00:01")
    path = f"/ports/{port['id']}"
    same = user.ok("PUT", V2 + path, {"port": {"mac_address": "FA:16:3E:00:00:01"}})["port"]
    assert same["mac_address"] == "fa:16:3e:00:00:01"
    other = user.ok("PUT", V2 + path, {"port": {"mac_address": None}})["port"]["mac_address"]
    assert other not in (None, port["mac_address"])
    assert fault(user, "POST", "/ports", {"port": {"network_id": network, "tags": [""]}})[0] == 400
    assert fault(user, "PUT", path, {"port": {"tags": ["x"]}})[0] == 400


# -- subnets for services


def test_subnets_serve_the_ports_that_they_are_for(served, user):
    network = make(user, "network")["id"]

    def subnet(number, *kinds):
        return make(user, "subnet", network_id=network, ip_version=4, cidr=f"10.3.{number}.0/24",
                    service_types=kinds)  # fmt: skip

    def place(owner=""):
        port = make(user, "port", network_id=network, device_owner=owner)
        return port["fixed_ips"][0]["ip_address"].rpartition(".")[0]

    servers = subnet(1, "compute:nova", "compute:foo")
    assert servers["service_types"] == ["compute:nova", "compute:foo"]
    body = {"port": {"network_id": network}}
    assert fault(user, "POST", "/ports", body) == (409, "IpAddressGenerationFailureNoMatchingSubnet")
    everybody = subnet(2)
    assert (place(), place("compute:nova"), place("compute:bar")) == ("10.3.2", "10.3.1", "10.3.2")
    fixed = make(user, "port", network_id=network, fixed_ips=[{"subnet_id": servers["id"]}])
    assert fixed["fixed_ips"][0]["subnet_id"] == servers["id"], "who names a subnet gets it"
    flavor = user.get("/compute/v2.1/flavors")["flavors"][0]["id"]
    made = user.post("/compute/v2.1/servers", {"server": {
        "name": "s", "flavorRef": flavor, "imageRef": served.image(), "networks": [{"uuid": network}]}})["server"]
    (port,) = user.get(f"{V2}/ports?device_id={made['id']}")["ports"]
    assert [one["subnet_id"] for one in port["fixed_ips"]] == [servers["id"]]
    path = f"/subnets/{everybody['id']}"
    changed = user.ok("PUT", V2 + path, {"subnet": {"service_types": ["network:router_interface"]}})["subnet"]
    assert changed["service_types"] == ["network:router_interface"]
    wrong = {"subnet": {"service_types": ["nonsense"]}}
    assert fault(user, "PUT", path, wrong) == (400, "InvalidSubnetServiceType")


# -- networks for those who ask for none


def test_a_project_gets_a_network_of_its_own(served, user, admin):
    path = f"{V2}/auto-allocated-topology"
    checked = user.get(f"{path}/None?fields=dry-run")["auto_allocated_topology"]
    assert checked["id"] == "dry-run=pass"
    assert user.get(f"{V2}/networks?router:external=false")["networks"] == []
    made = user.get(f"{path}/None")["auto_allocated_topology"]
    assert made["tenant_id"] == user.project_id
    assert user.get(f"{path}/{user.project_id}")["auto_allocated_topology"] == made, "once"
    network = user.get(f"{V2}/networks/{made['id']}")["network"]
    assert (network["name"], len(network["subnets"])) == ("auto_allocated_network", 1)
    (router,) = user.get(f"{V2}/routers")["routers"]
    assert router["external_gateway_info"]["network_id"] == public(user)
    assert user.get(f"{V2}/ports?device_id={router['id']}&network_id={network['id']}")["ports"]
    subnet = user.get(f"{V2}/subnets/{network['subnets'][0]}")["subnet"]
    default = user.get(f"{V2}/subnetpools/{subnet['subnetpool_id']}")["subnetpool"]
    assert (default["is_default"], default["shared"]) == (True, True)
    stranger = served.new_user("stranger-" + made["id"])
    assert fault(stranger, "GET", f"/auto-allocated-topology/{user.project_id}")[0] == 403
    port = make(user, "port", network_id=made["id"])["id"]
    assert fault(user, "DELETE", "/auto-allocated-topology/None") == (409, "NetworkInUse")
    assert user.get(f"{V2}/routers")["routers"] == [router], "all of it or nothing"
    user.ok("DELETE", f"{V2}/ports/{port}")
    user.ok("DELETE", f"{path}/None")
    assert user.get(f"{V2}/routers")["routers"] == []
    user.ok("DELETE", f"{path}/None")
    again = admin.get(f"{path}/{user.project_id}")["auto_allocated_topology"]
    assert again["id"] != made["id"]
    assert user.get(f"{V2}/networks/{again['id']}")["network"]["project_id"] == user.project_id


def test_servers_ask_for_it(served, user):
    flavor = user.get("/compute/v2.1/flavors")["flavors"][0]["id"]
    body = {"server": {"name": "s", "flavorRef": flavor, "imageRef": served.image(), "networks": "auto", "min_count": 2}}
    user.post("/compute/v2.1/servers", body)
    (network,) = user.get(f"{V2}/networks?router:external=false")["networks"]
    assert network["name"] == "auto_allocated_network"
    owned = user.get(f"{V2}/ports?network_id={network['id']}&device_owner=compute:nova")["ports"]
    assert len(owned) == 2


def test_there_is_one_default_of_each(served, user, admin):
    second = {"network": {"router:external": True, "is_default": True}}
    assert fault(admin, "POST", "/networks", second) == (409, "DefaultExternalNetworkExists")
    (pool,) = user.get(f"{V2}/subnetpools?is_default=true")["subnetpools"]
    network = public(user)
    admin.ok("PUT", f"{V2}/subnetpools/{pool['id']}", {"subnetpool": {"is_default": False}})
    assert fault(user, "GET", "/auto-allocated-topology/None") == (409, "AutoAllocationFailure")
    admin.ok("PUT", f"{V2}/subnetpools/{pool['id']}", {"subnetpool": {"is_default": True}})
    admin.ok("PUT", f"{V2}/networks/{network}", {"network": {"is_default": False}})
    assert fault(user, "GET", "/auto-allocated-topology/None?fields=dry-run") == (409, "AutoAllocationFailure")
    flavor = user.get("/compute/v2.1/flavors")["flavors"][0]["id"]
    body = {"server": {"name": "s", "flavorRef": flavor, "imageRef": served.image(), "networks": "auto"}}
    answer = user.request("POST", "/compute/v2.1/servers", body)
    assert answer.status == 400
    assert "No default router:external network" in answer.json()["badRequest"]["message"]
    admin.ok("PUT", f"{V2}/networks/{network}", {"network": {"is_default": True}})
