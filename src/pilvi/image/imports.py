"""Imports: requests for data that comes from the staging area, the web, or another store of the image's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound
from pilvi.image import store, store_locations, store_tasks, wire
from pilvi.image.policy import RULES
from pilvi.policy import Context

METHODS = ("glance-direct", "web-download", "copy-image", "glance-download")
IMPORTING, FAILED = "os_glance_importing_to_stores", "os_glance_failed_import"
KIND, LOCATION_KIND = "image.import", "image.location"
COPIED_PREFIXES, COPIED = ("hw_", "trait:"), ("os_distro", "os_secure_boot", "os_type", "description")


class Imports:
    """The verbs of Images that begin operations."""

    def begin_import(
        self, context: Context, image_id: str, wanted: wire.ImportRequest, header_store: str | None = None
    ) -> None:
        """Accepts an import, which goes on by itself: the image's tasks tell how.

        Raises BadRequest, Forbidden, Conflict where the image is not in the status that the method needs."""
        method = wanted.method
        stores = wanted.stores if wanted.stores is not None else [header_store] if header_store else None
        targets = self.stores.import_targets(stores, wanted.all_stores)
        source = self._import_source(method)
        with self.db.transaction() as tx:
            store.lock(tx, image_id)
            row = self._importable(tx, context, image_id, method.name)
            if method.name == "copy-image":
                targets = self._missing(tx, image_id, targets)
            elif None in (row.disk_format, row.container_format) and method.name != "glance-download":
                raise BadRequest("Properties disk_format and container_format must be set prior to importing data.")
            if row.status == "queued":
                self._check_uploading(tx, row.owner)
            task_id = self._new_task(tx, context, "api_image_import", image_id, {
                "image_id": image_id, "backend": targets,
                "import_req": msgspec.to_builtins(wanted)})
            self._start_import(tx, context, row, task_id, targets, method.name, source, wanted.all_stores_must_succeed)

    def create_task(self, context: Context, wanted: wire.TaskRequest) -> dict[str, Any]:
        """A task of type import makes an image from a web server's data. Raises BadRequest, TooLarge (quota)."""
        url = wanted.input.import_from
        self.fetcher.check(url)
        values, properties = wire.attributes(wanted.input.image_properties)
        image_id = values.get("id", self._ids.uuid()).lower()
        values.setdefault("disk_format", wanted.input.import_from_format)
        values.setdefault("container_format", "bare")
        with self.db.transaction() as tx:
            self._insert(tx, context, {**values, "id": image_id}, properties)
            row = store.any_image(tx, image_id)
            task_id = self._new_task(tx, context, "import", image_id, msgspec.to_builtins(wanted.input))
            self._start_import(tx, context, row, task_id, self.stores.import_targets(None, False), "web-download",
                               {"uri": url}, True, made=True)
            return wire.task(store_tasks.get(tx, task_id))

    def add_location(self, context: Context, image_id: str, wanted: wire.LocationRequest) -> None:
        """An image whose data stays on a web server, which is read once to be hashed.

        Raises Conflict for an image that is not queued, BadRequest, Forbidden."""
        self.fetcher.check(wanted.url)
        if not self.stores.web:
            raise BadRequest("Images cannot stay on web servers here: the setting image.http_store is off.")
        hashes = wire.hashes(wanted.validation_data)
        with self.db.transaction() as tx:
            store.lock(tx, image_id)
            row = self._own(tx, context, image_id)
            if row.status != "queued":
                raise Conflict(f"It's not allowed to add locations if image status is {row.status}.")
            status = "importing" if hashes else "active"
            algorithm = hashes.get("os_hash_algo", wire.HASH)
            store.switch(tx, image_id, "queued", status)
            store.update(tx, image_id, os_hash_algo=None if hashes else algorithm)
            store_locations.clear(tx, image_id)
            store_locations.add(tx, image_id, "web", "active", wanted.url)
            task_id = self._new_task(tx, context, "location_import", image_id, {
                "image_id": image_id, "loc_url": wanted.url, "validation_data": hashes})
            self.engine.begin(tx, LOCATION_KIND, image_id, context=context, memory={
                "task_id": task_id, "url": wanted.url, "expected": hashes, "algorithm": algorithm})

    def image_tasks(self, context: Context, image_id: str) -> list[dict[str, Any]]:
        with self.db.read() as tx:
            self._get(tx, context, image_id)
            return [wire.task(row) for row in store_tasks.of_image(tx, image_id)]

    def task(self, task_id: str) -> dict[str, Any]:
        with self.db.read() as tx:
            row = store_tasks.get(tx, task_id)
        if row is None:
            raise NotFound(f"Failed to find task {task_id}")
        return wire.task(row)

    def tasks(self, filters: dict[str, str], sort_key: str, ascending: bool, limit: int, marker: str | None
              ) -> list[dict[str, Any]]:
        """One page. Raises NotFound for a marker that there is not."""
        with self.db.read() as tx:
            after = None
            if marker is not None and (after := store_tasks.get(tx, marker)) is None:
                raise NotFound(f"Failed to find task {marker}")
            rows = store_tasks.page(tx, filters, sort_key, ascending, limit, after)
        return [wire.task(row, detail=False) for row in rows]

    # -- inside

    def _import_source(self, method: wire.ImportMethod) -> dict[str, Any]:
        """What the method takes the data from. Raises BadRequest for what is missing, or not allowed."""
        if method.name not in METHODS:
            raise BadRequest(f"Unknown import method name '{method.name}'; there are {', '.join(METHODS)}.")
        if method.name == "web-download":
            if method.uri is None:
                raise BadRequest("The import method web-download needs the URI of the data: \"uri\".")
            self.fetcher.check(method.uri)
            return {"uri": method.uri}
        if method.name == "glance-download":
            if method.glance_region is None or method.glance_image_id is None:
                raise BadRequest("The import method glance-download needs glance_region and glance_image_id.")
            if not wire.is_uuid(method.glance_image_id):
                raise BadRequest("Remote glance image id does not look like a UUID: glance_image_id.")
            return {"region": method.glance_region, "source": method.glance_image_id}
        return {}

    def _importable(self, tx: Tx, context: Context, image_id: str, method: str) -> sa.Row:
        if method == "copy-image":
            row = self._get(tx, context, image_id)
            if row.owner != context.project_id and not context.permits(RULES["copy_image"]):
                raise Forbidden("You are not permitted to copy the images of others.")
        else:
            row = self._own(tx, context, image_id)
        needed = {"glance-direct": "uploading", "copy-image": "active"}.get(method, "queued")
        if row.status != needed:
            raise Conflict(f"Only images with status '{needed}' can be imported by {method}: it is '{row.status}'.")
        if method == "copy-image" and row.data is None:
            raise Conflict("The image's data is on a web server, and in no store that it can be copied from.")
        return row

    def _missing(self, tx: Tx, image_id: str, targets: Sequence[str]) -> list[str]:
        """Those of the stores that the image is not in yet. Raises Conflict while they are being copied to."""
        found = {each.store: each.status for each in store_locations.of(tx, [image_id])[image_id]}
        if "copying" in found.values():
            raise Conflict(f"Image {image_id} is being copied: wait for that to end.")
        return [name for name in targets if name not in found]

    def _start_import(
        self, tx: Tx, context: Context, row: sa.Row, task_id: str, targets: list[str], method: str,
        source: dict[str, Any], must_succeed: bool, *, made: bool = False,
    ) -> None:
        name = row.data or self._ids.uuid()
        if method != "copy-image":
            store.update(tx, row.id, status="importing", upload_id=name, upload_until=None, updated_at=tx.now)
        store.add_property(tx, row.id, IMPORTING, ",".join(targets))
        store.add_property(tx, row.id, FAILED, "")
        for target in targets:
            if not store_locations.set_status(tx, row.id, target, "staged"):  # where glance-direct has it already
                store_locations.add(tx, row.id, target, "copying")
        self.engine.begin(tx, KIND, row.id, context=context, memory={
            "task_id": task_id, "method": method, "name": name, "targets": targets, "must_succeed": must_succeed,
            "owner": row.owner, "made": made, **source})

    def _new_task(self, tx: Tx, context: Context, kind: str, image_id: str, given: dict[str, Any]) -> str:
        task_id = self._ids.uuid()
        store_tasks.insert(tx, id=task_id, type=kind, owner=context.project_id, user_id=context.user_id,
                           request_id=context.request_id, image_id=image_id, input=given)
        return task_id
