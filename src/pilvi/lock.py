"""One Pilvi at a time per state folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pilvi.settings import Place


class Lock:
    """The state folder's lock, held for as long as the process lives (so that no stale pid is ever believed)."""

    def __init__(self, path: Path):
        self._file = open(path, "a+")  # noqa: SIM115  kept open: closing it gives the lock up

    def take(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        return True

    def holder(self) -> int | None:
        """The pid of whoever holds the lock, None when nobody does."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            return int(self._file.read() or 0) or None
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return None


def running_pid(place: Place) -> int | None:
    return Lock(place.pid_file).holder() if place.pid_file.exists() else None
