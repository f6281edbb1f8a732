"""What hypervisors do with volumes beyond plugging them in: several guests on one, encryption, limits.

What a guest would read and write is read and written by QEMU for its disk: past the limits' clock, and decrypted."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pilvi.drivers.hypervisor.base import Disk, HypervisorError, PowerState
from pilvi.drivers.hypervisor.qemu_volumes import throttle
from pilvi.drivers.volume.luks import Luks, options
from tests.contracts.test_hypervisor import UID, Qemu, Simulated, becomes, guest, only_qemu, qemu, rig
from tests.support.wait import eventually

__all__ = ["qemu", "rig"]

MIB = 1 << 20
NAME = "vol-5fd6e2a4-0000-4000-8000-000000000001"
PASSPHRASE = "a passphrase that nobody sees"


def volume(rig: Simulated | Qemu, disk_format: str = "raw", size: int = 4 * MIB, **more: object) -> Disk:
    path = rig.root / f"volume.{disk_format}"
    if isinstance(rig, Qemu):
        subprocess.run(["qemu-img", "create", "-q", "-f", disk_format, path, str(size)], check=True)
        os.chown(path, UID, UID)
    return Disk(NAME, str(path), disk_format, serial="volume", **more)  # type: ignore[arg-type]


@functools.cache
def head() -> bytes:
    """A container's; making one takes seconds, since QEMU measures how fast it could be guessed."""
    way = SimpleNamespace(key=PASSPHRASE, cipher="aes-xts-plain64", key_bits=256)
    with (tempfile.TemporaryDirectory() as folder,
          Luks(Path(folder), str.encode).container("volume", way, None) as container):
        return container.read_bytes()


def encrypted(rig: Qemu) -> Disk:
    """A volume of 4 MiB and the container's head."""
    source, path = rig.root / "head", rig.root / "volume.qcow2"
    source.write_bytes(head())
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, path], check=True)
    subprocess.run(["qemu-img", "resize", "-q", path, str(6 * MIB)], check=True)
    os.chown(path, UID, UID)
    return Disk(NAME, str(path), key=PASSPHRASE)


def told(rig: Qemu, guest_id: str, command: str) -> None:
    """QEMU reads or writes for the disk as it does for the guest; what came of it, the disk's content shows."""
    path = f"/machine/peripheral/disk-{NAME}/virtio-backend"
    rig.driver._monitors[guest_id].ask("human-monitor-command", {"command-line": f'qemu-io -d {path} "{command}"'})


def write(rig: Qemu, guest_id: str, byte: int, at: int = 0, size: int = 4096) -> None:
    told(rig, guest_id, f"write -P {byte} {at} {size}")
    told(rig, guest_id, "flush")


def holds(disk: Disk, byte: int, at: int = 0) -> bool:
    """Whether who opens the disk, with the key, reads this there."""
    found = {"driver": disk.format, "file": {"driver": "file", "filename": disk.path}}
    if disk.key:
        found = {"driver": "luks", "key-secret": "key", "file": found}
    said = subprocess.run(
        ["qemu-io", "-r", "-U", "--object", f"secret,id=key,data={PASSPHRASE}", f"json:{json.dumps(found)}",
         "-c", f"read -P {byte} {at} 4096"], capture_output=True, text=True, check=False).stdout
    assert "read 4096/4096" in said, said
    return "verification failed" not in said


def running(rig: Simulated | Qemu, *disks: Disk) -> str:
    one = guest(rig.disk(), *disks)
    rig.driver.start(one)
    return one.id


def test_limits_can_be_changed_while_a_guest_runs(rig: Simulated | Qemu) -> None:
    one = running(rig, volume(rig, limits={"total_iops_sec": 100}))
    for limits in ({"read_bytes_sec": MIB, "write_iops_sec": 50}, {}):
        rig.driver.limit_disk(one, NAME, limits)
    with pytest.raises(HypervisorError):
        rig.driver.limit_disk(one, "vol-other", {})
    rig.driver.stop(one)
    becomes(rig.driver, one, PowerState.OFF)
    with pytest.raises(HypervisorError):
        rig.driver.limit_disk(one, NAME, {})


