"""Images made of servers: what is asked for, and what the images say of where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pilvi.compute.orders import Change, Orders
from pilvi.compute.quotas import Quotas
from pilvi.compute.states import ACTIVE, PAUSED, STOPPED, SUSPENDED
from pilvi.db import Tx
from pilvi.policy import Context

IMAGED = (ACTIVE, STOPPED, PAUSED, SUSPENDED)
SNAPSHOT = Change("createImage", "server.create_image", "image_snapshot", IMAGED, heeds_lock=False)
BACKUP = Change("createBackup", "server.create_backup", "image_backup", IMAGED, heeds_lock=False)
# What an image was checked against, or describes its file: of no meaning for another one made from it.
NOT_INHERITED = frozenset({
    "cache_in_nova", "bittorrent", "img_signature_hash_method", "img_signature", "img_signature_key_type",
    "img_signature_certificate_uuid", "container_format", "disk_format", "min_disk", "min_ram", "base_image_ref"})


class Snapshots(Quotas, Orders):
    def snapshot(self, context: Context, server_id: str, name: str, metadata: Mapping[str, str]) -> str:
        """The id of the image that is going to be.

        Raises OverLimit for too much metadata, Conflict where the server is in no state for it."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, SNAPSHOT)
            image_id = self.new_image(tx, context, row, name, {"image_type": "snapshot"}, metadata)
            self._begin(tx, context, row, SNAPSHOT, {"generation": generation, "image_id": image_id})
            return image_id

    def backup(self, context: Context, server_id: str, name: str, kind: str, rotation: int,
               metadata: Mapping[str, str]) -> str:
        """As `snapshot`; of this server's backups of the kind only the last `rotation` are kept then."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, BACKUP)
            backup = {"image_type": "backup", "backup_type": kind, "instance_uuid": row.id}
            image_id = self.new_image(tx, context, row, name, backup, metadata)
            self._begin(tx, context, row, BACKUP, {"generation": generation, "image_id": image_id, "backup": backup,
                                                   "keep": rotation})
            return image_id

    def _begin(self, tx: Tx, context: Context, row: sa.Row, change: Change, memory: dict[str, Any]) -> None:
        self.engine.begin(tx, change.kind, row.id, context=context, memory={"host": row.host, **memory})

    def new_image(self, tx: Tx, context: Context, row: sa.Row, name: str, kind: Mapping[str, str],
                  metadata: Mapping[str, str] = {}) -> str:
        """Raises OverLimit."""
        self.check_sizes(tx, row.project_id, metadata)
        before = row.image_properties or {}
        inherited = {name: value for name, value in before.items() if name not in NOT_INHERITED}
        properties = {
            **inherited, "base_image_ref": row.image_id or "", "instance_uuid": row.id, "user_id": context.user_id,
            "owner_id": context.project_id or "", "image_location": "snapshot", "image_state": "available",
            **kind, **metadata}
        return self.image.create_snapshot(
            tx, context, name=name, properties=properties, disk_format="qcow2", container_format="bare",
            min_disk_gib=row.flavor["disk"], min_ram_mib=int(before.get("min_ram") or 0), visibility="private")
