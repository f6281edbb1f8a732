"""What the controller tells an agent about volumes."""

from __future__ import annotations

import msgspec

from pilvi.drivers.volume.base import VolumeInfo
from pilvi.node.messages import ImageSource, VolumeSpec


class Encryption(msgspec.Struct, frozen=True):
    """How what is new of a volume is encrypted."""

    key: str  # the sealed passphrase
    cipher: str = ""  # as cryptsetup calls it ("aes-xts-plain64"); "": what LUKS takes by itself
    key_bits: int = 0


class VolumeNew(msgspec.Struct, frozen=True):
    """A volume to be made: from an image or a snapshot, or of zeros."""

    volume_id: str
    size_bytes: int
    image: ImageSource | None = None
    snapshot_id: str | None = None
    encryption: Encryption | None = None
    backend: str = "file"


class Sharing(msgspec.Struct, frozen=True):
    """Whether several guests may have a volume open at a time."""

    volume_id: str
    shared: bool


class VolumeSize(msgspec.Struct, frozen=True):
    volume_id: str
    size_bytes: int


class SnapshotOrder(msgspec.Struct, frozen=True):
    volume_id: str
    snapshot_id: str


class CopyOut(msgspec.Struct, frozen=True):
    volume_id: str
    snapshot_id: str | None
    target: str  # a file that controller and agent both see
    format: str
    base: str | None = None  # a file written so before


class CopyIn(msgspec.Struct, frozen=True):
    volume_id: str
    source: str
    format: str
    size_bytes: int
    backend: str = "file"  # of a volume that is nowhere yet


class Moving(msgspec.Struct, frozen=True):
    """A volume that goes to another backend; where a server has it, whose guest writes to it meanwhile."""

    volume_id: str
    target: str  # the backend
    passing: str  # a file for what passes between the two
    shared: bool = False  # it is to be one that several guests may open
    server_id: str | None = None


class NewName(msgspec.Struct, frozen=True):
    name: str  # of a volume or a snapshot
    new_name: str


class Kept(msgspec.Struct, frozen=True):
    """A volume or a snapshot that is kept, and how large it is."""

    name: str
    size_bytes: int


class Inventory(msgspec.Struct, frozen=True):
    volumes: tuple[Kept, ...]
    snapshots: tuple[Kept, ...]


class Limiting(msgspec.Struct, frozen=True):
    """The limits that a volume of a guest has from now on."""

    server_id: str
    volume_id: str
    limits: dict[str, int]


class VolumeOrder(msgspec.Struct, frozen=True):
    """An order about one volume of a guest."""

    server_id: str
    generation: int
    volume: VolumeSpec
    force: bool = False  # taken away though the guest holds on to it


class Redirect(msgspec.Struct, frozen=True):
    """A guest is to write a volume elsewhere from now on."""

    server_id: str
    volume_id: str
    target: VolumeInfo


class Resized(msgspec.Struct, frozen=True):
    """A guest is to see a volume's new size."""

    server_id: str
    volume_id: str
    size_bytes: int
