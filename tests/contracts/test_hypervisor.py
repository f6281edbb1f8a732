"""The contract of the hypervisor drivers: each test holds for every one of them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from qemu.qmp import QMPClient

from pilvi.drivers.hypervisor.base import (
    Disk,
    Guest,
    Hypervisor,
    HypervisorError,
    Nic,
    PowerState,
    UnknownGuest,
)
from pilvi.drivers.hypervisor.qemu import QemuHypervisor
from pilvi.drivers.hypervisor.qemu_process import Process
from pilvi.drivers.hypervisor.simulated import SimulatedHypervisor
from pilvi.supervise import namespace
from tests.support import boot_sector
from tests.support.wait import eventually

UID = 64535
NOBODY = "00000000-0000-4000-8000-000000000000"


class Simulated:
    """A driver, how another process of Pilvi would open it, and what befalls its guests."""

    def __init__(self, root: Path):
        self.root = root
        self.driver: SimulatedHypervisor = self.open()

    def open(self) -> SimulatedHypervisor:
        return SimulatedHypervisor(self.root)

    def disk(self) -> Disk:
        return Disk("root", str(self.root / "disk"))

    def no_disk(self) -> Disk:
        self.driver.fail("start", "there is no disk")
        return self.disk()

    def switches_itself_off(self, guest_id: str) -> None:
        self.driver.guest_switches_off(guest_id)

    def is_killed(self, guest_id: str) -> None:
        self.driver.guest_is_lost(guest_id)

    def other(self) -> SimulatedHypervisor:
        return SimulatedHypervisor(self.root / "other")

    def empty_disk(self) -> Disk:
        return self.disk()

    def greeted(self, guest_id: str) -> None:
        """It says what it says at once."""

    def answers(self, driver: SimulatedHypervisor, guest_id: str) -> None:
        assert driver.state(guest_id) is PowerState.RUNNING

    def close(self) -> None:
        self.driver.close()


class Qemu:
    def __init__(self, root: Path):
        self.root = root
        self.image = boot_sector.write(root / "disk.raw", UID)
        self.driver: QemuHypervisor = self.open()

    def open(self, namespace: str | None = None) -> QemuHypervisor:
        return QemuHypervisor(self.root / "guests", namespace=namespace, uid=UID, gid=UID,
                              userspace_datapath=True)

    def disk(self) -> Disk:
        path = shutil.copy(self.image, self.root / f"{uuid.uuid4()}.raw")
        os.chown(path, UID, UID)
        return Disk("root", str(path), "raw", serial="root")

    def no_disk(self) -> Disk:
        return Disk("root", str(self.root / "no such disk"), "raw")

    def other(self) -> QemuHypervisor:
        return QemuHypervisor(self.root / "o", namespace=None, uid=UID, gid=UID, userspace_datapath=True)

    def empty_disk(self) -> Disk:
        path = self.root / f"{uuid.uuid4()}.raw"
        path.write_bytes(b"")
        os.truncate(path, self.image.stat().st_size)
        os.chown(path, UID, UID)
        return Disk("root", str(path), "raw", serial="root")

    def answers(self, driver: QemuHypervisor, guest_id: str) -> None:
        """The guest goes on: it switches itself off when it is told at its console, and comes up again."""
        with socket.socket(socket.AF_UNIX) as console:
            console.settimeout(30)
            console.connect(str(driver.console_socket(guest_id)))
            console.sendall(b"x")
            eventually(lambda: console.recv(1), 30, "an answer")

    def pid(self, guest_id: str) -> int:
        noted = (self.root / "guests" / guest_id / "process.json").read_bytes()
        return msgspec.json.decode(noted, type=Process).pid

    def greeted(self, guest_id: str, times: int = 1) -> None:
        eventually(lambda: self.driver.console_log(guest_id).count(boot_sector.GREETING) >= times, 60)

    def switches_itself_off(self, guest_id: str) -> None:
        self.greeted(guest_id)
        with self.at_console(guest_id) as console:
            console.sendall(boot_sector.QUIT)

    def at_console(self, guest_id: str) -> socket.socket:
        console = socket.socket(socket.AF_UNIX)
        console.settimeout(30)
        console.connect(str(self.driver.console_socket(guest_id)))
        return console

    def is_killed(self, guest_id: str) -> None:
        os.kill(self.pid(guest_id), signal.SIGKILL)

    def close(self) -> None:
        self.driver.close()
        cleaner = self.open()
        for guest_id in cleaner.guests():
            cleaner.undefine(guest_id)
        cleaner.close()


QEMU_HERE = (
    pytest.mark.system,
    pytest.mark.skipif(bool(boot_sector.missing()), reason=f"no QEMU guests here: {boot_sector.missing()}"),
)


def only_qemu(test: Callable[..., None]) -> Callable[..., None]:
    for mark in QEMU_HERE:
        test = mark(test)
    return test


@pytest.fixture(params=[Simulated, pytest.param(Qemu, marks=QEMU_HERE)])
def rig(request: pytest.FixtureRequest) -> Iterator[Simulated | Qemu]:
    yield from _rig(request.param)


@pytest.fixture
def qemu() -> Iterator[Qemu]:
    yield from _rig(Qemu)  # type: ignore[misc]


def _rig(kind: Callable[[Path], Simulated | Qemu]) -> Iterator[Simulated | Qemu]:
    with tempfile.TemporaryDirectory(prefix="pilvi-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o711)  # pytest's own folders let no guest's process get at its disk
        rig = kind(Path(folder))
        try:
            yield rig
        finally:
            rig.close()


def guest(*disks: Disk) -> Guest:
    return Guest(str(uuid.uuid4()), "a name, with a comma", 1, 32, disks)


def becomes(driver: Hypervisor, guest_id: str, state: PowerState) -> None:
    eventually(lambda: driver.state(guest_id) is state, 60, f"{guest_id} is {state}")


# -- what every driver does


def test_a_guest_s_life(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    assert driver.state(one.id) is PowerState.ABSENT
    driver.start(one)
    assert driver.state(one.id) is PowerState.RUNNING
    assert driver.guests() == {one.id: PowerState.RUNNING}
    driver.pause(one.id)
    assert driver.state(one.id) is PowerState.PAUSED
    driver.resume(one.id)
    assert driver.state(one.id) is PowerState.RUNNING
    driver.reset(one.id)
    assert driver.state(one.id) is PowerState.RUNNING
    driver.stop(one.id)
    assert driver.state(one.id) is PowerState.OFF
    driver.start(one)
    assert driver.state(one.id) is PowerState.RUNNING
    driver.undefine(one.id)
    assert driver.state(one.id) is PowerState.ABSENT
    assert driver.guests() == {}


def test_each_verb_may_be_repeated(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    driver.start(one)
    for _ in range(2):
        driver.pause(one.id)
    driver.start(one)
    assert driver.state(one.id) is PowerState.PAUSED, "one that is paused is left as it is"
    for _ in range(2):
        driver.resume(one.id)
    for _ in range(2):
        driver.stop(one.id)
    driver.shutdown(one.id)
    assert driver.state(one.id) is PowerState.OFF
    for _ in range(2):
        driver.undefine(one.id)


def test_verbs_for_a_guest_that_is_off_or_unknown(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    verbs = (driver.reset, driver.pause, driver.resume)
    for verb in (*verbs, driver.shutdown, driver.stop, driver.console_log, driver.console_socket):
        with pytest.raises(UnknownGuest):
            verb(NOBODY)
    driver.start(one)
    driver.stop(one.id)
    for verb in verbs:
        with pytest.raises(HypervisorError):
            verb(one.id)


def test_a_guest_that_switches_itself_off_is_off(rig: Simulated | Qemu) -> None:
    driver, one, told = rig.driver, guest(rig.disk()), []
    driver.listen(lambda *what: told.append(what))
    driver.start(one)
    rig.switches_itself_off(one.id)
    eventually(lambda: told, what="the driver tells of it")
    assert told == [(one.id, PowerState.OFF)]
    driver.close()
    rig.driver = rig.open()
    assert rig.driver.state(one.id) is PowerState.OFF, "also to those who come later"


def test_a_guest_whose_process_is_killed_is_lost(rig: Simulated | Qemu) -> None:
    driver, one, told = rig.driver, guest(rig.disk()), []
    driver.listen(lambda *what: told.append(what))
    driver.start(one)
    rig.is_killed(one.id)
    eventually(lambda: told, what="the driver tells of it")
    assert told == [(one.id, PowerState.LOST)]
    assert driver.guests() == {one.id: PowerState.LOST}
    driver.start(one)
    assert driver.state(one.id) is PowerState.RUNNING
    rig.is_killed(one.id)
    becomes(driver, one.id, PowerState.LOST)
    driver.stop(one.id)
    assert driver.state(one.id) is PowerState.OFF


def test_what_a_verb_does_is_not_told(rig: Simulated | Qemu) -> None:
    driver, one, other, told = rig.driver, guest(rig.disk()), guest(rig.disk()), []
    driver.listen(lambda *what: told.append(what))
    driver.start(one)
    driver.pause(one.id)
    driver.resume(one.id)
    driver.stop(one.id)
    driver.start(other)
    rig.is_killed(other.id)
    eventually(lambda: told, what="the driver tells of the killed one")
    assert told == [(other.id, PowerState.LOST)]


def test_others_take_over(rig: Simulated | Qemu) -> None:
    one, other = guest(rig.disk()), guest(rig.disk())
    rig.driver.start(one)
    rig.driver.start(other)
    rig.driver.pause(other.id)
    rig.driver.close()
    rig.driver = driver = rig.open()
    told: list[tuple[str, PowerState]] = []
    driver.listen(lambda *what: told.append(what))
    assert driver.guests() == {one.id: PowerState.RUNNING, other.id: PowerState.PAUSED}
    driver.resume(other.id)
    rig.switches_itself_off(one.id)
    eventually(lambda: told, what="the driver tells of a guest that it took over")
    assert told == [(one.id, PowerState.OFF)]
    driver.stop(other.id)
    assert driver.state(other.id) is PowerState.OFF


def test_a_start_that_fails_leaves_nothing(rig: Simulated | Qemu) -> None:
    one = guest(rig.no_disk())
    with pytest.raises(HypervisorError, match=r"no .*disk"):
        rig.driver.start(one)
    assert rig.driver.state(one.id) is PowerState.ABSENT
    rig.driver.start(msgspec.structs.replace(one, disks=(rig.disk(),)))
    assert rig.driver.state(one.id) is PowerState.RUNNING


def test_a_new_definition_replaces_the_old_one_and_may_fail(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    driver.stop(one.id)
    with pytest.raises(HypervisorError):
        driver.start(msgspec.structs.replace(one, disks=(rig.no_disk(),)))
    assert driver.state(one.id) is PowerState.OFF, "as it was"
    driver.start(msgspec.structs.replace(one, disks=(rig.disk(),)))
    assert driver.state(one.id) is PowerState.RUNNING


def test_one_that_is_defined_is_off_and_may_be_started(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    for _ in range(2):
        driver.define(one)
        assert driver.guests() == {one.id: PowerState.OFF}
    driver.start(one)
    driver.define(one)
    assert driver.state(one.id) is PowerState.RUNNING, "one that runs is left as it is"


def sent(driver: Hypervisor, guest_id: str, where: str) -> None:
    def done() -> bool:
        found = driver.send(guest_id, where)
        assert found.state != "failed", found.reason
        return found.state == "done"

    eventually(done, 60, "the guest's arrival")


@pytest.mark.parametrize("paused", [False, True])
def test_a_guest_goes_to_another_host(rig: Simulated | Qemu, paused: bool) -> None:
    driver, other, one = rig.driver, rig.other(), guest(rig.disk())
    try:
        driver.start(one)
        rig.greeted(one.id)
        if paused:
            driver.pause(one.id)
        there = msgspec.structs.replace(one, disks=(rig.empty_disk(),))
        where = other.expect(there, driver.places(one.id))
        assert other.expect(there, driver.places(one.id)) == where, "as often as one likes"
        assert other.state(one.id) is PowerState.LOST
        sent(driver, one.id, where)
        sent(driver, one.id, where)
        for _ in range(2):
            other.take_over(one.id, paused=paused)
        driver.undefine(one.id)
        assert other.guests() == {one.id: PowerState.PAUSED if paused else PowerState.RUNNING}
        other.resume(one.id)
        rig.answers(other, one.id)
        other.undefine(one.id)
    finally:
        other.close()


def test_a_guest_that_was_to_go_stays(rig: Simulated | Qemu) -> None:
    driver, other, one = rig.driver, rig.other(), guest(rig.disk())
    try:
        driver.start(one)
        rig.greeted(one.id)
        for arrived in (False, True):
            there = msgspec.structs.replace(one, disks=(rig.empty_disk(),))
            where = other.expect(there, driver.places(one.id))
            if arrived:
                sent(driver, one.id, where)
            else:
                driver.send(one.id, where)
            for _ in range(2):
                driver.give_up(one.id, paused=False)
            other.undefine(one.id)
            assert driver.state(one.id) is PowerState.RUNNING
            rig.answers(driver, one.id)
        driver.give_up(NOBODY, paused=False)
    finally:
        other.close()


def test_capabilities(rig: Simulated | Qemu) -> None:
    found = rig.driver.capabilities()
    assert found.vcpus > 0
    assert found.memory_mib > 0
    assert found.version >= 1_000_000
    assert found.acceleration in ("kvm", "tcg", "none")


def test_the_console_says_something_until_the_guest_is_undefined(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    log = eventually(lambda: driver.console_log(one.id))
    driver.stop(one.id)
    assert driver.console_log(one.id).startswith(log)
    assert driver.console_log(one.id, 3) == driver.console_log(one.id)[-3:]
    assert driver.console_log(one.id, 0) == b""
    driver.undefine(one.id)
    with pytest.raises(UnknownGuest):
        driver.console_log(one.id)


def test_what_a_guest_uses_is_told_while_it_runs(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    found = driver.use(one.id)
    assert found.memory_mib == 32
    assert 0 <= found.memory_used_mib <= 32
    assert len(found.cpu_nanoseconds) == 1
    assert len(found.disks) == 1
    driver.stop(one.id)
    with pytest.raises(HypervisorError):
        driver.use(one.id)


def test_a_screen_can_be_looked_at(rig: Simulated | Qemu) -> None:
    """RFB 3.8 without authentication, up to the screen's size and name."""
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    with socket.socket(socket.AF_UNIX) as screen:
        screen.settimeout(30)
        screen.connect(str(driver.vnc_socket(one.id)))
        stream = screen.makefile("rwb", buffering=0)
        assert stream.read(12) == b"RFB 003.008\n"
        screen.sendall(b"RFB 003.008\n")
        assert 1 in stream.read(stream.read(1)[0])
        screen.sendall(b"\x01")
        assert stream.read(4) == bytes(4)
        screen.sendall(b"\x01")
        width, height = struct.unpack(">HH", stream.read(4))
        assert width >= 320
        assert height >= 200
        bits, *_ = stream.read(16)
        assert bits == 32
        assert one.name in stream.read(struct.unpack(">I", stream.read(4))[0]).decode()
    driver.stop(one.id)
    with pytest.raises(HypervisorError):
        driver.vnc_socket(one.id)


