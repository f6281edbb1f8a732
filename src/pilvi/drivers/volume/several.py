"""Several places where volumes are kept, as one: what is asked of a volume is asked of the place that keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pilvi.drivers.disk.base import Image
from pilvi.drivers.volume.base import Capacity, VolumeError, VolumeInfo, VolumeStore


class SeveralVolumes:
    """By the names of backends; what is nowhere yet is made in the first, unless one is chosen (`at`)."""

    def __init__(self, stores: Mapping[str, VolumeStore]):
        self._stores = dict(stores)
        self._first = next(iter(self._stores.values()))

    def at(self, backend: str) -> VolumeStore:
        if backend not in self._stores:
            raise VolumeError(f"there is no backend {backend}; there are {', '.join(self._stores)}")
        return self._stores[backend]

    def _of(self, volume_id: str) -> VolumeStore:
        return self._keeper(volume_id, lambda store: store.info(volume_id))

    def _with_snapshot(self, snapshot_id: str) -> VolumeStore:
        return self._keeper(snapshot_id, lambda store: store.snapshot(snapshot_id))

    def _keeper(self, name: str, look: Callable[[VolumeStore], VolumeInfo | None]) -> VolumeStore:
        if len(self._stores) == 1:
            return self._first
        return next((store for store in self._stores.values() if look(store) is not None), self._first)

    def ensure_blank(self, volume_id: str, size_bytes: int) -> VolumeInfo:
        return self._of(volume_id).ensure_blank(volume_id, size_bytes)

    def ensure_from_image(self, volume_id: str, image: Image, size_bytes: int) -> VolumeInfo:
        return self._of(volume_id).ensure_from_image(volume_id, image, size_bytes)

    def ensure_from_snapshot(self, volume_id: str, snapshot_id: str, size_bytes: int) -> VolumeInfo:
        return self._with_snapshot(snapshot_id).ensure_from_snapshot(volume_id, snapshot_id, size_bytes)

    def reimage(self, volume_id: str, image: Image) -> VolumeInfo:
        return self._of(volume_id).reimage(volume_id, image)

    def begin_snapshot(self, volume_id: str, snapshot_id: str) -> VolumeInfo:
        return self._of(volume_id).begin_snapshot(volume_id, snapshot_id)

    def end_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        self._of(volume_id).end_snapshot(volume_id, snapshot_id)

    def absent_snapshot(self, snapshot_id: str) -> None:
        for store in self._stores.values():  # one that is only begun is nobody's to see
            store.absent_snapshot(snapshot_id)

    def revert(self, volume_id: str, snapshot_id: str) -> None:
        self._of(volume_id).revert(volume_id, snapshot_id)

    def extend(self, volume_id: str, size_bytes: int) -> VolumeInfo:
        return self._of(volume_id).extend(volume_id, size_bytes)

    def copy_out(self, volume_id: str, snapshot_id: str | None, target: Path, disk_format: str,
                 base: Path | None = None) -> None:
        store = self._of(volume_id) if snapshot_id is None else self._with_snapshot(snapshot_id)
        store.copy_out(volume_id, snapshot_id, target, disk_format, base)

    def copy_in(self, volume_id: str, source: Path, disk_format: str, size_bytes: int) -> VolumeInfo:
        return self._of(volume_id).copy_in(volume_id, source, disk_format, size_bytes)

    def share(self, volume_id: str, shared: bool) -> VolumeInfo:
        return self._of(volume_id).share(volume_id, shared)

    def rename(self, name: str, new_name: str) -> None:
        known = (each for each in self._stores.values()
                 for one in (name, new_name) if each.info(one) is not None or each.snapshot(one) is not None)
        next(known, self._first).rename(name, new_name)

    def info(self, volume_id: str) -> VolumeInfo | None:
        return next((found for store in self._stores.values() if (found := store.info(volume_id)) is not None), None)

    def snapshot(self, snapshot_id: str) -> VolumeInfo | None:
        return next((found for store in self._stores.values() if (found := store.snapshot(snapshot_id)) is not None), None)

    def volumes(self) -> list[str]:
        return sorted(name for store in self._stores.values() for name in store.volumes())

    def snapshots(self) -> list[str]:
        return sorted(name for store in self._stores.values() for name in store.snapshots())

    def absent(self, volume_id: str) -> None:
        for store in self._stores.values():
            store.absent(volume_id)

    def capacity(self) -> Capacity:
        found = [store.capacity() for store in self._stores.values()]
        return Capacity(sum(each.total_bytes for each in found), sum(each.free_bytes for each in found))
