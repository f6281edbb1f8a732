"""Block Storage over HTTP."""

from __future__ import annotations

import pytest

from pilvi.drivers.volume.simulated import SimulatedVolumes
from pilvi.volume import tables
from tests.support.cloud import Session, simulated_cloud
from tests.support.wait import eventually

V3 = "/volume/v3"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as served:
        yield served


@pytest.fixture
def volumes(cloud) -> SimulatedVolumes:
    found = cloud.cloud.site.volumes
    yield found
    found.heal()


@pytest.fixture
def member(cloud, request) -> Session:
    return cloud.new_user(f"user-{request.node.name}"[:60])


def call(session, method, path, body=None, version="3.71"):
    return session.request(method, V3 + path, body, {"OpenStack-API-Version": f"volume {version}"})


def make(cloud, session, path="/volumes", key="volume", version="3.71", **body):
    """Made, and settled."""
    answer = call(session, "POST", path, {key: body}, version)
    assert answer.status in (200, 202), answer.body
    cloud.settle()
    return answer.json()[key]["id"]


def show(session, path, version="3.71"):
    answer = call(session, "GET", path, version=version)
    assert answer.status == 200, answer.body
    return next(iter(answer.json().values()))


def status(session, volume_id):
    return show(session, f"/volumes/{volume_id}")["status"]


def act(session, volume_id, name, value=None, version="3.71"):
    return call(session, "POST", f"/volumes/{volume_id}/action", {name: value}, version)


# -- volumes


def test_a_volume_is_made_shown_listed_and_deleted(cloud, member, volumes):
    volume = make(cloud, member, size=2, name="data", metadata={"a": "b"})
    found = show(member, f"/volumes/{volume}")
    assert (found["status"], found["size"], found["name"], found["metadata"]) == ("available", 2, "data", {"a": "b"})
    assert [each["id"] for each in show(member, "/volumes/detail")] == [volume]
    assert volumes.info(volume).size_bytes == 2 << 30
    assert call(member, "DELETE", f"/volumes/{volume}").status == 202
    cloud.settle()
    assert call(member, "GET", f"/volumes/{volume}").status == 404
    assert volumes.info(volume) is None


def test_nobody_else_sees_it(cloud, member):
    volume, other = make(cloud, member, size=1), cloud.login()
    for method, path, body in (("GET", "", None), ("DELETE", "", None), ("PUT", "", {"volume": {"name": "x"}}),
                               ("GET", "/metadata", None), ("POST", "/action", {"os-extend": {"new_size": 2}})):
        assert call(other, method, f"/volumes/{volume}{path}", body).status == 404
    assert volume not in [each["id"] for each in show(other, "/volumes")]


def test_another_image_is_written_to_it(cloud, member, volumes):
    image, small = cloud.image(f"new-{member.project_id}"[:60]), make(cloud, member, size=1)
    assert act(member, small, "os-reimage", {"image_id": image}, "3.67").status == 400
    assert act(member, small, "os-reimage", {"image_id": image}).status == 202
    cloud.settle()
    found = show(member, f"/volumes/{small}")
    assert (found["status"], found["bootable"], found["volume_image_metadata"]["image_id"]) == ("available", "true", image)
    assert act(member, small, "os-reimage", {"image_id": "00000000-0000-4000-8000-000000000000"}).status == 400
    volumes.fail("reimage", "no luck", None)
    assert act(member, small, "os-reimage", {"image_id": image, "reimage_reserved": True}).status == 202
    cloud.settle()
    assert status(member, small) == "error"
    volumes.heal()
    assert act(member, small, "os-reimage", {"image_id": image}).status == 202
    cloud.settle()
    assert status(member, small) == "available"


def test_the_older_address_names_the_project(cloud, member):
    volume = make(cloud, member, size=1)
    assert call(member, "GET", f"/{member.project_id}/volumes/{volume}").status == 200
    answer = call(member, "GET", f"/{'0' * 32}/volumes/{volume}")
    assert (answer.status, answer.json()["badRequest"]["message"]) == (400, "Malformed request url")


@pytest.mark.parametrize(("body", "word"), [
    ({"size": 0}, "size"), ({"size": -1}, "size"), ({"size": "x"}, "size"), ({}, "size"), ({"size": 1, "name": "x" * 256},
                                                                                       "name"),
    ({"size": 1, "metadata": {"a": 1}}, "metadata"), ({"size": 1, "colour": "red"}, "colour"),
    ({"size": 1, "availability_zone": "mars"}, "mars"), ({"size": 1, "imageRef": "nope"}, "image"),
    ({"size": 1, "snapshot_id": "x", "source_volid": "y"}, "snapshot_id"),
    ({"size": 1, "consistencygroup_id": "x"}, "consistencygroup_id")])
