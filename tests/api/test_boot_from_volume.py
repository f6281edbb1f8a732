"""Servers that boot from volumes, over HTTP: the ways to say so, what is shown of them, and what becomes of the volumes."""

from __future__ import annotations

import json
import threading

import pytest

from tests.api.test_volume import act, call, make, show, status
from tests.support.cloud import Session, simulated_cloud
from tests.support.wait import eventually

SERVERS = "/compute/v2.1/servers"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud"), hosts=2) as served:
        served.image_id = served.image()
        admin = served.login("admin")
        admin.post("/compute/v2.1/flavors", {"flavor": {"id": "diskless", "name": "diskless", "vcpus": 1, "ram": 128,
                                                        "disk": 0}})
        admin.post("/compute/v2.1/flavors", {"flavor": {
            "id": "scratch", "name": "scratch", "vcpus": 1, "ram": 128, "disk": 1, "swap": 512,
            "OS-FLV-EXT-DATA:ephemeral": 4}})
        yield served


class User:
    """Somebody who makes servers."""

    def __init__(self, cloud, session: Session):
        self.cloud, self.session = cloud, session
        self.network = cloud.network(session)

    def boot(self, *devices: dict, status: int = 202, version: str | None = None, flavor: str = "diskless", **more):
        """The new server's id; the message where it is refused."""
        body = {"name": "s", "imageRef": "", "flavorRef": flavor, "networks": [{"uuid": self.network}],
                "block_device_mapping_v2": list(devices), **more}
        headers = {"OpenStack-API-Version": f"compute {version}"} if version else {}
        answer = self.session.request("POST", SERVERS, {"server": body}, headers)
        assert answer.status == status, answer.body
        if status != 202:
            return next(iter(answer.json().values()))["message"]
        self.cloud.settle()
        return answer.json()["server"]["id"]

    def server(self, server_id: str) -> dict:
        return self.session.get(f"{SERVERS}/{server_id}")["server"]

    def volumes(self, server_id: str) -> list[dict]:
        return self.session.get(f"{SERVERS}/{server_id}/os-volume_attachments")["volumeAttachments"]

    def bootable(self, **values) -> str:
        return make(self.cloud, self.session, size=1, imageRef=self.cloud.image_id, **values)

    def delete(self, server_id: str) -> None:
        assert self.session.request("DELETE", f"{SERVERS}/{server_id}").status == 204
        self.cloud.settle()

    def all_volumes(self) -> list[str]:
        return [each["id"] for each in show(self.session, "/volumes")]


@pytest.fixture
def user(cloud, request):
    return User(cloud, cloud.new_user(f"user-{request.node.name}"[:60]))


@pytest.fixture
def drivers(cloud):
    """The pretended hypervisors, and the place of volumes; what they were told to fail at is healed."""
    found = [*(agent.hypervisor for agent in cloud.cloud.site.agents), cloud.cloud.site.volumes]
    yield found
    for each in found:
        each.heal()


def root(volume: str, **more) -> dict:
    return {"source_type": "volume", "destination_type": "volume", "uuid": volume, "boot_index": 0, **more}


def guest(cloud, server_id: str):
    return next(kept.guest for agent in cloud.cloud.site.agents
                for name, kept in agent.hypervisor._guests.items() if name == server_id)


def claims(cloud, server_id: str) -> dict:
    with cloud.cloud.db.read() as tx:
        return cloud.cloud.placement.allocations(tx, server_id)["resources"]


