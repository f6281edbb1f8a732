"""What an image's own header says: its format, the size of its disk, and whether it may be kept.

A guest's disk is based on the image, so an image must not be able to name other files of the host: the header
decides, not what the client calls it. QCOW2 as in QEMU's docs/interop/qcow2.txt.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

HEAD_BYTES = 64 << 10
_QCOW2 = struct.Struct(
    ">4sIQIIQIIQ"
)  # magic version backing_offset backing_size cluster_bits size crypt l1_size l1
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED_L2 = (1 << bit for bit in range(5))
_DATA_FILE_NAME = 0x44415441  # header extension
_WRAPPED = frozenset({"docker", "ova", "compressed"})  # containers whose disk is inside an archive
_OPAQUE = frozenset({"ami", "ari", "aki", "ploop"})
_NEVER_RAW = frozenset({"qcow2", "qed", "vmdk", "vdi", "vhd", "vhdx"})


class ImageRefused(Exception):
    """The content is not what it is said to be, or could reach beyond itself; the message says why."""


class WrongFormat(ImageRefused):
    """The content is harmless where it is taken for what it is said to be, but it is not that."""


def detect(head: bytes) -> str | None:
    """The format that the first bytes show; None for a raw disk (or anything else)."""
    if head[:4] == b"QFI\xfb":
        return "qcow2"
    if head[:4] == b"QED\0":
        return "qed"
    if head[:4] == b"KDMV" or head[:21] == b"# Disk DescriptorFile":
        return "vmdk"
    if head[64:68] == b"\x7f\x10\xda\xbe":
        return "vdi"
    if head[:8] == b"vhdxfile":
        return "vhdx"
    if head[:8] == b"conectix":
        return "vhd"
    if head[32769:32774] == b"CD001":
        return "iso"
    if head[510:512] == b"\x55\xaa" and head[512:520] == b"EFI PART":
        return "gpt"
    return None


def virtual_size(file: BinaryIO, disk_format: str, container_format: str, size: int) -> int | None:
    """Bytes of the disk in this file of `size` bytes; None where its header does not say.

    Raises ImageRefused."""
    if container_format in _WRAPPED or disk_format in _OPAQUE:
        return None
    head = file.read(HEAD_BYTES)
    found = detect(head)
    if disk_format in ("raw", "gpt", "iso"):
        if found in _NEVER_RAW:
            raise ImageRefused(f"it is said to be {disk_format}, but its content is {found}")
        if disk_format != "raw" and found != disk_format:
            raise WrongFormat(f"its content is not {disk_format}")
        return size
    if found != disk_format and not (disk_format == "vhd" and _has_vhd_footer(file, size)):
        raise WrongFormat(f"it is said to be {disk_format}, but its content is {found or 'something else'}")
    return _SIZES[disk_format](file, head, size)


def _qcow2(_file: BinaryIO, head: bytes, size: int) -> int:
    if len(head) < 72:
        raise ImageRefused("its QCOW2 header is cut off")
    _, version, backing, _, cluster_bits, disk, crypt, l1_entries, l1_offset = _QCOW2.unpack_from(head)
    if version not in (2, 3):
        raise ImageRefused(f"QCOW2 version {version} is not known; 2 and 3 are")
    if backing:
        raise ImageRefused("it names a backing file; flatten it with: qemu-img convert -O qcow2")
    if crypt:
        raise ImageRefused("it is encrypted")
    if not 9 <= cluster_bits <= 21:
        raise ImageRefused(f"its cluster size of 2^{cluster_bits} bytes is not valid")
    if disk >= 1 << 63 or l1_offset + 8 * l1_entries > size:
        raise ImageRefused("its header points beyond its end; it seems to be cut off")
    if version == 3:
        _qcow2_features(head)
    return disk


def _qcow2_features(head: bytes) -> None:
    if len(head) < 104:
        raise ImageRefused("its QCOW2 header is cut off")
    (features,) = struct.unpack_from(">Q", head, 72)
    if features & _DATA_FILE:
        raise ImageRefused("it names an external data file")
    if features & _CORRUPT:
        raise ImageRefused("it is marked as corrupt; mend it with: qemu-img check -r all")
    if features & ~(_DIRTY | _COMPRESSION | _EXTENDED_L2):
        raise ImageRefused(f"it uses unknown features ({features:#x})")
    (at,) = struct.unpack_from(">I", head, 100)
    while at + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, at)
        if kind == 0:
            return
        if kind == _DATA_FILE_NAME:
            raise ImageRefused("it names an external data file")
        at += 8 + (length + 7) // 8 * 8


def _vmdk(_file: BinaryIO, head: bytes, _size: int) -> int | None:
    if head[:4] != b"KDMV":
        raise ImageRefused("it is a VMDK descriptor, whose data is in other files")
    return struct.unpack_from("<Q", head, 12)[0] * 512 if len(head) >= 20 else None


def _vdi(_file: BinaryIO, head: bytes, _size: int) -> int | None:
    return struct.unpack_from("<Q", head, 0x170)[0] if len(head) >= 0x178 else None


def _has_vhd_footer(file: BinaryIO, size: int) -> bool:
    if size < 512:
        return False
    file.seek(size - 512)
    return file.read(8) == b"conectix"


def _vhd(file: BinaryIO, _head: bytes, size: int) -> int | None:
    if not _has_vhd_footer(file, size):
        raise ImageRefused("its VHD footer is missing; it seems to be cut off")
    file.seek(size - 512 + 48)
    return struct.unpack(">Q", file.read(8))[0]


_SIZES = {"qcow2": _qcow2, "vmdk": _vmdk, "vdi": _vdi, "vhd": _vhd, "vhdx": lambda *_: None}
