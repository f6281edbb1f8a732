"""Servers' network cards over the API: attached and detached, addresses, security groups, diagnostics."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cloud import Served, simulated_cloud
from tests.support.wait import eventually

V21 = "/compute/v2.1"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as served:
        served.image()
        yield served


class Rig:
    """A project with two networks, and servers on the first."""

    def __init__(self, served: Served, name: str):
        self.served, self.user = served, served.new_user(name)
        self.net, self.other = (served.network(self.user, each, cidr) for each, cidr in (
            ("net", "10.1.0.0/24"), ("other", "10.2.0.0/29")))
        quota = {"quota_set": {"instances": -1, "cores": -1, "ram": -1}}
        served.login("admin").ok("PUT", f"{V21}/os-quota-sets/{self.user.project_id}", quota)

    def server(self, networks: Any = None, **more: Any) -> str:
        user = self.user
        image = user.get("/image/v2/images")["images"][0]["id"]
        flavor = user.get(f"{V21}/flavors")["flavors"][0]["id"]
        body = {"name": "one", "flavorRef": flavor, "imageRef": image, "networks": networks or [{"uuid": self.net}]}
        server = user.post(f"{V21}/servers", {"server": body | more})["server"]["id"]
        self.served.settle()
        return server

    def attach(self, server: str, status: int = 200, version: str = "2.96", **wanted: Any) -> Any:
        answer = self.user.request("POST", f"{V21}/servers/{server}/os-interface", {"interfaceAttachment": wanted},
                                   {"OpenStack-API-Version": f"compute {version}"})
        assert answer.status == status, answer.body
        return answer.json()["interfaceAttachment"] if status == 200 else answer.json()

    def detach(self, server: str, port: str, status: int = 202) -> None:
        answer = self.user.request("DELETE", f"{V21}/servers/{server}/os-interface/{port}")
        assert answer.status == status, answer.body
        self.served.settle()

    def cards(self, server: str) -> list[str]:
        shown = self.user.get(f"{V21}/servers/{server}/os-interface")["interfaceAttachments"]
        return [each["port_id"] for each in shown]

    def act(self, server: str, name: str, value: Any, status: int = 202, version: str = "2.43") -> Any:
        answer = self.user.request("POST", f"{V21}/servers/{server}/action", {name: value},
                                   {"OpenStack-API-Version": f"compute {version}"})
        assert answer.status == status, answer.body
        return answer

    def port(self, network: str | None = None) -> str:
        body = {"port": {"network_id": network or self.net}}
        return self.user.post("/network/v2.0/ports", body)["port"]["id"]

    def guest(self, server: str) -> list[str]:
        """The cards that the hypervisor's guest has."""
        return list(self.served.cloud.site.agents[0].hypervisor.addresses(server))


@pytest.fixture(scope="module")
def rig(served):
    return Rig(served, "cards")


def test_cards_are_attached_shown_and_detached(rig):
    server = rig.server()
    first, = rig.cards(server)
    by_network = rig.attach(server, net_id=rig.other, tag="second")
    assert by_network.keys() == {"port_id", "net_id", "mac_addr", "port_state", "fixed_ips", "tag"}
    assert (by_network["net_id"], by_network["tag"]) == (rig.other, "second")
    assert "tag" not in rig.attach(server, net_id=rig.net, version="2.48")
    by_address = rig.attach(server, net_id=rig.net, fixed_ips=[{"ip_address": "10.1.0.77"}])
    assert by_address["fixed_ips"][0]["ip_address"] == "10.1.0.77"
    own = rig.port()
    assert rig.attach(server, port_id=own)["port_id"] == own
    rig.served.settle()
    cards = rig.cards(server)
    assert len(cards) == 5
    assert cards[0] == first, "in the order in which they came"
    assert rig.guest(server) == cards
    eventually(lambda: rig.user.get(f"{V21}/servers/{server}/os-interface/{own}")["interfaceAttachment"]["port_state"]
               == "ACTIVE", what="the port is up")
    for port in (own, by_network["port_id"]):
        rig.detach(server, port)
    assert rig.cards(server) == rig.guest(server) == [port for port in cards if port not in (own, by_network["port_id"])]
    left = rig.user.get(f"/network/v2.0/ports/{own}")["port"]
    assert (left["device_id"], left["device_owner"]) == ("", "")
    assert rig.user.request("GET", f"/network/v2.0/ports/{by_network['port_id']}").status == 404
    actions = rig.user.get(f"{V21}/servers/{server}/os-instance-actions")["instanceActions"]
    assert [each["action"] for each in actions] == ["detach_interface"] * 2 + ["attach_interface"] * 4 + ["create"]
    one = rig.user.get(f"{V21}/servers/{server}/os-instance-actions/{actions[0]['request_id']}")["instanceAction"]
    assert [(each["event"], each["result"]) for each in one["events"]] == [("compute_detach_interface", "Success")]
    rig.detach(server, own, 404)


