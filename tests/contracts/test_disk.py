"""The contract of the disk drivers: each test holds for every one of them."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from pilvi.drivers.disk import file
from pilvi.drivers.disk.base import DiskError, DiskSource, DiskStore, Image
from pilvi.drivers.disk.file import FileDisks
from pilvi.drivers.disk.simulated import SimulatedDisks

MIB = 1 << 20
UID = 64535 if os.geteuid() == 0 else os.geteuid()
GID = 64535 if os.geteuid() == 0 else os.getegid()
QEMU_IMG = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img here")


@dataclass
class Rig:
    store: DiskStore
    reopen: Callable[[], DiskStore]
    folder: Path

    def image(self, name: str = "image", size: int = MIB, content: bytes = b"an operating system") -> Image:
        path = self.folder / name
        path.write_bytes(content.ljust(size, b"\0"))
        path.chmod(0o600)
        return Image(name, str(path), "raw")

    def qcow2(self, name: str, size: int) -> Image:
        path = self.folder / name
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(size)], check=True)
        return Image(name, str(path), "qcow2")


@pytest.fixture(params=["simulated", pytest.param("file", marks=QEMU_IMG)])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return _rig(request.param, tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> Rig:
    return _rig("file", tmp_path)


def _rig(kind: str, folder: Path) -> Rig:
    (folder / "images").mkdir()

    def reopen() -> DiskStore:
        if kind == "simulated":
            return SimulatedDisks(folder / "disks")
        return FileDisks(folder / "disks", uid=UID, gid=GID)

    return Rig(reopen(), reopen, folder / "images")


def described(path: str) -> dict:
    return json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", path]))


# -- what every driver does


def test_a_disk_from_an_image(rig: Rig) -> None:
    made = rig.store.ensure_from_image("one", rig.image(), 8 * MIB)
    assert made.size_bytes == 8 * MIB
    assert rig.store.info("one") == made
    assert rig.store.ensure_from_image("one", rig.image(), 16 * MIB) == made, "it is there already"
    assert rig.store.disks() == ["one"]
    assert Path(made.path).is_relative_to(rig.store.root())


def test_a_disk_is_as_large_as_its_image_at_least(rig: Rig) -> None:
    assert rig.store.ensure_from_image("one", rig.image(size=2 * MIB), MIB).size_bytes == 2 * MIB


def test_a_small_file(rig: Rig) -> None:
    made = rig.store.ensure_file("one.config", b"x" * 2048)
    assert (made.format, made.size_bytes) == ("raw", 2048)
    assert rig.store.ensure_file("one.config", b"x" * 2048) == made
    assert rig.store.ensure_file("one.config", b"y" * 4096).size_bytes == 4096
    assert rig.store.disks() == ["one.config"]


def test_a_flat_copy_stands_on_nothing(rig: Rig) -> None:
    rig.store.ensure_from_image("a", rig.image(), 2 * MIB)
    source = rig.store.export("a")
    for _ in range(2):
        copy = rig.store.ensure_flat("a.copy", source)
        assert copy.size_bytes == 2 * MIB
    assert Path(copy.path).read_bytes()[:4] == b"QFI\xfb"
    rig.store.absent("a")
    if isinstance(rig.store, FileDisks):
        assert "backing-filename" not in described(copy.path)
        raw = rig.folder / "raw"
        subprocess.run(["qemu-img", "convert", "-O", "raw", copy.path, str(raw)], check=True)
        assert raw.read_bytes().startswith(b"an operating system")
    rig.store.absent("a.copy")
    assert not Path(copy.path).exists()


def test_what_was_begun_is_no_disk_until_it_is_finished(rig: Rig) -> None:
    path = rig.store.blank("a.copy", 2 * MIB)
    assert rig.store.blank("a.copy", 2 * MIB) == path
    assert rig.store.disks() == []
    for _ in range(2):
        assert rig.store.finish("a.copy").size_bytes == 2 * MIB
    assert rig.store.disks() == ["a.copy"]
    rig.store.absent("a.copy")
    rig.store.blank("b", MIB)
    rig.store.absent("b")
    with pytest.raises(DiskError):
        rig.store.finish("b")
    rig.store.blank("c", MIB)
    reopened = rig.reopen()
    assert reopened.disks() == []
    with pytest.raises(DiskError):
        reopened.finish("c")


def test_disks_are_deleted_once(rig: Rig) -> None:
    rig.store.ensure_from_image("one", rig.image(), MIB)
    rig.store.ensure_file("one.config", b"content")
    for _ in range(2):
        rig.store.absent("one")
    assert rig.store.info("one") is None
    assert rig.store.disks() == ["one.config"]
    rig.store.absent("one.config")
    assert rig.store.disks() == []


def test_a_disk_is_renamed_once(rig: Rig) -> None:
    made = rig.store.ensure_from_image("one", rig.image(), MIB)
    for _ in range(2):
        rig.store.rename("one", "one.aside-3")
    assert rig.store.disks() == ["one.aside-3"]
    assert rig.store.info("one") is None
    assert rig.reopen().info("one.aside-3").size_bytes == made.size_bytes
    rig.store.rename("nothing", "one")
    assert rig.store.disks() == ["one.aside-3"]


def test_a_copy_of_a_disk_may_be_larger_and_is_made_once(rig: Rig) -> None:
    rig.store.ensure_from_image("one", rig.image(), 2 * MIB)
    source = rig.store.export("one")
    assert source.size_bytes == 2 * MIB
    copy = rig.store.ensure_copy("two", source, 4 * MIB)
    assert copy.size_bytes == 4 * MIB
    assert rig.store.ensure_copy("two", source, 8 * MIB) == copy, "it is there already"
    assert rig.store.ensure_copy("three", source, 0).size_bytes == 2 * MIB
    rig.store.absent("one")
    assert sorted(rig.store.disks()) == ["three", "two"]
    assert rig.store.export("one") is None


def test_an_empty_disk(rig: Rig) -> None:
    made = rig.store.ensure_empty("one", 3 * MIB)
    assert made.size_bytes == 3 * MIB
    assert rig.store.ensure_empty("one", MIB) == made, "it is there already"
    assert rig.store.disks() == ["one"]


@pytest.mark.parametrize("filling", ["ext4", "swap"])
def test_a_formatted_disk(rig: Rig, filling: str) -> None:
    made = rig.store.ensure_formatted("one", 64 * MIB, filling, "ephemeral0")
    assert (made.format, made.size_bytes) == ("raw", 64 * MIB)
    assert made.allocated_bytes < 16 * MIB
    assert rig.store.ensure_formatted("one", MIB, filling, "other") == made, "it is there already"
    rig.store.rename("one", "two")
    assert rig.store.disks() == ["two"]
    rig.store.absent("two")
    assert rig.store.disks() == []


@pytest.mark.parametrize("filling", ["ext4", "swap"])
def test_the_guest_finds_the_format_by_its_label(files: Rig, filling: str) -> None:
    made = files.store.ensure_formatted("one", 64 * MIB, filling, "ephemeral0")
    told = subprocess.check_output(["blkid", "-p", "-o", "export", made.path], text=True).splitlines()
    assert {f"TYPE={filling}", "LABEL=ephemeral0"} <= set(told)
    found = os.stat(made.path)
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o600, UID, GID)


def test_what_cannot_be_formatted_leaves_nothing(files: Rig) -> None:
    with pytest.raises(DiskError, match="disk one cannot be formatted"):
        files.store.ensure_formatted("one", 1024, "swap")
    assert files.store.disks() == []
    assert not list(files.store.root().glob(".*"))


def test_others_find_the_disks(rig: Rig) -> None:
    made = rig.store.ensure_from_image("one", rig.image(), MIB)
    other = rig.reopen()
    assert other.disks() == ["one"]
    assert other.info("one") == made
    other.absent("one")
    assert rig.reopen().disks() == []


def test_no_image_no_disk(rig: Rig) -> None:
    with pytest.raises(DiskError, match="one"):
        rig.store.ensure_from_image("one", Image("gone", str(rig.folder / "gone"), "raw"), MIB)
    assert rig.store.disks() == []
    assert rig.store.info("one") is None


def test_capacity(rig: Rig) -> None:
    assert rig.store.capacity_bytes() > 1 << 20


# -- what only files do


@QEMU_IMG
def test_an_overlay_shows_the_image_and_outlives_its_file(files: Rig) -> None:
    image = files.image()
    made = files.store.ensure_from_image("one", image, 8 * MIB)
    again = files.store.ensure_from_image("two", image, 8 * MIB)
    Path(image.path).unlink()
    for info in (made, again):
        copy = files.folder / "copy"
        subprocess.run(["qemu-img", "convert", "-O", "raw", info.path, str(copy)], check=True)
        assert copy.read_bytes().rstrip(b"\0") == b"an operating system"
        assert copy.stat().st_size == info.size_bytes == described(info.path)["virtual-size"]
    assert made.format == described(made.path)["format"] == "qcow2"
    assert made.allocated_bytes < MIB


@QEMU_IMG
def test_a_qcow2_image_s_own_size_counts(files: Rig) -> None:
    image = files.qcow2("image", 64 * MIB)
    made = files.store.ensure_from_image("one", image, MIB)
    assert made.size_bytes == described(made.path)["virtual-size"] == 64 * MIB
    assert described(made.path)["backing-filename-format"] == "qcow2"


@QEMU_IMG
def test_an_image_over_another_file_is_refused(files: Rig) -> None:
    base, path = files.image("base"), files.folder / "sly"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base.path, "-F", "raw", str(path)], check=True)
    with pytest.raises(DiskError, match="based on another file"):
        files.store.ensure_from_image("one", Image("sly", str(path), "qcow2"), MIB)


@QEMU_IMG
def test_cached_images_are_pruned_when_no_disk_needs_them(files: Rig) -> None:
    files.store.ensure_from_image("one", files.image("first"), MIB)
    files.store.ensure_from_image("two", files.image("second"), MIB)
    files.store.ensure_from_image("three", files.image("second"), MIB)
    assert files.store.prune() == []
    files.store.absent("one")
    files.store.absent("two")
    assert files.store.prune() == ["first"]
    assert files.store.prune() == []
    files.store.absent("three")
    assert files.reopen().prune() == ["second"]
    assert [path for path in files.store.root().rglob("*") if path.is_file()] == []


@QEMU_IMG
def test_disks_do_not_wait_for_another_image_s_copy(files: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, link = threading.Event(), threading.Event(), os.link

    def slow(source: Path, target: Path) -> None:
        if source.name == "slow":
            begun.set()
            assert go_on.wait(60)
        link(source, target)

    monkeypatch.setattr(os, "link", slow)
    images = files.image("slow"), files.image("fast")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(files.store.ensure_from_image, "one", images[0], MIB)
        try:
            assert begun.wait(60)
            files.store.ensure_from_image("two", images[1], MIB)
            assert files.store.disks() == ["two"]
            files.store.absent("two")
            assert files.store.prune() == ["fast"]
        finally:
            go_on.set()
        assert described(waiting.result(60).path)["backing-filename"].endswith("slow.raw")


@QEMU_IMG
def test_an_image_is_not_pruned_just_before_its_first_disk(
    files: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = file.run

    def prune_first(*words: str, **options: int) -> None:
        assert files.store.prune() == []
        command(*words, **options)

    monkeypatch.setattr(file, "run", prune_first)
    made = files.store.ensure_from_image("one", files.image(), MIB)
    assert Path(described(made.path)["backing-filename"]).exists()


@QEMU_IMG
def test_guests_own_their_disks_and_read_the_images(files: Rig) -> None:
    made = files.store.ensure_from_image("one", files.image(), MIB)
    config = files.store.ensure_file("one.config", b"secret")
    for path, mode in ((made.path, 0o600), (config.path, 0o400)):
        found = os.stat(path)
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (UID, GID, mode)
    base = os.stat(described(made.path)["backing-filename"])
    assert (base.st_uid, base.st_gid, stat.S_IMODE(base.st_mode)) == (os.geteuid(), GID, 0o440)
    for folder in (files.store.root(), files.store.root() / "base"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o711, "passed through, not listed"
    assert Path(config.path).read_bytes() == b"secret"


@QEMU_IMG
def test_what_was_left_unfinished_is_swept_up(files: Rig) -> None:
    for name in (".one.qcow2", "base/.image.raw"):
        (files.store.root() / name).write_bytes(b"half")
    assert files.reopen().disks() == []
    assert [path for path in files.store.root().rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["../one", "a/b", "", ".hidden", "one\n"])
def test_names_stay_in_the_folder(files: Rig, name: str) -> None:
    for verb in (
        lambda: files.store.ensure_file(name, b"x"),
        lambda: files.store.info(name),
        lambda: files.store.absent(name),
        lambda: files.store.ensure_from_image(name, files.image(), MIB),
        lambda: files.store.ensure_from_image("one", Image(name, files.image().path, "raw"), MIB),
    ):
        with pytest.raises(DiskError, match="called"):
            verb()


@QEMU_IMG
def test_an_image_on_another_file_system_is_copied(files: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link", str(source))

    monkeypatch.setattr(os, "link", refuse)
    image = files.image()
    made = files.store.ensure_from_image("one", image, MIB)
    base = Path(described(made.path)["backing-filename"])
    assert base.stat().st_ino != os.stat(image.path).st_ino
    assert base.read_bytes() == Path(image.path).read_bytes()


@QEMU_IMG
def test_a_copy_holds_what_the_disk_held_and_leaves_what_the_image_has(files: Rig, tmp_path: Path) -> None:
    """On the same host it rests on the same image; on another it stands by itself."""
    files.store.ensure_from_image("one", files.image(content=b"of the image"), 2 * MIB)
    path = files.store.info("one").path
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 4k", path], check=True, capture_output=True)
    source = files.store.export("one")
    here = files.store.ensure_copy("two", source, 4 * MIB)
    elsewhere = FileDisks(tmp_path / "other host", uid=UID, gid=GID).ensure_copy("two", source, 0)
    assert described(here.path)["backing-filename"] == described(path)["backing-filename"]
    assert "backing-filename" not in described(elsewhere.path)
    files.store.absent("one")
    assert files.store.prune() == []
    for copy in (here, elsewhere):
        raw = tmp_path / "raw"
        subprocess.run(["qemu-img", "convert", "-O", "raw", copy.path, str(raw)], check=True)
        content = raw.read_bytes()
        assert content.startswith(b"of the image")
        assert content[MIB:MIB + 4096] == b"\x07" * 4096
        assert os.stat(copy.path).st_uid == UID


@QEMU_IMG
def test_a_copy_that_fails_leaves_nothing(files: Rig) -> None:
    with pytest.raises(DiskError, match="two"):
        files.store.ensure_copy("two", DiskSource(str(files.folder / "gone"), "raw", MIB), 0)
    assert files.store.disks() == []