# -- cards that come and go while the guest runs


@pytest.fixture
def taps(rig: Simulated | Qemu) -> Iterator[list[Nic]]:
    """Cards whose taps are there; the driver works in their namespace."""
    nics = [Nic(str(uuid.uuid4()), f"fa:16:3e:00:00:0{number}", f"tap{number}", 1400) for number in range(3)]
    if isinstance(rig, Simulated):
        yield nics
        return
    name = f"pilvi-test-{os.getpid()}"
    namespace.ensure_namespace(name)
    try:
        for nic in nics:
            namespace.ip(name, "tuntap", "add", nic.device, "mode", "tap", "user", str(UID))
        rig.driver.close()
        rig.driver = rig.open(namespace=name)
        yield nics
        rig.close()
    finally:
        namespace.absent_namespace(name)


def test_a_volume_is_booted_from_and_found_at_an_address(rig: Simulated | Qemu) -> None:
    driver, name = rig.driver, f"vol-{uuid.uuid4()}"
    one = guest(msgspec.structs.replace(rig.disk(), name=name))
    driver.start(one)
    rig.greeted(one.id)
    eventually(lambda: driver.disk_addresses(one.id).keys() == {name}, what="the firmware has seen it")
    assert re.fullmatch(r"0000:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", driver.disk_addresses(one.id)[name])
    driver.stop(one.id)
    with pytest.raises(HypervisorError):
        driver.disk_addresses(one.id)
    with pytest.raises(UnknownGuest):
        driver.disk_addresses(NOBODY)