def test_a_volume_is_booted_from(cloud, user):
    volume = user.bootable()
    server = user.boot(root(volume))
    found = user.server(server)
    assert (found["status"], found["image"]) == ("ACTIVE", "")
    assert found["os-extended-volumes:volumes_attached"] == [{"id": volume, "delete_on_termination": False}]
    (entry,) = user.volumes(server)
    assert (entry["volumeId"], entry["device"], entry["delete_on_termination"]) == (volume, "/dev/vda", False)
    (used,) = show(user.session, f"/volumes/{volume}")["attachments"]
    assert (status(user.session, volume), used["server_id"]) == ("in-use", server)
    assert [disk.name for disk in guest(cloud, server).disks] == [f"vol-{volume}"]
    assert "DISK_GB" not in claims(cloud, server), "the host gives it no disk"
    user.delete(server)
    assert status(user.session, volume) == "available"
    again = user.boot(root(volume, delete_on_termination=True))
    user.delete(again)
    assert call(user.session, "GET", f"/volumes/{volume}").status == 404


def test_volumes_are_made_for_it(cloud, user):
    source = user.bootable()
    snapshot = make(cloud, user.session, "/snapshots", "snapshot", volume_id=source)
    server = user.boot(
        {"source_type": "image", "destination_type": "volume", "uuid": cloud.image_id, "boot_index": "0",
         "volume_size": 2, "delete_on_termination": True, "tag": "boot"},
        {"source_type": "blank", "destination_type": "volume", "volume_size": "3", "delete_on_termination": "true",
         "disk_bus": "scsi", "device_type": "disk", "volume_type": show(user.session, "/types")[0]["name"]},
        {"source_type": "snapshot", "destination_type": "volume", "uuid": snapshot, "boot_index": 1,
         "device_name": "vdx"})
    entries = user.volumes(server)
    assert [(each["device"], each["tag"]) for each in entries] == [
        ("/dev/vda", "boot"), ("/dev/vdx", None), ("/dev/sda", None)]
    first, second, third = (show(user.session, f"/volumes/{each['volumeId']}") for each in entries)
    assert (first["size"], first["volume_image_metadata"]["image_id"]) == (2, cloud.image_id)
    assert (second["size"], second["snapshot_id"]) == (1, snapshot)
    assert (third["size"], third["status"]) == (3, "in-use")
    assert [(disk.name, disk.bus) for disk in guest(cloud, server).disks] == [
        (f"vol-{first['id']}", "virtio"), (f"vol-{second['id']}", "virtio"), (f"vol-{third['id']}", "scsi")]
    user.delete(server)
    assert sorted(user.all_volumes()) == sorted([source, second["id"]])


def test_a_disk_of_its_own_and_volumes(cloud, user):
    volume = make(cloud, user.session, size=1)
    image = {"source_type": "image", "destination_type": "local", "uuid": cloud.image_id, "boot_index": 0}
    server = user.boot(image, {"source_type": "volume", "destination_type": "volume", "uuid": volume},
                       imageRef=cloud.image_id, flavor="42")
    found = user.server(server)
    assert found["image"]["id"] == cloud.image_id
    assert [disk.name for disk in guest(cloud, server).disks] == ["root", f"vol-{volume}"]
    assert user.volumes(server)[0]["device"] == "/dev/vdb"
    assert claims(cloud, server)["DISK_GB"] == 1


def test_the_older_notation(cloud, user):
    volume, other = user.bootable(), make(cloud, user.session, size=1)
    server = user.boot(block_device_mapping_v2=[], block_device_mapping=[
        {"device_name": "vda", "volume_id": volume, "delete_on_termination": "1"}])
    assert (user.server(server)["image"], user.volumes(server)[0]["delete_on_termination"]) == ("", True)
    beside = user.boot(block_device_mapping_v2=[], imageRef=cloud.image_id, flavor="42", block_device_mapping=[
        {"device_name": "/dev/vdc", "volume_id": other}])
    assert [disk.name for disk in guest(cloud, beside).disks] == ["root", f"vol-{other}"]
    by_older_address = user.session.post("/compute/v2.1/os-volumes_boot", {"server": {
        "name": "old", "imageRef": "", "flavorRef": "diskless", "networks": [{"uuid": user.network}],
        "block_device_mapping_v2": [root(user.bootable())]}})["server"]["id"]
    cloud.settle()
    assert user.server(by_older_address)["status"] == "ACTIVE"


