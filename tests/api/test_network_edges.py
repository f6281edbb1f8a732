"""The Networking API's finer points, on a cloud of this domain alone: sharing, IPv6, routes, moves, filters, tags."""

from __future__ import annotations

import pytest
from falcon import testing

from pilvi.drivers.fabric.simulated import SimulatedNorthbound
from pilvi.network.routes import API
from pilvi.network.service import Networks
from tests.support.faces import SmallCloud

ALICE, BOB, READER, ADMIN = "alice:a:member", "bob:b:member", "rita:a:reader", "root:admin:admin"
UNKNOWN = "7d5c1b9e-0000-4000-8000-000000000000"


class Client:
    def __init__(self, app):
        self._client = testing.TestClient(app)

    def __call__(self, method, path, body=None, token=ALICE, status=None):
        path, _, query = path.partition("?")
        options = {} if body is None else {"json": body}
        answer = self._client.simulate_request(method, "/network/v2.0" + path, query_string=query,
                                               headers={"X-Auth-Token": token}, **options)
        if status is not None:
            assert answer.status_code == status, answer.text
        return answer

    def get(self, path, token=ALICE):
        return self("GET", path, None, token, 200).json

    def make(self, noun, token=ALICE, **fields):
        key = noun.replace("-", "_")
        return self("POST", f"/{noun}s", {key: fields}, token, 201).json[key]

    def put(self, noun, found, token=ALICE, status=200, **fields):
        key = noun.replace("-", "_")
        answer = self("PUT", f"/{noun}s/{found['id']}", {key: fields}, token, status).json
        return answer[key] if status == 200 else answer["NeutronError"]["type"]

    def refused(self, method, path, body=None, token=ALICE):
        answer = self(method, path, body, token)
        return answer.status_code, answer.json["NeutronError"]["type"]

    def delete(self, path, token=ALICE):
        self("DELETE", path, None, token, 204)

    def delete_as_admin(self, path):
        self("DELETE", path, None, ADMIN, 204)

    def lan(self, cidr="10.0.0.0/24", token=ALICE, network=None, **fields):
        network = network or self.make("network", token)
        version = 6 if ":" in cidr else 4
        return network, self.make("subnet", token, network_id=network["id"], ip_version=version, cidr=cidr, **fields)

    def way_out(self, *subnets):
        """A router between these subnets and the external network; and that network."""
        public = self.get("/networks?router:external=True")["networks"][0]
        router = self.make("router", external_gateway_info={"network_id": public["id"]})
        for subnet in subnets:
            self.join(router, subnet_id=subnet["id"])
        return router, public

    def join(self, router, status=200, **what):
        return self("PUT", f"/routers/{router['id']}/add_router_interface", what, ALICE, status).json

    def part(self, router, status=200, **what):
        return self("PUT", f"/routers/{router['id']}/remove_router_interface", what, ALICE, status).json

    def addresses(self, port):
        return [one["ip_address"] for one in port["fixed_ips"]]


@pytest.fixture
def cloud(tmp_path):
    cloud = SmallCloud(f"sqlite:///{tmp_path}/pilvi.db")
    cloud.northbound = SimulatedNorthbound()
    cloud.network = Networks(cloud.db, cloud.clock, cloud.ids, cloud.engine, cloud.settings,
                             northbound=cloud.northbound)
    cloud.create_tables()
    cloud.network.bootstrap("172.24.4.0/24", "172.24.4.1", (), "admin")
    yield cloud
    cloud.close()


@pytest.fixture
def client(cloud):
    return Client(cloud.app(API))


# -- sharing and policy


def test_a_shared_network_is_used_but_not_changed(client):
    shared, subnet = client.lan(token=ADMIN, network=client.make("network", ADMIN, shared=True))
    path = f"/networks/{shared['id']}"
    assert client.get(path)["network"]["subnets"] == [subnet["id"]]
    assert client.get(f"/subnets/{subnet['id']}")["subnet"]["cidr"] == "10.0.0.0/24"
    port = client.make("port", network_id=shared["id"])
    assert client.put("network", shared, status=403, name="mine") == "PolicyNotAuthorized"
    assert client.refused("DELETE", path) == (403, "PolicyNotAuthorized")
    for fields in ({"mac_address": "02:00:00:00:00:01"}, {"port_security_enabled": False},
                   {"fixed_ips": [{"ip_address": "10.0.0.9"}]}, {"device_owner": "network:dhcp"},
                   {"allowed_address_pairs": [{"ip_address": "10.0.0.0/8"}]}):
        assert client.refused("POST", "/ports", {"port": {"network_id": shared["id"], **fields}})[0] == 403
        assert client.put("port", port, status=403, **fields) == "PolicyNotAuthorized"
    assert client.refused("POST", "/subnets", {"subnet": {"network_id": shared["id"], "ip_version": 4,
                                                          "cidr": "10.1.0.0/24"}})[0] == 403
    assert client.put("network", shared, ADMIN, 409, shared=False) == "InvalidSharedSetting"
    client.delete(f"/ports/{port['id']}")
    client.put("network", shared, ADMIN, shared=False)
    assert client("GET", path).status_code == 404