def test_what_is_wrong_is_said(member, body, word):
    answer = call(member, "POST", "/volumes", {"volume": body})
    assert answer.status == 400
    assert word in answer.json()["badRequest"]["message"]


@pytest.mark.parametrize("field", ["volume_type", "snapshot_id", "source_volid", "backup_id"])
def test_what_is_not_there_is_404(member, field):
    body = {"volume": {"size": 1, field: "00000000-0000-4000-8000-000000000000"}}
    assert call(member, "POST", "/volumes", body).status == 404


def test_fields_of_later_microversions_are_refused(member):
    for field, before in (("group_id", "3.12"), ("backup_id", "3.46")):
        assert call(member, "POST", "/volumes", {"volume": {"size": 1, field: "x"}}, before).status == 400


def test_a_failure_is_an_error_with_a_message_for_the_user(cloud, member, volumes):
    volumes.fail("ensure_blank", "the disk is full", None)
    volume = make(cloud, member, size=1)
    assert status(member, volume) == "error"
    (message,) = show(member, "/messages")
    assert message["resource_uuid"] == volume
    assert "the disk is full" in message["user_message"]
    assert call(member, "DELETE", f"/messages/{message['id']}").status == 204
    assert show(member, "/messages") == []
    assert call(member, "DELETE", f"/volumes/{volume}").status == 202


def test_a_type_that_no_backend_fits_is_an_error_with_a_message(cloud, member):
    admin = cloud.login("admin")
    kind = call(admin, "POST", "/types", {"volume_type": {"name": "gold", "extra_specs": {"storage_protocol": "FC"}}}).json()
    volume = make(cloud, member, size=1, volume_type="gold")
    assert status(member, volume) == "error"
    assert "storage_protocol" in show(member, "/messages")[0]["user_message"]
    call(member, "DELETE", f"/volumes/{volume}")
    cloud.settle()
    assert call(admin, "DELETE", f"/types/{kind['volume_type']['id']}").status == 202


def test_from_an_image(cloud, member):
    image = cloud.image()
    found = show(member, f"/volumes/{make(cloud, member, size=1, imageRef=image)}")
    assert found["bootable"] == "true"
    assert found["volume_image_metadata"]["image_id"] == image


def test_copies(cloud, member, volumes):
    volume = make(cloud, member, size=1)
    snapshot = make(cloud, member, "/snapshots", "snapshot", volume_id=volume)
    copies = [make(cloud, member, size=2, source_volid=volume), make(cloud, member, snapshot_id=snapshot)]
    assert [show(member, f"/volumes/{each}")["size"] for each in copies] == [2, 1]
    assert [volumes.info(each).size_bytes >> 30 for each in copies] == [2, 1]
    assert volumes.snapshots().count(snapshot) == 1
    assert not [each for each in volumes.snapshots() if each.startswith("of-")]
    assert call(member, "POST", "/volumes", {"volume": {"size": 1, "source_volid": copies[0]}}).status == 400


def test_a_copy_that_fails_leaves_nothing(cloud, member, volumes):
    volume = make(cloud, member, size=1)
    volumes.fail("ensure_from_snapshot", "no", None)
    copy = make(cloud, member, source_volid=volume)
    assert (status(member, copy), status(member, volume)) == ("error", "available")
    assert volumes.info(copy) is None
    assert not [each for each in volumes.snapshots() if each.startswith("of-")]


def test_extending(cloud, member, volumes):
    volume = make(cloud, member, size=1)
    assert act(member, volume, "os-extend", {"new_size": 3}).status == 202
    cloud.settle()
    assert (show(member, f"/volumes/{volume}")["size"], volumes.info(volume).size_bytes) == (3, 3 << 30)
    assert act(member, volume, "os-extend", {"new_size": 3}).status == 400
    volumes.fail("extend", "no", None)
    act(member, volume, "os-extend", {"new_size": 4})
    cloud.settle()
    assert status(member, volume) == "error_extending"


def test_to_an_image(cloud, member):
    volume = make(cloud, member, size=1)
    answer = act(member, volume, "os-volume_upload_image", {"image_name": "made", "disk_format": "qcow2"})
    cloud.settle()
    image = member.get(f"/image/v2/images/{answer.json()['os-volume_upload_image']['image_id']}")
    assert (image["status"], image["name"], image["disk_format"]) == ("active", "made", "qcow2")
    assert status(member, volume) == "available"
    assert not list((cloud.cloud.volume.folder / "out").iterdir())


