"""Shelved servers leave their hosts after a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.compute import states, store
from pilvi.engine.reconcilers import Reconciler

if TYPE_CHECKING:
    from pilvi.compute.service import Compute


class Shelved(Reconciler):
    name = "shelved"
    period = 30.0

    def __init__(self, compute: Compute):
        self._compute = compute

    def reconcile(self) -> str:
        seconds = self._compute.settings.shelved_offload_seconds
        if seconds < 0:
            return "shelved servers stay on their hosts"
        with self._compute.db.transaction() as tx:
            rows = store.select_servers(tx, store.ServerQuery(equal={"vm_state": states.SHELVED}))
            due = [row for row in rows if row.shelved and row.shelved["at"] <= tx.now - seconds * 1_000_000]
            begun = sum(self._compute.offload(tx, row) for row in due)
        return f"{begun} shelved servers leave their hosts" if begun else "none is due"
