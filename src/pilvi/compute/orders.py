"""Orders to servers: each is checked, noted as the server's task, and handed to an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.compute import store
from pilvi.compute.servers import Servers
from pilvi.db import Tx
from pilvi.faults import Conflict, NotFound
from pilvi.policy import Context


class Change:
    """A user's order to a server: the states in which it is taken, and the state it is in meanwhile."""

    def __init__(self, name: str, kind: str, task_state: str | None, vm_states: Sequence[str],
                 task_states: Sequence[str | None] = (None,), memory: dict[str, Any] | None = None, *,
                 heeds_lock: bool = True):
        self.name, self.kind, self.task_state = name, kind, task_state
        self.heeds_lock = heeds_lock
        self.vm_states, self.task_states, self.memory = tuple(vm_states), tuple(task_states), memory or {}


class Orders(Servers):
    def order(self, context: Context, server_id: str, change: Change) -> None:
        """Raises NotFound, and Conflict where the server is locked or not in a state for it."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, change)
            self.engine.begin(tx, change.kind, server_id, context=context,
                              memory={**change.memory, "generation": generation, "host": row.host})

    def taken(self, tx: Tx, context: Context, server_id: str, change: Change, *,
              generations: int = 1, hosted: bool = True) -> tuple[sa.Row, int]:
        """(the server as it was, the last of the generations that it has now); the change is its task by then.

        Raises NotFound, and Conflict where the server is locked or not in a state for it."""
        row = self.owned(tx, context, server_id)
        if change.heeds_lock:
            self.check_lock(context, row)
        if hosted and row.host is None and row.vm_state in change.vm_states:
            raise Conflict(f"Instance {server_id} is not ready: it has no host.")
        generation = store.transition(tx, server_id, change.vm_states, change.task_states,
                                      generations=generations, task_state=change.task_state)
        if generation is None:
            raise wrong_state(tx, change, row)
        return row, generation


def wrong_state(tx: Tx, change: Change, row: sa.Row) -> Conflict | NotFound:
    row = store.server(tx, row.id)
    if row is None:
        return NotFound("The instance was deleted meanwhile.")
    fitting = row.vm_state in change.vm_states
    what = f"task_state {row.task_state}" if fitting else f"vm_state {row.vm_state}"
    return Conflict(f"Cannot '{change.name}' instance {row.id} while it is in {what}")
