"""What users tell a server to do: each order is checked, noted as its task, and handed to an operation."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.bus.base import BusError, RemoteError
from pilvi.compute import states, store
from pilvi.compute.servers import Servers
from pilvi.db import Tx
from pilvi.faults import Conflict, NotFound, Unavailable
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

    def reset_state(self, context: Context, server_id: str, state: str) -> None:
        """An administrator's word on what a server is (active | error); the guest is left alone."""
        with self.changing(context, server_id) as (tx, _):
            store.update_server(tx, server_id, vm_state=state, task_state=None)

    def console_output(self, context: Context, server_id: str, lines: int | None = None) -> str:
        """The end of what the serial console said.

        Raises Conflict while there is no host, and Unavailable while that does not answer."""
        row = self.server(context, server_id)
        if row.host is None or row.launched_at is None:
            raise Conflict(f"Instance {server_id} is not ready: its console has not said anything yet.")
        try:
            said = self.bus.call(row.host, "console_log", {"server_id": server_id}, bytes)
        except BusError as error:
            raise Unavailable(f"Unable to get console: {error}") from None
        except RemoteError as error:
            raise NotFound(f"Unable to get console: {error}") from None
        text = said.decode("utf-8", "replace")
        return text if lines is None else "".join(text.splitlines(keepends=True)[-lines:] if lines else [])

    def _order(self, context: Context, server_id: str, change: states.Change) -> None:
        """Raises NotFound, and Conflict where the server is locked or not in a state for it."""
        with self.db.transaction() as tx:
            row = self.owned(tx, context, server_id)
            self.check_lock(context, row)
            if row.host is None:
                raise Conflict(f"Instance {server_id} is not ready: it has no host.")
            generation = store.transition(tx, server_id, change.vm_states, change.task_states,
                                          task_state=change.task_state)
            if generation is None:
                raise _wrong_state(tx, change, row)
            self.engine.begin(tx, change.kind, server_id, context=context,
                              memory={**change.memory, "generation": generation, "host": row.host})


def _wrong_state(tx: Tx, change: states.Change, row: sa.Row) -> Conflict | NotFound:
    row = store.server(tx, row.id)
    if row is None:
        return NotFound("The instance was deleted meanwhile.")
    fitting = row.vm_state in change.vm_states
    what = f"task_state {row.task_state}" if fitting else f"vm_state {row.vm_state}"
    return Conflict(f"Cannot '{change.name}' instance {row.id} while it is in {what}")
