"""What only old microversions of Compute have: other services' things by their old names, and what is gone."""

from __future__ import annotations

from typing import Any

import pytest

from pilvi.compute.handlers_gone import BARE_METAL, PATHS
from tests.support.cloud import Session, simulated_cloud

NOBODY = "00000000-0000-4000-8000-000000000000"


class Old:
    """A user of an old client."""

    def __init__(self, session: Session, version: str = "2.1"):
        self.session, self.version = session, version
        self.project_id = session.project_id

    def __call__(self, method: str, path: str, body: Any = None, version: str | None = None) -> Any:
        return self.session.request(method, "/compute/v2.1" + path, body,
                                    {"OpenStack-API-Version": f"compute {version or self.version}"})

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        answer = self(method, path, body)
        assert answer.status in (200, 202, 204), answer.body
        return answer.json() if answer.body else answer.status

    def status(self, method: str, path: str, body: Any = None, version: str | None = None) -> int:
        return self(method, path, body, version).status


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud"), hosts=2) as served:
        served.image()
        yield served


@pytest.fixture(scope="module")
def admin(served):
    return Old(served.login("admin"))


@pytest.fixture(scope="module")
def user(served):
    session = served.new_user("old")
    served.network(session)
    return Old(session)


# -- networks and floating IPs


def test_networks(user):
    found = {each["label"]: each for each in user.ok("GET", "/os-tenant-networks")["networks"]}
    assert found.keys() == {"net", "public"}
    assert found["net"]["cidr"] == "10.1.0.0/24"
    assert user.ok("GET", f"/os-tenant-networks/{found['net']['id']}") == {"network": found["net"]}
    shown = user.ok("GET", f"/os-networks/{found['net']['id']}")["network"]
    assert (shown["label"], shown["project_id"], shown["bridge"]) == ("net", user.project_id, None)
    assert [each["label"] for each in user.ok("GET", "/os-networks")["networks"]].count("net") == 1
    assert user.status("GET", f"/os-networks/{NOBODY}") == user.status("GET", f"/os-tenant-networks/{NOBODY}") == 404
    assert user.status("GET", "/os-networks", version="2.36") == 404
    assert user.status("POST", "/os-networks", {}) == user.status("DELETE", f"/os-networks/{NOBODY}") == 410


def test_floating_ips(user):
    assert user.ok("GET", "/os-floating-ip-pools") == {"floating_ip_pools": [{"name": "public"}]}
    made = user.ok("POST", "/os-floating-ips", {"pool": "public"})["floating_ip"]
    assert (made["pool"], made["fixed_ip"], made["instance_id"]) == ("public", None, None)
    assert user.ok("POST", "/os-floating-ips")["floating_ip"]["ip"] != made["ip"]
    assert made in user.ok("GET", "/os-floating-ips")["floating_ips"]
    assert user.ok("GET", f"/os-floating-ips/{made['id']}") == {"floating_ip": made}
    assert user.ok("DELETE", f"/os-floating-ips/{made['id']}") == 202
    assert user.status("GET", f"/os-floating-ips/{made['id']}") == 404
    assert user.status("DELETE", f"/os-floating-ips/{made['id']}") == 404
    assert user.status("POST", "/os-floating-ips", {"pool": "moon"}) == 404
    assert user.status("GET", "/os-floating-ips", version="2.36") == 404


