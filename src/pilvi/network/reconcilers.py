"""Network's pass: the northbound driver is given what the rows say; what is up is written into the rows.

A pass gives the driver what has changed, and all of it at the start, now and then, after a failure, and when somebody
else has changed the network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import sqlalchemy as sa

from pilvi.db import Database
from pilvi.drivers.fabric.base import FabricError, Northbound
from pilvi.engine.clock import Clock
from pilvi.engine.reconcilers import Reconciler
from pilvi.network import scopes, store, store_changes, tables, topology
from pilvi.network.nouns import PORT

WHOLE_SECONDS = 600.0  # between comparisons of everything that nothing asks for
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
        self._applied: set[str] | None = None  # ports in the logical network as the driver was given it
        self._up: frozenset[str] = frozenset()
        self._whole_at = self._rested_at = 0.0
        self._disturbances = -1

    def on_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def compare_all(self) -> None:
        """The next pass compares everything."""
        self._whole_at = 0.0

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
        disturbances = self._northbound.disturbances()
        whole = self._applied is None or now >= self._whole_at or disturbances != self._disturbances
        try:
            found = self._apply(whole)
        except FabricError:
            self._whole_at = 0.0  # the next pass compares everything: something may be missing that changes rely on
            raise
        if whole:
            self._whole_at, self._disturbances = now + WHOLE_SECONDS, disturbances
        up = self._northbound.ports_up()
        seen, world, changed = found or ((), None, 0)
        statuses = self._write(seen, world, up)
        self._up = up
        if not (found or statuses):
            return "nothing to do"
        if seen or changed or statuses:
            for callback in self._callbacks:
                callback()
        return f"{len(self._applied)} ports, {changed} rows of the logical network changed"

    def _apply(self, whole: bool) -> tuple[list[int], topology.World, int] | None:
        """(changes seen to, what they are about, how many rows of the logical network differed)."""
        with self._db.read() as tx:
            noted = store_changes.pending(tx)
            if not (whole or noted):
                return None
            world = topology.read(tx, None if whole else scopes.of_changes(noted))
        changed = self._northbound.sync(world.topology, world.scope)
        given = {port.id for port in world.topology.ports}
        self._applied = given if world.scope is None else self._applied - world.scope.ports | given
        return [row.seq for row in noted], world, changed

    def _write(self, seen: Collection[int], world: topology.World | None, up: frozenset[str]) -> int:
        """Statuses that differ, and that these changes are done; how many statuses it were."""
        kept, floating = (world.ports, world.floating_ips) if world else ({}, {})
        wrong = [port_id for port_id, status in kept.items() if (status == "ACTIVE") != (port_id in up)]
        doubtful = {*wrong, *(up ^ self._up)}
        turned = [(one, wanted) for one, (status, wanted) in floating.items() if status != wanted]
        if not (seen or doubtful or turned):
            return 0
        with self._db.transaction() as tx:
            count = 0
            for status, ids in (("ACTIVE", doubtful & up), ("DOWN", doubtful - up)):
                count += store.set_statuses(tx, tables.ports, status, ids, *_FOR_HOSTS)
                count += store.set_statuses(tx, tables.floatingips, status, [one for one, to in turned if to == status])
            store_changes.forget(tx, seen)
        return count


_FOR_HOSTS: tuple[Any, ...] = (sa.not_(tables.ports.c.device_owner.startswith("network:")),)
