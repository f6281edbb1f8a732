"""Aggregates, availability zones, server groups and scheduler hints: where servers go, over HTTP."""

from __future__ import annotations

import pytest

from pilvi.compute.operations_cache import CacheImages
from tests.api.test_compute import IMAGE, Caller
from tests.fakes import FakeCloud


@pytest.fixture
def cloud(tmp_path):
    cloud = FakeCloud(tmp_path, hosts=("alpha", "beta", "gamma"))
    cloud.image.add(IMAGE)
    yield cloud
    cloud.close()


@pytest.fixture
def user(cloud):
    return Caller(cloud, "red/ann/member")


@pytest.fixture
def admin(cloud):
    return Caller(cloud, "admin/root/admin")


def aggregate(admin, name="rack", hosts=(), **values) -> int:
    number = admin.ok("POST", "/os-aggregates", {"aggregate": {"name": name, **values}})["aggregate"]["id"]
    for host in hosts:
        admin.ok("POST", f"/os-aggregates/{number}/action", {"add_host": {"host": host}})
    return number


def host_of(admin, server_id: str) -> str | None:
    return admin.ok("GET", f"/servers/{server_id}")["server"]["OS-EXT-SRV-ATTR:host"]


def hinted(user, version="2.100", count=1, **hints) -> str:
    body = {"server": {"name": "h", "imageRef": IMAGE, "flavorRef": "42", "networks": "none", "min_count": count},
            "os:scheduler_hints": hints}
    return user.ok("POST", "/servers", body, version)["server"]["id"]


def reason(user, server_id: str) -> str:
    server = user.ok("GET", f"/servers/{server_id}")["server"]
    assert server["status"] == "ERROR"
    return server["fault"]["message"]


# -- aggregates and zones


def test_an_aggregate_over_its_life(admin):
    made = admin.ok("POST", "/os-aggregates", {"aggregate": {"name": "rack", "availability_zone": "north"}}, "2.1")
    assert made["aggregate"].keys() == {"id", "name", "availability_zone", "created_at", "updated_at", "deleted",
                                        "deleted_at"}
    path = f"/os-aggregates/{made['aggregate']['id']}"
    shown = admin.ok("POST", path + "/action", {"add_host": {"host": "alpha"}})["aggregate"]
    assert (shown["hosts"], shown["availability_zone"], shown["metadata"]) == (
        ["alpha"], "north", {"availability_zone": "north"})
    assert len(shown["uuid"]) == 36
    assert "zone" not in admin.ok("POST", path + "/action", {"set_metadata": {"metadata": {
        "ssd": "true", "zone": None}}})["aggregate"]["metadata"]
    changed = admin.ok("PUT", path, {"aggregate": {"name": "row", "availability_zone": "south"}})["aggregate"]
    assert (changed["name"], changed["metadata"]) == ("row", {"availability_zone": "south", "ssd": "true"})
    zones = admin.ok("GET", "/os-availability-zone/detail")["availabilityZoneInfo"]
    assert {zone["zoneName"]: list(zone["hosts"]) for zone in zones} == {"south": ["alpha"], "nova": ["beta", "gamma"]}
    assert "remove its hosts" in admin.refused(400, "DELETE", path)
    admin.ok("POST", path + "/action", {"remove_host": {"host": "alpha"}})
    assert admin("DELETE", path).status_code == 200
    assert admin.ok("GET", "/os-aggregates") == {"aggregates": []}
    assert {each["zone"] for each in admin.ok("GET", "/os-services")["services"]} == {"nova"}