def test_as_many_as_were_asked_for_have_volumes_of_their_own(cloud, user):
    made = {"source_type": "image", "destination_type": "volume", "uuid": cloud.image_id, "boot_index": 0,
            "volume_size": 1}
    user.boot(made, min_count=2)
    servers = user.session.get(f"{SERVERS}/detail")["servers"]
    volumes = {each["os-extended-volumes:volumes_attached"][0]["id"] for each in servers}
    assert len(servers) == len(volumes) == 2


BLANK = {"source_type": "blank", "destination_type": "volume", "boot_index": 0, "volume_size": 1}
NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(("device", "word"), [
    ({**BLANK, "boot_index": 1}, "Boot sequence"), ({**BLANK, "boot_index": -1}, "Boot sequence"),
    ({**BLANK, "boot_index": "one"}, "boot_index"), ({**BLANK, "boot_index": None}, "Boot sequence"),
    ({**BLANK, "volume_size": None}, "volume_size"), ({**BLANK, "volume_size": 0}, "volume_size"),
    ({**BLANK, "uuid": NOWHERE}, "uuid"), ({**BLANK, "source_type": "volume"}, "uuid"),
    ({**BLANK, "source_type": "nothing"}, "source_type"), ({**BLANK, "destination_type": "moon"}, "destination_type"),
    ({**BLANK, "source_type": "volume", "uuid": NOWHERE}, "failed to get volume"),
    ({**BLANK, "source_type": "snapshot", "uuid": NOWHERE}, "failed to get snapshot"),
    ({**BLANK, "source_type": "image", "uuid": NOWHERE}, "failed to get image"),
    ({**BLANK, "disk_bus": "floppy"}, "disk_bus floppy"), ({**BLANK, "device_type": "lun"}, "device_type lun"),
    ({**BLANK, "volume_type": "gold"}, "gold"), ({**BLANK, "tag": "a,b"}, "tag"), ({**BLANK, "colour": 1}, "colour"),
    ({**BLANK, "destination_type": "local"}, "cannot be booted from"),
    ({**BLANK, "device_name": "a b"}, "device_name"), ({**BLANK, "delete_on_termination": "maybe"}, "delete_on"),
])
def test_what_makes_no_sense_is_refused(user, device, word):
    assert word in user.boot(device, status=400)
    assert user.all_volumes() == []


def test_what_does_not_fit_is_refused(cloud, user):
    volume = user.bootable()
    assert "Using different" in user.boot(root(volume), status=400, block_device_mapping=[{"volume_id": volume}])
    assert "multiple instances" in user.boot(root(volume), status=400, min_count=2)
    assert "same device_name" in user.boot(root(volume, device_name="vdc"), {**BLANK, "boot_index": None,
                                                                            "device_name": "/dev/vdc"}, status=400)
    act(user.session, volume, "os-set_bootable", {"bootable": False})
    assert "not bootable" in user.boot(root(volume), status=400)
    act(user.session, volume, "os-set_bootable", {"bootable": True})
    stranger = User(cloud, cloud.new_user(f"stranger-{user.session.project_id}"[:60]))
    assert "failed to get volume" in stranger.boot(root(volume), status=400)
    server = user.boot(root(volume))
    assert "is in-use" in user.boot(root(volume), status=400)
    assert len(user.session.get(SERVERS)["servers"]) == 1
    user.delete(server)
    image = {"source_type": "image", "destination_type": "local", "boot_index": 0, "uuid": cloud.image_id}
    assert "own image" in user.boot(image, status=400)
    assert "root device" in user.boot(image, root(volume, boot_index=None, device_name="/dev/vda"), status=400,
                                      imageRef=cloud.image_id, flavor="42")


