"""Rebuild, resize, migrations, evacuation over the API, on two simulated hosts."""

from __future__ import annotations

import pytest

from tests.support.cloud import Session, simulated_cloud
from tests.support.wait import eventually

SERVERS, MISSING = "/compute/v2.1/servers", "00000000-0000-4000-8000-000000000000"
NEWEST = "2.96"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("moves"), hosts=2, vcpus=8, memory_mib=8192, disk_gib=100) as served:
        admin = served.login("admin")
        for name, vcpus, ram, disk in (("small", 1, 256, 1), ("large", 2, 512, 2), ("huge", 2, 1 << 20, 2)):
            admin.post("/compute/v2.1/flavors", {"flavor": {
                "name": name, "id": name, "vcpus": vcpus, "ram": ram, "disk": disk}})
        yield served


@pytest.fixture(scope="module")
def images(cloud):
    return cloud.image("one"), cloud.image("two")


@pytest.fixture(scope="module")
def user(cloud):
    session = cloud.login()
    cloud.network(session)
    return session


@pytest.fixture(scope="module")
def admin(cloud):
    return cloud.login("admin")


@pytest.fixture
def server(cloud, user, images):
    made = user.post(SERVERS, {"server": {"name": "s", "imageRef": images[0], "flavorRef": "small",
                                          "networks": "auto"}})["server"]["id"]
    cloud.settle()
    yield made
    user.request("DELETE", f"{SERVERS}/{made}")
    cloud.settle()


def at(session: Session, version: str) -> Session:
    return Session(session.port, session.token, session.project_id, version)


def act(session: Session, server: str, action: str, value=None):
    return session.request("POST", f"{SERVERS}/{server}/action", {action: value})


def show(session: Session, server: str) -> dict:
    return session.get(f"{SERVERS}/{server}")["server"]


def host_of(admin: Session, server: str) -> str:
    return show(admin, server)["OS-EXT-SRV-ATTR:host"]


def other_host(admin: Session, server: str) -> str:
    hosts = [each["hypervisor_hostname"] for each in admin.get("/compute/v2.1/os-hypervisors")["hypervisors"]]
    return next(each for each in hosts if each != host_of(admin, server))


def vcpus_used(cloud) -> int:
    with cloud.cloud.db.read() as tx:
        return sum(each["vcpus_used"] for each in cloud.cloud.placement.usage(tx))


def refusal(answer) -> str:
    (fault,) = answer.json().values()
    return fault["message"]


# -- rebuild


def test_a_rebuild_keeps_id_and_addresses_and_answers_with_what_will_be(cloud, user, server, images):
    before = show(user, server)
    answer = act(user, server, "rebuild", {"imageRef": images[1], "name": "new", "metadata": {"a": "b"},
                                           "description": "d", "hostname": "fresh", "adminPass": "secret"})
    assert answer.status == 202
    assert answer.headers["Location"].endswith(f"/servers/{server}")
    said = answer.json()["server"]
    assert (said["status"], said["name"], said["image"]["id"], said["adminPass"]) == (
        "REBUILD", "new", images[1], "secret")
    cloud.settle()
    after = show(user, server)
    assert (after["status"], after["name"], after["metadata"], after["description"]) == ("ACTIVE", "new", {"a": "b"}, "d")
    assert (after["addresses"], after["id"]) == (before["addresses"], server)
    assert after["OS-EXT-SRV-ATTR:hostname"] == "fresh"


def test_a_stopped_server_stays_so_over_a_rebuild(cloud, user, server, images):
    act(user, server, "os-stop")
    cloud.settle()
    assert act(user, server, "rebuild", {"imageRef": images[1]}).status == 202
    cloud.settle()
    assert show(user, server)["status"] == "SHUTOFF"


