"""Network's pass: the northbound driver is given what the rows say; what is up is written into the rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from pilvi.db import Database
from pilvi.drivers.fabric.base import Northbound
from pilvi.engine.clock import Clock
from pilvi.engine.reconcilers import Reconciler
from pilvi.network import store, tables, topology
from pilvi.network.nouns import PORT

FULL_SECONDS = 60.0  # between comparisons that no change asks for: somebody else may have changed the network
REST = 4  # how often as long as a pass took the next one waits
SHORTEST_REST, LONGEST_REST = 0.02, 2.0  # seconds


class NetworkReconciler(Reconciler):
    name = "network"
    period = 1.0  # ports come up without telling anybody

    def __init__(
        self,
        db: Database,
        clock: Clock,
        northbound: Northbound,
        *,
        pause: Callable[[float], None] = time.sleep,
    ):
        self._db, self._clock, self._northbound, self._pause = db, clock, northbound, pause
        self._callbacks: list[Callable[[], None]] = []
        self._applied: frozenset[str] | None = None  # ports in the topology that the driver was given last
        self._up: frozenset[str] | None = None
        self._full_at = self._rested_at = 0.0

    def on_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def realised(self, port_ids: Collection[str]) -> bool:
        """Was the driver given these ports? Those that are gone need nothing."""
        if self._applied is None:
            return False
        if not (missing := set(port_ids) - self._applied):
            return True
        with self._db.read() as tx:
            return not store.by_ids(tx, PORT, missing)

    def reconcile(self) -> str:
        # Under a storm of changes, passes leave most of the time to the requests that cause them.
        if (rest := self._rested_at - self._clock.monotonic()) > 0:
            self._pause(min(rest, LONGEST_REST))
        started = self._clock.monotonic()
        try:
            return self._pass(started)
        finally:
            now = self._clock.monotonic()
            self._rested_at = now + min(max(REST * (now - started), SHORTEST_REST), LONGEST_REST)

    def _pass(self, now: float) -> str:
        with self._db.read() as tx:
            seen = store.pending_changes(tx)
            due = self._applied is None or bool(seen) or now >= self._full_at
            world = topology.read(tx) if due or self._northbound.ports_up() != self._up else None
        if world is None:
            return "nothing to do"
        changed = self._apply(world.topology, now) if due else 0
        up = self._northbound.ports_up()
        statuses = self._write(world, seen, up)
        self._up = up
        if seen or changed or statuses:
            for callback in self._callbacks:
                callback()
        return f"{len(world.topology.ports)} ports, {changed} rows of the logical network changed"

    def _apply(self, wanted: topology.Topology, now: float) -> int:
        try:
            changed = self._northbound.sync(wanted)
        except Exception:
            self._full_at = 0.0  # whatever comes next is compared as a whole
            raise
        self._applied = frozenset(port.id for port in wanted.ports)
        self._full_at = now + FULL_SECONDS
        return changed

    def _write(self, world: topology.World, seen: list[int], up: frozenset[str]) -> int:
        """Statuses that differ, and that these changes are done; how many statuses it were."""
        ports = {
            status: [
                port_id
                for port_id, kept in world.ports.items()
                if kept != status and (port_id in up) == (status == "ACTIVE")
            ]
            for status in ("ACTIVE", "DOWN")
        }
        floating = [
            (floating_id, wanted) for floating_id, (kept, wanted) in world.floating_ips.items() if kept != wanted
        ]
        count = sum(map(len, ports.values())) + len(floating)
        if not (seen or count):
            return 0
        with self._db.transaction() as tx:
            for status, ids in ports.items():
                store.set_statuses(tx, tables.ports, status, ids)
            for status in ("ACTIVE", "DOWN"):
                store.set_statuses(
                    tx, tables.floatingips, status, [one for one, wanted in floating if wanted == status]
                )
            store.forget_changes(tx, seen)
        return count
