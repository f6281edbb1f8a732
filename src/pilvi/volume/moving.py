"""Volumes that get another type, or go to another backend: under their servers, where these have them."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.attachments import Attachments
from pilvi.volume.tables import attachments, encryptions, snapshots, types, volumes
from pilvi.volume.types import multiattach, unfit
from pilvi.volume.volumes import READY


class Moving(Attachments):
    def retype(self, context: Context, volume_id: str, new_type: str, *, move: bool) -> None:
        """`move`: to another backend, where its own is not what the type asks for. Raises BadRequest, NotFound."""
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            new = self.wanted_type(tx, context, new_type)
            if row.status not in READY:
                raise BadRequest(f"Invalid volume: Volume {volume_id} status must be available or in-use to retype; it is "
                                 f"{row.status}.")
            if row.type_id == new.id:
                raise BadRequest(f"Invalid input received: Volume {volume_id} is of the type {new.name} already.")
            self._check_retype(tx, row, new)
            self.grow(tx, row.project_id, None, **{f"volumes_{new.name}": 1, f"gigabytes_{new.name}": row.size})
            if (lacking := unfit(new.extra_specs, row.backend)) is None:
                self._begin(tx, context, row, new, "volume.retype", "retyping")
                return
            target, others = self.choose_backend(tx, new.extra_specs)
            if others:
                raise BadRequest(f"Invalid volume: it cannot be retyped: {others}.")
            if not move:
                raise BadRequest(f"Invalid volume: Retype requires migration but is not allowed: {lacking}.")
            self._begin_move(tx, context, row, new, target, "retyping")

    def _check_retype(self, tx: Tx, row: sa.Row, new: sa.Row) -> None:
        many, encrypted = multiattach(new.extra_specs), store.find(tx, encryptions, type_id=new.id) is not None
        if many != row.multiattach and row.status == "in-use":
            raise BadRequest("Invalid volume: a volume that is in use cannot change its multiattach.")
        if encrypted != (row.encryption_key_id is not None):
            raise BadRequest("Invalid volume: a retype neither encrypts nor decrypts a volume: copy its content to a new "
                             "one.")
        if encrypted and many:
            raise BadRequest("Invalid volume: encrypted volumes cannot be multiattach.")

    def migrate(self, context: Context, volume_id: str, host: str) -> None:
        """To the backend that `host` names. Raises BadRequest, NotFound."""
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            target = self.backend_at(host)
            if target is None:
                raise BadRequest(f"No available service named '{host}'.")
            if target == row.backend:
                raise BadRequest("Invalid input received: Destination host must be different than the current host.")
            kind = store.get(tx, types, row.type_id)
            service = store.service(tx, self.service_host(target), "cinder-volume")
            lacking = f"the service of the backend {target} is disabled" if service and service.disabled else unfit(
                kind.extra_specs if kind is not None else {}, target)
            if lacking is not None:
                raise BadRequest(f"Invalid host: {lacking}.")
            self._begin_move(tx, context, row, kind, target, "migrating")

    def _begin_move(self, tx: Tx, context: Context, row: sa.Row, kind: sa.Row | None, target: str, status: str) -> None:
        if store.count(tx, snapshots, snapshots.c.volume_id == row.id):
            raise BadRequest(f"Invalid volume: Volume {row.id} must not have snapshots to be migrated: they stay where it "
                             "was.")
        if store.count(tx, attachments, attachments.c.volume_id == row.id) > 1:
            raise BadRequest(f"Invalid volume: Volume {row.id} is attached to several servers: it cannot be migrated.")
        if row.encryption_key_id is not None and row.status == "in-use":  # QEMU mirrors what it decrypts, not what is kept
            raise BadRequest(f"Invalid volume: Volume {row.id} is encrypted and in use: detach it to migrate it.")
        self._begin(tx, context, row, kind, "volume.migrate", status, target=target,
                    passing=str(self.folder / "out" / f"move-{row.id}"))
        store.update(tx, volumes, row.id, migration_status="migrating")

    def _begin(self, tx: Tx, context: Context, row: sa.Row, kind: sa.Row | None, operation: str, status: str,
               **memory: str) -> None:
        self.busy(tx, row, READY, status)
        many = row.multiattach if kind is None else multiattach(kind.extra_specs)
        self.engine.begin(tx, operation, row.id, context=context, memory={
            "host": row.host, "volume": row.id, "status": row.status, "type": kind.id if kind is not None else row.type_id,
            "old_type": row.type_id, "shared": many, "old_shared": row.multiattach, **memory})
