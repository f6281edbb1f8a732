"""What a run of the suite came to: by area, with every failure, and every skip by its reason."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from subunit import ByteStreamToStreamResult
from testtools import StreamToDict


class Outcome(NamedTuple):
    test: str
    status: str  # success | skip | fail | …, as subunit names them
    text: str  # the reason of a skip, the traceback of a failure


def parse(stream: bytes) -> list[Outcome]:
    """The tests of a subunit v2 stream; a class whose setup failed or skipped counts under its own name."""
    outcomes: list[Outcome] = []

    def note(test: dict) -> None:
        if test["status"] == "exists":
            return
        details = test["details"]
        text = details["reason"].as_text() if "reason" in details else "".join(
            detail.as_text() for name, detail in details.items() if "traceback" in name)
        outcomes.append(Outcome(test["id"], test["status"], text.strip()))

    result = StreamToDict(note)
    result.startTestRun()
    ByteStreamToStreamResult(io.BytesIO(stream), non_subunit_name="stdout").run(result)
    result.stopTestRun()
    return sorted(outcomes)


def area(test: str) -> str:
    """identity | image | compute | network | volume | scenario | …"""
    name = re.sub(r"^\w+ \((.*)\)$", r"\1", test)
    parts = name.split(".")
    return parts[2] if parts[1] == "api" else " ".join(parts[1:3]) if parts[1] == "serial_tests" else parts[1]


def short(test: str) -> str:
    return re.sub(r"\[.*\]$", "", test)


def by_area(outcomes: Iterable[Outcome]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        status = {"success": "pass", "skip": "skip"}.get(outcome.status, "fail")
        counts.setdefault(area(outcome.test), Counter())[status] += 1
    return dict(sorted(counts.items()))


def reasons(outcomes: Iterable[Outcome]) -> Counter[str]:
    return Counter(outcome.text for outcome in outcomes if outcome.status == "skip")


def failed(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.status not in ("success", "skip")]
