"""Servers that were deleted for a while are gone when that is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.compute import states, store
from pilvi.engine.reconcilers import Reconciler

if TYPE_CHECKING:
    from pilvi.compute.service import Compute


class Reclaimed(Reconciler):
    name = "reclaimed"
    period = 30.0

    def __init__(self, compute: Compute):
        self._compute = compute

    def reconcile(self) -> str:
        seconds = self._compute.settings.reclaim_instance_interval
        if seconds <= 0:
            return "servers are deleted at once"
        with self._compute.db.transaction() as tx:
            rows = store.select_servers(tx, store.ServerQuery(equal={"vm_state": states.SOFT_DELETED}))
            due = [row for row in rows if row.task_state is None and row.soft_deleted["at"] <= tx.now - seconds * 1_000_000]
            begun = sum(self._compute.reclaim(tx, row) for row in due)
        return f"{begun} servers are deleted for good" if begun else "none is due"