def test_a_card_is_plugged_in_once_and_found_at_an_address(rig: Simulated | Qemu, taps: list[Nic]) -> None:
    driver, one = rig.driver, guest(rig.disk())
    one = msgspec.structs.replace(one, nics=(taps[0],))
    driver.start(one)
    for _ in range(2):
        driver.attach_nic(one.id, taps[1])
        driver.attach_nic(one.id, taps[0])
    eventually(lambda: len(driver.addresses(one.id)) == 2, what="the firmware has seen both")
    found = driver.addresses(one.id)
    assert found.keys() == {taps[0].port_id, taps[1].port_id}
    assert len(set(found.values())) == 2
    assert found[taps[0].port_id] == driver.layout(1)[0], "as was said before it was started"
    assert all(re.fullmatch(r"0000:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", where) for where in found.values())
    driver.pause(one.id)
    driver.attach_nic(one.id, taps[2])
    if isinstance(rig, Qemu):
        assert len(plugged(rig, one.id)) == 3
    driver.stop(one.id)
    for verb, what in ((driver.attach_nic, taps[1]), (driver.detach_nic, taps[1].port_id)):
        with pytest.raises(HypervisorError):
            verb(one.id, what)
        with pytest.raises(UnknownGuest):
            verb(NOBODY, what)