def test_a_server_that_is_off_has_its_new_card_when_it_starts(rig):
    server = rig.server()
    rig.act(server, "os-stop", None)
    rig.served.settle()
    first, = rig.cards(server)
    second = rig.attach(server, net_id=rig.net)["port_id"]
    rig.served.settle()
    rig.detach(server, first)
    rig.act(server, "os-start", None)
    rig.served.settle()
    assert rig.guest(server) == rig.cards(server) == [second]


def test_an_administrator_attaches_for_the_server_s_project(rig):
    server = rig.server()
    answer = rig.served.login("admin").post(f"{V21}/servers/{server}/os-interface",
                                            {"interfaceAttachment": {"net_id": rig.net}})
    port = answer["interfaceAttachment"]["port_id"]
    assert rig.user.get(f"/network/v2.0/ports/{port}")["port"]["project_id"] == rig.user.project_id


def test_what_cannot_be_attached(rig):
    server = rig.server()
    taken, = rig.cards(server)
    stranger = rig.served.new_user("stranger")
    foreign = rig.served.network(stranger, "foreign")
    for status, wanted in (
        (400, {}), (400, {"net_id": rig.net, "port_id": taken}), (400, {"fixed_ips": [{"ip_address": "10.1.0.9"}]}),
        (400, {"net_id": rig.net, "fixed_ips": [{"ip_address": "10.9.0.9"}]}), (400, {"net_id": "net"}),
        (400, {"net_id": rig.net, "fixed_ips": [{"ip_address": "ten"}]}), (400, {"net_id": rig.net, "tag": "a,b"}),
        (400, {"net_id": rig.net, "fixed_ips": []}), (400, {"net_id": rig.net, "more": 1}),
        (404, {"net_id": NOBODY}), (404, {"port_id": NOBODY}), (404, {"net_id": foreign}), (409, {"port_id": taken}),
    ):
        rig.attach(server, status, **wanted)
    rig.attach(server, 400, version="2.48", net_id=rig.net, tag="new")
    mine = rig.user.get(f"/network/v2.0/ports/{taken}")["port"]["fixed_ips"][0]["ip_address"]
    said = rig.attach(server, 409, net_id=rig.net, fixed_ips=[{"ip_address": mine}])
    assert mine in said["conflictingRequest"]["message"]
    several = rig.attach(server, 400)["badRequest"]["message"]
    assert several == "Multiple possible networks found, use a Network ID to be more specific."
    for name in ("GET", "POST"):
        assert stranger.request(name, f"{V21}/servers/{server}/os-interface", (name == "POST" and {}) or None).status == 404
    rig.act(server, "lock", None)
    rig.attach(server, 409, net_id=rig.net)
    rig.detach(server, taken, 409)
    assert rig.cards(server) == [taken]


def test_a_card_that_cannot_be_attached_leaves_no_port(rig):
    server = rig.server()
    before = rig.cards(server)
    rig.served.cloud.site.agents[0].hypervisor.fail("attach_nic", "no room", only=server)
    port = rig.attach(server, net_id=rig.net)["port_id"]
    rig.served.settle()
    assert rig.cards(server) == rig.guest(server) == before
    assert rig.user.request("GET", f"/network/v2.0/ports/{port}").status == 404
    action = rig.user.get(f"{V21}/servers/{server}/os-instance-actions")["instanceActions"][0]
    assert (action["action"], action["message"]) == ("attach_interface", "Error")
    assert rig.user.get(f"{V21}/servers/{server}")["server"]["status"] == "ACTIVE"


def test_the_card_of_a_port_that_is_deleted_goes_too(rig):
    server = rig.server([{"uuid": rig.net}, {"uuid": rig.net}])
    first, second = rig.cards(server)
    rig.user.ok("DELETE", f"/network/v2.0/ports/{first}")
    rig.served.settle()
    assert rig.guest(server) == rig.cards(server) == [second]


def test_fixed_addresses_come_and_go(rig):
    server = rig.server([{"uuid": rig.other}])

    def addresses() -> list[str]:
        found = rig.user.get(f"{V21}/servers/{server}/ips")["addresses"]
        assert found.keys() == {"other"}
        return [each["addr"] for each in found["other"]]

    before = addresses()
    rig.act(server, "addFixedIp", {"networkId": rig.other})
    added, = set(addresses()) - set(before)
    rig.act(server, "removeFixedIp", {"address": added})
    assert addresses() == before
    rig.act(server, "removeFixedIp", {"address": added}, 400)
    rig.act(server, "addFixedIp", {"networkId": rig.net}, 400)
    rig.act(server, "addFixedIp", {}, 400)
    rig.act(server, "removeFixedIp", {"address": "here"}, 400)
    rig.act(server, "addFixedIp", {"networkId": rig.other}, 404, "2.44")
    while rig.act(server, "addFixedIp", {"networkId": rig.other}, 202 if len(addresses()) < 4 else 400).status == 202:
        assert len(addresses()) <= 4, "a network of so many addresses"


