"""Who uses a volume: attachments, by the API of 3.27 and by the older actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.listing import Listing, page
from pilvi.volume.snapshots import Snapshots
from pilvi.volume.tables import attachments, snapshots, volumes


class Attachments(Snapshots):
    def list_attachments(self, context: Context, listing: Listing) -> tuple[list[sa.Row], int]:
        with self.db.read() as tx:
            return page(tx, attachments, listing, [store.owned(context, attachments, listing.all_projects)])

    def show_attachment(self, context: Context, attachment_id: str) -> sa.Row:
        with self.db.read() as tx:
            return self.get(tx, context, attachments, attachment_id, "Volume attachment")

    # -- the verbs within another's transaction

    def reserve(self, tx: Tx, context: Context, volume_id: str, server_id: str | None, *, mode: str | None = None,
                mountpoint: str | None = None, fresh: bool = False) -> sa.Row:
        """A new attachment, which keeps others away from a volume that takes only one; `fresh`: that is being made.

        Raises NotFound, and BadRequest for a volume that is not free."""
        tx.lock("volume", volume_id)
        volume = self.volume(tx, context, volume_id)
        held = store.attachments_of(tx, [volume_id]).get(volume_id, [])
        if any(each.server_id == server_id for each in held if server_id):
            raise BadRequest(f"Invalid volume: volume {volume_id} is already attached to server {server_id}.")
        free = volume.status == ("creating" if fresh else "available") or (
            volume.multiattach and volume.status in ("in-use", "reserved", "attaching", "detaching"))
        if not free:
            raise BadRequest(f"Invalid volume: Volume {volume_id} status must be available"
                             f"{' or in-use' if volume.multiattach else ''} to reserve, but the status is {volume.status}.")
        if volume.multiattach and self._being_copied(tx, volume_id):
            raise BadRequest(f"Invalid volume: Volume {volume_id} is being copied: another server gets it afterwards.")
        if mode == "rw" and volume.readonly:
            raise BadRequest("Invalid volume: it is read only, so it cannot be attached to be written to.")
        row = store.insert(tx, attachments, {
            "id": self.ids.uuid(), "seq": tx.now, "project_id": volume.project_id, "volume_id": volume_id,
            "server_id": server_id, "status": "reserved", "mode": mode or ("ro" if volume.readonly else "rw"),
            "mountpoint": mountpoint, "host_name": None, "connector": None, "connection_info": None, "attached_at": None,
            "detached_at": None})
        self.settle(tx, volume_id)
        return row

    def _being_copied(self, tx: Tx, volume_id: str) -> bool:
        return bool(store.count(tx, snapshots, snapshots.c.volume_id == volume_id, snapshots.c.status == "creating")
                    or store.count(tx, volumes, volumes.c.source_volid == volume_id, volumes.c.status == "creating"))

    def connect(self, tx: Tx, attachment_id: str, connector: Mapping[str, Any]) -> sa.Row:
        """Notes where it is used, and how that place gets at it."""
        row = store.get(tx, attachments, attachment_id)
        values = {"connector": dict(connector), "host_name": connector.get("host"), "status": "attaching",
                  "connection_info": {"driver_volume_type": "local", "volume_id": row.volume_id,
                                      "attachment_id": row.id, "access_mode": row.mode}}
        if connector.get("mountpoint"):
            values["mountpoint"] = connector["mountpoint"]
        row = store.update(tx, attachments, attachment_id, **values)
        self.settle(tx, row.volume_id)
        return row

    def complete(self, tx: Tx, attachment_id: str) -> None:
        row = store.update(tx, attachments, attachment_id, status="attached", attached_at=tx.now)
        self.settle(tx, row.volume_id)

    def start_detaching(self, tx: Tx, attachment_id: str) -> None:
        """Raises BadRequest for a volume that is on its way to another backend."""
        held = store.get(tx, attachments, attachment_id)
        volume = held and store.get(tx, volumes, held.volume_id)
        if volume is not None and volume.status in ("migrating", "retyping"):
            raise BadRequest(f"Invalid volume: Unable to detach volume {volume.id}: it is {volume.status}.")
        row = store.update(tx, attachments, attachment_id, status="detaching")
        if row is not None:
            self.settle(tx, row.volume_id)

    def delete_if_free(self, tx: Tx, volume_id: str) -> None:
        """Deletes a volume that nobody uses, for a server that it was to go with."""
        row = store.get(tx, volumes, volume_id)
        held = store.count(tx, snapshots, snapshots.c.volume_id == volume_id)
        if row is not None and row.status in ("available", "creating") and not held:
            self.begin_delete(tx, None, row, wins=row.status == "creating")

    def let_go(self, tx: Tx, attachment_id: str) -> str | None:
        """The attachment is no more; the id of its volume."""
        row = store.get(tx, attachments, attachment_id)
        if row is None:
            return None
        store.delete(tx, attachments, attachment_id)
        self.settle(tx, row.volume_id)
        return row.volume_id

    def settle(self, tx: Tx, volume_id: str) -> None:
        """The volume's status follows from its attachments, but for one that something else is done with.

        Of several, one that comes or goes is told: who waits for that waits for the volume to be in use again."""
        held = {each.status for each in store.attachments_of(tx, [volume_id]).get(volume_id, [])}
        passing = [each for each in ("attaching", "detaching") if each in held]
        status = passing[0] if passing else "in-use" if "attached" in held else "reserved" if held else "available"
        store.switch(tx, volumes, volume_id, ("available", "in-use", "attaching", "detaching", "reserved", "error"), status,
                     attach_status="attached" if held & {"attached", "detaching"} else "detached")

    # -- the API of attachments

    def create_attachment(self, context: Context, volume_id: str, server_id: str | None, mode: str | None,
                          connector: Mapping[str, Any] | None) -> sa.Row:
        with self.db.transaction() as tx:
            row = self.reserve(tx, context, volume_id, server_id, mode=mode)
            return self.connect(tx, row.id, connector) if connector else row

    def update_attachment(self, context: Context, attachment_id: str, connector: Mapping[str, Any]) -> sa.Row:
        with self.db.transaction() as tx:
            self.get(tx, context, attachments, attachment_id, "Volume attachment")
            return self.connect(tx, attachment_id, connector)

    def complete_attachment(self, context: Context, attachment_id: str) -> None:
        with self.db.transaction() as tx:
            row = self.get(tx, context, attachments, attachment_id, "Volume attachment")
            if row.status not in ("attaching", "attached"):
                raise BadRequest(f"Invalid volume: attachment {attachment_id} status must be attaching; it is {row.status}.")
            self.complete(tx, attachment_id)

    def delete_attachment(self, context: Context, attachment_id: str) -> list[sa.Row]:
        """Those that the volume still has. Raises Conflict while a server uses it: that is to let go."""
        with self.db.transaction() as tx:
            row = self.get(tx, context, attachments, attachment_id, "Volume attachment")
            self._not_plugged(tx, row)
            self.let_go(tx, attachment_id)
            return store.attachments_of(tx, [row.volume_id]).get(row.volume_id, [])

    def _not_plugged(self, tx: Tx, row: sa.Row) -> None:
        if row.server_id is not None and self.plugged(tx, row.id):
            raise Conflict(f"Detach volume from instance {row.server_id} using the Compute API.")

    def plugged(self, tx: Tx, attachment_id: str) -> bool:
        """Whether a server has it by this attachment: Compute says so (`Volumes.ask_compute`)."""
        row = store.get(tx, attachments, attachment_id)
        return self.ask_compute is not None and self.ask_compute(tx, row.server_id, row.id)

    ask_compute: Callable[[Tx, str, str], bool] | None = None  # does this server have it by this attachment?

    # -- the older actions

    def mark(self, context: Context, volume_id: str, statuses: tuple[str, ...], status: str) -> None:
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            self.busy(tx, row, statuses, status)

    def unmark(self, context: Context, volume_id: str, passing: str) -> None:
        """Back from a status that `mark` gave."""
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            if row.status == passing:
                store.update(tx, volumes, volume_id, status="available" if passing == "attaching" else "in-use")
                self.settle(tx, volume_id)

    def attach(self, context: Context, volume_id: str, server_id: str | None, host: str | None, mountpoint: str,
               mode: str) -> None:
        """Says that somebody uses it now. Raises BadRequest where it is not free."""
        with self.db.transaction() as tx:
            tx.lock("volume", volume_id)
            row = self.volume(tx, context, volume_id)
            if row.status == "attaching":
                store.update(tx, volumes, volume_id, status="available")
            made = self.reserve(tx, context, volume_id, server_id, mode=mode, mountpoint=mountpoint)
            store.update(tx, attachments, made.id, host_name=host)
            self.complete(tx, made.id)

    def detach(self, context: Context, volume_id: str, attachment_id: str | None) -> None:
        """Raises NotFound, BadRequest where it is not said which of several, Conflict while a server has it."""
        with self.db.transaction() as tx:
            self.volume(tx, context, volume_id)
            held = store.attachments_of(tx, [volume_id]).get(volume_id, [])
            if attachment_id is not None:
                held = [each for each in held if each.id == attachment_id]
                if not held:
                    raise NotFound(f"Volume attachment {attachment_id} could not be found.")
            if len(held) > 1:
                raise BadRequest("Invalid volume: Detach volume failed: More than one attachment, but no attachment_id "
                                 "provided.")
            for each in held:
                self._not_plugged(tx, each)
                self.let_go(tx, each.id)
            self.settle(tx, volume_id)