def test_a_card_is_gone_when_the_guest_lets_go_of_it(rig: Simulated | Qemu, taps: list[Nic]) -> None:
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    assert driver.detach_nic(one.id, taps[0].port_id) is True, "there is none"
    for _ in range(2):
        driver.attach_nic(one.id, taps[0])
        if not driver.detach_nic(one.id, taps[0].port_id):
            assert len(plugged(rig, one.id)) <= 1, "it is there until the guest lets go, which may be by now"
            driver.reset(one.id)  # which a guest without an operating system needs to let go
        eventually(lambda: driver.detach_nic(one.id, taps[0].port_id), 30, "the card is gone")
        assert driver.addresses(one.id) == {}


def plugged(rig: Qemu, guest_id: str) -> list[str]:
    """The cards that QEMU has."""
    names = [each["name"] for each in ask(rig, guest_id, "qom-list", {"path": "/machine/peripheral"})]
    return [name for name in names if name.startswith("nic-")]


def test_a_card_that_cannot_be_plugged_in_leaves_nothing(rig: Simulated | Qemu, taps: list[Nic]) -> None:
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    broken = msgspec.structs.replace(taps[0], device="no-tap")
    if isinstance(rig, Simulated):
        rig.driver.fail("attach_nic", "No such device")
    with pytest.raises(HypervisorError, match="No such device"):
        driver.attach_nic(one.id, broken)
    assert driver.detach_nic(one.id, broken.port_id) is True
    driver.attach_nic(one.id, taps[0])
    if isinstance(rig, Qemu):
        assert plugged(rig, one.id) == [f"nic-{taps[0].port_id}"]


