"""What happened to a server: the engine's operations, as instance actions and as a reason trail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.compute import store
from pilvi.compute.servers import Servers
from pilvi.compute.states import status_of
from pilvi.engine import store as engine_store
from pilvi.engine.clock import seconds_text
from pilvi.faults import BadRequest, NotFound
from pilvi.policy import Context


class Trail(Servers):
    def server_actions(self, context: Context, server_id: str, *, deleted: bool = False,
                       limit: int | None = None, marker: str | None = None, since: int | None = None,
                       until: int | None = None) -> Sequence[sa.Row]:
        """Operations, newest first; times bound the last change (microseconds), `marker` is a request's id.

        `deleted`: also of a server that is gone. Raises NotFound, and BadRequest for an unknown marker."""
        with self.db.read() as tx:
            self.owned(tx, context, server_id, deleted=deleted)
            rows = engine_store.operations_of(tx, server_id, since=since, until=until)
        if marker is not None:
            requests = [row.request_id for row in rows]
            if marker not in requests:
                raise BadRequest(f"marker [{marker}] not found")
            rows = rows[requests.index(marker) + 1:]
        return rows[:limit]

    def server_action(self, context: Context, server_id: str, request_id: str, *,
                      deleted: bool = False) -> tuple[sa.Row, Sequence[sa.Row]]:
        """One operation with its events. Raises NotFound."""
        with self.db.read() as tx:
            self.owned(tx, context, server_id, deleted=deleted)
            operation = engine_store.operation_by_request(tx, server_id, request_id)
            if operation is None:
                raise NotFound(f"Action for request_id {request_id} on instance {server_id} not found")
            return operation, engine_store.events_of(tx, operation.id)

    def explain(self, server: str) -> dict[str, Any] | None:
        """The reason trail of a server, by its id, or by a name that only one has; None when there is none.

        Raises BadRequest where several have the name."""
        with self.db.read() as tx:
            row = store.server(tx, server, deleted=True)
            if row is None:
                named = store.servers_named(tx, server) or store.servers_named(tx, server, deleted=True)[:1]
                if len(named) > 1:
                    ids = ", ".join(each.id for each in named)
                    raise BadRequest(f"{len(named)} servers are called {server}: name one by its id ({ids}).")
                if not named:
                    return None
                row = named[0]
            operations = [_explained(each, engine_store.events_of(tx, each.id))
                          for each in reversed(engine_store.operations_of(tx, row.id))]
        return {"id": row.id, "name": row.name, "status": status_of(row.vm_state, row.task_state),
                "host": row.host, "fault": row.fault and row.fault["message"], "operations": operations}


def _explained(operation: sa.Row, events: Sequence[sa.Row]) -> dict[str, Any]:
    return {
        "action": operation.action,
        "state": operation.state,
        "request_id": operation.request_id,
        "started_at": seconds_text(operation.created_at),
        "reason": operation.reason,
        "placement": operation.memory.get("placement", []),
        "events": [
            {"name": event.name, "result": event.result or "under way", "host": event.host,
             "details": event.details,
             "milliseconds": round(((event.finished_at or event.started_at) - event.started_at) / 1000, 1)}
            for event in events
        ],
    }
