"""Image's passes: files and rows agree in the end, whatever was killed in between."""

from __future__ import annotations

from concurrent.futures import Executor

from pilvi.db import Database
from pilvi.engine.reconcilers import Reconciler
from pilvi.image import store
from pilvi.image.files import Files


class Leftovers(Reconciler):
    """Uploads that died leave queued images, and no file outlives its image."""

    name = "image leftovers"
    period = 10.0

    def __init__(self, db: Database, files: Files):
        self._db, self._files = db, files

    def reconcile(self) -> str:
        there = self._files.names()  # listed first: what is written from here on is not ours to judge
        with self._db.transaction() as tx:
            reset = store.reset_dead_uploads(tx)
            known = store.file_names(tx)
        left = there - known
        for name in left:
            self._files.remove(name)
        return f"{reset} dead uploads reset, {len(left)} files without an image removed"


class Hashes(Reconciler):
    """Large images are hashed after their upload: here."""

    name = "image hashes"
    period = 60.0

    def __init__(self, db: Database, files: Files, threads: Executor):
        self._db, self._files, self._threads = db, files, threads

    def reconcile(self) -> str:
        with self._db.read() as tx:
            todo = store.not_hashed(tx)
        done = 0
        for row in todo:
            try:
                digests = self._files.digests(row.data, self._threads)
            except FileNotFoundError:  # deleted meanwhile
                continue
            with self._db.transaction() as tx:
                done += store.set_digests(tx, row.id, row.data, *digests)
        return f"{done} images hashed"