# -- what only the simulated driver does


def test_pretended_failures_are_for_whom_they_are_meant() -> None:
    driver, one, other = SimulatedHypervisor(), guest(), guest()
    driver.fail("start", "no luck", only=other.id)
    driver.fail("pause", "stuck", times=2)
    driver.start(one)
    with pytest.raises(HypervisorError, match=f"{other.id}: no luck"):
        driver.start(other)
    driver.start(other)
    for _ in range(2):
        with pytest.raises(HypervisorError, match="stuck"):
            driver.pause(one.id)
    driver.pause(one.id)
    assert driver.guests() == {one.id: PowerState.PAUSED, other.id: PowerState.RUNNING}


def test_each_pretended_verb_takes_its_own_time() -> None:
    waited: list[float] = []
    driver, one = SimulatedHypervisor(seconds={"start": 2.0, "stop": 0.5}, sleep=waited.append), guest()
    driver.start(one)
    driver.start(one)
    driver.pause(one.id)
    driver.stop(one.id)
    assert waited == [2.0, 0.5]


# -- what only QEMU's driver does


@only_qemu
def test_a_guest_shuts_down_when_asked_to(qemu: Qemu) -> None:
    driver, one = qemu.driver, guest(qemu.disk())
    driver.start(one)
    qemu.greeted(one.id)
    eventually(lambda: driver.shutdown(one.id) or driver.state(one.id) is PowerState.OFF)
    assert not alive(qemu.pid(one.id))


