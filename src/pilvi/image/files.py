"""Where the images' data lies: one file each, whole or not there, never changed once it has its name."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pilvi.faults import Gone, TooLarge

PART = ".part"
CHUNK_BYTES = 1 << 20
_WRITE_THROUGH_BYTES = 64 << 10  # smaller parts are collected


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def keep_buffers() -> None:
    """Lets the C library reuse the buffers of transfers.

    By default it gives every large one back to the kernel, which then clears its pages anew: that takes as
    long as all the rest of an upload together."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(_M_MMAP_THRESHOLD, 4 << 20)
        mallopt(_M_TRIM_THRESHOLD, 16 << 20)


class Digests(NamedTuple):
    md5: str
    sha512: str


class Files:
    def __init__(self, root: Path):
        self.root = root

    def path(self, name: str) -> Path:
        return self.root / name

    def create(self, name: str) -> Writer:
        """A new file, kept under another name until it is whole."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        return Writer(self.root / name)

    def adopt(self, name: str, source: Path, *, consume: bool = False) -> int:
        """Makes it the file of this name, whole, and returns its bytes; done before, it stays as it is.

        A reflink, else a copy that keeps holes; with `consume` the file itself where it lies on the same file
        system. Raises FileNotFoundError, TooLarge."""
        target = self.root / name
        if not target.exists():
            self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
            part = target.with_name(name + PART)
            try:
                if not (consume and _moved(source, part)):
                    _copy(source, part)
                _keep(part, target)
            finally:
                part.unlink(missing_ok=True)
        if consume:
            source.unlink(missing_ok=True)
        return target.stat().st_size

    def empty(self, name: str) -> int:
        """Makes it a file without a byte; done before, it stays as it is."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        (self.root / name).touch()
        return 0

    def open(self, name: str) -> BinaryIO:
        """To read from. Raises Gone where the image has just been deleted."""
        try:
            return (self.root / name).open("rb", buffering=0)
        except FileNotFoundError:
            raise Gone("The image's data has been deleted.") from None

    def remove(self, name: str) -> None:
        """Deletes the file, whole or not; one that is not there is fine."""
        for path in (self.root / name, self.root / (name + PART)):
            path.unlink(missing_ok=True)

    def names(self) -> set[str]:
        """Of every file that is there, whole or not."""
        try:
            return {entry.name.removesuffix(PART) for entry in os.scandir(self.root)}
        except FileNotFoundError:
            return set()

    def digests(self, name: str, call: Callable[..., Iterable[str]] = map) -> Digests:
        """Reads the file once for each; `call` may do that side by side. Raises FileNotFoundError."""
        path = self.root / name
        return Digests(*call(lambda algorithm: _digest(path, algorithm), Digests._fields))


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TooLarge("There is not enough disk space on the image storage media.") from None


def _keep(part: Path, path: Path) -> None:
    """Gives a whole file its name, for good."""
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _moved(source: Path, target: Path) -> bool:
    """False where they are on different file systems. The file no longer belongs to who wrote it."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    os.chown(target, os.geteuid(), os.getegid())
    target.chmod(0o600)
    with target.open("rb+") as file:
        os.fsync(file.fileno())
    return True


_FICLONE = 0x40049409  # of ioctl_ficlone(2)


def _copy(source: Path, target: Path) -> None:
    """Block by block shared where the file system can; else only what is written, so that holes stay holes."""
    with source.open("rb", buffering=0) as old, target.open("wb", buffering=0) as new, _room():
        os.fchmod(new.fileno(), 0o600)
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            size = os.fstat(old.fileno()).st_size
            for start, end in _written(old.fileno(), size):
                _copy_part(old.fileno(), new.fileno(), start, end)
            os.ftruncate(new.fileno(), size)
        os.fsync(new.fileno())


def _written(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are no holes."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # only a hole is left
                raise
            return
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def _copy_part(old: int, new: int, start: int, end: int) -> None:
    os.lseek(new, start, os.SEEK_SET)
    while start < end:
        copied = os.sendfile(new, old, start, min(end - start, 1 << 30))
        if not copied:
            return
        start += copied


class Writer:
    """A file that is being written. `size` is what it has so far, in bytes."""

    def __init__(self, path: Path):
        self.path, self.part = path, path.with_name(path.name + PART)
        self.size = 0
        self._file = self.part.open("xb", buffering=_WRITE_THROUGH_BYTES)

    def write(self, parts: Sequence[bytes]) -> None:
        """Raises TooLarge when the disk is full, as the next two do."""
        with _room():
            for part in parts:
                self._file.write(part)
                self.size += len(part)

    def settle(self) -> None:
        """Writes what came so far through to the disk, so that less is left for `flush`."""
        with _room():
            os.fdatasync(self._file.fileno())

    def flush(self) -> None:
        """From here on the data survives a power cut."""
        with _room():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def keep(self) -> None:
        """Gives the whole, flushed file its name."""
        _keep(self.part, self.path)

    def close(self) -> None:
        """Stops writing, and deletes what has not become whole."""
        try:
            self._file.close()
        except OSError:  # what was still to be written found no room
            self._file.raw.close()
        self.part.unlink(missing_ok=True)
