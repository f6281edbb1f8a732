"""Reconcilers: passes that make the world match rows, or rows match the world.

A pass takes no input, does the same at start-up as on any other day, and does not retry inside itself: a
failed pass is simply followed by the next one. It is poked when something changed, and runs now and then all
the same.
"""

from __future__ import annotations

import threading

import structlog

from pilvi.db import Database
from pilvi.engine import store
from pilvi.engine.clock import Clock

log = structlog.get_logger()

LEASE_SECONDS = 30


class Reconciler:
    name: str
    period: float = 30.0  # seconds between passes that nobody asked for
    shared = True  # one controller at a time does it; False: each controller does its own

    def reconcile(self) -> str:
        """One pass; returns what it did, in a few words. An exception is the status of a failed pass."""
        raise NotImplementedError


class ReconcilerRunner:
    """The thread of one reconciler."""

    def __init__(self, reconciler: Reconciler, db: Database, clock: Clock, owner: str):
        self.reconciler = reconciler
        self._db, self._clock, self._owner = db, clock, owner
        self._poked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler " + reconciler.name, daemon=True)
        self._passes = 0
        self._failures = 0
        self._shown: tuple[bool, str] | None = None
        self._shown_at = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._poked.set()
        if self._thread.is_alive():
            self._thread.join()

    def poke(self) -> None:
        self._poked.set()

    def run_once(self) -> bool:
        """One pass, with its status kept; says whether it went well."""
        name = self.reconciler.name
        if self.reconciler.shared:
            with self._db.transaction() as tx:
                if not store.take_lease(
                    tx, "reconciler " + name, self._owner, tx.now + LEASE_SECONDS * 1_000_000
                ):
                    return True
        try:
            ok, summary = True, self.reconciler.reconcile()
            self._failures = 0
        except Exception as error:
            ok, summary = False, f"{type(error).__name__}: {error}"
            self._failures += 1
            log.warning(
                "a reconciler's pass failed; the next one tries again",
                reconciler=name,
                reason=summary,
                exc_info=self._failures == 1,
            )
        self._passes += 1
        if (ok, summary) != self._shown or self._clock.monotonic() - self._shown_at > 10:
            self._shown, self._shown_at = (ok, summary), self._clock.monotonic()
            with self._db.transaction() as tx:
                store.save_status(
                    tx,
                    name,
                    ok=ok,
                    summary=summary,
                    finished_at=tx.now,
                    passes=self._passes,
                    failures=self._failures,
                )
        return ok

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._poked.clear()
            try:
                ok = self.run_once()
            except Exception:
                log.exception("a reconciler's status could not be kept", reconciler=self.reconciler.name)
                ok = False
            # After a failure soon again, but never at once: the cause needs a moment to go away.
            period = (
                self.reconciler.period
                if ok
                else min(self.reconciler.period, 0.5 * 2 ** min(self._failures, 6))
            )
            if not ok:
                self._stopping.wait(min(period, 0.5))
            self._poked.wait(period)
