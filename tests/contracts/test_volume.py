"""The contract of the volume drivers: each test holds for every one of them; what has content, for the real ones."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pilvi.drivers.disk.base import Image
from pilvi.drivers.volume.base import VolumeError, VolumeInfo, VolumeStore
from pilvi.drivers.volume.file import FileVolumes
from pilvi.drivers.volume.simulated import SimulatedVolumes

MIB = 1 << 20
UID = 64535 if os.geteuid() == 0 else os.geteuid()
GID = 64535 if os.geteuid() == 0 else os.getegid()
QEMU_IMG = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img here")


@dataclass
class Rig:
    store: VolumeStore
    reopen: Callable[[], VolumeStore]
    folder: Path

    def image(self, content: bytes = b"an operating system", name: str = "image") -> Image:
        path = self.folder / name
        path.write_bytes(content.ljust(MIB, b"\0"))
        return Image(name, str(path), "raw")

    def snapshot(self, volume: str, name: str) -> None:
        self.store.begin_snapshot(volume, name)
        self.store.end_snapshot(volume, name)

    def write(self, volume: str, text: str, at: int = 0) -> None:
        """As a guest would that has the volume open."""
        info = self.store.info(volume)
        assert info is not None
        write_at(info, text, at)

    def read(self, info: VolumeInfo | None, at: int = 0) -> str:
        """What a guest reads there, or who looks at a snapshot."""
        assert info is not None
        target = self.folder / "read"
        subprocess.run(["qemu-img", "convert", "-U", "-f", info.format, "-O", "raw", info.path, str(target)], check=True)
        with target.open("rb") as file:
            file.seek(at)
            return file.read(16).rstrip(b"\0").decode()


def write_at(info: VolumeInfo, text: str, at: int = 0) -> None:
    source = Path(info.path).with_name("source")
    source.write_bytes(text.encode().ljust(512, b"\0"))
    subprocess.run(["qemu-io", "-f", info.format, "-c", f"write -s {source} {at} 512", info.path], check=True,
                   capture_output=True)
    source.unlink()


def make(kind: str, folder: Path) -> Rig:
    def reopen() -> VolumeStore:
        root = folder / "volumes"
        return SimulatedVolumes(root) if kind == "simulated" else FileVolumes(root, uid=UID, gid=GID)
    return Rig(reopen(), reopen, folder)


@pytest.fixture(params=["simulated", pytest.param("file", marks=QEMU_IMG)])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return make(request.param, tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> Rig:
    return make("file", tmp_path)


# -- every driver


def test_a_blank_volume_is_as_large_as_asked_for_and_made_once(rig):
    made = rig.store.ensure_blank("a", 4 * MIB)
    assert made.size_bytes == 4 * MIB
    assert rig.store.ensure_blank("a", 8 * MIB) == made == rig.store.info("a")
    assert rig.store.volumes() == ["a"]


def test_from_an_image_it_is_at_least_as_large_as_that(rig):
    assert rig.store.ensure_from_image("a", rig.image(), 0).size_bytes == MIB
    assert rig.store.ensure_from_image("b", rig.image(), 4 * MIB).size_bytes == 4 * MIB


def test_an_image_that_is_not_there_makes_no_volume(rig):
    with pytest.raises(VolumeError, match="a"):
        rig.store.ensure_from_image("a", Image("x", str(rig.folder / "none"), "raw"), MIB)
    assert rig.store.volumes() == []


def test_a_snapshot_is_there_once_it_is_ended(rig):
    rig.store.ensure_blank("a", MIB)
    rig.store.begin_snapshot("a", "s")
    assert rig.store.snapshot("s") is None
    rig.store.end_snapshot("a", "s")
    rig.store.end_snapshot("a", "s")
    assert rig.store.snapshot("s").size_bytes == MIB
    assert (rig.store.volumes(), rig.store.snapshots()) == (["a"], ["s"])


def test_a_volume_of_a_snapshot_outlives_it_and_its_volume(rig):
    rig.store.ensure_blank("a", MIB)
    rig.snapshot("a", "s")
    assert rig.store.ensure_from_snapshot("b", "s", 2 * MIB).size_bytes == 2 * MIB
    rig.store.absent("a")
    rig.store.absent_snapshot("s")
    assert (rig.store.volumes(), rig.store.snapshots()) == (["b"], [])
    assert rig.store.info("b").size_bytes == 2 * MIB


def test_what_several_guests_may_open_is_raw_until_something_is_done_to_it(rig):
    rig.store.ensure_blank("a", MIB)
    for shared, kind in ((True, "raw"), (True, "raw"), (False, "qcow2"), (False, "qcow2"), (True, "raw")):
        assert rig.store.share("a", shared) == rig.store.info("a")
        assert (rig.store.info("a").format, rig.store.info("a").size_bytes) == (kind, MIB)
    assert rig.store.extend("a", 2 * MIB).format == "raw"
    rig.snapshot("a", "s")
    assert (rig.store.info("a").format, rig.store.share("a", True).format) == ("qcow2", "raw")
    assert rig.store.snapshot("s").size_bytes == 2 * MIB
    rig.store.absent("a")
    rig.store.absent_snapshot("s")
    with pytest.raises(VolumeError, match="a"):
        rig.store.share("a", True)


def test_extended_it_is_larger_and_never_smaller(rig):
    rig.store.ensure_blank("a", MIB)
    rig.snapshot("a", "s")
    assert rig.store.extend("a", 3 * MIB).size_bytes == 3 * MIB
    assert rig.store.extend("a", 2 * MIB).size_bytes == 3 * MIB
    assert rig.store.snapshot("s").size_bytes == MIB


def test_everything_is_found_again(rig):
    rig.store.ensure_blank("a", MIB)
    rig.snapshot("a", "s")
    again = rig.reopen()
    assert (again.volumes(), again.snapshots()) == (["a"], ["s"])
    assert again.info("a").size_bytes == MIB


def test_what_is_not_there_is_deleted_without_complaint(rig):
    rig.store.absent("a")
    rig.store.absent_snapshot("s")


def test_what_is_not_there_can_be_nothing_else(rig):
    for verb in (lambda: rig.store.extend("a", MIB), lambda: rig.store.begin_snapshot("a", "s"),
                 lambda: rig.store.ensure_from_snapshot("a", "s", MIB), lambda: rig.store.rename("a", "b"),
                 lambda: rig.store.copy_out("a", None, rig.folder / "out", "raw")):
        with pytest.raises(VolumeError):
            verb()


def test_a_new_name(rig):
    rig.store.ensure_blank("a", MIB)
    rig.snapshot("a", "s")
    for _ in range(2):
        rig.store.rename("a", "b")
        rig.store.rename("s", "t")
    assert (rig.store.volumes(), rig.store.snapshots()) == (["b"], ["t"])
    assert rig.store.info("a") is None


def test_what_was_copied_out_can_be_copied_in(rig):
    rig.store.ensure_blank("a", MIB)
    rig.store.copy_out("a", None, rig.folder / "out", "qcow2")
    assert rig.store.copy_in("b", rig.folder / "out", "qcow2", 2 * MIB).size_bytes == 2 * MIB


def test_there_is_room(rig):
    found = rig.store.capacity()
    assert 0 < found.free_bytes <= found.total_bytes


# -- content


@QEMU_IMG
def test_snapshots_stay_what_they_were(files):
    files.store.ensure_from_image("a", files.image(b"zero"), 0)
    for number in range(3):
        files.snapshot("a", f"s{number}")
        files.write("a", f"after {number}")
    read = [files.read(files.store.snapshot(f"s{number}")) for number in range(3)]
    assert read == ["zero", "after 0", "after 1"]
    assert files.read(files.store.info("a")) == "after 2"


@QEMU_IMG
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_snapshots_are_deleted_in_any_order(files, order):
    files.store.ensure_blank("a", MIB)
    for number in range(3):
        files.write("a", f"before {number}")
        files.snapshot("a", f"s{number}")
    for place, number in enumerate(order):
        files.store.absent_snapshot(f"s{number}")
        for other in order[place + 1:]:
            assert files.read(files.store.snapshot(f"s{other}")) == f"before {other}"
        assert files.read(files.store.info("a")) == "before 2"
    files.store.absent("a")
    assert list((files.folder / "volumes" / "data").iterdir()) == []


@QEMU_IMG
def test_copies_do_not_see_what_is_written_later(files):
    files.store.ensure_blank("a", MIB)
    files.write("a", "first")
    files.snapshot("a", "s")
    files.store.ensure_from_snapshot("b", "s", 0)
    files.store.absent_snapshot("s")
    files.write("a", "second")
    files.write("b", "other")
    assert files.read(files.store.info("a")) == "second"
    assert files.read(files.store.info("b")) == "other"
    files.store.absent("a")
    assert files.read(files.store.info("b")) == "other"


@QEMU_IMG
def test_a_guest_writes_between_the_halves_of_a_snapshot(files):
    files.store.ensure_blank("a", MIB)
    files.write("a", "before")
    target = files.store.begin_snapshot("a", "s")
    write_at(target, "between")
    again = files.reopen()  # the agent was killed in between
    assert again.begin_snapshot("a", "s") == target
    again.end_snapshot("a", "s")
    assert files.read(again.snapshot("s")) == "before"
    assert files.read(again.info("a")) == "between"


@QEMU_IMG
def test_a_guest_that_starts_between_the_halves_writes_beside_the_snapshot(files):
    files.store.ensure_blank("a", MIB)
    files.write("a", "before")
    target = files.store.begin_snapshot("a", "s")
    assert files.store.info("a") == target
    files.write("a", "meanwhile")
    files.store.end_snapshot("a", "s")
    assert (files.read(files.store.snapshot("s")), files.read(files.store.info("a"))) == ("before", "meanwhile")


@QEMU_IMG
def test_what_was_written_beside_a_snapshot_outlives_its_being_given_up(files):
    files.store.ensure_blank("a", MIB)
    write_at(files.store.begin_snapshot("a", "s"), "meanwhile")
    for _ in range(2):
        files.store.absent_snapshot("s")
    assert (files.read(files.store.info("a")), files.store.snapshots()) == ("meanwhile", [])
    files.snapshot("a", "t")
    files.write("a", "later")
    for _ in range(2):
        files.store.absent_snapshot("s")
    assert files.read(files.store.snapshot("t")) == "meanwhile", "what it is based on was that of the other"


@QEMU_IMG
def test_two_snapshots_do_not_get_into_each_other(files):
    files.store.ensure_blank("a", MIB)
    files.store.begin_snapshot("a", "s")
    with pytest.raises(VolumeError, match="another snapshot"):
        files.store.begin_snapshot("a", "t")
    files.store.absent_snapshot("s")  # given up
    files.snapshot("a", "t")
    assert files.store.snapshots() == ["t"]


@QEMU_IMG
def test_sweeping_leaves_a_snapshot_under_way_alone(files):
    files.store.ensure_blank("a", MIB)
    files.store.ensure_blank("b", MIB)
    target = files.store.begin_snapshot("a", "s")
    files.store.absent("b")
    assert Path(target.path).exists()


def test_an_image_is_written_over_what_a_volume_has(rig):
    rig.store.ensure_blank("a", 4 * MIB)
    rig.snapshot("a", "s")
    for _ in range(2):
        assert rig.store.reimage("a", rig.image()).size_bytes == 4 * MIB
    with pytest.raises(VolumeError, match="a"):
        rig.store.reimage("a", Image("x", str(rig.folder / "none"), "raw"))
    with pytest.raises(VolumeError, match="b"):
        rig.store.reimage("b", rig.image())
    assert (rig.store.volumes(), rig.store.snapshots()) == (["a"], ["s"])


@QEMU_IMG
def test_what_an_image_was_written_over_can_be_had_back(files):
    files.store.ensure_blank("a", MIB)
    files.write("a", "before")
    files.snapshot("a", "s")
    files.store.reimage("a", files.image())
    assert files.read(files.store.info("a")) != "before"
    files.store.revert("a", "s")
    assert files.read(files.store.info("a")) == "before"


@QEMU_IMG
def test_back_to_a_snapshot(files):
    files.store.ensure_blank("a", MIB)
    files.write("a", "good")
    files.snapshot("a", "s")
    files.write("a", "bad")
    files.store.revert("a", "s")
    assert files.read(files.store.info("a")) == "good"
    files.write("a", "new")
    assert files.read(files.store.snapshot("s")) == "good"


@QEMU_IMG
def test_extended_it_reads_as_zeros_where_it_is_new(files):
    files.store.ensure_blank("a", MIB)
    files.write("a", "end", MIB - 512)
    files.store.extend("a", 2 * MIB)
    assert files.read(files.store.info("a"), MIB - 512) == "end"
    assert files.read(files.store.info("a"), MIB) == ""


@QEMU_IMG
def test_a_copy_of_what_differs_is_small_and_whole(files):
    files.store.ensure_blank("a", 64 * MIB)
    for place in range(0, 32 * MIB, MIB):
        files.write("a", "much", place)
    files.store.copy_out("a", None, files.folder / "full", "qcow2")
    files.write("a", "changed", 5 * MIB)
    files.store.copy_out("a", None, files.folder / "part", "qcow2", files.folder / "full")
    full, part = ((files.folder / name).stat().st_blocks for name in ("full", "part"))
    assert part < full / 2
    restored = files.store.copy_in("b", files.folder / "part", "qcow2", 64 * MIB)
    assert [files.read(restored, place * MIB) for place in (4, 5, 31)] == ["much", "changed", "much"]
    assert json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", restored.path])).get(
        "backing-filename") is None


@QEMU_IMG
def test_an_image_may_go_and_its_volumes_stay(files):
    image = files.image(b"system")
    files.store.ensure_from_image("a", image, 0)
    Path(image.path).unlink()
    assert files.read(files.store.info("a")) == "system"


@QEMU_IMG
def test_an_image_cannot_lead_to_another_file(files):
    secret = files.folder / "secret"
    secret.write_bytes(b"secret".ljust(MIB, b"\0"))
    path = files.folder / "trap"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(secret), "-F", "raw", str(path)], check=True)
    with pytest.raises(VolumeError, match="based on another file"):
        files.store.ensure_from_image("a", Image("trap", str(path), "qcow2"), 0)


@QEMU_IMG
@pytest.mark.skipif(os.geteuid() != 0, reason="files change hands only for root")
def test_guests_own_what_they_write(files):
    files.store.ensure_blank("a", MIB)
    found = Path(files.store.info("a").path).stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (UID, GID, 0o600)


@pytest.mark.parametrize("name", ["", "../a", ".a", "a/b", "a\0"])
def test_names_are_names(files, name):
    with pytest.raises(VolumeError):
        files.store.ensure_blank(name, MIB)


@QEMU_IMG
def test_what_becomes_shared_keeps_its_content(files):
    files.store.ensure_blank("a", MIB)
    files.write("a", "one")
    files.snapshot("a", "s")
    files.write("a", "two", 4096)
    files.store.share("a", True)
    files.write("a", "three", 8192)
    files.store.share("a", False)
    files.write("a", "four", 12288)
    assert [files.read(files.store.info("a"), at) for at in (0, 4096, 8192, 12288)] == ["one", "two", "three", "four"]
    assert [files.read(files.store.snapshot("s"), at) for at in (0, 4096)] == ["one", ""]
    files.store.absent("a")
    files.store.absent_snapshot("s")
    assert list((files.folder / "volumes" / "data").iterdir()) == []
