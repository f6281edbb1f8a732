"""What users do to a guest as a whole: images of it, the shelf, suspending, rescuing, passwords. On a simulated cloud."""

from __future__ import annotations

from typing import Any

import pytest

from pilvi.compute import states
from tests.support.cloud import Served, Session, simulated_cloud

V21 = "/compute/v2.1"


class Bench:
    """A cloud of two hosts, a member's session and an administrator's, and a server to work on."""

    def __init__(self, cloud: Served):
        self.cloud, self.user, self.admin = cloud, cloud.login(), cloud.login("admin")
        self.image, self.network = cloud.image(), cloud.network(self.user)
        self.flavor = next(each["id"] for each in self.user.get(f"{V21}/flavors")["flavors"]
                           if each["name"] == "m1.tiny")

    def server(self, name: str = "one", **values: Any) -> str:
        body = {"name": name, "imageRef": self.image, "flavorRef": self.flavor, "networks": [{"uuid": self.network}]}
        server_id = self.user.post(f"{V21}/servers", {"server": {**body, **values}})["server"]["id"]
        self.cloud.settle()
        return server_id

    def act(self, server_id: str, status: int, action: str, value: Any = None, version: str = "2.96",
            session: Session | None = None) -> Any:
        session = session or self.user
        answer = session.request("POST", f"{V21}/servers/{server_id}/action", {action: value},
                                 {"OpenStack-API-Version": f"compute {version}"})
        assert answer.status == status, answer.body
        self.cloud.settle()
        return answer

    def refused(self, *arguments: Any, **options: Any) -> str:
        (fault,) = self.act(*arguments, **options).json().values()
        return fault["message"]

    def show(self, server_id: str, session: Session | None = None) -> dict[str, Any]:
        return (session or self.user).get(f"{V21}/servers/{server_id}")["server"]

    def status(self, server_id: str) -> str:
        server = self.show(server_id)
        assert server["OS-EXT-STS:task_state"] is None
        return server["status"]

    def hosts(self) -> list[dict[str, Any]]:
        answer = self.admin.request("GET", f"{V21}/os-hypervisors/detail", None, {
            "OpenStack-API-Version": "compute 2.87"})
        return answer.json()["hypervisors"]

    def images(self) -> dict[str, dict[str, Any]]:
        found = self.user.get("/image/v2/images?limit=100")["images"]
        return {image["name"]: image for image in found if image["id"] != self.image}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud"), hosts=2, shutdown_seconds=0.2) as cloud:
        yield Bench(cloud)


@pytest.fixture
def bench(shared):
    yield shared
    shared.cloud.settle()  # what is being deleted may be gone before it could be deleted again
    for server in shared.admin.get(f"{V21}/servers?all_tenants=1")["servers"]:
        shared.admin.ok("DELETE", f"{V21}/servers/{server['id']}")
    shared.cloud.settle()
    for image in shared.images().values():
        shared.user.ok("DELETE", f"/image/v2/images/{image['id']}")


# -- images


@pytest.mark.parametrize("before", ["", "os-stop", "pause", "suspend"])
def test_an_image_of_a_server(bench, before):
    server_id = bench.server()
    if before:
        bench.act(server_id, 202, before)
    was = bench.status(server_id)
    body = {"name": "picture", "metadata": {"why": "before the upgrade"}}
    image_id = bench.act(server_id, 202, "createImage", body).json()["image_id"]
    image = bench.images()["picture"]
    assert (image["id"], image["status"], image["visibility"]) == (image_id, "active", "private")
    assert (image["disk_format"], image["container_format"], image["min_disk"]) == ("qcow2", "bare", 1)
    assert image["base_image_ref"] == bench.image
    assert image["image_type"] == "snapshot"
    assert image["instance_uuid"] == server_id
    assert image["why"] == "before the upgrade"
    assert bench.status(server_id) == was
    other = bench.server("two", imageRef=image_id)
    assert bench.show(other)["image"]["id"] == image_id


def test_where_an_image_is_said_to_be(bench):
    server_id = bench.server()
    answer = bench.act(server_id, 202, "createImage", {"name": "old"}, version="2.44")
    assert answer.body == b""
    assert answer.headers["Location"].endswith(f"/image/v2/images/{bench.images()['old']['id']}")
    answer = bench.act(server_id, 202, "createImage", {"name": "new"}, version="2.45")
    assert answer.json() == {"image_id": bench.images()["new"]["id"]}
    assert answer.headers["Location"] is None


@pytest.mark.parametrize("body", [
    {}, {"name": ""}, {"name": "x" * 256}, {"name": "x", "metadata": None}, {"name": "x", "metadata": {"k": 1}},
    {"name": "x", "other": 1}, None, "x"])
def test_an_image_that_is_asked_for_badly(bench, body):
    bench.act(bench.server(), 400, "createImage", body)


