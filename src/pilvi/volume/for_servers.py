"""What Compute asks of volumes for servers that are made with some: those that there are, and those made for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Fault
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.attachments import Attachments
from pilvi.volume.tables import attachments, messages, snapshots, volumes
from pilvi.volume.volumes import VolumeCreate


class BootSource(NamedTuple):
    """What a volume is, or one that is made from a snapshot is going to be."""

    size: int  # GiB
    bootable: bool
    image_metadata: Mapping[str, Any]
    multiattach: bool = False


class ForServers(Attachments):
    def boot_source(self, tx: Tx, context: Context, source: str, source_id: str) -> BootSource:
        """`source`: "volume" or "snapshot". Raises NotFound."""
        if source == "volume":
            row = self.volume(tx, context, source_id)
            return BootSource(row.size, row.bootable, row.image_metadata or {}, row.multiattach)
        snapshot = self.get(tx, context, snapshots, source_id, "Snapshot")
        row = store.get(tx, volumes, snapshot.volume_id)
        return BootSource(snapshot.size, row.bootable, row.image_metadata or {})

    def make_for_server(self, tx: Tx, context: Context, wanted: VolumeCreate, server_id: str,
                        mountpoint: str) -> sa.Row:
        """The attachment of a volume that is begun to be made, and that nobody else can take meanwhile.

        Raises as `new_volume`, and BadRequest where no backend is what its type asks for."""
        row = self.new_volume(tx, context, wanted)
        if row.status == "error":
            raise BadRequest(f"No volume can be made: {self.trouble(tx, row.id)}")
        return self.reserve(tx, context, row.id, server_id, mountpoint=mountpoint, fresh=True)

    def check_made(self, tx: Tx, volume_ids: Sequence[str]) -> bool:
        """Whether all of them are there by now. Raises Fault, with the reason, where one never will be."""
        rows = store.by_ids(tx, volumes, volume_ids)
        for volume_id in volume_ids:
            if volume_id not in rows:
                raise Fault(f"volume {volume_id} was deleted")
            if rows[volume_id].status == "error":
                raise Fault(f"volume {volume_id} could not be made: {self.trouble(tx, volume_id)}")
        return all(row.status != "creating" for row in rows.values())

    def snapshot_for_server(self, tx: Tx, context: Context, volume_id: str, name: str) -> str:
        """The id of a snapshot that is begun, of a volume that may be in use. Raises NotFound, TooLarge."""
        volume = self.volume(tx, context, volume_id)
        return self.new_snapshot(tx, context, volume, name=name, description=volume.description, metadata={},
                                 group_snapshot_id=None).id

    def check_snapshots(self, tx: Tx, snapshot_ids: Sequence[str]) -> bool:
        """As `check_made`."""
        rows = store.by_ids(tx, snapshots, snapshot_ids)
        for snapshot_id in snapshot_ids:
            if snapshot_id not in rows:
                raise Fault(f"snapshot {snapshot_id} was deleted")
            if rows[snapshot_id].status == "error":
                raise Fault(f"snapshot {snapshot_id} could not be made: {self.trouble(tx, snapshot_id)}")
        return all(row.status != "creating" for row in rows.values())

    def discard_snapshot(self, tx: Tx, snapshot_id: str) -> None:
        row = store.get(tx, snapshots, snapshot_id)
        if row is not None and row.status != "deleting":
            self.begin_snapshot_delete(tx, None, row)

    def trouble(self, tx: Tx, resource_id: str) -> str:
        """The last that its project was told of it."""
        found = tx.one(sa.select(messages.c.text).where(messages.c.resource_id == resource_id)
                       .order_by(messages.c.seq.desc()).limit(1))
        return found.text if found else "no reason is known"

    def discard(self, tx: Tx, volume_id: str) -> None:
        """Deletes a volume that nobody uses, also while it is being made."""
        row = store.get(tx, volumes, volume_id)
        if row is None or row.status == "deleting" or store.count(tx, attachments, attachments.c.volume_id == volume_id):
            return
        if not store.count(tx, snapshots, snapshots.c.volume_id == volume_id):
            self.begin_delete(tx, None, row, wins=True)
