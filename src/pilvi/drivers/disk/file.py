"""Disks as files: qcow2 overlays over cached images, and small raw files.

Below the root: `<disk id>.qcow2` and `<disk id>.raw`, and under overlays `base/<image id>.<format>`.
A file appears whole; until it is, its name starts with a dot, and a start sweeps up what was left unfinished.
"""

from __future__ import annotations

import os
import re
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pilvi.drivers.disk.base import DiskError, DiskInfo, DiskSource, Filling, Image
from pilvi.drivers.tools import run, told

SUFFIXES = {".qcow2": "qcow2", ".raw": "raw"}
COPY_SECONDS = 3600  # of a large image, on a slow disk
# Tables that the guest's kernel may write later are left out, so that the file stays small.
FORMATS: dict[Filling, tuple[str, ...]] = {
    "ext4": ("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-L"),
    "swap": ("mkswap", "-L"),
}
# docs/interop/qcow2.txt of QEMU: magic, version, backing file name's offset and length, cluster bits, size
_HEADER = struct.Struct(">4sIQIIQ")


class FileDisks:
    """Disks in the folder `root`; overlays belong to `uid` and `gid`, whom the guests run as."""

    def __init__(self, root: Path, *, uid: int, gid: int):
        self._root, self._base, self._uid, self._gid = root, root / "base", uid, gid
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard, self._users = threading.Lock(), Counter[str]()  # of images, by those at work
        for folder in (root, self._base):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)  # the guests' processes open files whose names they were told
            for unfinished in folder.glob(".*"):
                unfinished.unlink()

    def ensure_from_image(self, disk_id: str, image: Image, size_bytes: int) -> DiskInfo:
        with self._locks[_safe(disk_id)]:
            if (found := self.info(disk_id)) is not None:
                return found
            with self._in_use(image), told(DiskError, f"disk {disk_id} cannot be made from image {image.id}"):
                base = self._ensure_base(image)
                size = max(size_bytes, _virtual_size(base, image.format))
                create = ("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", image.format)
                self._whole(self._root / f"{disk_id}.qcow2", 0o600,
                            lambda file: run(*create, str(file), str(size)))
            return self._described(disk_id)

    def ensure_file(self, disk_id: str, content: bytes) -> DiskInfo:
        file = self._root / f"{_safe(disk_id)}.raw"
        with self._locks[disk_id]:
            with told(DiskError, f"disk {disk_id} cannot be written"):
                if not file.exists() or file.read_bytes() != content:
                    self._whole(file, 0o400, lambda unfinished: _write(unfinished, content))
            return self._described(disk_id)

    def export(self, disk_id: str) -> DiskSource | None:
        found = self.info(disk_id)
        return found and DiskSource(found.path, found.format, found.size_bytes)

    def ensure_copy(self, disk_id: str, source: DiskSource, size_bytes: int) -> DiskInfo:
        with self._locks[_safe(disk_id)]:
            if (found := self.info(disk_id)) is not None:
                return found
            with told(DiskError, f"disk {disk_id} cannot be copied"):
                self._whole(self._root / f"{disk_id}.qcow2", 0o600,
                            lambda file: self._copy(source, file, max(size_bytes, source.size_bytes)))
            return self._described(disk_id)

    def ensure_empty(self, disk_id: str, size_bytes: int) -> DiskInfo:
        with self._locks[_safe(disk_id)]:
            if (found := self.info(disk_id)) is not None:
                return found
            with told(DiskError, f"disk {disk_id} cannot be made"):
                self._whole(self._root / f"{disk_id}.qcow2", 0o600, lambda file: run(
                    "qemu-img", "create", "-q", "-f", "qcow2", str(file), str(size_bytes)))
            return self._described(disk_id)

    def ensure_formatted(self, disk_id: str, size_bytes: int, filling: Filling, label: str = "") -> DiskInfo:
        def make(file: Path) -> None:
            file.touch(mode=0o600)
            os.truncate(file, size_bytes)
            run(*FORMATS[filling], label, str(file))

        with self._locks[_safe(disk_id)]:
            if (found := self.info(disk_id)) is not None:
                return found
            with told(DiskError, f"disk {disk_id} cannot be formatted"):
                self._whole(self._root / f"{disk_id}.raw", 0o600, make)
            return self._described(disk_id)

    def ensure_flat(self, disk_id: str, source: DiskSource) -> DiskInfo:
        with self._locks[_safe(disk_id)]:
            if (found := self.info(disk_id)) is not None:
                return found
            with told(DiskError, f"disk {disk_id} cannot be copied"):
                self._whole(self._root / f"{disk_id}.qcow2", 0o600, lambda file: run(
                    "qemu-img", "convert", "-q", "-f", source.format, "-O", "qcow2", source.url, str(file),
                    seconds=COPY_SECONDS))
            return self._described(disk_id)

    def blank(self, disk_id: str, size_bytes: int) -> str:
        with self._locks[_safe(disk_id)], told(DiskError, f"disk {disk_id} cannot be made"):
            begun = self._begun(disk_id)
            if not begun.exists():
                self._whole(begun, 0o600, lambda file: run(
                    "qemu-img", "create", "-q", "-f", "qcow2", str(file), str(size_bytes)))
            return str(begun)

    def finish(self, disk_id: str) -> DiskInfo:
        with self._locks[_safe(disk_id)], told(DiskError, f"disk {disk_id} cannot be finished"):
            with suppress(FileNotFoundError):
                os.replace(self._begun(disk_id), self._root / f"{disk_id}.qcow2")
            return self._described(disk_id)

    def _begun(self, disk_id: str) -> Path:
        """Swept up by the next start, like all that is unfinished."""
        return self._root / f".{disk_id}.begun"

    def _copy(self, source: DiskSource, file: Path, size: int) -> None:
        """What is based on an image that this host has stays based on it: only what differs is copied."""
        base = _backing_file(Path(source.url)) if source.format == "qcow2" else ""
        based = ("-B", base, "-F", Path(base).suffix[1:]) if base and Path(base).parent == self._base else ()
        run("qemu-img", "convert", "-q", "-f", source.format, "-O", "qcow2", *based, source.url, str(file),
             seconds=COPY_SECONDS)
        if size > _virtual_size(file, "qcow2"):
            run("qemu-img", "resize", "-q", "-f", "qcow2", str(file), str(size))

    def rename(self, disk_id: str, new_id: str) -> None:
        _safe(new_id)
        with self._locks[_safe(disk_id)], told(DiskError, f"disk {disk_id} cannot be renamed"):
            for suffix in SUFFIXES:
                with suppress(FileNotFoundError):
                    os.rename(self._root / f"{disk_id}{suffix}", self._root / f"{new_id}{suffix}")

    def info(self, disk_id: str) -> DiskInfo | None:
        for suffix, disk_format in SUFFIXES.items():
            file = self._root / f"{_safe(disk_id)}{suffix}"
            try:
                size = _virtual_size(file, disk_format)
                return DiskInfo(str(file), disk_format, size, file.stat().st_blocks * 512)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise DiskError(f"disk {disk_id}: {error}") from error
        return None

    def disks(self) -> list[str]:
        return [file.stem for file in self._root.iterdir() if file.suffix in SUFFIXES and file.name[0] != "."]

    def absent(self, disk_id: str) -> None:
        with self._locks[_safe(disk_id)], told(DiskError, f"disk {disk_id} cannot be deleted"):
            for suffix in SUFFIXES:
                (self._root / f"{disk_id}{suffix}").unlink(missing_ok=True)
            self._begun(disk_id).unlink(missing_ok=True)
        self._locks.pop(disk_id, None)

    def prune(self) -> list[str]:
        pruned = []
        with self._guard, told(DiskError, "cached images cannot be pruned"):
            used = {_backing_file(overlay) for overlay in self._root.glob("*.qcow2")}
            for base in self._base.glob("[!.]*"):
                if str(base) not in used and not self._users[base.stem]:
                    base.unlink()
                    pruned.append(base.stem)
        return pruned

    def capacity_bytes(self) -> int:
        found = os.statvfs(self._root)
        return found.f_frsize * found.f_blocks

    def root(self) -> Path:
        return self._root

    # -- inside

    @contextmanager
    def _in_use(self, image: Image) -> Iterator[None]:
        """Meanwhile it is not pruned, though no disk is based on it yet."""
        with self._guard:
            self._users[image.id] += 1
        try:
            yield
        finally:
            with self._guard:
                self._users[image.id] -= 1
                self._users += Counter()  # forgets those at zero

    def _ensure_base(self, image: Image) -> Path:
        """A hard link where both are on one file system: no copy, and it stays when the image is deleted.

        A link shares owner and mode with the image's own file, which the guests' group may read from then on.
        No guest is told where that is, nor may it list the folder."""
        base = self._base / f"{_safe(image.id)}.{_safe(image.format)}"
        with self._locks[f"base/{base.name}"]:  # no disk can be called that
            if not base.exists():
                if image.format == "qcow2" and _header(Path(image.path))[0]:
                    raise ValueError("the image is based on another file")  # it may be any file of this host
                self._whole(base, 0o440, lambda file: _link_or_copy(Path(image.path), file), uid=os.geteuid())
        return base

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

    def _described(self, disk_id: str) -> DiskInfo:
        found = self.info(disk_id)
        if found is None:
            raise DiskError(f"disk {disk_id} is gone")
        return found


def _safe(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][\w.-]*", name, re.ASCII):
        raise DiskError(f"no disk or image can be called {name!r}")
    return name


def _write(file: Path, content: bytes) -> None:
    file.touch(mode=0o600)  # a config drive holds secrets
    file.write_bytes(content)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        run("cp", "--sparse=always", "--reflink=auto", str(source), str(target), seconds=COPY_SECONDS)


def _header(file: Path) -> tuple[int, int, int]:
    """Where the backing file's name is, how long it is, and the virtual size. Raises OSError, ValueError."""
    with file.open("rb") as opened:
        start = opened.read(_HEADER.size)
    if len(start) < _HEADER.size or start[:4] != b"QFI\xfb":
        raise ValueError(f"{file} is no qcow2 file")
    _, _, offset, length, _, size = _HEADER.unpack(start)
    return offset, length, size


def _virtual_size(file: Path, disk_format: str) -> int:
    return _header(file)[2] if disk_format == "qcow2" else file.stat().st_size


def _backing_file(overlay: Path) -> str:
    try:
        offset, length, _ = _header(overlay)
        with overlay.open("rb") as opened:
            opened.seek(offset)
            return os.fsdecode(opened.read(length))
    except FileNotFoundError:  # deleted in between
        return ""