def test_an_image_with_too_much_metadata(bench):
    many = {f"k{number}": "v" for number in range(200)}
    bench.act(bench.server(), 403, "createImage", {"name": "x", "metadata": many})


def test_no_image_of_what_is_busy_elsewhere_or_not_ones_own(bench):
    server_id = bench.server()
    bench.act(server_id, 404, "createImage", {"name": "x"}, session=bench.cloud.login("oscloud"))
    bench.act(server_id, 200, "rescue", {})
    assert "vm_state rescued" in bench.refused(server_id, 409, "createImage", {"name": "x"})


def test_only_the_last_backups_are_kept(bench):
    server_id = bench.server()
    for number in range(4):
        body = {"name": f"b{number}", "backup_type": "daily", "rotation": 2}
        assert bench.act(server_id, 202, "createBackup", body).json().keys() == {"image_id"}
    bench.act(server_id, 202, "createBackup", {"name": "w", "backup_type": "weekly", "rotation": "1"})
    found = bench.images()
    assert found.keys() == {"b2", "b3", "w"}
    assert (found["b3"]["image_type"], found["b3"]["backup_type"]) == ("backup", "daily")
    answer = bench.act(server_id, 202, "createBackup", {"name": "w", "backup_type": "weekly", "rotation": 0},
                       version="2.44")
    assert answer.headers["Location"] is None
    assert bench.images().keys() == {"b2", "b3"}
    for bad in (-1, "x", None):
        bench.act(server_id, 400, "createBackup", {"name": "b", "backup_type": "daily", "rotation": bad})


def test_an_image_that_cannot_be_made_says_why(bench):
    server_id = bench.server()
    for agent in bench.cloud.cloud.site.agents:
        agent.hypervisor.fail("copy_disk", "the disk is broken", times=None)
    try:
        bench.act(server_id, 202, "createImage", {"name": "broken"})
    finally:
        for agent in bench.cloud.cloud.site.agents:
            agent.hypervisor.heal()
    image = bench.images()["broken"]
    assert image["status"] == "killed"
    assert "the disk is broken" in image["os_glance_failure"]
    assert bench.status(server_id) == "ACTIVE"
    assert all(agent.disks.disks() in ([], [server_id]) for agent in bench.cloud.cloud.site.agents)


# -- the shelf


@pytest.mark.parametrize("before", ["", "os-stop", "pause", "suspend"])
def test_a_shelved_server_holds_no_host_and_comes_back(bench, before):
    server_id = bench.server()
    if before:
        bench.act(server_id, 202, before)
    addresses = bench.show(server_id)["addresses"]
    bench.act(server_id, 202, "shelve")
    shown = bench.show(server_id, bench.admin)
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("SHELVED_OFFLOADED", None)
    assert bench.images()["one-shelved"]["status"] == "active"
    assert all(agent.disks.disks() == [] for agent in bench.cloud.cloud.site.agents)
    assert all(each["running_vms"] == each["vcpus_used"] == 0 for each in bench.hosts())
    bench.act(server_id, 202, "unshelve")
    assert bench.status(server_id) == "ACTIVE"
    shown = bench.show(server_id)
    assert (shown["addresses"], shown["image"]["id"]) == (addresses, bench.image)
    assert bench.images() == {}
    bench.act(server_id, 409, "unshelve")


def test_where_a_server_is_unshelved_to(bench):
    server_id = bench.server()
    host = bench.show(server_id, bench.admin)["OS-EXT-SRV-ATTR:host"]
    other = next(each["hypervisor_hostname"] for each in bench.admin.get(f"{V21}/os-hypervisors")["hypervisors"]
                 if each["hypervisor_hostname"] != host)
    bench.act(server_id, 202, "shelve")
    bench.act(server_id, 400, "unshelve", {"availability_zone": "nowhere"})
    bench.act(server_id, 400, "unshelve", {"host": "nowhere"}, session=bench.admin)
    bench.act(server_id, 403, "unshelve", {"host": other})
    bench.act(server_id, 400, "unshelve", {"host": other}, session=bench.admin, version="2.90")
    bench.act(server_id, 400, "unshelve", {"availability_zone": None}, version="2.90")
    bench.act(server_id, 400, "unshelve", {})
    bench.act(server_id, 400, "unshelve", {"availability_zone": "nova", "other": 1})
    assert bench.status(server_id) == "SHELVED_OFFLOADED"
    bench.act(server_id, 202, "unshelve", {"availability_zone": "nova", "host": other}, session=bench.admin)
    shown = bench.show(server_id, bench.admin)
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", other)
    assert shown["pinned_availability_zone"] == "nova"
    bench.act(server_id, 202, "shelve")
    bench.act(server_id, 202, "unshelve", {"availability_zone": None})
    assert bench.show(server_id)["pinned_availability_zone"] is None


