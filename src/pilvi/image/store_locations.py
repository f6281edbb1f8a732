"""SQL about where images' data lies, and about copies of it that are kept to be read faster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx, one_of
from pilvi.image.tables import cache, images, locations

_OF = locations.select().where(one_of(locations.c.image_id, "ids")).order_by(locations.c.number)


def of(tx: Tx, ids: Sequence[str]) -> dict[str, list[sa.Row]]:
    """The locations of each of these images, in their order."""
    found: dict[str, list[sa.Row]] = defaultdict(list)
    if ids:
        for row in tx.all(_OF, {"ids": ids}):
            found[row.image_id].append(row)
    return found


def add(tx: Tx, image_id: str, store: str, status: str, url: str | None = None, meta: Any = None, number: int = -1) -> None:
    """Adds one, as the last unless its number is said."""
    if number < 0:
        last = tx.scalar(sa.select(sa.func.max(locations.c.number)).where(locations.c.image_id == image_id))
        number = 0 if last is None else last + 1
    row = {"image_id": image_id, "number": number, "store": store, "status": status, "url": url, "meta": meta or {}}
    tx.execute(locations.insert(), row)


def set_status(tx: Tx, image_id: str, store: str, status: str) -> bool:
    found = locations.update().where(locations.c.image_id == image_id, locations.c.store == store)
    return bool(tx.execute(found.values(status=status)).rowcount)


def set_meta(tx: Tx, image_id: str, number: int, meta: Any) -> None:
    tx.execute(_numbered(locations.update(), image_id, number).values(meta=meta))


def remove(tx: Tx, image_id: str, number: int) -> None:
    tx.execute(_numbered(locations.delete(), image_id, number))


def remove_from(tx: Tx, image_id: str, stores: Iterable[str], *statuses: str) -> None:
    """Those in these stores; where statuses are named, only those in one of them."""
    found = locations.delete().where(locations.c.image_id == image_id, locations.c.store.in_(list(stores)))
    tx.execute(found.where(locations.c.status.in_(statuses)) if statuses else found)


def clear(tx: Tx, image_id: str) -> None:
    tx.execute(locations.delete().where(locations.c.image_id == image_id))


def adopt_unplaced(tx: Tx, store: str) -> int:
    """Data from before there were several stores lies in this one; returns how many images had such."""
    unplaced = sa.select(images.c.id, images.c.status).where(
        images.c.data.is_not(None), ~sa.exists().where(locations.c.image_id == images.c.id)
    )
    rows = tx.all(unplaced)
    for row in rows:
        add(tx, row.id, store, "staged" if row.status == "uploading" else "active")
    return len(rows)


def file_names(tx: Tx) -> dict[str, set[str]]:
    """By store, the files that belong to an image, whole or under way; what is in none of them yet under ""."""
    found: dict[str, set[str]] = defaultdict(set)
    for store, data in tx.all(
        sa.select(locations.c.store, images.c.data).join(images).where(images.c.data.is_not(None))
    ):
        found[store].add(data)
    found[""] = {row[0] for row in tx.all(sa.select(images.c.upload_id).where(images.c.upload_id.is_not(None)))}
    return found


def kept(tx: Tx) -> dict[str, list[tuple[str, str]]]:
    """By store, (image, its file) of what is there to be read."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for store, image_id, data in tx.all(
        sa.select(locations.c.store, images.c.id, images.c.data)
        .join(images)
        .where(images.c.data.is_not(None), locations.c.status == "active")
    ):
        found[store].append((image_id, data))
    return found


def without_size(tx: Tx) -> Sequence[sa.Row]:
    """(id, url) of active images on web servers whose size nobody knows."""
    return tx.all(
        sa.select(images.c.id, locations.c.url)
        .join(locations)
        .where(images.c.size.is_(None), images.c.status == "active", locations.c.url.is_not(None))
        .order_by(locations.c.number.desc())
    )


def set_size(tx: Tx, image_id: str, size: int) -> None:
    tx.execute(images.update().where(images.c.id == image_id, images.c.size.is_(None)).values(size=size))


def _numbered(statement: Any, image_id: str, number: int) -> Any:
    return statement.where(locations.c.image_id == image_id, locations.c.number == number)


# -- the cache


def cached(tx: Tx) -> Sequence[sa.Row]:
    """Everything in the cache or its queue, the oldest first."""
    return tx.all(sa.select(cache, images.c.data).join(images).order_by(cache.c.queued_at, cache.c.image_id))


def cached_image(tx: Tx, image_id: str) -> sa.Row | None:
    return tx.one(cache.select().where(cache.c.image_id == image_id))


def queue(tx: Tx, image_id: str) -> None:
    """One that is queued or cached stays so."""
    if cached_image(tx, image_id) is None:
        tx.execute(cache.insert(), {"image_id": image_id, "status": "queued", "hits": 0, "queued_at": tx.now})


def set_cached(tx: Tx, image_id: str, size: int) -> bool:
    """False where nobody wants it there any more."""
    found = cache.update().where(cache.c.image_id == image_id, cache.c.status == "queued")
    values = {"status": "cached", "size": size, "modified_at": tx.now, "accessed_at": tx.now}
    return bool(tx.execute(found.values(**values)).rowcount)


def hit(tx: Tx, image_id: str) -> None:
    found = cache.update().where(cache.c.image_id == image_id)
    tx.execute(found.values(hits=cache.c.hits + 1, accessed_at=tx.now))


def uncache(tx: Tx, image_id: str) -> bool:
    return bool(tx.execute(cache.delete().where(cache.c.image_id == image_id)).rowcount)


def clear_cache(tx: Tx, *statuses: str) -> None:
    tx.execute(cache.delete().where(cache.c.status.in_(statuses)))
