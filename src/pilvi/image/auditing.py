"""Images whose data is missing. What has no image goes by itself: the pass `image leftovers` sees to that."""

from __future__ import annotations

from collections.abc import Iterator

from pilvi.audit import MISSING, Finding, Key
from pilvi.db import Database
from pilvi.image import store_locations
from pilvi.image.stores import Stores


class Auditing:
    db: Database
    stores: Stores

    def audit(self) -> Iterator[Finding]:
        with self.db.read() as tx:
            wanted = store_locations.kept(tx)
        for name, files in self.stores.folders().items():
            there = files.names()
            for image_id, data in wanted.get(name, ()):
                if data not in there:
                    yield Finding(Key(MISSING, "image", image_id, str(files.root)), f"its file {data} is not there",
                                  "none: put the file back, or delete the image")
