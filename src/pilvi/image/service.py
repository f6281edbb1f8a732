"""Image's verbs: what clients do with images, and what Compute needs to boot from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi import quota
from pilvi.db import Database, Tx
from pilvi.engine.clock import Clock, Ids
from pilvi.engine.engine import Engine
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound, TooLarge
from pilvi.image import reconcilers, store, store_locations, wire
from pilvi.image.auditing import Auditing
from pilvi.image.caching import Caching
from pilvi.image.data import Data
from pilvi.image.fetch import Fetcher
from pilvi.image.files import Files, keep_buffers
from pilvi.image.imports import Imports
from pilvi.image.listing import Filter, Listing, parse
from pilvi.image.locations import Locations
from pilvi.image.metadefs import Metadefs
from pilvi.image.operations import operations
from pilvi.image.patch import Change
from pilvi.image.policy import RULES
from pilvi.image.sharing import Sharing
from pilvi.image.snapshots import Snapshots
from pilvi.image.stores import DEFAULT, Stores
from pilvi.image.tables import images
from pilvi.policy import Context
from pilvi.settings import Settings
from pilvi.tenancy import Owned

MIB = 1 << 20
BOOTABLE = ("qcow2", "raw")


class BootImage(msgspec.Struct, frozen=True):
    """What Compute needs to know about an image that a server boots from."""

    id: str
    name: str | None
    status: str
    disk_format: str  # qcow2 | raw
    size_bytes: int
    virtual_size_bytes: int
    min_disk_gib: int
    min_ram_mib: int
    properties: dict[str, str]
    path: Path | None  # None: it has no data, it only describes disks


class Images(Sharing, Data, Snapshots, Imports, Locations, Caching, Metadefs, Auditing):
    """`root` is the folder that holds the data of all images."""

    ATTRIBUTES = wire.BASE | {"locations", "stores"}  # what else an image has are its additional properties

    def __init__(
        self,
        db: Database,
        clock: Clock,
        ids: Ids,
        engine: Engine,
        settings: Settings,
        root: Path,
        identity: Any,
    ):
        self.db, self.clock, self._ids, self.engine, self._identity = db, clock, ids, engine, identity
        self.settings = settings
        self.stores = Stores(root, settings.image)
        self.files = self.stores.folders()[DEFAULT]
        self.cache = Files(root.with_name("image-cache"))
        self.fetcher = Fetcher(settings.image.import_allow)
        keep_buffers()
        self.threads = ThreadPoolExecutor(8, thread_name_prefix="image data")
        self.transfers = ThreadPoolExecutor(8, thread_name_prefix="image transfer")

    def register(self, engine: Engine) -> None:
        engine.register(*operations(self))
        for reconciler in (reconcilers.Leftovers, reconcilers.Hashes, reconcilers.CacheFiller):
            engine.add_reconciler(reconciler(self))

    def close(self) -> None:
        """After the engine has been stopped: what is being transferred ends, and is begun anew at the next start."""
        self.transfers.shutdown(wait=True, cancel_futures=True)

    def poke_hashing(self) -> None:
        self.engine.poke_reconciler(reconcilers.Hashes.name)

    def poke_caching(self) -> None:
        self.engine.poke_reconciler(reconcilers.CacheFiller.name)

    # -- for other domains

    def for_boot(self, tx: Tx, context: Context, image_id: str, *, described: bool = False) -> BootImage:
        """`described`: also one without data, that describes disks. Raises NotFound, and BadRequest for an image that
        no server can boot from."""
        row = store.get(tx, context, image_id)
        if row is None:
            raise NotFound(f"Image {image_id} could not be found.")
        if row.status != "active":
            raise BadRequest(f"Image {image_id} is not active: its status is {row.status}.")
        if described and not row.size and "block_device_mapping" in (found := store.details(tx, [image_id])[0][image_id]):
            return BootImage(row.id, row.name, row.status, row.disk_format or "", 0, 0, row.min_disk, row.min_ram, found,
                             None)
        if row.disk_format not in BOOTABLE or row.container_format != "bare":
            raise BadRequest(
                f"Image {image_id} is unacceptable: a server boots from {' or '.join(BOOTABLE)} in a bare "
                f"container, not from {row.disk_format} in {row.container_format}."
            )
        if row.disk_format == "qcow2" and row.virtual_size is None and row.data is not None:
            raise BadRequest(f"Image {image_id} is unacceptable: its content is not {row.disk_format}.")
        properties, _ = store.details(tx, [image_id])
        path = self._boot_path(tx, row)
        return BootImage(
            row.id,
            row.name,
            row.status,
            row.disk_format,
            row.size,
            row.virtual_size or row.size,
            row.min_disk,
            row.min_ram,
            properties[image_id],
            path,
        )

    def _boot_path(self, tx: Tx, row: sa.Row) -> Path:
        """The file that hosts read. Raises BadRequest for data on a web server that is not in the cache."""
        if (name := self.readable(store_locations.of(tx, [row.id])[row.id])) is not None:
            return self.stores.folders()[name].path(row.data)
        copy = store_locations.cached_image(tx, row.id)
        if copy is None or copy.status != "cached":
            raise BadRequest(
                f"Image {row.id} is unacceptable: its data is on a web server. Put it into the cache first: "
                f"openstack cached image queue {row.id}"
            )
        return self.cache.path(row.id)

    def find(self, context: Context, name_or_id: str) -> str:
        """The id of an image that the caller sees. Raises NotFound, Conflict where several have the name."""
        with self.db.read() as tx:
            if (row := store.get(tx, context, name_or_id)) is not None:
                return row.id
            found = store.page(tx, context, Listing(limit=2, filters=[Filter("name", "eq", name_or_id)]))
        if not found:
            raise NotFound(f"No image found with name or ID {name_or_id}")
        if len(found) > 1:
            raise Conflict(f"More than one image has the name {name_or_id}: use its id.")
        return found[0].id

    def names(self, tx: Tx, ids: Sequence[str]) -> dict[str, str | None]:
        return store.names(tx, ids)

    # -- images

    def create(
        self, context: Context, values: dict[str, Any], properties: Mapping[str, str]
    ) -> dict[str, Any]:
        """Raises Conflict where the id is taken, Forbidden, TooLarge (quota)."""
        with self.db.transaction() as tx:
            image_id = self._insert(tx, context, values, properties)
            return self._view(tx, self._get(tx, context, image_id))

    def _insert(self, tx: Tx, context: Context, values: dict[str, Any], properties: Mapping[str, str]) -> str:
        image_id = values.setdefault("id", self._ids.uuid()).lower()
        owner = values.setdefault("owner", context.project_id)
        self._permit(context, values)
        defaults = {
            "name": None,
            "visibility": "shared",
            "protected": False,
            "os_hidden": False,
            "disk_format": None,
            "container_format": None,
            "min_disk": 0,
            "min_ram": 0,
        }
        tags = values.pop("tags", [])
        self._check_count(tx, owner)
        try:
            store.insert(tx, {**defaults, **values, "id": image_id, "status": "queued"})
        except sa.exc.IntegrityError:
            raise Conflict(f"Image ID {image_id} already exists!") from None
        store.set_properties(tx, image_id, properties)
        store.set_tags(tx, image_id, tags)
        return image_id

    def show(self, context: Context, image_id: str) -> dict[str, Any]:
        with self.db.read() as tx:
            return self._view(tx, self._get(tx, context, image_id))

    def list(self, context: Context, listing: Listing) -> list[dict[str, Any]]:
        """One page. Raises BadRequest for a marker that the caller cannot see."""
        with self.db.read() as tx:
            try:
                after = None if listing.marker is None else self._get(tx, context, listing.marker)
            except NotFound as fault:
                raise BadRequest(f"The marker is not in the list: {fault.message}") from None
            rows = store.page(tx, context, listing, after)
            return self._views(tx, rows)

    def browse(self, context: Context, query: dict[str, list[str]]) -> Sequence[dict[str, Any]]:
        """One page as the query of the Image API asks for it. Raises BadRequest."""
        return self.list(context, parse(query))

    def change_properties(self, context: Context, image_id: str, values: Mapping[str, str | None]) -> dict[str, Any]:
        """The image after its additional properties got these values; None takes one away. Raises as `update`."""
        changes = [Change("remove", name) if value is None else Change("add", name, value)
                   for name, value in values.items()]
        return self.update(context, image_id, changes)

    def update(self, context: Context, image_id: str, changes: Sequence[Change]) -> dict[str, Any]:
        """All of the changes, or none. Raises Forbidden, Conflict, BadRequest, TooLarge."""
        with self.db.transaction() as tx:
            store.lock(tx, image_id)
            row = self._own(tx, context, image_id)
            found, labels = store.details(tx, [image_id])
            ours = {name: text for name, text in found[image_id].items() if name.startswith(wire.RESERVED_PREFIX)}
            document = {
                **{name: text for name, text in found[image_id].items() if name not in ours},
                **{name: getattr(row, name) for name in wire.SETTABLE - {"tags"}},
                "tags": labels[image_id],
            }
            self._apply(tx, row, document, changes)
            values, properties = wire.attributes(document)
            values = {
                name: value for name, value in values.items() if name == "tags" or value != getattr(row, name)
            }
            self._permit(context, values)
            if "owner" in values:
                self._check_count(tx, values["owner"])
            if (wanted := values.pop("tags")) != labels[image_id]:
                store.set_tags(tx, image_id, wanted)
            if (properties := {**properties, **ours}) != found[image_id]:
                store.set_properties(tx, image_id, properties)
            if changes:
                store.update(tx, image_id, updated_at=tx.now, **values)
            return self._view(tx, self._get(tx, context, image_id))

    def _apply(self, tx: Tx, row: sa.Row, document: dict[str, Any], changes: Sequence[Change]) -> None:
        """Does the changes to an image's document, by Image's rules of what may be changed how."""
        for change in changes:
            operation, name, value, _ = change
            if name == "locations":
                self._change_locations(tx, store.any_image(tx, row.id), change)
                continue
            wire.refuse_read_only(name)
            if name == "id":
                raise Forbidden("Attribute 'id' is read-only.")
            if operation == "remove" and name in wire.BASE:
                raise Forbidden(f"Property '{name}' may not be removed.")
            if operation != "add" and name not in document:
                raise Conflict(f"Property {name} does not exist.")
            if (
                name in ("disk_format", "container_format")
                and row.status != "queued"
                and value != document[name]
            ):
                raise Forbidden(f"Attribute {name} can be only replaced for a queued image.")
            if operation == "remove":
                del document[name]
            else:
                document[name] = value

    def delete(self, context: Context, image_id: str) -> None:
        """Raises Forbidden for a protected image. An upload under way is given up."""
        with self.db.transaction() as tx:
            row = self._own(tx, context, image_id)
            if not store.delete(tx, image_id):
                raise Forbidden(f"Image {image_id} is protected and cannot be deleted.")
            if row.data is not None:  # what is under way cleans up after itself
                tx.after_commit(lambda: self.stores.remove(row.data))
            tx.after_commit(lambda: self.cache.remove(row.id))

    def add_tag(self, context: Context, image_id: str, tag: str) -> None:
        if len(tag) > 255:
            raise BadRequest("Invalid input for a tag: it has at most 255 characters.")
        with self.db.transaction() as tx:
            store.lock(tx, image_id)
            self._own(tx, context, image_id)
            _, labels = store.details(tx, [image_id])
            if tag not in labels[image_id]:
                wire.bounded_tags(len(labels[image_id]) + 1)
                store.set_tags(tx, image_id, [*labels[image_id], tag])
                store.update(tx, image_id, updated_at=tx.now)

    def delete_tag(self, context: Context, image_id: str, tag: str) -> None:
        with self.db.transaction() as tx:
            store.lock(tx, image_id)
            self._own(tx, context, image_id)
            _, labels = store.details(tx, [image_id])
            if tag not in labels[image_id]:
                raise NotFound(f"Tag {tag} of image {image_id} could not be found.")
            store.set_tags(tx, image_id, [label for label in labels[image_id] if label != tag])
            store.update(tx, image_id, updated_at=tx.now)

    def deactivate(self, context: Context, image_id: str) -> None:
        """No data is given out until it is reactivated. Raises Forbidden where the image is neither."""
        self._switch(context, image_id, "active", "deactivated")

    def reactivate(self, context: Context, image_id: str) -> None:
        self._switch(context, image_id, "deactivated", "active")

    def _switch(self, context: Context, image_id: str, old: str, new: str) -> None:
        with self.db.transaction() as tx:
            row = self._own(tx, context, image_id)
            if row.status not in (old, new):
                raise Forbidden(
                    f"Not allowed to {'de' if new == 'deactivated' else 're'}activate image in status "
                    f"'{row.status}'."
                )
            store.switch(tx, image_id, old, new)

    # -- rules

    def _get(self, tx: Tx, context: Context, image_id: str) -> sa.Row:
        row = store.get(tx, context, image_id)
        if row is None:
            raise NotFound(f"No image found with ID {image_id}")
        return row

    def _own(self, tx: Tx, context: Context, image_id: str) -> sa.Row:
        """An image that the caller may change. Raises Forbidden for one that it may only see."""
        row = self._get(tx, context, image_id)
        if not context.is_admin and row.owner != context.project_id:
            raise Forbidden(
                f"You are not permitted to modify image {image_id}: it belongs to another project."
            )
        return row

    def _permit(self, context: Context, values: Mapping[str, Any]) -> None:
        if values.get("visibility") == "public" and not context.permits(RULES["publicize_image"]):
            raise Forbidden("You are not authorized to complete publicize_image action.")
        if (
            "owner" in values
            and values["owner"] != context.project_id
            and not context.permits(RULES["set_owner"])
        ):
            raise Forbidden(f"You are not permitted to create images owned by '{values['owner']}'.")
        if values.get("owner", "") is None:
            raise Forbidden("An image belongs to a project: use a token that is scoped to one.")

    def kept_for_projects(self) -> list[Owned]:
        return [Owned("images", images.c.owner)]

    def _check_count(self, tx: Tx, owner: str) -> None:
        quota.lock(tx, owner)
        limit = quota.limits(tx, "image", owner)["image_count_total"]
        count = store.usage(tx, owner)["image_count_total"]
        if limit != quota.UNLIMITED and count >= limit:
            raise TooLarge(
                f"The quota is used up: image_count_total is {limit}, and the project has {count} images."
            )

    def check_size(self, tx: Tx, owner: str, *, staging: bool = False) -> None:
        """Raises TooLarge where the owner has more bytes by now, in stores or staged, than it may have.

        As in Glance, what comes is not counted: nobody has to say before how much that is."""
        quota.lock(tx, owner)
        name = "image_stage_total" if staging else "image_size_total"
        limit = quota.limits(tx, "image", owner)[name]
        used = store.usage(tx, owner)[name]
        if limit != quota.UNLIMITED and used > limit * MIB:
            raise TooLarge(
                f"The quota is used up: {name} is {limit} MiB, and the project's images take {-(-used // MIB)} MiB."
            )

    def _check_uploading(self, tx: Tx, owner: str) -> None:
        quota.lock(tx, owner)
        limit = quota.limits(tx, "image", owner)["image_count_uploading"]
        if limit != quota.UNLIMITED and store.usage(tx, owner)["image_count_uploading"] >= limit:
            raise TooLarge(f"The quota is used up: {limit} images of the project are being uploaded.")

    def usage(self, context: Context) -> dict[str, dict[str, int]]:
        """What the caller's project has and may have; sizes in MiB."""
        with self.db.read() as tx:
            limits = quota.limits(tx, "image", context.project_id or "")
            used = store.usage(tx, context.project_id or "")
        return {
            name: {"usage": -(-used[name] // MIB) if name.startswith(("image_size", "image_stage")) else used[name],
                   "limit": limit}
            for name, limit in limits.items()
        }

    def _view(self, tx: Tx, row: sa.Row) -> dict[str, Any]:
        return self._views(tx, [row])[0]

    def _views(self, tx: Tx, rows: Sequence[sa.Row]) -> list[dict[str, Any]]:
        ids = [row.id for row in rows]
        properties, tags = store.details(tx, ids)
        places = store_locations.of(tx, ids)
        shown = self.settings.image.show_multiple_locations
        return [
            wire.image(
                row,
                properties.get(row.id, {}),
                tags.get(row.id, []),
                self.stores.sorted(each.store for each in places.get(row.id, ()) if each.status == "active"),
                self._shown(row, places.get(row.id, ())) if shown else None,
            )
            for row in rows
        ]