def test_a_network_of_ones_own_shows_all_its_ports(client):
    shared, _ = client.lan(token=ADMIN, network=client.make("network", ADMIN, shared=True, project_id="b"))
    port = client.make("port", network_id=shared["id"])
    assert client.get(f"/ports/{port['id']}", BOB)["port"]["project_id"] == "a"
    assert client.refused("DELETE", f"/ports/{port['id']}", token=BOB)[0] == 403
    other = client.make("network")
    assert client("GET", f"/networks/{other['id']}", token=BOB).status_code == 404


def test_what_only_an_administrator_sets(client):
    for fields in ({"shared": True}, {"router:external": True}, {"provider:network_type": "flat"}, {"project_id": "b"}):
        assert client.refused("POST", "/networks", {"network": fields}) == (403, "PolicyNotAuthorized")
    client.make("network", shared=False)  # which is how it is anyway
    public = client.get("/networks?router:external=True")["networks"][0]
    assert client.refused("POST", "/ports", {"port": {"network_id": public["id"]}})[0] == 403
    assert client.refused("POST", "/routers", {"router": {"external_gateway_info": {
        "network_id": public["id"], "enable_snat": False}}})[0] == 403
    assert client.refused("POST", "/floatingips", {"floatingip": {
        "floating_network_id": public["id"], "floating_ip_address": "172.24.4.99"}})[0] == 403
    assert client.refused("POST", "/networks", {"network": {}}, READER)[0] == 403


def test_what_only_an_administrator_sees(client):
    network, _ = client.lan()
    port = client.make("port", network_id=network["id"])
    assert not [name for name in (*network, *port) if name.startswith(("provider:", "binding:host"))]
    assert client.get(f"/networks/{network['id']}", ADMIN)["network"]["provider:network_type"] == "geneve"
    bound = client.put("port", port, ADMIN, **{"binding:host_id": "node"})
    assert (bound["binding:host_id"], bound["binding:vif_type"]) == ("node", "ovs")


def test_the_physical_network_has_one_network(client):
    body = {"network": {"provider:network_type": "flat", "provider:physical_network": "public"}}
    assert client.refused("POST", "/networks", body, ADMIN) == (409, "FlatNetworkInUse")
    body["network"]["provider:physical_network"] = "elsewhere"
    assert client.refused("POST", "/networks", body, ADMIN) == (400, "InvalidInput")


# -- subnets


@pytest.mark.parametrize(("fields", "kind"), [
    ({"cidr": "10.0.0.0/24", "ip_version": 6}, "InvalidInput"), ({"cidr": "224.0.0.0/24"}, "InvalidInput"),
    ({"cidr": "0.0.0.0/0"}, "InvalidInput"), ({"cidr": "127.0.0.0/24"}, "InvalidInput"),
    ({"cidr": "10.0.0.1/24"}, "HTTPBadRequest"), ({"gateway_ip": "10.0.0.255"}, "InvalidInput"),
    ({"gateway_ip": "10.9.0.1"}, "InvalidInput"), ({"dns_nameservers": ["x"]}, "HTTPBadRequest"),
    ({"dns_nameservers": ["1.1.1.1", "1.1.1.1"]}, "HTTPBadRequest"),
    ({"host_routes": [{"destination": "10.1.0.0/24", "nexthop": "fd00::1"}]}, "HTTPBadRequest"),
    ({"host_routes": [{"destination": "10.1.0.0/24"}]}, "HTTPBadRequest"),
    ({"ipv6_ra_mode": "slaac"}, "InvalidInput"),
    ({"cidr": "fd00::/64", "ip_version": 6, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"},
     "InvalidInput"),
    ({"cidr": "fd00::/72", "ip_version": 6, "ipv6_address_mode": "slaac"}, "InvalidInput"),
    ({"cidr": "fd00::/64", "ip_version": 6, "ipv6_ra_mode": "slaac", "enable_dhcp": False}, "InvalidInput"),
])
def test_subnets_that_cannot_be(client, fields, kind):
    network = client.make("network")
    body = {"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24", **fields}}
    assert client.refused("POST", "/subnets", body) == (400, kind)
    assert client.get("/subnets")["subnets"] == []


def test_a_subnet_changes(client):
    network, subnet = client.lan(allocation_pools=[{"start": "10.0.0.10", "end": "10.0.0.20"}])
    port = client.make("port", network_id=network["id"])
    assert client.addresses(port) == ["10.0.0.11"], "the metadata port has the first"
    changed = client.put("subnet", subnet, gateway_ip="10.0.0.254", dns_nameservers=["9.9.9.9"],
                         host_routes=[{"destination": "10.9.0.0/16", "nexthop": "10.0.0.7"}],
                         allocation_pools=[{"start": "10.0.0.100", "end": "10.0.0.101"}])
    assert (changed["gateway_ip"], changed["dns_nameservers"]) == ("10.0.0.254", ["9.9.9.9"])
    assert client.addresses(client.make("port", network_id=network["id"])) == ["10.0.0.100"]
    assert client.put("subnet", subnet, status=409, gateway_ip="10.0.0.100") == "GatewayConflictWithAllocationPools"
    assert client.put("subnet", subnet, status=400, cidr="10.0.0.0/25") == "HTTPBadRequest"
    assert client.put("subnet", subnet, gateway_ip=None)["gateway_ip"] is None


