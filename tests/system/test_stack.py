"""The private OVN on a host: beside another one, taken over, taken away; and the devices it leaves."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

from pilvi.drivers.fabric.base import FabricError, Topology
from pilvi.drivers.fabric.ovs import OvsFabric
from pilvi.supervise import namespace as host
from pilvi.supervise.ovn import OvnStack
from tests.system import netlab
from tests.system.netlab import EXTERNAL_NETWORK, OPEN, WORLD, Lab, network, port, router

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(netlab.missing() is not None, reason=f"no OVN here: {netlab.missing()}"),
]


@pytest.fixture
def lab():
    lab = Lab()
    yield lab
    lab.close()


def test_a_second_start_takes_over_what_runs(lab: Lab):
    before = lab.stack.status()
    assert None not in before.values()
    again = OvnStack(lab.stack.root, lab.name, system_id="host-1", bridge_mappings={"public": "br-ex"})
    assert again.status() == before
    again.start()
    assert again.status() == before
    assert again.check() == []


def test_two_stacks_live_side_by_side_and_one_goes_without_the_other(lab: Lab):
    other = Lab()
    try:
        one = port(1, 11)
        for each in (lab, other):
            each.sync(Topology((network(1),), (one,), (), (OPEN,)))
            assert each.guest(one).dhcp()["address"] == "10.0.1.11"
        other.clear()
        assert one.id in lab.northbound.ports_up()
        assert one.id not in other.northbound.ports_up()
    finally:
        other.close()
    assert None not in lab.stack.status().values()
    assert set(other.stack.status().values()) == {None}
    assert not host.exists(other.name)


def test_the_engines_outlive_whoever_started_them_and_packets_flow_on(lab: Lab):
    """Pilvi is killed the hard way after it has stopped and started the stack itself."""
    one, two = port(1, 11), port(1, 12)
    lab.sync(Topology((network(1),), (one, two), (), (OPEN,)))
    guest, neighbour = lab.guest(one), lab.guest(two)
    guest.use("10.0.1.11/24")
    neighbour.use("10.0.1.12/24")
    lab.stack.stop()
    assert not guest.pings("10.0.1.12", tries=2)
    program = (
        "import os, signal, sys; from pathlib import Path; from pilvi.supervise.ovn import OvnStack\n"
        "mappings = {'public': 'br-ex'}\n"
        "OvnStack(Path(sys.argv[1]), sys.argv[2], system_id='host-1', bridge_mappings=mappings).start()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", program, str(lab.stack.root), lab.name]
    assert subprocess.run(command, timeout=60, check=False).returncode == -9
    netlab.wait_for(lambda: guest.pings("10.0.1.12", tries=1), "packets without Pilvi")
    assert lab.stack.check() == []


def test_the_way_out_is_made_once_and_taken_away(lab: Lab):
    way = ("br-ex", "up0", "out0")
    before = host.links(lab.outside)["out0"]["ifindex"]
    lab.stack.ensure_way_out(*way, ["172.24.4.1/24", "172.24.5.1/24"], lab.outside)
    assert host.links(lab.outside)["out0"]["ifindex"] == before
    assert lab.outsider().addresses() >= {"172.24.4.1", "172.24.5.1"}
    lab.stack.ensure_way_out(*way, ["172.24.4.1/24"], lab.outside)
    assert "172.24.5.1" not in lab.outsider().addresses()
    for _ in range(2):
        lab.stack.absent_way_out(*way, lab.outside)
        assert "out0" not in host.links(lab.outside)
        assert "up0" not in host.links(lab.name)
        assert "up0" not in lab.stack.vsctl("list-ports", "br-ex")


def test_packets_go_out_again_when_the_way_out_was_lost(lab: Lab):
    """The switch had the old device open, and the routers remember its MAC address."""
    one = port(1, 11)
    lab.sync(Topology((network(1), EXTERNAL_NETWORK), (one,), (router(1),), (OPEN,)))
    guest = lab.guest(one)
    guest.use("10.0.1.11/24", "10.0.1.1")
    assert guest.pings(WORLD)
    host.absent_link(lab.outside, "out0")
    assert not guest.pings(WORLD, tries=2)
    lab.stack.ensure_way_out("br-ex", "up0", "out0", [f"{WORLD}/24"], lab.outside)
    assert guest.pings(WORLD)


def test_a_namespace_is_no_router_and_says_nothing_on_its_own(lab: Lab):
    def setting(name: str) -> str:
        with open(f"/proc/sys/net/{name}") as file:
            return file.read().strip()

    assert host.call_in(lab.name, setting, "ipv4/ip_forward") == "0"
    lab.fabric.plug("p1-11", "0a:00:00:00:01:11", 1442, os.getuid())
    assert host.call_in(lab.name, setting, "ipv6/conf/tapp1-11/disable_ipv6") == "1"


def test_a_listener_lives_in_its_namespace_alone(lab: Lab):
    with host.listen_in(lab.outside, "172.24.4.1", 8080):
        assert "172.24.4.1:8080" in listening(lab.outside)
        assert "172.24.4.1:8080" not in listening(lab.name)
        with pytest.raises(OSError, match="assign"):
            host.listen_in(lab.name, "172.24.4.1", 8080)


def listening(namespace: str) -> str:
    return host.run(*host.inside(namespace, "ss", "-ltnH"))


class TestTaps:
    def test_only_its_owner_may_open_it(self, lab: Lab):
        device = lab.fabric.plug("p1-11", "0a:00:00:00:01:11", 1400, 65534)
        link = host.links(lab.name)[device]
        assert link["mtu"] == 1400
        assert "UP" in link["flags"]
        assert opens(lab.name, device, 65534)
        assert not opens(lab.name, device, 12345)
        assert lab.fabric.plug("p1-11", "0a:00:00:00:01:11", 1400, 12345) == device
        assert opens(lab.name, device, 12345)
        assert not opens(lab.name, device, 65534)

    def test_a_half_made_tap_is_listed_finished_and_taken_away(self, lab: Lab):
        device = lab.fabric.plug("p1-11", "0a:00:00:00:01:11", 1442, 0)
        lab.stack.detach("br-int", device)
        assert lab.fabric.plugged() == {"p1-11": device}, "a link without its switch port"
        lab.fabric.plug("p1-11", "0a:00:00:00:01:11", 1442, 0)
        host.absent_link(lab.name, device)
        assert lab.fabric.plugged() == {"p1-11": device}, "a switch port without its link"
        lab.fabric.unplug("p1-11")
        assert lab.fabric.plugged() == {}
        assert device not in host.links(lab.name)

    def test_what_went_wrong_is_said(self, lab: Lab):
        with pytest.raises(FabricError, match=r"cannot plug port p1-11 as tapp1-11: .*mtu"):
            lab.fabric.plug("p1-11", "0a:00:00:00:01:11", 10_000_000, 0)
        lab.fabric.unplug("p1-11")
        nowhere = OvsFabric("unix:/nowhere.sock", lab.name, userspace=True)
        with pytest.raises(FabricError, match=r"cannot plug port p1-11 as tapp1-11: .*nowhere"):
            nowhere.plug("p1-11", "0a:00:00:00:01:11", 1442, 0)


def opens(namespace: str, device: str, uid: int) -> bool:
    """Whether a process of that user, without privileges, may be the other end of the tap."""
    program = (
        "import fcntl, struct, sys\n"
        "try: fcntl.ioctl(0, 0x400454CA, struct.pack('16sH22x', sys.argv[1].encode(), 0x1002))\n"
        "except PermissionError: sys.exit(77)\n"
    )
    as_user = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all")
    # Who may open /dev/net/tun itself differs between hosts: the process gets it open.
    with host.call_in(namespace, open, "/dev/net/tun", "r+b", 0) as tun:
        command = (*as_user, "/usr/bin/python3", "-c", program, device)
        code = subprocess.run(command, stdin=tun, timeout=20, check=False).returncode
    assert code in (0, 77)
    return code == 0


def test_metadata_follows_what_is_wanted_and_repairs_itself(lab: Lab):
    wanted = ("net1", "md1", "0a:00:00:00:01:02")
    place = lab.fabric.ensure_metadata(*wanted, ("10.0.1.2/24", "10.0.9.2/24"))
    inside = netlab.Guest(place, "")
    assert inside.addresses() >= {"10.0.1.2", "10.0.9.2", "169.254.169.254"}
    lab.fabric.ensure_metadata(*wanted, ("10.0.1.2/24",))
    assert "10.0.9.2" not in inside.addresses()
    host.absent_link(place, "eth0")
    assert lab.fabric.ensure_metadata(*wanted, ("10.0.1.2/24",)) == place
    assert inside.addresses() >= {"10.0.1.2", "169.254.169.254"}
    host.absent_namespace(place)
    lab.fabric.ensure_metadata(*wanted, ("10.0.1.2/24",))
    assert inside.addresses() >= {"10.0.1.2", "169.254.169.254"}
    one = port(1, 11)
    lab.sync(Topology((network(1),), (one,), (), (OPEN,)))
    guest = lab.guest(one)
    guest.use_lease(guest.dhcp())
    with inside.serving(80, "169.254.169.254"):
        assert guest.asks("169.254.169.254", 80) == "10.0.1.11"


def test_closing_a_lab_leaves_nothing(lab: Lab):
    lab.fabric.ensure_metadata("net1", "md1", "0a:00:00:00:01:02", ("10.0.1.2/24",))
    lab.clear()
    with contextlib.closing(lab):
        pids = [pid for pid in lab.stack.status().values() if pid]
    assert not [name for name in os.listdir(host.NAMESPACES) if name.startswith(lab.name)]
    assert not lab.root.exists()
    netlab.wait_for(
        lambda: not any(os.path.exists(f"/proc/{pid}/exe") and alive(pid) for pid in pids),
        "the daemons to end",
    )


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
        return bool(file.read())
    return False