def test_a_shelved_server_without_a_host_to_go_to_stays_where_it_is(bench):
    server_id = bench.server()
    bench.act(server_id, 202, "shelve")
    services = [each["id"] for each in bench.admin.get(f"{V21}/os-services")["services"]
                if each["binary"] == "nova-compute"]
    for service in services:
        bench.admin.ok("PUT", f"{V21}/os-services/{service}", {"status": "disabled"})
    try:
        assert "disabled" in bench.refused(server_id, 409, "unshelve")
    finally:
        for service in services:
            bench.admin.ok("PUT", f"{V21}/os-services/{service}", {"status": "enabled"})
    assert bench.status(server_id) == "SHELVED_OFFLOADED"
    bench.act(server_id, 202, "unshelve")
    assert bench.status(server_id) == "ACTIVE"


def test_a_server_on_the_shelf_whose_image_is_gone(bench):
    server_id = bench.server()
    bench.act(server_id, 202, "shelve")
    bench.user.ok("DELETE", f"/image/v2/images/{bench.images()['one-shelved']['id']}")
    assert "could not be found" in bench.refused(server_id, 409, "unshelve")
    bench.user.ok("DELETE", f"{V21}/servers/{server_id}")


def test_a_shelved_server_leaves_its_host_when_told_or_after_a_while(tmp_path):
    with simulated_cloud(tmp_path, shelved_offload_seconds=3600) as cloud:
        bench = Bench(cloud)
        first, second = bench.server(), bench.server("two")
        for server_id in (first, second):
            bench.act(server_id, 202, "shelve")
            assert bench.status(server_id) == "SHELVED"
        assert bench.refused(first, 409, "unshelve", {"availability_zone": "nova"})
        bench.act(first, 403, "shelveOffload")
        bench.act(first, 202, "shelveOffload", session=bench.admin)
        assert bench.status(first) == "SHELVED_OFFLOADED"
        bench.act(first, 409, "shelveOffload", session=bench.admin)
        shelved = cloud.cloud.engine.reconcilers["shelved"]
        shelved.run_once()
        assert bench.status(second) == "SHELVED"
        with cloud.cloud.db.transaction() as tx:
            from pilvi.compute import store
            store.update_server(tx, second, shelved={**store.server(tx, second).shelved, "at": 0})
        shelved.run_once()
        cloud.settle()
        assert bench.status(second) == "SHELVED_OFFLOADED"
        for server_id in (first, second):
            bench.act(server_id, 202, "unshelve")
            assert bench.status(server_id) == "ACTIVE"
        bench.act(first, 202, "shelve")
        bench.act(first, 202, "unshelve")  # from a host that it has not left
        assert bench.status(first) == "ACTIVE"
        assert bench.images() == {}


# -- suspending


def test_a_suspended_server_goes_on(bench):
    server_id = bench.server()
    bench.act(server_id, 202, "suspend")
    assert bench.status(server_id) == "SUSPENDED"
    for action in ("suspend", "pause", "os-start", "os-stop", "unpause"):
        bench.act(server_id, 409, action)
    bench.cloud.cloud.engine.reconcilers["guests"].run_once()
    assert bench.status(server_id) == "SUSPENDED"
    bench.act(server_id, 202, "resume")
    assert bench.status(server_id) == "ACTIVE"
    bench.act(server_id, 409, "resume")
    bench.act(server_id, 202, "suspend")
    bench.act(server_id, 202, "reboot", {"type": "HARD"})
    assert bench.status(server_id) == "ACTIVE"


# -- rescuing


def test_a_rescued_server_boots_another_disk_and_has_its_own_beside(bench):
    server_id = bench.server(config_drive=True)
    agent = next(agent for agent in bench.cloud.cloud.site.agents if server_id in agent.hypervisor.guests())
    other = bench.cloud.image("rescue")
    answer = bench.act(server_id, 200, "rescue", {"adminPass": "secret", "rescue_image_ref": other})
    assert answer.json() == {"adminPass": "secret"}
    assert bench.status(server_id) == "RESCUE"
    assert [disk.name for disk in agent.hypervisor._guests[server_id].guest.disks] == ["rescue", "root", "config"]
    for action in ("rescue", "os-stop", "suspend"):
        bench.act(server_id, 409, action)
    bench.cloud.cloud.engine.reconcilers["guests"].run_once()
    bench.act(server_id, 202, "unrescue")
    assert bench.status(server_id) == "ACTIVE"
    assert [disk.name for disk in agent.hypervisor._guests[server_id].guest.disks] == ["root", "config"]
    assert agent.disks.disks() == [server_id, f"{server_id}.config"]
    bench.act(server_id, 409, "unrescue")
    assert len(bench.act(server_id, 200, "rescue").json()["adminPass"]) == 12
    bench.admin.ok("DELETE", f"/image/v2/images/{other}")
    bench.user.ok("DELETE", f"{V21}/servers/{server_id}")
    bench.cloud.settle()
    assert agent.disks.disks() == []


