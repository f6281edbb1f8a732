"""Volumes: made, listed, changed and deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, NotFound, TooLarge
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.base import BACKEND, ZONE
from pilvi.volume.encrypting import GIB, IN_IMAGE, Encrypting, stored_bytes
from pilvi.volume.listing import Listing, page
from pilvi.volume.quotas import Quotas
from pilvi.volume.tables import attachments, backups, groups, snapshots, types, volumes
from pilvi.volume.types import Types, multiattach, unfit

DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")
SETTLED = ("available", "in-use", "error", "maintenance")
READY = ("available", "in-use")
MAX_ITEMS = 128  # of metadata


class VolumeCreate(msgspec.Struct, kw_only=True):
    """What is asked for; of the sources at most one."""

    size: int | None = None  # GiB; None: as large as the source
    name: str | None = None
    description: str | None = None
    volume_type: str | None = None
    availability_zone: str | None = None
    metadata: dict[str, str] = {}
    multiattach: bool = False
    image_id: str | None = None
    snapshot_id: str | None = None
    source_volid: str | None = None
    backup_id: str | None = None
    group_id: str | None = None


class Found(NamedTuple):
    """Volumes, with what is shown of them."""

    rows: Sequence[sa.Row]
    attachments: Mapping[str, list[sa.Row]]
    types: Mapping[str, sa.Row]
    count: int = 0


class Source(NamedTuple):
    """What a volume is made from, as its operation is told."""

    memory: dict[str, Any]
    size: int = 0  # GiB at least
    values: dict[str, Any] = {}
    type_id: str | None = None
    key_id: str | None = None  # what it is encrypted with
    backend: str | None = None  # where it has to be, as its source is there


class Volumes(Types, Quotas, Encrypting):
    # -- looking

    def found(self, tx: Tx, rows: Sequence[sa.Row], count: int = 0) -> Found:
        return Found(rows, store.attachments_of(tx, [row.id for row in rows]),
                     store.by_ids(tx, types, (row.type_id for row in rows)), count)

    def list_volumes(self, context: Context, listing: Listing, detail: bool) -> Found:
        with self.db.read() as tx:
            rows, count = page(tx, volumes, listing, [store.owned(context, volumes, listing.all_projects)])
            return self.found(tx, rows, count) if detail else Found(rows, {}, {}, count)

    def show_volume(self, context: Context, volume_id: str) -> Found:
        with self.db.read() as tx:
            return self.found(tx, [self.volume(tx, context, volume_id)])

    def volume(self, tx: Tx, context: Context, volume_id: str) -> sa.Row:
        return self.get(tx, context, volumes, volume_id, "Volume")

    def summary(self, context: Context, all_projects: bool) -> tuple[int, int, dict[str, list[str]]]:
        """How many, their GiB, and by key of metadata its values."""
        with self.db.read() as tx:
            number, size, items = store.summary(tx, store.owned(context, volumes, all_projects))
        values: dict[str, set[str]] = {}
        for each in items:
            for key, value in each.items():
                values.setdefault(key, set()).add(value)
        return number, size, {key: sorted(each) for key, each in sorted(values.items())}

    # -- making

    def create_volume(self, context: Context, wanted: VolumeCreate) -> Found:
        """Raises NotFound and BadRequest for what is not there or does not fit; TooLarge beyond the quota."""
        with self.db.transaction() as tx:
            return self.found(tx, [self.new_volume(tx, context, wanted)])

    def new_volume(self, tx: Tx, context: Context, wanted: VolumeCreate, **extra: Any) -> sa.Row:
        """As create_volume, within the caller's transaction."""
        if context.project_id is None:
            raise Forbidden("A volume belongs to a project: ask with a token that is scoped to one.")
        source = self._source(tx, context, wanted)
        kind = (self.wanted_type(tx, context, wanted.volume_type) if wanted.volume_type or not source.type_id
                else store.get(tx, types, source.type_id) or self.wanted_type(tx, context, None))
        size = self._size(wanted, source)
        if wanted.availability_zone not in (None, ZONE):
            raise BadRequest(f"Availability zone '{wanted.availability_zone}' is invalid.")
        if wanted.group_id is not None:
            self.check_group(tx, context, wanted.group_id, kind.id)
        many = wanted.multiattach or multiattach(kind.extra_specs)
        key_id = self.key_for(tx, context, kind, source.key_id, multiattach=many,
                              content=bool(wanted.snapshot_id or wanted.source_volid or wanted.backup_id))
        self.check_volume_size(tx, context.project_id, size)
        self.grow(tx, context.project_id, kind.name, volumes=1, gigabytes=size)
        values = self.fresh(
            tx, context, name=wanted.name, description=wanted.description, size=size, status="creating",
            type_id=kind.id, availability_zone=ZONE, host=self.keeper, bootable=False, readonly=None,
            multiattach=many, encryption_key_id=key_id, metadata=wanted.metadata,
            image_metadata=None, snapshot_id=wanted.snapshot_id, source_volid=wanted.source_volid,
            group_id=wanted.group_id, attach_status="detached", **extra) | source.values
        return self._place(tx, context, values, kind, source)

    def _place(self, tx: Tx, context: Context, values: dict[str, Any], kind: sa.Row, source: Source) -> sa.Row:
        """Where no backend is what the type asks for, the volume is an error with a message that says so."""
        backend, lacking = self.choose_backend(tx, kind.extra_specs, source.backend)
        row = store.insert(tx, volumes, {**values, "backend": backend})
        if lacking:
            self.tell(tx, context.project_id, context.request_id, ("VOLUME", row.id), "VOLUME_VOLUME_001_002",
                      f"schedule allocate volume: Could not find any available weighted backend: {lacking}.")
            return store.update(tx, volumes, row.id, status="error", host=None)
        memory = {**source.memory, "volume": row.id, "size": stored_bytes(row.size, row.encryption_key_id),
                  "host": row.host, "backend": row.backend, "shared": row.multiattach}
        if row.encryption_key_id is not None and source.key_id is None:
            memory["encryption"] = self.way(tx, row.encryption_key_id)
        kind_of = "volume.clone" if "source" in source.memory else "volume.create"
        self.engine.begin(tx, kind_of, source.memory.get("source", row.id), context=context, memory=memory)
        return row

    def choose_backend(self, tx: Tx, specs: Mapping[str, str], only: str | None = None) -> tuple[str, str]:
        """(the first that has what is asked for, what the others lack while there is none, in words)."""
        lacking = []
        for backend in self.backends if only is None else [only]:
            service = store.service(tx, self.service_host(backend), "cinder-volume")
            disabled = f"the service of the backend {backend} is disabled" if service and service.disabled else None
            if (trouble := disabled or unfit(specs, backend)) is None:
                return backend, ""
            lacking.append(trouble)
        return only or BACKEND, "; ".join(lacking)

    def _source(self, tx: Tx, context: Context, wanted: VolumeCreate) -> Source:
        named = [name for name in ("image_id", "snapshot_id", "source_volid", "backup_id") if getattr(wanted, name)]
        if len(named) > 1:
            raise BadRequest(f"A volume is made from one thing: {' and '.join(named)} are named.")
        if not named:
            return Source({})
        makers: dict[str, Callable[[Tx, Context, str], Source]] = {
            "image_id": self._from_image, "snapshot_id": self._from_snapshot, "source_volid": self._from_volume,
            "backup_id": self._from_backup}
        return makers[named[0]](tx, context, getattr(wanted, named[0]))

    def _from_image(self, tx: Tx, context: Context, image_id: str) -> Source:
        try:
            image = self.image.for_boot(tx, context, image_id)
        except NotFound as fault:
            raise BadRequest(f"Invalid image identifier or unable to access requested image: {fault.message}") from None
        key_id = self.key_named(tx, context, image.properties.get(IN_IMAGE))
        size = max(image.min_disk_gib, -(-(image.virtual_size_bytes - stored_bytes(0, key_id)) // GIB))
        facts = {**image.properties, "image_id": image.id, "image_name": image.name or "", "disk_format": image.disk_format,
                 "container_format": "bare", "min_disk": str(image.min_disk_gib), "min_ram": str(image.min_ram_mib),
                 "size": str(image.size_bytes)}
        memory = {"image": {"id": image.id, "path": str(image.path), "format": image.disk_format}}
        return Source(memory, size, {"bootable": True, "image_metadata": facts}, key_id=key_id)

    def _from_snapshot(self, tx: Tx, context: Context, snapshot_id: str) -> Source:
        row = self.get(tx, context, snapshots, snapshot_id, "Snapshot")
        if row.status != "available":
            raise BadRequest(f"Originating snapshot status must be one of 'available' values; it is {row.status}.")
        volume = store.get(tx, volumes, row.volume_id)
        return Source({"snapshot": row.id}, row.size, _inherited(volume), row.type_id, volume.encryption_key_id,
                      volume.backend)

    def _from_volume(self, tx: Tx, context: Context, volume_id: str) -> Source:
        row = self.volume(tx, context, volume_id)
        if row.status not in READY:
            raise BadRequest(f"Invalid volume: the source volume's status must be available or in-use; it is {row.status}.")
        self.check_copyable(tx, row)
        return Source({"source": row.id}, row.size, _inherited(row), row.type_id, row.encryption_key_id, row.backend)

    def _from_backup(self, tx: Tx, context: Context, backup_id: str) -> Source:
        row = self.get(tx, context, backups, backup_id, "Backup")
        if row.status != "available":
            raise BadRequest(f"Invalid backup: its status must be available; it is {row.status}.")
        facts = row.volume_facts
        return Source({"backup": row.id, "files": store.chain(tx, row)}, row.size,
                      {name: facts[name] for name in ("bootable", "image_metadata")}, self._type_named(tx, facts),
                      self.key_named(tx, context, facts.get("encryption_key_id")))

    def _type_named(self, tx: Tx, facts: Mapping[str, Any]) -> str | None:
        """An encrypted backup is restored to a volume of the type that it was of."""
        kind = store.find(tx, types, name=facts.get("type")) if facts.get("encryption_key_id") else None
        return kind and kind.id

    def check_copyable(self, tx: Tx, row: sa.Row) -> None:
        """Raises BadRequest for a volume that several guests may be writing to: it has no moment to be copied at."""
        if row.multiattach and store.count(tx, attachments, attachments.c.volume_id == row.id) > 1:
            raise BadRequest(f"Invalid volume: Volume {row.id} is attached to several servers: it is copied only while one "
                             "has it, or none.")

    def _size(self, wanted: VolumeCreate, source: Source) -> int:
        size = wanted.size if wanted.size is not None else source.size
        if not size:
            raise BadRequest("Invalid input for field/attribute size. A volume made from nothing needs a size.")
        if size < source.size:
            raise BadRequest(f"Volume size {size}GB cannot be smaller than the source's size {source.size}GB.")
        return size

    def check_group(self, tx: Tx, context: Context, group_id: str, type_id: str) -> None:
        """That a volume of this type may be in the group. Raises NotFound, BadRequest."""
        row = self.get(tx, context, groups, group_id, "Group")
        if row.status != "available" or type_id not in row.volume_types:
            raise BadRequest(f"Invalid volume type: group {group_id} is {row.status} and supports the volume types "
                             f"{', '.join(row.volume_types)}.")

    # -- changing

    def update_volume(self, context: Context, volume_id: str, **values: Any) -> Found:
        with self.db.transaction() as tx:
            self.volume(tx, context, volume_id)
            return self.found(tx, [store.update(tx, volumes, volume_id, **values)])

    def change_metadata(self, context: Context, table: sa.Table, key: str, what: str,
                        change: Callable[[dict[str, str]], dict[str, str]], column: str = "metadata") -> dict[str, str]:
        """The metadata after a change. Raises NotFound, TooLarge."""
        with self.db.transaction() as tx:
            tx.lock("volume metadata", key)
            row = self.get(tx, context, table, key, what)
            if table is volumes and row.status in ("maintenance", "uploading"):
                raise BadRequest(f"Invalid volume: Volume {key} update metadata is not allowed for volume in status "
                                 f"{row.status}.")
            after = change(dict(getattr(row, column) or {}))
            if len(after) > MAX_ITEMS:
                raise TooLarge(f"Maximum number of metadata items exceeds {MAX_ITEMS}.")
            store.update(tx, table, key, **{column: after})
            return after

    # -- deleting

    def delete_volume(self, context: Context, volume_id: str, *, cascade: bool = False, force: bool = False) -> None:
        """Raises BadRequest where it is attached, busy, or has snapshots that are to stay."""
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            held = store.listing(tx, snapshots, snapshots.c.volume_id == volume_id)
            self.check_deletable(tx, row, force=force)
            if held and not cascade:
                raise BadRequest(f"Invalid volume: Volume status must be available or error and must not have "
                                 f"snapshots: {volume_id} has {len(held)} dependent snapshots.")
            busy = [each.id for each in held if each.status not in ("available", "error", "deleting")]
            if busy and not force:
                raise BadRequest(f"Invalid volume: snapshots {', '.join(busy)} are busy.")
            self.begin_delete(tx, context, row, held, wins=force)

    def check_deletable(self, tx: Tx, row: sa.Row, *, force: bool = False) -> None:
        if row.group_id is not None:
            raise BadRequest(f"Invalid volume: Volume {row.id} belongs to group {row.group_id}: take it out first.")
        if store.count(tx, attachments, attachments.c.volume_id == row.id):
            raise BadRequest(f"Invalid volume: Volume {row.id} is still attached, detach volume first.")
        if not force and row.status not in DELETABLE:
            raise BadRequest(f"Invalid volume: Volume status must be available or error or error_restoring or "
                             f"error_extending or error_managing and must not be migrating, attached, belong to a group, "
                             f"have snapshots or be disassociated from snapshots after volume transfer; it is {row.status}.")

    def begin_delete(self, tx: Tx, context: Context | None, row: sa.Row, held: Sequence[sa.Row] = (), *,
                     wins: bool = False) -> None:
        store.update(tx, volumes, row.id, status="deleting")
        for each in held:
            store.update(tx, snapshots, each.id, status="deleting")
        self.engine.begin(tx, "volume.delete", row.id, context=context, wins=wins,
                          memory={"host": row.host, "snapshots": [each.id for each in held]})

    # -- what users tell a volume

    def order(self, context: Context, volume_id: str, statuses: Sequence[str], status: str, kind: str,
              **memory: Any) -> sa.Row:
        """Begins an operation, with the volume in a passing status. Raises BadRequest in a wrong one."""
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            self.busy(tx, row, statuses, status)
            self.engine.begin(tx, kind, volume_id, context=context,
                              memory={"host": row.host, "volume": volume_id, "status": row.status, **memory})
            return row

    def busy(self, tx: Tx, row: sa.Row, statuses: Sequence[str], status: str) -> None:
        if not store.switch(tx, volumes, row.id, statuses, status, previous_status=row.status):
            raise BadRequest(f"Invalid volume: Volume {row.id} status must be {' or '.join(statuses)}, but current status "
                             f"is: {row.status}.")

    def extend(self, context: Context, volume_id: str, size: int, *, attached: bool) -> None:
        """`attached`: also one that a server uses. Raises BadRequest for a size that is not larger."""
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            if size <= row.size:
                raise BadRequest(f"Invalid input received: New size for extend must be greater than current size. "
                                 f"(current: {row.size}, extended: {size}).")
            self.check_volume_size(tx, row.project_id, size)
            self.grow(tx, row.project_id, store.get(tx, types, row.type_id).name, gigabytes=size - row.size)
            self.busy(tx, row, READY if attached else ("available",), "extending")
            self.engine.begin(tx, "volume.extend", volume_id, context=context, memory={
                "host": row.host, "volume": volume_id, "status": row.status, "gib": size,
                "size": stored_bytes(size, row.encryption_key_id)})

    def set_bootable(self, context: Context, volume_id: str, bootable: bool) -> None:
        self.update_volume(context, volume_id, bootable=bootable)

    def set_readonly(self, context: Context, volume_id: str, readonly: bool) -> None:
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            if row.status != "available":
                raise BadRequest(f"Invalid volume: Volume {volume_id} status must be available to update readonly flag, "
                                 f"but current status is: {row.status}.")
            store.update(tx, volumes, volume_id, readonly=readonly)

    def reset_status(self, context: Context, volume_id: str, values: Mapping[str, str]) -> None:
        with self.db.transaction() as tx:
            self.volume(tx, context, volume_id)
            store.update(tx, volumes, volume_id, **values)

    def show_volume_encryption(self, context: Context, volume_id: str) -> dict[str, Any]:
        with self.db.read() as tx:
            return self.encryption_shown(tx, self.volume(tx, context, volume_id))

    def upload(self, context: Context, volume_id: str, *, force: bool, name: str, disk_format: str,
               container_format: str, visibility: str, protected: bool) -> tuple[Found, str]:
        """(the volume, the new image's id). Raises BadRequest, and Forbidden for who may not make it public."""
        if visibility == "public" and not context.is_admin:
            raise Forbidden("Policy doesn't allow volume_extension:volume_actions:upload_public to be performed.")
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            self.check_copyable(tx, row)
            self.busy(tx, row, READY if force else ("available",), "uploading")
            facts = {key: value for key, value in (row.image_metadata or {}).items() if key not in IMAGE_OWN}
            if row.encryption_key_id is not None:
                facts |= self._encrypted_image(tx, row, disk_format)
            image_id = self.image.create_snapshot(
                tx, context, name=name, properties=facts, min_disk_gib=0, disk_format=disk_format,
                container_format=container_format, visibility=visibility, protected=protected)
            self.engine.begin(tx, "volume.upload", volume_id, context=context, memory={
                "host": row.host, "volume": volume_id, "status": row.status, "image": image_id,
                "format": disk_format})
            return self.found(tx, [store.get(tx, volumes, volume_id)]), image_id

    def _encrypted_image(self, tx: Tx, row: sa.Row, disk_format: str) -> dict[str, str]:
        """It stays encrypted: who makes a volume of the image needs the key, which is kept for that."""
        if disk_format != "raw":
            raise BadRequest(f"Invalid volume: Volume {row.id} is encrypted: it can be uploaded only as raw.")
        self.export_key(tx, row.encryption_key_id)
        return {IN_IMAGE: row.encryption_key_id}

    def revert(self, context: Context, volume_id: str, snapshot_id: str) -> None:
        """Back to the last snapshot. Raises BadRequest for another, and for a volume that is not available."""
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            snapshot = self.get(tx, context, snapshots, snapshot_id, "Snapshot")
            last = store.listing(tx, snapshots, snapshots.c.volume_id == volume_id)
            if not last or last[-1].id != snapshot_id:
                raise BadRequest(f"Invalid input received: Specified snapshot ID {snapshot_id} isn't the latest one of "
                                 f"volume {volume_id}.")
            if snapshot.size < row.size:
                raise BadRequest("Invalid volume: it was extended after the snapshot was taken.")
            self.busy(tx, row, ("available",), "reverting")
            self.engine.begin(tx, "volume.revert", volume_id, context=context, memory={
                "host": row.host, "volume": volume_id, "status": row.status, "snapshot": snapshot_id,
                "shared": row.multiattach})


IMAGE_OWN = frozenset({"image_id", "image_name", "disk_format", "container_format", "min_disk", "min_ram", "size",
                       "checksum", "signature_verified"})


def _inherited(volume: sa.Row) -> dict[str, Any]:
    return {"bootable": volume.bootable, "image_metadata": volume.image_metadata}


