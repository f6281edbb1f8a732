"""An audit finds what nothing owns and what is missing, mends it, and leaves data that may be somebody's alone."""

from __future__ import annotations

import json
from contextlib import ExitStack

import msgspec
import pytest
from click.testing import CliRunner

from pilvi.cli import audit as command
from pilvi.drivers.disk.base import Image
from pilvi.drivers.hypervisor.base import Guest
from tests.support.cloud import PASSWORDS, simulated_cloud
from tests.support.postgresql import postgresql
from tests.support.wait import eventually

URL = "/pilvi/v1/audit"
STRANGER = "5ca1ab1e-0000-4000-8000-000000000000"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def cloud(request, tmp_path):
    with ExitStack() as stack:
        database = stack.enter_context(postgresql()) if request.param == "postgresql" else ""
        yield stack.enter_context(simulated_cloud(tmp_path, database=database, hosts=2))


@pytest.fixture
def server(cloud) -> str:
    user, admin = cloud.login(), cloud.login("admin")
    flavor = admin.post("/compute/v2.1/flavors", {"flavor": {"name": "f", "vcpus": 1, "ram": 64, "disk": 1}})
    made = user.post("/compute/v2.1/servers", {"server": {
        "name": "s", "imageRef": cloud.image(), "flavorRef": flavor["flavor"]["id"],
        "networks": [{"uuid": cloud.network(user)}]}})
    volume = user.post("/volume/v3/volumes", {"volume": {"size": 1}})["volume"]["id"]
    cloud.settle()
    user.post("/volume/v3/snapshots", {"snapshot": {"volume_id": volume, "force": True}})
    cloud.settle()
    nothing(cloud)
    return made["server"]["id"]


def found(cloud) -> set[tuple[str, str, str]]:
    findings = cloud.login("admin").get(URL)["findings"]
    return {(each["problem"], each["kind"], each["name"]) for each in findings}


def repaired(cloud) -> dict[str, bool]:
    admin = cloud.login("admin")
    keys = [[each[part] for part in ("problem", "kind", "name", "where")] for each in admin.get(URL)["findings"]]
    return {each["name"]: each["mended"] for each in admin.post(URL, {"findings": keys})["findings"]}


def nothing(cloud) -> None:
    """In the end: what was just made or deleted may be found once."""
    eventually(lambda: not found(cloud), what="an audit that finds nothing")


def test_a_cloud_in_use_has_nothing_to_find(cloud, server):
    nothing(cloud)
    user = cloud.login()
    user.post(f"/compute/v2.1/servers/{server}/action", {"resize": {"flavorRef": flavor(cloud)}})
    cloud.settle()
    nothing(cloud)  # the old disks wait for a word
    user.post(f"/compute/v2.1/servers/{server}/action", {"confirmResize": None})
    cloud.settle()
    assert user.request("DELETE", f"/compute/v2.1/servers/{server}").status == 204
    cloud.settle()
    nothing(cloud)


def flavor(cloud) -> str:
    return cloud.login("admin").post("/compute/v2.1/flavors", {"flavor": {
        "name": "g", "vcpus": 2, "ram": 128, "disk": 2}})["flavor"]["id"]


def test_what_nothing_owns_is_found_and_goes(cloud, server):
    agent = cloud.cloud.site.agents[1]
    image = cloud.cloud.place / "an-image"
    image.write_bytes(bytes(512))
    agent.disks.ensure_from_image(STRANGER, Image("i", str(image), "raw"), 512)
    agent.fabric.plug("a-port", "fa:16:3e:00:00:01", 1442, 0)
    agent.fabric.ensure_metadata("a-network", "a-port", "fa:16:3e:00:00:02", ("10.0.0.2/24",))
    agent.hypervisor.start(Guest("another", "another", 1, 64, (), ()))
    assert found(cloud) >= {("orphan", "disk", STRANGER), ("orphan", "network card", "a-port"),
                            ("orphan", "guest", "another")}
    assert all(repaired(cloud).values())
    nothing(cloud)
    assert STRANGER not in agent.disks.disks()
    assert agent.hypervisor.guests().keys() <= {server}


