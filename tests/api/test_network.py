"""The Networking API over HTTP, on a simulated cloud: what clients rely on, and how it refuses."""

from __future__ import annotations

import pytest

from tests.support.cloud import simulated_cloud
from tests.support.wait import eventually

V2 = "/network/v2.0"
UNKNOWN = "7d5c1b9e-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def user(served, request):
    """A tenant of the test's own."""
    return served.new_user(request.node.name[:60])


def make(session, kind, **fields):
    key = kind.replace("-", "_")
    return session.post(f"{V2}/{kind}s", {key: fields})[key]


def fault(session, method, path, body=None):
    answer = session.request(method, V2 + path, body)
    return answer.status, answer.json()["NeutronError"]["type"]


def lan(session, cidr="10.3.0.0/24", **fields):
    network = make(session, "network", name="lan")
    return network["id"], make(session, "subnet", network_id=network["id"], ip_version=4, cidr=cidr, **fields)["id"]


def public(session):
    return session.get(f"{V2}/networks?router:external=True")["networks"][0]["id"]


def test_discovery(served, user):
    assert user.get("/network")["versions"][0]["id"] == "v2.0"
    aliases = {extension["alias"] for extension in user.get(f"{V2}/extensions")["extensions"]}
    assert {"router", "external-net", "security-group", "quotas"} <= aliases
    assert user.get(f"{V2}/extensions/router")["extension"]["alias"] == "router"


def test_a_subnet_has_a_gateway_a_pool_and_metadata(user):
    network, subnet = lan(user)
    shown = user.get(f"{V2}/subnets/{subnet}")["subnet"]
    assert shown["gateway_ip"] == "10.3.0.1"
    assert shown["allocation_pools"] == [{"start": "10.3.0.2", "end": "10.3.0.254"}]
    owners = {port["device_owner"] for port in user.get(f"{V2}/ports?network_id={network}")["ports"]}
    assert owners <= {"network:distributed"}


def test_subnets_of_one_network_do_not_overlap(user):
    network, _ = lan(user)
    answer = user.request("POST", f"{V2}/subnets", {"subnet": {"network_id": network, "ip_version": 4,
                                                               "cidr": "10.3.0.128/25"}})
    assert answer.status == 400


def test_ports_have_addresses_of_their_own(user):
    network, subnet = lan(user)
    ports = [make(user, "port", network_id=network) for _ in range(20)]
    addresses = [ip["ip_address"] for port in ports for ip in port["fixed_ips"]]
    assert len(set(addresses)) == 20
    assert len({port["mac_address"] for port in ports}) == 20
    chosen = make(user, "port", network_id=network, fixed_ips=[{"subnet_id": subnet, "ip_address": "10.3.0.200"}])
    assert chosen["fixed_ips"] == [{"subnet_id": subnet, "ip_address": "10.3.0.200"}]
    taken = user.request("POST", f"{V2}/ports", {"port": {
        "network_id": network, "fixed_ips": [{"ip_address": "10.3.0.200"}]}})
    assert taken.status == 409
    found = user.get(f"{V2}/ports?fixed_ips=ip_address%3D10.3.0.200")["ports"]
    assert [port["id"] for port in found] == [chosen["id"]]


def test_an_address_is_free_again_when_its_port_is_gone(user):
    network, _ = lan(user, "10.4.0.0/29")
    ports = [make(user, "port", network_id=network)["id"] for _ in range(4)]
    assert fault(user, "POST", "/ports", {"port": {"network_id": network}}) == (409, "IpAddressGenerationFailure")
    user.ok("DELETE", f"{V2}/ports/{ports[0]}")
    assert make(user, "port", network_id=network)["fixed_ips"]


def test_what_is_in_use_stays(user):
    network, subnet = lan(user)
    router = make(user, "router", name="r")["id"]
    user.ok("PUT", f"{V2}/routers/{router}/add_router_interface", {"subnet_id": subnet})
    port = make(user, "port", network_id=network)["id"]
    assert fault(user, "DELETE", f"/networks/{network}")[0] == 409
    assert fault(user, "DELETE", f"/subnets/{subnet}")[0] == 409
    assert fault(user, "DELETE", f"/routers/{router}")[0] == 409
    user.ok("PUT", f"{V2}/routers/{router}/remove_router_interface", {"subnet_id": subnet})
    for path in (f"/ports/{port}", f"/routers/{router}", f"/networks/{network}"):
        user.ok("DELETE", V2 + path)
    assert user.get(f"{V2}/subnets?id={subnet}")["subnets"] == []


