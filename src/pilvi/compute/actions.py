"""What users tell a server to do: each order is checked, noted as its task, and handed to an operation."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.compute import states, store
from pilvi.compute.servers import Servers
from pilvi.db import Tx
from pilvi.faults import Conflict, NotFound
from pilvi.policy import Context


class Actions(Servers):
    def stop(self, context: Context, server_id: str) -> None:
        self._order(context, server_id, states.STOP)

    def start(self, context: Context, server_id: str) -> None:
        self._order(context, server_id, states.START)

    def pause(self, context: Context, server_id: str) -> None:
        self._order(context, server_id, states.PAUSE)

    def unpause(self, context: Context, server_id: str) -> None:
        self._order(context, server_id, states.UNPAUSE)

    def reboot(self, context: Context, server_id: str, *, hard: bool = False) -> None:
        self._order(context, server_id, states.HARD_REBOOT if hard else states.SOFT_REBOOT)

    def delete_server(self, context: Context, server_id: str) -> None:
        """Whatever it does, it goes; asked again while it goes, nothing more happens.

        Raises NotFound, and Conflict where it is locked."""
        with self.db.transaction() as tx:
            row = self.owned(tx, context, server_id)
            self.check_lock(context, row)
            if store.mark_deleting(tx, server_id):
                self.engine.begin(tx, "server.delete", server_id, context=context, wins=True)

    def _order(self, context: Context, server_id: str, change: states.Change) -> None:
        """Raises NotFound, and Conflict where the server is locked or not in a state for it."""
        with self.db.transaction() as tx:
            row = self.owned(tx, context, server_id)
            self.check_lock(context, row)
            if row.host is None:
                raise Conflict(f"Instance {server_id} is not ready: it has no host.")
            if store.transition(tx, server_id, change.vm_states, change.task_states,
                                task_state=change.task_state) is None:
                raise _wrong_state(tx, change, row)
            self.engine.begin(tx, change.kind, server_id, memory=dict(change.memory), context=context)


def _wrong_state(tx: Tx, change: states.Change, row: sa.Row) -> Conflict | NotFound:
    row = store.server(tx, row.id)
    if row is None:
        return NotFound("The instance was deleted meanwhile.")
    what = (f"vm_state {row.vm_state}" if row.vm_state not in change.vm_states else f"task_state {row.task_state}")
    return Conflict(f"Cannot '{change.name}' instance {row.id} while it is in {what}")
