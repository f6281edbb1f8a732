"""Volume: volumes, snapshots, backups, groups, types. What other domains import of it is here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.engine.engine import Engine
from pilvi.tenancy import Owned
from pilvi.volume import store
from pilvi.volume.auditing import Auditing
from pilvi.volume.for_servers import BootSource
from pilvi.volume.groups import Groups
from pilvi.volume.listing import Listing
from pilvi.volume.moving import Moving
from pilvi.volume.operations import operations
from pilvi.volume.qos import Qos
from pilvi.volume.reimaging import Reimaging
from pilvi.volume.tables import attachments, backups, groups, snapshots, transfers, volumes
from pilvi.volume.vaults import vault
from pilvi.volume.volumes import Found, VolumeCreate

__all__ = ["BootSource", "Found", "Listing", "VolumeCreate", "Volumes"]


class Volumes(Moving, Reimaging, Qos, Auditing, Groups):
    """The verbs of all nouns; each noun has a module of its own."""

    def __init__(self, *parts: Any, folder: Path, **others: Any):
        """`folder`: where backups lie, and what passes between hosts on its way."""
        super().__init__(*parts, **others)
        self.folder = folder
        self.vault = vault(folder / "backups", self.settings.volume.backup_s3)

    def register(self, engine: Engine) -> None:
        engine.register(*operations(self))

    def bootstrap(self) -> None:
        super().bootstrap()
        self.bootstrap_groups()

    def kept_for_projects(self) -> list[Owned]:
        tables = {"volumes": volumes, "volume_snapshots": snapshots, "volume_backups": backups, "volume_groups": groups}
        return [Owned(kind, table.c.project_id) for kind, table in tables.items()]

    def forget_volume(self, tx: Tx, volume_id: str) -> None:
        row = store.get(tx, volumes, volume_id)
        for table in (attachments, transfers, snapshots):
            tx.execute(sa.delete(table).where(table.c.volume_id == volume_id))
        store.delete(tx, volumes, volume_id)
        self.drop_key(tx, row and row.encryption_key_id)

    def poke_waiting(self, tx: Tx) -> None:
        """Operations of others may wait for a volume."""
        tx.after_commit(self.engine.wake)
