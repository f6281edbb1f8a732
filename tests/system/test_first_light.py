"""The whole path with the unmodified openstackclient: from an empty cloud to a guest one logs in to, and back to nothing."""

from __future__ import annotations

import json

import pytest

from tests.support.wait import eventually
from tests.system.lab import lab

pytestmark = pytest.mark.system

USER_DATA = "#!/bin/sh\necho user-data ran as $(id -un) > /tmp/user-data-ran\n"


@pytest.fixture(scope="module")
def cloud(tiny_image):
    with lab(tiny_image) as made:
        yield made


def fields(rows):
    return {row["Name"]: row for row in rows}


def test_first_light(cloud):
    openstack, show = cloud.openstack, cloud.json
    openstack("image", "create", "tiny", "--file", str(cloud.image), "--disk-format", "qcow2", "--min-ram", "96")
    assert show("image", "show", "tiny")["status"] == "active"
    openstack("network", "create", "net")
    openstack("subnet", "create", "sub", "--network", "net", "--subnet-range", "10.9.0.0/24")
    openstack("router", "create", "r", "--external-gateway", "public")
    openstack("router", "add", "subnet", "r", "sub")
    openstack("keypair", "create", "k", "--public-key", f"{cloud.key}.pub")
    openstack("security", "group", "create", "open")
    openstack("security", "group", "rule", "create", "--protocol", "icmp", "open")
    openstack("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "open")
    user_data = cloud.folder / "user-data"
    user_data.write_text(USER_DATA)
    create = ("server", "create", "--image", "tiny", "--flavor", "m1.nano", "--network", "net", "--key-name", "k")
    openstack(*create, "--security-group", "open", "--user-data", str(user_data), "--wait", "one")
    openstack(*create, "--security-group", "open", "--config-drive", "true", "two")
    address = show("floating", "ip", "create", "public")["floating_ip_address"]
    openstack("server", "add", "floating", "ip", "one", address)

    cloud.wait_ssh(address)
    assert cloud.pings(address)
    said = cloud.ssh(address, "curl -s http://169.254.169.254/latest/meta-data/public-ipv4").stdout
    assert said.strip() == address
    eventually(lambda: cloud.ssh(address, "cat /tmp/user-data-ran", check=False).stdout == "user-data ran as root\n",
               60, "user-data")
    assert cloud.ssh(address, "hostname").stdout.strip() == "one"
    metadata = json.loads(cloud.ssh(address, "curl -s http://169.254.169.254/openstack/latest/meta_data.json").stdout)
    one = show("server", "show", "one")
    assert metadata["uuid"] == one["id"]
    assert address in str(one["addresses"])
    assert "tiny" in openstack("console", "log", "show", "one")

    two = show("server", "show", "two")
    private = two["addresses"]["net"][0]
    eventually(lambda: cloud.ssh(address, f"ping -c 1 -W 2 {private}", user="root", check=False).returncode == 0, 120,
               "the second server's answer")
    eventually(lambda: "the config drive" in openstack("console", "log", "show", "two"), 60, "the config drive")
    events = show("server", "event", "list", "one")
    assert [event["Action"] for event in events] == ["create"]

    # Without the rule, ssh is refused; ping still goes through.
    rules = show("security", "group", "rule", "list", "open")
    ssh_rule = next(rule["ID"] for rule in rules if rule["IP Protocol"] == "tcp")
    openstack("security", "group", "rule", "delete", ssh_rule)
    eventually(lambda: cloud.ssh(address, "true", check=False).returncode != 0, 30, "ssh shut out")
    way = ("network", "show-path", "--from", "public", "--to", address)
    refused = cloud.pilvi(*way, "--port", "22", check=False)
    assert refused.returncode == 3, refused.stderr
    assert "no ingress rule for tcp 22" in refused.stdout
    assert json.loads(cloud.pilvi(*way, "--format", "json").stdout)["passes"] is True
    assert cloud.pings(address)
    openstack("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "open")
    cloud.wait_ssh(address, 60)


def test_stop_start_reboot_pause(cloud):
    openstack, show = cloud.openstack, cloud.json
    address = show("floating", "ip", "list")[0]["Floating IP Address"]

    def status():
        return show("server", "show", "one")["status"]

    openstack("server", "pause", "one")
    eventually(lambda: status() == "PAUSED", 30, "paused")
    assert not cloud.pings(address)
    openstack("server", "unpause", "one")
    eventually(lambda: status() == "ACTIVE", 30, "unpaused")
    eventually(lambda: cloud.pings(address), 30, "the unpaused guest's answer")
    openstack("server", "stop", "one")
    eventually(lambda: status() == "SHUTOFF", 90, "stopped")
    assert len(cloud.processes()) == 1
    openstack("server", "start", "one")
    eventually(lambda: status() == "ACTIVE", 60, "started")
    cloud.wait_ssh(address)
    booted = cloud.ssh(address, "cat /proc/sys/kernel/random/boot_id").stdout
    openstack("server", "reboot", "--soft", "--wait", "one")
    cloud.wait_ssh(address)
    assert cloud.ssh(address, "cat /proc/sys/kernel/random/boot_id").stdout != booted


def test_a_second_up_changes_nothing(cloud):
    before = cloud.pid()
    assert "nothing was changed" in cloud.up("--no-demo")
    assert cloud.pid() == before
    assert "is up (real" in cloud.pilvi("status").stdout
    assert cloud.pilvi("doctor").returncode == 0
    trail = cloud.pilvi("explain", "server", "one").stdout
    assert "create: done" in trail
    assert "placement" in trail


def test_guests_outlive_pilvi(cloud):
    """`pilvi down` leaves them running, and `pilvi up` takes them over."""
    address = cloud.json("floating", "ip", "list")[0]["Floating IP Address"]
    before = sorted(cloud.processes())
    assert len(before) == 2
    cloud.pilvi("down")
    assert cloud.pings(address)
    assert sorted(cloud.processes()) == before
    cloud.up("--no-demo")
    assert sorted(cloud.processes()) == before
    assert cloud.json("server", "show", "one")["status"] == "ACTIVE"
    cloud.wait_ssh(address, 60)


def test_nothing_is_left(cloud):
    """Looked at on the host, not in our database."""
    openstack = cloud.openstack
    port_ids = [row["ID"] for row in cloud.json("port", "list", "--server", "one")]
    assert cloud.allocations() == 2
    openstack("server", "delete", "--wait", "one", "two")
    assert cloud.processes() == []
    eventually(lambda: cloud.taps() == [], 10, "no taps")
    assert cloud.disks() == []
    assert cloud.allocations() == 0
    eventually(lambda: not set(port_ids) & set(cloud.northbound("Logical_Switch_Port")), 10, "no rows of the ports")
    guests = cloud.place.node / "guests"
    assert [path.name for path in guests.iterdir()] == []

    address = cloud.json("floating", "ip", "list")[0]["Floating IP Address"]
    openstack("floating", "ip", "delete", address)
    openstack("router", "remove", "subnet", "r", "sub")
    openstack("router", "delete", "r")
    openstack("network", "delete", "net")
    openstack("image", "delete", "tiny")
    eventually(lambda: cloud.northbound("Logical_Router") == [], 10, "no routers")
    eventually(lambda: cloud.northbound("NAT", "external_ip") == [], 10, "no NAT")
    assert len(cloud.northbound("Logical_Switch")) == 1, "the external network stays"
    assert [path for path in (cloud.place / "images").rglob("*") if path.is_file()] == []


def test_down_with_guests_leaves_nothing_running(cloud):
    cloud.pilvi("down", "--guests")
    assert cloud.pid() is None
    namespaces = cloud.run("ip", "netns", "list").stdout
    assert cloud.names.namespace not in namespaces
    for pid_file in (cloud.place / "ovn").glob("*.pid"):
        raise AssertionError(f"{pid_file} is left")