def test_what_aggregates_refuse(admin, user):
    number = aggregate(admin, hosts=["alpha"])
    path = f"/os-aggregates/{number}/action"
    admin.refused(409, "POST", "/os-aggregates", {"aggregate": {"name": "rack"}})
    for name in ("", " x", "a" * 256):
        assert "name" in admin.refused(400, "POST", "/os-aggregates", {"aggregate": {"name": name}})
    admin.refused(400, "POST", "/os-aggregates", {"aggregate": {"name": "z", "availability_zone": "a:b"}})
    admin.refused(400, "PUT", f"/os-aggregates/{number}", {"aggregate": {}})
    admin.refused(409, "POST", path, {"add_host": {"host": "alpha"}})
    admin.refused(404, "POST", path, {"add_host": {"host": "delta"}})
    admin.refused(404, "POST", path, {"remove_host": {"host": "beta"}})
    admin.refused(400, "POST", path, {"sing": {}})
    admin.refused(404, "GET", "/os-aggregates/-1")
    admin.refused(400, "GET", "/os-aggregates/x")
    user.refused(403, "GET", "/os-aggregates")


def test_a_host_is_in_one_zone_and_stays_there_while_it_has_servers(admin, user):
    north = aggregate(admin, "n", ["alpha"], availability_zone="north")
    south = aggregate(admin, "s", availability_zone="south")
    assert "already in an availability zone" in admin.refused(
        409, "POST", f"/os-aggregates/{south}/action", {"add_host": {"host": "alpha"}})
    server = user.active(availability_zone="north")
    shown = user.ok("GET", f"/servers/{server}")["server"]
    assert (shown["OS-EXT-AZ:availability_zone"], shown["pinned_availability_zone"]) == ("north", "north")
    assert host_of(admin, server) == "alpha"
    said = admin.refused(409, "POST", f"/os-aggregates/{north}/action", {"remove_host": {"host": "alpha"}})
    assert "Host alpha has 1 servers in zone north" in said
    admin.refused(400, "PUT", f"/os-aggregates/{north}", {"aggregate": {"availability_zone": "west"}})
    assert user.refused(400, "POST", "/servers", {"server": {
        "name": "x", "imageRef": IMAGE, "flavorRef": "42", "networks": "none", "availability_zone": "south"}})


def test_aggregates_for_projects_and_flavors(admin, user):
    number = aggregate(admin, hosts=["alpha", "beta"])
    admin.ok("POST", f"/os-aggregates/{number}/action", {"set_metadata": {"metadata": {
        "filter_tenant_id": "blue,green", "ssd": "true"}}})
    assert host_of(admin, user.server()) == "gamma"
    admin.ok("POST", "/flavors/42/os-extra_specs", {"extra_specs": {"aggregate_instance_extra_specs:ssd": "true"}})
    said = reason(user, user.server())
    assert "host alpha: reserved for other projects" in said
    assert "host gamma: the flavor asks for an aggregate with ssd true" in said
    assert host_of(admin, Caller(user.cloud, "blue/bob/member").server()) in ("alpha", "beta")


def test_hosts_fetch_images_ahead(cloud, admin):
    cloud.engine.register(CacheImages(cloud.compute))
    seen = []
    for host in ("alpha", "beta"):
        cloud.bus.serve(host, lambda verb, argument, host=host: seen.append((host, verb, IMAGE.encode() in argument)))
    number = aggregate(admin, hosts=["alpha", "beta"])
    path = f"/os-aggregates/{number}/images"
    assert admin("POST", path, {"cache": [{"id": IMAGE}]}).status_code == 202
    cloud.settle()
    assert seen == [("alpha", "cache_image", True), ("beta", "cache_image", True)]
    admin.refused(400, "POST", path, {"cache": [{"id": IMAGE}, {"id": IMAGE}]})
    admin.refused(400, "POST", path, {"cache": [{"id": IMAGE.replace("3", "4")}]})
    admin.refused(404, "POST", path, {"cache": [{"id": IMAGE}]}, "2.80")


# -- one host or another