def test_floating_ips(user):
    network, subnet = lan(user)
    port = make(user, "port", network_id=network)["id"]
    external = public(user)
    body = {"floatingip": {"floating_network_id": external, "port_id": port}}
    assert fault(user, "POST", "/floatingips", body)[0] == 404, "no router leads there"
    router = make(user, "router", name="r", external_gateway_info={"network_id": external})["id"]
    user.ok("PUT", f"{V2}/routers/{router}/add_router_interface", {"subnet_id": subnet})
    floating = user.post(f"{V2}/floatingips", body)["floatingip"]
    assert floating["router_id"] == router
    assert fault(user, "POST", "/floatingips", body)[0] == 409, "one a fixed address"
    freed = user.ok("PUT", f"{V2}/floatingips/{floating['id']}", {"floatingip": {"port_id": None}})["floatingip"]
    assert freed["port_id"] is freed["fixed_ip_address"] is None
    user.ok("DELETE", f"{V2}/floatingips/{floating['id']}")


def test_security_groups(user):
    default = user.get(f"{V2}/security-groups?name=default")["security_groups"][0]
    assert len(default["security_group_rules"]) == 4
    assert fault(user, "DELETE", f"/security-groups/{default['id']}")[0] == 409
    group = make(user, "security-group", name="web")["id"]
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 80,
            "port_range_max": 80}
    made = make(user, "security-group-rule", **rule)
    assert fault(user, "POST", "/security-group-rules", {"security_group_rule": rule})[0] == 409
    for wrong in ({"port_range_min": 90}, {"port_range_max": 70000}, {"protocol": "nonsense"},
                  {"remote_ip_prefix": "x"}, {"direction": "sideways"}):
        assert fault(user, "POST", "/security-group-rules", {"security_group_rule": {**rule, **wrong}})[0] == 400, wrong
    user.ok("DELETE", f"{V2}/security-group-rules/{made['id']}")


def test_quotas_hold(served, user):
    admin = served.login("admin")
    admin.ok("PUT", f"{V2}/quotas/{user.project_id}", {"quota": {"network": 2}})
    for _ in range(2):
        make(user, "network", name="n")
    assert fault(user, "POST", "/networks", {"network": {"name": "n"}}) == (409, "OverQuota")
    assert user.get(f"{V2}/quotas/{user.project_id}")["quota"]["network"] == 2


def test_unknown_attributes_are_refused(user):
    answer = user.request("POST", f"{V2}/networks", {"network": {"name": "n", "colour": "blue"}})
    assert answer.status == 400
    assert "colour" in answer.json()["NeutronError"]["message"]


def test_pages_and_fields(user):
    for name in "abcde":
        make(user, "network", name=name)
    path = f"{V2}/networks?sort_key=name&limit=2&project_id={user.project_id}&fields=id&fields=name"
    names = []
    for _ in range(4):
        page = user.get(path)
        names += [network["name"] for network in page["networks"]]
        assert all(set(network) == {"id", "name"} for network in page["networks"])
        following = [link["href"] for link in page.get("networks_links", []) if link["rel"] == "next"]
        if not following:
            break
        path = following[0].partition(f":{user.port}")[2]
    assert names == list("abcde")


def test_a_listing_takes_as_many_queries_however_long_it_is(served, user):
    network, _ = lan(user)

    def queries():
        with served.cloud.db.counting("request") as seen:
            assert user.get(f"{V2}/ports?network_id={network}")["ports"]
        return len([statement for statement in seen if statement.startswith("SELECT")])

    def quiet():
        return served.cloud.engine.reconcilers["network"].reconciler.realised([port])

    port = make(user, "port", network_id=network)["id"]
    eventually(quiet)
    few = min(queries() for _ in range(3))
    for _ in range(30):
        port = make(user, "port", network_id=network)["id"]
    eventually(quiet)
    assert min(queries() for _ in range(3)) <= few


def test_ports_come_up_when_a_server_is_on_them(served, user):
    network, _ = lan(user)
    image = served.image()
    server = user.post("/compute/v2.1/servers", {"server": {
        "name": "s", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": network}]}})["server"]["id"]

    def status():
        return [port["status"] for port in user.get(f"{V2}/ports?device_id={server}")["ports"]]

    eventually(lambda: status() == ["ACTIVE"])
    user.ok("DELETE", f"/compute/v2.1/servers/{server}")
    eventually(lambda: status() == [])


def test_unknown_things_are_not_found(user):
    for kind in ("networks", "subnets", "ports", "routers", "floatingips", "security-groups", "security-group-rules"):
        for method in ("GET", "DELETE"):
            assert user.request(method, f"{V2}/{kind}/{UNKNOWN}").status == 404, kind