@pytest.mark.parametrize(("body", "version", "field"), [
    ({}, NEWEST, "imageRef"),
    ({"imageRef": MISSING}, NEWEST, MISSING),
    ({"imageRef": "IMAGE", "name": ""}, NEWEST, "name"),
    ({"imageRef": "IMAGE", "name": " a"}, NEWEST, "name"),
    ({"imageRef": "IMAGE", "nonsense": 1}, NEWEST, "nonsense"),
    ({"imageRef": "IMAGE", "description": "x"}, "2.18", "description"),
    ({"imageRef": "IMAGE", "key_name": "k"}, "2.53", "key_name"),
    ({"imageRef": "IMAGE", "key_name": "k"}, "2.54", "k"),
    ({"imageRef": "IMAGE", "user_data": "aGk="}, "2.56", "user_data"),
    ({"imageRef": "IMAGE", "user_data": "not base64!"}, "2.57", "user_data"),
    ({"imageRef": "IMAGE", "hostname": "h1"}, "2.89", "hostname"),
    ({"imageRef": "IMAGE", "personality": []}, "2.57", "personality"),
    ({"imageRef": "IMAGE", "trusted_image_certificates": ["x"]}, "2.62", "trusted_image_certificates"),
    ({"imageRef": "IMAGE", "preserve_ephemeral": "maybe"}, NEWEST, "preserve_ephemeral"),
    ({"imageRef": "IMAGE", "accessIPv4": "nonsense"}, NEWEST, "accessIPv4"),
])
def test_what_a_rebuild_refuses(cloud, user, server, images, body, version, field):
    given = {name: images[0] if value == "IMAGE" else value for name, value in body.items()}
    answer = act(at(user, version), server, "rebuild", given)
    assert answer.status == 400
    assert field in refusal(answer)
    assert show(user, server)["status"] == "ACTIVE"


def test_what_later_microversions_say_of_a_rebuild(cloud, user, server, images):
    for version, fields in (("2.53", set()), ("2.54", {"key_name"}), ("2.57", {"key_name", "user_data"})):
        said = act(at(user, version), server, "rebuild", {"imageRef": images[0]}).json()["server"]
        assert said.keys() & {"key_name", "user_data"} == fields
        cloud.settle()
    given = act(user, server, "rebuild", {"imageRef": images[0], "user_data": "aGk="}).json()["server"]
    assert given["user_data"] == "aGk="
    cloud.settle()
    taken = act(user, server, "rebuild", {"imageRef": images[0], "user_data": None, "key_name": None}).json()["server"]
    assert (taken["user_data"], taken["key_name"]) == (None, None)
    cloud.settle()


