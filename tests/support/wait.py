"""Waiting on a condition, never on a sleep alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(condition: Callable[[], Any], seconds: float = 30, what: str = "the condition", poll: float = 0.01) -> Any:
    """What `condition` returns once that is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(poll)
    return found
