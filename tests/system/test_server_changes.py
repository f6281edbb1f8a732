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
    for name, vcpus, ram, disk, *more in (("small", 1, 128, 1), ("large", 2, 256, 2, "--ephemeral", "1", "--swap", "64")):
        openstack("flavor", "create", name, "--vcpus", str(vcpus), "--ram", str(ram), "--disk", str(disk), *more,
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
    found = cloud.ssh(address, "mkdir /tmp/e; mount -t ext4 /dev/vdb /tmp/e && swapon /dev/vdc; cat /proc/swaps; "
                      "df -k /tmp/e; cat /sys/block/vdb/size", user="root").stdout
    assert "/dev/vdc" in found
    assert int(found.split()[-1]) >> 21 == 1

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
    assert sorted(disk for disk in cloud.disks() if server_id in disk) == [
        f"{server_id}.ephemeral0.raw", f"{server_id}.qcow2", f"{server_id}.swap.raw"]
    assert cloud.allocations() == 2


def test_a_suspended_server_goes_on_where_it_was(cloud, server):
    name, address = server
    count = "echo $$ >/tmp/pid; i=0; while :; do i=$((i+1)); echo $i >/tmp/count; sleep 1; done"
    cloud.ssh(address, f"setsid sh -c '{count}' </dev/null >/dev/null 2>&1 &")
    eventually(lambda: cloud.ssh(address, "cat /tmp/count", check=False).stdout, 30, "the process counts")
    before = cloud.ssh(address, "cat /proc/sys/kernel/random/boot_id").stdout
    cloud.openstack("server", "suspend", name)
    eventually(lambda: cloud.json("server", "show", name)["status"] == "SUSPENDED", 60, "the server is suspended")
    assert cloud.processes() == []
    cloud.kill9()
    cloud.up("--no-demo")
    cloud.openstack("server", "resume", name)
    eventually(lambda: cloud.json("server", "show", name)["status"] == "ACTIVE", 60, "the server goes on")
    cloud.wait_ssh(address)
    assert cloud.ssh(address, "cat /proc/sys/kernel/random/boot_id").stdout == before, "it was not booted again"
    assert cloud.ssh(address, "kill -0 $(cat /tmp/pid)").returncode == 0

    def counted() -> int:
        return int(cloud.ssh(address, "cat /tmp/count").stdout or 0)

    last = counted()
    eventually(lambda: counted() > last, 30, "the process counts on")


def test_a_rescued_server_boots_the_rescue_image_beside_its_own_disk(cloud, server):
    name, address = server
    cloud.ssh(address, "touch /root/mark; sync", user="root")
    assert "vdb" not in cloud.ssh(address, "ls /sys/block").stdout
    cloud.openstack("server", "rescue", "--image", "other", name)
    eventually(lambda: cloud.json("server", "show", name)["status"] == "RESCUE", 90, "the server is rescued")
    cloud.wait_ssh(address)
    assert "vdb" in cloud.ssh(address, "ls /sys/block").stdout
    assert cloud.ssh(address, "test -e /root/mark", user="root", check=False).returncode == 1, "it is another disk"
    cloud.openstack("server", "unrescue", name)
    eventually(lambda: cloud.json("server", "show", name)["status"] == "ACTIVE", 60, "the server is itself again")
    cloud.wait_ssh(address)
    assert cloud.ssh(address, "test -e /root/mark", user="root").returncode == 0
    server_id = cloud.json("server", "show", name)["id"]
    assert [disk for disk in cloud.disks() if server_id in disk] == [f"{server_id}.qcow2"]


def test_an_image_of_a_running_server_boots_and_a_shelved_one_comes_back(cloud, server):
    name, address = server
    cloud.ssh(address, "touch /root/mark; sync", user="root")
    before = cloud.ssh(address, "cat /proc/sys/kernel/random/boot_id").stdout
    cloud.openstack("server", "image", "create", "--name", "picture", "--wait", name)
    assert cloud.ssh(address, "cat /proc/sys/kernel/random/boot_id").stdout == before, "it ran on"
    cloud.openstack("server", "shelve", "--wait", name)
    assert cloud.json("server", "show", name)["status"] == "SHELVED_OFFLOADED"
    assert cloud.disks() == []
    cloud.openstack("server", "remove", "floating", "ip", name, address)

    cloud.openstack("server", "create", "--image", "picture", "--flavor", "small", "--network", "net", "--key-name", "k",
                    "--security-group", "open", "--wait", "two")
    cloud.openstack("server", "add", "floating", "ip", "two", address)
    cloud.wait_ssh(address)
    assert cloud.ssh(address, "test -e /root/mark", user="root").returncode == 0
    cloud.openstack("server", "delete", "--wait", "two")
    cloud.openstack("image", "delete", "picture")

    cloud.openstack("server", "unshelve", "--wait", name)
    cloud.openstack("server", "add", "floating", "ip", name, address)
    cloud.wait_ssh(address)
    assert cloud.ssh(address, "test -e /root/mark", user="root").returncode == 0
    assert "one-shelved" not in cloud.openstack("image", "list", "-f", "value", "-c", "Name")