def test_limits_as_qemu_calls_them() -> None:
    found = throttle({"total_bytes_sec": 1, "total_bytes_sec_max": 2, "total_bytes_sec_max_length": 3, "read_iops_sec": 4,
                      "size_iops_sec": 5})
    assert {name: value for name, value in found.items() if value} == {
        "bps": 1, "bps_max": 2, "bps_max_length": 3, "iops_rd": 4, "iops_size": 5}


def test_ciphers_as_qemu_calls_them() -> None:
    assert options("", 0) == []
    assert options("aes-xts-plain64", 256) == ["cipher-alg=aes-128", "cipher-mode=xts", "ivgen-alg=plain64"]
    assert options("aes-cbc-essiv:sha256", 0) == ["cipher-alg=aes-256", "cipher-mode=cbc", "ivgen-alg=essiv",
                                                  "ivgen-hash-alg=sha256"]
    for cipher, bits in (("rot-xts-plain64", 256), ("aes-xts-plain64", 128), ("aes", 256), ("aes-xts-plain64,x=y", 256)):
        with pytest.raises(ValueError, match="no cipher"):
            options(cipher, bits)


@only_qemu
def test_a_limit_holds_when_it_is_started_plugged_in_and_changed(qemu: Qemu) -> None:
    """Slower than the limit it may always be; faster never. A second's worth is let through at once."""
    disk = volume(qemu, size=64 * MIB, limits={"write_bytes_sec": 2 * MIB})
    started, plugged = running(qemu, disk), running(qemu)

    def seconds(guest_id: str) -> float:
        begun = time.monotonic()
        for number in range(6):
            write(qemu, guest_id, 1, number * MIB, MIB)
        return time.monotonic() - begun

    assert seconds(started) > 1.5
    qemu.driver.stop(started)
    qemu.driver.attach_disk(plugged, disk)
    assert seconds(plugged) > 1.5
    qemu.driver.limit_disk(plugged, NAME, {"write_iops_sec": 2})
    assert seconds(plugged) > 1.5


@only_qemu
def test_guests_share_a_volume_and_only_one_that_is_to_be_shared(qemu: Qemu) -> None:
    disk = volume(qemu, shared=True)
    one, other = running(qemu, disk), running(qemu)
    qemu.driver.attach_disk(other, disk)
    write(qemu, one, 7)
    write(qemu, other, 8, MIB)
    assert (holds(disk, 7), holds(disk, 8, MIB)) == (True, True)
    for guest_id in (one, other):
        qemu.driver.resize_disk(guest_id, NAME, 8 * MIB)
    write(qemu, other, 9, 6 * MIB)
    assert (holds(disk, 9, 6 * MIB), holds(disk, 7)) == (True, True)
    own, third = volume(qemu, "qcow2"), running(qemu)
    qemu.driver.stop(one)
    qemu.driver.stop(other)
    qemu.driver.attach_disk(third, own)
    with pytest.raises(HypervisorError, match="lock"):
        running(qemu, own)


@only_qemu
def test_an_encrypted_volume_is_read_by_who_has_the_key(qemu: Qemu) -> None:
    disk = encrypted(qemu)
    one, other = running(qemu), guest(qemu.disk(), disk)
    qemu.driver.attach_disk(one, disk)
    write(qemu, one, 0x41, 2 * MIB)
    over = qemu.root / "over.qcow2"  # a snapshot, of which the guest knows nothing
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", disk.path, "-F", "qcow2", over], check=True)
    os.chown(over, UID, UID)
    qemu.driver.redirect_disk(one, NAME, str(over))
    qemu.driver.resize_disk(one, NAME, 10 * MIB)
    write(qemu, one, 0x42, 7 * MIB)
    qemu.driver.stop(one)
    assert b"A" * 512 not in Path(disk.path).read_bytes()
    assert b"B" * 512 not in over.read_bytes()
    grown = Disk(NAME, str(over), key=PASSPHRASE)
    assert [holds(*each) for each in ((disk, 0x41, 2 * MIB), (grown, 0x41, 2 * MIB), (grown, 0x42, 7 * MIB))] == [True] * 3
    qemu.driver.start(guest_with(other.id, qemu, grown))
    write(qemu, other.id, 0x43)
    assert holds(grown, 0x43)
    assert PASSPHRASE.encode() not in Path(f"/proc/{qemu.pid(other.id)}/cmdline").read_bytes()
    qemu.driver.stop(other.id)
    with pytest.raises(HypervisorError, match=r"[Ii]nvalid password|No key"):
        qemu.driver.start(guest_with(other.id, qemu, Disk(NAME, str(over), key="another")))


