"""The operations of Volume. They run one after another for one volume; those on a snapshot are its volume's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pilvi.db import Tx
from pilvi.engine.operations import Operation, Progress, Step
from pilvi.node.messages import ImageSource
from pilvi.node.messages_volumes import (
    CopyOut,
    Encryption,
    NewName,
    Resized,
    SnapshotOrder,
    VolumeNew,
    VolumeSize,
)
from pilvi.volume import operations_moving, store
from pilvi.volume.operations_base import COPY_SECONDS, VolumeOperation, reachable
from pilvi.volume.tables import backups, snapshots, volumes

if TYPE_CHECKING:
    from pilvi.volume.service import Volumes


class Create(VolumeOperation):
    kind, action = "volume.create", "create"

    def steps(self) -> tuple[Step, ...]:
        return (Step("make volume", self.make, self.unmake),)

    def make(self, progress: Progress) -> None:
        memory = progress.memory
        if "backup" in memory:
            return self.restore(progress)
        image = ImageSource(**memory["image"]) if "image" in memory else None
        way = Encryption(**memory["encryption"]) if "encryption" in memory else None
        self.call(progress, "volume_create", VolumeNew(
            memory["volume"], memory["size"], image, memory.get("snapshot"), way, memory["backend"]), timeout=COPY_SECONDS)
        self.share(progress, memory["volume"])

    def unmake(self, progress: Progress) -> None:
        self.call(progress, "volume_absent", progress.memory["volume"])

    def finish(self, tx: Tx, progress: Progress) -> None:
        volume_id = progress.memory["volume"]
        made = store.switch(tx, volumes, volume_id, ("creating",), "available")
        if not made and store.get(tx, volumes, volume_id) is None:  # deleted by force meanwhile
            self.service.engine.begin(tx, "volume.delete", volume_id, memory={
                "host": progress.memory["host"], "snapshots": []})
        elif made:
            self.service.settle(tx, volume_id)  # a server may have it already
        self.service.poke_waiting(tx)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        if not progress.cancelled:
            volume_id = progress.memory["volume"]
            store.switch(tx, volumes, volume_id, ("creating",), "error")
            self.tell(tx, progress, ("VOLUME", volume_id), "VOLUME_VOLUME_001_001", f"create volume: {reason}")
            self.service.poke_waiting(tx)


class Clone(Create):
    """Of another volume, whose operations it takes its turn among."""

    kind, action = "volume.clone", "create"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("freeze source", self.freeze, self.unfreeze),
            Step("make volume", self.make_copy, self.unmake),
            Step("let go of source", self.unfreeze),
        )

    def snapshot_order(self, progress: Progress) -> SnapshotOrder:
        return SnapshotOrder(progress.memory["source"], "of-" + progress.memory["volume"])

    def make_copy(self, progress: Progress) -> None:
        memory = progress.memory
        order = VolumeNew(memory["volume"], memory["size"], snapshot_id="of-" + memory["volume"],
                          backend=memory["backend"])
        self.call(progress, "volume_create", order)
        self.share(progress, memory["volume"])


class Delete(VolumeOperation):
    kind, action, forward_only = "volume.delete", "delete", True

    def steps(self) -> tuple[Step, ...]:
        return (Step("remove volume", self.remove),)

    def remove(self, progress: Progress) -> None:
        if progress.memory["host"] is None:  # it was never made
            return
        self.call(progress, "volume_absent", progress.object_id)
        for snapshot_id in progress.memory["snapshots"]:
            self.call(progress, "volume_absent_snapshot", snapshot_id)

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.service.forget_volume(tx, progress.object_id)
        self.service.poke_waiting(tx)


class CreateSnapshot(VolumeOperation):
    kind, action = "snapshot.create", "create"

    def steps(self) -> tuple[Step, ...]:
        return (Step("freeze volume", self.freeze, self.unfreeze),)

    def finish(self, tx: Tx, progress: Progress) -> None:
        store.switch(tx, snapshots, progress.memory["snapshot"], ("creating",), "available", progress="100%")
        self.service.group_snapshot_changed(tx, progress.memory["snapshot"])
        self.service.poke_waiting(tx)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        snapshot_id = progress.memory["snapshot"]
        store.switch(tx, snapshots, snapshot_id, ("creating",), "error")
        self.service.group_snapshot_changed(tx, snapshot_id)
        self.tell(tx, progress, ("VOLUME_SNAPSHOT", snapshot_id), "VOLUME_VOLUME_SNAPSHOT_008_001",
                  f"create snapshot: {reason}")
        self.service.poke_waiting(tx)


class DeleteSnapshot(VolumeOperation):
    kind, action, forward_only = "snapshot.delete", "delete", True

    def steps(self) -> tuple[Step, ...]:
        return (Step("remove snapshot", self.unfreeze),)

    def finish(self, tx: Tx, progress: Progress) -> None:
        group_snapshot = self.service.group_snapshot_of(tx, progress.memory["snapshot"])
        store.delete(tx, snapshots, progress.memory["snapshot"])
        self.service.group_snapshot_emptied(tx, group_snapshot)


class Extend(VolumeOperation):
    kind, action = "volume.extend", "extend"

    def steps(self) -> tuple[Step, ...]:
        return (Step("extend volume", self.extend),)

    def extend(self, progress: Progress) -> None:
        memory = progress.memory
        users = self.users(progress, memory["volume"])
        if not users:
            self.call(progress, "volume_extend", VolumeSize(memory["volume"], memory["size"]))
        for host, server in users:
            self.call(progress, "resize_volume", Resized(server, memory["volume"], memory["size"]), host=host)

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.back(tx, progress, size=progress.memory["gib"])
        for _, server_id in self.service.users(tx, progress.memory["volume"]):
            if self.service.tell_extended is not None:
                self.service.tell_extended(tx, progress, server_id, progress.memory["volume"])

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        memory = progress.memory
        store.update(tx, volumes, memory["volume"], status="in-use" if memory["status"] == "in-use" else "error_extending")
        self.tell(tx, progress, ("VOLUME", memory["volume"]), "VOLUME_VOLUME_004_001", f"extend volume: {reason}")


class Upload(VolumeOperation):
    """The volume's content becomes an image."""

    kind, action = "volume.upload", "upload"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("freeze volume", self.freeze, self.unfreeze),
            Step("copy volume", self.copy, self.uncopy),
            Step("let go of volume", self.unfreeze),
            Step("store image", self.store),
        )

    def _frozen(self, progress: Progress) -> str | None:
        """What is copied of a volume that a guest writes to meanwhile."""
        return f"image-{progress.memory['image']}" if progress.memory["status"] == "in-use" else None

    def snapshot_order(self, progress: Progress) -> SnapshotOrder:
        return SnapshotOrder(progress.memory["volume"], self._frozen(progress) or "")

    def freeze(self, progress: Progress) -> None:
        if self._frozen(progress) is not None:
            super().freeze(progress)

    def unfreeze(self, progress: Progress) -> None:
        if self._frozen(progress) is not None:
            super().unfreeze(progress)

    def file(self, progress: Progress) -> Path:
        return self.service.folder / "out" / progress.memory["image"]

    def copy(self, progress: Progress) -> None:
        memory = progress.memory
        self.call(progress, "volume_copy_out", CopyOut(
            memory["volume"], self._frozen(progress), str(self.file(progress)), memory["format"]), timeout=COPY_SECONDS)

    def uncopy(self, progress: Progress) -> None:
        self.file(progress).unlink(missing_ok=True)

    def store(self, progress: Progress) -> None:
        if self.file(progress).exists():  # an attempt before this one may have got as far as that
            self.service.image.store_snapshot(progress.memory["image"], self.file(progress), consume=True)
        self.uncopy(progress)

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.back(tx, progress)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        self.back(tx, progress)
        self.service.image.fail_snapshot(tx, progress.memory["image"], reason)
        self.tell(tx, progress, ("VOLUME", progress.memory["volume"]), "VOLUME_VOLUME_002_001",
                  f"copy volume to image: {reason}")


