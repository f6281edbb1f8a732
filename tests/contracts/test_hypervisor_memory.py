"""The contract of the hypervisor drivers about memory that is put on disk, copies of disks, and guest agents."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import msgspec
import pytest

from pilvi.drivers.hypervisor.base import Guest, HypervisorError, Nic, PowerState, UnknownGuest
from tests.contracts.test_hypervisor import (
    NOBODY,
    Qemu,
    Simulated,
    ask,
    guest,
    only_qemu,
    processes_of,
    qemu,
    rig,
    taps,
)
from tests.support import boot_sector
from tests.support.wait import eventually

__all__ = ["qemu", "rig", "taps"]


def echoes(rig: Qemu, guest_id: str, word: bytes) -> None:
    with rig.at_console(guest_id) as console:
        console.sendall(word)
        heard = b""
        while len(heard) < len(word):
            heard += console.recv(16)
        assert heard == word


def test_a_saved_guest_takes_nothing_and_goes_on_where_it_was(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    if isinstance(rig, Qemu):
        rig.greeted(one.id)
    for _ in range(2):
        driver.save(one.id)
        assert driver.state(one.id) is PowerState.SAVED
    assert not processes_of(one)
    driver.close()
    rig.driver = driver = rig.open()
    assert driver.guests() == {one.id: PowerState.SAVED}, "another Pilvi finds it so"
    for _ in range(2):
        driver.restore(one)
        assert driver.state(one.id) is PowerState.RUNNING
    if isinstance(rig, Qemu):
        echoes(rig, one.id, b"still here")
        assert driver.console_log(one.id).count(boot_sector.GREETING) == 1, "it was not booted again"
    driver.save(one.id)
    driver.restore(one)
    assert driver.state(one.id) is PowerState.RUNNING, "once more"


def test_a_saved_guest_that_is_started_or_stopped_forgets(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    driver.save(one.id)
    driver.start(one)
    assert driver.state(one.id) is PowerState.RUNNING
    if isinstance(rig, Qemu):
        rig.greeted(one.id)
    driver.pause(one.id)
    driver.save(one.id)
    driver.stop(one.id)
    assert driver.state(one.id) is PowerState.OFF
    for verb, what in ((driver.restore, one), (driver.save, one.id), (driver.interrupt, one.id)):
        with pytest.raises(HypervisorError):
            verb(what)
    with pytest.raises(UnknownGuest):
        driver.save(NOBODY)
    driver.start(one)
    driver.save(one.id)
    driver.undefine(one.id)
    assert driver.guests() == {}
    with pytest.raises(UnknownGuest):
        driver.restore(one)


def test_a_restore_that_fails_can_be_repeated(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    driver.save(one.id)
    other = one
    if isinstance(rig, Simulated):
        driver.fail("restore", "no luck")
    else:
        other = msgspec.structs.replace(one, memory_mib=64)  # not what was saved
    with pytest.raises(HypervisorError):
        driver.restore(other)
    assert driver.state(one.id) is PowerState.SAVED
    driver.restore(one)
    assert driver.state(one.id) is PowerState.RUNNING


def test_what_was_plugged_in_meanwhile_is_saved_too(rig: Simulated | Qemu, taps: list[Nic]) -> None:
    driver, one = rig.driver, guest(rig.disk())
    one = msgspec.structs.replace(one, nics=(taps[0],))
    driver.start(one)
    driver.attach_nic(one.id, taps[1])
    driver.save(one.id)
    driver.restore(msgspec.structs.replace(one, nics=(taps[0], taps[1])))
    eventually(lambda: driver.addresses(one.id).keys() == {taps[0].port_id, taps[1].port_id})
    driver.attach_nic(one.id, taps[2])


def test_an_interrupt_is_taken(rig: Simulated | Qemu) -> None:
    driver, one = rig.driver, guest(rig.disk())
    driver.start(one)
    driver.interrupt(one.id)
    with pytest.raises(UnknownGuest):
        driver.interrupt(NOBODY)


# -- copies of disks


def test_a_disk_is_copied_while_its_guest_runs(rig: Simulated | Qemu, tmp_path: Path) -> None:
    driver, disk = rig.driver, rig.disk()
    one = guest(disk)
    target = rig.root / "copy.qcow2"
    if isinstance(rig, Qemu):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(target), "1M"], check=True)
    driver.start(one)
    eventually(lambda: driver.copy_disk(one.id, disk.path, str(target)), 60, "the copy is whole")
    assert driver.state(one.id) is PowerState.RUNNING
    if isinstance(rig, Qemu):
        subprocess.run(["qemu-img", "compare", "-q", "-F", "raw", str(target), str(rig.image)], check=True)
        assert ask(rig, one.id, "query-jobs") == []
        assert [each["fdset-id"] for each in ask(rig, one.id, "query-fdsets")] == [1], "only the console's log"
    driver.stop_copying(one.id)
    driver.stop(one.id)
    driver.stop_copying(one.id)
    driver.stop_copying(NOBODY)
    with pytest.raises(HypervisorError):
        driver.copy_disk(one.id, disk.path, str(target))


@only_qemu
def test_a_copy_is_given_up(qemu: Qemu) -> None:
    driver, disk = qemu.driver, qemu.disk()
    os.truncate(disk.path, 256 << 20)
    one, target = guest(disk), qemu.root / "copy.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(target), "256M"], check=True)
    driver.start(one)
    assert driver.copy_disk(one.id, disk.path, str(target)) is False
    driver.stop_copying(one.id)
    assert ask(qemu, one.id, "query-jobs") == []
    target.unlink()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(target), "256M"], check=True)
    eventually(lambda: driver.copy_disk(one.id, disk.path, str(target)), 60, "the copy into the new file is whole")
    subprocess.run(["qemu-img", "compare", "-q", "-F", "raw", str(target), disk.path], check=True)


@only_qemu
def test_a_copy_without_room_fails(qemu: Qemu) -> None:
    driver, disk = qemu.driver, qemu.disk()
    one, target = guest(disk), qemu.root / "copy.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(target), "512"], check=True)
    driver.start(one)
    with pytest.raises(HypervisorError):
        eventually(lambda: driver.copy_disk(one.id, disk.path, str(target)), 20)


# -- the guest agent


def with_agent(one: Guest) -> Guest:
    return msgspec.structs.replace(one, agent=True)


@only_qemu
def test_a_password_is_set_through_the_agent(qemu: Qemu) -> None:
    """The channel is there; what would be the guest's end of it is played here, on a socket in its place."""
    driver, one = qemu.driver, with_agent(guest(qemu.disk()))
    driver.start(one)
    assert driver.has_agent(one.id)
    with pytest.raises(HypervisorError, match="does not answer"):
        driver.set_password(one.id, "root", "secret")
    driver.save(one.id)
    driver.restore(one)
    channel = qemu.root / "guests" / one.id / "agent"
    channel.unlink()
    heard: list[dict] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(channel))
        listener.listen(1)

        def answer() -> None:
            for refused in (False, True):
                client, _ = listener.accept()
                with client:
                    lines = client.makefile("rb")
                    asked = json.loads(lines.readline().lstrip(b"\xff"))
                    client.sendall(b'{"return": 1}\nrubbish\n\xff' + json.dumps(
                        {"return": asked["arguments"]["id"]}).encode() + b"\n")
                    heard.append(json.loads(lines.readline()))
                    answer = {"error": {"class": "GenericError", "desc": "no such user"}} if refused else {"return": {}}
                    client.sendall(json.dumps(answer).encode() + b"\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        driver.set_password(one.id, "root", "secret")
        with pytest.raises(HypervisorError, match="no such user"):
            driver.set_password(one.id, "nobody", "secret")
        thread.join(10)
    assert heard[0]["execute"] == "guest-set-user-password"
    assert heard[0]["arguments"] == {"username": "root", "crypted": False,
                                     "password": base64.b64encode(b"secret").decode()}


@only_qemu
def test_there_is_no_agent_unless_asked_for(qemu: Qemu) -> None:
    driver, one = qemu.driver, guest(qemu.disk())
    driver.start(one)
    assert not driver.has_agent(one.id)
    with pytest.raises(HypervisorError, match="no guest agent"):
        driver.set_password(one.id, "root", "secret")


def test_a_password_is_set_in_a_pretended_guest(tmp_path: Path) -> None:
    pretended = Simulated(tmp_path)
    driver, one = pretended.driver, guest(pretended.disk())
    driver.start(one)
    assert driver.has_agent(one.id)
    driver.set_password(one.id, "root", "secret")
    driver.fail("set_password", "no such user")
    with pytest.raises(HypervisorError, match="no such user"):
        driver.set_password(one.id, "root", "secret")


# -- disks of a rescue


@only_qemu
@pytest.mark.parametrize("bus", ["virtio", "scsi", "usb", "ide", "cdrom", "ide-cdrom"])
def test_the_first_disk_is_booted_whatever_bus_it_is_on(qemu: Qemu, bus: str) -> None:
    own = qemu.disk()
    Path(own.path).write_bytes(bytes(1 << 20))  # which cannot be booted
    rescue = msgspec.structs.replace(qemu.disk(), name="rescue", bus=bus, first=True, serial="rescue")
    one = guest(own, rescue)
    qemu.driver.start(one)
    if "cdrom" in bus:  # not a CD that a BIOS boots from; it is there
        assert any(rescue.path in json.dumps(each) for each in ask(qemu, one.id, "query-block"))
    else:
        qemu.greeted(one.id)
