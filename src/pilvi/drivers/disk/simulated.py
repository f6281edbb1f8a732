"""Disks that are only pretended: their sizes are kept, their content is not."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pilvi.drivers.disk.base import DiskError, DiskInfo, DiskSource, Image
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
        if disk_id in self._notes.values:
            self.strike("absent", f"disk {disk_id}")
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
