"""Where the images' data lies: one file each, whole or not there, never changed once it has its name."""

from __future__ import annotations

import contextlib
import ctypes
import errno
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
        self.part.rename(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Stops writing, and deletes what has not become whole."""
        try:
            self._file.close()
        except OSError:  # what was still to be written found no room
            self._file.raw.close()
        self.part.unlink(missing_ok=True)
