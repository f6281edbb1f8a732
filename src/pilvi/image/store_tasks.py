"""SQL about tasks: what the Image API shows of imports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.image.tables import tasks

KEEP_HOURS = 48  # after a task's end
SORT_KEYS = ("created_at", "updated_at", "id", "type", "status", "expires_at")


def insert(tx: Tx, **values: Any) -> None:
    tx.execute(
        tasks.insert(),
        {"status": "pending", "result": {}, "message": "", "created_at": tx.now, "updated_at": tx.now, **values},
    )


def get(tx: Tx, task_id: str) -> sa.Row | None:
    return tx.one(tasks.select().where(tasks.c.id == task_id))


def of_image(tx: Tx, image_id: str) -> Sequence[sa.Row]:
    return tx.all(tasks.select().where(tasks.c.image_id == image_id).order_by(tasks.c.created_at, tasks.c.id))


def page(
    tx: Tx, filters: dict[str, str], sort_key: str, ascending: bool, limit: int, after: sa.Row | None
) -> Sequence[sa.Row]:
    key = sa.func.coalesce(tasks.c[sort_key], 0) if sort_key == "expires_at" else tasks.c[sort_key]
    order = sa.tuple_(key, tasks.c.id)
    found = tasks.select().where(*(tasks.c[name] == value for name, value in filters.items()))
    if after is not None:
        place = sa.tuple_(sa.literal(getattr(after, sort_key) or 0), sa.literal(after.id))
        found = found.where(order > place if ascending else order < place)
    ways = (key.asc(), tasks.c.id.asc()) if ascending else (key.desc(), tasks.c.id.desc())
    return tx.all(found.order_by(*ways).limit(limit))


def begin(tx: Tx, task_id: str) -> None:
    found = tasks.update().where(tasks.c.id == task_id, tasks.c.status == "pending")
    tx.execute(found.values(status="processing", updated_at=tx.now))


def end(tx: Tx, task_id: str, status: str, message: str = "", result: dict[str, Any] | None = None) -> None:
    values = {"status": status, "message": message, "result": result or {}, "updated_at": tx.now}
    expires_at = tx.now + KEEP_HOURS * 3600 * 1_000_000
    tx.execute(tasks.update().where(tasks.c.id == task_id).values(expires_at=expires_at, **values))


def forget_expired(tx: Tx) -> int:
    return tx.execute(tasks.delete().where(tasks.c.expires_at < tx.now)).rowcount