def test_a_volume_must_hold_the_image(cloud, user):
    image = cloud.image(f"large-{user.session.project_id}"[:60], 64)
    patch = b'[{"op": "replace", "path": "/min_disk", "value": 2}]'
    cloud.login("admin").request("PATCH", f"/image/v2/images/{image}", patch,
                                 {"Content-Type": "application/openstack-images-v2.1-json-patch"})
    wanted = {"source_type": "image", "destination_type": "volume", "uuid": image, "boot_index": 0}
    assert "smaller than" in user.boot({**wanted, "volume_size": 1}, status=400)
    assert user.server(user.boot({**wanted, "volume_size": 2}))["status"] == "ACTIVE"


def test_microversions_know_their_fields(user):
    for field, value, knows, not_yet in (("tag", "x", ("2.32", "2.42"), ("2.31", "2.33", "2.41")),
                                         ("volume_type", "lvmdriver", (), ("2.66",))):
        for version in not_yet:
            assert field in user.boot({**BLANK, field: value}, status=400, version=version)
        for version in knows:
            user.boot({**BLANK, field: value}, version=version)


def test_a_volume_of_several_servers(cloud, user):
    volume = user.bootable(multiattach=True)
    assert "2.60" in user.boot(root(volume), status=400, version="2.59")
    servers = [user.boot(root(volume), version="2.60") for _ in range(2)]
    assert {each["server_id"] for each in show(user.session, f"/volumes/{volume}")["attachments"]} == set(servers)


def test_swap_and_ephemeral_disks_are_within_the_flavor(user, cloud):
    image = {"source_type": "image", "destination_type": "local", "boot_index": 0, "uuid": cloud.image_id}
    blank, swap = {"source_type": "blank"}, {"source_type": "blank", "guest_format": "swap"}

    def refused(*devices):
        return user.boot(image, *devices, status=400, imageRef=cloud.image_id, flavor="scratch")

    assert "5 GiB" in refused({**blank, "volume_size": 3}, {**blank, "volume_size": 2})
    assert "8 GiB" in refused(blank, blank)
    assert "1024 MiB" in refused({**swap, "volume_size": 1024})
    assert "More than one swap" in refused(swap, swap)
    assert "ext4" in refused({**blank, "guest_format": "ntfs"})
    server = user.boot(image, {**blank, "volume_size": 1}, {**swap, "volume_size": 256}, {**blank, "volume_size": 2},
                       imageRef=cloud.image_id, flavor="scratch")
    disks = guest(cloud, server).disks
    assert [disk.name for disk in disks] == ["root", "ephemeral0", "ephemeral1", "swap"]
    store = next(agent.disks for agent in cloud.cloud.site.agents if agent.disks.info(server))
    assert [store.info(f"{server}.{disk.name}").size_bytes for disk in disks[1:]] == [1 << 30, 2 << 30, 256 << 20]
    volume = make(cloud, user.session, size=1)
    body = {"volumeAttachment": {"volumeId": volume}}
    answer = user.session.request("POST", f"{SERVERS}/{server}/os-volume_attachments", body)
    assert answer.json()["volumeAttachment"]["device"] == "/dev/vde"


def test_an_image_of_it_describes_its_own_disks_too(user, cloud):
    swap = {"source_type": "blank", "guest_format": "swap", "volume_size": 100}
    image = image_of(user, user.boot(root(user.bootable()), swap, flavor="scratch"))
    server = user.boot(imageRef=image, block_device_mapping_v2=[], flavor="scratch")
    assert [disk.name.partition("-")[0] for disk in guest(cloud, server).disks] == ["vol", "ephemeral0", "swap"]
    assert "swap disk of 100 MiB" in user.boot(imageRef=image, block_device_mapping_v2=[], status=400)


def test_beyond_the_quota_nothing_is_made(cloud, user):
    admin = cloud.login("admin")
    answer = admin.request("PUT", f"/volume/v3/os-quota-sets/{user.session.project_id}", {"quota_set": {"volumes": 1}})
    assert answer.status == 200, answer.body
    assert "quota volumes" in user.boot(BLANK, {**BLANK, "boot_index": 1}, status=403)
    assert (user.all_volumes(), user.session.get(SERVERS)["servers"]) == ([], [])


