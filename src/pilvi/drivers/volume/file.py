"""Volumes as chains of qcow2 files in one folder.

`data/` holds the files; a name in `volumes/` or `snapshots/` is a symbolic link to one of them. A volume's is
written to, and is the only one that nothing is based on; all others never change again. So a snapshot or a copy is
one more file, made in no time, and a file goes when no name and no other file needs it: in any order.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pilvi.drivers.disk.base import Image
from pilvi.drivers.tools import run, told
from pilvi.drivers.volume.base import Capacity, VolumeError, VolumeInfo

COPY_SECONDS = 3600
QEMU_NAMES = {"vhd": "vpc"}


class FileVolumes:
    """Volumes in the folder `root`; they belong to `uid` and `gid`, whom the guests run as."""

    def __init__(self, root: Path, *, uid: int, gid: int):
        self._root, self._uid, self._gid = root, uid, gid
        self._data, self._volumes, self._snapshots = (root / name for name in ("data", "volumes", "snapshots"))
        self._guard = threading.RLock()  # files are made, named and swept up one at a time; copies wait outside
        self._busy: set[Path] = set()  # files that copies are made of meanwhile
        for folder in (root, self._data, self._volumes, self._snapshots):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
            for unfinished in folder.glob(".*"):
                unfinished.unlink()

    # -- making

    def ensure_blank(self, volume_id: str, size_bytes: int) -> VolumeInfo:
        return self._ensure(volume_id, lambda file: self._create(file, size_bytes), "made")

    def ensure_from_image(self, volume_id: str, image: Image, size_bytes: int) -> VolumeInfo:
        return self._ensure(volume_id, lambda file: self._over_image(file, image, size_bytes), f"made from image {image.id}")

    def reimage(self, volume_id: str, image: Image) -> VolumeInfo:
        with self._guard, told(VolumeError, f"image {image.id} cannot be written to volume {volume_id}"):
            size, file = self._known(volume_id).size_bytes, self._fresh(volume_id, "image")
            self._whole(file, 0o600, lambda unfinished: self._over_image(unfinished, image, size))
            self._name(self._volumes, volume_id, file)
            self._sweep()
            return self._known(volume_id)

    def ensure_from_snapshot(self, volume_id: str, snapshot_id: str, size_bytes: int) -> VolumeInfo:
        return self._ensure(volume_id, lambda file: self._overlay(
            file, self._file(self._snapshots, snapshot_id), size_bytes), f"made from snapshot {snapshot_id}")

    def share(self, volume_id: str, shared: bool) -> VolumeInfo:
        """What several QEMUs write to is one raw file: none of them keeps in its memory what another changes."""
        with told(VolumeError, f"volume {volume_id} cannot be made {'several' if shared else 'one'} guest's"):
            with self._kept(self._volumes, volume_id) as file:
                if (_format(file) == "raw") is not shared:
                    # A guest that has it open has locked it: it is not converted under its hands.
                    self._put(volume_id, self._fresh(volume_id, "shared" if shared else "own", shared), lambda new: (
                        _convert(file, "qcow2", new, "raw", locked=True) if shared else self._overlay(new, file, 0)))
            return self._known(volume_id)

    def rename(self, name: str, new_name: str) -> None:
        with self._guard, told(VolumeError, f"{name} cannot be renamed to {new_name}"):
            for folder in (self._volumes, self._snapshots):
                if (folder / _safe(new_name)).is_symlink():
                    return
                if (folder / _safe(name)).is_symlink():
                    return os.rename(folder / name, folder / new_name)
            raise ValueError("it is not there")

    def copy_in(self, volume_id: str, source: Path, disk_format: str, size_bytes: int) -> VolumeInfo:
        with told(VolumeError, f"volume {volume_id} cannot be written"):
            file = self._fresh(volume_id, "copy")

            def make(unfinished: Path) -> None:
                _convert(source, disk_format, unfinished, "qcow2")
                if _described(unfinished, "qcow2")["virtual-size"] < size_bytes:
                    run("qemu-img", "resize", "-q", "-f", "qcow2", str(unfinished), str(size_bytes))

            self._put(volume_id, file, make)
            return self._known(volume_id)

    # -- snapshots

    def begin_snapshot(self, volume_id: str, snapshot_id: str) -> VolumeInfo:
        with self._guard, told(VolumeError, f"snapshot {snapshot_id} of volume {volume_id} cannot be made"):
            top = self._data / f"{_safe(snapshot_id)}-after.qcow2"
            if not top.exists() and not (self._snapshots / _safe(snapshot_id)).exists():
                current = self._file(self._volumes, volume_id)
                if any(_below(file) == current for file in self._data.glob("[!.]*.qcow2")):
                    raise ValueError("another snapshot of it is under way")
                self._whole(top, 0o600, lambda file: self._overlay(file, current, 0))
            return _info(top) if top.exists() else self._known(volume_id)

    def end_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        with self._guard, told(VolumeError, f"snapshot {snapshot_id} of volume {volume_id} cannot be made"):
            if (self._snapshots / _safe(snapshot_id)).exists():
                return
            top = self._data / f"{_safe(snapshot_id)}-after.qcow2"
            below = Path(_described(top)["backing-filename"])
            self._name(self._volumes, volume_id, top)  # this first: what has a snapshot's name never changes
            self._name(self._snapshots, snapshot_id, below)

    def absent_snapshot(self, snapshot_id: str) -> None:
        with self._guard, told(VolumeError, f"snapshot {snapshot_id} cannot be deleted"):
            link, top = self._snapshots / _safe(snapshot_id), self._data / f"{_safe(snapshot_id)}-after.qcow2"
            if not link.is_symlink() and top.exists():  # begun, perhaps, and not ended: a guest may write there by now
                below = _below(top)
                for name in self.volumes():
                    if self._file(self._volumes, name) == below:
                        self._name(self._volumes, name, top)
            link.unlink(missing_ok=True)
            self._sweep()

    def revert(self, volume_id: str, snapshot_id: str) -> None:
        with self._guard, told(VolumeError, f"volume {volume_id} cannot be reverted to snapshot {snapshot_id}"):
            size = self._known(volume_id).size_bytes
            file = self._fresh(volume_id, "back")
            self._whole(file, 0o600, lambda unfinished: self._overlay(
                unfinished, self._file(self._snapshots, snapshot_id), size))
            self._name(self._volumes, volume_id, file)
            self._sweep()

    # -- the rest

    def extend(self, volume_id: str, size_bytes: int) -> VolumeInfo:
        with self._guard, told(VolumeError, f"volume {volume_id} cannot be extended"):
            if self._known(volume_id).size_bytes < size_bytes:
                file = self._file(self._volumes, volume_id)
                run("qemu-img", "resize", "-q", "-f", _format(file), str(file), str(size_bytes))
            return self._known(volume_id)

    def copy_out(self, volume_id: str, snapshot_id: str | None, target: Path, disk_format: str,
                 base: Path | None = None) -> None:
        with told(VolumeError, f"volume {volume_id} cannot be copied"):
            folder = self._volumes if snapshot_id is None else self._snapshots
            with self._kept(folder, snapshot_id or volume_id) as file:
                if base is None:
                    _convert(file, _format(file), target, disk_format)
                else:
                    size = str(_described(file)["virtual-size"])
                    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(file), "-F", _format(file),
                         str(target), size)
                    run("qemu-img", "rebase", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(target),
                         seconds=COPY_SECONDS)

    def info(self, volume_id: str) -> VolumeInfo | None:
        """While a snapshot is under way, where it is written to is told: who opens it now leaves the snapshot alone."""
        link = self._volumes / _safe(volume_id)
        with told(VolumeError, f"{volume_id} cannot be read"):
            return _info(self._newest(self._file(self._volumes, volume_id))) if link.exists() else None

    def snapshot(self, snapshot_id: str) -> VolumeInfo | None:
        link = self._snapshots / _safe(snapshot_id)
        with told(VolumeError, f"{snapshot_id} cannot be read"):
            return _info(self._file(self._snapshots, snapshot_id)) if link.exists() else None

    def volumes(self) -> list[str]:
        return sorted(each.name for each in self._volumes.glob("[!.]*"))

    def snapshots(self) -> list[str]:
        return sorted(each.name for each in self._snapshots.glob("[!.]*"))

    def absent(self, volume_id: str) -> None:
        self._absent(self._volumes / _safe(volume_id))

    def capacity(self) -> Capacity:
        found = os.statvfs(self._root)
        return Capacity(found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail)

    # -- inside

    def _ensure(self, volume_id: str, make: Callable[[Path], None], what: str) -> VolumeInfo:
        with self._guard, told(VolumeError, f"volume {volume_id} cannot be {what}"):
            if (found := self.info(volume_id)) is not None:
                return found
            file = self._fresh(volume_id, "new")
            self._whole(file, 0o600, make)
            self._name(self._volumes, volume_id, file)
            return self._known(volume_id)

    def _fresh(self, volume_id: str, why: str, raw: bool = False) -> Path:
        """A name that no file of this volume has, or had while somebody may still have it open."""
        numbers = (n for n in range(1, 1 << 30))
        return next(file for n in numbers if not (
            file := self._data / f"{_safe(volume_id)}-{why}-{n}.{'raw' if raw else 'qcow2'}").exists())

    def _create(self, file: Path, size_bytes: int) -> None:
        run("qemu-img", "create", "-q", "-f", "qcow2", str(file), str(size_bytes))

    def _overlay(self, file: Path, base: Path, size_bytes: int) -> None:
        size = max(size_bytes, _described(base, _format(base))["virtual-size"])
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", _format(base), str(file), str(size))

    def _over_image(self, file: Path, image: Image, size_bytes: int) -> None:
        if _described(Path(image.path), image.format).get("backing-filename"):
            raise ValueError("the image is based on another file")  # it may be any file of this host
        base = self._data / f"image-{_safe(image.id)}.{_safe(image.format)}"
        if not base.exists():
            self._whole(base, 0o440, lambda unfinished: _link_or_copy(Path(image.path), unfinished), os.geteuid())
        self._overlay(file, base, size_bytes)

    def _file(self, folder: Path, name: str) -> Path:
        link = folder / _safe(name)
        if not link.exists():
            raise ValueError(f"there is no {name} in {folder}")
        return self._data / os.readlink(link).rpartition("/")[2]

    def _name(self, folder: Path, name: str, file: Path) -> None:
        passing = folder / f".{_safe(name)}"
        passing.unlink(missing_ok=True)
        passing.symlink_to(Path("..") / "data" / file.name)
        os.replace(passing, folder / name)

    def _named(self, folder: Path) -> list[Path]:
        """The files that the names in it lead to."""
        found = []
        for link in folder.glob("[!.]*"):
            with suppress(FileNotFoundError):  # deleted just now
                found.append(self._data / os.readlink(link).rpartition("/")[2])
        return found

    def _newest(self, file: Path) -> Path:
        """What a snapshot that is under way has put over it; else itself."""
        named = {*self._named(self._volumes), *self._named(self._snapshots)}
        for each in self._data.glob("[!.]*-after.qcow2"):
            with suppress(subprocess.CalledProcessError):  # swept up just now
                if each not in named and _below(each) == file:
                    return each
        return file

    def _known(self, volume_id: str) -> VolumeInfo:
        found = self.info(volume_id)
        if found is None:
            raise VolumeError(f"volume {volume_id} is not there")
        return found

    def _absent(self, link: Path) -> None:
        with self._guard, told(VolumeError, f"{link.name} cannot be deleted"):
            if link.is_symlink():
                link.unlink()
                self._sweep()

    def _put(self, volume_id: str, file: Path, make: Callable[[Path], None]) -> None:
        """The volume is another file from now on; others are not held up while that is made."""
        with self._guard:
            self._busy.add(file)
        try:
            self._whole(file, 0o600, make)
            with self._guard:
                self._name(self._volumes, volume_id, file)
        finally:
            with self._guard:
                self._busy.discard(file)
                self._sweep()

    @contextmanager
    def _kept(self, folder: Path, name: str) -> Iterator[Path]:
        """Meanwhile neither it nor what it is based on is swept up."""
        with self._guard:
            file = self._file(folder, name)
            self._busy.add(file)
        try:
            yield file
        finally:
            with self._guard:
                self._busy.discard(file)
                self._sweep()

    def _sweep(self) -> None:
        """Deletes the files that no name leads to, and no file that is needed is based on."""
        tops, frozen = self._named(self._volumes), self._named(self._snapshots)
        below = {file: _below(file) for file in self._data.glob("[!.]*.qcow2")}
        # What is based on what a volume writes to is where it writes next: its snapshot is under way.
        todo = [*tops, *frozen, *self._busy, *(file for file, base in below.items() if base in tops)]
        needed: set[Path] = set()
        while todo:
            file = todo.pop()
            if file not in needed:
                needed.add(file)
                todo += [base] if (base := below.get(file)) else []
        for file in self._data.glob("[!.]*"):
            if file not in needed:
                file.unlink()

    def _whole(self, file: Path, mode: int, make: Callable[[Path], None], uid: int | None = None) -> None:
        unfinished = file.with_name(f".{file.name}")
        unfinished.unlink(missing_ok=True)
        try:
            make(unfinished)
            unfinished.chmod(mode)
            os.chown(unfinished, self._uid if uid is None else uid, self._gid)
            os.replace(unfinished, file)
        finally:
            unfinished.unlink(missing_ok=True)


def _safe(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][\w.-]*", name, re.ASCII):
        raise VolumeError(f"no volume, snapshot or image can be called {name!r}")
    return name


def _format(file: Path) -> str:
    return file.suffix[1:]


def _described(file: Path, disk_format: str | None = None) -> dict[str, Any]:
    """`-U`: a guest may have it open."""
    known = ("-f", disk_format) if disk_format else ()
    return json.loads(run("qemu-img", "info", "-U", "--output=json", *known, str(file)))


def _below(file: Path) -> Path | None:
    found = _described(file, "qcow2").get("backing-filename")
    return Path(found) if found else None


def _info(file: Path) -> VolumeInfo:
    return VolumeInfo(str(file), _format(file), _described(file, _format(file))["virtual-size"])


def _convert(source: Path, disk_format: str, target: Path, wanted: str, *, locked: bool = False) -> None:
    run("qemu-img", "convert", "-q", *(() if locked else ("-U",)), "-f", disk_format, "-O", QEMU_NAMES.get(wanted, wanted),
        str(source), str(target), seconds=COPY_SECONDS)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        run("cp", "--sparse=always", "--reflink=auto", str(source), str(target), seconds=COPY_SECONDS)