def test_floating_addresses_lead_to_one_server_or_another(rig):
    network = rig.user
    one, two = rig.server(), rig.server()
    public = network.get("/network/v2.0/networks?router:external=true")["networks"][0]["id"]
    subnet = network.get(f"/network/v2.0/subnets?network_id={rig.net}")["subnets"][0]["id"]
    floating = network.post("/network/v2.0/floatingips", {"floatingip": {"floating_network_id": public}})["floatingip"]
    address = floating["floating_ip_address"]
    assert b"not reachable" in rig.act(one, "addFloatingIp", {"address": address}, 400).body
    router = network.post("/network/v2.0/routers", {"router": {"external_gateway_info": {"network_id": public}}})
    network.ok("PUT", f"/network/v2.0/routers/{router['router']['id']}/add_router_interface", {"subnet_id": subnet})

    def leads_to() -> str | None:
        return network.get(f"/network/v2.0/floatingips/{floating['id']}")["floatingip"]["port_id"]

    rig.act(one, "addFloatingIp", {"address": address})
    assert leads_to() == rig.cards(one)[0]
    fixed = rig.user.get(f"{V21}/servers/{two}/ips")["addresses"]["net"][0]["addr"]
    rig.act(two, "addFloatingIp", {"address": address, "fixed_address": fixed})
    assert leads_to() == rig.cards(two)[0]
    rig.act(one, "removeFloatingIp", {"address": address}, 409)
    rig.act(two, "removeFloatingIp", {"address": address})
    assert leads_to() is None
    rig.act(one, "addFloatingIp", {"address": address, "fixed_address": "10.1.0.254"}, 400)
    rig.act(one, "addFloatingIp", {"address": "172.24.4.199"}, 404)
    rig.act(one, "addFloatingIp", {"address": ""}, 400)
    rig.act(one, "removeFloatingIp", {"address": "172.24.4.199"}, 404)
    rig.act(one, "addFloatingIp", {"address": address}, 404, "2.44")
    stranger = rig.served.new_user("another")
    assert stranger.request("POST", f"{V21}/servers/{one}/action", {"addFloatingIp": {"address": address}},
                            {"OpenStack-API-Version": "compute 2.43"}).status == 404


def test_security_groups_of_a_server(rig):
    server = rig.server()
    made = {"security_group": {"name": "web", "description": "the web"}}
    group = rig.user.post("/network/v2.0/security-groups", made)["security_group"]["id"]
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 80,
            "port_range_max": 81, "remote_ip_prefix": "10.0.0.0/8"}
    rig.user.post("/network/v2.0/security-group-rules", {"security_group_rule": rule})

    def groups() -> dict[str, Any]:
        shown = rig.user.get(f"{V21}/servers/{server}/os-security-groups")["security_groups"]
        return {each["name"]: each for each in shown}

    assert groups().keys() == {"default"}
    assert {rule["group"]["name"] for rule in groups()["default"]["rules"]} == {"default"}
    for name in ("web", group):
        rig.act(server, "addSecurityGroup", {"name": name}, version="2.96")
    web = groups()["web"]
    assert (web["id"], web["description"], web["tenant_id"]) == (group, "the web", rig.user.project_id)
    shown, = web["rules"]
    assert (shown["ip_protocol"], shown["from_port"], shown["to_port"], shown["ip_range"], shown["group"]) == (
        "tcp", 80, 81, {"cidr": "10.0.0.0/8"}, {})
    assert [each["name"] for each in rig.user.get(f"{V21}/servers/{server}")["server"]["security_groups"]] == [
        "default", "web"]
    rig.act(server, "removeSecurityGroup", {"name": "web"}, version="2.96")
    assert groups().keys() == {"default"}
    rig.act(server, "removeSecurityGroup", {"name": "web"}, 400)
    rig.act(server, "addSecurityGroup", {"name": "nothing"}, 404)
    for wrong in ({}, {"name": ""}, {"name": " "}, {"name": 1}):
        rig.act(server, "addSecurityGroup", wrong, 400)
    bare = rig.server("none")
    rig.act(bare, "addSecurityGroup", {"name": "web"}, 400)


def test_virtual_interfaces_are_shown_as_long_as_they_were(rig):
    server = rig.server()
    path = f"{V21}/servers/{server}/os-virtual-interfaces"

    def asked(version: str) -> Any:
        return rig.user.request("GET", path, headers={"OpenStack-API-Version": f"compute {version}"})

    port, = rig.cards(server)
    old, = asked("2.1").json()["virtual_interfaces"]
    assert old.keys() == {"id", "mac_address"}
    assert old["id"] == port
    assert asked("2.12").json()["virtual_interfaces"][0]["net_id"] == rig.net
    assert asked("2.44").status == 404