def test_a_floating_ip_names_its_server(served, user):
    session = user.session
    net = session.get("/network/v2.0/networks?name=net")["networks"][0]["id"]
    subnet = session.get("/network/v2.0/subnets")["subnets"][0]["id"]
    public = session.get("/network/v2.0/networks?name=public")["networks"][0]["id"]
    router = session.post("/network/v2.0/routers", {"router": {"external_gateway_info": {"network_id": public}}})
    session.ok("PUT", f"/network/v2.0/routers/{router['router']['id']}/add_router_interface", {"subnet_id": subnet})
    image = session.get("/image/v2/images")["images"][0]["id"]
    server = user.ok("POST", "/servers", {"server": {
        "name": "one", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": net}]}})["server"]["id"]
    served.settle()
    port = session.get(f"/network/v2.0/ports?device_id={server}")["ports"][0]
    floating = session.post("/network/v2.0/floatingips", {"floatingip": {
        "floating_network_id": public, "port_id": port["id"]}})["floatingip"]
    shown = user.ok("GET", f"/os-floating-ips/{floating['id']}")["floating_ip"]
    assert (shown["instance_id"], shown["fixed_ip"]) == (server, port["fixed_ips"][0]["ip_address"])


# -- security groups


def test_security_groups_and_rules(user, admin):
    new = {"security_group": {"name": "web", "description": "d"}}
    made = user.ok("POST", "/os-security-groups", new)["security_group"]
    assert made == {"id": made["id"], "name": "web", "description": "d", "tenant_id": user.project_id, "rules": []}
    path = f"/os-security-groups/{made['id']}"
    rule = {"parent_group_id": made["id"], "ip_protocol": "TCP", "from_port": 80, "to_port": "81", "cidr": "10.2.3.4/24"}
    first = user.ok("POST", "/os-security-group-rules", {"security_group_rule": rule})["security_group_rule"]
    assert first == {"id": first["id"], "parent_group_id": made["id"], "ip_protocol": "tcp", "from_port": 80,
                     "to_port": 81, "group": {}, "ip_range": {"cidr": "10.2.3.4/24"}}
    assert user.status("POST", "/os-security-group-rules", {"security_group_rule": rule}) == 400, "it is there already"
    default = next(each for each in user.ok("GET", "/os-security-groups")["security_groups"]
                   if each["name"] == "default")
    second = user.ok("POST", "/os-security-group-rules", {"security_group_rule": {
        "parent_group_id": made["id"], "group_id": default["id"]}})["security_group_rule"]
    assert (second["group"], second["ip_range"]) == ({"name": "default", "tenant_id": user.project_id}, {})
    third = user.ok("POST", "/os-security-group-rules", {"security_group_rule": {
        "parent_group_id": made["id"], "ip_protocol": "icmp", "from_port": -1, "to_port": -1}})["security_group_rule"]
    assert (third["from_port"], third["to_port"], third["ip_range"]) == (-1, -1, {"cidr": "0.0.0.0/0"})
    assert len(user.ok("GET", path)["security_group"]["rules"]) == 3
    assert user.ok("DELETE", f"/os-security-group-rules/{third['id']}") == 202
    changed = user.ok("PUT", path, {"security_group": {"name": "www"}})["security_group"]
    assert (changed["name"], changed["description"], len(changed["rules"])) == ("www", "d", 2)
    assert made["id"] not in str(admin.ok("GET", "/os-security-groups"))
    assert made["id"] in str(admin.ok("GET", "/os-security-groups?all_tenants=1"))
    assert len(user.ok("GET", "/os-security-groups?limit=1&offset=1")["security_groups"]) == 1
    assert user.ok("DELETE", path) == 202
    assert user.status("GET", path) == user.status("PUT", path, {"security_group": {"name": "x"}}) == 404
    assert user.status("DELETE", f"/os-security-groups/{default['id']}") == 400


@pytest.mark.parametrize("values", [
    {"ip_protocol": "warp"}, {"from_port": -2}, {"to_port": 65536}, {"from_port": 9, "to_port": 8},
    {"parent_group_id": "x"}, {"cidr": "10.0.0.0/99"}, {"ip_protocol": None}, {"from_port": None}, {"group_id": "x"}])
def test_rules_that_make_no_sense(user, values):
    groups = user.ok("GET", "/os-security-groups")["security_groups"]
    rule = {"parent_group_id": groups[0]["id"], "ip_protocol": "tcp", "from_port": 1, "to_port": 2, **values}
    assert user.status("POST", "/os-security-group-rules", {"security_group_rule": rule}) == 400


# -- images


def test_images_and_their_metadata(user):
    image = user.session.post("/image/v2/images", {
        "name": "mine", "disk_format": "raw", "container_format": "bare", "os_distro": "debian", "min_ram": 64})["id"]
    brief = user.ok("GET", "/images?name=mine")["images"]
    assert [(each["id"], each["name"]) for each in brief] == [(image, "mine")]
    (shown,) = user.ok("GET", "/images/detail?status=saving&minRam=64")["images"]
    assert (shown["status"], shown["progress"], shown["minRam"], shown["metadata"]) == (
        "SAVING", 25, 64, {"os_distro": "debian"})
    assert user.ok("GET", f"/images/{image}") == {"image": shown}
    path = f"/images/{image}/metadata"
    assert user.ok("POST", path, {"metadata": {"a": "1"}}) == {"metadata": {"a": "1", "os_distro": "debian"}}
    assert user.ok("PUT", path, {"metadata": {"b": "2"}}) == {"metadata": {"b": "2"}}
    assert user.ok("PUT", path + "/b", {"meta": {"b": "3"}}) == user.ok("GET", path + "/b") == {"meta": {"b": "3"}}
    assert user.status("PUT", path + "/b", {"meta": {"c": "3"}}) == 400
    assert user.ok("DELETE", path + "/b") == 204
    assert user.status("GET", path + "/b") == 404
    assert user.ok("GET", path) == {"metadata": {}}
    assert (user.status("GET", path, version="2.38"), user.status("GET", path, version="2.39")) == (200, 404)
    assert (user.status("GET", f"/images/{image}", version="2.35"),
            user.status("GET", f"/images/{image}", version="2.36")) == (200, 404)
    assert len(user.ok("GET", "/images?limit=1")["images_links"]) == 1
    assert user.ok("GET", f"/images?server=http://x/servers/{NOBODY}") == {"images": []}
    assert user.ok("GET", "/images?changes-since=2999-01-01T00:00:00Z") == {"images": []}
    assert user.status("GET", "/images?changes-since=now") == 400
    assert user.ok("DELETE", f"/images/{image}") == 204
    assert user.status("GET", f"/images/{image}") == user.status("DELETE", "/images/") == 404


# -- volumes


def test_volumes_and_their_snapshots(served, user):
    new = {"size": "1", "display_name": "v", "display_description": "d", "metadata": {"Type": "work"}}
    made = user.ok("POST", "/os-volumes", {"volume": new})["volume"]
    assert (made["displayName"], made["size"], made["metadata"], made["attachments"]) == (
        "v", 1, {"Type": "work"}, [{}])
    served.settle()
    shown = user.ok("GET", f"/os-volumes/{made['id']}")["volume"]
    assert shown == {**made, "status": "available"}
    assert user.ok("GET", "/os-volumes") == user.ok("GET", "/os-volumes/detail") == {"volumes": [shown]}
    snapshot = user.ok("POST", "/os-snapshots", {"snapshot": {
        "volume_id": made["id"], "display_name": "s"}})["snapshot"]
    served.settle()
    assert (snapshot["volumeId"], snapshot["displayName"], snapshot["size"]) == (made["id"], "s", 1)
    ready = user.ok("GET", f"/os-snapshots/{snapshot['id']}")["snapshot"]
    assert ready == {**snapshot, "status": "available"}
    assert user.ok("GET", "/os-snapshots/detail") == {"snapshots": [ready]}
    assert user.status("DELETE", f"/os-volumes/{made['id']}") == 400, "it has a snapshot"
    assert user.ok("DELETE", f"/os-snapshots/{snapshot['id']}") == 202
    served.settle()
    assert user.ok("DELETE", f"/os-volumes/{made['id']}") == 202
    served.settle()
    assert user.status("GET", f"/os-volumes/{made['id']}") == user.status("DELETE", "/os-volumes/") == 404
    for size in ("", "0", "x", None):
        assert user.status("POST", "/os-volumes", {"volume": {**new, "size": size}}) == 400
    assert user.status("POST", "/os-snapshots", {"snapshot": {"volume_id": NOBODY}}) == 404
    assert user.status("GET", "/os-volumes", version="2.36") == 404


# -- hosts


def test_hosts(served, admin, user):
    hosts = admin.ok("GET", "/os-hosts?zone=nova")["hosts"]
    assert {each["service"] for each in hosts} == {"compute"}
    assert len(hosts) == 2
    assert admin.ok("GET", "/os-hosts?zone=moon") == {"hosts": []}
    name = hosts[0]["host_name"]
    shown = [each["resource"] for each in admin.ok("GET", f"/os-hosts/{name}")["host"]]
    assert [each["project"] for each in shown[:3]] == ["(total)", "(used_now)", "(used_max)"]
    assert shown[0].keys() == {"host", "project", "cpu", "memory_mb", "disk_gb"}
    assert admin.ok("PUT", f"/os-hosts/{name}", {"status": "Disable"}) == {"host": name, "status": "disabled"}
    assert admin.ok("PUT", f"/os-hosts/{name}", {"status": "enable"}) == {"host": name, "status": "enabled"}
    assert admin.status("PUT", f"/os-hosts/{name}", {"maintenance_mode": "enable"}) == 501
    assert admin.status("PUT", f"/os-hosts/{name}", {}) == 400
    assert admin.status("GET", f"/os-hosts/{name}/reboot") == 501
    assert admin.status("GET", "/os-hosts/nowhere/reboot") == admin.status("GET", "/os-hosts/nowhere") == 404
    assert user.status("GET", "/os-hosts") == 403
    assert admin.status("GET", "/os-hosts", version="2.43") == 404


def test_hypervisors_are_searched_and_say_how_long_they_are_up(admin):
    found = admin.ok("GET", "/os-hypervisors/simul/search")["hypervisors"]
    assert len(found) == 2
    name, number = found[0]["hypervisor_hostname"], found[0]["id"]
    assert [each["id"] for each in admin.ok("GET", f"/os-hypervisors/{name}/servers")["hypervisors"]] == [number]
    assert " up " in admin.ok("GET", f"/os-hypervisors/{number}/uptime")["hypervisor"]["uptime"]
    assert admin.status("GET", "/os-hypervisors/moon/search") == 404
    assert admin.status("GET", "/os-hypervisors/moon/uptime") == 404
    assert admin.status("GET", "/os-hypervisors/simul/search", version="2.53") == 404
    assert admin.status("GET", f"/os-hypervisors/{number}/uptime", version="2.88") == 404


def test_the_usage_audit_log(admin, user):
    log = admin.ok("GET", "/os-instance_usage_audit_log/2024-03-15%2010:00:00")["instance_usage_audit_log"]
    assert (log["period_beginning"], log["period_ending"]) == ("2024-02-01 00:00:00", "2024-03-01 00:00:00")
    assert admin.ok("GET", "/os-instance_usage_audit_log")["instance_usage_audit_logs"]["num_hosts"] == 2
    assert admin.status("GET", "/os-instance_usage_audit_log/yesterday") == 400
    assert user.status("GET", "/os-instance_usage_audit_log") == 403


# -- extensions, and what is gone


def test_extensions(user):
    found = {each["alias"]: each["name"] for each in user.ok("GET", "/extensions")["extensions"]}
    assert (found["os-hosts"], found["os-keypairs"], found["NMN"]) == ("Hosts", "Keypairs", "Multinic")
    assert user.ok("GET", "/extensions/os-consoles")["extension"]["alias"] == "os-consoles"
    assert user.status("GET", "/extensions/os-cells") == 404


def test_what_is_gone_says_so(user, admin):
    for path, methods in PATHS:
        for method in methods.split():
            assert user.status(method, path.replace("{", "").replace("}", ""), {}) == 410, path
    for path, methods in BARE_METAL:
        assert admin.status(methods.split()[0], path, {}) == 501
        assert admin.status(methods.split()[0], path, {}, "2.36") == 404


def test_the_version_before_microversions_is_2_1_by_another_path(user):
    answer = user.session.request("GET", "/compute/v2/flavors/42", headers={"OpenStack-API-Version": "compute 2.61"})
    assert answer.status == 200
    assert answer.json() == user.ok("GET", "/flavors/42")
    assert "OpenStack-API-Version" not in answer.headers
    assert user.session.request("GET", "/compute/v2/os-server-groups").status == 200
    assert user.session.request("GET", "/compute/v2/servers/x/tags").status == 404
    ids = [user.ok("GET", f"/versions/{name}")["version"]["id"] for name in ("v2.0", "v2.1")]
    assert ids == ["v2.0", "v2.1"]
    assert user.status("GET", "/versions/v3") == 404
