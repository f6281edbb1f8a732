"""SQL of what has changed and no pass has made so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.network.tables import changes

CHUNK = 10_000  # values in one IN: databases bound them


_NOTE = changes.insert()
_PENDING = sa.select(changes)


def note(tx: Tx, kind: str, ids: Iterable[str]) -> None:
    """These objects, of a kind that the fabric's Scope has, differ from what the logical network has."""
    if noted := [{"kind": kind, "object_id": one} for one in dict.fromkeys(ids)]:
        tx.execute(_NOTE, noted)


def note_any(tx: Tx) -> None:
    """Anything may differ."""
    tx.execute(_NOTE, {"kind": None})


def pending(tx: Tx) -> list[sa.Row]:
    """(seq, kind, object id)."""
    return list(tx.all(_PENDING))


def forget(tx: Tx, seen: Sequence[int]) -> None:
    for start in range(0, len(seen), CHUNK):
        tx.execute(changes.delete().where(changes.c.seq.in_(seen[start : start + CHUNK])))
