"""Image's passes: files and rows agree in the end, whatever was killed in between."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

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

    def __init__(self, db: Database, files: Files):
        self._db, self._files = db, files

    def reconcile(self) -> str:
        with self._db.read() as tx:
            todo = store.not_hashed(tx)
        if not todo:
            return "0 images hashed"
        done = 0
        with ThreadPoolExecutor(2, thread_name_prefix="image hash", initializer=_stand_back) as threads:
            for row in todo:
                try:
                    digests = self._files.digests(row.data, threads.map)
                except FileNotFoundError:  # deleted meanwhile
                    continue
                with self._db.transaction() as tx:
                    done += store.set_digests(tx, row.id, row.data, *digests)
        return f"{done} images hashed"


def _stand_back() -> None:
    """Nobody waits for these threads: whatever else wants the processor goes first."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
