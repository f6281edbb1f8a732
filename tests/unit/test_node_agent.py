"""The node agent: its verbs are idempotent, take no old orders, and remember across restarts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from pilvi.bus.base import RemoteError
from pilvi.bus.local import LocalBus
from pilvi.drivers.disk.simulated import SimulatedDisks
from pilvi.drivers.fabric.simulated import SimulatedFabric
from pilvi.drivers.hypervisor.simulated import SimulatedHypervisor
from pilvi.drivers.volume.several import SeveralVolumes
from pilvi.drivers.volume.simulated import SimulatedVolumes
from pilvi.engine.clock import ManualClock
from pilvi.node.agent import Agent, Locks, mark_for_restart
from pilvi.node.journal import TOMBSTONE_SECONDS, Journal, StaleGeneration
from pilvi.node.messages import EVENTS, Event, GuestSpec, ImageSource, Observed, Order, PortSpec, Question
from pilvi.settings import HostSettings, Settings
from tests.support.wait import eventually

ID = "11111111-2222-4333-8444-555555555555"


class Host:
    """An agent on simulated drivers; made again on the same folder it is the agent after a restart."""

    def __init__(self, root: Path, settings: Settings | None = None):
        self.root, self.clock, self.bus = root, ManualClock(), LocalBus()
        settings = settings or Settings(simulated=True, host=HostSettings(vcpus=4, memory_mib=0, disk_gib=7))
        self.agent = Agent(
            "host",
            root,
            self.bus,
            clock=self.clock,
            settings=settings,
            hypervisor=SimulatedHypervisor(root / "guests", memory_mib=2048),
            disks=SimulatedDisks(root / "disks"),
            fabric=SimulatedFabric(root / "fabric"),
            volumes=SeveralVolumes({"file": SimulatedVolumes(root / "volumes")}),
        )
        self.agent.hypervisor.listen(self.agent._tell)
        self.bus.serve("host", self.agent.handle)
        (root / "image").write_bytes(b"image")

    def spec(self, generation: int = 1, **values) -> GuestSpec:
        return GuestSpec(
            **{
                "server_id": ID,
                "generation": generation,
                "name": "guest",
                "vcpus": 1,
                "memory_mib": 64,
                "image": ImageSource("image", str(self.root / "image"), "raw"),
                "disk_bytes": 1 << 30,
                "ports": (PortSpec("port-1", "fa:16:3e:00:00:01", 1442),),
                **values,
            }
        )

    def call(self, verb: str, argument=None, answer=None):
        return self.bus.call("host", verb, argument, answer)

    def order(self, verb: str, generation: int = 1) -> None:
        self.call(verb, Order(ID, generation))

    def boot(self, generation: int = 1, **values) -> None:
        self.call("prepare", self.spec(generation, **values))
        self.order("plug", generation)
        self.order("start", generation)

    def state(self) -> str:
        return self.call("state", Question(ID), str)

    def there(self) -> tuple[list, list, list]:
        agent = self.agent
        return list(agent.hypervisor.guests()), agent.disks.disks(), list(agent.fabric.plugged())

    def stale(self, verb: str, generation: int) -> None:
        with pytest.raises(RemoteError, match="is too old") as refused:
            self.order(verb, generation)
        assert refused.value.kind == "StaleGeneration"


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


EMPTY = ([], [], [])


def test_a_guest_comes_and_goes(host):
    host.boot(config_drive=b"iso")
    assert host.state() == "running"
    assert host.there() == ([ID], [ID, ID + ".config"], ["port-1"])
    guest = host.agent.hypervisor._guests[ID].guest
    assert [(disk.name, disk.bus, disk.readonly) for disk in guest.disks] == [
        ("root", "virtio", False),
        ("config", "cdrom", True),
    ]
    assert [(nic.port_id, nic.mac, nic.device) for nic in guest.nics] == [
        ("port-1", "fa:16:3e:00:00:01", "tapport-1")
    ]
    host.order("absent", 2)
    assert host.there() == EMPTY
    assert host.state() == "absent"


def test_every_verb_twice(host):
    for verb in (
        "plug",
        "start",
        "shutdown",
        "start",
        "pause",
        "resume",
        "reset",
        "stop",
        "start",
        "unplug",
        "undefine",
        "absent",
    ):
        if verb == "plug":
            host.call("prepare", host.spec())
            host.call("prepare", host.spec())
        host.order(verb)
        before = host.there(), host.state()
        host.order(verb)
        assert (host.there(), host.state()) == before, verb
    assert host.there() == EMPTY


@pytest.mark.parametrize("half", [(), ("prepare",), ("prepare", "plug"), ("prepare", "plug", "start")])
def test_absent_works_with_whatever_is_there(host, half):
    for verb in half:
        host.call(verb, host.spec() if verb == "prepare" else Order(ID, 1))
    host.order("absent")
    host.order("absent")
    assert host.there() == EMPTY


def test_what_half_failed_is_taken_away_by_the_next_absent(host):
    host.boot()
    host.agent.disks.fail("absent", "it is busy")
    with pytest.raises(RemoteError, match="it is busy"):
        host.order("absent", 2)
    assert host.agent.journal.guests().keys() == {ID}, "it is remembered until all of it is gone"
    host.order("absent", 2)
    assert host.there() == EMPTY
    assert host.agent.journal.guests() == {}


def test_older_orders_are_refused(host):
    host.boot(3)
    for verb in (
        "plug",
        "start",
        "shutdown",
        "stop",
        "reset",
        "pause",
        "resume",
        "unplug",
        "undefine",
        "absent",
    ):
        host.stale(verb, 2)
    with pytest.raises(RemoteError, match="is too old"):
        host.call("prepare", host.spec(2))
    host.order("stop", 5)
    host.stale("start", 4)
    assert host.state() == "off"


def test_nothing_old_brings_back_what_is_absent(tmp_path):
    host = Host(tmp_path)
    host.order("absent", 4)
    for generation in (3, 4):
        with pytest.raises(RemoteError, match="is gone since generation 4"):
            host.call("prepare", host.spec(generation))
    host = Host(tmp_path)
    with pytest.raises(RemoteError, match="is gone since generation 4"):
        host.call("prepare", host.spec(4))
    host.boot(5)
    assert host.state() == "running"


def test_tombstones_are_kept_for_a_while(tmp_path):
    clock = ManualClock()
    journal = Journal(tmp_path, clock)
    journal.bury("a", 1)
    clock.advance(TOMBSTONE_SECONDS - 60)
    journal.bury("b", 1)
    journal.forget_old_tombstones()
    assert journal.get("a").generation == 1
    clock.advance(120)
    journal = Journal(tmp_path, clock)
    assert journal.get("a") is None
    with pytest.raises(StaleGeneration):
        journal.admit("b", 1)


def test_guests_are_known_and_started_again_after_a_restart(tmp_path):
    Host(tmp_path).boot()
    host = Host(tmp_path)
    assert host.state() == "running"
    assert host.call("observe", None, list[Observed]) == [Observed(ID, "running", 1)]
    host.agent.hypervisor.guest_is_lost(ID)
    host.agent.fabric.unplug("port-1")
    host.order("start", 2)
    assert host.state() == "running"
    assert host.there() == ([ID], [ID], ["port-1"])


def test_a_guest_that_is_not_in_the_journal_is_not_started(host):
    with pytest.raises(RemoteError, match=f"guest {ID} is not in the journal of host host"):
        host.order("start")
    host.call("prepare", host.spec())
    host.agent.disks.absent(ID)
    with pytest.raises(RemoteError, match=f"guest {ID} has no root disk on host host"):
        host.order("start")


def test_after_a_reboot_all_guests_are_to_run_again(tmp_path):
    Host(tmp_path).boot()
    (tmp_path / "boot_id").write_text("an earlier boot")
    host = Host(tmp_path)
    host.agent.hypervisor.guest_is_lost(ID)
    assert host.call("observe", None, list[Observed]) == [Observed(ID, "lost", 1, restart=True)]
    assert Host(tmp_path).call("observe", None, list[Observed])[0].restart, "until it does"
    host.order("start", 2)
    assert not host.call("observe", None, list[Observed])[0].restart
    assert not Host(tmp_path).call("observe", None, list[Observed])[0].restart


@pytest.mark.parametrize("verb", ["stop", "shutdown", "absent"])
def test_one_that_is_told_otherwise_is_not_to_run_again(tmp_path, verb):
    Host(tmp_path).boot()
    mark_for_restart(tmp_path, [ID])
    host = Host(tmp_path)
    host.order(verb, 2)
    assert not host.agent.restarts.wanted(ID)
    assert not Host(tmp_path).agent.restarts.wanted(ID)


def test_a_paused_guest_is_woken_to_shut_down(host):
    host.boot()
    host.order("pause")
    host.order("shutdown")
    assert host.state() == "off"


def test_what_a_guest_does_by_itself_is_told(host):
    heard = []
    host.bus.subscribe(EVENTS, lambda message: heard.append(msgspec.msgpack.decode(message, type=Event)))
    host.boot()
    assert heard == []
    host.agent.hypervisor.guest_switches_off(ID)
    assert heard == [Event("host", ID, "off")]


def test_the_console_and_the_resources(host):
    host.boot()
    assert b"guest login:" in host.call("console_log", Question(ID), bytes)
    found = host.call("resources")
    assert found == {
        "hypervisor_type": "fake",
        "hypervisor_version": 1_000_000,
        "vcpus": 4,
        "memory_mib": 2048,
        "disk_gib": 7,
    }


def test_orders_for_one_guest_wait_for_each_other_and_for_others_they_do_not(host):
    host.boot()
    entered, leave = threading.Event(), threading.Event()

    def slow(guest_id):
        entered.set()
        assert leave.wait(10)

    host.agent.hypervisor.reset = slow
    with ThreadPoolExecutor(4) as pool:
        slow_one = pool.submit(host.order, "reset")
        assert entered.wait(10)
        waiting = pool.submit(host.order, "stop")
        other = msgspec.structs.replace(host.spec(), server_id="other", ports=())
        pool.submit(host.call, "prepare", other).result(10)
        assert not waiting.done()
        assert host.state() == "running"
        leave.set()
        slow_one.result(10)
        waiting.result(10)
    assert host.state() == "off"


def test_locks_are_kept_only_while_they_are_used():
    locks, inside, most = Locks(), [], []

    def work(_):
        with locks.hold("one"):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
        with locks.hold("one"):
            waiting = pool.submit(work, 0)
            eventually(lambda: locks._locks["one"][1] == 2, 10)
        waiting.result(10)
    assert max(most) == 1
    assert locks._locks == {}