@pytest.mark.parametrize("verb", ["ensure_blank", "start"])
def test_a_boot_that_fails_leaves_no_volume_that_was_made(cloud, user, drivers, verb):
    kept = make(cloud, user.session, size=1)
    for each in drivers:
        each.fail(verb, "no luck", None)
    server = user.boot(BLANK, {"source_type": "volume", "destination_type": "volume", "uuid": kept,
                               "delete_on_termination": True})
    found = user.server(server)
    assert (found["status"], "no luck" in found["fault"]["message"]) == ("ERROR", True)
    assert (user.all_volumes(), status(user.session, kept)) == ([kept], "available")
    user.delete(server)
    assert user.all_volumes() == [kept]


@pytest.mark.parametrize("goes", [True, False])
def test_one_that_is_deleted_while_its_volume_is_made(cloud, user, monkeypatch, goes):
    store, held, begun = cloud.cloud.site.volumes, threading.Event(), threading.Event()
    make_blank = store.ensure_blank

    def slow(*arguments):
        begun.set()
        held.wait(30)
        return make_blank(*arguments)

    monkeypatch.setattr(store, "ensure_blank", slow)
    answer = user.session.post(SERVERS, {"server": {
        "name": "s", "imageRef": "", "flavorRef": "diskless", "networks": [{"uuid": user.network}],
        "block_device_mapping_v2": [{**BLANK, "delete_on_termination": goes}]}})
    assert begun.wait(30)
    server = answer["server"]["id"]
    (volume,) = user.all_volumes()
    assert (status(user.session, volume), user.server(server)["status"]) == ("creating", "BUILD")
    assert user.session.request("DELETE", f"{SERVERS}/{server}").status == 204
    eventually(lambda: user.session.request("GET", f"{SERVERS}/{server}").status == 404, 30, "the server to be gone")
    held.set()
    cloud.settle()
    assert user.all_volumes() == ([] if goes else [volume])
    assert goes or status(user.session, volume) == "available"


def test_what_is_to_go_with_it_is_kept_or_not(cloud, user):
    volume = user.bootable()
    server = user.boot(root(volume, delete_on_termination=True))
    path = f"{SERVERS}/{server}/os-volume_attachments/{volume}"
    body = {"volumeAttachment": {"volumeId": volume, "delete_on_termination": False}}
    assert user.session.request("PUT", path, body).status == 202
    assert user.session.request("DELETE", path).status == 403, "what it boots from stays"
    user.delete(server)
    assert status(user.session, volume) == "available"


# -- what is done to it later


def image_of(user: User, server: str, status: int = 202, **body) -> str:
    answer = user.session.request("POST", f"{SERVERS}/{server}/action", {"createImage": {"name": "picture", **body}})
    assert answer.status == status, answer.body
    user.cloud.settle()
    return answer.json()["image_id"]


def act_on(user: User, server: str, name: str, value=None, version: str = "2.96"):
    answer = user.session.request("POST", f"{SERVERS}/{server}/action", {name: value},
                                  {"OpenStack-API-Version": f"compute {version}"})
    user.cloud.settle()
    return answer


