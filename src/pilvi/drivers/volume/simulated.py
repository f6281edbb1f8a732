"""Volumes that are only pretended: their sizes are kept, their content is not."""

from __future__ import annotations

from pathlib import Path

from pilvi.drivers.disk.base import Image
from pilvi.drivers.pretend import Faults
from pilvi.drivers.volume.base import Capacity, VolumeError, VolumeInfo
from pilvi.notes import Notes

VOLUME, SNAPSHOT = "volume ", "snapshot "


class SimulatedVolumes(Faults):
    error = VolumeError

    def __init__(self, root: Path, *, capacity_bytes: int = 1 << 46):
        super().__init__()
        self._root, self._capacity = root, capacity_bytes
        self._notes = Notes(root)

    def ensure_blank(self, volume_id: str, size_bytes: int) -> VolumeInfo:
        return self._ensure("ensure_blank", volume_id, size_bytes)

    def ensure_from_image(self, volume_id: str, image: Image, size_bytes: int) -> VolumeInfo:
        try:
            size = Path(image.path).stat().st_size
        except OSError as error:
            raise VolumeError(f"volume {volume_id} cannot be made from image {image.id}: {error}") from None
        return self._ensure("ensure_from_image", volume_id, max(size, size_bytes))

    def ensure_from_snapshot(self, volume_id: str, snapshot_id: str, size_bytes: int) -> VolumeInfo:
        if self.info(volume_id) is None and self.snapshot(snapshot_id) is None:
            raise VolumeError(f"volume {volume_id} cannot be made: there is no snapshot {snapshot_id}")
        source = self.snapshot(snapshot_id)
        return self._ensure("ensure_from_snapshot", volume_id, max(source.size_bytes if source else 0, size_bytes))

    def begin_snapshot(self, volume_id: str, snapshot_id: str) -> VolumeInfo:
        self.strike("begin_snapshot", f"volume {volume_id}")
        return self._known(volume_id)

    def end_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        self.strike("end_snapshot", f"volume {volume_id}")
        if SNAPSHOT + snapshot_id not in self._notes.values:
            self._notes.put(VOLUME + volume_id, str(self._known(volume_id).size_bytes))
            self._notes.put(SNAPSHOT + snapshot_id, str(self._known(volume_id).size_bytes))

    def absent_snapshot(self, snapshot_id: str) -> None:
        self.strike("absent_snapshot", f"snapshot {snapshot_id}")
        self._notes.drop(SNAPSHOT + snapshot_id)

    def revert(self, volume_id: str, snapshot_id: str) -> None:
        self.strike("revert", f"volume {volume_id}")
        if self._known(volume_id) and self.snapshot(snapshot_id) is None:
            raise VolumeError(f"volume {volume_id} cannot be reverted: there is no snapshot {snapshot_id}")

    def extend(self, volume_id: str, size_bytes: int) -> VolumeInfo:
        self.strike("extend", f"volume {volume_id}")
        found = self._known(volume_id)
        self._notes.put(VOLUME + volume_id, f"{max(found.size_bytes, size_bytes)}{' raw' * (found.format == 'raw')}")
        return self._known(volume_id)

    def copy_out(self, volume_id: str, snapshot_id: str | None, target: Path, disk_format: str,
                 base: Path | None = None) -> None:
        self.strike("copy_out", f"volume {volume_id}")
        found = self.info(volume_id) if snapshot_id is None else self.snapshot(snapshot_id)
        if found is None:
            raise VolumeError(f"volume {volume_id} cannot be copied: it is not there")
        target.write_bytes(pretended(disk_format, found.size_bytes))

    def copy_in(self, volume_id: str, source: Path, disk_format: str, size_bytes: int) -> VolumeInfo:
        self.strike("copy_in", f"volume {volume_id}")
        if not source.exists():
            raise VolumeError(f"volume {volume_id} cannot be written: there is no {source}")
        self._notes.put(VOLUME + volume_id, str(size_bytes))
        return self._known(volume_id)

    def share(self, volume_id: str, shared: bool) -> VolumeInfo:
        self.strike("share", f"volume {volume_id}")
        self._notes.put(VOLUME + volume_id, f"{self._known(volume_id).size_bytes}{' raw' * shared}")
        return self._known(volume_id)

    def reimage(self, volume_id: str, image: Image) -> VolumeInfo:
        self.strike("reimage", f"volume {volume_id}")
        if not Path(image.path).exists():
            raise VolumeError(f"volume {volume_id} cannot be written: there is no {image.path}")
        return self._known(volume_id)

    def rename(self, name: str, new_name: str) -> None:
        self.strike("rename", f"volume {name}")
        for kind in (VOLUME, SNAPSHOT):
            if kind + new_name in self._notes.values:
                return
            if (text := self._notes.values.get(kind + name)) is not None:
                self._notes.put(kind + new_name, text)
                return self._notes.drop(kind + name)
        raise VolumeError(f"{name} cannot be renamed to {new_name}: it is not there")

    def info(self, volume_id: str) -> VolumeInfo | None:
        return self._found(VOLUME + volume_id)

    def snapshot(self, snapshot_id: str) -> VolumeInfo | None:
        return self._found(SNAPSHOT + snapshot_id)

    def volumes(self) -> list[str]:
        return self._names(VOLUME)

    def snapshots(self) -> list[str]:
        return self._names(SNAPSHOT)

    def absent(self, volume_id: str) -> None:
        self.strike("absent", f"volume {volume_id}")
        self._notes.drop(VOLUME + volume_id)

    def capacity(self) -> Capacity:
        return Capacity(self._capacity, self._capacity)

    # -- inside

    def _ensure(self, verb: str, volume_id: str, size_bytes: int) -> VolumeInfo:
        if self.info(volume_id) is None:
            self.strike(verb, f"volume {volume_id}")
            self._notes.put(VOLUME + volume_id, str(size_bytes))
        return self._known(volume_id)

    def _known(self, volume_id: str) -> VolumeInfo:
        found = self.info(volume_id)
        if found is None:
            raise VolumeError(f"volume {volume_id} is not there")
        return found

    def _found(self, name: str) -> VolumeInfo | None:
        text = self._notes.values.get(name)
        if text is None:
            return None
        size, _, disk_format = text.partition(" ")
        return VolumeInfo(str(self._root / name.partition(" ")[2]), disk_format or "qcow2", int(size))

    def _names(self, kind: str) -> list[str]:
        return sorted(name.removeprefix(kind) for name in self._notes.values if name.startswith(kind))


def pretended(disk_format: str, size_bytes: int) -> bytes:
    """The least that counts as a disk of this format and size, to whoever looks at its beginning."""
    if disk_format == "qcow2":  # docs/interop/qcow2.txt of QEMU: version 2, clusters of 64 KiB
        header = b"QFI\xfb" + (2).to_bytes(4, "big") + bytes(12) + (16).to_bytes(4, "big") + size_bytes.to_bytes(8, "big")
    elif disk_format == "vmdk":
        header = b"KDMV".ljust(12, b"\0") + (size_bytes // 512).to_bytes(8, "little")
    elif disk_format == "vdi":
        header = (bytes(64) + b"\x7f\x10\xda\xbe").ljust(0x170, b"\0") + size_bytes.to_bytes(8, "little")
    elif disk_format == "raw":
        header = b""
    else:
        raise VolumeError(f"disks of the format {disk_format} cannot be pretended")
    return header.ljust(1 << 16, b"\0")
