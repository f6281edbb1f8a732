"""Time, ids and randomness, so that tests can put their own in place."""

from __future__ import annotations

import functools
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> int:
        """Microseconds since 1970 in UTC: what every time column holds."""

    def monotonic(self) -> float:
        """Seconds that never go back."""


class SystemClock:
    def now(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that a test turns."""

    def __init__(self, now: int = 1_700_000_000_000_000):
        self._now = now

    def now(self) -> int:
        self._now += 1  # two readings differ, as on a real clock
        return self._now

    def monotonic(self) -> float:
        return self._now / 1e6

    def advance(self, seconds: float) -> None:
        self._now += int(seconds * 1e6)


class Ids:
    """Where names of new things come from."""

    def uuid(self) -> str:
        return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))

    def hex(self) -> str:
        """32 hexadecimal digits, as Identity names its objects."""
        return self.uuid().replace("-", "")

    def mac(self) -> str:
        """A MAC address in the range that OpenStack uses for ports."""
        return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))

    def secret(self, length: int = 12) -> str:
        alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
        return "".join(secrets.choice(alphabet) for _ in range(length))


def seconds_text(moment: int) -> str:
    """2026-01-31T12:00:00Z, as Compute, Image and Network write a time."""
    return _second(moment // 1_000_000) + "Z"


def micros_text(moment: int) -> str:
    """2026-01-31T12:00:00.000000, as instance actions and block storage write a time."""
    return f"{_second(moment // 1_000_000)}.{moment % 1_000_000:06d}"


@functools.lru_cache(4096)  # things that a listing shows were often made in the same seconds
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(text: str) -> int:
    """Microseconds since 1970 of an ISO 8601 time (UTC where it names no zone). Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1e6)
