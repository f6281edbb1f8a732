"""What Pilvi asks of the place where guests' disks are kept: the interface of every disk driver.

Verbs are synchronous and idempotent, and leave either the whole thing or nothing.
`tests/contracts/test_disk.py` is the contract; every driver passes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import msgspec

Filling = Literal["ext4", "swap"]


class DiskError(Exception):
    """A verb failed; the message says which disk, what was tried and what the tool answered."""


class Image(msgspec.Struct, frozen=True):
    """The image that a disk starts from, as a file that this host can read."""

    id: str
    path: str
    format: str  # qcow2 | raw


class DiskInfo(msgspec.Struct, frozen=True):
    path: str
    format: str
    size_bytes: int  # what the guest sees
    allocated_bytes: int  # what it takes on the host


class DiskSource(msgspec.Struct, frozen=True):
    """Where the content of a disk can be read, by whoever makes another of it."""

    url: str  # as QEMU's tools take it: a file that both hosts see
    format: str
    size_bytes: int


class DiskStore(Protocol):
    """The disks of one host's guests."""

    def ensure_from_image(self, disk_id: str, image: Image, size_bytes: int) -> DiskInfo:
        """A copy-on-write disk over a cached copy of the image, at least as large as the image.

        An existing disk of this id is returned as it is. The cached copy stays usable when the image's own
        file is deleted. Raises DiskError."""

    def ensure_file(self, disk_id: str, content: bytes) -> DiskInfo:
        """A small read-only raw disk with this content (a config drive). Raises DiskError."""

    def export(self, disk_id: str) -> DiskSource | None:
        """Where another host reads this disk, which nobody writes to; None where there is none."""

    def ensure_copy(self, disk_id: str, source: DiskSource, size_bytes: int) -> DiskInfo:
        """A disk with the content of another, at least as large as that and this size.

        An existing disk of this id is returned as it is. Raises DiskError."""

    def ensure_empty(self, disk_id: str, size_bytes: int) -> DiskInfo:
        """A disk with nothing in it. An existing disk of this id is returned as it is. Raises DiskError."""

    def ensure_formatted(self, disk_id: str, size_bytes: int, filling: Filling, label: str = "") -> DiskInfo:
        """A raw disk with an empty file system, or a swap area, of this label (at most 16 bytes).

        It takes little room on the host until it is written to. An existing disk of this id is returned as it is.
        Raises DiskError."""

    def ensure_flat(self, disk_id: str, source: DiskSource) -> DiskInfo:
        """A disk with the content of another that nobody writes to, and based on nothing.

        An existing disk of this id is returned as it is. Raises DiskError."""

    def blank(self, disk_id: str, size_bytes: int) -> str:
        """The path of an empty qcow2 file that is to become a disk; there is no disk of this id until `finish`.

        One that was begun stays as it is. Raises DiskError."""

    def finish(self, disk_id: str) -> DiskInfo:
        """What was begun is a disk from now on; an existing disk of this id is one. Raises DiskError."""

    def rename(self, disk_id: str, new_id: str) -> None:
        """A disk that is not there is fine (it was renamed before, or there never was one). Raises DiskError."""

    def info(self, disk_id: str) -> DiskInfo | None:
        """None for a disk that is not there."""

    def disks(self) -> list[str]:
        """The ids of all disks in this store."""

    def absent(self, disk_id: str) -> None:
        """Deletes it, also where it was only begun; one that is not there is fine."""

    def prune(self) -> list[str]:
        """Deletes cached images that no disk is based on, and says which (their image ids)."""

    def capacity_bytes(self) -> int:
        """Size of the file system that holds the disks."""

    def root(self) -> Path:
        """The folder that holds everything of this store."""