def test_the_gateway_that_a_router_has_stays(client):
    _, subnet = client.lan()
    client.way_out(subnet)
    assert client.put("subnet", subnet, status=409, gateway_ip=None) == "GatewayIpInUse"


def test_the_metadata_port_comes_and_goes_with_dhcp(client):
    network, subnet = client.lan(enable_dhcp=False)
    ports = f"/ports?network_id={network['id']}"
    assert client.get(ports)["ports"] == []
    client.put("subnet", subnet, enable_dhcp=True)
    (port,) = client.get(ports)["ports"]
    assert (port["device_owner"], client.addresses(port)) == ("network:distributed", ["10.0.0.2"])
    client.delete(f"/ports/{port['id']}")
    (another,) = client.get(ports)["ports"]
    assert another["id"] != port["id"], "a network has one, whatever becomes of it"
    assert client.addresses(another) == ["10.0.0.3"]
    client.put("subnet", subnet, enable_dhcp=False)
    assert client.get(ports)["ports"] == []


# -- IPv6


def test_guests_that_make_their_own_addresses(client):
    network, _ = client.lan()
    before = client.make("port", network_id=network["id"], mac_address="34:56:78:9a:bc:de")
    modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    _, subnet = client.lan("2001:db8::/64", network=network, **modes)
    own = "2001:db8::3656:78ff:fe9a:bcde"
    assert own in client.addresses(client.get(f"/ports/{before['id']}")["port"])
    after = client.make("port", network_id=network["id"], mac_address="34:56:78:9a:bc:df")
    assert client.addresses(after)[1] == "2001:db8::3656:78ff:fe9a:bcdf"
    assert client.refused("POST", "/ports", {"port": {"network_id": network["id"], "fixed_ips": [
        {"subnet_id": subnet["id"], "ip_address": "2001:db8::5"}]}}) == (400, "AllocationOnAutoAddressSubnet")
    client.delete(f"/subnets/{subnet['id']}")
    assert len(client.get(f"/ports/{after['id']}")["port"]["fixed_ips"]) == 1


def test_addresses_of_both_versions(client):
    network, _ = client.lan()
    client.lan("fd00::/64", network=network, ipv6_ra_mode="dhcpv6-stateful", ipv6_address_mode="dhcpv6-stateful")
    assert client.addresses(client.make("port", network_id=network["id"])) == ["10.0.0.3", "fd00::2"]


def test_a_router_has_one_port_for_the_ipv6_subnets_of_a_network(client):
    network, four = client.lan()
    six = [client.lan(f"fd0{number}::/64", network=network)[1] for number in range(2)]
    router = client.make("router")
    ports = {client.join(router, subnet_id=subnet["id"])["port_id"] for subnet in (four, *six)}
    assert len(ports) == 2
    client.part(router, subnet_id=six[0]["id"])
    assert len(client.get(f"/ports?device_id={router['id']}")["ports"]) == 2
    client.part(router, subnet_id=six[1]["id"])
    assert len(client.get(f"/ports?device_id={router['id']}")["ports"]) == 1


# -- ports


def test_a_port_changes_its_addresses(client):
    network, subnet = client.lan()
    port = client.make("port", network_id=network["id"])
    kept = client.addresses(port)[0]
    two = client.put("port", port, fixed_ips=[{"ip_address": "10.0.0.50"}, {"subnet_id": subnet["id"]}])
    assert sorted(client.addresses(two)) == [kept, "10.0.0.50"], "of what it has, it keeps what fits"
    assert client.addresses(client.put("port", port, fixed_ips=[{"ip_address": "10.0.0.50"}])) == ["10.0.0.50"]
    assert client.put("port", port, fixed_ips=[])["fixed_ips"] == []
    for fixed_ips, kind in (([{"ip_address": "10.0.0.255"}], "InvalidIpForSubnet"), ([{}], "HTTPBadRequest"),
                            ([{"ip_address": "10.0.1.5"}], "InvalidIpForNetwork"),
                            ([{"subnet_id": UNKNOWN}], "InvalidInput"), ([{"ip_address": "x"}], "HTTPBadRequest"),
                            ([{"ip_address": "10.0.0.7"}] * 2, "HTTPBadRequest")):
        assert client.put("port", port, status=400, fixed_ips=fixed_ips) == kind