def test_old_consoles_are_actions(rig):
    server = rig.server("none")
    for name, kind, status in (
        ("os-getVNCConsole", "novnc", 200), ("os-getSerialConsole", "serial", 200), ("os-getVNCConsole", "serial", 400),
        ("os-getSPICEConsole", "spice-html5", 400), ("os-getRDPConsole", "rdp-html5", 400),
    ):
        answer = rig.act(server, name, {"type": kind}, status, "2.5")
        if status == 200:
            assert answer.json()["console"]["type"] == kind
            assert "token" in answer.json()["console"]["url"]
        rig.act(server, name, {"type": kind}, 404, "2.6")


def test_diagnostics(rig):
    server, admin = rig.server(), rig.served.login("admin")
    path = f"{V21}/servers/{server}/diagnostics"
    found = admin.get(path)
    assert (found["state"], found["hypervisor"], found["num_cpus"], found["num_nics"], found["num_disks"]) == (
        "running", "fake", 1, 1, 1)
    assert found["memory_details"]["maximum"] > 0
    assert found["nic_details"][0]["rx_octets"] == 0
    plain = admin.request("GET", path, headers={"OpenStack-API-Version": "compute 2.47"}).json()
    assert plain["memory"] == found["memory_details"]["maximum"] << 10
    assert {"cpu0_time", "vda_read", f"tap{rig.cards(server)[0]}"[:14] + "_rx"} <= plain.keys()
    assert rig.user.request("GET", path).status == 403
    rig.act(server, "os-stop", None)
    rig.served.settle()
    assert admin.request("GET", path).status == 409
    assert admin.request("GET", f"{V21}/servers/{NOBODY}/diagnostics").status == 404


def test_topology(rig):
    server = rig.server("none")
    assert rig.user.get(f"{V21}/servers/{server}/topology") == {"nodes": [], "pagesize_kb": None}
    old = {"OpenStack-API-Version": "compute 2.77"}
    assert rig.user.request("GET", f"{V21}/servers/{server}/topology", headers=old).status == 404


def test_other_services_tell_of_servers(rig):
    admin, server, other = rig.served.login("admin"), rig.server([{"uuid": rig.net}, {"uuid": rig.net}]), rig.server("none")
    path = f"{V21}/os-server-external-events"

    def told(*events: dict[str, Any], version: str = "2.96") -> Any:
        return admin.request("POST", path, {"events": list(events)}, {"OpenStack-API-Version": f"compute {version}"})

    one = told({"name": "network-changed", "server_uuid": server}, version="2.1")
    assert one.status == 200
    assert one.json() == {"events": [
        {"name": "network-changed", "server_uuid": server, "status": "completed", "code": 200}]}
    some = told({"name": "network-vif-plugged", "server_uuid": other, "status": "failed", "tag": "x"},
                {"name": "network-vif-plugged", "server_uuid": NOBODY},
                {"name": "power-update", "server_uuid": server})
    assert some.status == 207
    assert [each["code"] for each in some.json()["events"]] == [200, 404, 400]
    assert some.json()["events"][0]["tag"] == "x"
    assert told({"name": "network-changed", "server_uuid": NOBODY}).status == 404
    for name, since in (("volume-extended", 51), ("power-update", 76), ("accelerator-request-bound", 82),
                        ("volume-reimaged", 93)):
        event = {"name": name, "server_uuid": server, "tag": "POWER_ON"}
        assert told(event, version=f"2.{since - 1}").status == 400
        assert told(event, version=f"2.{since}").status == 200
    for wrong in ({"name": "nothing", "server_uuid": server}, {"name": "network-changed"},
                  {"name": "network-changed", "server_uuid": "one"},
                  {"name": "network-changed", "server_uuid": server, "status": "done"}):
        assert told(wrong).status == 400
    assert told().status == 400
    assert rig.user.request("POST", path, {"events": []}).status == 403
    cards = rig.cards(server)
    told({"name": "network-vif-deleted", "server_uuid": server, "tag": cards[0]})
    rig.served.settle()
    assert rig.guest(server) == cards, "the port is there: it is not so"


def test_the_end_of_a_console_log(rig):
    server = rig.server("none")

    def said(**arguments: Any) -> str:
        return rig.act(server, "os-getConsoleOutput", arguments, 200).json()["output"]

    whole = said()
    assert whole.endswith("\n")
    assert said(length=3) == "\n".join(whole.split("\n")[-3:])
    assert said(length=-1) == said(length="10000") == whole
    assert said(length=0) == ""
