"""What the simulated drivers share: failures on demand, and a cheap memory that lasts.

The memory is a file written and renamed per change, and not synced: it outlives Pilvi, and need not outlive the host.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from pathlib import Path


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


class Notes:
    """Small values by name, kept in a folder where there is one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.values: dict[str, str] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.values = {
                file.name: file.read_text() for file in folder.iterdir() if not file.name.startswith(".")
            }

    def put(self, name: str, value: str) -> None:
        if self.values.get(name) == value:
            return
        if self._folder is not None:
            replace(self._folder / name, value.encode())
        self.values[name] = value

    def drop(self, name: str) -> None:
        if self.values.pop(name, None) is not None and self._folder is not None:
            (self._folder / name).unlink(missing_ok=True)


def replace(file: Path, content: bytes) -> None:
    unfinished = file.with_name(f".{file.name}.{threading.get_ident()}")
    unfinished.write_bytes(content)
    os.replace(unfinished, file)
