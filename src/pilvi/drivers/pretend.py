"""What the simulated drivers share: failures on demand."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass


class Faults:
    """Failures to come: `fail("plug", "no more taps")` makes the next plug raise; `times` None: every one.

    With `only`, those verbs alone fail whose object has this id; an earlier failure that fits comes first."""

    error: type[Exception]

    def __init__(self) -> None:
        self._coming: dict[str, list[_Failure]] = defaultdict(list)
        self._lock = threading.Lock()

    def fail(self, verb: str, reason: str, times: int | None = 1, *, only: str | None = None) -> None:
        with self._lock:
            self._coming[verb].append(_Failure(reason, times, only))

    def heal(self) -> None:
        with self._lock:
            self._coming.clear()

    def strike(self, verb: str, what: str) -> None:
        """Raises the driver's `error` where such a failure is due; `what` ends with the object's id."""
        if not self._coming:
            return
        with self._lock:
            due = next((one for one in self._coming.get(verb, ()) if one.fits(what)), None)
            if due is None:
                return
            if due.times is not None:
                due.times -= 1
                if due.times == 0:
                    self._coming[verb].remove(due)
        raise self.error(f"cannot {verb} {what}: {due.reason}")


@dataclass(eq=False)
class _Failure:
    reason: str
    times: int | None
    only: str | None

    def fits(self, what: str) -> bool:
        return self.only is None or what.split()[-1] == self.only
