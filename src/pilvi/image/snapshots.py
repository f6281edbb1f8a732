"""Images that the cloud itself fills: snapshots of servers and volumes, made by operations of other domains.

The row comes first, in the transaction that accepts the operation; the data later, from a file on this host.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pilvi.db import Tx
from pilvi.faults import Gone
from pilvi.image import store, wire
from pilvi.policy import Context

FAILURE = "os_glance_failure"  # the property that says why a snapshot has no data
UNFINISHED = ("queued", "saving", "killed")


class Snapshots:
    """The verbs of Images that operations call."""

    def create_snapshot(
        self,
        tx: Tx,
        context: Context,
        *,
        name: str,
        properties: Mapping[str, str],
        min_disk_gib: int = 0,
        min_ram_mib: int = 0,
        disk_format: str = "qcow2",
        container_format: str = "bare",
        visibility: str = "private",
        protected: bool = False,
    ) -> str:
        """The id of a new image that is `saving`. Raises TooLarge where the owner's quota is used up."""
        wire.bounded_properties(len(properties))
        self._check_count(tx, context.project_id)
        self.check_size(tx, context.project_id)
        image_id = self._ids.uuid()
        values = {
            "id": image_id,
            "owner": context.project_id,
            "name": name,
            "status": "saving",
            "visibility": visibility,
            "protected": protected,
            "os_hidden": False,
            "disk_format": disk_format,
            "container_format": container_format,
            "min_disk": min_disk_gib,
            "min_ram": min_ram_mib,
            "upload_id": self._ids.uuid(),
        }
        store.insert(tx, values)
        store.set_properties(tx, image_id, properties)
        return image_id

    def store_snapshot(self, image_id: str, source: Path | None, *, consume: bool = False) -> None:
        """Makes the image active, with the data of this file; None: without a byte, since it only describes disks. One
        that is active already stays as it is.

        The file is copied, as a reflink where the file system can; with `consume` it becomes the image's own and
        is gone afterwards. Raises Gone for an image deleted meanwhile, UnsupportedMediaType for content that is not
        of the image's disk format."""
        with self.db.read() as tx:
            row = store.any_image(tx, image_id)
        if row is None:
            raise Gone(f"Image {image_id} was deleted before its data was there.")
        if row.status not in ("queued", "saving"):
            return
        size = self.files.adopt(row.upload_id, source, consume=consume) if source else self.files.empty(row.upload_id)
        with self.files.open(row.upload_id) as file:
            virtual = self.inspect(file, image_id, row.disk_format, row.container_format, size)
        self._settle_upload(image_id, row.upload_id, size, virtual)

    def fail_snapshot(self, tx: Tx, image_id: str, reason: str) -> None:
        """The image is `killed` and says why; one with data, or gone, stays as it is."""
        row = store.any_image(tx, image_id)
        if row is not None and store.kill(tx, image_id):
            store.add_property(tx, image_id, FAILURE, reason)
            tx.after_commit(lambda: self.files.remove(row.upload_id))

    def delete_snapshot(self, tx: Tx, image_id: str) -> None:
        """Takes an image away that has served its purpose; one that is protected, or gone, stays as it is."""
        row = store.any_image(tx, image_id)
        if row is not None and store.delete(tx, image_id):
            for name in {row.data, row.upload_id} - {None}:
                tx.after_commit(lambda name=name: self.stores.remove(name))
            tx.after_commit(lambda: self.cache.remove(image_id))

    def rotate_snapshots(self, tx: Tx, properties: Mapping[str, str], keep: int) -> None:
        """Of the active images that have all of these properties, only the newest so many are kept."""
        for image_id in store.with_properties(tx, properties)[keep:]:
            self.delete_snapshot(tx, image_id)

    def delete_snapshot_if_unfinished(self, tx: Tx, image_id: str) -> None:
        """Takes an image without data away, however protected."""
        row = store.any_image(tx, image_id)
        if row is not None and store.delete_unfinished(tx, image_id, UNFINISHED) and row.upload_id is not None:
            tx.after_commit(lambda: self.files.remove(row.upload_id))
