"""The network cards of a server that is there: attached and detached, and their addresses and security groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.compute import store
from pilvi.compute.servers import Servers
from pilvi.compute.states import ACTIVE, PAUSED, SHELVED_OFFLOADED, STOPPED
from pilvi.db import Tx
from pilvi.faults import Conflict, NotFound
from pilvi.network.service import NicRequest, ServerPort
from pilvi.policy import Context

STATES = (ACTIVE, PAUSED, STOPPED)


class Interfaces(Servers):
    def attach_interface(self, context: Context, server_id: str, wanted: NicRequest | None) -> ServerPort:
        """The new card, which the guest has in a moment. None: on the project's only network.

        Raises NotFound, BadRequest, Forbidden, and Conflict where the server is busy or the port in use."""
        with self._ready(context, server_id, "attach_interface") as (tx, row):
            owner = msgspec.structs.replace(context, project_id=row.project_id)  # an administrator may act for it
            port_id = self.network.add_card(tx, owner, server_id, row.hostname, row.host, wanted)
            self._order_card(tx, context, row, "server.attach_interface", port_id)
            return next(port for port in self.network.ports_of(tx, [server_id])[server_id] if port.id == port_id)

    def detach_interface(self, context: Context, server_id: str, port_id: str) -> None:
        """The port goes with the card where it was made for the server. Raises NotFound, Conflict."""
        with self._ready(context, server_id, "detach_interface") as (tx, row):
            if port_id not in {card[0] for card in self.network.cards_of(tx, server_id)}:
                raise NotFound(f"Port id {port_id} could not be found.")
            self._order_card(tx, context, row, "server.detach_interface", port_id)

    def card_gone(self, tx: Tx, server_id: str, port_id: str) -> None:
        """Somebody deleted the port of a server: its card follows."""
        row = store.server(tx, server_id)
        if row is not None and row.host is not None and row.vm_state in STATES:
            self._order_card(tx, None, row, "server.detach_interface", port_id)

    def _order_card(self, tx: Tx, context: Context | None, row: sa.Row, kind: str, port_id: str) -> None:
        self.engine.begin(tx, kind, row.id, context=context,
                          memory={"generation": row.generation, "host": row.host, "port": port_id})

    # -- addresses and groups: rows alone, which the network's pass carries out

    def add_fixed_ip(self, context: Context, server_id: str, network_id: str) -> None:
        with self._ready(context, server_id, "add_fixed_ip") as (tx, _):
            self.network.add_fixed_ip(tx, context, server_id, network_id)

    def remove_fixed_ip(self, context: Context, server_id: str, address: str) -> None:
        with self._ready(context, server_id, "remove_fixed_ip") as (tx, _):
            self.network.remove_fixed_ip(tx, server_id, address)

    def add_floating_ip(self, context: Context, server_id: str, address: str, fixed: str | None) -> None:
        with self.changing(context, server_id) as (tx, _):
            self.network.lead_to_server(tx, context, server_id, address, fixed)

    def remove_floating_ip(self, context: Context, server_id: str, address: str) -> None:
        with self.changing(context, server_id) as (tx, _):
            self.network.lead_nowhere(tx, context, server_id, address)

    def add_security_group(self, context: Context, server_id: str, group: str) -> None:
        with self.changing(context, server_id) as (tx, _):
            self.network.add_group(tx, context, server_id, group)

    def remove_security_group(self, context: Context, server_id: str, group: str) -> None:
        with self.changing(context, server_id) as (tx, _):
            self.network.remove_group(tx, context, server_id, group)

    def security_groups_of(self, context: Context, server_id: str) -> list[dict[str, Any]]:
        """As the Networking API shows them."""
        with self.db.read() as tx:
            self.owned(tx, context, server_id)
            return self.network.groups_of_server(tx, context, server_id)

    @contextmanager
    def _ready(self, context: Context, server_id: str, what: str,
               states: Sequence[str] = STATES) -> Iterator[tuple[Tx, sa.Row]]:
        """Raises Conflict where the server is locked, busy, or in no state for it."""
        with self.changing(context, server_id) as (tx, row):
            self.check_lock(context, row)
            if row.task_state is not None:
                raise Conflict(f"Cannot '{what}' instance {server_id} while it is in task_state {row.task_state}")
            if row.vm_state not in states or (row.host is None and row.vm_state != SHELVED_OFFLOADED):
                raise Conflict(f"Cannot '{what}' instance {server_id} while it is in vm_state {row.vm_state}")
            yield tx, row