def test_a_key_pair_given_at_a_rebuild_is_the_servers(cloud, user, server, images):
    made = user.request("POST", "/compute/v2.1/os-keypairs", {"keypair": {"name": "k", "public_key": (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEiE1iVh0Zcl+1Vq0mJUAjT8VR6Hy2oMlMb6nqXU9vXw t")}})
    assert made.status in (200, 201)
    assert act(user, server, "rebuild", {"imageRef": images[0], "key_name": "k"}).json()["server"]["key_name"] == "k"
    cloud.settle()
    assert show(user, server)["key_name"] == "k"


# -- resize


def test_a_resize_is_confirmed(cloud, user, admin, server):
    before = vcpus_used(cloud)
    assert act(user, server, "resize", {"flavorRef": "large"}).status == 202
    cloud.settle()
    found = show(user, server)
    assert (found["status"], found["flavor"]["original_name"]) == ("VERIFY_RESIZE", "large")
    assert vcpus_used(cloud) == before + 2, "both shares are held until there is a word"
    assert act(user, server, "os-stop").status == 409
    answer = act(user, server, "confirmResize")
    assert answer.status == 204
    cloud.settle()
    assert show(user, server)["status"] == "ACTIVE"
    assert vcpus_used(cloud) == before + 1
    (found,) = admin.get(f"/compute/v2.1/os-migrations?instance_uuid={server}")["migrations"]
    assert (found["status"], found["migration_type"]) == ("confirmed", "resize")


def test_a_resize_is_taken_back(cloud, user, admin, server):
    before, host = vcpus_used(cloud), host_of(admin, server)
    act(user, server, "resize", {"flavorRef": "large"})
    cloud.settle()
    assert act(user, server, "revertResize").status == 202
    cloud.settle()
    found = show(user, server)
    assert (found["status"], found["flavor"]["original_name"]) == ("ACTIVE", "small")
    assert (vcpus_used(cloud), host_of(admin, server)) == (before, host)


def test_a_stopped_server_is_resized_and_stays_so(cloud, user, server):
    act(user, server, "os-stop")
    cloud.settle()
    act(user, server, "resize", {"flavorRef": "large"})
    cloud.settle()
    act(user, server, "confirmResize")
    cloud.settle()
    cloud.cloud.engine.reconcilers["guests"].run_once()
    assert show(user, server)["status"] == "SHUTOFF"
    assert act(user, server, "os-start").status == 202
    cloud.settle()
    assert show(user, server)["status"] == "ACTIVE"


@pytest.mark.parametrize(("flavor", "status", "said"), [
    ("small", 400, "must change flavor"), ("nonsense", 400, "nonsense"), ("", 400, "flavorRef"), (None, 400, "flavorRef"),
    ("huge", 403, "ram"),
])
def test_what_a_resize_refuses(user, server, flavor, status, said):
    answer = act(user, server, "resize", {"flavorRef": flavor})
    assert (answer.status, said in refusal(answer)) == (status, True)
    assert show(user, server)["status"] == "ACTIVE"


def test_a_disk_is_not_made_smaller(cloud, user, server):
    act(user, server, "resize", {"flavorRef": "large"})
    cloud.settle()
    act(user, server, "confirmResize")
    cloud.settle()
    answer = act(user, server, "resize", {"flavorRef": "small"})
    assert (answer.status, "smaller" in refusal(answer)) == (400, True)


@pytest.mark.parametrize("action", ["confirmResize", "revertResize"])
def test_a_word_on_a_resize_that_was_none(user, server, action):
    assert act(user, server, action).status == 409


def test_a_resized_server_that_is_deleted_leaves_nothing(cloud, user, admin, server):
    act(user, server, "resize", {"flavorRef": "large"})
    cloud.settle()
    assert user.request("DELETE", f"{SERVERS}/{server}").status == 204
    cloud.settle()
    assert vcpus_used(cloud) == 0
    assert not any(agent.disks.disks() for agent in cloud.cloud.site.agents)


# -- migrations


def test_a_cold_migration_changes_the_host(cloud, user, admin, server):
    host, target = host_of(admin, server), other_host(admin, server)
    assert act(user, server, "migrate").status == 403
    assert act(at(admin, "2.55"), server, "migrate", {"host": "nonsense"}).status == 202, "no host before 2.56"
    cloud.settle()
    act(user, server, "confirmResize")
    cloud.settle()
    assert host_of(admin, server) == target
    assert act(admin, server, "migrate", {"host": "nonsense"}).status == 400
    assert act(admin, server, "migrate", {"host": target}).status == 400, "it is there"
    assert act(admin, server, "migrate", {"host": host}).status == 202
    cloud.settle()
    assert show(admin, server)["status"] == "VERIFY_RESIZE"
    act(admin, server, "revertResize")
    cloud.settle()
    assert host_of(admin, server) == target


@pytest.mark.parametrize("state", ["ACTIVE", "PAUSED"])
def test_a_live_migration(cloud, user, admin, server, state):
    if state == "PAUSED":
        act(user, server, "pause")
        cloud.settle()
    target = other_host(admin, server)
    answer = act(admin, server, "os-migrateLive", {"host": target, "block_migration": "auto"})
    assert answer.status == 202
    cloud.settle()
    assert (host_of(admin, server), show(admin, server)["status"]) == (target, state)
    listed = admin.get(f"/compute/v2.1/os-migrations?instance_uuid={server}&migration_type=live-migration")
    assert [each["status"] for each in listed["migrations"]] == ["completed"]
    assert admin.get(f"{SERVERS}/{server}/migrations") == {"migrations": []}


@pytest.mark.parametrize(("version", "body", "field"), [
    ("2.1", {"host": None, "block_migration": True}, "disk_over_commit"),
    ("2.24", {"host": None, "block_migration": "auto", "disk_over_commit": False}, "block_migration"),
    ("2.25", {"host": None, "block_migration": "auto", "disk_over_commit": False}, "disk_over_commit"),
    ("2.25", {"block_migration": "auto"}, "host"),
    ("2.29", {"host": None, "block_migration": "auto", "force": True}, "force"),
    ("2.30", {"host": None, "block_migration": "auto", "force": True}, "force"),
    ("2.68", {"host": None, "block_migration": "auto", "force": False}, "force"),
    (NEWEST, {"host": "nonsense", "block_migration": "auto"}, "nonsense"),
    (NEWEST, {"host": None, "block_migration": False}, "shared storage"),
])
def test_what_a_live_migration_refuses(admin, server, version, body, field):
    answer = act(at(admin, version), server, "os-migrateLive", body)
    assert (answer.status, field in refusal(answer)) == (400, True)
    assert show(admin, server)["status"] == "ACTIVE"


@pytest.fixture
def slow(cloud):
    """Guests take for ever to get to another host."""
    for agent in cloud.cloud.site.agents:
        agent.hypervisor.slow = True
    yield
    for agent in cloud.cloud.site.agents:
        agent.hypervisor.slow = False


def under_way(admin: Session, server: str) -> dict:
    act(admin, server, "os-migrateLive", {"host": None, "block_migration": "auto"})
    path = f"{SERVERS}/{server}/migrations"
    eventually(lambda: [each["status"] for each in admin.get(path)["migrations"]] == ["running"], 10, "a migration")
    return admin.get(path)["migrations"][0]


def test_a_live_migration_under_way_is_shown_and_aborted(cloud, user, admin, server, slow):
    host = host_of(admin, server)
    found = under_way(admin, server)
    path = f"{SERVERS}/{server}/migrations/{found['id']}"
    assert admin.get(path)["migration"]["memory_remaining_bytes"] == 256 << 20
    assert (found["source_compute"], found["server_uuid"], show(admin, server)["status"]) == (host, server, "MIGRATING")
    assert user.request("GET", path).status == 403
    assert at(admin, "2.22").request("GET", path).status == 404
    assert admin.request("DELETE", path).status == 202
    cloud.settle()
    assert (host_of(admin, server), show(admin, server)["status"]) == (host, "ACTIVE")
    assert admin.request("GET", path).status == 404
    assert admin.request("DELETE", path).status == 400
    listed = admin.get(f"/compute/v2.1/os-migrations?instance_uuid={server}")["migrations"]
    assert [each["status"] for each in listed] == ["cancelled"]


def test_a_live_migration_is_forced_to_its_end(cloud, admin, server, slow):
    host = host_of(admin, server)
    path = f"{SERVERS}/{server}/migrations/{under_way(admin, server)['id']}"
    assert admin.request("POST", path + "/action", {"nonsense": None}).status == 400
    assert admin.request("POST", path + "/action", {"force_complete": None}).status == 202
    cloud.settle()
    assert host_of(admin, server) != host
    assert admin.request("POST", path + "/action", {"force_complete": None}).status == 400
    assert admin.request("POST", f"{SERVERS}/{server}/migrations/x/action", {"force_complete": None}).status == 404


# -- evacuation


def test_an_evacuation_and_the_return_of_the_host(cloud, user, admin, server):
    host = host_of(admin, server)
    assert act(user, server, "evacuate", {}).status == 403
    assert act(admin, server, "evacuate", {}).status == 400, "its host is up"
    cloud.cloud.compute.change_host(host, forced_down=True)
    addresses, held = show(user, server)["addresses"], vcpus_used(cloud)
    try:
        assert act(admin, server, "evacuate", {"host": host}).status == 400
        assert act(admin, server, "evacuate", {"host": "nonsense"}).status == 404
        answer = act(at(admin, "2.13"), server, "evacuate", {"onSharedStorage": False})
        assert (answer.status, set(answer.json())) == (200, {"adminPass"})
        cloud.settle()
    finally:
        cloud.cloud.compute.change_host(host, forced_down=False)
    assert (show(user, server)["status"], show(user, server)["addresses"]) == ("ACTIVE", addresses)
    assert host_of(admin, server) != host
    old = next(agent for agent in cloud.cloud.site.agents if agent.name == host)
    assert server in old.hypervisor.guests(), "nobody could tell its host"
    assert vcpus_used(cloud) == held + 1
    for _ in range(2):
        cloud.cloud.engine.reconcilers["guests"].run_once()
    assert server not in old.hypervisor.guests()
    assert vcpus_used(cloud) == held
    listed = admin.get(f"/compute/v2.1/os-migrations?instance_uuid={server}&status=completed")["migrations"]
    assert [each["migration_type"] for each in listed] == ["evacuation"]


def test_from_2_95_on_an_evacuated_server_stays_off(cloud, user, admin, server):
    host = host_of(admin, server)
    cloud.cloud.compute.change_host(host, forced_down=True)
    try:
        answer = act(at(admin, "2.95"), server, "evacuate", {})
        assert (answer.status, answer.body) == (200, b"")
        cloud.settle()
    finally:
        cloud.cloud.compute.change_host(host, forced_down=False)
    assert show(user, server)["status"] == "SHUTOFF"


# -- the list


def test_migrations_are_listed_in_pages_and_by_what_they_are(cloud, user, admin, server):
    for _ in range(2):
        act(admin, server, "migrate")
        cloud.settle()
        act(admin, server, "confirmResize")
        cloud.settle()
    path = "/compute/v2.1/os-migrations"
    assert user.request("GET", path).status == 403
    page = admin.get(f"{path}?instance_uuid={server}&limit=1")
    assert len(page["migrations"]) == 1
    assert page["migrations_links"][0]["rel"] == "next"
    first = page["migrations"][0]
    rest = admin.get(f"{path}?instance_uuid={server}&marker={first['uuid']}")["migrations"]
    assert len(rest) == 1
    assert rest[0]["id"] < first["id"]
    assert first["source_compute"] == rest[0]["dest_compute"]
    assert len(admin.get(f"{path}?instance_uuid={server}&host={first['source_compute']}")["migrations"]) == 2
    assert admin.get(f"{path}?hidden=true") == {"migrations": []}
    for query in (f"marker={MISSING}", "nonsense=1", "changes-since=nonsense", "limit=-1"):
        assert admin.request("GET", f"{path}?{query}").status == 400, query
    assert at(admin, "2.58").request("GET", f"{path}?nonsense=1").status == 200
    old = at(admin, "2.1").get(f"{path}?instance_uuid={server}")["migrations"][0]
    assert not old.keys() & {"uuid", "migration_type", "project_id"}


def test_a_list_of_many_migrations_takes_as_many_queries_as_one_of_few(cloud, admin, server):
    with cloud.cloud.db.counting("request") as few:
        admin.get("/compute/v2.1/os-migrations?limit=1")
    with cloud.cloud.db.counting("request") as many:
        admin.get("/compute/v2.1/os-migrations")
    assert len([each for each in many if "migrations" in each]) == len([each for each in few if "migrations" in each]) == 1


# -- networks, states


def test_network_information_is_told_again(cloud, user, admin, server):
    assert act(user, server, "injectNetworkInfo").status == 403
    assert act(admin, server, "injectNetworkInfo").status == 202
    assert act(admin, server, "resetNetwork").status == 410


def test_resizes_that_nobody_has_a_word_on_are_confirmed(tmp_path):
    with simulated_cloud(tmp_path / "auto", vcpus=8, memory_mib=8192, disk_gib=100, resize_confirm_seconds=1) as cloud:
        user, image = cloud.login(), cloud.image()
        made = user.post(SERVERS, {"server": {"name": "s", "imageRef": image, "flavorRef": "1",
                                              "networks": "none"}})["server"]["id"]
        cloud.settle()
        act(user, made, "resize", {"flavorRef": "2"})
        cloud.settle()
        assert show(user, made)["status"] == "VERIFY_RESIZE"
        runner = cloud.cloud.engine.reconcilers["resizes"]
        eventually(lambda: runner.run_once() or show(user, made)["status"] == "ACTIVE", 20, "the resize confirmed")