def test_security_of_a_port(client):
    network, _ = client.lan()
    port = client.make("port", network_id=network["id"], allowed_address_pairs=[{"ip_address": "10.0.0.0/8"}])
    assert port["allowed_address_pairs"] == [{"mac_address": port["mac_address"], "ip_address": "10.0.0.0/8"}]
    assert client.put("port", port, status=400, port_security_enabled=False) == "PortSecurityPortHasSecurityGroup"
    assert client.put("port", port, status=409, port_security_enabled=False,
                      security_groups=[]) == "AddressPairAndPortSecurityRequired"
    bare = client.put("port", port, port_security_enabled=False, security_groups=[], allowed_address_pairs=[])
    assert (bare["port_security_enabled"], bare["security_groups"]) == (False, [])
    assert client.put("port", port, status=404, port_security_enabled=True, security_groups=[UNKNOWN])
    theirs = client.make("security-group", BOB, name="theirs")
    assert client.put("port", port, status=404, port_security_enabled=True, security_groups=[theirs["id"]])
    open_network = client.make("network", port_security_enabled=False)
    assert client.make("port", network_id=open_network["id"])["security_groups"] == []


def test_many_at_once_or_none(client):
    network, _ = client.lan()
    many = client("POST", "/ports", {"ports": [{"network_id": network["id"], "name": f"p{n}"} for n in range(3)]},
                  status=201).json["ports"]
    assert [port["name"] for port in many] == ["p0", "p1", "p2"]
    bad = {"ports": [{"network_id": network["id"]}, {"network_id": UNKNOWN}]}
    assert client.refused("POST", "/ports", bad) == (404, "NetworkNotFound")
    assert len(client.get("/ports?device_owner=")["ports"]) == 3
    assert client.refused("POST", "/ports", {"ports": []})[0] == 400


def test_a_changed_port_counts_its_changes(client):
    network, _ = client.lan()
    port = client.make("port", network_id=network["id"])
    changed = client.put("port", port, name="new")
    assert changed["revision_number"] == port["revision_number"] + 1
    assert changed["created_at"] == port["created_at"]


# -- routers


def test_what_a_router_is_not_joined_to(client):
    network, subnet = client.lan()
    router, _public = client.way_out(subnet)
    _, other = client.lan("10.0.0.128/25")
    _, bare = client.lan("10.5.0.0/24", gateway_ip=None)
    port = client.make("port", network_id=network["id"], device_id="something", device_owner="else")
    empty = client.make("port", network_id=client.make("network")["id"])
    path = f"/routers/{router['id']}/add_router_interface"
    for body, expected in (
            ({"subnet_id": subnet["id"]}, (400, "BadRequest")), ({"subnet_id": other["id"]}, (400, "BadRequest")),
            ({"subnet_id": bare["id"]}, (400, "BadRequest")), ({"subnet_id": UNKNOWN}, (404, "SubnetNotFound")),
            ({"port_id": port["id"]}, (409, "PortInUse")), ({"port_id": empty["id"]}, (400, "BadRequest")),
            ({}, (400, "BadRequest")), ({"subnet_id": other["id"], "port_id": port["id"]}, (400, "BadRequest"))):
        assert client.refused("PUT", path, body) == expected, body
    assert client.refused("PUT", path, {"subnet_id": subnet["id"]}, BOB) == (404, "RouterNotFound")
    assert client.put("router", router, status=400,
                      external_gateway_info={"network_id": network["id"]}) == "BadRequest"


def test_a_router_joined_by_a_port(client):
    network, subnet = client.lan()
    router = client.make("router")
    port = client.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.9"}])
    joined = client.join(router, port_id=port["id"])
    assert (joined["port_id"], joined["subnet_ids"]) == (port["id"], [subnet["id"]])
    owner = client.get(f"/ports/{port['id']}")["port"]
    assert (owner["device_owner"], owner["device_id"]) == ("network:router_interface", router["id"])
    assert client.refused("DELETE", f"/ports/{port['id']}") == (409, "ServicePortInUse")
    path = f"/routers/{router['id']}/remove_router_interface"
    assert client.refused("PUT", path, {"port_id": port["id"], "subnet_id": UNKNOWN}) == (409, "SubnetMismatchForPort")
    assert client.refused("PUT", path, {"port_id": UNKNOWN}) == (404, "RouterInterfaceNotFound")
    client.part(router, port_id=port["id"])
    assert client.refused("PUT", path, {"subnet_id": subnet["id"]}) == (404, "RouterInterfaceNotFoundForSubnet")


def test_routes(client):
    _, subnet = client.lan()
    router, _ = client.way_out(subnet)
    one = {"destination": "10.9.0.0/16", "nexthop": "10.0.0.7"}
    other = {"destination": "10.8.0.0/16", "nexthop": "172.24.4.77"}
    assert client.put("router", router, routes=[one])["routes"] == [one]
    path = f"/routers/{router['id']}"
    added = client("PUT", path + "/add_extraroutes", {"router": {"routes": [one, other]}}, status=200).json["router"]
    assert added["routes"] == [one, other]
    for nexthop in ("10.1.0.1", "10.0.0.1"):
        assert client.put("router", router, status=400, routes=[{**one, "nexthop": nexthop}]) == "InvalidRoutes"
    assert client.refused("PUT", path + "/remove_router_interface",
                          {"subnet_id": subnet["id"]}) == (409, "RouterInterfaceInUseByRoute")
    left = client("PUT", path + "/remove_extraroutes", {"router": {"routes": [one]}}, status=200).json["router"]
    assert left["routes"] == [other]
    client.part(router, subnet_id=subnet["id"])


