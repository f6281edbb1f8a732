"""Runs operations and reconcilers.

Operations of one object run one after another, in the order in which they were accepted; those of different objects
side by side, in a bounded pool of threads. Each operation is leased in the database, so several controllers can share
one database, and one that is killed leaves nothing that another (or its own next start) does not take up.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from pilvi.db import Database, Tx
from pilvi.engine import store
from pilvi.engine.clock import Clock, Ids
from pilvi.engine.operations import Cancelled, Operation, Progress, Retry, Step
from pilvi.engine.reconcilers import Reconciler, ReconcilerRunner

log = structlog.get_logger()

LEASE_SECONDS = 30
LONGEST_RETRY_SECONDS = 30


def call_step(verb: Callable[[Progress], None], progress: Progress) -> None:
    verb(progress)


class Engine:
    def __init__(self, db: Database, clock: Clock, ids: Ids, *, workers: int = 24, alone: bool = True,
                 call: Callable[[Callable[[Progress], None], Progress], None] = call_step,
                 retry_seconds: float = 1.0):
        """`alone`: no other controller uses this database, so all leases found at the start are void.
        `call` is how a step is called; tests put their own in to break it."""
        self.db, self.clock, self.ids = db, clock, ids
        self.id = ids.uuid()
        self._alone = alone
        self.call = call
        self._retry_seconds = retry_seconds
        self._kinds: dict[str, Operation] = {}
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="operation")
        self._guard = threading.Lock()
        self._busy: set[str] = set()  # objects whose operations a thread of ours is at work on
        self._again: set[str] = set()  # ... and that were poked meanwhile
        self._current: dict[str, Progress] = {}
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._dispatcher = threading.Thread(target=self._dispatch, name="engine", daemon=True)
        self.reconcilers: dict[str, ReconcilerRunner] = {}

    # -- set-up

    def register(self, *kinds: Operation) -> None:
        for kind in kinds:
            self._kinds[kind.kind] = kind

    def add_reconciler(self, reconciler: Reconciler) -> ReconcilerRunner:
        runner = ReconcilerRunner(reconciler, self.db, self.clock, self.id)
        self.reconcilers[reconciler.name] = runner
        return runner

    @property
    def kinds(self) -> dict[str, Operation]:
        return self._kinds

    def start(self) -> None:
        if self._alone:
            with self.db.transaction() as tx:
                store.release_all(tx)
        self._dispatcher.start()
        for runner in self.reconcilers.values():
            runner.start()

    def stop(self) -> None:
        """Ends between two steps; what is unfinished goes on at the next start."""
        self._stopping.set()
        self._wake.set()
        for runner in self.reconcilers.values():
            runner.stop()
        with self._guard:
            for progress in self._current.values():
                progress.poke()
        if self._dispatcher.is_alive():
            self._dispatcher.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    # -- for services

    def begin(self, tx: Tx, kind: str, object_id: str, *, memory: dict[str, Any] | None = None,
              context: Any = None, wins: bool = False, action: str | None = None) -> str:
        """Accepts an operation in the caller's transaction; it starts once that commits. Returns its id.

        `wins`: whatever is under way for the object is undone first (a delete). `context` is the request's:
        who asked, for which project, under which request id. `action` where it is not the kind's own."""
        operation = self._kinds[kind]
        if wins:
            store.cancel_unfinished(tx, object_id, [k for k, kind in self._kinds.items() if kind.forward_only])
        operation_id = self.ids.uuid()
        store.insert(
            tx, id=operation_id, kind=kind, action=action or operation.action, object_id=object_id, state="running",
            memory=memory or {}, project_id=getattr(context, "project_id", None),
            user_id=getattr(context, "user_id", None), request_id=getattr(context, "request_id", None),
        )
        tx.after_commit(lambda: self.poke(object_id, cancel=wins))
        return operation_id

    def poke(self, object_id: str, cancel: bool = False) -> None:
        """Looks at the object's operations now; also wakes a step that waits."""
        with self._guard:
            if self._stopping.is_set():
                return
            if progress := self._current.get(object_id):
                if cancel and not self._kinds[progress.kind].forward_only:
                    progress.cancel()
                else:
                    progress.poke()
            if object_id in self._busy:
                self._again.add(object_id)
                return
            self._busy.add(object_id)
        self._pool.submit(self._serve, object_id)

    def poke_reconciler(self, name: str) -> None:
        if runner := self.reconcilers.get(name):
            runner.poke()

    def idle(self) -> bool:
        """Nothing is under way in this controller."""
        with self._guard:
            return not self._busy

    # -- inside

    def _dispatch(self) -> None:
        """Finds what nobody poked us about: retries that are due, operations of a controller that died."""
        last_renewal = self.clock.monotonic()
        while not self._stopping.is_set():
            try:
                with self.db.read() as tx:
                    waiting = store.waiting_objects(tx, self.id)
                for object_id in waiting:
                    with self._guard:
                        busy = object_id in self._busy
                    if not busy:
                        self.poke(object_id)
                if self.clock.monotonic() - last_renewal > LEASE_SECONDS / 3:
                    last_renewal = self.clock.monotonic()
                    with self.db.transaction() as tx:
                        store.renew(tx, self.id, tx.now + LEASE_SECONDS * 1_000_000)
            except Exception:
                log.exception("the engine could not look for waiting operations; it tries again")
            self._wake.wait(min(1.0, self._retry_seconds))
            self._wake.clear()

    def _serve(self, object_id: str) -> None:
        """Runs the object's operations until none is due."""
        while not self._stopping.is_set():
            ran = False
            try:
                with self.db.transaction() as tx:
                    row = store.claim_first(tx, object_id, self.id, tx.now + LEASE_SECONDS * 1_000_000)
                if row is not None:
                    ran = True
                    self._run(row)
            except Exception:
                log.exception("an operation could not be run; it is taken up again", object_id=object_id)
                ran = False
            with self._guard:
                if not ran and object_id not in self._again:
                    self._busy.discard(object_id)
                    return
                self._again.discard(object_id)
        with self._guard:
            self._busy.discard(object_id)

    def _run(self, row: Any) -> None:
        operation = self._kinds[row.kind]
        progress = Progress(row, self.clock)
        with self._guard:
            self._current[row.object_id] = progress
        try:
            undo_from = row.step
            if row.state == "running":
                undo_from = self._forward(operation, progress, row.step, row.attempts)
            if undo_from is not None:
                self._backward(operation, progress, undo_from, row.attempts)
        finally:
            with self._guard:
                self._current.pop(row.object_id, None)

    def _forward(self, operation: Operation, progress: Progress, number: int, attempts: int) -> int | None:
        """Does the steps from this one on; the number of the step to undo from, when it comes to that."""
        steps = operation.steps()
        while not self._stopping.is_set():
            if progress.cancelled and not operation.forward_only:
                return self._turn(progress, number, "it was overtaken by a delete")
            step, started = steps[number], self.clock.now()
            try:
                self.call(step.do, progress)
            except Cancelled:
                continue
            except Exception as error:
                if self._stopping.is_set() and isinstance(error, Retry):
                    return None
                attempts += 1
                reason = str(error) or type(error).__name__
                if not isinstance(error, Retry):
                    log.warning("a step failed", operation=operation.kind, object_id=progress.object_id,
                                step=step.name, reason=reason, trace=traceback.format_exc(limit=-4))
                again = operation.forward_only or (isinstance(error, Retry) and attempts < operation.retries)
                self._note(progress, step, started, "Retry" if again else "Error", reason)
                if not again:
                    return self._turn(progress, number, reason)
                self._later(progress, attempts)
                return None
            number, attempts = number + 1, 0
            if number == len(steps):
                with self.db.transaction() as tx:
                    self._trail(tx, progress, step, started)
                    self._update(tx, progress, step=number, state="done", memory=progress.memory, owner=None)
                    operation.finish(tx, progress)
                return None
            self._save(progress, step, started, step=number, attempts=0, memory=progress.memory)
        return None

    def _turn(self, progress: Progress, number: int, reason: str) -> int:
        """From now on backwards, beginning with the step under way, which may be half done."""
        progress.reason = reason
        with self.db.transaction() as tx:
            self._update(tx, progress, state="undoing", step=number, attempts=0, reason=reason, memory=progress.memory)
        return number

    def _backward(self, operation: Operation, progress: Progress, last: int, attempts: int) -> None:
        steps = operation.steps()
        for number in range(last, -1, -1):
            step = steps[number]
            if self._stopping.is_set():
                return
            if step.undo is None:
                continue
            undo, started = Step("undo " + step.name, step.undo), self.clock.now()
            try:
                self.call(step.undo, progress)
            except Exception as error:
                reason = str(error) or type(error).__name__
                log.warning("an undo failed; it is done again", operation=operation.kind, step=step.name,
                            object_id=progress.object_id, reason=reason)
                self._note(progress, undo, started, "Retry", reason)
                self._later(progress, attempts + 1)
                return
            self._save(progress, undo, started, step=max(number - 1, 0), attempts=0, memory=progress.memory)
        with self.db.transaction() as tx:
            self._update(tx, progress, state="failed", step=0, memory=progress.memory, owner=None)
            operation.fail(tx, progress, progress.reason or "unknown")

    def _save(self, progress: Progress, ended: Step, started: int, **values: Any) -> None:
        with self.db.transaction() as tx:
            self._trail(tx, progress, ended, started)
            self._update(tx, progress, **values)

    def _update(self, tx: Tx, progress: Progress, **values: Any) -> None:
        if not store.update(tx, progress.seq, self.id, **values):
            raise LostLease(f"operation {progress.id} is another controller's now")
        if not progress.cancelled and store.is_cancelled(tx, progress.seq):
            progress.cancel()

    def _later(self, progress: Progress, attempts: int) -> None:
        delay = min(self._retry_seconds * 2 ** min(attempts - 1, 10), LONGEST_RETRY_SECONDS)
        with self.db.transaction() as tx:
            self._update(tx, progress, attempts=attempts, memory=progress.memory,
                         not_before=tx.now + int(delay * 1e6))

    def _trail(self, tx: Tx, progress: Progress, step: Step, started: int, result: str = "Success",
               details: str | None = None) -> None:
        store.add_event(tx, operation_id=progress.id, name=step.name, started_at=started, finished_at=tx.now,
                        result=result, host=progress.host, details=details)

    def _note(self, progress: Progress, step: Step, started: int, result: str, details: str) -> None:
        with self.db.transaction() as tx:
            self._trail(tx, progress, step, started, result, details)


class LostLease(Exception):
    """This controller was too slow: another one took the operation over."""
