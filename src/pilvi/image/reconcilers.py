"""Image's passes: files and rows agree in the end, whatever was killed in between."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pilvi.engine.reconcilers import Reconciler
from pilvi.faults import Fault
from pilvi.image import store, store_locations, store_tasks
from pilvi.image.fetch import FetchError
from pilvi.image.files import CHUNK_BYTES
from pilvi.image.stores import DEFAULT

if TYPE_CHECKING:
    from pilvi.image.service import Images

GIB = 1 << 30


class ImageReconciler(Reconciler):
    def __init__(self, images: Images):
        self._images, self._db = images, images.db


class Leftovers(ImageReconciler):
    """Uploads that died leave queued images, and no file outlives its image."""

    name = "image leftovers"
    period = 10.0

    def reconcile(self) -> str:
        folders = self._images.stores.folders()
        there = {name: files.names() for name, files in folders.items()}  # first: what comes later is not ours
        with self._db.transaction() as tx:
            reset = store.reset_dead_uploads(tx)
            store_tasks.forget_expired(tx)
            store_locations.adopt_unplaced(tx, DEFAULT)
            known = store_locations.file_names(tx)
        removed = 0
        for name, files in folders.items():
            left = there[name] - known[name] - known[""]
            for file in left:
                files.remove(file)
            removed += len(left)
        return f"{reset} dead uploads reset, {removed} files without an image removed"


class Hashes(ImageReconciler):
    """Large images are hashed after their upload: here. So is found how large those on web servers are."""

    name = "image hashes"
    period = 60.0

    def reconcile(self) -> str:
        with self._db.read() as tx:
            todo = store.not_hashed(tx)
            places = store_locations.of(tx, [row.id for row in todo])
            unknown = store_locations.without_size(tx)
        done = 0
        if todo:
            with ThreadPoolExecutor(2, thread_name_prefix="image hash", initializer=_stand_back) as threads:
                for row in todo:
                    done += self._hash(row, places[row.id], threads)
        trouble = [message for row in unknown if (message := self._measure(row)) is not None]
        return f"{done} images hashed" + (f"; {'; '.join(trouble)}" if trouble else "")

    def _hash(self, row: sa.Row, places: list[sa.Row], threads: ThreadPoolExecutor) -> bool:
        name = self._images.readable(places, staged=True)
        if name is None:
            return False
        try:
            digests = self._images.stores.folders()[name].digests(row.data, threads.map)
        except FileNotFoundError:  # deleted meanwhile
            return False
        with self._db.transaction() as tx:
            return store.set_digests(tx, row.id, row.data, *digests)

    def _measure(self, row: sa.Row) -> str | None:
        """What went wrong, if anything."""
        try:
            size = self._images.fetcher.size(row.url)
        except (FetchError, Fault) as error:
            return f"image {row.id}: {error}"
        if size is None:
            return f"image {row.id}: the server of {row.url} does not say its size"
        with self._db.transaction() as tx:
            store_locations.set_size(tx, row.id, size)
        return None


class CacheFiller(ImageReconciler):
    """What is queued comes into the cache, and what nobody wants there any more goes."""

    name = "image cache"
    period = 30.0

    def reconcile(self) -> str:
        cache = self._images.cache
        there = cache.names()
        with self._db.read() as tx:
            rows = store_locations.cached(tx)
        for name in there - {row.image_id for row in rows}:
            cache.remove(name)
        done, trouble = 0, []
        for row in rows:
            if row.status == "queued":
                try:
                    done += self._fill(row)
                except (FetchError, Fault, OSError) as error:
                    cache.remove(row.image_id)
                    trouble.append(f"image {row.image_id}: {error}")
        pruned = self._prune()
        if trouble:
            raise OSError("; ".join(trouble))
        return f"{done} images cached, {pruned} given up for want of room"

    def _fill(self, row: sa.Row) -> bool:
        images, image_id = self._images, row.image_id
        with self._db.read() as tx:
            found = store_locations.of(tx, [image_id])[image_id]
        images.cache.remove(image_id)
        if (name := images.readable(found)) is not None:
            size = images.cache.adopt(image_id, images.stores.folders()[name].path(row.data))
        else:
            size = self._download(image_id, next(each.url for each in found if each.url is not None))
        with self._db.transaction() as tx:
            return store_locations.set_cached(tx, image_id, size)

    def _download(self, image_id: str, url: str) -> int:
        found = self._images.fetcher.open(url)
        writer = self._images.cache.create(image_id)
        try:
            while part := found.read(CHUNK_BYTES):
                writer.write([part])
                if self._images.engine.stopping:
                    raise FetchError("the cloud is being stopped")
            writer.flush()
            writer.keep()
            return writer.size
        finally:
            writer.close()
            found.close()

    def _prune(self) -> int:
        """Gives up what was not read for longest, until the rest is within the limit."""
        with self._db.read() as tx:
            rows = [row for row in store_locations.cached(tx) if row.status == "cached"]
        total, gone = sum(row.size for row in rows), 0
        for row in sorted(rows, key=lambda row: row.accessed_at):
            if total <= self._images.settings.image.cache_gib * GIB:
                break
            with self._db.transaction() as tx:
                store_locations.uncache(tx, row.image_id)
            self._images.cache.remove(row.image_id)
            total, gone = total - row.size, gone + 1
        return gone


def _stand_back() -> None:
    """Nobody waits for these threads: whatever else wants the processor goes first."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