def test_to_an_image_that_fails(cloud, member, volumes):
    volume = make(cloud, member, size=1)
    volumes.fail("copy_out", "no room", None)
    answer = act(member, volume, "os-volume_upload_image", {"image_name": "made"})
    cloud.settle()
    image = member.get(f"/image/v2/images/{answer.json()['os-volume_upload_image']['image_id']}")
    assert image["status"] == "killed"
    assert status(member, volume) == "available"
    assert "no room" in show(member, "/messages")[0]["user_message"]


def test_only_administrators_make_public_images(cloud, member):
    volume = make(cloud, member, size=1)
    body = {"image_name": "made", "visibility": "public"}
    assert act(member, volume, "os-volume_upload_image", body).status == 403


def test_back_to_the_last_snapshot(cloud, member):
    volume = make(cloud, member, size=1)
    first, last = (make(cloud, member, "/snapshots", "snapshot", volume_id=volume) for _ in range(2))
    assert act(member, volume, "revert", {"snapshot_id": first}).status == 400
    assert act(member, volume, "revert", {"snapshot_id": last}, "3.39").status == 400
    assert act(member, volume, "revert", {"snapshot_id": last}).status == 202
    cloud.settle()
    assert status(member, volume) == "available"


def test_retyping(cloud, member):
    admin = cloud.login("admin")
    for name, specs in (("fits", {"multiattach": "<is> True"}), ("elsewhere", {"volume_backend_name": "ceph"})):
        call(admin, "POST", "/types", {"volume_type": {"name": name, "extra_specs": specs}})
    volume = make(cloud, member, size=1)
    assert act(member, volume, "os-retype", {"new_type": "elsewhere"}).status == 400
    assert act(member, volume, "os-retype", {"new_type": "fits"}).status == 202
    cloud.settle()
    found = show(member, f"/volumes/{volume}")
    assert (found["volume_type"], found["multiattach"]) == ("fits", True)


def test_cascade_deletes_snapshots_too(cloud, member, volumes):
    volume = make(cloud, member, size=1)
    snapshot = make(cloud, member, "/snapshots", "snapshot", volume_id=volume)
    assert call(member, "DELETE", f"/volumes/{volume}").status == 400
    assert call(member, "DELETE", f"/volumes/{volume}?cascade=true").status == 202
    cloud.settle()
    assert call(member, "GET", f"/snapshots/{snapshot}").status == 404
    assert volumes.snapshot(snapshot) is None


def test_what_administrators_alone_may(cloud, member):
    volume = make(cloud, member, size=1)
    for name, value in (("os-reset_status", {"status": "error"}), ("os-force_delete", {}), ("os-unmanage", {})):
        assert act(member, volume, name, value).status == 403
    for path in ("/os-services", "/scheduler-stats/get_pools", "/qos-specs", "/os-hosts"):
        assert call(member, "GET", path).status == 403


def test_actions_that_are_none(cloud, member):
    volume = make(cloud, member, size=1)
    for body in ({}, {"dance": {}}, {"os-extend": {"new_size": 2}, "os-reserve": {}}):
        assert call(member, "POST", f"/volumes/{volume}/action", body).status == 400


# -- listing


def test_pages_filters_and_order(cloud, member):
    made = [make(cloud, member, size=size, name=name) for name, size in (("b", 1), ("a", 2), ("c", 1))]
    assert [each["id"] for each in show(member, "/volumes")] == made[::-1]
    assert [each["name"] for each in show(member, "/volumes?sort=size:asc,name:desc")] == ["c", "b", "a"]
    assert [each["name"] for each in show(member, "/volumes?sort_key=name&sort_dir=asc&limit=2")] == ["a", "b"]
    assert [each["name"] for each in show(member, f"/volumes?sort=name:asc&marker={made[0]}")] == ["c"]
    assert [each["name"] for each in show(member, "/volumes?name~=c")] == ["c"]
    answer = call(member, "GET", "/volumes?limit=2&with_count=true").json()
    assert (len(answer["volumes"]), answer["count"], answer["volumes_links"][0]["rel"]) == (2, 3, "next")
    for wrong in ("limit=x", "limit=-1", "sort=x", "sort=name:up", "colour=red", "metadata=x", "offset=x",
                  "created_at=gt:x"):
        assert call(member, "GET", f"/volumes?{wrong}").status == 400, wrong
    assert call(member, "GET", "/volumes?marker=x").status == 404
    assert call(member, "GET", "/volumes?colour=red", version="3.30").status == 200