@only_qemu
def test_the_console_is_logged_and_live_at_once(qemu: Qemu) -> None:
    driver, one = qemu.driver, guest(qemu.disk())
    driver.start(one)
    qemu.greeted(one.id)
    for word in (b"one", b"two"):
        with qemu.at_console(one.id) as console:
            console.sendall(word)
            heard = b""
            while len(heard) < len(word):
                heard += console.recv(16)
            assert heard == word
        eventually(lambda word=word: driver.console_log(one.id).endswith(word))
    driver.reset(one.id)
    qemu.greeted(one.id, times=2)


@only_qemu
def test_a_console_log_does_not_fill_the_host(qemu: Qemu) -> None:
    driver, one = qemu.driver, guest(qemu.disk())
    driver.start(one)
    qemu.greeted(one.id)
    logs = [qemu.root / "guests" / one.id / name for name in ("console.log", "stderr.log")]
    for log in logs:
        with log.open("ab") as file:
            file.write(b"." * (20 << 20) + b"the end")
    driver.guests()
    assert all(log.stat().st_blocks * 512 < 2 << 20 for log in logs)
    assert driver.console_log(one.id, 1000) == b"the end".rjust(1000, b".")
    driver.reset(one.id)
    eventually(lambda: driver.console_log(one.id).endswith(b"the end" + boot_sector.GREETING))