def test_a_gateway_is_set_changed_and_cleared(client):
    public = client.get("/networks?router:external=True")["networks"][0]
    router = client.make("router", external_gateway_info={"network_id": public["id"]})
    first = router["external_gateway_info"]["external_fixed_ips"]
    same = client.put("router", router, external_gateway_info={"network_id": public["id"]})
    assert same["external_gateway_info"]["external_fixed_ips"] == first, "it keeps its address"
    chosen = client.put("router", router, ADMIN, external_gateway_info={
        "network_id": public["id"], "enable_snat": False, "external_fixed_ips": [{"ip_address": "172.24.4.200"}]})
    info = chosen["external_gateway_info"]
    assert (info["enable_snat"], info["external_fixed_ips"][0]["ip_address"]) == (False, "172.24.4.200")
    assert client.put("router", router, external_gateway_info={})["external_gateway_info"] is None
    again = client.put("router", router, external_gateway_info={"network_id": public["id"]})
    assert again["external_gateway_info"]["enable_snat"]
    client.delete(f"/routers/{router['id']}")
    assert client.get("/ports?device_owner=network:router_gateway", ADMIN)["ports"] == []


# -- floating IPs


@pytest.fixture
def outside(client):
    """A network with a router to the world; its external network, and two ports."""
    network, subnet = client.lan()
    router, public = client.way_out(subnet)
    return router, subnet, public, [client.make("port", network_id=network["id"]) for _ in range(2)]


def test_a_floating_ip_moves(client, cloud, outside):
    router, _, public, (one, other) = outside
    floating = client.make("floatingip", floating_network_id=public["id"])
    assert (floating["status"], floating["port_id"]) == ("DOWN", None)
    for port in (one, other):
        moved = client.put("floatingip", floating, port_id=port["id"])
        assert (moved["fixed_ip_address"], moved["router_id"]) == (client.addresses(port)[0], router["id"])
        cloud.network.reconciler.reconcile()
        assert client.get(f"/floatingips/{floating['id']}")["floatingip"]["status"] == "ACTIVE"
        (found,) = cloud.northbound.topology.routers[0].floating_ips
        assert (found.port_id, found.floating_ip) == (port["id"], floating["floating_ip_address"])
    assert client.put("floatingip", floating, description="it")["port_id"] == other["id"]
    client.delete(f"/ports/{other['id']}")
    left = client.get(f"/floatingips/{floating['id']}")["floatingip"]
    assert (left["port_id"], left["fixed_ip_address"], left["router_id"]) == (None, None, None)
    client.delete(f"/floatingips/{floating['id']}")
    assert client.get("/ports?device_owner=network:floatingip", ADMIN)["ports"] == []


def test_what_a_floating_ip_keeps_in_place(client, outside):
    router, subnet, public, (port, _) = outside
    floating = client.make("floatingip", floating_network_id=public["id"], port_id=port["id"])
    path = f"/routers/{router['id']}"
    assert client.refused("PUT", path + "/remove_router_interface",
                          {"subnet_id": subnet["id"]}) == (409, "RouterInterfaceInUseByFloatingIP")
    assert client.put("router", router, status=409,
                      external_gateway_info=None) == "RouterExternalGatewayInUseByFloatingIp"
    client.put("port", port, fixed_ips=[{"ip_address": "10.0.0.99"}])
    assert client.get(f"/floatingips/{floating['id']}")["floatingip"]["port_id"] is None
    client.part(router, subnet_id=subnet["id"])


@pytest.mark.parametrize(("fields", "expected"), [
    ({"port_id": UNKNOWN}, (404, "PortNotFound")), ({"fixed_ip_address": "10.0.0.3"}, (400, "BadRequest")),
    ({"floating_network_id": UNKNOWN}, (404, "NetworkNotFound")), ({"subnet_id": UNKNOWN}, (400, "InvalidInput")),
])
def test_floating_ips_that_cannot_be(client, outside, fields, expected):
    body = {"floatingip": {"floating_network_id": outside[2]["id"], **fields}}
    assert client.refused("POST", "/floatingips", body) == expected
    assert client.get("/ports?device_owner=network:floatingip", ADMIN)["ports"] == []


