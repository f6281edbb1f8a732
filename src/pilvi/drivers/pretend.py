"""What the simulated drivers share: failures on demand."""

from __future__ import annotations

import threading
from collections import defaultdict


class Faults:
    """Failures to come: `fail("plug", "no more taps")` makes the next plug raise; `times` None: every one."""

    error: type[Exception]

    def __init__(self) -> None:
        self._coming: dict[str, list[tuple[str, int | None]]] = defaultdict(list)
        self._lock = threading.Lock()

    def fail(self, verb: str, reason: str, times: int | None = 1) -> None:
        with self._lock:
            self._coming[verb].append((reason, times))

    def heal(self) -> None:
        with self._lock:
            self._coming.clear()

    def strike(self, verb: str, what: str) -> None:
        """Raises the driver's `error` where a failure of this verb is due."""
        if not self._coming:
            return
        with self._lock:
            due = self._coming.get(verb)
            if not due:
                return
            reason, times = due[0]
            if times == 1:
                due.pop(0)
            elif times is not None:
                due[0] = (reason, times - 1)
        raise self.error(f"cannot {verb} {what}: {reason}")
