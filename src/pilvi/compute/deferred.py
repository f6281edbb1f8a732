"""Servers that are deleted for a while before they are gone, and may come back until then: `reclaim_instance_interval`."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.compute import store, store_migrations
from pilvi.compute.actions import Actions
from pilvi.compute.orders import Change
from pilvi.compute.quotas import Quotas
from pilvi.compute.states import ACTIVE, RESCUED, RESIZED, SHELVED, SOFT_DELETED
from pilvi.db import Tx
from pilvi.policy import Context

RESTORE = Change("restore", "server.restore", "restoring", (SOFT_DELETED,))
SOFT_DELETING = "soft-deleting"
COMES_BACK_AS = (RESCUED, RESIZED, SHELVED)  # all others run when they are back


class Deferred(Quotas, Actions):
    """What counts against quotas of such a server is nothing: its row says so, and has what it was set aside."""

    def remove_server(self, context: Context, server_id: str) -> None:
        """At once, or after a while where the settings say so: but for what never ran, or is on no host.

        Raises NotFound, and Conflict where it is locked."""
        if self.settings.reclaim_instance_interval > 0:
            row = self.server(context, server_id)
            if row.launched_at is not None and row.host is not None:
                return self.soft_delete(context, server_id)
        return self.delete_server(context, server_id)

    def soft_delete(self, context: Context, server_id: str) -> None:
        """It is switched off whatever it does. Asked again, nothing more happens. Raises NotFound, Conflict."""
        with self.db.transaction() as tx:
            row = self.owned(tx, context, server_id)
            self.check_lock(context, row)
            if row.vm_state == SOFT_DELETED or row.task_state in (SOFT_DELETING, "deleting"):
                return
            aside = {"at": tx.now, "was": row.vm_state, "vcpus": row.vcpus, "ram": row.ram}
            generation = store.transition(tx, server_id, None, None, task_state=SOFT_DELETING, soft_deleted=aside,
                                          vcpus=0, ram=0)
            self.engine.begin(tx, "server.soft_delete", server_id, context=context, wins=True,
                              memory={"generation": generation, "host": row.host, "aside": aside})

    def restore_server(self, context: Context, server_id: str) -> None:
        """Raises NotFound, Conflict where it is not one that was deleted for a while, OverLimit."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, RESTORE)
            aside = row.soft_deleted
            held = {"vcpus": aside["vcpus"], "ram": aside["ram"]}
            self.growing(tx, row.project_id, instances=1, cores=held["vcpus"], ram=held["ram"])
            store.update_server(tx, server_id, **held)
            self.engine.begin(tx, RESTORE.kind, server_id, context=context, memory={
                "generation": generation, "host": row.host, "becomes": self._becomes(tx, row)})

    def _becomes(self, tx: Tx, row: sa.Row) -> str:
        was = row.soft_deleted["was"]
        if was == RESIZED and store_migrations.undecided(tx, row.id) is None:
            return ACTIVE
        return was if was in COMES_BACK_AS else ACTIVE

    def reclaim(self, tx: Tx, row: sa.Row) -> bool:
        """Its time is up; False where it is going already."""
        going = store.mark_deleting(tx, row.id)
        if going:
            self.engine.begin(tx, "server.delete", row.id, wins=True)
        return going