def test_a_port_with_several_addresses_needs_a_choice(client, outside):
    _, _, public, (port, _) = outside
    client.put("port", port, fixed_ips=[{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.51"}])
    body = {"floatingip": {"floating_network_id": public["id"], "port_id": port["id"]}}
    assert client.refused("POST", "/floatingips", body) == (400, "BadRequest")
    for address, status in (("10.0.0.52", 400), ("10.0.0.51", 201), ("10.0.0.51", 409), ("10.0.0.50", 201)):
        body["floatingip"]["fixed_ip_address"] = address
        client("POST", "/floatingips", body, status=status)


def test_a_port_of_another_project_gets_no_floating_ip(client, outside):
    body = {"floatingip": {"floating_network_id": outside[2]["id"], "port_id": outside[3][0]["id"]}}
    assert client.refused("POST", "/floatingips", body, BOB) == (404, "PortNotFound")


# -- security groups


def test_the_default_group(client):
    (group,) = client.get("/security-groups")["security_groups"]
    seen = {(rule["direction"], rule["ethertype"], rule["remote_group_id"]) for rule in group["security_group_rules"]}
    assert seen == {("egress", "IPv4", None), ("egress", "IPv6", None), ("ingress", "IPv4", group["id"]),
                    ("ingress", "IPv6", group["id"])}
    assert client.refused("DELETE", f"/security-groups/{group['id']}") == (409, "SecurityGroupCannotRemoveDefault")
    assert client.put("security-group", group, status=409, name="x") == "SecurityGroupCannotUpdateDefault"
    body = {"security_group": {"name": "default"}}
    assert client.refused("POST", "/security-groups", body) == (409, "SecurityGroupDefaultAlreadyExists")


def test_rules_come_and_go(client):
    group, other = (client.make("security-group", name=name) for name in ("one", "other"))
    fields = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp", "port_range_min": 22,
              "port_range_max": 22, "remote_ip_prefix": "10.0.0.0/8"}
    rule = client.make("security-group-rule", **fields)
    assert client.refused("POST", "/security-group-rules",
                          {"security_group_rule": {**fields, "protocol": "6"}}) == (409, "SecurityGroupRuleExists")
    assert client.get(f"/security-group-rules?security_group_id={group['id']}&direction=ingress")[
        "security_group_rules"] == [rule]
    remote = client.make("security-group-rule", security_group_id=group["id"], direction="ingress",
                         remote_group_id=other["id"])
    assert client.refused("POST", "/security-group-rules", {"security_group_rule": fields}, BOB)[0] == 404
    assert client.refused("DELETE", f"/security-group-rules/{rule['id']}", token=BOB)[0] == 404
    client.delete(f"/security-groups/{other['id']}")
    assert client("GET", f"/security-group-rules/{remote['id']}").status_code == 404, "it went with the group it named"
    client.delete(f"/security-groups/{group['id']}")
    assert client("GET", f"/security-group-rules/{rule['id']}").status_code == 404


# -- tags, filters, order, pages, quotas


@pytest.mark.parametrize(("query", "names"), [
    ("tags=red", "ab"), ("tags=red,blue", "b"), ("tags-any=red,blue", "abc"), ("not-tags=red", "cd"),
    ("not-tags=red,blue", "acd"), ("not-tags-any=red,blue", "d"), ("tags=red&name=a", "a"), ("name=a&name=d", "ad"),
    ("admin_state_up=false", ""), ("shared=False&tenant_id=a", "abcd"), ("project_id=b", ""),
])
def test_filters(client, query, names):
    for name, tags in (("a", ["red"]), ("b", ["red", "blue"]), ("c", ["blue"]), ("d", [])):
        network = client.make("network", name=name)
        client("PUT", f"/networks/{network['id']}/tags", {"tags": tags}, status=200)
    found = client.get(f"/networks?router:external=False&sort_key=name&{query}")["networks"]
    assert "".join(network["name"] for network in found) == names


def test_tags(client):
    router = client.make("router")
    path = f"/routers/{router['id']}/tags"
    client("PUT", path + "/one", status=201)
    client("PUT", path + "/two", status=201)
    client("GET", path + "/one", status=204)
    client.delete(path + "/one")
    for method in ("GET", "DELETE"):
        assert client.refused(method, path + "/one") == (404, "TagNotFound")
    assert client.get(f"/routers/{router['id']}")["router"]["tags"] == client.get(path)["tags"] == ["two"]
    client.delete(path)
    assert client.get(path)["tags"] == []
    assert client.refused("PUT", path, {"tags": ["x" * 256]})[0] == 400
    assert client.refused("PUT", path, {"tags": ["x"]}, BOB)[0] == 404
    assert client.refused("GET", f"/nonsense/{router['id']}/tags")[0] == 404


def test_ports_by_what_they_have(client):
    network, subnet = client.lan()
    group = client.make("security-group", name="g")
    port = client.make("port", network_id=network["id"], security_groups=[group["id"]], device_id="d")
    client.make("port", network_id=network["id"])
    for query in (f"security_groups={group['id']}", "device_id=d", f"mac_address={port['mac_address']}",
                  f"fixed_ips=ip_address%3D{client.addresses(port)[0]},subnet_id%3D{subnet['id']}",
                  f"fixed_ips=ip_address%3D{client.addresses(port)[0]}&fixed_ips=subnet_id%3D{subnet['id']}"):
        assert [found["id"] for found in client.get(f"/ports?{query}")["ports"]] == [port["id"]], query
    assert len(client.get("/ports?fixed_ips=ip_address_substr%3D10.0.0.")["ports"]) == 3
    for query in ("nonsense=1", "fixed_ips=x", "sort_key=nonsense", "sort_key=name&sort_dir=up", "limit=-1", "limit=x",
                  "admin_state_up=perhaps", "marker=" + UNKNOWN):
        assert client("GET", f"/ports?{query}").status_code == 400, query


def test_pages_both_ways(client):
    names = [client.make("network", name=f"n{number}")["name"] for number in range(5)]
    path, seen = "/networks?router:external=False&sort_key=name&sort_dir=desc&limit=2", []

    def follow(answer, rel):
        links = {link["rel"]: link["href"] for link in answer.get("networks_links", ())}
        return links.get(rel, "").partition("/v2.0")[2]

    while path:
        last, path = path, None
        answer = client.get(last)
        seen += [network["name"] for network in answer["networks"]]
        path = follow(answer, "next")
    assert seen == names[::-1]
    back = client.get(follow(answer, "previous"))
    assert [network["name"] for network in back["networks"]] == ["n2", "n1"]
    assert follow(client.get(follow(back, "previous")), "previous") == ""
    assert follow(back, "next")
    shown = client.get("/networks?fields=id&fields=name&router:external=False")["networks"]
    assert {frozenset(network) for network in shown} == {frozenset({"id", "name"})}


def test_quotas(client):
    assert client.get("/quotas/a")["quota"]["network"] == 100
    assert client.refused("GET", "/quotas/b")[0] == 403
    assert client.refused("PUT", "/quotas/a", {"quota": {"network": 1}})[0] == 403
    assert client.refused("DELETE", "/quotas/a", token=ADMIN) == (404, "TenantQuotaNotFound")
    client("PUT", "/quotas/a", {"quota": {"network": "1"}}, ADMIN, 200)
    client.make("network")
    assert client.refused("POST", "/networks", {"network": {}}) == (409, "OverQuota")
    assert client.get("/quotas/a/details")["quota"]["network"] == {"limit": 1, "reserved": 0, "used": 1}
    assert client.get("/quotas/a/default")["quota"]["network"] == 100
    assert [quota["project_id"] for quota in client.get("/quotas", ADMIN)["quotas"]] == ["a"]
    for wanted in ({"network": -2}, {"network": "many"}, {"nonsense": 1}, {"network": 2**40}, []):
        assert client.refused("PUT", "/quotas/a", {"quota": wanted}, ADMIN)[0] == 400
    client("DELETE", "/quotas/a", None, ADMIN, 204)
    client.make("network")


def test_how_many_addresses_are_in_use(client):
    network, _ = client.lan()
    client.make("port", network_id=network["id"])
    found = client.get(f"/network-ip-availabilities/{network['id']}", ADMIN)["network_ip_availability"]
    assert (found["used_ips"], found["total_ips"]) == (2, 253)
    listed = client.get(f"/network-ip-availabilities?network_id={network['id']}", ADMIN)
    assert listed["network_ip_availabilities"] == [found]


def test_what_is_no_request_at_all(client):
    assert client.refused("POST", "/networks", {"network": {"id": UNKNOWN}}) == (400, "HTTPBadRequest")
    assert client.refused("POST", "/networks", {"net": {}}) == (400, "HTTPBadRequest")
    answer = client("POST", "/networks", {"network": {"colour": 1, "size": 2}}, status=400)
    assert answer.json["NeutronError"] == {"type": "HTTPBadRequest", "detail": "",
                                           "message": "Unrecognized attribute(s) 'colour', 'size'"}
    assert client("GET", "/networks/%00").status_code == 404
    assert client.refused("GET", "/nonsense")[0] == 404


# -- faults by their words: clients read them


@pytest.mark.parametrize(("fields", "words"), [
    ({"protocol": "tcp", "port_range_min": -16, "port_range_max": 80}, "Invalid value for port -16"),
    ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 65536}, "Invalid value for port 65536"),
    ({"protocol": "tcp", "port_range_max": 6}, "port_range_min must be <= port_range_max"),
    ({"protocol": "icmp", "port_range_min": 1, "port_range_max": 256}, "Invalid value for ICMP code"),
    ({"protocol": "icmp", "port_range_min": 300, "port_range_max": 1}, "Invalid value for ICMP type"),
    ({"protocol": "icmp", "port_range_max": 6}, "ICMP type (port-range-min) is missing"),
])
def test_a_rule_says_which_port_is_wrong(client, fields, words):
    group = client.make("security-group", name="web")
    answer = client("POST", "/security-group-rules", {"security_group_rule": {
        "security_group_id": group["id"], "direction": "ingress", **fields}}, status=400)
    assert words in answer.json["NeutronError"]["message"]