def test_by_metadata(cloud, member):
    volume = make(cloud, member, size=1, metadata={"Type": "work", "x": "y"})
    make(cloud, member, size=1, metadata={"Type": "play"})
    assert [each["id"] for each in show(member, "/volumes?metadata=%7B%27Type%27%3A+%27work%27%7D")] == [volume]
    assert show(member, "/volumes?metadata=%7B%27%22%27%3A+%27work%27%7D") == []


def test_a_listing_takes_as_many_queries_for_many_as_for_one(cloud, member):
    def count():
        with cloud.cloud.db.counting("request") as seen:
            show(member, "/volumes/detail")
        return len(seen)

    make(cloud, member, size=1)
    one = count()
    for _ in range(5):
        make(cloud, member, size=1)
    assert count() == one


# -- quotas


def test_quotas_hold(cloud, member):
    admin = cloud.login("admin")

    def limit(**values):
        assert call(admin, "PUT", f"/os-quota-sets/{member.project_id}", {"quota_set": values}).status == 200

    limit(volumes=1, snapshots=1, gigabytes=3, per_volume_gigabytes=2)
    assert call(member, "POST", "/volumes", {"volume": {"size": 3}}).status == 413
    volume = make(cloud, member, size=1)
    assert call(member, "POST", "/volumes", {"volume": {"size": 1}}).status == 413
    make(cloud, member, "/snapshots", "snapshot", volume_id=volume)
    assert call(member, "POST", "/snapshots", {"snapshot": {"volume_id": volume}}).status == 413
    assert act(member, volume, "os-extend", {"new_size": 2}).status == 202
    cloud.settle()
    used = show(member, f"/os-quota-sets/{member.project_id}?usage=true")
    assert [used[name]["in_use"] for name in ("volumes", "snapshots", "gigabytes")] == [1, 1, 3]
    assert used["volumes___DEFAULT__"]["in_use"] == 1
    assert call(admin, "PUT", f"/os-quota-sets/{member.project_id}", {"quota_set": {"colour": 1}}).status == 400
    assert call(cloud.login(), "GET", f"/os-quota-sets/{member.project_id}").status == 403
    assert call(admin, "DELETE", f"/os-quota-sets/{member.project_id}").status == 200
    assert show(member, f"/os-quota-sets/{member.project_id}")["volumes"] == 10


# -- snapshots


def test_a_short_listing_of_snapshots_leaves_out_what_later_microversions_added(cloud, member):
    taken = make(cloud, member, "/snapshots", "snapshot", volume_id=make(cloud, member, size=1))
    (short,), (full,) = show(member, "/snapshots"), show(member, "/snapshots/detail")
    assert short["id"] == full["id"] == taken
    assert {"user_id", "consumes_quota"} <= full.keys() - short.keys()


def test_a_snapshot_that_fails(cloud, member, volumes):
    volume = make(cloud, member, size=1)
    volumes.fail("end_snapshot", "no", None)
    snapshot = make(cloud, member, "/snapshots", "snapshot", volume_id=volume)
    assert show(member, f"/snapshots/{snapshot}")["status"] == "error"
    assert status(member, volume) == "available"
    volumes.heal()
    assert call(member, "DELETE", f"/snapshots/{snapshot}").status == 202
    cloud.settle()
    assert call(member, "GET", f"/snapshots/{snapshot}").status == 404


def test_metadata(cloud, member):
    volume = make(cloud, member, size=1)
    base = f"/volumes/{volume}/metadata"
    assert call(member, "POST", base, {"metadata": {"a": "1", "b": "2"}}).json() == {"metadata": {"a": "1", "b": "2"}}
    assert call(member, "PUT", f"{base}/a", {"meta": {"a": "3"}}).status == 200
    assert call(member, "PUT", f"{base}/a", {"meta": {"b": "3"}}).status == 400
    assert call(member, "GET", f"{base}/a").json() == {"meta": {"a": "3"}}
    assert call(member, "DELETE", f"{base}/b").status == 200
    assert call(member, "DELETE", f"{base}/b").status == 404
    assert call(member, "PUT", base, {"metadata": {"c": "4"}}).json() == {"metadata": {"c": "4"}}
    too_many = {f"k{number}": "v" for number in range(129)}
    assert call(member, "PUT", base, {"metadata": too_many}).status == 413


