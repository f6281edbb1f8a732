"""Devices of a real guest: cards that come and go while it runs, its screen and its serial line, what it uses."""

from __future__ import annotations

import json
import struct
from urllib.parse import parse_qs, urlparse

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pilvi.supervise.namespace import call_in
from tests.support.wait import eventually
from tests.support.websocket import heard
from tests.system.lab import Lab, lab

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def cloud(tiny_image):
    with lab(tiny_image) as made:
        yield made


@pytest.fixture(scope="module")
def address(cloud) -> str:
    """Of the server "one", whom one can log in to."""
    openstack = cloud.openstack
    openstack("image", "create", "tiny", "--file", str(cloud.image), "--disk-format", "qcow2", "--min-ram", "96")
    for name, cidr, gateway in (("net", "10.9.0.0/24", "auto"), ("other", "10.8.0.0/24", "none")):
        openstack("network", "create", name)  # a gateway in both would leave the guest to guess which way is out
        openstack("subnet", "create", name, "--network", name, "--subnet-range", cidr, "--gateway", gateway)
    openstack("router", "create", "r", "--external-gateway", "public")
    openstack("router", "add", "subnet", "r", "net")
    openstack("keypair", "create", "k", "--public-key", f"{cloud.key}.pub")
    openstack("security", "group", "create", "open")
    openstack("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "open")
    openstack("server", "create", "--image", "tiny", "--flavor", "m1.nano", "--network", "net", "--key-name", "k",
              "--config-drive", "true", "--wait", "one")
    openstack("server", "add", "security", "group", "one", "open")
    address = cloud.json("floating", "ip", "create", "public")["floating_ip_address"]
    openstack("server", "add", "floating", "ip", "one", address)
    cloud.wait_ssh(address)
    return address


def cards(cloud: Lab, address: str) -> dict[str, str]:
    """MAC address -> IPv4 addresses, of the guest's own telling."""
    said = cloud.ssh(address, "for c in /sys/class/net/e*; do cat $c/address; ip -4 addr show ${c##*/} | "
                              "sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p'; echo; done", check=False).stdout
    found = [block.split() for block in said.split("\n\n") if block.strip()]
    return {mac: " ".join(addresses) for mac, *addresses in found}


def one_more(cloud: Lab, *arguments: str) -> dict:
    """What there is once `openstack server add ... one` has been told."""
    before = {row["ID"] for row in cloud.json("port", "list", "--server", "one")}
    cloud.openstack("server", "add", *arguments)
    new, = {row["ID"] for row in cloud.json("port", "list", "--server", "one")} - before
    return cloud.json("port", "show", new)


def has(cloud: Lab, address: str, port: dict) -> None:
    fixed = port["fixed_ips"][0]["ip_address"]
    eventually(lambda: cards(cloud, address).get(port["mac_address"]) == fixed, 60, "the card and its address")


def test_a_card_is_attached_while_the_guest_runs_and_taken_out_again(cloud, address):
    before = cards(cloud, address)
    assert len(before) == 1
    taps = cloud.taps()
    port = one_more(cloud, "network", "--tag", "second", "one", "other")
    has(cloud, address, port)
    eventually(lambda: cloud.json("port", "show", port["id"])["status"] == "ACTIVE", 30, "the port is up")
    said = cloud.ssh(address, "curl -s http://169.254.169.254/openstack/latest/meta_data.json").stdout
    where = cloud.ssh(address, f"readlink -f $(dirname $(grep -l {port['mac_address']} /sys/class/net/*/address))/device"
                      ).stdout.strip()
    device = next(part for part in reversed(where.split("/")) if part.startswith("0000:"))
    assert json.loads(said)["devices"] == [
        {"type": "nic", "bus": "pci", "address": device, "mac": port["mac_address"], "tags": ["second"]}]

    cloud.openstack("server", "remove", "port", "one", port["id"])
    eventually(lambda: cards(cloud, address).keys() == before.keys(), 60, "the card is gone")
    eventually(lambda: cloud.openstack("port", "show", port["id"], check=False).returncode != 0, 60, "its port too")
    assert cloud.taps() == taps
    events = cloud.json("server", "event", "list", "one")
    assert [event["Action"] for event in events] == ["detach_interface", "attach_interface", "create"]


def test_cards_outlive_pilvi_a_reboot_and_sleep(cloud, address):
    """A card attached by one Pilvi is taken out by the next; one's own port stays one's own."""
    made = cloud.json("port", "create", "--network", "other", "mine")
    port = one_more(cloud, "port", "one", "mine")
    assert port["id"] == made["id"]
    has(cloud, address, port)
    cloud.pilvi("down")
    cloud.up("--no-demo")
    has(cloud, address, port)
    cloud.openstack("server", "suspend", "one")
    eventually(lambda: cloud.json("server", "show", "one")["status"] == "SUSPENDED", 60, "suspended")
    cloud.openstack("server", "resume", "one")
    eventually(lambda: cloud.json("server", "show", "one")["status"] == "ACTIVE", 60, "resumed")
    has(cloud, address, port)
    cloud.openstack("server", "reboot", "--hard", "--wait", "one")
    cloud.wait_ssh(address)
    has(cloud, address, port)
    cloud.openstack("server", "remove", "port", "one", "mine")
    eventually(lambda: port["mac_address"] not in cards(cloud, address), 60, "the card is gone")
    eventually(lambda: cloud.json("port", "show", "mine")["device_id"] == "", 30, "the port is free")
    cloud.openstack("port", "delete", "mine")


def test_what_the_guest_uses(cloud, address):
    server = cloud.json("server", "show", "one")["id"]
    found = cloud.client("admin").get(f"/compute/v2.1/servers/{server}/diagnostics")
    assert (found["state"], found["num_cpus"], found["num_nics"]) == ("running", 1, 1)
    assert 0 < found["memory_details"]["used"] <= found["memory_details"]["maximum"] == 128
    assert found["uptime"] > 0
    assert found["cpu_details"][0]["time"] > 1_000_000_000, "a boot takes a second of processor time"
    nic, = found["nic_details"]
    assert nic["rx_octets"] > 1000
    assert nic["tx_packets"] > 10
    assert found["disk_details"][0]["read_bytes"] > 1 << 20


def line_to(cloud: Lab, url: str) -> ClientConnection:
    return call_in(cloud.namespace, lambda: connect(url, subprotocols=["binary"], open_timeout=30, proxy=None))


def until(line: ClientConnection, wanted: bytes) -> bytes:
    said = b""
    while wanted not in said:
        said += line.recv(timeout=60)
    return said


def test_the_serial_line(cloud, address):
    url = cloud.json("console", "url", "show", "--serial", "one")["url"]
    with line_to(cloud, url) as line:
        line.send(b"\r")
        until(line, b"login:")
        line.send(b"tiny\r")
        until(line, b"assword:")
        line.send(b"gocubsgo\r")
        until(line, b"$ ")
        line.send(b"echo $((6 * 7))answers\r")
        assert b"42answers" in until(line, b"42answers")
    with pytest.raises(InvalidStatus):
        line_to(cloud, url)
    assert "42answers" in cloud.openstack("console", "log", "show", "one"), "it is logged all the same"


def test_the_screen(cloud, address):
    url = cloud.json("console", "url", "show", "one")["url"]
    assert "noVNC" in cloud.run("curl", "-sf", url).stdout
    parts = urlparse(url)
    with line_to(cloud, f"ws://{parts.netloc}/{parse_qs(parts.query)['path'][0]}") as line:
        assert heard(line, 12) == b"RFB 003.008\n"
        line.send(b"RFB 003.008\n")
        assert 1 in heard(line, 2)[1:]
        line.send(b"\x01")
        assert heard(line, 4) == bytes(4)
        line.send(b"\x01")
        width, height = struct.unpack(">HH", heard(line, 24)[:4])
        assert width >= 640
        assert height >= 400
    shown = cloud.json("console", "url", "show", "one")["url"].split("token%3D")[1]
    told = cloud.json("console", "connection", "show", shown, cloud="pilvi-admin")
    assert told["internal_access_path"].endswith("own/vnc")


def test_nothing_is_left(cloud, address):
    cloud.openstack("server", "delete", "--wait", "one")
    assert cloud.processes() == []
    eventually(lambda: cloud.taps() == [], 10, "no taps")
    assert cloud.disks() == []
