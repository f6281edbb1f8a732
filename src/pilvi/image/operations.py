"""What images go through by themselves: an import, and the hashing of data that stays on a web server.

A step that finds its image deleted ends: the undo takes its files away, and nothing of the image is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.engine.operations import Operation, Progress, Retry, Step
from pilvi.faults import Fault, Gone, TooLarge
from pilvi.image import store, store_locations, store_tasks
from pilvi.image.data import MAX_BYTES
from pilvi.image.fetch import FetchError, Found
from pilvi.image.files import CHUNK_BYTES
from pilvi.image.imports import COPIED, COPIED_PREFIXES, FAILED, IMPORTING, KIND, LOCATION_KIND
from pilvi.image.stores import DEFAULT
from pilvi.policy import Context

if TYPE_CHECKING:
    from pilvi.image.service import Images

LONGEST_SECONDS = 6 * 3600  # of a transfer
POLL_SECONDS = 5.0  # a transfer that has ended says so; this is for one that could not
LOOK_BYTES = 16 << 20  # how much is read until it is looked whether anybody still wants it


class ImageOperation(Operation):
    def __init__(self, images: Images):
        self.images, self.db = images, images.db
        self._under_way: dict[str, Future[Any]] = {}  # by operation

    def transfer(self, progress: Progress, verb: Callable[[Progress], Any]) -> Any:
        """What the verb returns, once it has: data is moved in threads of its own, and no operation waits for that."""
        future = self._under_way.get(progress.id)
        if future is None:
            future = self._under_way[progress.id] = self.images.transfers.submit(verb, progress)
            future.add_done_callback(lambda _: self.images.engine.wake(progress.object_id))
        progress.wait(future.done, LONGEST_SECONDS, POLL_SECONDS)
        del self._under_way[progress.id]
        return future.result()

    def row(self, progress: Progress) -> sa.Row:
        """Raises Gone for a deleted image."""
        with self.db.read() as tx:
            row = store.any_image(tx, progress.object_id)
        if row is None:
            raise Gone(f"Image {progress.object_id} has been deleted.")
        return row

    def begin(self, progress: Progress) -> None:
        with self.db.transaction() as tx:
            store_tasks.begin(tx, progress.memory["task_id"])

    def parts(self, progress: Progress, found: Found) -> Iterator[bytes]:
        """What a web server gives, as long as the image is there. Raises Gone, TooLarge, Retry, FetchError."""
        taken, looked, deadline = 0, 0, self.images.clock.monotonic() + LONGEST_SECONDS
        while part := found.read(CHUNK_BYTES):
            taken += len(part)
            if taken > MAX_BYTES:
                raise TooLarge(f"The data exceeds the maximum size of {MAX_BYTES} bytes.")
            if self.images.engine.stopping:
                raise Retry("the cloud is being stopped")
            if self.images.clock.monotonic() > deadline:
                raise FetchError(f"the web server is too slow: {taken} bytes came in {LONGEST_SECONDS} s")
            if taken - looked >= LOOK_BYTES or progress.cancelled:
                looked = taken
                self.row(progress)
            yield part
        if found.size not in (None, taken):
            raise Retry(f"the web server gave {taken} of {found.size} bytes")

    def end(self, tx: Tx, progress: Progress, status: str, message: str = "") -> None:
        result = {"image_id": progress.object_id} if status == "success" else None
        store_tasks.end(tx, progress.memory["task_id"], status, message, result)


class Import(ImageOperation):
    """From the staging area, the web or another image into stores."""

    kind, action = KIND, "import"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("fetch", self.fetch, self.forget),
            Step("inspect", self.inspect),
            Step("copy", self.copy, self.uncopy),
        )

    def staged(self, progress: Progress) -> Path:
        return self.images.files.path(progress.memory["name"])

    def fetch(self, progress: Progress) -> None:
        self.begin(progress)
        self.row(progress)
        method, name = progress.memory["method"], progress.memory["name"]
        if method == "glance-download":
            source = self.same_cloud(progress)
            self.transfer(progress, lambda _: self.images.files.adopt(name, source))
        elif method == "web-download":
            self.transfer(progress, self.download)

    def download(self, progress: Progress) -> None:
        name, found = progress.memory["name"], None
        if self.staged(progress).exists():
            return
        self.images.files.remove(name)
        writer = self.images.files.create(name)
        try:
            found = self.images.fetcher.open(progress.memory["uri"])
            for part in self.parts(progress, found):
                writer.write([part])
            writer.flush()
            writer.keep()
        finally:
            writer.close()
            if found is not None:
                found.close()

    def same_cloud(self, progress: Progress) -> Path:
        """The file of an image that the caller sees here. Raises Gone."""
        wanted, memory = Context(user_id="", project_id=progress.project_id), progress.memory
        if memory["region"] != self.images.settings.region:
            raise Gone(f"No image service is known in region {memory['region']!r}.")
        with self.db.read() as tx:
            row = store.get(tx, wanted, memory["source"])
            found = row and self.images.readable(store_locations.of(tx, [row.id])[row.id])
            properties = store.details(tx, [memory["source"]])[0][memory["source"]]
        if row is None or found is None or row.status != "active":
            raise Gone(f"Image {memory['source']} in region {memory['region']} has no data to be read.")
        memory["form"] = {"disk_format": row.disk_format, "container_format": row.container_format}
        memory["properties"] = {key: value for key, value in properties.items()
                                if key in COPIED or key.startswith(COPIED_PREFIXES)}
        return self.images.stores.folders()[found].path(row.data)

    def forget(self, progress: Progress) -> None:
        if progress.memory["method"] != "copy-image":
            self.images.stores.remove(progress.memory["name"])

    def inspect(self, progress: Progress) -> None:
        row, memory = self.row(progress), progress.memory
        if memory["method"] == "copy-image":
            return
        form = memory.get("form") or {"disk_format": row.disk_format, "container_format": row.container_format}
        size = self.staged(progress).stat().st_size
        with self.staged(progress).open("rb") as file:
            virtual = self.images.inspect(file, row.id, form["disk_format"], form["container_format"], size)
        digests = self.images.digests(memory["name"], size, DEFAULT)
        with self.db.transaction() as tx:
            self.images.check_size(tx, row.owner)
            store.update(tx, row.id, size=size, virtual_size=virtual, data=memory["name"], **form, **digests)

    def copy(self, progress: Progress) -> None:
        memory = progress.memory
        if memory["method"] != "copy-image" and memory["targets"] == [DEFAULT]:
            self.copy_all(progress)  # nothing is moved
        else:
            self.transfer(progress, self.copy_all)

    def copy_all(self, progress: Progress) -> None:
        """Into one store after the other; one that fails is left out where that is allowed."""
        failed: list[str] = []
        for target in progress.memory["targets"]:
            try:
                self.copy_to(progress, target)
            except (OSError, Fault) as error:
                if progress.memory["must_succeed"] or isinstance(error, Gone):
                    raise
                failed.append(target)
                self.drop(progress, [target])
            self.note(progress, target, failed)
        if failed and len(failed) == len(progress.memory["targets"]):
            raise Gone(f"The data could be written to none of the stores {', '.join(failed)}.")

    def copy_to(self, progress: Progress, target: str) -> None:
        with self.db.read() as tx:
            row = store.any_image(tx, progress.object_id)
            found = store_locations.of(tx, [progress.object_id])[progress.object_id]
        if row is None:
            raise Gone(f"Image {progress.object_id} has been deleted.")
        if target == DEFAULT and progress.memory["method"] != "copy-image":
            return  # where it was staged
        source = DEFAULT if progress.memory["method"] != "copy-image" else self.images.readable(found)
        if source is None:
            raise OSError(f"No store has the data of image {progress.object_id} any more.")
        folders = self.images.stores.folders()
        if target not in folders:
            raise OSError(f"The store {target} is there no more.")
        folders[target].adopt(row.data, folders[source].path(row.data))

    def note(self, progress: Progress, target: str, failed: list[str]) -> None:
        """Shows how far it is."""
        targets = progress.memory["targets"]
        left = targets[targets.index(target) + 1 :]
        with self.db.transaction() as tx:
            if store.any_image(tx, progress.object_id) is not None:
                if progress.memory["method"] == "copy-image" and target not in failed:
                    store_locations.set_status(tx, progress.object_id, target, "active")
                store.add_property(tx, progress.object_id, IMPORTING, ",".join(left))
                store.add_property(tx, progress.object_id, FAILED, ",".join(failed))

    def uncopy(self, progress: Progress) -> None:
        self.drop(progress, progress.memory["targets"])

    def drop(self, progress: Progress, targets: list[str]) -> None:
        if progress.memory["method"] == "copy-image":
            with self.db.read() as tx:
                row = store.any_image(tx, progress.object_id)
            name = row and row.data
        else:
            name = progress.memory["name"]
        with self.db.transaction() as tx:
            store_locations.remove_from(tx, progress.object_id, targets)
        self.images.stores.remove(name or progress.memory["name"], targets)

    def finish(self, tx: Tx, progress: Progress) -> None:
        memory, image_id = progress.memory, progress.object_id
        row = store.any_image(tx, image_id)
        if row is None:
            tx.after_commit(lambda: self.images.stores.remove(memory["name"]))
            return self.end(tx, progress, "failure", "The image has been deleted.")
        if memory["method"] != "copy-image":
            for target in memory["targets"]:
                store_locations.set_status(tx, image_id, target, "active")
            if DEFAULT not in memory["targets"]:
                store_locations.remove_from(tx, image_id, [DEFAULT], "staged")
                tx.after_commit(lambda: self.images.files.remove(memory["name"]))
            for name, value in memory.get("properties", {}).items():
                store.add_property(tx, image_id, name, value)
            store.update(tx, image_id, status="active", upload_id=None, updated_at=tx.now)
            tx.after_commit(self.images.poke_hashing)
        return self.end(tx, progress, "success")

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        memory, image_id = progress.memory, progress.object_id
        self.end(tx, progress, "failure", reason)
        row = store.any_image(tx, image_id)
        if row is None:
            return
        store.add_property(tx, image_id, IMPORTING, "")
        store.add_property(tx, image_id, FAILED, ",".join(memory["targets"]))
        if memory["method"] == "copy-image":
            store_locations.remove_from(tx, image_id, memory["targets"], "copying")
        elif memory["made"]:
            store.delete_unfinished(tx, image_id, ("importing",))
        else:
            store.empty(tx, image_id)
            store_locations.clear(tx, image_id)


class LocationImport(ImageOperation):
    """Data that stays on its web server is read once, to be hashed and compared with what its owner expects."""

    kind, action = LOCATION_KIND, "location import"

    def steps(self) -> tuple[Step, ...]:
        return (Step("hash", self.hash),)

    def hash(self, progress: Progress) -> None:
        self.begin(progress)
        self.row(progress)
        memory = progress.memory
        memory["found"] = found = self.transfer(progress, self.read)
        for name, expected in memory["expected"].items():
            if found.get(name, expected) != expected:
                raise Gone(f"The data at {memory['url']} has the {name} {found[name]}, not {expected}.")

    def read(self, progress: Progress) -> dict[str, Any]:
        md5, value = hashlib.md5(usedforsecurity=False), hashlib.new(progress.memory["algorithm"])
        found, size = self.images.fetcher.open(progress.memory["url"]), 0
        try:
            for part in self.parts(progress, found):
                md5.update(part)
                value.update(part)
                size += len(part)
        finally:
            found.close()
        return {"checksum": md5.hexdigest(), "os_hash_value": value.hexdigest(), "size": size}

    def finish(self, tx: Tx, progress: Progress) -> None:
        found: dict[str, Any] = progress.memory["found"]
        here = store.update(tx, progress.object_id, os_hash_algo=progress.memory["algorithm"], **found)
        store.switch(tx, progress.object_id, "importing", "active")
        self.end(tx, progress, *(("success",) if here else ("failure", "The image has been deleted.")))

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """The location stays, so that its owner sees what was wrong with it."""
        self.end(tx, progress, "failure", reason)
        store.switch(tx, progress.object_id, "importing", "queued")
        if not progress.memory["expected"]:
            store.update(tx, progress.object_id, status="queued", os_hash_algo=None)


def operations(images: Images) -> tuple[Operation, ...]:
    return Import(images), LocationImport(images)
