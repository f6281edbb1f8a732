"""What an audit finds: things that no row owns, and rows whose thing is missing. Each service looks through its own.

A cloud at work always has things that are just being made or deleted: what counts is what is found twice, some
time apart. So a repair is given what earlier looks have found, and mends what is found once more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple, Protocol

import structlog

log = structlog.get_logger()

ORPHAN, MISSING = "orphan", "missing"


class Key(NamedTuple):
    problem: str  # ORPHAN: nothing owns it; MISSING: something has a row, and is not there
    kind: str  # as users call it: "disk", "volume"
    name: str
    where: str  # a host, or a folder


class Finding(NamedTuple):
    key: Key
    why: str
    remedy: str  # what `mend` does, or who could do something
    mend: Callable[[], object] | None = None  # raises whatever the trouble is; None: that is for a person to decide


class Mended(NamedTuple):
    finding: Finding
    mended: bool
    trouble: str | None = None  # why it could not be


class Auditor(Protocol):
    def audit(self) -> Iterable[Finding]: ...


def look(auditors: Iterable[Auditor]) -> list[Finding]:
    return [finding for auditor in auditors for finding in auditor.audit()]


def repair(auditors: Iterable[Auditor], known: Collection[Key]) -> list[Mended]:
    """Of what earlier looks have found, all that still is so."""
    return [_mend(finding) for finding in look(auditors) if finding.key in known]


def _mend(finding: Finding) -> Mended:
    if finding.mend is None:
        return Mended(finding, False)
    log.warning("what an audit found is mended", **finding.key._asdict(), remedy=finding.remedy)
    try:
        finding.mend()
    except Exception as error:  # whatever it is: the others are mended all the same
        log.exception("what an audit found could not be mended", **finding.key._asdict())
        return Mended(finding, False, str(error))
    return Mended(finding, True)