class Revert(VolumeOperation):
    kind, action = "volume.revert", "revert"

    def steps(self) -> tuple[Step, ...]:
        return (Step("revert volume", self.revert),)

    def revert(self, progress: Progress) -> None:
        self.call(progress, "volume_revert", self.snapshot_order(progress))
        self.share(progress, progress.memory["volume"])

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.back(tx, progress)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        store.update(tx, volumes, progress.memory["volume"], status="error")
        self.tell(tx, progress, ("VOLUME", progress.memory["volume"]), "VOLUME_VOLUME_016_001", f"revert: {reason}")


class Reimage(VolumeOperation):
    kind, action = "volume.reimage", "reimage"

    def steps(self) -> tuple[Step, ...]:
        return (Step("write image", self.write),)

    def write(self, progress: Progress) -> None:
        memory = progress.memory
        way = Encryption(**memory["encryption"]) if "encryption" in memory else None
        self.call(progress, "volume_reimage", VolumeNew(memory["volume"], memory["size"], ImageSource(**memory["image"]),
                                                        encryption=way), timeout=COPY_SECONDS)
        self.share(progress, memory["volume"])

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.back(tx, progress, **progress.memory["values"])

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        store.update(tx, volumes, progress.memory["volume"], status="error")
        self.tell(tx, progress, ("VOLUME", progress.memory["volume"]), "VOLUME_VOLUME_017_001", f"reimage volume: {reason}")