@only_qemu
def test_a_guest_s_process_has_no_privileges(qemu: Qemu) -> None:
    one = guest(qemu.disk())
    qemu.driver.start(one)
    pid = qemu.pid(one.id)
    text = Path(f"/proc/{pid}/status").read_text()
    status = dict(line.split(":", 1) for line in text.splitlines())
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(UID)}
    assert status["Groups"].strip() == ""
    assert {status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert os.getsid(pid) == pid
    folder = qemu.root / "guests" / one.id
    writable = [path.name for path in (folder, *folder.iterdir()) if path.stat().st_uid == UID]
    assert writable == ["own"]
    assert not [path for path in folder.iterdir() if path.name != "own" and path.stat().st_mode & 0o022]


@only_qemu
def test_no_file_of_ours_is_given_to_a_guest(qemu: Qemu) -> None:
    one = guest(qemu.disk())
    with (qemu.root / "secret").open("w"):
        qemu.driver.start(one)
        files = [os.readlink(path) for path in Path(f"/proc/{qemu.pid(one.id)}/fd").iterdir()]
    named = {file for file in files if file.startswith(str(qemu.root))}
    assert named == {one.disks[0].path, *(str(qemu.root / "guests" / one.id / name)
                                          for name in ("console.log", "stderr.log"))}


STARTER = """
import os, signal, sys, time
from pathlib import Path
import msgspec
from pilvi.drivers.hypervisor import qemu
from pilvi.drivers.hypervisor.base import Guest

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

root, uid, when = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if when == "before it is noted": qemu.Folder.note = die
if when == "before it goes on": qemu.QemuHypervisor._execute = die
if when == "before it is looked for": qemu.QemuHypervisor._await_monitor = die
driver = qemu.QemuHypervisor(root, namespace=None, uid=uid, gid=uid, userspace_datapath=True)
driver.start(msgspec.json.decode(sys.argv[4], type=Guest))
die()
"""


@only_qemu
@pytest.mark.parametrize(
    "when", ["afterwards", "before it goes on", "before it is looked for", "before it is noted"]
)
def test_a_start_whose_caller_is_killed_can_be_repeated(qemu: Qemu, when: str) -> None:
    one = guest(qemu.disk())
    starter = subprocess.run([sys.executable, "-c", STARTER, str(qemu.root / "guests"), str(UID), when,
                              msgspec.json.encode(one).decode()], timeout=120, check=False)
    assert starter.returncode == -signal.SIGKILL
    expected = PowerState.RUNNING if when == "afterwards" else PowerState.LOST
    assert qemu.driver.guests() == {one.id: expected}
    before = None if when == "before it is noted" else qemu.pid(one.id)
    qemu.driver.start(one)
    assert qemu.driver.state(one.id) is PowerState.RUNNING
    assert before in (None, qemu.pid(one.id)), "the process that is there will do"
    assert len(processes_of(one)) == 1
    qemu.greeted(one.id)
    qemu.driver.undefine(one.id)
    assert not processes_of(one)


@only_qemu
@pytest.mark.parametrize("verb", ["stop", "undefine", "start"])
def test_a_process_with_a_guest_s_old_number_is_left_alone(qemu: Qemu, verb: str) -> None:
    driver, one = qemu.driver, guest(qemu.disk())
    driver.start(one)
    qemu.is_killed(one.id)
    becomes(driver, one.id, PowerState.LOST)
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            note = qemu.root / "guests" / one.id / "process.json"
            old = msgspec.json.decode(note.read_bytes(), type=Process)
            note.write_bytes(msgspec.json.encode(msgspec.structs.replace(old, pid=stranger.pid)))
            assert driver.state(one.id) is PowerState.LOST
            getattr(driver, verb)(one if verb == "start" else one.id)
            assert stranger.poll() is None
        finally:
            stranger.kill()


@only_qemu
def test_a_process_that_does_not_answer_can_be_stopped(qemu: Qemu) -> None:
    driver, one = qemu.driver, guest(qemu.disk())
    driver.start(one)
    pid = qemu.pid(one.id)
    os.kill(pid, signal.SIGSTOP)
    assert driver.state(one.id) is PowerState.RUNNING
    driver.stop(one.id)
    assert driver.state(one.id) is PowerState.OFF
    assert not alive(pid)


@only_qemu
def test_a_guest_off_while_nobody_watched(qemu: Qemu) -> None:
    one = guest(qemu.disk())
    qemu.driver.start(one)
    qemu.greeted(one.id)
    qemu.driver.close()
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(qemu.root / "guests" / one.id / "con"))
        console.sendall(boot_sector.QUIT)
    qemu.driver = qemu.open()
    becomes(qemu.driver, one.id, PowerState.OFF)
    assert not processes_of(one)


@only_qemu
def test_disks_and_cards_are_what_was_asked_for(qemu: Qemu) -> None:
    name = f"pilvi-test-{os.getpid()}"
    namespace.ensure_namespace(name)
    try:
        namespace.ip(name, "tuntap", "add", "tap0", "mode", "tap", "user", str(UID))
        driver = qemu.open(namespace=name)
        config = msgspec.structs.replace(qemu.disk(), name="config", bus="cdrom", readonly=True, serial="")
        one = msgspec.structs.replace(
            guest(qemu.disk(), config), nics=(Nic("port", "fa:16:3e:00:00:01", "tap0", 1400),))
        driver.start(one)
        pid = qemu.pid(one.id)
        assert os.stat(f"/proc/{pid}/ns/net").st_ino == (namespace.NAMESPACES / name).stat().st_ino
        assert ask(qemu, one.id, "query-uuid") == {"UUID": one.id}
        blocks = {block["qdev"]: block["inserted"] for block in ask(qemu, one.id, "query-block")}
        assert [block["file"] for block in blocks.values()] == [disk.path for disk in one.disks]
        assert [block["ro"] for block in blocks.values()] == [False, True]
        driver.undefine(one.id)
        driver.close()
    finally:
        namespace.absent_namespace(name)