def test_an_administrator_names_the_host(admin, user):
    assert host_of(admin, admin.server(availability_zone="nova:gamma")) == "gamma"
    assert host_of(admin, admin.server(host="beta")) == "beta"
    user.refused(403, "POST", "/servers", {"server": {
        "name": "x", "imageRef": IMAGE, "flavorRef": "42", "networks": "none", "availability_zone": "nova:gamma"}})
    (service,) = (each for each in admin.ok("GET", "/os-services")["services"] if each["host"] == "beta")
    admin.ok("PUT", f"/os-services/{service['id']}", {"status": "disabled"})
    assert host_of(admin, admin.server(availability_zone="nova:beta")) == "beta", "that overrules all but capacity"
    assert "host beta: disabled" in reason(admin, admin.server(host="beta"))


def test_hints_of_hosts(admin, user):
    first = hinted(user)
    home = host_of(admin, first)
    assert host_of(admin, hinted(user, same_host=first)) == home
    assert host_of(admin, hinted(user, different_host=[first])) != home
    assert "ruled out by the scheduler hint same_host" in reason(user, hinted(user, same_host=IMAGE))
    assert host_of(admin, hinted(user, query='["=", "$hypervisor_hostname", "gamma"]')) == "gamma"
    assert host_of(admin, hinted(user, build_near_host_ip="127.0.0.9", cidr="/8")) is not None
    assert "its address is not in 10.0.0.0/24" in reason(user, hinted(user, build_near_host_ip="10.0.0.7"))
    shown = user.ok("GET", f"/servers/{hinted(user, different_host=[first], mood='good')}", version="2.100")
    assert shown["server"]["scheduler_hints"] == {"different_host": [first], "mood": "good"}


@pytest.mark.parametrize("hints", [
    {"group": "x"}, {"same_host": ["x"]}, {"query": "["}, {"query": '["~", "$host", 1]'}, {"query": {}},
    {"build_near_host_ip": "somewhere"}, {"build_near_host_ip": "10.0.0.1", "cidr": "/99"}, {"group": IMAGE}])
def test_hints_that_make_no_sense(user, hints):
    user.refused(400, "POST", "/servers", {
        "server": {"name": "h", "imageRef": IMAGE, "flavorRef": "42", "networks": "none"},
        "os:scheduler_hints": hints})


# -- server groups


def group(user, policy="anti-affinity", **values) -> str:
    body = {"server_group": {"name": "g", "policy": policy, **values}}
    return user.ok("POST", "/os-server-groups", body)["server_group"]["id"]


def test_server_groups_as_each_microversion_shows_them(user):
    old = {"server_group": {"name": "old", "policies": ["affinity"]}}
    made = user.ok("POST", "/os-server-groups", old, "2.1")["server_group"]
    assert made == {"id": made["id"], "name": "old", "policies": ["affinity"], "members": [], "metadata": {}}
    shown = user.ok("GET", f"/os-server-groups/{made['id']}", version="2.13")["server_group"]
    assert shown == {**made, "project_id": "red", "user_id": "ann"}
    shown = user.ok("GET", f"/os-server-groups/{made['id']}", version="2.64")["server_group"]
    assert (shown["policy"], shown["rules"]) == ("affinity", {})
    assert not {"policies", "metadata"} & shown.keys()
    user.refused(400, "POST", "/os-server-groups", old)
    user.refused(400, "POST", "/os-server-groups", {"server_group": {"name": "x", "policy": "affinity"}}, "2.63")
    user.refused(400, "POST", "/os-server-groups", {"server_group": {"name": "x", "policies": ["soft-affinity"]}},
                 "2.14")
    user.ok("POST", "/os-server-groups", {"server_group": {"name": "x", "policies": ["soft-affinity"]}}, "2.15")
    user.refused(400, "POST", "/os-server-groups", {"server_group": {
        "name": "x", "policy": "affinity", "rules": {"max_server_per_host": 2}}})