class Backup(VolumeOperation):
    """The content of a volume, or of a snapshot, is written to a file; what an earlier backup has is left out."""

    kind, action = "backup.create", "backup"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("freeze volume", self.freeze, self.unfreeze),
            Step("copy volume", self.copy, self.uncopy),
            Step("let go of volume", self.unfreeze),
            Step("keep backup", self.keep),
        )

    def freeze(self, progress: Progress) -> None:
        if progress.memory["snapshot"] == self.own(progress):
            super().freeze(progress)

    def unfreeze(self, progress: Progress) -> None:
        if progress.memory["snapshot"] == self.own(progress):
            super().unfreeze(progress)

    def own(self, progress: Progress) -> str:
        return "backup-" + progress.memory["backup"]

    def copy(self, progress: Progress) -> None:
        memory, vault = progress.memory, self.service.vault
        with reachable(), vault.held(memory["base"]):
            base = str(vault.path(memory["base"][0])) if memory["base"] else None
            order = CopyOut(memory["volume"], memory["snapshot"], str(vault.path(memory["file"])), "qcow2", base)
            self.call(progress, "volume_copy_out", order, int, timeout=COPY_SECONDS)

    def keep(self, progress: Progress) -> None:
        with reachable():
            self.service.vault.keep(progress.memory["file"])

    def uncopy(self, progress: Progress) -> None:
        with reachable():
            self.service.vault.remove(progress.memory["file"])

    def finish(self, tx: Tx, progress: Progress) -> None:
        memory = progress.memory
        store.switch(tx, backups, memory["backup"], ("creating",), "available", object_count=1)
        if memory["status"] is not None:
            self.back(tx, progress)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        memory = progress.memory
        store.switch(tx, backups, memory["backup"], ("creating",), "error", fail_reason=reason[:255])
        if memory["status"] is not None:
            self.back(tx, progress)
        self.tell(tx, progress, ("VOLUME_BACKUP", memory["backup"]), "VOLUME_VOLUME_BACKUP_009_001",
                  f"create backup: {reason}")


class Restore(VolumeOperation):
    kind, action = "backup.restore", "restore"

    def steps(self) -> tuple[Step, ...]:
        return (Step("write volume", self.restore),)

    def finish(self, tx: Tx, progress: Progress) -> None:
        store.switch(tx, backups, progress.memory["backup"], ("restoring",), "available")
        store.update(tx, volumes, progress.memory["volume"], status="available", **progress.memory["values"])

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        store.switch(tx, backups, progress.memory["backup"], ("restoring",), "available")
        store.update(tx, volumes, progress.memory["volume"], status="error_restoring")
        self.tell(tx, progress, ("VOLUME", progress.memory["volume"]), "VOLUME_VOLUME_BACKUP_010_001",
                  f"restore backup: {reason}")


class DeleteBackup(VolumeOperation):
    kind, action, forward_only = "backup.delete", "delete", True

    def steps(self) -> tuple[Step, ...]:
        return (Step("remove file", self.remove),)

    def remove(self, progress: Progress) -> None:
        if progress.memory["last"]:
            with reachable():
                self.service.vault.remove(progress.memory["file"])

    def finish(self, tx: Tx, progress: Progress) -> None:
        store.delete(tx, backups, progress.object_id)


class Manage(VolumeOperation):
    """A volume that is kept, and that nobody knew of, gets a row's name."""

    kind, action = "volume.manage", "manage"

    def steps(self) -> tuple[Step, ...]:
        return (Step("take over", self.take, self.leave),)

    def take(self, progress: Progress) -> None:
        self.call(progress, "volume_rename", NewName(progress.memory["name"], progress.memory["new_name"]))
        self.share(progress, progress.memory["new_name"])

    def leave(self, progress: Progress) -> None:
        self.call(progress, "volume_rename", NewName(progress.memory["new_name"], progress.memory["name"]))

    def finish(self, tx: Tx, progress: Progress) -> None:
        store.switch(tx, volumes, progress.memory["new_name"], ("managing",), "available")

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        store.switch(tx, volumes, progress.memory["new_name"], ("managing",), "error_managing")
        self.tell(tx, progress, ("VOLUME", progress.object_id), "VOLUME_VOLUME_006_001", f"manage volume: {reason}")


class ManageSnapshot(Manage):
    kind, action = "snapshot.manage", "manage"

    def finish(self, tx: Tx, progress: Progress) -> None:
        store.switch(tx, snapshots, progress.memory["new_name"], ("creating",), "available", progress="100%")

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        store.switch(tx, snapshots, progress.memory["new_name"], ("creating",), "error")
        self.tell(tx, progress, ("VOLUME_SNAPSHOT", progress.memory["new_name"]), "VOLUME_VOLUME_SNAPSHOT_006_001",
                  f"manage snapshot: {reason}")


def operations(service: Volumes) -> tuple[Operation, ...]:
    return tuple(kind(service) for kind in (
        Create, Clone, Delete, CreateSnapshot, DeleteSnapshot, Extend, Upload, Revert, Reimage, Backup, Restore,
        DeleteBackup, Manage, ManageSnapshot, *operations_moving.OPERATIONS))
