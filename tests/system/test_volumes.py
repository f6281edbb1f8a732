"""Volumes of real guests: seen when they are attached, and what was written is there on another server."""

from __future__ import annotations

import pytest

from tests.support.wait import eventually
from tests.system.lab import lab
from tests.system.test_server_changes import prepare

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def cloud(tiny_image):
    with lab(tiny_image) as made:
        prepare(made)
        yield made


def boot(cloud, name: str, *how: str) -> str:
    """Its address, once one can log in."""
    cloud.openstack("server", "create", "--image", "tiny", *how, "--flavor", "small", "--network", "net", "--key-name", "k",
                    "--security-group", "open", "--wait", name)
    address = cloud.json("floating", "ip", "create", "public")["floating_ip_address"]
    cloud.openstack("server", "add", "floating", "ip", name, address)
    cloud.wait_ssh(address)
    return address


def disk(cloud, address: str) -> bool:
    return cloud.ssh(address, "test -b /dev/vdb", user="root", check=False).returncode == 0


def text(cloud, address: str, at: int = 0) -> str:
    command = f"sync; echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vdb bs=512 skip={at} count=1 2>/dev/null | tr -d '\\0'"
    return cloud.ssh(address, command, user="root").stdout.strip()


def write(cloud, address: str, words: str, at: int = 0) -> None:
    cloud.ssh(address, f"echo {words} | dd of=/dev/vdb bs=512 seek={at} conv=notrunc,fsync 2>/dev/null", user="root")


def volume_is(cloud, name: str, status: str) -> None:
    eventually(lambda: cloud.json("volume", "show", name)["status"] == status, 60, f"{name} to be {status}")


def test_data_outlives_the_server_that_wrote_it(cloud):
    one = boot(cloud, "one")
    cloud.openstack("volume", "create", "--size", "1", "data")
    volume_is(cloud, "data", "available")
    cloud.openstack("server", "add", "volume", "one", "data")
    eventually(lambda: disk(cloud, one), 30, "the disk in the guest")
    volume_is(cloud, "data", "in-use")
    write(cloud, one, "first")
    # While the guest runs: a snapshot is what was there at its moment, and the disk grows.
    cloud.openstack("--os-volume-api-version", "3.66", "volume", "snapshot", "create", "--volume", "data", "before")
    eventually(lambda: cloud.json("volume", "snapshot", "show", "before")["status"] == "available", 60, "the snapshot")
    write(cloud, one, "second")
    assert text(cloud, one) == "second"
    cloud.openstack("--os-volume-api-version", "3.42", "volume", "set", "--size", "2", "data")
    eventually(lambda: cloud.ssh(one, "cat /sys/block/vdb/size").stdout.strip() == str(2 << 21), 30, "a larger disk")
    write(cloud, one, "far", 3 << 20)
    cloud.openstack("server", "remove", "volume", "one", "data")
    eventually(lambda: not disk(cloud, one), 60, "the disk to be gone from the guest")
    volume_is(cloud, "data", "available")
    cloud.openstack("volume", "create", "--snapshot", "before", "--size", "1", "copy")
    cloud.openstack("server", "delete", "--wait", "one")

    two = boot(cloud, "two", "--boot-from-volume", "1")
    cloud.openstack("server", "image", "create", "--name", "picture", "--wait", "two")
    assert "snapshot_id" in cloud.json("image", "show", "picture")["properties"]["block_device_mapping"]
    cloud.openstack("server", "add", "volume", "two", "data")
    eventually(lambda: disk(cloud, two), 30, "the disk in the other guest")
    assert (text(cloud, two), text(cloud, two, 3 << 20)) == ("second", "far")
    cloud.openstack("server", "remove", "volume", "two", "data")
    eventually(lambda: not disk(cloud, two), 60, "the disk to be gone from the guest")
    cloud.openstack("server", "add", "volume", "two", "copy")
    eventually(lambda: disk(cloud, two), 30, "the copy in the guest")
    assert text(cloud, two) == "first"
    cloud.openstack("server", "delete", "--wait", "two")
    volume_is(cloud, "copy", "available")