@only_qemu
def test_a_guest_goes_to_another_host_with_a_card_that_was_plugged_in(qemu: Qemu) -> None:
    name = f"pilvi-test-{os.getpid()}"
    namespace.ensure_namespace(name)
    driver = qemu.open(namespace=name)
    other = QemuHypervisor(qemu.root / "o", namespace=name, uid=UID, gid=UID, userspace_datapath=True)
    try:
        first, second, *there = [Nic(f"port-{number % 2}", f"fa:16:3e:00:00:0{number % 2}", f"tap{number}", 1400)
                                 for number in range(4)]
        for device in ("tap0", "tap1", "tap2", "tap3"):
            namespace.ip(name, "tuntap", "add", device, "mode", "tap", "user", str(UID))
        one = msgspec.structs.replace(guest(qemu.disk()), nics=(first,))
        driver.start(one)
        eventually(lambda: driver.console_log(one.id).count(boot_sector.GREETING), 60)
        driver.attach_nic(one.id, second)
        assert driver.places(one.id).devices["nic-port-1"] != "rp1", "where a new process would put it"
        arriving = msgspec.structs.replace(one, disks=(qemu.empty_disk(),), nics=tuple(there))
        where = other.expect(arriving, driver.places(one.id))
        sent(driver, one.id, where)
        other.take_over(one.id, paused=False)
        assert other.places(one.id) == driver.places(one.id)
        qemu.answers(other, one.id)
    finally:
        for each in (driver, other):
            for guest_id in each.guests():
                each.undefine(guest_id)
            each.close()
        namespace.absent_namespace(name)


@only_qemu
def test_a_guest_takes_so_many_cards_and_no_more(qemu: Qemu) -> None:
    name = f"pilvi-test-{os.getpid()}"
    namespace.ensure_namespace(name)
    try:
        driver, one = qemu.open(namespace=name), guest(qemu.disk())
        driver.start(one)
        cards = [Nic(f"port-{number}", f"fa:16:3e:00:00:{number:02x}", f"tap{number}") for number in range(9)]
        for card in cards:
            namespace.ip(name, "tuntap", "add", card.device, "mode", "tap", "user", str(UID))
        for card in cards[:8]:
            driver.attach_nic(one.id, card)
        with pytest.raises(HypervisorError, match="slots are taken"):
            driver.attach_nic(one.id, cards[8])
        assert set(plugged(qemu, one.id)) == {f"nic-{card.port_id}" for card in cards[:8]}
        driver.undefine(one.id)
        driver.close()
    finally:
        namespace.absent_namespace(name)


@only_qemu
def test_a_card_whose_tap_is_missing_is_no_start(qemu: Qemu) -> None:
    name = f"pilvi-test-{os.getpid()}"
    namespace.ensure_namespace(name)
    try:
        driver = qemu.open(namespace=name)
        one = guest(qemu.disk())
        driver.start(one)
        driver.stop(one.id)
        (qemu.root / "guests" / one.id / "stderr.log").write_text("an old warning")
        carded = msgspec.structs.replace(one, nics=(Nic("port", "fa:16:3e:00:00:01", "no-tap"),))
        with pytest.raises(HypervisorError, match="No such device") as refused:
            driver.start(carded)
        assert "old warning" not in str(refused.value)
        assert driver.state(one.id) is PowerState.OFF
        assert set(namespace.links(name)) == {"lo"}
        assert not processes_of(one)
        driver.close()
    finally:
        namespace.absent_namespace(name)


def ask(qemu: Qemu, guest_id: str, command: str, arguments: dict[str, Any] | None = None) -> Any:
    """Through the second monitor, which is for others than Pilvi."""

    async def answer() -> Any:
        client = QMPClient()
        await client.connect(str(qemu.root / "guests" / guest_id / "q1"))
        try:
            return await client.execute(command, arguments)
        finally:
            await client.disconnect()

    return asyncio.run(answer())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def processes_of(one: Guest) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if one.id.encode() in path.read_bytes() and b"qemu-system" in path.read_bytes():
                found.append(int(path.parent.name))
    return found
