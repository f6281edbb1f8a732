"""Volumes of servers over HTTP."""

from __future__ import annotations

import pytest

from pilvi.settings import BackendSettings, VolumeSettings
from pilvi.volume import store, tables
from tests.api.test_volume import call, make, show, status
from tests.support.cloud import simulated_cloud
from tests.support.wait import eventually

SERVERS = "/compute/v2.1/servers"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    root = tmp_path_factory.mktemp("cloud")
    more = VolumeSettings((BackendSettings("second", str(root / "second")),))
    with simulated_cloud(root / "state", volume=more) as served:
        served.image_id = served.image()
        yield served


@pytest.fixture
def member(cloud, request):
    return cloud.new_user(f"user-{request.node.name}"[:60])


@pytest.fixture
def server(cloud, member):
    network = cloud.network(member)
    flavor = member.get("/compute/v2.1/flavors")["flavors"][0]["id"]
    made = member.post(SERVERS, {"server": {"name": "s", "imageRef": cloud.image_id, "flavorRef": flavor,
                                            "networks": [{"uuid": network}]}})["server"]["id"]
    cloud.settle()
    return made


@pytest.fixture
def hypervisor(cloud):
    found = cloud.cloud.site.agents[0].hypervisor
    yield found
    found.heal()


def attach(cloud, member, server, volume, **more):
    body = {"volumeAttachment": {"volumeId": volume, **more}}
    answer = member.request("POST", f"{SERVERS}/{server}/os-volume_attachments", body)
    cloud.settle()
    return answer


def disks(hypervisor, server):
    return [each.name for each in hypervisor._alive(server).guest.disks]


def test_attached_shown_and_detached(cloud, member, server, hypervisor):
    volume = make(cloud, member, size=1)
    answer = attach(cloud, member, server, volume, device="/dev/vdc", tag="data", delete_on_termination=True)
    assert answer.status == 200
    assert answer.json()["volumeAttachment"]["device"] == "/dev/vdc"
    assert f"vol-{volume}" in disks(hypervisor, server)
    found = show(member, f"/volumes/{volume}")
    (used,) = found["attachments"]
    assert (found["status"], used["server_id"], used["device"]) == ("in-use", server, "/dev/vdc")
    base = f"{SERVERS}/{server}/os-volume_attachments"
    (entry,) = member.get(base)["volumeAttachments"]
    assert (entry["volumeId"], entry["tag"], entry["delete_on_termination"]) == (volume, "data", True)
    assert member.get(f"{base}/{volume}")["volumeAttachment"] == entry
    shown = member.get(f"{SERVERS}/{server}")["server"]["os-extended-volumes:volumes_attached"]
    assert shown == [{"id": volume, "delete_on_termination": True}]
    assert member.request("DELETE", f"{base}/{volume}").status == 202
    cloud.settle()
    assert status(member, volume) == "available"
    assert member.get(base) == {"volumeAttachments": []}
    assert f"vol-{volume}" not in disks(hypervisor, server)
    assert member.request("DELETE", f"{base}/{volume}").status == 404


def test_what_is_in_use_is_not_taken_away(cloud, member, server):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    assert attach(cloud, member, server, volume).status == 400
    assert call(member, "DELETE", f"/volumes/{volume}").status == 400
    attachment = show(member, f"/volumes/{volume}")["attachments"][0]["attachment_id"]
    assert call(member, "DELETE", f"/attachments/{attachment}").status == 409
    assert call(member, "POST", f"/volumes/{volume}/action", {"os-detach": {}}).status == 409
    other = make(cloud, member, size=1)
    assert attach(cloud, member, server, other, device="/dev/vdb").status == 400
    assert status(member, other) == "available"


