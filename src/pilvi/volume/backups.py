"""Backups of volumes: files in a vault, each whole or with what has changed since another."""

from __future__ import annotations

import base64
import re
import uuid
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, NotFound
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.base import ZONE
from pilvi.volume.encrypting import stored_bytes
from pilvi.volume.listing import Listing, page
from pilvi.volume.tables import backups, snapshots, types
from pilvi.volume.transfers import Transfers
from pilvi.volume.vaults import CONTAINER, Vault
from pilvi.volume.volumes import READY, VolumeCreate

RECORD = ("id", "volume_id", "snapshot_id", "parent_id", "file", "name", "description", "container", "size",
          "object_count", "metadata", "volume_facts", "data_timestamp")


class Backups(Transfers):
    vault: Vault

    def list_backups(self, context: Context, listing: Listing) -> tuple[list[sa.Row], set[str], int]:
        """(a page, which of them others are based on, how many there are)."""
        with self.db.read() as tx:
            rows, count = page(tx, backups, listing, [store.owned(context, backups, listing.all_projects)])
            return rows, self._based_on(tx, [row.id for row in rows]), count

    def show_backup(self, context: Context, backup_id: str) -> tuple[sa.Row, bool]:
        with self.db.read() as tx:
            row = self.get(tx, context, backups, backup_id, "Backup")
            return row, bool(self._based_on(tx, [row.id]))

    def _based_on(self, tx: Tx, ids: list[str]) -> set[str]:
        return {row.parent_id for row in tx.all(sa.select(backups.c.parent_id).where(backups.c.parent_id.in_(ids)))}

    def create_backup(self, context: Context, volume_id: str, *, name: str | None, description: str | None,
                      container: str | None, incremental: bool, force: bool, snapshot_id: str | None,
                      metadata: dict[str, str]) -> sa.Row:
        """Raises NotFound, TooLarge, BadRequest where it is in use and not forced, or nothing is there to add to."""
        with self.db.transaction() as tx:
            volume = self.volume(tx, context, volume_id)
            snapshot = self.get(tx, context, snapshots, snapshot_id, "Snapshot") if snapshot_id else None
            if snapshot is not None and (snapshot.volume_id != volume_id or snapshot.status != "available"):
                raise BadRequest("Invalid snapshot: a backup is made of an available snapshot of the volume.")
            size = snapshot.size if snapshot is not None else volume.size
            self.grow(tx, volume.project_id, None, backups=1, backup_gigabytes=size)
            parent = self._parent(tx, volume_id) if incremental else None
            self.check_copyable(tx, volume)
            if snapshot is None:
                self.busy(tx, volume, READY if force else ("available",), "backing-up")
            kind = store.get(tx, types, volume.type_id)
            facts = {"name": volume.name, "description": volume.description, "bootable": volume.bootable,
                     "image_metadata": volume.image_metadata, "metadata": volume.metadata, "type": kind and kind.name,
                     "encryption_key_id": volume.encryption_key_id}
            if volume.encryption_key_id is not None:
                self.export_key(tx, volume.encryption_key_id)
            where = _container(container)
            values = self.fresh(tx, context, volume_id=volume_id, snapshot_id=snapshot_id, parent_id=parent and parent.id,
                                name=name, description=description, container=where,
                                availability_zone=ZONE, size=size, status="creating", fail_reason=None, object_count=0,
                                metadata=metadata, volume_facts=facts, host=volume.host,
                                data_timestamp=snapshot.created_at if snapshot is not None else tx.now)
            file = values["id"] if where == CONTAINER else f"{where}/{values['id']}"
            row = store.insert(tx, backups, {**values, "file": file, "project_id": volume.project_id})
            self.engine.begin(tx, "backup.create", volume_id, context=context, memory={
                "host": volume.host, "volume": volume_id, "snapshot": snapshot_id or f"backup-{row.id}",
                "status": None if snapshot is not None else volume.status, "backup": row.id, "file": row.file,
                "base": store.chain(tx, parent), "shared": volume.multiattach})
            return row

    def _parent(self, tx: Tx, volume_id: str) -> sa.Row:
        rows = store.listing(tx, backups, backups.c.volume_id == volume_id, backups.c.status == "available")
        if not rows:
            raise BadRequest("Invalid backup: No backups available to do an incremental backup.")
        return rows[-1]

    def update_backup(self, context: Context, backup_id: str, **values: Any) -> sa.Row:
        with self.db.transaction() as tx:
            self.get(tx, context, backups, backup_id, "Backup")
            return store.update(tx, backups, backup_id, **values)

    def delete_backup(self, context: Context, backup_id: str, *, force: bool = False) -> None:
        """Raises BadRequest where it is busy, or others are based on it."""
        with self.db.transaction() as tx:
            row = self.get(tx, context, backups, backup_id, "Backup")
            if not force and row.status not in ("available", "error"):
                raise BadRequest(f"Invalid backup: Backup status must be available or error; it is {row.status}.")
            if self._based_on(tx, [backup_id]):
                raise BadRequest(f"Invalid backup: Incremental backups exist for backup {backup_id}.")
            store.update(tx, backups, backup_id, status="deleting")
            last = store.count(tx, backups, backups.c.file == row.file) == 1
            self.engine.begin(tx, "backup.delete", backup_id, context=context, memory={"file": row.file, "last": last})

    def reset_backup(self, context: Context, backup_id: str, status: str) -> None:
        self.update_backup(context, backup_id, status=status)

    def restore(self, context: Context, backup_id: str, volume_id: str | None, name: str | None) -> tuple[str, str]:
        """(id, name) of the volume that is written: a new one unless told. Raises BadRequest, NotFound, TooLarge."""
        with self.db.transaction() as tx:
            row = self.get(tx, context, backups, backup_id, "Backup")
            facts = row.volume_facts
            if row.status != "available":
                raise BadRequest("Invalid backup: Backup status must be available.")
            values = {name: facts[name] for name in ("bootable", "image_metadata", "metadata", "name", "description")}
            if volume_id is None:
                made = self.new_volume(tx, context, VolumeCreate(
                    size=row.size, name=name or f"restore_backup_{backup_id}", description=facts["description"],
                    volume_type=None, metadata=facts["metadata"], backup_id=backup_id))
                return made.id, made.name
            volume = self.volume(tx, context, volume_id)
            if volume.size < row.size:
                raise BadRequest(f"Invalid volume: volume size {volume.size} is too small to restore backup of size "
                                 f"{row.size}.")
            if facts.get("encryption_key_id") != volume.encryption_key_id:
                raise BadRequest("Invalid volume: what is encrypted is restored to the volume that it was made of, or to a "
                                 "new one.")
            self.busy(tx, volume, ("available",), "restoring-backup")
            store.update(tx, backups, backup_id, status="restoring")
            self.engine.begin(tx, "backup.restore", volume_id, context=context, memory={
                "host": volume.host, "volume": volume_id, "backend": volume.backend, "backup": backup_id,
                "files": store.chain(tx, row),
                "size": stored_bytes(volume.size, volume.encryption_key_id), "values": values,
                "shared": volume.multiattach})
            return volume_id, volume.name or ""

    # -- records, which know a backup when the database does not

    def export_record(self, context: Context, backup_id: str) -> str:
        with self.db.read() as tx:
            row = self.get(tx, context, backups, backup_id, "Backup")
        if row.status != "available":
            raise BadRequest("Invalid backup: Backup status must be available.")
        return base64.b64encode(msgspec.json.encode({name: getattr(row, name) for name in RECORD})).decode()

    def import_record(self, context: Context, service: str, url: str) -> sa.Row:
        """Raises BadRequest for what is no record of ours, or whose file is not there."""
        if service != self.vault.kind:
            raise BadRequest(f"Invalid input received: backup service {service} is not this cloud's, {self.vault.kind}.")
        record = _record(url)
        if not self.vault.exists(record.file):
            raise NotFound(f"Backup {record.id} could not be found: its file is not in {self.vault.place}.")
        with self.db.transaction() as tx:
            if store.get(tx, backups, record.id) is not None:
                raise BadRequest(f"Invalid backup: there is a backup {record.id} already.")
            return store.insert(tx, backups, {
                **msgspec.to_builtins(record), **self.fresh(tx, context), "id": record.id, "availability_zone": ZONE,
                "status": "available", "fail_reason": None, "host": self.keeper})


