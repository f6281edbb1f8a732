"""Runs operations and reconcilers.

Operations of one object run one after another, in the order in which they were accepted; those of different
objects side by side, in a bounded pool of threads. Each operation is leased in the database, so several
controllers can share one database, and one that is killed leaves nothing that another (or its own next start)
does not take up.
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
from pilvi.engine.operations import Cancelled, Operation, Progress, Retry, Step, Waiting
from pilvi.engine.reconcilers import Reconciler, ReconcilerRunner

log = structlog.get_logger()

LEASE_SECONDS = 30
LONGEST_RETRY_SECONDS = 30


def call_step(verb: Callable[[Progress], None], progress: Progress) -> None:
    verb(progress)


class Engine:
    def __init__(
        self,
        db: Database,
        clock: Clock,
        ids: Ids,
        *,
        workers: int = 24,
        alone: bool = True,
        call: Callable[[Callable[[Progress], None], Progress], None] = call_step,
        retry_seconds: float = 1.0,
    ):
        """`alone`: no other controller uses this database, so all leases found at the start are void.
        `call` is how a step is called; tests put their own in to break it."""
        self.db, self.clock, self.ids = db, clock, ids
        self.id = ids.uuid()
        self._alone = alone
        self.call = call
        self.retry_seconds = retry_seconds  # before the first repetition; it doubles with each
        self._kinds: dict[str, Operation] = {}
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="operation")
        self._guard = threading.Lock()
        self._busy: set[str] = set()  # objects whose operations a thread of ours is at work on
        self._again: set[str] = set()  # ... and that were poked meanwhile
        self._current: dict[str, Progress] = {}  # by object; those that are not busy wait for their condition
        self._next_look = 0.0  # when the dispatcher looks again (monotonic seconds)
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
        with self._guard:
            self._stopping.set()
        self._wake.set()
        for runner in self.reconcilers.values():
            runner.stop()
        if self._dispatcher.is_alive():
            self._dispatcher.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    # -- for services

    def begin(
        self,
        tx: Tx,
        kind: str,
        object_id: str,
        *,
        memory: dict[str, Any] | None = None,
        context: Any = None,
        wins: bool = False,
        action: str | None = None,
    ) -> str:
        """Accepts an operation in the caller's transaction; it starts once that commits. Returns its id.

        `wins`: whatever is under way for the object is undone first (a delete). `context` is the request's:
        who asked, for which project, under which request id. `action` where it is not the kind's own."""
        operation = self._kinds[kind]
        if wins:
            store.cancel_unfinished(
                tx, object_id, [k for k, kind in self._kinds.items() if kind.forward_only]
            )
        operation_id = self.ids.uuid()
        store.insert(
            tx,
            id=operation_id,
            kind=kind,
            action=action or operation.action,
            object_id=object_id,
            state="running",
            memory=memory or {},
            project_id=getattr(context, "project_id", None),
            user_id=getattr(context, "user_id", None),
            request_id=getattr(context, "request_id", None),
        )
        tx.after_commit(lambda: self.poke(object_id, cancel=wins))
        return operation_id

    def note(self, tx: Tx, action: str, object_id: str, context: Any) -> None:
        """For the trail: something that the caller's transaction does as a whole, so that no operation is needed."""
        operation_id = self.ids.uuid()
        store.insert(tx, id=operation_id, kind=f"note.{action}", action=action, object_id=object_id, state="done",
                     memory={}, project_id=context.project_id, user_id=context.user_id, request_id=context.request_id)
        store.add_event(tx, operation_id=operation_id, name=f"api_{action}", started_at=tx.now, finished_at=tx.now,
                        result="Success", host=None, details=None)

    def poke(self, object_id: str, cancel: bool = False) -> None:
        """Looks at the object's operations now; also wakes a step that waits."""
        with self._guard:
            if progress := self._current.get(object_id):
                if cancel and not self._kinds[progress.kind].forward_only:
                    progress.cancel()
                progress.poked = True
            if object_id in self._busy:
                self._again.add(object_id)
            else:
                self._submit(object_id)

    def wake(self, object_id: str | None = None) -> bool:
        """Makes steps that wait, of this object or of all, look at their conditions now.

        False where no operation is under way: nobody waited for what has happened."""
        with self._guard:
            found = self._current if object_id is None else {object_id} & self._current.keys()
            for each in found:
                self._current[each].poked = True
                if each not in self._busy:
                    self._submit(each)
            return bool(found)

    def poke_reconciler(self, name: str) -> None:
        if runner := self.reconcilers.get(name):
            runner.poke()

    @property
    def stopping(self) -> bool:
        """Whether a step that takes long is to end now, by Retry: it is done again at the next start."""
        return self._stopping.is_set()

    def idle(self) -> bool:
        """Nothing is under way in this controller."""
        with self._guard:
            return not self._busy and not self._current

    # -- inside

    def _submit(self, object_id: str) -> None:
        """Has a thread serve it; called with the guard held, so never after the pool has been shut down."""
        if not self._stopping.is_set():
            self._busy.add(object_id)
            self._pool.submit(self._serve, object_id)

    def _dispatch(self) -> None:
        """Finds what nobody poked us about: retries that are due, operations of a controller that died, steps
        that look at their condition now and then, deletes that another controller was told of."""
        looked_at = renewed_at = float("-inf")
        while not self._stopping.is_set():
            now = self.clock.monotonic()
            try:
                period = min(1.0, self.retry_seconds)
                if now - looked_at >= period:
                    looked_at = now
                    self._look()
                if now - renewed_at >= LEASE_SECONDS / 3:
                    renewed_at = now
                    with self.db.transaction() as tx:
                        store.renew(tx, self.id, tx.now + LEASE_SECONDS * 1_000_000)
            except Exception:
                log.exception("the engine could not look for waiting operations; it tries again")
            with self._guard:
                parked = {
                    each: progress for each, progress in self._current.items() if each not in self._busy
                }
                for each, progress in parked.items():
                    if progress.look_at <= now:
                        self._submit(each)
                self._next_look = min(
                    [
                        looked_at + period,
                        *(progress.look_at for progress in parked.values() if progress.look_at > now),
                    ]
                )
            self._wake.wait(max(0.0, self._next_look - self.clock.monotonic()))
            self._wake.clear()

    def _look(self) -> None:
        with self.db.read() as tx:
            waiting = store.waiting(tx, self.id)
        for row in waiting:
            with self._guard:
                current, busy = self._current.get(row.object_id), row.object_id in self._busy
            if current is None and not busy:
                self.poke(row.object_id)
            elif row.cancelled and current is not None and current.seq == row.seq and not current.cancelled:
                self.poke(row.object_id, cancel=True)

    def _serve(self, object_id: str) -> None:
        """Runs the object's operations until none is due, or one waits."""
        again = True
        while again:
            progress = self._current.get(object_id)
            try:
                progress = progress or self._claim(object_id)
                more = progress is not None and self._run(progress)
            except Exception:
                log.exception("an operation could not be run; it is taken up again", object_id=object_id)
                with self._guard:
                    self._current.pop(object_id, None)
                more = not self._stopping.wait(self.retry_seconds)
            with self._guard:
                parked = object_id in self._current
                again = (
                    progress.poked if parked else more or object_id in self._again
                ) and not self._stopping.is_set()
                self._again.discard(object_id)
                if not again:
                    self._busy.discard(object_id)
                    if parked and progress.look_at < self._next_look:
                        self._wake.set()

    def _claim(self, object_id: str) -> Progress | None:
        with self.db.transaction() as tx:
            row = store.claim_first(tx, object_id, self.id, tx.now + LEASE_SECONDS * 1_000_000)
        if row is None:
            return None
        progress = Progress(row, self.clock)
        with self._guard:
            self._current[object_id] = progress
        return progress

    def _run(self, progress: Progress) -> bool:
        """Takes an operation as far as it goes now; whether another of its object may be due.

        One that waits stays in `_current`, with the time of the next look at it."""
        operation = self._kinds[progress.kind]
        try:
            if progress.state == "running":
                self._forward(operation, progress)
            if progress.state == "undoing":
                self._backward(operation, progress)
        except Waiting as waiting:
            progress.look_at = self.clock.monotonic() + waiting.seconds
            return False
        with self._guard:
            self._current.pop(progress.object_id, None)
        return not progress.last

    def _forward(self, operation: Operation, progress: Progress) -> None:
        """Does the steps from the one under way on. Raises Waiting where one waits for its condition."""
        steps = operation.steps()
        while progress.state == "running" and not self._stopping.is_set():
            step = steps[progress.step]
            if progress.cancelled and not (operation.forward_only or step.certain):
                return self._turn(progress, "it was overtaken by a delete")
            progress.started = progress.started or self.clock.now()
            progress.poked = False
            try:
                self.call(step.do, progress)
            except Cancelled:
                continue
            except Waiting:
                if not progress.poked:
                    raise
                continue
            except Exception as error:
                if not self._failed(operation, progress, step, error):
                    return None
                continue
            progress.step, progress.attempts = progress.step + 1, 0
            with self.db.transaction() as tx:
                self._trail(tx, progress, step.name)
                if progress.step < len(steps):
                    self._update(tx, progress)
                else:
                    self._end(tx, progress, "done")
                    operation.finish(tx, progress)
            progress.started = None
        return None

    def _failed(self, operation: Operation, progress: Progress, step: Step, error: Exception) -> bool:
        """What a step's failure means: False where it is done again later, True where all is undone now."""
        if self._stopping.is_set() and isinstance(error, Retry):
            return False
        reason = str(error) or type(error).__name__
        if not isinstance(error, Retry):
            log.warning(
                "a step failed",
                operation=operation.kind,
                object_id=progress.object_id,
                step=step.name,
                reason=reason,
                trace="".join(traceback.format_exception(error, limit=-4)),
            )
        progress.attempts += 1
        certain = operation.forward_only or step.certain
        if certain or (isinstance(error, Retry) and progress.attempts < operation.retries):
            self._later(progress, step.name, reason)
            return False
        self._turn(progress, reason, failed=step.name)
        return True

    def _turn(self, progress: Progress, reason: str, failed: str | None = None) -> None:
        """From now on backwards, beginning with the step under way, which may be half done."""
        with self.db.transaction() as tx:
            if failed is not None:
                self._trail(tx, progress, failed, "Error", reason)
            progress.reason, progress.attempts = reason, 0
            self._update(tx, progress, state="undoing", reason=reason)
        progress.state, progress.started = "undoing", None

    def _backward(self, operation: Operation, progress: Progress) -> None:
        steps = operation.steps()
        for number in range(progress.step, -1, -1):
            step = steps[number]
            if self._stopping.is_set():
                return
            if step.undo is None:
                continue
            progress.step, progress.started = number, self.clock.now()
            try:
                self.call(step.undo, progress)
            except Exception as error:
                reason = str(error) or type(error).__name__
                log.warning(
                    "an undo failed; it is done again",
                    operation=operation.kind,
                    step=step.name,
                    object_id=progress.object_id,
                    reason=reason,
                )
                progress.attempts += 1
                self._later(progress, "undo " + step.name, reason)
                return
            progress.step, progress.attempts = max(number - 1, 0), 0
            with self.db.transaction() as tx:
                self._trail(tx, progress, "undo " + step.name)
                self._update(tx, progress)
        with self.db.transaction() as tx:
            self._end(tx, progress, "failed")
            operation.fail(tx, progress, progress.reason or "unknown")

    def _end(self, tx: Tx, progress: Progress, state: str) -> None:
        self._update(tx, progress, state=state, owner=None)
        progress.state = state
        progress.last = store.unfinished(tx, progress.object_id) is None

    def _update(self, tx: Tx, progress: Progress, **values: Any) -> None:
        cancelled = store.update(
            tx,
            progress.seq,
            self.id,
            step=progress.step,
            attempts=progress.attempts,
            memory=progress.memory,
            **values,
        )
        if cancelled is None:
            raise LostLease(f"operation {progress.id} is another controller's now")
        if cancelled:
            progress.cancel()

    def _later(self, progress: Progress, name: str, reason: str) -> None:
        """Puts the operation off: the step under way is done again after a while, longer each time."""
        delay = min(self.retry_seconds * 2 ** min(progress.attempts - 1, 10), LONGEST_RETRY_SECONDS)
        with self.db.transaction() as tx:
            self._trail(tx, progress, name, "Retry", reason)
            self._update(tx, progress, not_before=tx.now + int(delay * 1e6))

    def _trail(
        self, tx: Tx, progress: Progress, name: str, result: str = "Success", details: str | None = None
    ) -> None:
        store.add_event(
            tx,
            operation_id=progress.id,
            name=name,
            started_at=progress.started or tx.now,
            finished_at=tx.now,
            result=result,
            host=progress.host,
            details=details,
        )


class LostLease(Exception):
    """This controller was too slow: another one took the operation over."""
