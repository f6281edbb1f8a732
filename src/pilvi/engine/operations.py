"""Operations (sagas): user-visible changes of several steps, which survive a crash or are undone.

An `Operation` names its steps. Each step's *do* and *undo* are idempotent: after a crash the step under way
is done again, and when a step fails for good it and those before it are undone, last first. What a step wants
to remember it puts into `progress.memory` (JSON), which is saved with the step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from pilvi.db import Tx
from pilvi.engine.clock import Clock


class Retry(Exception):
    """Raised by a step that may well succeed later (an agent does not answer): it is done again then."""


class Cancelled(Exception):
    """Raised by `Progress.wait` when the operation was overtaken by one that wins (a delete)."""


class Waiting(Exception):
    """Raised by `Progress.wait`: the engine does the step again in so many seconds, or when poked."""

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds


class Progress:
    """What a step knows: whose operation it is, and what the steps before it noted down."""

    def __init__(self, row: Any, clock: Clock):
        self.id: str = row.id
        self.seq: int = row.seq
        self.kind: str = row.kind
        self.object_id: str = row.object_id
        self.project_id: str | None = row.project_id
        self.request_id: str | None = row.request_id
        self.memory: dict[str, Any] = dict(row.memory)
        self.reason: str | None = row.reason
        self.host: str | None = None  # the host a step works on, for the trail
        # The engine's own:
        self.state: str = row.state
        self.step: int = row.step
        self.attempts: int = row.attempts
        self.started: int | None = None  # when the step under way was begun
        self.poked = False  # since the step was begun
        self.last = True  # nothing else is to be done for the object; known when this operation has ended
        self.look_at = 0.0  # when a step that waits is done again (monotonic seconds)
        self._cancelled = threading.Event()
        self._deadline: float | None = None
        self._clock = clock
        if row.cancelled:
            self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        self._cancelled.set()

    def wait(self, condition: Callable[[], bool], seconds: float, poll: float = 0.5) -> bool:
        """Waits until the condition holds, at most so many seconds; says whether it does.

        No thread waits: where the condition does not hold yet, Waiting leaves the step, which is done again
        from its beginning when the object is poked, or after `poll` seconds. Not for undo. Raises Cancelled
        as soon as the operation is overtaken."""
        if self.cancelled:
            raise Cancelled
        now = self._clock.monotonic()
        if self._deadline is None:
            self._deadline = now + seconds
        held = condition()
        if not held and now < self._deadline:
            raise Waiting(min(poll, self._deadline - now))
        self._deadline = None
        return held


class Step(NamedTuple):
    name: str
    do: Callable[[Progress], None]
    undo: Callable[[Progress], None] | None = None
    certain: bool = False  # there is no way back from here: it is done again until it succeeds, and so are the rest


class Operation:
    """One kind of operation; an instance serves all of the kind, so it keeps no state of its own."""

    kind: str  # "server.boot"
    action: str  # what os-instance-actions calls it: "create"
    forward_only = False  # never undone: tried until it succeeds (a delete)
    retries = 5  # how often a step may ask to be done again before it counts as failed

    def steps(self) -> tuple[Step, ...]:
        raise NotImplementedError

    def finish(self, tx: Tx, progress: Progress) -> None:
        """Settles the rows, in the transaction that ends the operation well."""

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """Settles the rows, in the transaction that ends the operation after everything was undone.

        Where `progress.cancelled` another operation follows, which owns the object's state."""