def test_an_image_of_it_describes_snapshots_of_its_volumes(cloud, user):
    volume, data = user.bootable(), make(cloud, user.session, size=2)
    server = user.boot(root(volume, delete_on_termination=True),
                       {"source_type": "volume", "destination_type": "volume", "uuid": data, "disk_bus": "scsi"})
    image = image_of(user, server, metadata={"made": "here"})
    found = user.session.get(f"/image/v2/images/{image}")
    assert (found["status"], found["size"], found["made"], found["bdm_v2"]) == ("active", 0, "here", "True")
    first, second = json.loads(found["block_device_mapping"])
    assert (first["boot_index"], first["delete_on_termination"], second["disk_bus"]) == (0, True, "scsi")
    snapshots = [show(user.session, f"/snapshots/{each['snapshot_id']}") for each in (first, second)]
    assert [(each["volume_id"], each["status"]) for each in snapshots] == [(volume, "available"), (data, "available")]
    other = user.boot(imageRef=image, block_device_mapping_v2=[])
    made = [show(user.session, f"/volumes/{each['volumeId']}") for each in user.volumes(other)]
    assert [(each["snapshot_id"], each["size"]) for each in made] == [(snapshots[0]["id"], 1), (snapshots[1]["id"], 2)]
    assert [disk.name for disk in guest(cloud, other).disks] == [f"vol-{each['id']}" for each in made]
    assert [each.key for each in cloud.cloud.compute.audit() if other in each.key] == [], "no disk of its own is missed"
    user.delete(other)
    assert call(user.session, "GET", f"/volumes/{made[0]['id']}").status == 404
    assert act_on(user, server, "createBackup", {"name": "b", "backup_type": "daily", "rotation": 1}).status == 400


def test_an_image_of_it_that_cannot_be_made_leaves_nothing(cloud, user, drivers):
    server = user.boot(root(user.bootable()))
    cloud.cloud.site.volumes.fail("end_snapshot", "no luck", None)
    image = image_of(user, server)
    found = user.session.get(f"/image/v2/images/{image}")
    assert (found["status"], "no luck" in found["os_glance_failure"]) == ("killed", True)
    assert (user.server(server)["OS-EXT-STS:task_state"], show(user.session, "/snapshots")) == (None, [])


@pytest.mark.parametrize("said", ["x", "[1]", '[{"source_type": "moon"}]',
                                  '[{"source_type": "snapshot", "boot_index": "a"}]',
                                  '[{"source_type": "volume", "volume_id": 5, "boot_index": 0}]', "[]"])
def test_an_image_may_say_anything(cloud, user, said):
    image = user.session.post("/image/v2/images", {"name": "odd", "disk_format": "raw", "container_format": "bare",
                                                   "block_device_mapping": said, "bdm_v2": "True"})["id"]
    user.session.request("PUT", f"/image/v2/images/{image}/file", b"", {"Content-Type": "application/octet-stream"})
    user.boot(imageRef=image, block_device_mapping_v2=[], status=400)


def test_it_leaves_its_host_when_it_is_shelved(cloud, user):
    volume = user.bootable()
    server = user.boot(root(volume))
    assert act_on(user, server, "shelve").status == 202
    assert user.server(server)["status"] == "SHELVED_OFFLOADED"
    with cloud.cloud.db.read() as tx:
        assert cloud.cloud.placement.allocations(tx, server) == {}
    assert user.session.get("/image/v2/images?visibility=private")["images"] == []
    assert act_on(user, server, "unshelve").status == 202
    assert (user.server(server)["status"], status(user.session, volume)) == ("ACTIVE", "in-use")
    assert [disk.name for disk in guest(cloud, server).disks] == [f"vol-{volume}"]


def test_it_is_resized_and_moves(cloud, user):
    volume = user.bootable()
    server, admin = user.boot(root(volume), flavor="2"), cloud.login("admin")
    assert act_on(user, server, "resize", {"flavorRef": "diskless"}).status == 202
    assert user.server(server)["status"] == "VERIFY_RESIZE"
    assert act_on(user, server, "revertResize").status == 202
    for order in ({"migrate": None}, {"os-migrateLive": {"host": None, "block_migration": False}}):
        before = admin.get(f"{SERVERS}/{server}")["server"]["OS-EXT-SRV-ATTR:host"]
        assert admin.request("POST", f"{SERVERS}/{server}/action", order).status == 202
        cloud.settle()
        if "migrate" in order:
            assert act_on(user, server, "confirmResize").status == 204
        found = admin.get(f"{SERVERS}/{server}")["server"]
        assert (found["status"], found["OS-EXT-SRV-ATTR:host"] != before) == ("ACTIVE", True)
        assert [disk.name for disk in guest(cloud, server).disks] == [f"vol-{volume}"]
        assert "DISK_GB" not in claims(cloud, server)
    live = {"os-migrateLive": {"host": None, "block_migration": True}}
    assert admin.request("POST", f"{SERVERS}/{server}/action", live).status == 400
    assert act_on(user, server, "suspend").status == act_on(user, server, "resume").status == 202
    assert user.server(server)["status"] == "ACTIVE"