def test_a_rescue_disk_may_have_a_device_of_its_own(bench):
    server_id = bench.server()
    agent = next(agent for agent in bench.cloud.cloud.site.agents if server_id in agent.hypervisor.guests())
    found = {}
    for device, bus in (("disk", "virtio"), ("disk", "scsi"), ("disk", "usb"), ("cdrom", "ide"), ("disk", None),
                        ("cdrom", None), (None, "scsi")):
        changes = [{"op": "add", "path": f"/hw_rescue_{name}", "value": value}
                   for name, value in (("device", device), ("bus", bus)) if value]
        image = bench.cloud.image("rescue")
        patched = bench.admin.request("PATCH", f"/image/v2/images/{image}", repr(changes).replace("'", '"').encode(), {
            "Content-Type": "application/openstack-images-v2.1-json-patch"})
        assert patched.status == 200, patched.body
        bench.act(server_id, 200, "rescue", {"rescue_image_ref": image})
        root, rescue = agent.hypervisor._guests[server_id].guest.disks
        assert (root.name, root.first, rescue.first) == ("root", False, True)
        found[device, bus] = rescue.bus
        bench.act(server_id, 202, "unrescue")
        bench.admin.ok("DELETE", f"/image/v2/images/{image}")
    assert found == {("disk", "virtio"): "virtio", ("disk", "scsi"): "scsi", ("disk", "usb"): "usb",
                     ("cdrom", "ide"): "ide-cdrom", ("disk", None): "virtio", ("cdrom", None): "ide-cdrom",
                     (None, "scsi"): "scsi"}


@pytest.mark.parametrize("body", [{"rescue_image_ref": "x"}, {"adminPass": 1}, {"other": 1}, "x",
                                  {"rescue_image_ref": "11111111-0000-4000-8000-000000000000"}])
def test_a_rescue_that_is_asked_for_badly(bench, body):
    server_id = bench.server()
    bench.act(server_id, 400, "rescue", body)
    assert bench.status(server_id) == "ACTIVE"


# -- passwords, dumps, locks


def test_a_password_is_set_through_the_agent_where_there_is_one(bench):
    server_id = bench.server()
    bench.act(server_id, 202, "changePassword", {"adminPass": "new"})
    assert bench.status(server_id) == "ACTIVE"
    for bad in ({}, {"adminPass": None}, {"adminPass": "x", "other": 1}):
        bench.act(server_id, 400, "changePassword", bad)
    for agent in bench.cloud.cloud.site.agents:
        agent.hypervisor.has_agent = lambda _: False
    try:
        assert "hw_qemu_guest_agent" in bench.refused(server_id, 409, "changePassword", {"adminPass": "new"})
    finally:
        for agent in bench.cloud.cloud.site.agents:
            del agent.hypervisor.has_agent
    bench.act(server_id, 202, "os-stop")
    bench.act(server_id, 409, "changePassword", {"adminPass": "new"})


def test_a_crash_dump(bench):
    server_id = bench.server()
    bench.act(server_id, 404, "trigger_crash_dump", version="2.16")
    bench.act(server_id, 202, "trigger_crash_dump", version="2.17")
    assert bench.status(server_id) == "ACTIVE"
    bench.act(server_id, 202, "os-stop")
    bench.act(server_id, 409, "trigger_crash_dump")


def test_what_is_there_cannot_be_restored(bench):
    assert "vm_state active" in bench.refused(bench.server(), 409, "restore")


def test_a_locked_server_is_not_shelved_or_rescued_but_can_be_looked_at(bench):
    server_id = bench.server()
    bench.act(server_id, 202, "lock", {"locked_reason": "mine"})
    for action in ("shelve", "suspend", "rescue", "trigger_crash_dump"):
        bench.act(server_id, 409, action)
    bench.act(server_id, 202, "createImage", {"name": "picture"})
    locked = bench.user.get(f"{V21}/servers/detail?locked=true")["servers"]
    assert [(each["id"], each["locked_reason"]) for each in locked] == [(server_id, "mine")]
    bench.act(server_id, 202, "unlock")
    assert bench.user.get(f"{V21}/servers?locked=true")["servers"] == []
    bench.act(server_id, 202, "lock", session=bench.admin)
    bench.act(server_id, 403, "unlock")
    bench.act(server_id, 202, "unlock", session=bench.admin)


def test_every_state_has_its_status(bench):
    named = {value for name, value in vars(states).items() if name.isupper() and isinstance(value, str)}
    assert states.STATUSES.keys() <= named