def test_what_is_not_there(cloud, member, server):
    assert attach(cloud, member, server, "00000000-0000-4000-8000-000000000000").status == 404
    assert attach(cloud, member, server, "no").status == 400
    volume = make(cloud, member, size=1)
    assert attach(cloud, member, server, volume, colour="red").status == 400
    other = cloud.login()
    assert other.request("POST", f"{SERVERS}/{server}/os-volume_attachments",
                         {"volumeAttachment": {"volumeId": volume}}).status == 404


def test_a_server_that_goes_gives_its_volumes_back(cloud, member, server):
    kept, gone = make(cloud, member, size=1), make(cloud, member, size=1)
    attach(cloud, member, server, kept)
    attach(cloud, member, server, gone)
    base = f"{SERVERS}/{server}/os-volume_attachments"
    body = {"volumeAttachment": {"volumeId": gone, "delete_on_termination": True}}
    assert member.request("PUT", f"{base}/{gone}", body).status == 202
    assert member.request("DELETE", f"{SERVERS}/{server}").status == 204
    cloud.settle()
    assert status(member, kept) == "available"
    assert call(member, "GET", f"/volumes/{gone}").status == 404


def test_a_volume_that_cannot_be_plugged_is_free_again(cloud, member, server, hypervisor):
    volume = make(cloud, member, size=1)
    hypervisor.fail("attach_disk", "no room", None)
    attach(cloud, member, server, volume)
    assert status(member, volume) == "available"
    assert member.get(f"{SERVERS}/{server}/os-volume_attachments") == {"volumeAttachments": []}


def test_one_that_a_stopped_server_gets_is_there_when_it_is_started(cloud, member, server, hypervisor):
    member.post(f"{SERVERS}/{server}/action", {"os-stop": None})
    cloud.settle()
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    assert status(member, volume) == "in-use"
    member.post(f"{SERVERS}/{server}/action", {"os-start": None})
    cloud.settle()
    assert f"vol-{volume}" in disks(hypervisor, server)


