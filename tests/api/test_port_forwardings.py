"""Ports of a floating IP that lead to several guests, over HTTP, on a simulated cloud."""

from __future__ import annotations

import pytest

from tests.api.test_network import UNKNOWN, V2, fault, lan, make, public
from tests.support.cloud import simulated_cloud
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


class Doors:
    """A project with a router to the world, two guests' ports behind it, and a floating IP."""

    def __init__(self, served, name):
        self.served, self.user = served, served.new_user(name[:60])
        self.network, self.subnet = lan(self.user)
        self.router = make(self.user, "router", name="way", external_gateway_info={"network_id": public(self.user)})
        self.ports = [make(self.user, "port", network_id=self.network) for _ in range(2)]
        self.leg = self.user.ok("PUT", f"{V2}/routers/{self.router['id']}/add_router_interface",
                                {"subnet_id": self.subnet})  # fmt: skip
        self.fip = make(self.user, "floatingip", floating_network_id=public(self.user))["id"]
        self.path = f"/floatingips/{self.fip}/port_forwardings"

    def body(self, external=2201, internal=22, port=0, **fields):
        wanted = {"protocol": "tcp", "external_port": external, "internal_port": internal,
                  "internal_port_id": self.ports[port]["id"], **fields}  # fmt: skip
        return {"port_forwarding": {name: value for name, value in wanted.items() if value is not None}}

    def make(self, *arguments, **fields):
        return self.user.post(V2 + self.path, self.body(*arguments, **fields))["port_forwarding"]

    def refused(self, *arguments, **fields):
        return fault(self.user, "POST", self.path, self.body(*arguments, **fields))

    def floating(self):
        return self.user.get(f"{V2}/floatingips/{self.fip}")["floatingip"]

    def rows(self):
        """What the fabric was told: (external port, where to); None before it was told of the router."""
        for router in self.served.cloud.site.northbound.topology.routers:
            if router.id == self.router["id"]:
                return [(one.external_port, f"{one.fixed_ip}:{one.internal_port}") for one in router.port_forwardings]
        return None


@pytest.fixture
def doors(served, request):
    return Doors(served, request.node.name)


def address(port):
    return port["fixed_ips"][0]["ip_address"]


def test_one_address_has_a_port_for_each_guest(doors):
    first = doors.make(2201, description="ssh")
    second = doors.make(2202, port=1, internal_ip_address=address(doors.ports[1]))
    assert (first["internal_ip_address"], first["description"]) == (address(doors.ports[0]), "ssh")
    assert first["external_port_range"] == "2201:2201"
    listed = doors.user.get(V2 + doors.path)["port_forwardings"]
    assert [one["id"] for one in listed] == sorted((first["id"], second["id"]))
    by_port = doors.user.get(f"{V2}{doors.path}?internal_port_id={doors.ports[1]['id']}&fields=id")
    assert by_port["port_forwardings"] == [{"id": second["id"]}]
    assert doors.user.get(f"{V2}{doors.path}/{first['id']}")["port_forwarding"] == first
    shown = doors.floating()
    assert shown["router_id"] == doors.router["id"]
    assert [one["external_port"] for one in shown["port_forwardings"]] == [2201, 2202]
    eventually(lambda: doors.floating()["status"] == "ACTIVE")
    eventually(lambda: doors.rows() == [(2201, f"{address(doors.ports[0])}:22"), (2202, f"{address(doors.ports[1])}:22")])


def test_it_is_changed_and_taken_away(doors):
    made = doors.make()
    path = f"{V2}{doors.path}/{made['id']}"
    changed = doors.user.ok("PUT", path, {"port_forwarding": {"internal_port_id": doors.ports[1]["id"]}})
    assert changed["port_forwarding"]["internal_ip_address"] == address(doors.ports[1])
    assert changed["port_forwarding"]["external_port"] == 2201
    doors.user.ok("PUT", path, {"port_forwarding": {"external_port": 2222, "protocol": "udp"}})
    eventually(lambda: doors.rows() == [(2222, f"{address(doors.ports[1])}:22")])
    doors.user.ok("DELETE", path)
    assert (doors.floating()["router_id"], doors.floating()["status"]) == (None, "DOWN")
    eventually(lambda: doors.rows() == [])
    assert fault(doors.user, "GET", f"{doors.path}/{made['id']}") == (404, "PortForwardingNotFound")


