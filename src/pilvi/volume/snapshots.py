"""Snapshots of volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, NotFound
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.encrypting import stored_bytes
from pilvi.volume.listing import Listing, page
from pilvi.volume.tables import snapshots, types, volumes
from pilvi.volume.volumes import READY, Volumes

DELETABLE = ("available", "error")


class Snapshots(Volumes):
    def list_snapshots(self, context: Context, listing: Listing) -> tuple[list[sa.Row], int]:
        with self.db.read() as tx:
            return page(tx, snapshots, listing, [store.owned(context, snapshots, listing.all_projects)])

    def show_snapshot(self, context: Context, snapshot_id: str) -> sa.Row:
        with self.db.read() as tx:
            return self.get(tx, context, snapshots, snapshot_id, "Snapshot")

    def create_snapshot(self, context: Context, volume_id: str, *, name: str | None, description: str | None,
                        metadata: Mapping[str, str], force: bool) -> sa.Row:
        """`force`: also of a volume that is in use. Raises NotFound, BadRequest, TooLarge."""
        with self.db.transaction() as tx:
            volume = self.volume(tx, context, volume_id)
            if volume.status not in (READY if force else ("available",)):
                raise BadRequest(f"Invalid volume: Volume {volume_id} status must be available, but current status is: "
                                 f"{volume.status}.")
            return self.new_snapshot(tx, context, volume, name=name, description=description, metadata=dict(metadata),
                                     group_snapshot_id=None)

    def new_snapshot(self, tx: Tx, context: Context, volume: sa.Row, **values: Any) -> sa.Row:
        self.check_copyable(tx, volume)
        kind = store.get(tx, types, volume.type_id)
        self.grow(tx, volume.project_id, kind and kind.name, snapshots=1, gigabytes=volume.size)
        row = store.insert(tx, snapshots, self.fresh(
            tx, context, volume_id=volume.id, type_id=volume.type_id, size=volume.size, status="creating",
            progress="0%", **values) | {"project_id": volume.project_id})
        self.engine.begin(tx, "snapshot.create", volume.id, context=context, memory={
            "host": volume.host, "volume": volume.id, "snapshot": row.id, "shared": volume.multiattach})
        return row

    def assist(self, context: Context, volume_id: str, snapshot_id: str) -> sa.Row:
        """A snapshot of this id, asked for by a service on behalf of the volume's project, while a server has the volume.

        Raises NotFound for a volume that no server has, BadRequest for an id that is taken, TooLarge."""
        with self.db.transaction() as tx:
            volume = store.get(tx, volumes, volume_id)
            if volume is None or volume.status != "in-use":
                raise NotFound(f"No volume Block Device Mapping with id {volume_id}.")
            if store.get(tx, snapshots, snapshot_id) is not None:
                raise BadRequest(f"Invalid input for field/attribute snapshot_id: there is a {snapshot_id} already.")
            return self.new_snapshot(tx, context, volume, id=snapshot_id, name=None, description=None, metadata={},
                                     group_snapshot_id=None)

    def end_assistance(self, context: Context, volume_id: str, snapshot_id: str) -> None:
        """The snapshot goes, also one that is still being taken. Raises NotFound, BadRequest for one of a group's."""
        with self.db.transaction() as tx:
            row = store.get(tx, snapshots, snapshot_id)
            if row is None or row.volume_id != volume_id:
                raise NotFound(f"Snapshot {snapshot_id} of volume {volume_id} could not be found.")
            if row.group_snapshot_id is not None or row.status not in (*DELETABLE, "creating"):
                raise BadRequest(f"Invalid snapshot: it is {row.status}, or part of a group's.")
            self.begin_snapshot_delete(tx, context, row)

    def users(self, tx: Tx, volume_id: str) -> list[tuple[str, str]]:
        """Host and server of everybody who may have it open; a server's host is where Compute has it now."""
        held = [each for each in store.attachments_of(tx, [volume_id]).get(volume_id, []) if each.server_id]
        hosts = [(self.ask_host(tx, each.server_id) if self.ask_host else None, each.server_id) for each in held]
        return [(host, server_id) for host, server_id in hosts if host is not None]

    def size_of(self, tx: Tx, volume_id: str) -> int | None:
        """Bytes that are kept of it; None for one that is gone."""
        row = store.get(tx, volumes, volume_id)
        return row and stored_bytes(row.size, row.encryption_key_id)

    ask_host: Callable[[Tx, str], str | None] | None = None  # the host of a server, None where it runs nowhere
    # The guest of this server is to see how large this volume is now, for whom that was asked.
    tell_extended: Callable[[Tx, Any, str, str], None] | None = None

    def update_snapshot(self, context: Context, snapshot_id: str, **values: Any) -> sa.Row:
        with self.db.transaction() as tx:
            self.get(tx, context, snapshots, snapshot_id, "Snapshot")
            return store.update(tx, snapshots, snapshot_id, **values)

    def delete_snapshot(self, context: Context, snapshot_id: str, *, force: bool = False) -> None:
        """Raises BadRequest where it is busy, or part of a group's."""
        with self.db.transaction() as tx:
            row = self.get(tx, context, snapshots, snapshot_id, "Snapshot")
            if row.group_snapshot_id is not None:
                raise BadRequest(f"Invalid snapshot: snapshot {snapshot_id} belongs to group snapshot "
                                 f"{row.group_snapshot_id}.")
            if not force and row.status not in DELETABLE:
                raise BadRequest(f"Invalid snapshot: Snapshot status must be available or error; it is {row.status}.")
            self.begin_snapshot_delete(tx, context, row)

    def begin_snapshot_delete(self, tx: Tx, context: Context | None, row: sa.Row) -> None:
        store.update(tx, snapshots, row.id, status="deleting")
        volume = store.get(tx, volumes, row.volume_id)
        self.engine.begin(tx, "snapshot.delete", row.volume_id, context=context, memory={
            "host": volume.host or self.keeper, "volume": row.volume_id, "snapshot": row.id})

    def reset_snapshot(self, context: Context, snapshot_id: str, status: str, progress: str | None = None) -> None:
        with self.db.transaction() as tx:
            self.get(tx, context, snapshots, snapshot_id, "Snapshot")
            store.update(tx, snapshots, snapshot_id, status=status, **({"progress": progress} if progress else {}))

    def report_snapshot(self, context: Context, snapshot_id: str, status: str, progress: str | None) -> None:
        """What whoever takes it says of its state. Raises BadRequest where it is not in the making."""
        with self.db.transaction() as tx:
            row = self.get(tx, context, snapshots, snapshot_id, "Snapshot")
            allowed = {"creating": ("creating", "available", "error"), "deleting": ("deleting", "error_deleting")}
            if row.status not in allowed:
                raise BadRequest(f"Snapshot status {row.status} not allowed for update_snapshot_status.")
            if status not in allowed[row.status]:
                raise BadRequest(f"Provided snapshot status {status} not allowed for snapshot with status {row.status}.")
            store.update(tx, snapshots, snapshot_id, status=status, **({"progress": progress} if progress else {}))
