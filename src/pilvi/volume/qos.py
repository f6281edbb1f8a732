"""What belongs to types of volumes: limits of throughput, and encryption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.limits import check_limits
from pilvi.volume.listing import Listing, page
from pilvi.volume.tables import encryptions, qos_specs, types, volumes
from pilvi.volume.types import Types


class Qos(Types):
    def list_qos(self, listing: Listing) -> tuple[list[sa.Row], int]:
        with self.db.read() as tx:
            return page(tx, qos_specs, listing, [sa.true()])

    def show_qos(self, qos_id: str) -> sa.Row:
        with self.db.read() as tx:
            return self._qos(tx, qos_id)

    def _qos(self, tx: Tx, qos_id: str) -> sa.Row:
        row = store.get(tx, qos_specs, qos_id)
        if row is None:
            raise NotFound(f"No such qos spec {qos_id}.")
        return row

    def create_qos(self, name: str, consumer: str, specs: Mapping[str, str]) -> sa.Row:
        check_limits(consumer, specs)
        with self.db.transaction() as tx:
            tx.lock("volume qos")
            if store.find(tx, qos_specs, name=name) is not None:
                raise Conflict(f"QoS Specs {name} already exists.")
            return store.insert(tx, qos_specs, {"id": self.ids.uuid(), "seq": tx.now, "name": name, "consumer": consumer,
                                                "specs": dict(specs), "created_at": tx.now})

    def change_qos(self, qos_id: str, specs: Mapping[str, str], gone: Sequence[str] = (),
                   consumer: str | None = None) -> None:
        """Volumes that are in use have the new limits when they are attached next, or their servers started anew.

        Raises NotFound for a key that is to go and is not there, BadRequest for limits that cannot be kept."""
        with self.db.transaction() as tx:
            tx.lock("volume qos")
            row = self._qos(tx, qos_id)
            known = {**row.specs, **specs}
            for key in gone:
                if known.pop(key, None) is None:
                    raise NotFound(f"QoS spec {qos_id} has no spec with key {key}.")
            check_limits(consumer or row.consumer, known)
            store.update(tx, qos_specs, qos_id, specs=known, consumer=consumer or row.consumer)

    def delete_qos(self, qos_id: str, *, force: bool) -> None:
        """Raises BadRequest while types have it, unless they are to lose it."""
        with self.db.transaction() as tx:
            self._qos(tx, qos_id)
            if not force and store.count(tx, types, types.c.qos_id == qos_id):
                raise BadRequest(f"QoS Specs {qos_id} is still associated with entities.")
            tx.execute(types.update().where(types.c.qos_id == qos_id).values(qos_id=None))
            store.delete(tx, qos_specs, qos_id)

    def associate(self, context: Context, qos_id: str, type_id: str) -> None:
        with self.db.transaction() as tx:
            self._qos(tx, qos_id)
            kind = self.usable_type(tx, context, type_id)
            if kind.qos_id not in (None, qos_id):
                raise BadRequest(f"Type {type_id} is already associated with another qos specs: {kind.qos_id}")
            store.update(tx, types, type_id, qos_id=qos_id)

    def disassociate(self, context: Context, qos_id: str, type_id: str | None) -> None:
        """From this type, or from all."""
        with self.db.transaction() as tx:
            self._qos(tx, qos_id)
            if type_id is not None and self.usable_type(tx, context, type_id).qos_id != qos_id:
                raise NotFound(f"Type {type_id} is not associated with qos specs {qos_id}.")
            where = [types.c.qos_id == qos_id] + ([types.c.id == type_id] if type_id else [])
            tx.execute(types.update().where(*where).values(qos_id=None))

    def associations(self, qos_id: str) -> Sequence[sa.Row]:
        with self.db.read() as tx:
            self._qos(tx, qos_id)
            return store.listing(tx, types, types.c.qos_id == qos_id)

    # -- encryption

    def encryption(self, context: Context, type_id: str) -> sa.Row | None:
        with self.db.read() as tx:
            self.usable_type(tx, context, type_id)
            return store.find(tx, encryptions, type_id=type_id)

    def encrypted_types(self, ids: Sequence[str]) -> set[str]:
        with self.db.read() as tx:
            return {row.type_id for row in tx.all(sa.select(encryptions).where(encryptions.c.type_id.in_(ids)))}

    def create_encryption(self, context: Context, type_id: str, **values: Any) -> sa.Row:
        with self.db.transaction() as tx:
            tx.lock("volume type", type_id)
            self.usable_type(tx, context, type_id)
            self._unused(tx, type_id)
            if store.find(tx, encryptions, type_id=type_id) is not None:
                raise Conflict(f"Volume type encryption for type {type_id} already exists.")
            return store.insert(tx, encryptions, {"id": self.ids.uuid(), "type_id": type_id, "created_at": tx.now, **values})

    def update_encryption(self, context: Context, type_id: str, encryption_id: str, **values: Any) -> sa.Row:
        with self.db.transaction() as tx:
            self._unused(tx, type_id)
            self._encryption(tx, context, type_id, encryption_id)
            return store.update(tx, encryptions, encryption_id, **values)

    def delete_encryption(self, context: Context, type_id: str, encryption_id: str) -> None:
        with self.db.transaction() as tx:
            self._unused(tx, type_id)
            self._encryption(tx, context, type_id, encryption_id)
            store.delete(tx, encryptions, encryption_id)

    def _encryption(self, tx: Tx, context: Context, type_id: str, encryption_id: str) -> sa.Row:
        self.usable_type(tx, context, type_id)
        row = store.find(tx, encryptions, id=encryption_id, type_id=type_id)
        if row is None:
            raise NotFound(f"Volume type encryption for type {type_id} does not exist.")
        return row

    def _unused(self, tx: Tx, type_id: str) -> None:
        if store.count(tx, volumes, volumes.c.type_id == type_id):
            raise BadRequest("Cannot create encryption specs. Volume type in use.")
