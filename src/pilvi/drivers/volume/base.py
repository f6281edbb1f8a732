"""What Pilvi asks of the place where volumes are kept: the interface of every volume driver.

Verbs are synchronous and idempotent, and leave either the whole thing or nothing. A snapshot of a volume that a
guest writes to is taken in two halves, between which the guest is made to write elsewhere.
`tests/contracts/test_volume.py` is the contract; every driver passes it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from pilvi.drivers.disk.base import Image


class VolumeError(Exception):
    """A verb failed; the message says which volume, what was tried and what the tool answered."""


class VolumeInfo(msgspec.Struct, frozen=True):
    """Where a guest reads and writes it."""

    path: str
    format: str
    size_bytes: int  # what the guest sees


class Capacity(msgspec.Struct, frozen=True):
    total_bytes: int
    free_bytes: int


LUKS_ROOM = 2 << 20  # bytes by which an encrypted volume is larger, for its container's head, which takes no more


class Way(Protocol):
    """How a volume is encrypted."""

    key: str  # the sealed passphrase
    cipher: str  # as cryptsetup calls it; "": what LUKS takes by itself
    key_bits: int


class Containers(Protocol):
    """Encrypted content on its way into a volume."""

    def container(self, name: str, way: Way, image: Image | None) -> AbstractContextManager[Path]:
        """A file with the image's content encrypted, or with a container's head alone. Raises VolumeError."""


class VolumeStore(Protocol):
    """Volumes and their snapshots, which every host of the site reads and writes."""

    def ensure_blank(self, volume_id: str, size_bytes: int) -> VolumeInfo:
        """A volume that reads as zeros. One of this id is returned as it is. Raises VolumeError."""

    def ensure_from_image(self, volume_id: str, image: Image, size_bytes: int) -> VolumeInfo:
        """A volume with the image's content, which stays when the image is deleted. Raises VolumeError."""

    def ensure_from_snapshot(self, volume_id: str, snapshot_id: str, size_bytes: int) -> VolumeInfo:
        """A volume with the snapshot's content, which either may outlive. Raises VolumeError."""

    def begin_snapshot(self, volume_id: str, snapshot_id: str) -> VolumeInfo:
        """Where a guest that has the volume open is to write from now on. Raises VolumeError."""

    def end_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """The snapshot is there, and stays as it is: nobody writes to it any more. Raises VolumeError."""

    def absent_snapshot(self, snapshot_id: str) -> None:
        """Deletes it, in any order with others and with volumes made from it; one not there is fine."""

    def revert(self, volume_id: str, snapshot_id: str) -> None:
        """The volume, which nobody has open, is what it was at the snapshot, as large as it is now."""

    def extend(self, volume_id: str, size_bytes: int) -> VolumeInfo:
        """At least this large, and reading as zeros where it is new; nobody has it open. Raises VolumeError."""

    def copy_out(self, volume_id: str, snapshot_id: str | None, target: Path, disk_format: str,
                 base: Path | None = None) -> None:
        """Writes the content of a volume that nobody writes to, or of a snapshot, to a file.

        With `base`, a file written so before, only what differs from that. Raises VolumeError."""

    def copy_in(self, volume_id: str, source: Path, disk_format: str, size_bytes: int) -> VolumeInfo:
        """The volume, new or one that nobody has open, has the content of the file. Raises VolumeError."""

    def share(self, volume_id: str, shared: bool) -> VolumeInfo:
        """The volume, which nobody has open, may be opened by several guests at a time, or by no more than one.

        What has been done to it since ends that: a snapshot, a copy into it, going back. Raises VolumeError."""

    def reimage(self, volume_id: str, image: Image) -> VolumeInfo:
        """It has the image's content, and its own size still; nobody has it open. Raises VolumeError."""

    def rename(self, name: str, new_name: str) -> None:
        """Of a volume or a snapshot; one that is called the new name already is fine. Raises VolumeError."""

    def info(self, volume_id: str) -> VolumeInfo | None:
        """None for a volume that is not there."""

    def snapshot(self, snapshot_id: str) -> VolumeInfo | None:
        """As `info`, to be read only."""

    def volumes(self) -> list[str]:
        """The ids of all volumes."""

    def snapshots(self) -> list[str]: ...

    def absent(self, volume_id: str) -> None:
        """Deletes it, and not its snapshots; one that is not there is fine."""

    def capacity(self) -> Capacity: ...


class VolumeStores(VolumeStore, Protocol):
    """Several of them as one."""

    def at(self, backend: str) -> VolumeStore:
        """The one of this name. Raises VolumeError."""
