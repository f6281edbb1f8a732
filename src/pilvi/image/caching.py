"""The cache: copies of images' data on this controller, for those that lie on web servers or on slow storage."""

from __future__ import annotations

from typing import Any

from pilvi.faults import BadRequest, NotFound
from pilvi.image import store, store_locations

CLEAR = {"cache": ("cached",), "queue": ("queued",), "both": ("queued", "cached")}


class Caching:
    """The cache's verbs of Images; the administrator's only."""

    def cache_show(self) -> dict[str, Any]:
        with self.db.read() as tx:
            rows = store_locations.cached(tx)
        return {
            "cached_images": [_shown(row) for row in rows if row.status == "cached"],
            "queued_images": [row.image_id for row in rows if row.status == "queued"],
        }

    def cache_queue(self, image_id: str) -> None:
        """Has the image's data copied into the cache soon. Raises NotFound, BadRequest where it is not active."""
        with self.db.transaction() as tx:
            row = store.any_image(tx, image_id)
            if row is None:
                raise NotFound(f"No image found with ID {image_id}")
            if row.status != "active":
                raise BadRequest(f"Only active images can be cached: {image_id} is {row.status}.")
            store_locations.queue(tx, image_id)
            tx.after_commit(self.poke_caching)

    def cache_delete(self, image_id: str) -> None:
        """Raises NotFound for an image that is neither cached nor queued."""
        with self.db.transaction() as tx:
            if not store_locations.uncache(tx, image_id):
                raise NotFound(f"Image {image_id} is neither cached nor queued to be.")
            tx.after_commit(lambda: self.cache.remove(image_id))

    def cache_clear(self, target: str) -> None:
        """Raises BadRequest for a target other than cache, queue, both."""
        if target not in CLEAR:
            raise BadRequest(f"If provided 'x-image-cache-clear-target' must be one of {', '.join(CLEAR)}.")
        with self.db.transaction() as tx:
            gone = [row.image_id for row in store_locations.cached(tx) if row.status in CLEAR[target]]
            store_locations.clear_cache(tx, *CLEAR[target])
            tx.after_commit(lambda: [self.cache.remove(image_id) for image_id in gone])


def _shown(row: Any) -> dict[str, Any]:
    return {
        "image_id": row.image_id,
        "size": row.size,
        "hits": row.hits,
        "last_accessed": row.accessed_at / 1e6,  # seconds since 1970, as Glance says it
        "last_modified": row.modified_at / 1e6,
    }
