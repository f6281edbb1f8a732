"""Encrypted volumes: whose keys are whose, and what hosts are told of volumes.

A key is sealed with the cloud's own (`Keys`), and only where a guest is started, or a volume is made, is it opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.drivers.volume.base import LUKS_ROOM
from pilvi.faults import BadRequest
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.base import Base
from pilvi.volume.limits import limits_of
from pilvi.volume.tables import encryptions, keys, qos_specs, types, volumes

GIB = 1 << 30
IN_IMAGE = "cinder_encryption_key_id"  # the property of an image that is an encrypted volume's content


def stored_bytes(gib: int, encrypted: object) -> int:
    """What is kept of a volume of this size."""
    return gib * GIB + (LUKS_ROOM if encrypted else 0)


class Encrypting(Base):
    def key_for(self, tx: Tx, context: Context, kind: sa.Row, source_key: str | None, *, content: bool,
                multiattach: bool) -> str | None:
        """The id of the key of a new volume of this type; `content`: it is made from another's content.

        Raises BadRequest where type and source do not go together."""
        scheme = store.find(tx, encryptions, type_id=kind.id)
        if scheme is None:
            if source_key is not None:
                raise BadRequest(f"Invalid input received: what the volume is made from is encrypted, and volume type "
                                 f"{kind.name} is not.")
            return None
        if multiattach:
            raise BadRequest("Invalid input received: encrypted volumes cannot be multiattach.")
        if source_key is not None:
            return source_key
        if content:
            raise BadRequest(f"Invalid input received: volume type {kind.name} is encrypted, and what the volume is made "
                             "from is not.")
        key_id = self.ids.uuid()
        passphrase = (self.ids.hex() + self.ids.hex()).encode()
        tx.execute(keys.insert(), {
            "id": key_id, "project_id": context.project_id, "sealed": self.keys.encrypt(passphrase, tx.now // 1_000_000),
            "provider": scheme.provider, "cipher": scheme.cipher, "key_size": scheme.key_size,
            "control_location": scheme.control_location, "exported": False, "created_at": tx.now})
        return key_id

    def way(self, tx: Tx, key_id: str) -> dict[str, Any]:
        """How what is new of a volume is encrypted, for the host that makes it."""
        row = store.get(tx, keys, key_id)
        return {"key": row.sealed, "cipher": row.cipher or "", "key_bits": row.key_size or 0}

    def export_key(self, tx: Tx, key_id: str) -> None:
        """It is kept from now on, whatever becomes of the volumes that it is for."""
        store.update(tx, keys, key_id, exported=True)

    def drop_key(self, tx: Tx, key_id: str | None) -> None:
        """Nothing that it has encrypted can be read any more, unless something else needs it."""
        if key_id is not None and not store.count(tx, volumes, volumes.c.encryption_key_id == key_id):
            tx.execute(keys.delete().where(keys.c.id == key_id, keys.c.exported.is_(False)))

    def key_named(self, tx: Tx, context: Context, key_id: str | None) -> str | None:
        """The key that an image or a backup names. Raises BadRequest where there is none, or it is another project's."""
        row = store.get(tx, keys, key_id) if key_id else None
        if key_id and (row is None or (row.project_id != context.project_id and not context.is_admin)):
            raise BadRequest(f"Invalid input received: the encryption key {key_id} could not be found.")
        return row and row.id

    def key_for_project(self, tx: Tx, key_id: str | None, project_id: str) -> str | None:
        """A volume's key, as another project has it from now on; who had it before keeps what it was used for."""
        if key_id is None:
            return None
        row, new = store.get(tx, keys, key_id), self.ids.uuid()
        tx.execute(keys.insert(), {**row._mapping, "id": new, "project_id": project_id, "exported": False})
        return new

    def encryption_shown(self, tx: Tx, volume: sa.Row) -> dict[str, Any]:
        """As the API tells it: without the passphrase."""
        if volume.encryption_key_id is None:
            return {"encryption_key_id": None}
        row = store.get(tx, keys, volume.encryption_key_id)
        return {"encryption_key_id": row.id, "provider": row.provider, "key_size": row.key_size, "cipher": row.cipher,
                "control_location": row.control_location}

    def limits(self, tx: Tx, type_id: str, gib: int) -> dict[str, int]:
        """Of the throughput of a volume of this type and size."""
        kind = store.get(tx, types, type_id)
        return limits_of(store.get(tx, qos_specs, kind.qos_id) if kind is not None and kind.qos_id else None, gib)

    def wiring(self, tx: Tx, volume_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What hosts are told of volumes that guests have: whether others have them too, limits, keys."""
        rows = store.by_ids(tx, volumes, volume_ids)
        kinds = store.by_ids(tx, types, (row.type_id for row in rows.values()))
        qos = store.by_ids(tx, qos_specs, (kind.qos_id for kind in kinds.values()))
        sealed = store.by_ids(tx, keys, (row.encryption_key_id for row in rows.values()))
        return {key: {
            "shared": row.multiattach,
            "limits": limits_of(qos.get(kinds[row.type_id].qos_id) if row.type_id in kinds else None, row.size),
            "key": sealed[row.encryption_key_id].sealed if row.encryption_key_id in sealed else "",
        } for key, row in rows.items()}