def test_its_host_is_gone(cloud, user):
    volume, admin = user.bootable(), cloud.login("admin")
    server = user.boot(root(volume))
    host = admin.get(f"{SERVERS}/{server}")["server"]["OS-EXT-SRV-ATTR:host"]
    cloud.cloud.compute.change_host(host, forced_down=True)
    try:
        assert admin.request("POST", f"{SERVERS}/{server}/action", {"evacuate": {}}).status == 200
        cloud.settle()
        found = admin.get(f"{SERVERS}/{server}")["server"]
        assert (found["OS-EXT-SRV-ATTR:host"] != host, status(user.session, volume)) == (True, "in-use")
    finally:
        cloud.cloud.compute.change_host(host, forced_down=False)
        cloud.cloud.engine.reconcilers["guests"].run_once()


def test_it_is_rebuilt(cloud, user, drivers):
    volume, other = user.bootable(), cloud.image(f"other-{user.session.project_id}"[:60])
    server = user.boot(root(volume))

    def kept() -> list[str]:
        return [name for name in cloud.cloud.site.volumes.snapshots() if name.startswith("rebuild-")]

    def of() -> tuple[str, str, str]:
        found = show(user.session, f"/volumes/{volume}")
        return found["volume_image_metadata"]["image_id"], found["status"], user.server(server)["status"]

    refused = act_on(user, server, "rebuild", {"imageRef": other}, "2.92")
    assert (refused.status, "2.93" in refused.json()["badRequest"]["message"]) == (400, True)
    assert act_on(user, server, "rebuild", {"imageRef": cloud.image_id}, "2.92").status == 202
    assert of() == (cloud.image_id, "in-use", "ACTIVE")
    assert act_on(user, server, "rebuild", {"imageRef": other}).status == 202
    assert of() == (other, "in-use", "ACTIVE")
    assert (user.server(server)["image"], kept()) == ("", [])
    cloud.cloud.site.volumes.fail("reimage", "no luck", None)
    assert act_on(user, server, "rebuild", {"imageRef": cloud.image_id}).status == 202
    assert of() == (other, "in-use", "ERROR"), "its volume has what it had"
    assert kept() == []


def test_it_is_rescued_by_an_image_that_says_how(cloud, user):
    server, images = user.boot(root(user.bootable())), "/image/v2/images"
    assert act_on(user, server, "rescue", {"rescue_image_ref": cloud.image_id}).status == 400
    how = user.session.post(images, {"name": "rescue", "disk_format": "raw", "container_format": "bare",
                                     "hw_rescue_device": "disk", "hw_rescue_bus": "scsi"})["id"]
    user.session.request("PUT", f"{images}/{how}/file", bytes(512), {"Content-Type": "application/octet-stream"})
    assert act_on(user, server, "rescue", {"rescue_image_ref": how}, "2.86").status == 400
    assert act_on(user, server, "rescue", {"rescue_image_ref": how}).status == 200
    assert user.server(server)["status"] == "RESCUE"
    assert [disk.bus for disk in guest(cloud, server).disks] == ["virtio", "scsi"]
    assert act_on(user, server, "unrescue").status == 202
    assert (user.server(server)["status"], len(guest(cloud, server).disks)) == ("ACTIVE", 1)
