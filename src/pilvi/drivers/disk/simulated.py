"""Disks that are only pretended: their sizes are kept, their content is not.

A copy that is to become an image is a file, which whoever reads images takes for an empty one of its size."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec

from pilvi.drivers.disk.base import DiskError, DiskInfo, DiskSource, Filling, Image
from pilvi.drivers.pretend import Faults
from pilvi.notes import Notes


class _Kept(msgspec.Struct):
    info: DiskInfo
    image_id: str | None


class SimulatedDisks(Faults):
    error = DiskError

    def __init__(self, root: Path, *, capacity_bytes: int = 1 << 46):
        super().__init__()
        self._root, self._capacity = root, capacity_bytes
        self._notes = Notes(root)
        self._begun: dict[str, int] = {}  # bytes

    def ensure_from_image(self, disk_id: str, image: Image, size_bytes: int) -> DiskInfo:
        if (found := self.info(disk_id)) is not None:
            return found
        self.strike("ensure_from_image", f"disk {disk_id}")
        try:
            size = Path(image.path).stat().st_size
        except OSError as error:
            raise DiskError(f"disk {disk_id} cannot be made from image {image.id}: {error}") from None
        return self._keep(disk_id, "qcow2", max(size, size_bytes), 0, image.id)

    def ensure_file(self, disk_id: str, content: bytes) -> DiskInfo:
        self.strike("ensure_file", f"disk {disk_id}")
        return self._keep(disk_id, "raw", len(content), len(content), None)

    def export(self, disk_id: str) -> DiskSource | None:
        found = self.info(disk_id)
        return found and DiskSource(found.path, found.format, found.size_bytes)

    def ensure_copy(self, disk_id: str, source: DiskSource, size_bytes: int) -> DiskInfo:
        if (found := self.info(disk_id)) is not None:
            return found
        self.strike("ensure_copy", f"disk {disk_id}")
        return self._keep(disk_id, "qcow2", max(source.size_bytes, size_bytes), 0, None)

    def ensure_empty(self, disk_id: str, size_bytes: int) -> DiskInfo:
        if (found := self.info(disk_id)) is not None:
            return found
        self.strike("ensure_empty", f"disk {disk_id}")
        return self._keep(disk_id, "qcow2", size_bytes, 0, None)

    def ensure_formatted(self, disk_id: str, size_bytes: int, filling: Filling, label: str = "") -> DiskInfo:
        if (found := self.info(disk_id)) is not None:
            return found
        self.strike("ensure_formatted", f"disk {disk_id}")
        return self._keep(disk_id, "raw", size_bytes, 0, None)

    def ensure_flat(self, disk_id: str, source: DiskSource) -> DiskInfo:
        if (found := self.info(disk_id)) is not None:
            return found
        self.strike("ensure_flat", f"disk {disk_id}")
        return self._write(disk_id, source.size_bytes)

    def blank(self, disk_id: str, size_bytes: int) -> str:
        self.strike("blank", f"disk {disk_id}")
        self._begun[disk_id] = size_bytes
        return str(self._root / disk_id)

    def finish(self, disk_id: str) -> DiskInfo:
        if (found := self.info(disk_id)) is not None:
            return found
        self.strike("finish", f"disk {disk_id}")
        if disk_id not in self._begun:
            raise DiskError(f"disk {disk_id} is gone")
        return self._write(disk_id, self._begun.pop(disk_id))

    def _write(self, disk_id: str, size_bytes: int) -> DiskInfo:
        content = empty_qcow2(size_bytes)
        (self._root / disk_id).write_bytes(content)
        return self._keep(disk_id, "qcow2", size_bytes, len(content), None)

    def rename(self, disk_id: str, new_id: str) -> None:
        if (text := self._notes.values.get(disk_id)) is not None:
            self.strike("rename", f"disk {disk_id}")
            kept = msgspec.json.decode(text, type=_Kept)
            self._keep(new_id, kept.info.format, kept.info.size_bytes, kept.info.allocated_bytes, kept.image_id)
            self._notes.drop(disk_id)

    def info(self, disk_id: str) -> DiskInfo | None:
        text = self._notes.values.get(disk_id)
        return msgspec.json.decode(text, type=_Kept).info if text else None

    def disks(self) -> list[str]:
        return list(self._notes.values)

    def absent(self, disk_id: str) -> None:
        self._begun.pop(disk_id, None)
        if disk_id in self._notes.values:
            self.strike("absent", f"disk {disk_id}")
            (self._root / disk_id).unlink(missing_ok=True)
            self._notes.drop(disk_id)

    def prune(self) -> list[str]:
        return []

    def capacity_bytes(self) -> int:
        return self._capacity

    def root(self) -> Path:
        return self._root

    def _keep(
        self, disk_id: str, disk_format: str, size: int, allocated: int, image_id: str | None
    ) -> DiskInfo:
        info = DiskInfo(str(self._root / disk_id), disk_format, size, allocated)
        self._notes.put(disk_id, msgspec.json.encode(_Kept(info, image_id)).decode())
        return info


def empty_qcow2(size_bytes: int) -> bytes:
    """An image of this size with nothing in it (docs/interop/qcow2.txt of QEMU): a header, reference counts and a
    first-level table, in clusters of 64 KiB."""
    cluster = 1 << 16
    tables = -(-size_bytes // (cluster * cluster // 8))  # entries: each stands for a cluster full of addresses
    clusters = 3 + -(-tables * 8 // cluster)
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, size_bytes, 0, tables, 3 * cluster, cluster,
                         1, 0, 0, 0, 0, 0, 4, 104)
    counts = struct.pack(">H", 1) * clusters
    parts = (header, struct.pack(">Q", 2 * cluster), counts)
    return b"".join(part.ljust(cluster, b"\0") for part in parts).ljust(clusters * cluster, b"\0")
