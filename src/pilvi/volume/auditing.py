"""What is kept and has no row, and rows of what is not kept any more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import sqlalchemy as sa

from pilvi.audit import MISSING, ORPHAN, Finding, Key
from pilvi.engine import store as engine_store
from pilvi.volume import store
from pilvi.volume.managing import Managing
from pilvi.volume.tables import backups, snapshots, volumes

AT_REST = ("available", "in-use", "reserved")
PASSING = re.compile("(of|backup|rebuild)-")  # what an operation freezes for itself while it copies
NOUNS = ((volumes, "volume"), (snapshots, "snapshot"))


class Auditing(Managing):
    def audit(self) -> Iterator[Finding]:
        """What has no row may be somebody's data, let go of on purpose: it is told, and never deleted.

        Raises Conflict where the host does not answer."""
        before = self._wanted()
        found = self.inventory()
        files = self.vault.names()
        with self.db.read() as tx:
            busy = engine_store.unfinished_objects(tx)
            for (table, noun), kept in zip(NOUNS, (found.volumes, found.snapshots), strict=True):
                names = {each.name for each in kept}
                rows = store.by_ids(tx, table, names)
                for name in sorted(names - rows.keys() - busy):
                    if table is snapshots and PASSING.match(name):
                        if not busy:
                            yield Finding(Key(ORPHAN, noun, name, self.keeper), "no operation is at work on it", "deleted",
                                          partial(self.bus.call, self.keeper, "volume_absent_snapshot", name))
                        continue
                    yield Finding(Key(ORPHAN, noun, name, self.keeper), f"there is no {noun} of this id",
                                  "kept: an administrator may take it into a project (Block Storage's manage)")
                for row_id in sorted(before[noun] - names - busy):
                    if (row := store.get(tx, table, row_id)) is not None and row.status in AT_REST:
                        yield Finding(Key(MISSING, noun, row_id, self.keeper), "nothing is kept of it",
                                      "its status becomes error", partial(self._lost, table, noun, row_id))
            named = {row.file for row in tx.all(sa.select(backups.c.file))}
        for name in sorted(files - named):
            yield Finding(Key(ORPHAN, "backup file", name, self.vault.place), "no backup has it",
                          "kept: `openstack volume backup record import` may know it")

    def _wanted(self) -> dict[str, set[str]]:
        with self.db.read() as tx:
            return {noun: {row.id for row in tx.all(sa.select(table.c.id).where(table.c.status.in_(AT_REST)))}
                    for table, noun in NOUNS}

    def _lost(self, table: sa.Table, noun: str, row_id: str) -> None:
        with self.db.transaction() as tx:
            row = store.update(tx, table, row_id, status="error")
            if row is not None:
                kind = "VOLUME" if table is volumes else "VOLUME_SNAPSHOT"
                self.tell(tx, row.project_id, None, (kind, row_id), f"VOLUME_{kind}_001_002",
                          f"Nothing is kept of this {noun} any more.")
