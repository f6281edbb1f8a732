"""Volumes that go from one project to another: whoever has the key may take it."""

from __future__ import annotations

import hashlib
import hmac

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.attachments import Attachments
from pilvi.volume.listing import Listing, page
from pilvi.volume.tables import snapshots, transfers, types, volumes


class Transfers(Attachments):
    def list_transfers(self, context: Context, listing: Listing) -> tuple[list[sa.Row], int]:
        with self.db.read() as tx:
            return page(tx, transfers, listing, [self._visible(context, listing.all_projects)])

    def _visible(self, context: Context, everybody: bool = True) -> sa.ColumnElement[bool]:
        if context.is_admin and everybody:
            return sa.true()
        return transfers.c.source_project_id == context.project_id

    def _transfer(self, tx: Tx, key: str, *where: sa.ColumnElement[bool]) -> sa.Row:
        row = store.get(tx, transfers, key, *where)
        if row is None:
            raise NotFound(f"Transfer {key} could not be found.")
        return row

    def show_transfer(self, context: Context, transfer_id: str) -> sa.Row:
        with self.db.read() as tx:
            return self._transfer(tx, transfer_id, self._visible(context))

    def create_transfer(self, context: Context, volume_id: str, name: str | None, no_snapshots: bool, *,
                        encrypted: bool) -> tuple[sa.Row, str]:
        """(the transfer, the key that is told only now). Raises BadRequest for a volume that is not available, or is
        encrypted and may not be."""
        with self.db.transaction() as tx:
            volume = self.volume(tx, context, volume_id)
            if volume.encryption_key_id is not None and not encrypted:
                raise BadRequest("Invalid volume: transferring encrypted volumes takes microversion 3.70.")
            held = store.listing(tx, snapshots, snapshots.c.volume_id == volume_id)
            if any(each.status != "available" for each in held) and not no_snapshots:
                raise BadRequest("Invalid snapshot: snapshots of a volume that is transferred must be available.")
            self.busy(tx, volume, ("available",), "awaiting-transfer")
            key, salt = self.ids.hex()[:16], self.ids.hex()[:8]
            return store.insert(tx, transfers, {
                "id": self.ids.uuid(), "seq": tx.now, "volume_id": volume_id, "name": name, "salt": salt,
                "digest": _digest(salt, key), "no_snapshots": no_snapshots, "source_project_id": volume.project_id,
                "created_at": tx.now}), key

    def delete_transfer(self, context: Context, transfer_id: str) -> None:
        with self.db.transaction() as tx:
            row = self._transfer(tx, transfer_id, self._visible(context))
            store.delete(tx, transfers, transfer_id)
            store.switch(tx, volumes, row.volume_id, ("awaiting-transfer",), "available")

    def accept_transfer(self, context: Context, transfer_id: str, key: str) -> sa.Row:
        """Raises NotFound, BadRequest for a wrong key, TooLarge beyond the caller's quota."""
        if context.project_id is None:
            raise Forbidden("A volume belongs to a project: ask with a token that is scoped to one.")
        with self.db.transaction() as tx:
            tx.lock("volume transfer", transfer_id)
            row = self._transfer(tx, transfer_id)
            if not hmac.compare_digest(row.digest, _digest(row.salt, key)):
                raise BadRequest(f"Invalid auth key: Attempt to transfer {transfer_id} with invalid auth key.")
            volume = store.get(tx, volumes, row.volume_id)
            if volume.status != "awaiting-transfer":
                raise BadRequest(f"Invalid volume: its status is {volume.status}, not awaiting-transfer.")
            held = store.listing(tx, snapshots, snapshots.c.volume_id == volume.id) if not row.no_snapshots else []
            kind = store.get(tx, types, volume.type_id)
            self.grow(tx, context.project_id, kind and kind.name, volumes=1, snapshots=len(held),
                      gigabytes=volume.size + sum(each.size for each in held))
            mine = {"project_id": context.project_id, "user_id": context.user_id}
            store.update(tx, volumes, volume.id, status="available", **mine,
                         encryption_key_id=self.key_for_project(tx, volume.encryption_key_id, context.project_id))
            self.drop_key(tx, volume.encryption_key_id)
            for each in held:
                store.update(tx, snapshots, each.id, **mine)
            store.delete(tx, transfers, transfer_id)
            return row


def _digest(salt: str, key: str) -> str:
    return hashlib.sha256((salt + key).encode()).hexdigest()