def test_the_logical_network_is_compared_too(cloud, server):
    northbound = cloud.cloud.site.northbound
    told = northbound.topology
    northbound.topology = msgspec.structs.replace(told, ports=told.ports[1:])
    assert {each[:2] for each in found(cloud)} == {("missing", "row of the logical network")}
    assert all(repaired(cloud).values())
    eventually(lambda: northbound.topology == told, what="the logical network as it was")
    nothing(cloud)


def test_only_what_the_caller_has_seen_is_mended(cloud, server):
    agent = cloud.cloud.site.agents[0]
    agent.fabric.plug("a-port", "fa:16:3e:00:00:01", 1442, 0)
    assert cloud.login("admin").post(URL, {"findings": []})["findings"] == []
    assert "a-port" in agent.fabric.plugged()


def test_a_server_without_its_disk_is_in_error(cloud, server):
    agent = next(each for each in cloud.cloud.site.agents if server in each.disks.disks())
    agent.disks.absent(server)
    assert found(cloud) == {("missing", "disk", server)}
    assert repaired(cloud) == {server: True}
    shown = cloud.login().get(f"/compute/v2.1/servers/{server}")["server"]
    assert (shown["status"], "root disk" in shown["fault"]["message"]) == ("ERROR", True)


def test_a_volume_of_which_nothing_is_kept_is_in_error_and_tells_why(cloud, server):
    user, volumes = cloud.login(), cloud.cloud.site.volumes
    snapshot = user.get("/volume/v3/snapshots")["snapshots"][0]["id"]
    volume = user.get("/volume/v3/volumes")["volumes"][0]["id"]
    volumes.absent_snapshot(snapshot)
    volumes.absent(volume)
    assert found(cloud) == {("missing", "volume", volume), ("missing", "snapshot", snapshot)}
    assert repaired(cloud) == {volume: True, snapshot: True}
    assert user.get(f"/volume/v3/volumes/{volume}")["volume"]["status"] == "error"
    user.version = "2.96"
    messages = user.request("GET", "/volume/v3/messages", headers={"OpenStack-API-Version": "volume 3.70"}).json()
    assert {each["resource_uuid"] for each in messages["messages"]} == {volume, snapshot}


def test_data_that_nobody_owns_is_kept(cloud, server):
    volumes = cloud.cloud.site.volumes
    volumes.ensure_blank("somebodys", 1 << 30)
    backups = cloud.cloud.place / "volumes" / "backups"
    backups.mkdir(parents=True, exist_ok=True)
    (backups / "old.qcow2").write_bytes(b"data")
    assert repaired(cloud) == {"somebodys": False, "old": False}
    assert "somebodys" in volumes.volumes()
    assert (backups / "old.qcow2").exists()


def test_a_snapshot_that_an_operation_left_goes(cloud, server):
    volume = cloud.login().get("/volume/v3/volumes")["volumes"][0]["id"]
    volumes = cloud.cloud.site.volumes
    volumes.begin_snapshot(volume, "backup-x")
    volumes.end_snapshot(volume, "backup-x")
    assert repaired(cloud) == {"backup-x": True}
    assert "backup-x" not in volumes.snapshots()


def test_an_image_without_its_file(cloud, server):
    image = cloud.login("admin").get("/image/v2/images?name=image")["images"][0]["id"]
    for file in cloud.cloud.place.images.iterdir():
        file.unlink()
    assert ("missing", "image", image) in found(cloud)


def test_only_administrators_audit(cloud):
    assert cloud.login().request("GET", URL).status == 403


def test_the_command_says_what_it_found_and_did(cloud, server):
    place = cloud.cloud.place
    place.save(cloud.cloud.settings.__class__(simulated=True, listen=f"127.0.0.1:{cloud.port}"))
    (place / "credentials.json").write_text(json.dumps(PASSWORDS))

    def run(*options: str):
        return CliRunner().invoke(command.command, ["--state", str(place.root), *options])

    assert run().output == "Everything has its owner, and nothing is missing.\n"
    cloud.cloud.site.agents[0].fabric.plug("a-port", "fa:16:3e:00:00:01", 1442, 0)
    seen = run("--format", "json")
    assert (seen.exit_code, [each["name"] for each in json.loads(seen.output)]) == (1, ["a-port"])
    mended = run("--repair")
    assert mended.exit_code == 0
    assert "a-port" in mended.output
    assert "mended: taken away" in mended.output
    assert run().exit_code == 0