def test_snapshots_and_growth_while_it_is_in_use(cloud, member, server):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    assert call(member, "POST", "/snapshots", {"snapshot": {"volume_id": volume}}, "3.65").status == 400
    snapshot = make(cloud, member, "/snapshots", "snapshot", version="3.65", volume_id=volume, force=True)
    assert show(member, f"/snapshots/{snapshot}")["status"] == "available"
    assert call(member, "POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}}, "3.41").status == 400
    assert call(member, "POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}}).status == 202
    cloud.settle()
    assert (show(member, f"/volumes/{volume}")["size"], status(member, volume)) == (2, "in-use")
    assert cloud.cloud.site.volumes.info(volume).size_bytes == 2 << 30


def actions(member, server):
    """The server's actions, by their names, newest first: each with its events."""
    base = f"{SERVERS}/{server}/os-instance-actions"
    return {each["action"]: member.get(f"{base}/{each['request_id']}")["instanceAction"]
            for each in reversed(member.get(base)["instanceActions"])}


def test_what_grew_is_an_action_of_the_server(cloud, member, server, hypervisor):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    call(member, "POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}})
    cloud.settle()
    (event,) = actions(member, server)["extend_volume"]["events"]
    assert (event["event"], event["result"]) == ("compute_extend_volume", "Success")


def event(cloud, server, tag):
    body = {"events": [{"name": "volume-extended", "server_uuid": server, "status": "completed", **tag}]}
    answer = cloud.login("admin").request("POST", "/compute/v2.1/os-server-external-events", body)
    cloud.settle()
    return answer.json()["events"][0]["code"] if answer.status != 404 else 404


def test_told_that_a_volume_grew(cloud, member, server):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    assert event(cloud, server, {"tag": volume}) == 200
    assert "extend_volume" in actions(member, server)
    assert event(cloud, server, {}) == 404


def test_one_volume_is_not_exchanged_for_another(cloud, member, server):
    volume, other = make(cloud, member, size=1), make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    at, body = f"{SERVERS}/{server}/os-volume_attachments/{volume}", {"volumeAttachment": {"volumeId": other}}
    assert member.request("PUT", at, body).status == 403
    assert cloud.login("admin").request("PUT", at, body).status == 409
    assert (status(member, volume), status(member, other)) == ("in-use", "available")
    assert cloud.login("admin").request("PUT", at.replace(volume, other), body).status == 400
    assert cloud.login("admin").request("PUT", at.replace(volume, other),
                               {"volumeAttachment": {"volumeId": volume}}).status == 404


def test_a_service_asks_for_a_snapshot_of_what_a_server_has(cloud, member, server):
    admin, base = cloud.login("admin"), "/compute/v2.1/os-assisted-volume-snapshots"
    volume, key = make(cloud, member, size=1), "5fd6e2a4-0000-4000-8000-000000000001"
    body = {"snapshot": {"volume_id": volume, "create_info": {"snapshot_id": key, "type": "qcow2", "new_file": "f"}}}
    gone = f"{base}/{key}?delete_info=%7B%22volume_id%22%3A%22{volume}%22%7D"
    assert member.request("POST", base, body).status == 403
    assert admin.request("POST", base, {"snapshot": {"volume_id": volume}}).status == 400
    assert admin.request("POST", base, body).status == 404, "no server has it"
    attach(cloud, member, server, volume)
    assert admin.post(base, body) == {"snapshot": {"id": key, "volumeId": volume}}
    cloud.settle()
    shown = member.get(f"/volume/v3/snapshots/{key}")["snapshot"]
    assert (shown["status"], shown["volume_id"]) == ("available", volume)
    assert key in cloud.cloud.site.volumes.snapshots()
    assert admin.request("POST", base, body).status == 400, "it is there"
    assert admin.request("DELETE", f"{base}/{key}").status == 400
    assert admin.request("DELETE", gone.replace(volume, key)).status == 404
    assert admin.request("DELETE", gone).status == 204
    cloud.settle()
    assert member.request("GET", f"/volume/v3/snapshots/{key}").status == 404
    assert key not in cloud.cloud.site.volumes.snapshots()


def act(cloud, member, server, action):
    member.post(f"{SERVERS}/{server}/action", {action: None})
    cloud.settle()


@pytest.mark.parametrize(("action", "back"), [("pause", "unpause"), ("shelve", "unshelve"), ("stop", "os-start")])
def test_at_rest_given_and_taken(cloud, member, server, hypervisor, action, back):
    gone, kept = make(cloud, member, size=1), make(cloud, member, size=1)
    act(cloud, member, server, "os-stop" if action == "stop" else action)
    for volume in (gone, kept):
        assert attach(cloud, member, server, volume).status == 200
        assert status(member, volume) == "in-use"
    assert member.request("DELETE", f"{SERVERS}/{server}/os-volume_attachments/{gone}").status == 202
    cloud.settle()
    assert status(member, gone) == "available"
    act(cloud, member, server, back)
    assert [each for each in disks(hypervisor, server) if each.startswith("vol-")] == [f"vol-{kept}"]


def test_a_suspended_server_knows_its_disks(cloud, member, server):
    volume = make(cloud, member, size=1)
    act(cloud, member, server, "suspend")
    assert attach(cloud, member, server, volume).status == 409
    assert status(member, volume) == "available"


def test_a_guest_that_cannot_write_elsewhere_has_no_snapshot(cloud, member, server, hypervisor):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    hypervisor.fail("redirect_disk", "no", None)
    snapshot = make(cloud, member, "/snapshots", "snapshot", volume_id=volume)
    assert show(member, f"/snapshots/{snapshot}")["status"] == "error"
    assert (status(member, volume), cloud.cloud.site.volumes.snapshot(snapshot)) == ("in-use", None)


def volume_type(cloud, name, specs=None, qos=None):
    admin = cloud.login("admin")
    made = call(admin, "POST", "/types", {"volume_type": {"name": name, "extra_specs": specs or {}}}).json()["volume_type"]
    if qos is not None:
        limits = call(admin, "POST", "/qos-specs", {"qos_specs": {"name": name, **qos}}).json()["qos_specs"]["id"]
        assert call(admin, "GET", f"/qos-specs/{limits}/associate?vol_type_id={made['id']}").status == 202
    return name


def disk(hypervisor, server, volume):
    return next(each for each in hypervisor._alive(server).guest.disks if each.name == f"vol-{volume}")


def another_server(cloud, member):
    flavor = member.get("/compute/v2.1/flavors")["flavors"][0]["id"]
    network = member.get("/network/v2.0/networks?router:external=false")["networks"][0]["id"]
    made = member.post(SERVERS, {"server": {"name": "t", "imageRef": cloud.image_id, "flavorRef": flavor,
                                            "networks": [{"uuid": network}]}})["server"]["id"]
    cloud.settle()
    return made


def test_servers_share_what_is_to_be_shared(cloud, member, server, hypervisor):
    other, volume = another_server(cloud, member), make(cloud, member, size=1, volume_type=volume_type(
        cloud, "shared", {"multiattach": "<is> True"}))
    attached = {"volumeAttachment": {"volumeId": volume}}
    old = member.request("POST", f"{SERVERS}/{server}/os-volume_attachments", attached,
                         {"OpenStack-API-Version": "compute 2.59"})
    assert (old.status, "2.60" in old.json()["badRequest"]["message"]) == (400, True)
    for each in (server, other):
        assert attach(cloud, member, each, volume).status == 200
        assert (disk(hypervisor, each, volume).shared, disk(hypervisor, each, volume).format) == (True, "raw")
    assert {each["server_id"] for each in show(member, f"/volumes/{volume}")["attachments"]} == {server, other}
    # What several write to is at no moment whole, so it is not copied.
    for path, body in (("/snapshots", {"snapshot": {"volume_id": volume, "force": True}}),
                       ("/volumes", {"volume": {"source_volid": volume}}),
                       ("/backups", {"backup": {"volume_id": volume, "force": True}})):
        assert call(member, "POST", path, body, "3.50").status == 400, path
    with cloud.cloud.db.transaction() as tx:
        (held,) = (each.id for each in store.attachments_of(tx, [volume])[volume] if each.server_id == server)
        cloud.cloud.volume.start_detaching(tx, held)
    assert status(member, volume) == "detaching"  # though another server still has it
    member.request("DELETE", f"{SERVERS}/{server}/os-volume_attachments/{volume}")
    cloud.settle()
    assert status(member, volume) == "in-use"
    alone = make(cloud, member, "/snapshots", "snapshot", version="3.50", volume_id=volume, force=True)
    assert show(member, f"/snapshots/{alone}")["status"] == "available"
    member.request("DELETE", f"{SERVERS}/{other}/os-volume_attachments/{volume}")
    cloud.settle()
    assert status(member, volume) == "available"
    snapshot = make(cloud, member, "/snapshots", "snapshot", volume_id=volume)
    assert show(member, f"/snapshots/{snapshot}")["status"] == "available"
    with cloud.cloud.db.transaction() as tx:
        store.update(tx, tables.snapshots, snapshot, status="creating")
    assert attach(cloud, member, server, volume).status == 400  # it would be copied while another begins to write
    with cloud.cloud.db.transaction() as tx:
        store.update(tx, tables.snapshots, snapshot, status="available")
    act(cloud, member, other, "shelve")
    assert attach(cloud, member, other, volume).status == 400
    assert attach(cloud, member, server, volume).status == 200
    assert disk(hypervisor, server, volume).format == "raw"


def test_an_ordinary_volume_is_one_server_s(cloud, member, server):
    other, volume = another_server(cloud, member), make(cloud, member, size=1)
    assert attach(cloud, member, server, volume).status == 200
    assert attach(cloud, member, other, volume).status == 400
    assert attach(cloud, member, server, volume).status == 400


def test_limits_are_kept_where_the_guest_runs(cloud, member, server, hypervisor):
    slow = volume_type(cloud, "slow", qos={"consumer": "front-end", "total_iops_sec": "100", "read_bytes_sec_per_gb": "7"})
    slower = volume_type(cloud, "slower", qos={"consumer": "both", "total_iops_sec": "50"})
    theirs = volume_type(cloud, "backend's", qos={"consumer": "back-end", "total_iops_sec": "1"})
    volume = make(cloud, member, size=2, volume_type=slow)
    attach(cloud, member, server, volume)
    assert disk(hypervisor, server, volume).limits == {"total_iops_sec": 100, "read_bytes_sec": 14}
    for kind, limits in ((slower, {"total_iops_sec": 50}), (theirs, {}),
                         (slow, {"total_iops_sec": 100, "read_bytes_sec": 14})):
        assert call(member, "POST", f"/volumes/{volume}/action", {"os-retype": {"new_type": kind}}).status == 202
        cloud.settle()
        assert (show(member, f"/volumes/{volume}")["volume_type"], status(member, volume)) == (kind, "in-use")
        assert disk(hypervisor, server, volume).limits == limits
    act(cloud, member, server, "os-stop")
    act(cloud, member, server, "os-start")
    assert disk(hypervisor, server, volume).limits == {"total_iops_sec": 100, "read_bytes_sec": 14}


def test_a_retype_that_fails_changes_nothing(cloud, member, server, hypervisor):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    kind = volume_type(cloud, "slowest", qos={"consumer": "front-end", "total_iops_sec": "1"})
    hypervisor.fail("limit_disk", "no", 1)
    assert call(member, "POST", f"/volumes/{volume}/action", {"os-retype": {"new_type": kind}}).status == 202
    cloud.settle()
    assert (show(member, f"/volumes/{volume}")["volume_type"], status(member, volume)) == ("__DEFAULT__", "in-use")
    assert disk(hypervisor, server, volume).limits == {}


def test_the_key_of_an_encrypted_volume_is_sealed_on_its_way(cloud, member, server, hypervisor):
    kind, admin = volume_type(cloud, "secret"), cloud.login("admin")
    key = next(each["id"] for each in show(admin, "/types") if each["name"] == kind)
    body = {"encryption": {"provider": "luks2", "control_location": "front-end"}}
    assert call(admin, "POST", f"/types/{key}/encryption", body).status == 200
    volume = make(cloud, member, size=1, volume_type=kind)
    assert attach(cloud, member, server, volume).status == 200
    sealed = disk(hypervisor, server, volume).key
    assert len(cloud.cloud.volume_keys.decrypt(sealed)) == 64
    call(member, "POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}})
    cloud.settle()
    assert (status(member, volume), cloud.cloud.site.volumes.info(volume).size_bytes) == ("in-use", (2 << 30) + (2 << 20))


@pytest.fixture
def other_type(cloud):
    admin = cloud.login("admin")
    specs = {"volume_backend_name": "second"}
    if all(each["name"] != "elsewhere" for each in show(admin, "/types")):
        call(admin, "POST", "/types", {"volume_type": {"name": "elsewhere", "extra_specs": specs}})
    return "elsewhere"


def stores(cloud):
    return [cloud.cloud.site.agents[0].volumes.at(name) for name in ("file", "second")]


def where(cloud, volume):
    return [name for name, store in zip(("file", "second"), stores(cloud), strict=True) if volume in store.volumes()]


def host(cloud, backend):
    pools = show(cloud.login("admin"), "/scheduler-stats/get_pools")
    return next(each["name"] for each in pools if f"@{backend}#" in each["name"])


def migrate(cloud, volume, backend):
    order = {"os-migrate_volume": {"host": host(cloud, backend).partition("#")[0]}}
    answer = call(cloud.login("admin"), "POST", f"/volumes/{volume}/action", order)
    cloud.settle()
    return answer


def test_a_type_says_where_a_volume_is(cloud, member, other_type):
    one, other = make(cloud, member, size=1), make(cloud, member, size=1, volume_type=other_type)
    assert (where(cloud, one), where(cloud, other)) == (["file"], ["second"])
    copy = make(cloud, member, source_volid=other)
    assert where(cloud, copy) == ["second"]
    admin = cloud.login("admin")
    assert show(admin, f"/volumes/{other}")["os-vol-host-attr:host"] == host(cloud, "second")
    services = show(admin, "/os-services?binary=cinder-volume")
    assert [each["host"].partition("@")[2] for each in services] == ["file", "second"]


def test_a_volume_goes_to_another_backend(cloud, member):
    volume = make(cloud, member, size=1)
    assert call(member, "POST", f"/volumes/{volume}/action", {"os-migrate_volume": {"host": "x"}}).status == 403
    for wrong in ("nowhere@else", host(cloud, "file")):
        order = {"os-migrate_volume": {"host": wrong}}
        assert call(cloud.login("admin"), "POST", f"/volumes/{volume}/action", order).status == 400
    assert migrate(cloud, volume, "second").status == 202
    shown = show(cloud.login("admin"), f"/volumes/{volume}")
    assert (shown["status"], shown["migration_status"], where(cloud, volume)) == ("available", "success", ["second"])
    assert shown["os-vol-host-attr:host"] == host(cloud, "second")
    make(cloud, member, "/snapshots", "snapshot", volume_id=volume)
    assert migrate(cloud, volume, "file").status == 400


@pytest.mark.parametrize("state", ["running", "os-stop", "shelve"])
def test_under_its_server(cloud, member, server, hypervisor, other_type, state):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    if state != "running":
        act(cloud, member, server, state)
    order = {"os-retype": {"new_type": other_type, "migration_policy": "never"}}
    assert call(member, "POST", f"/volumes/{volume}/action", order).status == 400
    order["os-retype"]["migration_policy"] = "on-demand"
    assert call(member, "POST", f"/volumes/{volume}/action", order).status == 202
    cloud.settle()
    shown = show(cloud.login("admin"), f"/volumes/{volume}")
    assert (shown["status"], shown["volume_type"], shown["migration_status"]) == ("in-use", other_type, "success")
    assert where(cloud, volume) == ["second"]
    if state == "running":
        assert "second" in disk(hypervisor, server, volume).path
    else:
        act(cloud, member, server, {"os-stop": "os-start", "shelve": "unshelve"}[state])
        assert disk(hypervisor, server, volume).path == stores(cloud)[1].info(volume).path
    assert member.request("DELETE", f"{SERVERS}/{server}/os-volume_attachments/{volume}").status == 202
    cloud.settle()
    assert call(member, "DELETE", f"/volumes/{volume}").status == 202
    cloud.settle()
    assert where(cloud, volume) == []


@pytest.mark.parametrize("verb", ["mirror_disk", "switch_disk"])
def test_a_move_that_fails_and_one_that_is_cut_short(cloud, member, server, hypervisor, verb):
    """Before the guest has the other it can be undone; after that it is carried on with."""
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    hypervisor.fail(verb, "no", 1)
    assert migrate(cloud, volume, "second").status == 202
    shown = show(cloud.login("admin"), f"/volumes/{volume}")
    if verb == "mirror_disk":
        assert (shown["status"], shown["migration_status"], where(cloud, volume)) == ("in-use", "error", ["file"])
        assert stores(cloud)[1].info(f"to-{volume}") is None
        assert migrate(cloud, volume, "second").status == 202
    eventually(lambda: status(member, volume) == "in-use", 30, "the second attempt")
    shown = show(cloud.login("admin"), f"/volumes/{volume}")
    assert (shown["migration_status"], where(cloud, volume)) == ("success", ["second"])
    assert stores(cloud)[1].volumes().count(volume) == 1
    assert not [name for name in stores(cloud)[1].volumes() if name.startswith(("to-", "now-"))]