def test_a_remote_group_that_is_not_there_is_not_found(client):
    group = client.make("security-group", name="web")
    for remote in (UNKNOWN, "no-id"):
        rule = {"security_group_id": group["id"], "direction": "ingress", "remote_group_id": remote}
        assert client.refused("POST", "/security-group-rules", {"security_group_rule": rule}) == (
            404, "SecurityGroupNotFound")


def test_no_group_becomes_a_second_default(client):
    group = client.make("security-group", name="web")
    assert client.put("security-group", group, status=409, name="default") == "SecurityGroupDefaultAlreadyExists"


def test_an_external_network_goes_with_the_floating_ips_that_lead_nowhere(client):
    network = client.make("network", ADMIN, **{"router:external": True})
    client.lan("198.51.100.0/24", ADMIN, network, enable_dhcp=False)
    floating = client.make("floatingip", floating_network_id=network["id"])
    client.delete(f"/networks/{network['id']}", ADMIN)
    assert client("GET", f"/floatingips/{floating['id']}").status_code == 404


def test_only_an_administrator_finds_agents(client):
    assert client.get("/agents", READER)["agents"] == []
    assert client("GET", f"/agents/{UNKNOWN}").status_code == 403
    for method in ("GET", "PUT", "DELETE"):
        body = {"agent": {"admin_state_up": False}} if method == "PUT" else None
        assert client.refused(method, f"/agents/{UNKNOWN}", body, ADMIN) == (404, "AgentNotFound")


