"""Resizes that nobody had a word on count as confirmed after a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.compute import store, store_migrations
from pilvi.compute.migrations import CONFIRM
from pilvi.db import Tx
from pilvi.engine.reconcilers import Reconciler

if TYPE_CHECKING:
    from pilvi.compute.service import Compute


class Resizes(Reconciler):
    name = "resizes"
    period = 30.0

    def __init__(self, compute: Compute):
        self._compute = compute

    def reconcile(self) -> str:
        seconds = self._compute.settings.resize_confirm_seconds
        if not seconds:
            return "resizes wait for a word"
        with self._compute.db.transaction() as tx:
            due = store_migrations.finished_before(tx, tx.now - seconds * 1_000_000)
            confirmed = sum(self._confirm(tx, move.server_id) for move in due)
        return f"confirmed {confirmed}" if confirmed else "none is due"

    def _confirm(self, tx: Tx, server_id: str) -> bool:
        """False where somebody else has had a word meanwhile."""
        row = store.server(tx, server_id)
        generation = row and store.transition(tx, server_id, CONFIRM.vm_states, CONFIRM.task_states,
                                              task_state=CONFIRM.task_state)
        if generation is None:
            return False
        self._compute.decide(tx, None, row, generation, CONFIRM)
        return True
