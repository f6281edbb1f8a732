"""Volumes that get another image's content: for their users, and for servers that are rebuilt."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.for_servers import ForServers
from pilvi.volume.tables import volumes
from pilvi.volume.volumes import stored_bytes

PASSING = "downloading"


class Reimaging(ForServers):
    def reimage(self, context: Context, volume_id: str, image_id: str, *, reserved: bool) -> None:
        """`reserved`: also one that is kept for a server. Raises NotFound, and BadRequest for an image that there is not
        or that the volume is too small for, and in a wrong status."""
        with self.db.transaction() as tx:
            row = self.volume(tx, context, volume_id)
            statuses = ("available", "error", *(("reserved",) if reserved else ()))
            memory = self._passing(tx, context, row, image_id, statuses)
            self.engine.begin(tx, "volume.reimage", volume_id, context=context, memory=memory | {
                "status": "reserved" if row.status == "reserved" else "available"})

    def begin_reimage(self, tx: Tx, context: Context, volume_id: str, image_id: str) -> dict[str, Any]:
        """Compute writes it itself: this says what it needs to know of it. Nobody else is to have to do with the volume
        until `end_reimage`. Raises as `reimage`."""
        return self._passing(tx, context, self.volume(tx, context, volume_id), image_id, ("in-use", "reserved"))

    def end_reimage(self, tx: Tx, volume_id: str, values: dict[str, Any]) -> None:
        """`values`: of the row as they are from now on; none where it has what it had."""
        store.switch(tx, volumes, volume_id, (PASSING,), "in-use", **values)
        self.settle(tx, volume_id)

    def _passing(self, tx: Tx, context: Context, row: sa.Row, image_id: str, statuses: tuple[str, ...]) -> dict[str, Any]:
        source = self._from_image(tx, context, image_id)
        if source.size > row.size:
            raise BadRequest(f"Invalid volume: Volume {row.id} has {row.size} GiB, and image {image_id} needs "
                             f"{source.size}.")
        if source.key_id not in (None, row.encryption_key_id):
            raise BadRequest(f"Invalid volume: image {image_id} is encrypted with another key than volume {row.id}.")
        self.busy(tx, row, statuses, PASSING)
        memory = {**source.memory, "volume": row.id, "host": row.host, "values": source.values, "shared": row.multiattach,
                  "size": stored_bytes(row.size, row.encryption_key_id)}
        if row.encryption_key_id is not None and source.key_id is None:
            memory["encryption"] = self.way(tx, row.encryption_key_id)
        return memory