# -- DHCP options of ports


def test_dhcp_options_of_a_port_are_kept_changed_and_taken_away(client, cloud):
    network, _ = client.lan()
    boot = {"opt_name": "bootfile-name", "opt_value": "pxelinux.0"}
    port = client.make("port", network_id=network["id"], extra_dhcp_opts=[boot])
    assert port["extra_dhcp_opts"] == [{**boot, "ip_version": 4}]
    more = client.put("port", port, extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1300"}])["extra_dhcp_opts"]
    assert [one["opt_name"] for one in more] == ["bootfile-name", "mtu"]
    left = client.put("port", port, extra_dhcp_opts=[{"opt_name": "bootfile-name", "opt_value": None}])
    assert [one["opt_name"] for one in left["extra_dhcp_opts"]] == ["mtu"]
    assert client.put("port", port, name="other")["extra_dhcp_opts"] == left["extra_dhcp_opts"]


@pytest.mark.parametrize("option", [
    {"opt_name": "nonsense", "opt_value": "1"}, {"opt_name": "mtu", "opt_value": "70000"},
    {"opt_name": "mtu", "opt_value": "x"}, {"opt_name": "server-ip-address", "opt_value": "2001:db8::1"},
    {"opt_name": "tftp-server", "opt_value": 'a"; drop'}, {"opt_name": "tftp-server", "opt_value": ""},
    {"opt_name": "domain-search", "opt_value": 'a"; drop', "ip_version": 6}, {"opt_name": "mtu", "opt_value": "1); drop"},
    {"opt_name": "dns-server", "opt_value": "192.0.2.1", "ip_version": 6}, {"opt_name": "domain-search", "opt_value": "a"},
    {"opt_name": "dns-server", "opt_value": "192.0.2.1,x"}, {"opt_name": "mtu", "opt_value": "1300", "ip_version": 5},
])
def test_dhcp_options_that_cannot_be_sent(client, option):
    network, _ = client.lan()
    body = {"port": {"network_id": network["id"], "extra_dhcp_opts": [option]}}
    assert client.refused("POST", "/ports", body) == (400, "HTTPBadRequest")
    port = client.make("port", network_id=network["id"])
    assert client.put("port", port, status=400, extra_dhcp_opts=[option]) == "HTTPBadRequest"


def test_dhcp_options_fit_the_addresses_that_a_port_gets(client):
    network, _ = client.lan("fd00::/64")
    server = {"opt_name": "server-ip-address", "opt_value": "2001:db8::1"}
    port = client.make("port", network_id=network["id"], extra_dhcp_opts=[server])  # no IPv4, nobody to send it to
    _, four = client.lan(network=network)
    assert client.put("port", port, status=400, fixed_ips=[{"subnet_id": four["id"]}]) == "HTTPBadRequest"


def test_a_group_becomes_stateless_while_no_port_has_it(client, cloud):
    network, _ = client.lan()
    group = client.make("security-group", name="fast", stateful=False)
    assert group["stateful"] is False
    port = client.make("port", network_id=network["id"], security_groups=[group["id"]])
    assert client.put("security-group", group, status=409, stateful=True) == "SecurityGroupInUse"
    assert client.put("security-group", group, stateful=False, name="same")["stateful"] is False
    client.delete(f"/ports/{port['id']}")
    assert client.put("security-group", group, stateful=True)["stateful"] is True
    found = client.get("/security-groups?stateful=false")["security_groups"]
    assert found == []