def test_a_range_leads_to_as_many_ports_or_to_one(doors):
    doors.make(None, None, external_port_range="8000:8002", internal_port_range="80:82")
    shown = doors.make(None, 443, external_port_range="9000:9001")
    assert (shown["external_port"], shown["internal_port"], shown["internal_port_range"]) == (None, 443, "443:443")
    guest = address(doors.ports[0])
    eventually(lambda: doors.rows() == [
        *((8000 + number, f"{guest}:{80 + number}") for number in range(3)),
        (9000, f"{guest}:443"), (9001, f"{guest}:443")])  # fmt: skip
    assert doors.refused(None, 25, external_port_range="7999:8000") == (400, "BadRequest"), "they overlap"
    assert doors.refused(None, None, external_port_range="1:3", internal_port_range="1:2")[0] == 400
    assert doors.refused(None, 25, external_port_range="9:8")[0] == 400
    assert doors.refused(None, 25, external_port_range="1:60000")[0] == 400
    assert doors.refused(1, 25, external_port_range="2:3")[0] == 400


def test_a_port_is_forwarded_once(doors):
    doors.make()
    assert doors.refused(port=1) == (400, "BadRequest")
    assert doors.refused(2202) == (400, "BadRequest"), "the same port of the same guest"
    assert doors.refused(2202, protocol="icmp")[0] == 400
    assert doors.refused(0)[0] == doors.refused(65536)[0] == doors.refused(None)[0] == doors.refused(2202, None)[0] == 400
    assert doors.refused(2202, internal_ip_address="10.3.0.250")[0] == 400
    assert doors.refused(2202, internal_port_id=UNKNOWN) == (404, "PortNotFound")
    assert doors.make(protocol="udp")["protocol"] == "udp"


def test_a_floating_ip_leads_to_a_port_or_its_ports_do(doors):
    forwarding = doors.make()["id"]
    whole = {"floatingip": {"port_id": doors.ports[0]["id"]}}
    assert fault(doors.user, "PUT", f"/floatingips/{doors.fip}", whole) == (409, "FipInUseByPortForwarding")
    assert doors.user.ok("PUT", f"{V2}/floatingips/{doors.fip}", {"floatingip": {"port_id": None}})["floatingip"][
        "router_id"] == doors.router["id"], "it did not lead to a port as a whole, and still leads where it did"
    doors.user.ok("DELETE", f"{V2}{doors.path}/{forwarding}")
    led = doors.user.ok("PUT", f"{V2}/floatingips/{doors.fip}", whole)["floatingip"]
    assert led["port_details"]["network_id"] == doors.network
    assert doors.refused() == (409, "FloatingIPPortAlreadyAssociated")


def test_what_they_need_stays_and_what_needed_them_goes(doors):
    doors.make()
    leg = {"subnet_id": doors.subnet}
    way = f"/routers/{doors.router['id']}"
    assert fault(doors.user, "PUT", way + "/remove_router_interface", leg) == (409, "RouterInterfaceInUseByFloatingIP")
    gone = {"router": {"external_gateway_info": None}}
    assert fault(doors.user, "PUT", way, gone) == (409, "RouterExternalGatewayInUseByFloatingIp")
    other = doors.make(2202, port=1)
    doors.user.ok("DELETE", f"{V2}/ports/{doors.ports[0]['id']}")
    assert [one["id"] for one in doors.user.get(V2 + doors.path)["port_forwardings"]] == [other["id"]]
    moved = {"port": {"fixed_ips": [{"subnet_id": doors.subnet, "ip_address": "10.3.0.77"}]}}
    doors.user.ok("PUT", f"{V2}/ports/{doors.ports[1]['id']}", moved)
    assert (doors.floating()["port_forwardings"], doors.floating()["router_id"]) == ([], None)
    doors.make(port=1)
    doors.user.ok("DELETE", f"{V2}/floatingips/{doors.fip}")
    doors.user.ok("PUT", V2 + way + "/remove_router_interface", leg)


def test_it_is_its_projects_own(doors):
    forwarding = doors.make()["id"]
    stranger = doors.served.new_user("stranger-" + doors.fip)
    assert fault(stranger, "GET", doors.path) == (404, "FloatingIPNotFound")
    assert fault(stranger, "DELETE", f"{doors.path}/{forwarding}") == (404, "FloatingIPNotFound")
    theirs = lan(stranger)[0]
    foreign = make(stranger, "port", network_id=theirs)["id"]
    assert doors.refused(2202, internal_port_id=foreign)[0] == 404
    assert fault(doors.user, "GET", f"/floatingips/{doors.fip}/port_forwardings/{UNKNOWN}")[0] == 404
    assert "port_forwardings" not in {one["collection"] for one in doors.user.get(V2)["resources"]}
    assert fault(doors.user, "PUT", f"/port-forwardings/{forwarding}/tags/red")[0] == 404


def test_agents_leave_its_connections_alone(doors):
    shown = doors.floating()["floating_ip_address"]
    networks = doors.served.cloud.network
    with doors.served.cloud.db.read() as tx:
        assert shown in networks.floating_targets(tx)
    doors.make()
    with doors.served.cloud.db.read() as tx:
        assert shown not in networks.floating_targets(tx)
