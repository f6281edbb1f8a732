"""What is kept and has no row is taken into the API, and let go of without being deleted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.bus.base import BusError, RemoteError
from pilvi.faults import BadRequest, Conflict
from pilvi.node.messages_volumes import Inventory, Kept
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.backends import Backends
from pilvi.volume.backups import Backups
from pilvi.volume.base import ZONE
from pilvi.volume.encrypting import GIB
from pilvi.volume.tables import encryptions, snapshots, volumes
from pilvi.volume.types import multiattach, unfit

PREFIXES = ("volume-", "snapshot-", "_snapshot-")


class Managing(Backups, Backends):
    def inventory(self, backend: str = "") -> Inventory:
        """Raises Conflict where the host does not answer."""
        try:
            return self.bus.call(self.keeper, "volume_inventory", backend, Inventory)
        except (BusError, RemoteError) as error:
            raise Conflict(f"What {backend or 'the backends of ' + self.keeper} keeps is not known: {error}") from None

    def manageable(self, host: str, table: sa.Table) -> list[tuple[Kept, sa.Row | None]]:
        """What is kept, with the row it has. Raises BadRequest for another host."""
        found = self.inventory(self._backend(host))
        kept = found.volumes if table is volumes else found.snapshots
        with self.db.read() as tx:
            rows = store.by_ids(tx, table, [each.name for each in kept])
        return [(each, rows.get(each.name)) for each in kept]

    def _backend(self, host: str) -> str:
        if (found := self.backend_at(host)) is None:
            raise BadRequest(f"Invalid host: there is no backend {host}; there is "
                             f"{', '.join(map(self.pool_name, self.backends))}.")
        return found

    def _named(self, backend: str, reference: dict[str, str], table: sa.Table) -> Kept:
        """What is meant. Raises BadRequest for what is not kept, or has a row already."""
        name = reference.get("source-name") or reference.get("source-id") or ""
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        for kept, row in self.manageable(self.pool_name(backend), table):
            if kept.name == name and row is None:
                return kept
            if kept.name == name:
                raise BadRequest(f"Unable to manage existing volume. Volume {name} already managed.")
        raise BadRequest(f"Manage existing volume failed due to invalid backend reference {reference}: there is no "
                         f"{name!r}.")

    def manage_volume(self, context: Context, *, host: str, reference: dict[str, str], volume_type: str | None,
                      **values: Any) -> sa.Row:
        backend = self._backend(host)
        kept = self._named(backend, reference, volumes)
        with self.db.transaction() as tx:
            kind = self.wanted_type(tx, context, volume_type)
            if (lacking := unfit(kind.extra_specs, backend)) is not None:
                raise BadRequest(f"Manage existing volume failed due to volume type mismatch: {lacking}.")
            if store.find(tx, encryptions, type_id=kind.id) is not None:
                raise BadRequest("Manage existing volume failed due to volume type mismatch: what is kept is not encrypted "
                                 "with a key that is known here.")
            size = -(-kept.size_bytes // GIB)
            self.grow(tx, context.project_id or "", kind.name, volumes=1, gigabytes=size)
            row = store.insert(tx, volumes, self.fresh(
                tx, context, size=size, status="managing", type_id=kind.id, availability_zone=ZONE, host=self.keeper,
                backend=backend,
                readonly=None, multiattach=multiattach(kind.extra_specs), encryption_key_id=None, image_metadata=None,
                snapshot_id=None, source_volid=None, group_id=None, attach_status="detached", **values))
            self.engine.begin(tx, "volume.manage", row.id, context=context, memory={
                "host": row.host, "name": kept.name, "new_name": row.id, "shared": row.multiattach})
            return row

    def unmanage_volume(self, context: Context, volume_id: str) -> None:
        """The row goes, and what is kept stays."""
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            self.check_deletable(tx, row)
            if row.encryption_key_id is not None:
                raise BadRequest(f"Unable to unmanage volume {volume_id}: it is encrypted, and its key would be lost.")
            if store.count(tx, snapshots, snapshots.c.volume_id == volume_id):
                raise BadRequest(f"Invalid volume: volume {volume_id} has snapshots.")
            self.forget_volume(tx, volume_id)

    def manage_snapshot(self, context: Context, *, volume_id: str, reference: dict[str, str], **values: Any) -> sa.Row:
        with self.db.read() as tx:
            backend = self.volume(tx, context, volume_id).backend
        kept = self._named(backend, reference, snapshots)
        with self.db.transaction() as tx:
            volume = self.volume(tx, context, volume_id)
            size = -(-kept.size_bytes // GIB)
            self.grow(tx, volume.project_id, None, snapshots=1, gigabytes=size)
            row = store.insert(tx, snapshots, self.fresh(
                tx, context, volume_id=volume_id, type_id=volume.type_id, size=size, status="creating", progress="0%",
                group_snapshot_id=None, **values) | {"project_id": volume.project_id})
            self.engine.begin(tx, "snapshot.manage", volume_id, context=context, memory={
                "host": volume.host, "name": kept.name, "new_name": row.id})
            return row

    def unmanage_snapshot(self, context: Context, snapshot_id: str) -> None:
        with self.db.transaction() as tx:
            row = self.get(tx, context, snapshots, snapshot_id, "Snapshot")
            if row.status not in ("available", "error"):
                raise BadRequest(f"Invalid snapshot: its status is {row.status}.")
            store.delete(tx, snapshots, snapshot_id)
