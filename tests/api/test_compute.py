"""Compute's API over HTTP, with the domains around it made up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes import FakeCloud

IMAGE = "33333333-0000-4000-8000-000000000000"
PUBLIC_KEY = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7yRSJmYzkIn2qnYdOZpuGUyLPxEAz1XkNWQoP8Wb5f me@here")


class Caller:
    def __init__(self, cloud: FakeCloud, token: str):
        self.cloud, self.token = cloud, token

    def __call__(self, method: str, path: str, body: Any = None, version: str = "2.96") -> Any:
        return self.cloud.http.simulate_request(
            method, "/compute/v2.1" + path.partition("?")[0], json=body, query_string=path.partition("?")[2],
            headers={"X-Auth-Token": self.token, "X-OpenStack-Nova-API-Version": version})

    def ok(self, method: str, path: str, body: Any = None, version: str = "2.96") -> Any:
        answer = self(method, path, body, version)
        assert answer.status_code < 300, answer.text
        return answer.json if answer.content else None

    def refused(self, status: int, method: str, path: str, body: Any = None, version: str = "2.96") -> str:
        answer = self(method, path, body, version)
        assert answer.status_code == status, answer.text
        (fault,) = answer.json.values()
        assert fault["code"] == status
        return fault["message"]

    def server(self, name: str = "one", version: str = "2.96", **values: Any) -> str:
        body = {"name": name, "imageRef": IMAGE, "flavorRef": "42", "networks": "auto", **values}
        return self.ok("POST", "/servers", {"server": body}, version)["server"]["id"]

    def active(self, name: str = "one", **values: Any) -> str:
        server_id = self.server(name, **values)
        self.cloud.settle()
        return server_id

    def names(self, path: str, version: str = "2.96") -> list[str]:
        return [server["name"] for server in self.ok("GET", path, version=version)["servers"]]


@pytest.fixture
def cloud(tmp_path):
    cloud = FakeCloud(tmp_path)
    cloud.image.add(IMAGE)
    yield cloud
    cloud.close()


@pytest.fixture
def user(cloud):
    return Caller(cloud, "red/ann/member")


@pytest.fixture
def other(cloud):
    return Caller(cloud, "blue/bob/member")


@pytest.fixture
def admin(cloud):
    return Caller(cloud, "root/ada/admin")


# -- discovery and faults


def test_versions_are_discovered_without_a_token(cloud):
    versions = cloud.http.simulate_get("/compute/").json["versions"]
    assert [version["id"] for version in versions] == ["v2.0", "v2.1"]
    version = cloud.http.simulate_get("/compute/v2.1").json["version"]
    assert (version["min_version"], version["version"], version["status"]) == ("2.1", "2.104", "CURRENT")


def test_every_answer_names_its_request_and_microversion(user):
    answer = user("GET", "/servers", version="2.53")
    assert answer.headers["x-compute-request-id"] == answer.headers["x-openstack-request-id"]
    assert answer.headers["openstack-api-version"] == "compute 2.53"
    assert answer.headers["x-openstack-nova-api-version"] == "2.53"
    assert user("GET", "/servers", version="2.500").status_code == 406


def test_faults_have_novas_shape(cloud, user):
    assert user("GET", "/servers/nothing").json == {
        "itemNotFound": {"code": 404, "message": "Instance nothing could not be found."}}
    assert "badRequest" in user("POST", "/servers", {"server": {}}).json
    assert cloud.http.simulate_get("/compute/v2.1/servers").status_code == 401


# -- servers


def test_a_server_is_made_shown_and_deleted(cloud, user):
    answer = user("POST", "/servers", {"server": {"name": "One two", "imageRef": IMAGE, "flavorRef": "42",
                                                  "networks": "auto", "metadata": {"a": "b"}}})
    assert answer.status_code == 202
    made = answer.json["server"]
    assert answer.headers["location"].endswith(f"/compute/v2.1/servers/{made['id']}")
    assert len(made["adminPass"]) == 12
    assert user.ok("GET", f"/servers/{made['id']}")["server"]["status"] in ("BUILD", "ACTIVE")
    cloud.settle()
    shown = user.ok("GET", f"/servers/{made['id']}")["server"]
    assert shown["status"] == "ACTIVE"
    assert shown["progress"] == 100
    assert shown["metadata"] == {"a": "b"}
    assert shown["OS-EXT-SRV-ATTR:hostname"] == "one-two"
    assert shown["addresses"]["net"][0]["addr"] == "10.0.0.1"
    assert shown["flavor"]["original_name"] == "m1.nano"
    assert user("DELETE", f"/servers/{made['id']}").status_code == 204
    cloud.settle()
    user.refused(404, "GET", f"/servers/{made['id']}")
    assert user.ok("GET", "/servers")["servers"] == []


def test_a_server_of_another_project_is_not_there(user, other, admin):
    server_id = user.active()
    for method, path, body in (("GET", "", None), ("PUT", "", {"server": {"name": "x"}}),
                               ("DELETE", "", None), ("POST", "/action", {"os-stop": None}),
                               ("POST", "/action", {"createImage": {"name": "x"}}), ("GET", "/metadata", None),
                               ("GET", "/os-instance-actions", None),
                               ("GET", "/os-interface", None), ("GET", "/tags", None)):
        other.refused(404, method, f"/servers/{server_id}{path}", body)
    assert admin.ok("GET", f"/servers/{server_id}")["server"]["tenant_id"] == "red"
    assert other.names("/servers") == []
    assert admin.names("/servers") == []
    assert admin.names("/servers?all_tenants=1") == ["one"]
    other.refused(403, "GET", "/servers?all_tenants=1")


# Each attribute of a shown server, and the first microversion that has it.
SINCE = {"locked": "2.9", "description": "2.19", "tags": "2.26", "trusted_image_certificates": "2.63",
         "server_groups": "2.71", "locked_reason": "2.73", "OS-EXT-SRV-ATTR:hostname": "2.90",
         "pinned_availability_zone": "2.96"}
BASE = {"id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created",
        "updated", "addresses", "accessIPv4", "accessIPv6", "links", "OS-DCF:diskConfig", "progress",
        "OS-EXT-AZ:availability_zone", "config_drive", "key_name", "OS-SRV-USG:launched_at",
        "OS-SRV-USG:terminated_at", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state", "OS-EXT-STS:power_state",
        "os-extended-volumes:volumes_attached", "security_groups"}


@pytest.mark.parametrize("minor", [1, 3, 8, 9, 16, 19, 26, 46, 47, 63, 71, 73, 75, 89, 90, 95, 96])
def test_a_server_has_the_attributes_of_its_microversion(user, admin, minor):
    server_id = user.active()
    expected = BASE | {name for name, since in SINCE.items() if int(since[2:]) <= minor}
    assert user.ok("GET", f"/servers/{server_id}", version=f"2.{minor}")["server"].keys() == expected
    listed = user.ok("GET", "/servers/detail", version=f"2.{minor}")["servers"][0]
    assert listed.keys() == expected - {"server_groups"}
    assert ("links" in listed["flavor"]) == (minor < 47)
    extra = {"OS-EXT-SRV-ATTR:host", "OS-EXT-SRV-ATTR:hypervisor_hostname", "OS-EXT-SRV-ATTR:instance_name"}
    if minor >= 3:
        extra |= {"OS-EXT-SRV-ATTR:" + name for name in (
            "reservation_id", "launch_index", "kernel_id", "ramdisk_id", "root_device_name", "user_data",
            "hostname")}
    if minor >= 16:
        extra.add("host_status")
    assert admin.ok("GET", f"/servers/{server_id}", version=f"2.{minor}")["server"].keys() == expected | extra


def test_an_update_shows_less_before_2_75(user):
    server_id = user.active()
    body = {"server": {"name": "new"}}
    assert "key_name" not in user.ok("PUT", f"/servers/{server_id}", body, "2.74")["server"]
    shown = user.ok("PUT", f"/servers/{server_id}", body, "2.75")["server"]
    assert (shown["name"], shown["key_name"]) == ("new", None)


@pytest.mark.parametrize(("change", "says"), [
    ({"name": ""}, "name"), ({"name": "x" * 256}, "name"), ({"name": " x"}, "name"),
    ({"name": "a\u0000b"}, "NUL"), ({"name": 5}, "name"), ({"flavorRef": "999"}, "Flavor 999"),
    ({"imageRef": "x"}, "Image x"),
    ({"imageRef": ""}, "Missing imageRef"), ({"key_name": "none"}, "Invalid key_name"),
    ({"min_count": 2, "max_count": 1}, "min_count must be <="), ({"min_count": 0}, "min_count"),
    ({"user_data": "%%%"}, "user_data"), ({"user_data": "a" * 65536}, "user_data"),
    ({"metadata": {"k": "v" * 256}}, "metadata"), ({"metadata": {"": "v"}}, "metadata"),
    ({"networks": "some"}, "networks"), ({"networks": [{}]}, "uuid or a port"),
    ({"accessIPv4": "1.2.3"}, "accessIPv4"), ({"availability_zone": "moon"}, "availability zone"),
    ({"security_groups": [{"name": "missing"}]}, "Security group missing"), ({"nonsense": 1}, "nonsense"),
    ({"personality": []}, "personality"), ({"tags": ["a,b"]}, "tags"), ({"hostname": "-a-"}, "hostname"),
    ({"OS-DCF:diskConfig": "SOME"}, "diskConfig"), ({"config_drive": "maybe"}, "config_drive"),
    ({"block_device_mapping_v2": [{"source_type": "volume", "uuid": IMAGE}]}, "Block Device Mapping"),
    ({"flavorRef": "2", "min_count": 1}, None),
])
def test_bad_servers_are_refused_and_nothing_is_made(user, cloud, change, says):
    body = {"server": {"name": "one", "imageRef": IMAGE, "flavorRef": "42", "networks": "auto", **change}}
    if says is None:
        assert user("POST", "/servers", body).status_code == 202
        return
    assert says in user.refused(400, "POST", "/servers", body)
    assert user.ok("GET", "/servers")["servers"] == []
    assert cloud.placement.claims == {} or says == "Security group missing"


def test_networks_are_wanted_from_2_37_on(user):
    body = {"server": {"name": "one", "imageRef": IMAGE, "flavorRef": "42"}}
    assert "'networks' is a required property" in user.refused(400, "POST", "/servers", body, "2.37")
    assert user("POST", "/servers", body, "2.36").status_code == 202
    body["server"]["networks"] = "auto"
    user.refused(400, "POST", "/servers", body, "2.36")


def test_a_flavor_must_hold_the_image(cloud, user):
    big = cloud.image.add("44444444-0000-4000-8000-000000000000", gib=2)
    hungry = cloud.image.add("55555555-0000-4000-8000-000000000000", min_ram=256)
    base = {"name": "one", "flavorRef": "42", "networks": "none"}
    assert "disk is too small" in user.refused(400, "POST", "/servers", {"server": base | {"imageRef": big}})
    assert "memory is too small" in user.refused(400, "POST", "/servers", {
        "server": base | {"imageRef": hungry}})


def test_several_servers_are_made_at_once(cloud, user):
    answer = user.ok("POST", "/servers", {"server": {
        "name": "many", "imageRef": IMAGE, "flavorRef": "42", "networks": "auto", "min_count": 2,
        "max_count": "3", "return_reservation_id": True}})
    assert answer["reservation_id"].startswith("r-")
    assert user.names("/servers?sort_key=display_name&sort_dir=asc") == ["many-1", "many-2", "many-3"]
    assert len(user.names(f"/servers?reservation_id={answer['reservation_id']}")) == 3


def test_the_quota_bounds_servers_cores_and_memory(user, admin):
    admin.ok("PUT", "/os-quota-sets/red", {"quota_set": {"instances": 3, "cores": 2}})
    said = user.refused(403, "POST", "/servers", {"server": {
        "name": "x", "imageRef": IMAGE, "flavorRef": "42", "networks": "none", "min_count": 4}})
    assert said == ("Quota exceeded for cores, instances: Requested 4, 4, but already used 0, 0 of 2, 3 "
                    "cores, instances")
    user.server("x", min_count=1, max_count=4)
    assert len(user.names("/servers")) == 2
    assert "for cores" in user.refused(403, "POST", "/servers", {"server": {
        "name": "x", "imageRef": IMAGE, "flavorRef": "42", "networks": "none"}})


def test_a_full_cloud_says_which_host_lacks_what(tmp_path):
    cloud = FakeCloud(tmp_path, memory_mib=200)
    try:
        cloud.image.add(IMAGE)
        user = Caller(cloud, "red/ann/member")
        user.server()
        user.server()
        server = user.ok("GET", f"/servers/{user.server(min_count=2)}")["server"]
        assert (server["status"], server["hostId"], server["OS-EXT-STS:task_state"]) == ("ERROR", "", None)
        assert server["fault"]["message"] == (
            "No valid host was found. host alpha: 128 MiB of memory wanted, 72 free; "
            "host beta: 128 MiB of memory wanted, 72 free")
        assert len(user.names("/servers?status=ERROR")) == 2
        assert len(cloud.placement.claims) == len(cloud.network.ports) == 2
    finally:
        cloud.close()


def test_hosts_that_are_disabled_or_down_take_nothing(user, admin):
    for service in admin.ok("GET", "/os-services")["services"]:
        admin.ok("PUT", f"/os-services/{service['id']}", {"service": None} and (
            {"status": "disabled", "disabled_reason": "moving"} if service["host"] == "alpha"
            else {"forced_down": True}))
    said = user.ok("GET", f"/servers/{user.server()}")["server"]["fault"]["message"]
    assert "host alpha: disabled (moving); host beta: its agent does not answer" in said


def test_administrators_choose_the_host(user, admin):
    server_id = admin.active(availability_zone="nova:beta")
    assert admin.ok("GET", f"/servers/{server_id}")["server"]["OS-EXT-SRV-ATTR:host"] == "beta"
    user.refused(403, "POST", "/servers", {"server": {
        "name": "x", "imageRef": IMAGE, "flavorRef": "42", "networks": "none",
        "availability_zone": "nova:beta"}})
    near = admin.ok("POST", "/servers", {"server": {"name": "x", "imageRef": IMAGE, "flavorRef": "42",
                                                    "networks": "none"},
                                         "os:scheduler_hints": {"same_host": [server_id]}})["server"]["id"]
    assert admin.ok("GET", f"/servers/{near}")["server"]["OS-EXT-SRV-ATTR:host"] == "beta"


# -- lists


def test_lists_are_filtered(cloud, user, admin):
    for name, values in {"web-1": {"tags": ["a", "b"]}, "web-2": {"tags": ["b", "a_c"]}, "db": {}}.items():
        user.active(name, **values)
    stopped = user.ok("GET", "/servers?name=db")["servers"][0]["id"]
    user.ok("POST", f"/servers/{stopped}/action", {"os-stop": None})
    cloud.settle()
    expect = {
        "name=web": ["web-2", "web-1"], "name=^web-.%2B1$": [], "name=^web-[12]$": ["web-2", "web-1"],
        "status=SHUTOFF": ["db"], "status=active": ["web-2", "web-1"],
        "status=ACTIVE&status=SHUTOFF": ["db", "web-2", "web-1"], "tags=a": ["web-1"], "tags=a,b": ["web-1"],
        "tags-any=a,a_c": ["web-2", "web-1"], "not-tags=a": ["db", "web-2"], "not-tags-any=a,b": ["db"],
        "ip=10.0.0.2": ["web-2"], "ip=10.0.0.": ["db", "web-2", "web-1"],
        "flavor=42": ["db", "web-2", "web-1"], "flavor=1": [], "image=" + IMAGE: ["db", "web-2", "web-1"],
        "image=x": [], "locked=true": [], "changes-since=2100-01-01T00:00:00Z": [], "key_name=x": [],
        "sort_key=display_name&sort_dir=asc": ["db", "web-1", "web-2"], "vm_state=stopped": ["db"],
    }
    assert {query: user.names(f"/servers?{query}") for query in expect} == expect
    assert admin.names("/servers/detail?all_tenants=True&host=gamma") == []
    assert len(admin.names("/servers/detail?all_tenants=1&project_id=red&deleted=False")) == 3
    assert user.names("/servers?status=NONSENSE", "2.37") == []
    by_admin = {
        "hostname=web": 2, "hostname=^web-2$": 1, "description=x": 0, "kernel_id=": 3, "kernel_id=x": 0,
        "root_device_name=/dev/vda": 3, "root_device_name=/dev/sda": 0, "auto_disk_config=false": 3,
        "auto_disk_config=true": 0, "locked_by=admin": 0, "access_ip_v4=10.0.0.1": 0, "progress=0": 3, "progress=9": 0,
        "soft_deleted=1": 0, "instance_type_id=1": 0, "launch_index=0": 3, "uuid=" + stopped: 1}
    assert {query: len(admin.names(f"/servers?all_tenants=1&{query}")) for query in by_admin} == by_admin
    for ignored in ("hostname=x", "host=x", "kernel_id=x", "deleted=1", "node=x"):
        assert len(user.names(f"/servers?{ignored}")) == 3, "only administrators filter by that"
    assert (len(user.names("/servers?key_name=x", "2.82")), len(user.names("/servers?key_name=x", "2.83"))) == (3, 0)


@pytest.mark.parametrize("query", [
    "sort_key=nonsense", "sort_dir=up", "limit=-1", "limit=x", "marker=nothing", "changes-since=x",
    "status=NONSENSE", "name=(", "name=(a%2B)%2B", "nonsense=1", "locked=perhaps", "name=%00"])
def test_bad_queries_are_refused(user, query):
    user.refused(400, "GET", f"/servers/detail?{query}")


def test_pages_follow_each_other(user):
    for number in range(5):
        user.server(f"s{number}")
    path, seen = "/servers?limit=2&sort_key=display_name&sort_dir=asc", []
    while path:
        page = user.ok("GET", path)
        seen += [server["name"] for server in page["servers"]]
        links = page.get("servers_links")
        path = links and links[0]["href"].partition("/compute/v2.1")[2]
    assert seen == ["s0", "s1", "s2", "s3", "s4"]


def test_deleted_servers_are_administrators_matter(cloud, user, admin):
    server_id = user.active("gone")
    user.ok("DELETE", f"/servers/{server_id}")
    cloud.settle()
    shown = admin.ok("GET", "/servers/detail?all_tenants=1&deleted=true")["servers"]
    assert [(server["name"], server["status"]) for server in shown] == [("gone", "DELETED")]
    assert user.names("/servers?deleted=true", "2.74") == []
    assert user.names("/servers?changes-since=2020-01-01T00:00:00Z") == ["gone"]
    user.refused(403, "GET", "/servers?status=deleted")


@pytest.mark.parametrize("path", ["/servers/detail", "/servers"])
def test_a_list_costs_the_same_queries_however_long(cloud, user, path):
    user.active()
    with cloud.db.counting() as one:
        user.ok("GET", path)
    user.server("many", max_count=9)
    cloud.settle()
    with cloud.db.counting() as ten:
        assert len(user.names(path)) == 10
    assert len(ten) == len(one)


# -- actions


def test_orders_are_taken_in_their_states_only(cloud, user):
    server_id = user.active()
    path = f"/servers/{server_id}/action"

    def status() -> str:
        cloud.settle()
        return user.ok("GET", f"/servers/{server_id}")["server"]["status"]

    assert "Cannot 'start'" in user.refused(409, "POST", path, {"os-start": None})
    for order, then in (({"os-stop": None}, "SHUTOFF"), ({"os-start": None}, "ACTIVE"),
                        ({"pause": None}, "PAUSED"), ({"unpause": None}, "ACTIVE"),
                        ({"reboot": {"type": "SOFT"}}, "ACTIVE"),
                        ({"os-stop": None}, "SHUTOFF"), ({"reboot": {"type": "hard"}}, "ACTIVE")):
        assert user("POST", path, order).status_code == 202
        assert status() == then
    user.ok("POST", path, {"os-stop": None})
    cloud.settle()
    assert user.refused(409, "POST", path, {"pause": None}) == (
        f"Cannot 'pause' instance {server_id} while it is in vm_state stopped")


def test_unknown_actions_are_refused(user):
    server_id = user.active()
    path = f"/servers/{server_id}/action"
    assert "There is no such action: dance" in user.refused(400, "POST", path, {"dance": None})
    user.refused(400, "POST", path, {})
    user.refused(400, "POST", path, {"os-start": None, "os-stop": None})
    user.refused(400, "POST", path, {"reboot": {"type": "COLD"}})
    user.refused(403, "POST", path, {"os-resetState": {"state": "error"}})


def test_a_locked_server_stays_as_it_is(cloud, user, admin):
    server_id = user.active()
    path = f"/servers/{server_id}/action"
    user.ok("POST", path, {"lock": {"locked_reason": "hands off"}})
    assert user.ok("GET", f"/servers/{server_id}")["server"]["locked_reason"] == "hands off"
    assert user.refused(409, "POST", path, {"os-stop": None}) == f"Instance {server_id} is locked"
    user.refused(409, "DELETE", f"/servers/{server_id}")
    user.ok("POST", path, {"unlock": None})
    admin.ok("POST", path, {"lock": None})
    user.refused(403, "POST", path, {"unlock": None})
    admin.ok("POST", path, {"os-stop": None})


def test_the_console_is_asked_of_the_host(cloud, user):
    server_id = user.active()
    path = f"/servers/{server_id}/action"
    assert "does not answer" in user.refused(503, "POST", path, {"os-getConsoleOutput": {}})
    for host in ("alpha", "beta"):
        cloud.bus.serve(host, lambda verb, argument: b"one\ntwo\nthree\n")
    assert user.ok("POST", path, {"os-getConsoleOutput": {"length": 2}})["output"] == "three\n"
    assert user.ok("POST", path, {"os-getConsoleOutput": {"length": -1}})["output"] == "one\ntwo\nthree\n"
    user.refused(400, "POST", path, {"os-getConsoleOutput": {"length": -2}})


def test_what_happened_is_told(cloud, user, other, admin):
    server_id = user.active()
    user.ok("POST", f"/servers/{server_id}/action", {"os-stop": None})
    cloud.settle()
    path = f"/servers/{server_id}/os-instance-actions"
    listed = user.ok("GET", path)["instanceActions"]
    assert [each["action"] for each in listed] == ["stop", "create"]
    page = user.ok("GET", path + "?limit=1")
    assert len(page["instanceActions"]) == 1
    assert f"marker={listed[0]['request_id']}" in page["links"][0]["href"]
    shown = user.ok("GET", f"{path}/{listed[1]['request_id']}")["instanceAction"]
    assert [(event["event"], event["result"]) for event in shown["events"]] == [("do it", "Success")]
    old = user.ok("GET", f"{path}/{listed[1]['request_id']}", version="2.50")
    assert "events" not in old["instanceAction"]
    user.refused(404, "GET", f"{path}/req-nothing")
    trail = cloud.compute.explain("one")
    assert [each["action"] for each in trail["operations"]] == ["create", "stop"]
    assert "was chosen among 2 hosts" in trail["operations"][0]["placement"][0]
    user.ok("DELETE", f"/servers/{server_id}")
    cloud.settle()
    assert user.ok("GET", path)["instanceActions"][0]["action"] == "delete"
    user.refused(404, "GET", path, version="2.20")


# -- metadata and tags


def test_metadata_is_merged_replaced_and_deleted(user):
    path = f"/servers/{user.active(metadata={'a': '1'})}/metadata"
    assert user.ok("POST", path, {"metadata": {"b": "2"}})["metadata"] == {"a": "1", "b": "2"}
    assert user.ok("PUT", path, {"metadata": {"c": "3"}})["metadata"] == {"c": "3"}
    assert user.ok("PUT", path + "/d", {"meta": {"d": "4"}})["meta"] == {"d": "4"}
    assert user.ok("GET", path + "/d")["meta"] == {"d": "4"}
    user.refused(400, "PUT", path + "/d", {"meta": {"e": "4"}})
    assert user("DELETE", path + "/c").status_code == 204
    user.refused(404, "DELETE", path + "/c")
    assert user.ok("GET", path)["metadata"] == {"d": "4"}
    user.refused(403, "POST", path, {"metadata": {f"k{number}": "v" for number in range(129)}})


def test_tags_are_set_and_taken_away(user):
    path = f"/servers/{user.active()}/tags"
    assert user("PUT", path + "/a").status_code == 201
    assert user("PUT", path + "/a").status_code == 204
    assert user.ok("PUT", path, {"tags": ["b", "c", "b"]})["tags"] == ["b", "c"]
    assert user("GET", path + "/b").status_code == 204
    user.refused(404, "GET", path + "/a")
    user.refused(400, "PUT", path, {"tags": [f"t{number}" for number in range(51)]})
    user.refused(400, "PUT", path + "/" + "x" * 61)
    user.refused(404, "GET", path, version="2.25")
    assert user("DELETE", path).status_code == 204
    assert user.ok("GET", path)["tags"] == []


def test_addresses_and_interfaces_are_shown(user):
    server_id = user.active()
    assert user.ok("GET", f"/servers/{server_id}/ips")["addresses"] == {
        "net": [{"version": 4, "addr": "10.0.0.1"}]}
    user.refused(404, "GET", f"/servers/{server_id}/ips/other")
    (interface,) = user.ok("GET", f"/servers/{server_id}/os-interface")["interfaceAttachments"]
    assert interface["tag"] is None
    same = user.ok("GET", f"/servers/{server_id}/os-interface/{interface['port_id']}", version="2.69")
    assert "tag" not in same["interfaceAttachment"]


# -- flavors


def test_flavors_are_made_listed_and_deleted(user, admin):
    large = user.ok("GET", "/flavors?minRam=4096")["flavors"]
    assert [each["name"] for each in large] == ["m1.medium", "m1.large"]
    body = {"flavor": {"name": "f", "ram": "64", "vcpus": 1, "disk": 0, "id": "auto", "description": "tiny"}}
    user.refused(403, "POST", "/flavors", body)
    made = admin.ok("POST", "/flavors", body)["flavor"]
    assert (made["ram"], made["swap"], made["description"], made["extra_specs"]) == (64, 0, "tiny", {})
    assert "already exists" in admin.refused(409, "POST", "/flavors", body)
    admin.refused(400, "POST", "/flavors", body, "2.54")
    old = user.ok("GET", f"/flavors/{made['id']}", version="2.1")["flavor"]
    assert old["swap"] == ""
    assert "description" not in old
    admin.ok("PUT", f"/flavors/{made['id']}", {"flavor": {"description": None}})
    assert user.ok("GET", f"/flavors/{made['id']}")["flavor"]["description"] is None
    assert admin("DELETE", f"/flavors/{made['id']}").status_code == 202
    user.refused(404, "GET", f"/flavors/{made['id']}")
    page = user.ok("GET", "/flavors?limit=2&sort_key=name&sort_dir=desc")
    assert [each["name"] for each in page["flavors"]] == ["m1.tiny", "m1.small"]
    following = user.ok("GET", page["flavors_links"][0]["href"].partition("/compute/v2.1")[2])
    assert [each["name"] for each in following["flavors"]] == ["m1.nano", "m1.medium"]


@pytest.mark.parametrize("change", [{"ram": 0}, {"vcpus": -1}, {"disk": -1}, {"ram": "many"}, {"name": ""},
                                    {"name": "x" * 256}, {"rxtx_factor": 0}, {"ram": 2**31}, {"id": " x"},
                                    {"swap": True}, {"unknown": 1}])
def test_bad_flavors_are_refused(admin, change):
    flavor = {"name": "f", "ram": 64, "vcpus": 1, "disk": 1, **change}
    admin.refused(400, "POST", "/flavors", {"flavor": flavor})


def test_private_flavors_are_for_those_with_access(user, other, admin):
    admin.ok("POST", "/flavors", {"flavor": {"name": "f", "ram": 64, "vcpus": 1, "disk": 1, "id": "7",
                                             "os-flavor-access:is_public": False}})
    user.refused(404, "GET", "/flavors/7")
    granted = admin.ok("POST", "/flavors/7/action", {"addTenantAccess": {"tenant": "red"}})
    assert granted["flavor_access"] == [{"flavor_id": "7", "tenant_id": "red"}]
    assert user.ok("GET", "/flavors/7")["flavor"]["name"] == "f"
    assert "f" in [each["name"] for each in user.ok("GET", "/flavors")["flavors"]]
    assert "f" not in [each["name"] for each in other.ok("GET", "/flavors?is_public=None")["flavors"]]
    assert len(admin.ok("GET", "/flavors?is_public=None")["flavors"]) == 6
    assert [each["id"] for each in admin.ok("GET", "/flavors?is_public=false")["flavors"]] == ["7"]
    admin.refused(409, "POST", "/flavors/7/action", {"addTenantAccess": {"tenant": "red"}})
    admin.refused(400, "POST", "/flavors/7/action", {"addTenantAccess": {"tenant": "no-such"}})
    admin.ok("POST", "/flavors/7/action", {"removeTenantAccess": {"tenant": "red"}})
    user.refused(404, "GET", "/flavors/7")


def test_extra_specs_are_kept(user, admin):
    path = "/flavors/42/os-extra_specs"
    added = admin.ok("POST", path, {"extra_specs": {"hw:cpu_policy": "shared", "y": 2}})
    assert added == {"extra_specs": {"hw:cpu_policy": "shared", "y": "2"}}
    assert admin.ok("PUT", path + "/y", {"y": "3"}) == {"y": "3"}
    assert user.ok("GET", path)["extra_specs"] == {"hw:cpu_policy": "shared", "y": "3"}
    admin.ok("DELETE", path + "/y")
    user.refused(404, "GET", path + "/y")
    user.refused(403, "POST", path, {"extra_specs": {}})
    admin.refused(400, "POST", path, {"extra_specs": {"a/b": "1"}})
    admin.refused(400, "POST", path, {"extra_specs": {"hw:cpu_policy": "some"}}, "2.86")
    admin.refused(400, "PUT", path + "/hw:wings", {"hw:wings": "2"}, "2.86")
    admin.ok("POST", path, {"extra_specs": {"hw:cpu_policy": "some"}}, "2.85")


# -- key pairs


def test_key_pairs_are_imported_and_generated(user, other):
    body = {"keypair": {"name": "mine", "public_key": PUBLIC_KEY}}
    assert user("POST", "/os-keypairs", body, "2.1").status_code == 200
    shown = user.ok("GET", "/os-keypairs/mine")["keypair"]
    assert (shown["type"], shown["user_id"], shown["public_key"]) == ("ssh", "ann", PUBLIC_KEY)
    assert len(shown["fingerprint"].split(":")) == 16
    user.refused(409, "POST", "/os-keypairs", body)
    made = user.ok("POST", "/os-keypairs", {"keypair": {"name": "made"}}, "2.91")["keypair"]
    assert made["private_key"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert made["public_key"].startswith("ssh-rsa ")
    user.refused(400, "POST", "/os-keypairs", {"keypair": {"name": "made2"}}, "2.92")
    listed = user.ok("GET", "/os-keypairs")["keypairs"]
    assert [each["keypair"]["name"] for each in listed] == ["made", "mine"]
    assert other.ok("GET", "/os-keypairs")["keypairs"] == []
    other.refused(403, "GET", "/os-keypairs?user_id=ann")
    server_id = user.active(key_name="mine")
    assert user("DELETE", "/os-keypairs/mine", version="2.1").status_code == 202
    user.refused(404, "DELETE", "/os-keypairs/mine")
    assert user.ok("GET", f"/servers/{server_id}")["server"]["key_name"] == "mine"


@pytest.mark.parametrize("change", [{"public_key": "ssh-rsa AAAA"}, {"public_key": ""}, {"name": ""},
                                    {"name": "a/b"}, {"name": "x" * 256}, {"type": "gpg"}, {"type": "x509"},
                                    {"public_key": PUBLIC_KEY + "\n" + PUBLIC_KEY}])
def test_bad_key_pairs_are_refused(user, change):
    user.refused(400, "POST", "/os-keypairs", {"keypair": {"name": "k", "public_key": PUBLIC_KEY, **change}})


# -- limits, quotas, hosts


def test_limits_tell_what_is_used(user):
    user.server()
    absolute = user.ok("GET", "/limits")["limits"]["absolute"]
    used = [absolute[f"total{name}Used"] for name in ("Instances", "Cores", "RAM")]
    assert used == [1, 1, 128]
    assert "maxPersonality" not in absolute
    assert "maxImageMeta" in user.ok("GET", "/limits?reserved=False", version="2.1")["limits"]["absolute"]


def test_quotas_are_read_and_set(user, admin):
    assert user.ok("GET", "/os-quota-sets/red")["quota_set"]["instances"] == 10
    user.refused(403, "GET", "/os-quota-sets/blue")
    user.refused(403, "PUT", "/os-quota-sets/red", {"quota_set": {"instances": 99}})
    changed = admin.ok("PUT", "/os-quota-sets/red", {"quota_set": {"instances": 1}})
    assert changed["quota_set"]["instances"] == 1
    user.server()
    assert "already used" in admin.refused(400, "PUT", "/os-quota-sets/red", {"quota_set": {"instances": 0}})
    admin.ok("PUT", "/os-quota-sets/red", {"quota_set": {"instances": 0, "force": True}})
    assert user.ok("GET", "/os-quota-sets/red/detail")["quota_set"]["instances"] == {
        "limit": 0, "in_use": 1, "reserved": 0}
    assert admin("DELETE", "/os-quota-sets/red").status_code == 202
    assert user.ok("GET", "/os-quota-sets/red")["quota_set"]["instances"] == 10
    assert "fixed_ips" in user.ok("GET", "/os-quota-sets/red/defaults", version="2.35")["quota_set"]
    admin.refused(400, "PUT", "/os-quota-sets/red", {"quota_set": {"injected_files": 1}}, "2.57")
    admin.refused(400, "PUT", "/os-quota-sets/no-such", {"quota_set": {"cores": 1}})
    admin.refused(400, "PUT", "/os-quota-sets/red", {"quota_set": {"cores": -2}})


def test_usage_comes_in_pages_from_2_40_on(user, admin):
    ids = [user.active(name) for name in ("a", "b", "c")]
    path = "/os-simple-tenant-usage"
    assert len(user.ok("GET", f"{path}/red?limit=1", version="2.39")["tenant_usage"]["server_usages"]) == 3
    seen, query = [], "?limit=2"
    while query:
        found = user.ok("GET", f"{path}/red{query}", version="2.40")
        seen += [each["instance_id"] for each in found["tenant_usage"].get("server_usages", ())]
        query = "?" + found["tenant_usage_links"][0]["href"].partition("?")[2] if "tenant_usage_links" in found else ""
    assert seen == ids
    first = admin.ok("GET", f"{path}?limit=2&detailed=1", version="2.40")
    assert [len(each["server_usages"]) for each in first["tenant_usages"]] == [2]
    assert first["tenant_usages_links"][0]["href"].endswith(f"marker={ids[1]}")
    user.refused(400, "GET", f"{path}/red?marker={IMAGE}", version="2.40")
    user.refused(400, "GET", f"{path}/red?who=me", version="2.75")


def test_a_host_that_is_gone_is_forgotten(cloud, user, admin):
    aggregate = admin.ok("POST", "/os-aggregates", {"aggregate": {"name": "rack"}})["aggregate"]["id"]
    for host in ("alpha", "beta"):
        admin.ok("POST", f"/os-aggregates/{aggregate}/action", {"add_host": {"host": host}})
    server = user.active()
    home = admin.ok("GET", f"/servers/{server}")["server"]["OS-EXT-SRV-ATTR:host"]
    services = {each["host"]: each["id"] for each in admin.ok("GET", "/os-services")["services"]}
    other = next(host for host in services if host != home)
    assert "its agent answers" in admin.refused(409, "DELETE", f"/os-services/{services[other]}")
    for service in services.values():
        admin.ok("PUT", f"/os-services/{service}", {"forced_down": True})
    said = admin.refused(409, "DELETE", f"/os-services/{services[home]}")
    assert f"1 servers are on host {home}" in said
    assert admin("DELETE", f"/os-services/{services[other]}").status_code == 204
    assert [each["host"] for each in admin.ok("GET", "/os-services")["services"]] == [home]
    assert admin.ok("GET", f"/os-aggregates/{aggregate}")["aggregate"]["hosts"] == [home]
    admin.refused(404, "DELETE", f"/os-services/{services[other]}")
    admin.refused(400, "DELETE", "/os-services/1")
    admin.refused(404, "DELETE", "/os-services/99", version="2.52")
    user.refused(403, "DELETE", f"/os-services/{services[home]}")


def test_the_network_is_told_anew(cloud, user, admin):
    told = []
    cloud.network.refresh = lambda: told.append(1)
    server = user.active()
    assert admin("POST", f"/servers/{server}/action", {"injectNetworkInfo": None}).status_code == 202
    assert told == [1]
    user.refused(403, "POST", f"/servers/{server}/action", {"injectNetworkInfo": None})
    admin.refused(410, "POST", f"/servers/{server}/action", {"resetNetwork": None})


def test_hypervisors_say_how_long_they_are_up_from_2_88_on(cloud, admin):
    cloud.bus.serve("alpha", lambda verb, argument: " 10:00:00 up 1 day" if verb == "uptime" else None)
    found = admin.ok("GET", "/os-hypervisors/detail", version="2.88")["hypervisors"]
    assert {each["hypervisor_hostname"]: each["uptime"] for each in found} == {
        "alpha": " 10:00:00 up 1 day", "beta": None}
    admin.refused(400, "GET", "/os-hypervisors/1", version="2.53")
    admin.refused(400, "GET", "/os-hypervisors?limit=1&hypervisor_hostname_pattern=a")


def test_hosts_are_hypervisors_services_and_zones(user, admin):
    admin.active()
    user.refused(403, "GET", "/os-hypervisors")
    newest = admin.ok("GET", "/os-hypervisors/detail")["hypervisors"]
    assert [each["hypervisor_hostname"] for each in newest] == ["alpha", "beta"]
    assert "vcpus" not in newest[0]
    old = admin.ok("GET", "/os-hypervisors/1", version="2.27")["hypervisor"]
    assert (old["id"], old["cpu_info"], old["running_vms"], old["memory_mb_used"]) == (1, "{}", 1, 128)
    shown = admin.ok("GET", f"/os-hypervisors/{newest[0]['id']}?with_servers=true")["hypervisor"]
    assert [each["name"] for each in shown["servers"]] == ["one"]
    statistics = admin.ok("GET", "/os-hypervisors/statistics", version="2.87")["hypervisor_statistics"]
    assert statistics["count"] == 2
    admin.refused(404, "GET", "/os-hypervisors/statistics")
    services = admin.ok("GET", "/os-services?binary=nova-compute", version="2.1")["services"]
    assert [(each["id"], each["state"]) for each in services] == [(1, "up"), (2, "up")]
    assert "forced_down" not in services[0]
    admin.ok("PUT", "/os-services/disable", {"host": "alpha", "binary": "nova-compute"}, "2.52")
    assert admin.ok("GET", "/os-services")["services"][0]["status"] == "disabled"
    zones = user.ok("GET", "/os-availability-zone")["availabilityZoneInfo"]
    assert zones == [{"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]
    assert "alpha" in admin.ok("GET", "/os-availability-zone/detail")["availabilityZoneInfo"][0]["hosts"]


def test_usage_is_counted_while_servers_run(cloud, user, other):
    server_id = user.active()
    report = user.ok("GET", "/os-simple-tenant-usage/red?start=2020-01-01T00:00:00")["tenant_usage"]
    assert [each["instance_id"] for each in report["server_usages"]] == [server_id]
    assert report["server_usages"][0]["state"] == "active"
    other.refused(404, "GET", "/os-simple-tenant-usage/red")
    other.refused(403, "GET", "/os-simple-tenant-usage")
    user.refused(400, "GET", "/os-simple-tenant-usage/red?start=x")


# -- from 2.97 on


def test_shares_hints_and_image_properties(user, cloud):
    cloud.image.images[IMAGE].properties = {"hw_disk_bus": "virtio"}
    server = user.active()
    path = f"/servers/{server}/shares"
    assert user.ok("GET", path, version="2.97") == {"shares": []}
    user.refused(404, "GET", path, version="2.96")
    user.refused(404, "POST", path, {"share": {"share_id": IMAGE}}, "2.97")
    user.refused(400, "POST", path, {"share": {"share_id": "x"}}, "2.97")
    assert "properties" not in user.ok("GET", f"/servers/{server}", version="2.97")["server"]["image"]
    shown = user.ok("GET", f"/servers/{server}", version="2.98")["server"]
    assert shown["image"]["properties"] == {
        "hw_disk_bus": "virtio", "base_image_ref": IMAGE, "container_format": "bare", "disk_format": "qcow2",
        "min_disk": "0", "min_ram": "0"}
    assert "scheduler_hints" not in shown
    assert user.ok("GET", f"/servers/{server}", version="2.100")["server"]["scheduler_hints"] == {}


def test_flavors_from_2_102_on(admin):
    new = {"name": "f", "ram": 64, "vcpus": 1, "disk": 1}
    made = admin.ok("POST", "/flavors", {"flavor": new}, "2.102")["flavor"]
    assert not {"rxtx_factor", "OS-FLV-DISABLED:disabled"} & made.keys()
    admin.refused(400, "POST", "/flavors", {"flavor": {**new, "name": "g", "rxtx_factor": 2}}, "2.102")
    named = admin.ok("GET", "/flavors?name=f", version="2.102")["flavors"]
    assert [each["id"] for each in named] == [made["id"]]
    assert len(admin.ok("GET", "/flavors?name=f", version="2.101")["flavors"]) > 1


@pytest.mark.parametrize("key", ["description", "vcpu_weight", "name", "memory_mb", "created_at"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_flavors_come_in_pages_in_every_order(admin, key, direction):
    for name, words in (("f1", "b"), ("f2", None), ("f3", "a")):
        admin.ok("POST", "/flavors", {"flavor": {"name": name, "ram": 64, "vcpus": 1, "disk": 1, "description": words}})
    query, seen = f"?sort_key={key}&sort_dir={direction}&limit=3", []
    while query:
        page = admin.ok("GET", f"/flavors{query}")
        seen += [each["id"] for each in page["flavors"]]
        query = "?" + page["flavors_links"][0]["href"].partition("?")[2] if "flavors_links" in page else ""
    whole = [each["id"] for each in admin.ok("GET", f"/flavors?sort_key={key}&sort_dir={direction}")["flavors"]]
    assert seen == whole
    assert len(set(seen)) == 8


def test_a_zone_is_unpinned_and_pinned_again(user):
    server = user.active(availability_zone="nova")
    path = f"/servers/{server}"
    user.refused(400, "PUT", path, {"server": {"pinned_availability_zone": None}}, "2.103")
    changed = user.ok("PUT", path, {"server": {"pinned_availability_zone": None}}, "2.104")["server"]
    assert changed["pinned_availability_zone"] is None
    changed = user.ok("PUT", path, {"server": {"pinned_availability_zone": "nova"}}, "2.104")["server"]
    assert changed["pinned_availability_zone"] == "nova"
    assert "it is in nova" in user.refused(400, "PUT", path, {"server": {"pinned_availability_zone": "x"}}, "2.104")


def test_servers_had_another_name_until_2_102(user):
    body = {"server": {"name": "one", "imageRef": IMAGE, "flavorRef": "42", "networks": "auto"}}
    server = user.ok("POST", "/os-volumes_boot", body, "2.102")["server"]["id"]
    assert user.ok("GET", f"/os-volumes_boot/{server}", version="2.102")["server"]["name"] == "one"
    user.refused(404, "GET", f"/os-volumes_boot/{server}", version="2.103")


def test_hostnames_with_domains_from_2_94_on(user):
    user.refused(400, "POST", "/servers", {"server": {
        "name": "x", "imageRef": IMAGE, "flavorRef": "42", "networks": "none", "hostname": "a.example"}}, "2.93")
    server = user.server(hostname="a.example")
    assert user.ok("GET", f"/servers/{server}")["server"]["OS-EXT-SRV-ATTR:hostname"] == "a.example"


def test_the_guests_password_is_shown_to_its_project_and_cleared(cloud, user, other):
    path = f"/servers/{user.active()}/os-server-password"
    assert user.ok("GET", path) == {"password": ""}
    assert user("DELETE", path).status_code == 204
    other.refused(404, "GET", path)
    other.refused(404, "DELETE", path)


def test_a_hostname_that_is_asked_for_may_have_a_domain(cloud, user):
    long = "x" * 52 + "-guest-test.domain.example"
    server_id = user.server(hostname=long, version="2.94")
    assert user.ok("GET", f"/servers/{server_id}", version="2.94")["server"]["OS-EXT-SRV-ATTR:hostname"] == long