class Record(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    volume_id: str
    snapshot_id: str | None
    parent_id: str | None
    file: str
    name: str | None
    description: str | None
    container: str | None
    size: int
    object_count: int
    metadata: dict[str, str]
    volume_facts: dict[str, Any]
    data_timestamp: int | None


def _container(name: str | None) -> str:
    """Raises BadRequest for what cannot be the name of a folder."""
    if not re.fullmatch(r"\w[\w.-]*", found := name or CONTAINER, re.ASCII):
        raise BadRequest(f"Invalid input for field/attribute container. Value: {name}. It is made of letters, digits, "
                         "'_', '-' and '.', and does not begin with a dot.")
    return found


def _record(url: str) -> Record:
    try:
        found = msgspec.json.decode(base64.b64decode(url, validate=True), type=Record)
        container, _, file = found.file.rpartition("/")
        for each in (found.id, file, found.volume_id):  # names of files are harmless, then
            if str(uuid.UUID(each)) != each:
                raise ValueError(each)
        _container(container)
        if not {"name", "description", "bootable", "image_metadata", "metadata"} <= found.volume_facts.keys():
            raise ValueError("volume_facts")
    except (ValueError, msgspec.DecodeError) as error:
        raise BadRequest(f"Invalid input received: Can't parse backup record: {error}") from None
    return found
