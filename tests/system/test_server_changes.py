"""What replaces a server's guest, on real guests: rebuilt it keeps what it is known by, resized it has more."""

from __future__ import annotations

import pytest

from tests.support.wait import eventually
from tests.system.lab import lab

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def cloud(tiny_image):
    with lab(tiny_image) as made:
        prepare(made)
        yield made


def prepare(cloud) -> None:
    openstack = cloud.openstack
    for name in ("tiny", "other"):
        openstack("image", "create", name, "--file", str(cloud.image), "--disk-format", "qcow2", "--min-ram", "96")
    for name, vcpus, ram, disk in (("small", 1, 128, 1), ("large", 2, 256, 2)):
        openstack("flavor", "create", name, "--vcpus", str(vcpus), "--ram", str(ram), "--disk", str(disk),
                  cloud="pilvi-admin")
    openstack("network", "create", "net")
    openstack("subnet", "create", "sub", "--network", "net", "--subnet-range", "10.9.0.0/24")
    openstack("router", "create", "r", "--external-gateway", "public")
    openstack("router", "add", "subnet", "r", "sub")
    openstack("keypair", "create", "k", "--public-key", f"{cloud.key}.pub")
    openstack("security", "group", "create", "open")
    for rule in (("icmp",), ("tcp", "--dst-port", "22")):
        openstack("security", "group", "rule", "create", "--protocol", *rule, "open")


@pytest.fixture
def server(cloud):
    """(its name, its address) of a server that one can log in to."""
    cloud.openstack("server", "create", "--image", "tiny", "--flavor", "small", "--network", "net", "--key-name", "k",
                    "--security-group", "open", "--wait", "one")
    address = cloud.json("floating", "ip", "create", "public")["floating_ip_address"]
    cloud.openstack("server", "add", "floating", "ip", "one", address)
    cloud.wait_ssh(address)
    yield "one", address
    cloud.openstack("server", "delete", "--wait", "one")
    cloud.openstack("floating", "ip", "delete", address)


def seen(cloud, address: str) -> tuple[int, int, int]:
    """(processors, MiB of memory, GiB of the disk) as the guest sees them."""
    said = cloud.ssh(address, "nproc; awk '/MemTotal/{print $2}' /proc/meminfo; cat /sys/block/vda/size").stdout.split()
    return int(said[0]), int(said[1]) >> 10, int(said[2]) >> 21


def test_a_rebuilt_server_keeps_its_id_and_its_addresses(cloud, server):
    name, address = server
    before = cloud.json("server", "show", name)
    cloud.ssh(address, "touch /root/mark; sync", user="root")
    cloud.openstack("server", "rebuild", "--image", "other", "--name", "one", "--wait", name)
    after = cloud.json("server", "show", name)
    assert (after["id"], after["addresses"], after["status"]) == (before["id"], before["addresses"], "ACTIVE")
    assert "other" in after["image"]
    cloud.wait_ssh(address)
    assert cloud.ssh(address, "test -e /root/mark", user="root", check=False).returncode == 1, "the old disk is gone"
    assert len([disk for disk in cloud.disks() if before["id"] in disk]) == 1


def test_a_resized_server_has_what_its_flavor_says_and_what_it_had(cloud, server):
    name, address = server
    assert seen(cloud, address)[0::2] == (1, 1)
    memory = seen(cloud, address)[1]
    cloud.ssh(address, "touch /root/mark; sync", user="root")
    cloud.openstack("server", "resize", "--flavor", "large", "--wait", name)
    assert cloud.json("server", "show", name)["status"] == "VERIFY_RESIZE"
    cloud.wait_ssh(address)
    assert seen(cloud, address)[0::2] == (2, 2)
    assert seen(cloud, address)[1] > memory + 100
    assert cloud.ssh(address, "test -e /root/mark", user="root").returncode == 0
    assert cloud.allocations() == 3

    cloud.openstack("server", "resize", "revert", name)
    eventually(lambda: cloud.json("server", "show", name)["status"] == "ACTIVE", 60, "the resize taken back")
    cloud.wait_ssh(address)
    assert seen(cloud, address) == (1, memory, 1)
    assert cloud.allocations() == 1

    cloud.openstack("server", "resize", "--flavor", "large", "--wait", name)
    cloud.openstack("server", "resize", "confirm", name)
    eventually(lambda: cloud.json("server", "show", name)["status"] == "ACTIVE", 60, "the resize confirmed")
    cloud.wait_ssh(address)
    assert seen(cloud, address)[0::2] == (2, 2)
    server_id = cloud.json("server", "show", name)["id"]
    assert [disk for disk in cloud.disks() if server_id in disk] == [f"{server_id}.qcow2"]
    assert cloud.allocations() == 2
