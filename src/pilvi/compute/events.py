"""What other services tell of servers: POST /os-server-external-events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from pilvi.compute import store_running
from pilvi.compute.volumes import ServerVolumes
from pilvi.db import Tx
from pilvi.faults import Conflict
from pilvi.policy import Context

NETWORK = frozenset({"network-changed", "network-vif-plugged", "network-vif-unplugged"})
TAGGED = frozenset({"volume-extended", "power-update", "accelerator-request-bound", "volume-reimaged"})


class ExternalEvent(NamedTuple):
    name: str
    server_id: str
    tag: str | None = None


class ExternalEvents(ServerVolumes):
    def tell(self, context: Context, events: Sequence[ExternalEvent]) -> list[int]:
        """What became of each, as an HTTP status: 200 taken, 400 lacks its tag, 404 no such server, 422 no host.

        Events are hints: what is so is looked up, whatever an event says."""
        with self.db.transaction() as tx:
            rows = store_running.known(tx, {event.server_id for event in events})
            return [self._take(tx, context, event, rows.get(event.server_id)) for event in events]

    def inject_network_info(self, context: Context, server_id: str) -> None:
        """The network is made what the rows say once more. Raises NotFound, and Conflict where it has no host."""
        with self.changing(context, server_id) as (tx, row):
            self.check_lock(context, row)
            if row.host is None:
                raise Conflict(f"Instance {server_id} is not ready: it has no host.")
            self.network.look_again(tx)

    def _take(self, tx: Tx, context: Context, event: ExternalEvent, row: sa.Row | None) -> int:
        if row is None:
            return 404
        if row.host is None:
            return 422
        if event.name in TAGGED and not event.tag:
            return 400
        if event.name in NETWORK:
            self.network.look_again(tx)
            tx.after_commit(lambda: self.engine.wake(event.server_id))
        elif event.name == "network-vif-deleted":
            self._card_gone(tx, row, event.tag)
        elif event.name == "volume-extended":
            self.volume_extended(tx, context, row.id, event.tag)
        elif event.name == "power-update":
            tx.after_commit(lambda: self.engine.poke_reconciler("guests"))
        return 200

    def _card_gone(self, tx: Tx, row: sa.Row, port_id: str | None) -> None:
        """Of a port that is still there, and the server's, it is not so."""
        if port_id is not None and port_id not in {card[0] for card in self.network.cards_of(tx, row.id)}:
            self.card_gone(tx, row.id, port_id)