# -- attachments


def test_an_attachment_from_reserved_to_gone(cloud, member):
    volume = make(cloud, member, size=1)
    made = call(member, "POST", "/attachments", {"attachment": {"volume_uuid": volume}}).json()["attachment"]
    assert (made["status"], status(member, volume)) == ("reserved", "reserved")
    assert call(member, "POST", "/attachments", {"attachment": {"volume_uuid": volume}}).status == 400
    body = {"attachment": {"connector": {"host": "somewhere", "mountpoint": "/dev/vdb"}}}
    assert call(member, "PUT", f"/attachments/{made['id']}", body).json()["attachment"]["status"] == "attaching"
    assert call(member, "POST", f"/attachments/{made['id']}/action", {"os-complete": {}}).status == 204
    assert status(member, volume) == "in-use"
    assert call(member, "DELETE", f"/volumes/{volume}").status == 400
    assert call(member, "DELETE", f"/attachments/{made['id']}").json() == {"attachments": []}
    assert status(member, volume) == "available"


def test_the_older_actions(cloud, member):
    volume = make(cloud, member, size=1)
    server = "11111111-2222-4333-8444-555555555555"
    assert act(member, volume, "os-attach", {"instance_uuid": server, "mountpoint": "/dev/vdc"}).status == 202
    (used,) = show(member, f"/volumes/{volume}")["attachments"]
    assert (used["server_id"], used["device"]) == (server, "/dev/vdc")
    assert act(member, volume, "os-attach", {"instance_uuid": server, "mountpoint": "/dev/vdc"}).status == 400
    assert act(member, volume, "os-detach", {"attachment_id": "x"}).status == 404
    assert act(member, volume, "os-detach", {}).status == 202
    assert status(member, volume) == "available"


# -- transfers, backups, groups


def test_a_transfer_takes_the_key(cloud, member):
    volume, other = make(cloud, member, size=1), cloud.login()
    body = {"transfer": {"volume_id": volume, "name": "gift"}}
    made = call(member, "POST", "/volume-transfers", body).json()["transfer"]
    assert status(member, volume) == "awaiting-transfer"
    accept = f"/volume-transfers/{made['id']}/accept"
    assert call(other, "POST", accept, {"accept": {"auth_key": "wrong"}}).status == 400
    assert call(other, "POST", accept, {"accept": {"auth_key": made["auth_key"]}}).status == 202
    assert status(other, volume) == "available"
    assert call(member, "GET", f"/volumes/{volume}").status == 404
    assert call(other, "DELETE", f"/volumes/{volume}").status == 202


def test_backups_are_restored_and_added_to(cloud, member):
    volume = make(cloud, member, size=1, metadata={"a": "b"}, name="precious")
    assert call(member, "POST", "/backups", {"backup": {"volume_id": volume, "incremental": True}}).status == 400
    full = make(cloud, member, "/backups", "backup", volume_id=volume)
    part = make(cloud, member, "/backups", "backup", volume_id=volume, incremental=True)
    assert show(member, f"/backups/{full}")["has_dependent_backups"] is True
    assert show(member, f"/backups/{part}")["is_incremental"] is True
    assert call(member, "DELETE", f"/backups/{full}").status == 400
    restored = call(member, "POST", f"/backups/{part}/restore", {"restore": {}}).json()["restore"]["volume_id"]
    cloud.settle()
    assert show(member, f"/volumes/{restored}")["metadata"] == {"a": "b"}
    assert call(member, "POST", f"/backups/{full}/restore", {"restore": {"volume_id": restored}}).status == 202
    cloud.settle()
    assert (status(member, restored), show(member, f"/volumes/{restored}")["name"]) == ("available", "precious")
    for backup in (part, full):
        assert call(member, "DELETE", f"/backups/{backup}").status == 202
        cloud.settle()
        assert not cloud.cloud.volume.vault.exists(backup)


def test_a_backup_that_fails(cloud, member, volumes):
    volume = make(cloud, member, size=1)
    volumes.fail("copy_out", "no room", None)
    backup = make(cloud, member, "/backups", "backup", volume_id=volume)
    found = show(member, f"/backups/{backup}")
    assert found["status"] == "error"
    assert "no room" in found["fail_reason"]
    assert status(member, volume) == "available"
    assert not [each for each in volumes.snapshots() if each.startswith("backup-")]