def guest_with(guest_id: str, qemu: Qemu, disk: Disk):
    made = guest(qemu.disk(), disk)
    return type(made)(guest_id, made.name, made.vcpus, made.memory_mib, made.disks)


@only_qemu
def test_an_encrypted_volume_comes_and_goes(qemu: Qemu) -> None:
    """The guest lets go of nothing by itself here: what is left of an attempt does not get in the way of the next."""
    disk, one = encrypted(qemu), running(qemu)
    with pytest.raises(HypervisorError):
        qemu.driver.attach_disk(one, Disk(NAME, disk.path, key="wrong"))
    qemu.driver.attach_disk(one, disk)
    write(qemu, one, 5)
    qemu.driver.save(one)
    qemu.driver.restore(guest_with(one, qemu, disk))
    write(qemu, one, 6, MIB)
    assert (holds(disk, 5), holds(disk, 6, MIB)) == (True, True)




@only_qemu
def test_a_volume_goes_elsewhere_under_its_guest(qemu: Qemu) -> None:
    disk, one = volume(qemu, "qcow2", 6 * MIB), running(qemu)
    elsewhere = Disk("any", str(qemu.root / "elsewhere.qcow2"))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", elsewhere.path, str(6 * MIB)], check=True)
    os.chown(elsewhere.path, UID, UID)
    qemu.driver.attach_disk(one, disk)
    write(qemu, one, 1)
    eventually(lambda: qemu.driver.mirror_disk(one, NAME, elsewhere), 30, "both to be alike")
    write(qemu, one, 2, MIB)
    for _ in range(2):
        qemu.driver.switch_disk(one, NAME, elsewhere.path)
    assert qemu.driver.mirror_disk(one, NAME, elsewhere), "it has that already"
    write(qemu, one, 3, 2 * MIB)
    moved = Disk(NAME, elsewhere.path)
    assert [holds(moved, *each) for each in ((1, 0), (2, MIB), (3, 2 * MIB))] == [True] * 3
    assert not holds(disk, 3, 2 * MIB)
    Path(disk.path).unlink()
    qemu.driver.resize_disk(one, NAME, 8 * MIB)
    write(qemu, one, 4, 5 * MIB)
    assert holds(moved, 4, 5 * MIB)


@only_qemu
def test_a_mirror_that_is_given_up_leaves_the_guest_what_it_had(qemu: Qemu) -> None:
    disk, one = volume(qemu, "qcow2"), running(qemu)
    elsewhere = Disk("any", str(qemu.root / "elsewhere.qcow2"))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", elsewhere.path, str(4 * MIB)], check=True)
    os.chown(elsewhere.path, UID, UID)
    qemu.driver.attach_disk(one, disk)
    for _ in range(2):
        qemu.driver.mirror_disk(one, NAME, elsewhere)
        qemu.driver.stop_mirroring(one, NAME)
    with pytest.raises(HypervisorError, match="not mirrored"):
        qemu.driver.switch_disk(one, NAME, elsewhere.path)
    write(qemu, one, 1)
    assert (holds(disk, 1), holds(elsewhere, 1)) == (True, False)
    with pytest.raises(HypervisorError):
        qemu.driver.mirror_disk(one, NAME, Disk("any", str(qemu.root / "none")))
    assert qemu.driver.use(one).disks
