"""Rebuilding a server: another image, with the id, the ports and the addresses that it has."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.compute import store
from pilvi.compute.creation import Creation, image_facts, source_of
from pilvi.compute.devices import root_volume
from pilvi.compute.operations_moving import GENERATIONS
from pilvi.compute.orders import Change, Orders
from pilvi.compute.servers import Found
from pilvi.compute.states import ACTIVE, ERROR, STOPPED
from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden
from pilvi.policy import Context

REBUILD = Change("rebuild", "server.rebuild", "rebuilding", (ACTIVE, STOPPED, ERROR))


class RebuildWanted(msgspec.Struct, kw_only=True):
    """`values` are columns of the server's row as they are given anew; `key_name` None takes the key away."""

    image_id: str
    reimages: bool = False  # also the volume that a server boots from
    values: dict[str, Any] = {}
    key_name: str | None = None
    changes_key: bool = False
    keep_ephemeral: bool = False  # what its ephemeral disks hold


class Rebuilding(Creation, Orders):
    def rebuild_server(self, context: Context, server_id: str, wanted: RebuildWanted) -> Found:
        """The server as it is going to be.

        Raises BadRequest for an image or key pair that there is not or that does not fit, OverLimit for too much
        metadata, Conflict where the server is locked or not in a state for it."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, REBUILD, generations=GENERATIONS)
            image = self.boot_image(tx, context, wanted.image_id)
            self._check_image(row, image)
            reimage = self._reimage(tx, context, row, image.id, wanted)
            values = {"image_id": row.image_id if root_volume(row) else image.id,
                      "image_properties": image_facts(image), **wanted.values, **self._new_key(tx, context, row, wanted)}
            self.check_sizes(tx, row.project_id, values.get("metadata", {}), values.get("personality", ()))
            before = {name: getattr(row, name) for name in values}
            store.update_server(tx, row.id, **values)
            self.engine.begin(tx, REBUILD.kind, row.id, context=context, memory={
                "generation": generation, "host": row.host, "target": row.host, "mark": generation - GENERATIONS + 1,
                "was": row.vm_state, "run": row.vm_state != STOPPED, "graceful": False, "old": before, "new": {},
                "keep_ephemeral": wanted.keep_ephemeral, "image": None if root_volume(row) else source_of(image),
                "reimage": reimage})
            return self._with_ports(tx, [store.shown(tx, row.id)])

    def _check_image(self, row: sa.Row, image: Any) -> None:
        """As at a boot, against the flavor that the server has."""
        self._check_size(_AsFlavor(**{name: row.flavor[name] for name in ("name", "ram", "disk")}), image,
                         own_disk=root_volume(row) is None)

    def _reimage(self, tx: Tx, context: Context, row: sa.Row, image_id: str,
                 wanted: RebuildWanted) -> dict[str, Any] | None:
        """What the operation needs to know of the volume that is to have the image's content; None: none is.

        Raises BadRequest."""
        entry = root_volume(row)
        if entry is None:
            return None
        if wanted.reimages:
            return self.volume.begin_reimage(tx, context, entry["volume_id"], image_id)
        found = self.volume.boot_source(tx, context, "volume", entry["volume_id"])
        if found.image_metadata.get("image_id") != image_id:
            raise BadRequest("Unable to rebuild with a different image for a volume-backed server before microversion "
                             "2.93.")
        return None

    def _new_key(self, tx: Tx, context: Context, row: sa.Row, wanted: RebuildWanted) -> dict[str, Any]:
        if not wanted.changes_key:
            return {}
        if wanted.key_name is not None and row.user_id != context.user_id:
            raise Forbidden("The key pairs of a server's owner are its owner's to choose.")
        try:
            key = self._key(tx, context, wanted.key_name)
        except BadRequest:
            raise BadRequest(f"Keypair {wanted.key_name} not found for user {context.user_id}") from None
        return {"key_name": key and key.name, "key_public": key and key.public_key, "key_type": key and key.type}


class _AsFlavor(msgspec.Struct):
    name: str
    ram: int
    disk: int