@pytest.mark.parametrize("url", ["x", "bm8=", "e30="])
def test_a_record_that_is_none(cloud, url):
    admin = cloud.login("admin")
    service = "cinder.backup.drivers.posix.PosixBackupDriver"
    assert call(admin, "POST", "/backups/import_record", {"backup-record": {
        "backup_service": service, "backup_url": url}}).status == 400


def test_a_group_and_its_snapshot(cloud, member):
    kind = show(member, "/types/default")["id"]
    group_type = show(member, "/group_types/default")["id"]
    group = make(cloud, member, "/groups", "group", name="g", group_type=group_type, volume_types=[kind])
    volume = make(cloud, member, size=1, group_id=group)
    taken = make(cloud, member, "/group_snapshots", "group_snapshot", group_id=group)
    assert show(member, f"/group_snapshots/{taken}")["status"] == "available"
    (snapshot,) = show(member, f"/snapshots?volume_id={volume}")
    assert call(member, "DELETE", f"/snapshots/{snapshot['id']}").status == 400
    body = {"create-from-src": {"group_snapshot_id": taken, "name": "copy"}}
    copy = call(member, "POST", "/groups/action", body).json()["group"]["id"]
    cloud.settle()
    assert len(show(member, f"/groups/{copy}?list_volume=true")["volumes"]) == 1
    assert call(member, "DELETE", f"/volumes/{volume}").status == 400
    assert call(member, "DELETE", f"/group_snapshots/{taken}").status == 202
    cloud.settle()
    assert call(member, "GET", f"/group_snapshots/{taken}").status == 404
    assert call(member, "POST", f"/groups/{group}/action", {"delete": {}}).status == 400
    for each in (group, copy):
        assert call(member, "POST", f"/groups/{each}/action", {"delete": {"delete-volumes": True}}).status == 202
    cloud.settle()
    assert show(member, "/volumes") == []


def test_unmanaged_and_managed_again(cloud, member, volumes):
    admin = cloud.login("admin")
    volume = make(cloud, admin, size=1)
    host = show(admin, f"/volumes/{volume}")["os-vol-host-attr:host"]
    assert act(admin, volume, "os-unmanage", {}).status == 202
    assert volumes.info(volume) is not None
    listed = show(admin, f"/manageable_volumes?host={host}")
    assert {"source-name": volume} in [each["reference"] for each in listed if each["safe_to_manage"]]
    body = {"volume": {"host": host, "ref": {"source-name": f"volume-{volume}"}, "name": "again"}}
    again = call(admin, "POST", "/os-volume-manage", body).json()["volume"]["id"]
    cloud.settle()
    assert (status(admin, again), volumes.info(volume)) == ("available", None)
    assert call(admin, "POST", "/os-volume-manage", body).status == 400
    assert call(admin, "DELETE", f"/volumes/{again}").status == 202


# -- the cloud


def test_versions_need_no_token(cloud):
    nobody = Session(cloud.port)
    answer = nobody.request("GET", "/volume")
    assert (answer.status, answer.json()["versions"][0]["version"]) == (300, "3.71")
    assert nobody.request("GET", "/volume/v3/").status == 200
    assert nobody.request("GET", "/volume/v3/volumes").status == 401


@pytest.mark.parametrize(("version", "expected"), [("3.0", 200), ("3.71", 200), ("3.72", 406), ("x", 400)])
def test_microversions(member, version, expected):
    answer = call(member, "GET", "/volumes", version=version)
    assert answer.status == expected
    if expected == 200:
        assert answer.headers["OpenStack-API-Version"] == f"volume {version}"


def test_a_disabled_service_gets_no_new_volumes(cloud, member):
    admin = cloud.login("admin")
    (service,) = (each for each in show(admin, "/os-services") if each["binary"] == "cinder-volume")
    body = {"host": service["host"], "binary": "cinder-volume", "disabled_reason": "full"}
    assert call(admin, "PUT", "/os-services/disable-log-reason", body).json()["disabled_reason"] == "full"
    try:
        assert status(member, make(cloud, member, size=1)) == "error"
    finally:
        assert call(admin, "PUT", "/os-services/enable", {"host": service["host"], "binary": "cinder-volume"}).status == 200
    assert status(member, make(cloud, member, size=1)) == "available"


@pytest.fixture(scope="module")
def encrypted(cloud):
    """The name of a type."""
    admin = cloud.login("admin")
    kind = call(admin, "POST", "/types", {"volume_type": {"name": "secret"}}).json()["volume_type"]["id"]
    body = {"encryption": {"provider": "luks", "control_location": "front-end", "cipher": "aes-xts-plain64",
                           "key_size": 256}}
    assert call(admin, "POST", f"/types/{kind}/encryption", body).status == 200
    return "secret"


