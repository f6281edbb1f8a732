"""Images made of servers: what is asked for, and what the images say of where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pilvi.compute import local_disks
from pilvi.compute.block_devices import to_image
from pilvi.compute.buses import device_type_of
from pilvi.compute.devices import root_volume
from pilvi.compute.orders import Change, Orders
from pilvi.compute.quotas import Quotas
from pilvi.compute.states import ACTIVE, PAUSED, STOPPED, SUSPENDED
from pilvi.db import Tx
from pilvi.faults import BadRequest, OverLimit, TooLarge
from pilvi.policy import Context

IMAGED = (ACTIVE, STOPPED, PAUSED, SUSPENDED)
SNAPSHOT = Change("createImage", "server.create_image", "image_snapshot", IMAGED, heeds_lock=False)
BACKUP = Change("createBackup", "server.create_backup", "image_backup", IMAGED, heeds_lock=False)
# What an image was checked against, or describes its file: of no meaning for another one made from it.
NOT_INHERITED = frozenset({
    "cache_in_nova", "bittorrent", "img_signature_hash_method", "img_signature", "img_signature_key_type",
    "img_signature_certificate_uuid", "container_format", "disk_format", "min_disk", "min_ram", "base_image_ref",
    "block_device_mapping", "bdm_v2", "root_device_name"})


class Snapshots(Quotas, Orders):
    def snapshot(self, context: Context, server_id: str, name: str, metadata: Mapping[str, str]) -> str:
        """The id of the image that is going to be.

        Raises OverLimit for too much metadata, Conflict where the server is in no state for it."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, SNAPSHOT)
            if root_volume(row) is not None:
                return self._of_volumes(tx, context, row, generation, name, metadata)
            image_id = self.new_image(tx, context, row, name, {"image_type": "snapshot"}, metadata)
            self._begin(tx, context, row, SNAPSHOT, {"generation": generation, "image_id": image_id})
            return image_id

    def backup(self, context: Context, server_id: str, name: str, kind: str, rotation: int,
               metadata: Mapping[str, str]) -> str:
        """As `snapshot`; of this server's backups of the kind only the last `rotation` are kept then.

        Raises BadRequest for a server that boots from a volume: Volume makes backups of those."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, BACKUP)
            if root_volume(row) is not None:
                raise BadRequest(f"Backup is not supported for volume-backed instances: back up the volume "
                                 f"{root_volume(row)['volume_id']}.")
            backup = {"image_type": "backup", "backup_type": kind, "instance_uuid": row.id}
            image_id = self.new_image(tx, context, row, name, backup, metadata)
            self._begin(tx, context, row, BACKUP, {"generation": generation, "image_id": image_id, "backup": backup,
                                                   "keep": rotation})
            return image_id

    def _of_volumes(self, tx: Tx, context: Context, row: sa.Row, generation: int, name: str,
                    metadata: Mapping[str, str]) -> str:
        """An image without data, which describes the snapshots that are begun. Raises OverLimit."""
        snapshots: list[str] = []
        try:
            described = local_disks.described(row.local_disks)
            for entry in row.volumes:
                snapshots.append(self.volume.snapshot_for_server(tx, context, entry["volume_id"], f"snapshot for {name}"))
                described.append(_described(entry, snapshots[-1]))
        except TooLarge as fault:
            raise OverLimit(fault.message) from None
        kind = {"image_type": "snapshot", "root_device_name": root_volume(row)["device"], **to_image(described)}
        image_id = self.new_image(tx, context, row, name, kind, metadata, disk_format="raw", min_disk_gib=0)
        self.engine.begin(tx, "server.snapshot_volumes", row.id, context=context, memory={
            "generation": generation, "host": row.host, "image_id": image_id, "snapshots": snapshots})
        return image_id

    def _begin(self, tx: Tx, context: Context, row: sa.Row, change: Change, memory: dict[str, Any]) -> None:
        self.engine.begin(tx, change.kind, row.id, context=context, memory={"host": row.host, **memory})

    def new_image(self, tx: Tx, context: Context, row: sa.Row, name: str, kind: Mapping[str, str],
                  metadata: Mapping[str, str] = {}, *, disk_format: str = "qcow2", min_disk_gib: int | None = None) -> str:
        """Raises OverLimit."""
        self.check_sizes(tx, row.project_id, metadata)
        before = row.image_properties or {}
        inherited = {name: value for name, value in before.items() if name not in NOT_INHERITED}
        properties = {
            **inherited, "base_image_ref": row.image_id or "", "instance_uuid": row.id, "user_id": context.user_id,
            "owner_id": context.project_id or "", "image_location": "snapshot", "image_state": "available",
            **kind, **metadata}
        return self.image.create_snapshot(
            tx, context, name=name, properties=properties, disk_format=disk_format, container_format="bare",
            min_disk_gib=row.flavor["disk"] if min_disk_gib is None else min_disk_gib,
            min_ram_mib=int(before.get("min_ram") or 0), visibility="private")


def _described(entry: Mapping[str, Any], snapshot_id: str) -> dict[str, Any]:
    """A volume as an image describes it: made of its snapshot."""
    device_type, bus = device_type_of(entry.get("bus", "virtio"))
    kept = {name: entry.get(name) for name in ("boot_index", "delete_on_termination", "tag")}
    return {"source_type": "snapshot", "destination_type": "volume", "snapshot_id": snapshot_id, "disk_bus": bus,
            "device_type": device_type, "device_name": entry["device"], **kept}
