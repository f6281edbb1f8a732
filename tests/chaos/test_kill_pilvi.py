"""SIGKILL for Pilvi at ten moments of a boot and of a delete, with a guest beside it that must not notice."""

from __future__ import annotations

import re
import signal
import subprocess
import time

import pytest

from pilvi.cli.client import ApiFault
from tests.support.wait import eventually
from tests.system.lab import lab

pytestmark = [pytest.mark.system, pytest.mark.chaos]

# Seconds after the request at which Pilvi is killed: before anything was done, in each step, and after the end.
MOMENTS = (0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 0.7, 1.5)
PING_INTERVAL = 0.2
V2, COMPUTE = "/network/v2.0", "/compute/v2.1"


@pytest.fixture(scope="module")
def cloud(tiny_image):
    with lab(tiny_image) as made:
        yield made


@pytest.fixture(scope="module")
def ground(cloud):
    """A network with a way out, open to ping, and an image."""
    api, admin = cloud.client(), cloud.client("admin")
    image = admin.post("/image/v2/images", {"name": "tiny", "disk_format": "qcow2", "container_format": "bare",
                                            "visibility": "public"})["id"]
    with open(cloud.image, "rb") as file:
        admin.upload(f"/image/v2/images/{image}/file", file, cloud.image.stat().st_size)
    network = api.post(f"{V2}/networks", {"network": {"name": "net"}})["network"]["id"]
    subnet = api.post(f"{V2}/subnets", {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.9.0.0/24"}})
    public = api.find(f"{V2}/networks?router:external=True", "networks", "public")["id"]
    router = api.post(f"{V2}/routers", {"router": {"external_gateway_info": {"network_id": public}}})["router"]["id"]
    api.put(f"{V2}/routers/{router}/add_router_interface", {"subnet_id": subnet["subnet"]["id"]})
    group = api.find(f"{V2}/security-groups?project_id={api.project_id}", "security_groups", "default")["id"]
    api.post(f"{V2}/security-group-rules", {"security_group_rule": {
        "security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": "icmp"}})
    flavor = api.find(f"{COMPUTE}/flavors", "flavors", "m1.nano")["id"]
    return {"image": image, "network": network, "public": public, "flavor": flavor}


def boot(cloud, ground, name):
    return cloud.client().post(f"{COMPUTE}/servers", {"server": {
        "name": name, "imageRef": ground["image"], "flavorRef": ground["flavor"],
        "networks": [{"uuid": ground["network"]}]}})["server"]["id"]


def find(cloud, server):
    try:
        return cloud.client().get(f"{COMPUTE}/servers/{server}")["server"]
    except ApiFault as fault:
        if fault.status != 404:
            raise
        return None


def floating(cloud, ground, server):
    api = cloud.client()
    port = api.get(f"{V2}/ports?device_id={server}")["ports"][0]["id"]
    return api.post(f"{V2}/floatingips", {"floatingip": {"floating_network_id": ground["public"], "port_id": port}}
                    )["floatingip"]["floating_ip_address"]


def nothing_leaked(cloud, servers: int) -> None:
    """The host holds what so many servers need, and no more."""
    def counts():
        return len(cloud.processes()), len(cloud.taps()), len(cloud.disks()), cloud.allocations()

    eventually(lambda: counts() == (servers,) * 4, 20, f"what {servers} servers need, and no more; it is {counts()}")


def test_killed_at_ten_moments(cloud, ground):
    witness = boot(cloud, ground, "witness")
    address = floating(cloud, ground, witness)
    eventually(lambda: cloud.pings(address), 120, "the witness's answer")
    qemu = cloud.processes()
    ping = subprocess.Popen(["nsenter", f"--net=/run/netns/{cloud.namespace}", "ping", "-i", str(PING_INTERVAL), address],
                            stdout=subprocess.PIPE, text=True)
    outcomes = []
    try:
        for moment in MOMENTS:
            server = boot(cloud, ground, f"victim-{moment}")
            time.sleep(moment)
            cloud.kill9()
            cloud.up("--no-demo")
            state = eventually(lambda server=server: (found := find(cloud, server)) is None or (
                found["status"] in ("ACTIVE", "ERROR") and found), 60, "a settled server")
            if state is not True and state["status"] == "ACTIVE":
                eventually(lambda: len(cloud.processes()) == 2, 20, "the victim's process")
            elif state is not True:
                assert state["fault"]["message"]
            outcomes.append("gone" if state is True else state["status"])
            if state is not True:
                cloud.client().delete(f"{COMPUTE}/servers/{server}")
                time.sleep(moment)
                cloud.kill9()
                cloud.up("--no-demo")
                eventually(lambda server=server: find(cloud, server) is None, 60, "a deleted server")
            nothing_leaked(cloud, 1)
    finally:
        ping.send_signal(signal.SIGINT)
        summary = ping.communicate(timeout=10)[0]
    assert "ACTIVE" in outcomes
    assert qemu == cloud.processes(), "the witness is the same process"
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", summary).groups())
    assert received >= sent - 1, f"{sent - received} of {sent} pings were lost (the last one may be on its way)"


def test_a_boot_goes_on_to_a_reachable_guest(cloud, ground):
    server = boot(cloud, ground, "resumed")
    cloud.kill9()
    cloud.up("--no-demo")
    found = eventually(lambda: (one := find(cloud, server)) and one["status"] != "BUILD" and one, 60, "an end of BUILD")
    assert found["status"] == "ACTIVE", found
    address = floating(cloud, ground, server)
    eventually(lambda: cloud.pings(address), 120, "the resumed guest's answer")