def test_what_is_made_of_an_encrypted_volume_has_its_key(cloud, member, encrypted, volumes):
    volume = make(cloud, member, size=1, volume_type=encrypted)
    shown = show(member, f"/volumes/{volume}", "3.64")
    assert (shown["status"], shown["encrypted"]) == ("available", True)
    found = call(member, "GET", f"/volumes/{volume}/encryption").json()
    assert found == {"encryption_key_id": shown["encryption_key_id"], "provider": "luks", "cipher": "aes-xts-plain64",
                     "key_size": 256, "control_location": "front-end"}
    assert call(member, "GET", f"/volumes/{volume}/encryption/cipher").json() == {"cipher": "aes-xts-plain64"}
    assert call(member, "GET", f"/volumes/{volume}/encryption/passphrase").status == 404
    assert volumes.info(volume).size_bytes == (1 << 30) + (2 << 20)  # the container's head takes none of the guest's
    snapshot = make(cloud, member, "/snapshots", "snapshot", volume_id=volume)
    backup = make(cloud, member, "/backups", "backup", volume_id=volume)
    copies = [make(cloud, member, source_volid=volume), make(cloud, member, snapshot_id=snapshot),
              make(cloud, member, version="3.47", backup_id=backup)]
    for copy in copies:
        assert show(member, f"/volumes/{copy}", "3.64")["encryption_key_id"] == shown["encryption_key_id"]
        assert (status(member, copy), volumes.info(copy).size_bytes) == ("available", (1 << 30) + (2 << 20))
    assert show(member, f"/backups/{backup}", "3.64")["encryption_key_id"] == shown["encryption_key_id"]
    assert call(member, "POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}}).status == 202
    cloud.settle()
    assert volumes.info(volume).size_bytes == (2 << 30) + (2 << 20)


def test_nothing_is_encrypted_or_decrypted_on_the_way(cloud, member, encrypted):
    secret, plain = make(cloud, member, size=1, volume_type=encrypted), make(cloud, member, size=1)
    for body in ({"source_volid": secret, "volume_type": "__DEFAULT__"}, {"source_volid": plain, "volume_type": encrypted},
                 {"size": 1, "volume_type": encrypted, "multiattach": True}):
        assert call(member, "POST", "/volumes", {"volume": body}).status == 400, body
    for volume, kind in ((secret, "__DEFAULT__"), (plain, encrypted)):
        assert act(member, volume, "os-retype", {"new_type": kind}).status == 400
    body = {"volume_id": secret, "name": "gift"}
    assert call(member, "POST", "/volume-transfers", {"transfer": body}, "3.69").status == 400
    before = show(member, f"/volumes/{secret}", "3.64")["encryption_key_id"]
    transfer = call(member, "POST", "/volume-transfers", {"transfer": body}, "3.70").json()["transfer"]
    other = cloud.new_user("who-is-given-a-secret")
    answer = call(other, "POST", f"/volume-transfers/{transfer['id']}/accept",
                  {"accept": {"auth_key": transfer["auth_key"]}})
    assert answer.status == 202, answer.body
    assert show(other, f"/volumes/{secret}", "3.64")["encryption_key_id"] not in (None, before)
    assert call(other, "GET", f"/volumes/{secret}/encryption").json()["provider"] == "luks"


def test_an_image_of_an_encrypted_volume_is_worth_as_much_as_its_key(cloud, member, encrypted):
    volume = make(cloud, member, size=1, volume_type=encrypted)
    order = {"image_name": "of a secret", "container_format": "bare"}
    assert act(member, volume, "os-volume_upload_image", {**order, "disk_format": "qcow2"}).status == 400
    answer = act(member, volume, "os-volume_upload_image", {**order, "disk_format": "raw"})
    image = answer.json()["os-volume_upload_image"]["image_id"]
    cloud.settle()
    key = show(member, f"/volumes/{volume}", "3.64")["encryption_key_id"]
    assert member.get(f"/image/v2/images/{image}")["cinder_encryption_key_id"] == key
    assert call(member, "DELETE", f"/volumes/{volume}").status == 202
    cloud.settle()
    made = make(cloud, member, imageRef=image, size=1, volume_type=encrypted)
    shown = show(member, f"/volumes/{made}", "3.64")
    assert (shown["status"], shown["encryption_key_id"]) == ("available", key)
    assert call(member, "POST", "/volumes", {"volume": {"imageRef": image, "size": 1}}).status == 400
    other = cloud.new_user("who-has-no-key")
    admin = cloud.login("admin")
    admin.request("PATCH", f"/image/v2/images/{image}", b'[{"op": "replace", "path": "/visibility", "value": "public"}]',
                  {"Content-Type": "application/openstack-images-v2.1-json-patch"})
    body = {"volume": {"imageRef": image, "size": 1, "volume_type": encrypted}}
    assert call(other, "POST", "/volumes", body).status == 400


def test_a_key_goes_with_the_last_that_needs_it(cloud, member, encrypted):
    def keys():
        with cloud.cloud.db.read() as tx:
            return {row.id: row.sealed for row in tx.all(tables.keys.select())}

    before = set(keys())
    volume = make(cloud, member, size=1, volume_type=encrypted)
    copy = make(cloud, member, source_volid=volume)
    (made,) = set(keys()) - before
    assert len(cloud.cloud.volume_keys.decrypt(keys()[made])) == 64
    for each, left in ((volume, True), (copy, False)):
        assert call(member, "DELETE", f"/volumes/{each}").status == 202
        cloud.settle()
        assert (made in keys()) is left


def test_limits_that_no_host_can_keep_are_refused(cloud):
    admin = cloud.login("admin")

    def qos(name, consumer="front-end", **specs):
        return call(admin, "POST", "/qos-specs", {"qos_specs": {"name": name, "consumer": consumer, **specs}})

    assert qos("good", total_iops_sec="100", total_iops_sec_max="200", read_bytes_sec_per_gb="1000").status == 200
    assert qos("backend's", "back-end", total_iops_sec="many").status == 200
    for number, specs in enumerate((
            {"total_iops_sec": "many"}, {"total_iops_sec": "0"}, {"total_iops_sec": "1", "read_iops_sec": "1"},
            {"read_bytes_sec_max": "5"}, {"read_bytes_sec": "5", "read_bytes_sec_max": "5"},
            {"write_iops_sec_max_length": "3"})):
        assert qos(f"bad-{number}", "both", **specs).status == 400, specs
    assert qos("slashed", "both", **{"total/iops": "1"}).status == 400
    good = next(each["id"] for each in show(admin, "/qos-specs") if each["name"] == "good")
    assert call(admin, "PUT", f"/qos-specs/{good}", {"qos_specs": {"write_iops_sec": "7"}}).status == 400


def test_deleted_by_force_while_it_is_made(cloud, member, volumes):
    admin = cloud.login("admin")
    volumes.fail("ensure_blank", "not yet", None)
    volume = call(member, "POST", "/volumes", {"volume": {"size": 1}}).json()["volume"]["id"]
    assert act(admin, volume, "os-force_delete", {}).status == 202
    cloud.settle()
    volumes.heal()
    eventually(lambda: call(member, "GET", f"/volumes/{volume}").status == 404, what="the volume to be gone")
    assert volumes.info(volume) is None


@pytest.mark.parametrize(("path", "body", "status", "word"), [
    ("/clusters/enable", {"name": "c1", "binary": "cinder-volume"}, 404, "c1"),
    ("/clusters/disable", {"name": "c1", "disabled_reason": "upkeep"}, 404, "c1"),
    ("/os-services/failover", {"host": "h1@file", "backend_id": "b2"}, 400, "replication"),
    ("/os-services/set-log", {"level": "DEBUG"}, 400, "levels"),
])
def test_what_services_here_do_not_have(cloud, path, body, status, word):
    answer = call(cloud.login("admin"), "PUT", path, body)
    assert answer.status == status
    assert word in str(answer.body)


def test_groups_have_no_replication(cloud):
    admin = cloud.login("admin")
    kind = make(cloud, admin, "/group_types", "group_type", name="alone")
    group = make(cloud, admin, "/groups", "group", group_type=kind, volume_types=[show(admin, "/types/default")["id"]])
    for action in ("enable_replication", "disable_replication", "failover_replication", "list_replication_targets"):
        answer = call(admin, "POST", f"/groups/{group}/action", {action: {}})
        assert answer.status == 400
        assert "replication" in str(answer.body)
        assert call(admin, "POST", "/groups/none/action", {action: {}}).status == 404
    assert call(admin, "POST", f"/groups/{group}/action", {"enable_replication": {}}, "3.37").status == 400
    assert call(admin, "POST", f"/groups/{group}/action", {"delete": {"delete-volumes": False}}).status == 202
