"""The operations of Volume. They run one after another for one volume; those on a snapshot are its volume's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilvi.bus.base import BusError
from pilvi.db import Tx
from pilvi.drivers.volume.base import VolumeInfo
from pilvi.engine.operations import Operation, Progress, Retry, Step
from pilvi.faults import Fault
from pilvi.node.messages import ImageSource
from pilvi.node.messages_volumes import (
    CopyIn,
    CopyOut,
    Encryption,
    Limiting,
    NewName,
    Redirect,
    Resized,
    Sharing,
    SnapshotOrder,
    VolumeNew,
    VolumeSize,
)
from pilvi.volume import store
from pilvi.volume.tables import backups, snapshots, volumes

if TYPE_CHECKING:
    from pilvi.volume.service import Volumes

COPY_SECONDS = 3600


class VolumeOperation(Operation):
    def __init__(self, service: Volumes):
        self.service = service

    def call(self, progress: Progress, verb: str, argument: Any, answer: type | None = None, *, timeout: float = 300,
             host: str | None = None) -> Any:
        """A verb of the agent that looks after volumes, unless told. Raises Retry while it does not answer."""
        progress.host = host or progress.memory["host"]
        try:
            return self.service.bus.call(progress.host, verb, argument, answer, timeout)
        except BusError as error:
            raise Retry(str(error)) from None

    def tell(self, tx: Tx, progress: Progress, resource: tuple[str, str], event: str, text: str) -> None:
        self.service.tell(tx, progress.project_id, progress.request_id, resource, event, text)

    def back(self, tx: Tx, progress: Progress, **values: Any) -> None:
        """The volume is in its old status again, or the one that its attachments have given it since."""
        store.update(tx, volumes, progress.memory["volume"], status=progress.memory["status"], **values)
        self.service.settle(tx, progress.memory["volume"])

    def users(self, progress: Progress, volume_id: str) -> list[tuple[str, str]]:
        """Host and server of everybody who has the volume open now."""
        with self.service.db.read() as tx:
            return self.service.users(tx, volume_id)

    # -- a snapshot: made of a volume that may be in use

    def freeze(self, progress: Progress) -> None:
        order = self.snapshot_order(progress)
        target = self.call(progress, "volume_begin_snapshot", order, VolumeInfo)
        users = self.users(progress, order.volume_id)
        for host, server in users:
            self.call(progress, "redirect_volume", Redirect(server, order.volume_id, target), host=host)
        self.call(progress, "volume_end_snapshot", order)
        if not users:  # or else the only one that has it keeps it to itself, until it is attached anew
            self.share(progress, order.volume_id)

    def share(self, progress: Progress, volume_id: str) -> None:
        """What several guests may open stays that: how it is kept has just changed."""
        if progress.memory.get("shared"):
            self.call(progress, "volume_share", Sharing(volume_id, True), timeout=COPY_SECONDS)

    def unfreeze(self, progress: Progress) -> None:
        self.call(progress, "volume_absent_snapshot", self.snapshot_order(progress).snapshot_id)

    def snapshot_order(self, progress: Progress) -> SnapshotOrder:
        return SnapshotOrder(progress.memory["volume"], progress.memory["snapshot"])


class Create(VolumeOperation):
    kind, action = "volume.create", "create"

    def steps(self) -> tuple[Step, ...]:
        return (Step("make volume", self.make, self.unmake),)

    def make(self, progress: Progress) -> None:
        memory = progress.memory
        if "backup" in memory:
            path = self.service.backup_file(memory["file"])
            self.call(progress, "volume_copy_in", CopyIn(memory["volume"], str(path), "qcow2", memory["size"],
                                                         memory["backend"]), timeout=COPY_SECONDS)
            return self.share(progress, memory["volume"])
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


class Retype(VolumeOperation):
    kind, action = "volume.retype", "retype"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("convert volume", self.convert, self.convert_back),
            Step("limit guests", self.limit, self.limit_as_before),
        )

    def convert(self, progress: Progress) -> None:
        self._share(progress, progress.memory["shared"])

    def convert_back(self, progress: Progress) -> None:
        self._share(progress, progress.memory["old_shared"])

    def _share(self, progress: Progress, shared: bool) -> None:
        memory = progress.memory
        if memory["shared"] != memory["old_shared"]:
            self.call(progress, "volume_share", Sharing(memory["volume"], shared), timeout=COPY_SECONDS)

    def limit(self, progress: Progress) -> None:
        self._limit(progress, progress.memory["type"])

    def limit_as_before(self, progress: Progress) -> None:
        self._limit(progress, progress.memory["old_type"])

    def _limit(self, progress: Progress, type_id: str) -> None:
        volume_id = progress.memory["volume"]
        with self.service.db.read() as tx:
            row = store.get(tx, volumes, volume_id)
            limits = self.service.limits(tx, type_id, row.size) if row is not None else {}
            users = self.service.users(tx, volume_id)
        for host, server in users:
            self.call(progress, "limit_volume", Limiting(server, volume_id, limits), host=host)

    def finish(self, tx: Tx, progress: Progress) -> None:
        memory = progress.memory
        self.back(tx, progress, type_id=memory["type"], multiattach=memory["shared"])

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        self.back(tx, progress)
        self.tell(tx, progress, ("VOLUME", progress.memory["volume"]), "VOLUME_VOLUME_003_001", f"retype volume: {reason}")


class Upload(VolumeOperation):
    """The volume's content becomes an image."""

    kind, action = "volume.upload", "upload"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("copy volume", self.copy, self.uncopy),
            Step("store image", self.store),
        )

    def file(self, progress: Progress) -> Path:
        return self.service.folder / "out" / progress.memory["image"]

    def copy(self, progress: Progress) -> None:
        memory = progress.memory
        self.call(progress, "volume_copy_out", CopyOut(memory["volume"], None, str(self.file(progress)), memory["format"]),
                  timeout=COPY_SECONDS)

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
        memory, service = progress.memory, self.service
        base = memory["parent_file"] and str(service.backup_file(memory["parent_file"]))
        order = CopyOut(memory["volume"], memory["snapshot"], str(service.backup_file(memory["backup"])), "qcow2", base)
        self.call(progress, "volume_copy_out", order, int, timeout=COPY_SECONDS)

    def uncopy(self, progress: Progress) -> None:
        self.service.backup_file(progress.memory["backup"]).unlink(missing_ok=True)

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
        return (Step("write volume", self.write),)

    def write(self, progress: Progress) -> None:
        memory = progress.memory
        path = self.service.backup_file(memory["file"])
        if not path.exists():
            raise Fault(f"the file of backup {memory['backup']} is gone: {path}")
        self.call(progress, "volume_copy_in", CopyIn(memory["volume"], str(path), "qcow2", memory["size"]),
                  timeout=COPY_SECONDS)
        self.share(progress, memory["volume"])

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
            self.service.backup_file(progress.memory["file"]).unlink(missing_ok=True)

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
        Create, Clone, Delete, CreateSnapshot, DeleteSnapshot, Extend, Retype, Upload, Revert, Reimage, Backup, Restore,
        DeleteBackup, Manage, ManageSnapshot))