def test_server_groups_are_a_projects_own_and_bounded(admin, user):
    other = Caller(user.cloud, "blue/bob/member")
    mine = group(user)
    other.refused(404, "GET", f"/os-server-groups/{mine}")
    other.refused(404, "DELETE", f"/os-server-groups/{mine}")
    assert other.ok("GET", "/os-server-groups?all_projects=1") == {"server_groups": []}
    assert len(admin.ok("GET", "/os-server-groups?all_projects=1")["server_groups"]) == 1
    admin.ok("PUT", "/os-quota-sets/red", {"quota_set": {"server_groups": 2, "server_group_members": 1}})
    group(user)
    user.refused(403, "POST", "/os-server-groups", {"server_group": {"name": "x", "policy": "affinity"}})
    assert [each["id"] for each in user.ok("GET", "/os-server-groups?limit=1")["server_groups"]] == [mine]
    assert user.ok("GET", "/os-server-groups?offset=1")["server_groups"][0]["id"] != mine
    hinted(user, group=mine)
    user.refused(403, "POST", "/servers", {
        "server": {"name": "h", "imageRef": IMAGE, "flavorRef": "42", "networks": "none"},
        "os:scheduler_hints": {"group": mine}})


def test_anti_affinity(admin, user):
    admin.ok("PUT", "/os-quota-sets/red", {"quota_set": {"instances": 20}})
    apart = group(user)
    hinted(user, group=apart, count=3)
    members = user.ok("GET", f"/os-server-groups/{apart}")["server_group"]["members"]
    assert {host_of(admin, each) for each in members} == {"alpha", "beta", "gamma"}
    fourth = hinted(user, group=apart)
    assert "it has 1 servers of the anti-affinity group" in reason(user, fourth)
    assert user.ok("GET", f"/servers/{fourth}")["server"]["server_groups"] == [apart]
    user.ok("DELETE", f"/os-server-groups/{apart}")
    assert user.ok("GET", f"/servers/{fourth}")["server"]["server_groups"] == []
    pairs = group(user, rules={"max_server_per_host": 2})
    assert "ERROR" in {user.ok("GET", f"/servers/{hinted(user, group=pairs)}")["server"]["status"] for _ in range(7)}
    members = user.ok("GET", f"/os-server-groups/{pairs}")["server_group"]["members"]
    hosts = [host_of(admin, each) for each in members]
    assert sorted(filter(None, hosts)) == ["alpha", "alpha", "beta", "beta", "gamma", "gamma"]


def test_affinity_and_the_soft_ones(admin, user):
    together = group(user, "affinity")
    homes = {host_of(admin, hinted(user, group=together)) for _ in range(3)}
    assert len(homes) == 1
    (home,) = homes
    (service,) = (each for each in admin.ok("GET", "/os-services")["services"] if each["host"] == home)
    soft = group(user, "soft-affinity")
    assert host_of(admin, hinted(user, "2.100", group=soft, same_host=user.ok(
        "GET", f"/os-server-groups/{together}")["server_group"]["members"])) == home
    assert host_of(admin, hinted(user, group=soft)) == home
    admin.ok("PUT", f"/os-services/{service['id']}", {"status": "disabled"})
    assert "of the affinity group" in reason(user, hinted(user, group=together))
    assert host_of(admin, hinted(user, group=soft)) not in (None, home)
    spread = group(user, "soft-anti-affinity")
    assert len({host_of(admin, hinted(user, group=spread)) for _ in range(2)}) == 2
    assert host_of(admin, hinted(user, group=spread)) is not None


def test_lists_of_groups_and_aggregates_take_as_many_queries_however_long(cloud, admin):
    def queries(path: str) -> int:
        with cloud.db.counting() as seen:
            admin.ok("GET", path)
        return len(seen)

    group(admin)
    aggregate(admin, hosts=["alpha"])
    before = queries("/os-server-groups"), queries("/os-aggregates")
    for number in range(5):
        group(admin)
        aggregate(admin, f"more-{number}", ["alpha", "beta"])
    assert (queries("/os-server-groups"), queries("/os-aggregates")) == before
