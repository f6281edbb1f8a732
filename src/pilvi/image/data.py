"""The images' data: taking an upload and giving it out again, with little memory, whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa

from pilvi.faults import BadRequest, Conflict, Forbidden, Gone, NotFound, TooLarge, UnsupportedMediaType
from pilvi.image import formats, store, store_locations
from pilvi.image.fetch import Fetcher, FetchError, Found
from pilvi.image.files import CHUNK_BYTES, Writer
from pilvi.image.policy import RULES
from pilvi.image.stores import DEFAULT
from pilvi.image.wire import HASH
from pilvi.policy import Context

T = TypeVar("T")

MAX_BYTES = 1 << 40
BATCH_BYTES = 4 << 20
SETTLE_BYTES = 64 << 20
UPLOAD_LEASE_SECONDS = 20
IDLE_SECONDS = 300  # after which a silent client is given up
HASHED_AT_ONCE_BYTES = 32 << 20  # larger data is hashed after the upload was answered


class Upload(NamedTuple):
    id: str
    image_id: str
    disk_format: str
    container_format: str
    writer: Writer
    store: str
    staging: bool


class Source(Protocol):
    """Data that is read from, in order."""

    def read_at(self, size: int, at: int) -> bytes: ...

    def close(self) -> None: ...


class Download(NamedTuple):
    source: Source
    size: int
    md5: str | None


class LocalSource:
    def __init__(self, file: BinaryIO):
        self.file = file

    def read_at(self, size: int, at: int) -> bytes:
        return os.pread(self.file.fileno(), size, at)

    def close(self) -> None:
        self.file.close()


class RemoteSource:
    """What a web server gives; asked for when the first byte is."""

    def __init__(self, fetcher: Fetcher, url: str):
        self._fetcher, self._url = fetcher, url
        self._found: Found | None = None

    def read_at(self, size: int, at: int) -> bytes:
        try:
            if self._found is None:
                self._found = self._fetcher.open(self._url, start=at)
            return self._found.read(size)
        except FetchError as error:
            raise Gone(f"The image's data is not there: {error}") from None

    def close(self) -> None:
        if self._found is not None:
            self._found.close()


class Data:
    """The data's verbs of Images."""

    def begin_upload(
        self,
        context: Context,
        image_id: str,
        size: int | None,
        store_name: str | None = None,
        staging: bool = False,
    ) -> Upload:
        """Makes the image `saving`. Raises Conflict where it has data or is given some, Forbidden, BadRequest for a
        store that there is not, TooLarge for a quota that is used up."""
        if size is not None and size > MAX_BYTES:
            raise TooLarge(f"The image of {size} bytes exceeds the maximum size of {MAX_BYTES}.")
        upload_id = self._ids.uuid()
        target = self.stores.upload_target(store_name)
        with self.db.transaction() as tx:
            row = self._own(tx, context, image_id)
            missing = [name for name in ("disk_format", "container_format") if getattr(row, name) is None]
            if missing:
                raise BadRequest(f"Properties {', '.join(missing)} must be set prior to saving data.")
            self.check_size(tx, row.owner, staging=staging)
            self._check_uploading(tx, row.owner)
            if not store.begin_upload(tx, image_id, upload_id, self._until(tx)):
                raise Conflict(
                    f"Image status transition from {row.status} to saving is not allowed"
                    + (": another upload is under way." if row.status == "saving" else ".")
                )
        return Upload(
            upload_id,
            image_id,
            row.disk_format,
            row.container_format,
            self.stores.folders()[target].create(upload_id),
            target,
            staging,
        )

    def renew_upload(self, upload: Upload) -> bool:
        """False when the image is gone, or another upload has overtaken this one."""
        with self.db.transaction() as tx:
            return store.renew_upload(tx, upload.image_id, upload.id, self._until(tx))

    def finish_upload(self, upload: Upload) -> None:
        """Checks the content and makes the image active, or `uploading` where it is only staged.

        Raises UnsupportedMediaType for content that is refused, Gone where the image was deleted meanwhile."""
        writer = upload.writer
        writer.flush()
        virtual = None
        if not upload.staging:  # what is staged is looked at when it is imported
            with writer.part.open("rb") as file:
                virtual = self.inspect(
                    file, upload.image_id, upload.disk_format, upload.container_format, writer.size
                )
        writer.keep()
        if not self._settle_upload(
            upload.image_id,
            upload.id,
            writer.size,
            virtual,
            "uploading" if upload.staging else "active",
            upload.store,
        ):
            raise Gone(
                f"Image {upload.image_id} could not be found after upload. "
                "It may have been deleted during the upload, or another upload has taken its place."
            )

    def inspect(
        self, file: BinaryIO, image_id: str, disk_format: str, container_format: str, size: int
    ) -> int | None:
        """Bytes of the disk in it, where it says. Raises UnsupportedMediaType for content that is refused."""
        try:
            return formats.virtual_size(file, disk_format, container_format, size)
        except formats.WrongFormat as error:
            if not self.settings.image.format_enforcement:
                return None
            raise UnsupportedMediaType(f"The data of image {image_id} is refused: {error}.") from None
        except formats.ImageRefused as error:
            raise UnsupportedMediaType(f"The data of image {image_id} is refused: {error}.") from None

    def _settle_upload(
        self,
        image_id: str,
        upload_id: str,
        size: int,
        virtual: int | None,
        status: str = "active",
        target: str = DEFAULT,
    ) -> bool:
        """Gives the image its data, which is whole; False, with the data gone, where it is no longer wanted."""
        staging = status == "uploading"
        digests = self.digests(upload_id, size, target)
        with self.db.transaction() as tx:
            ours = store.end_upload(
                tx,
                image_id,
                upload_id,
                status=status,
                data=upload_id,
                size=size,
                virtual_size=virtual,
                **digests,
            )
            if ours:
                store_locations.clear(tx, image_id)
                store_locations.add(tx, image_id, target, "staged" if staging else "active")
            tx.after_commit(self.poke_hashing)
        if not ours:
            self.stores.remove(upload_id)
        return ours

    def digests(self, name: str, size: int, where: str) -> dict[str, Any]:
        """The hashes of small data, as the image's columns; large data is hashed later."""
        if size > HASHED_AT_ONCE_BYTES:
            return {}
        md5, value = self.stores.folders()[where].digests(name)
        return {"checksum": md5, "os_hash_algo": HASH, "os_hash_value": value}

    def abandon_upload(self, upload: Upload) -> None:
        """The image is queued again and its data dropped, unless it has become active after all."""
        upload.writer.close()
        with self.db.transaction() as tx:
            ours = store.end_upload(tx, upload.image_id, upload.id, status="queued")
        if ours:
            self.stores.remove(upload.id)

    def open_data(self, context: Context, image_id: str, preferred: Sequence[str] = ()) -> Download | None:
        """None for an image without data; of several copies one in a store that is preferred, the first best.

        Raises Forbidden for a deactivated image, BadRequest for a store that there is not."""
        if unknown := [name for name in preferred if name not in self.stores]:
            raise BadRequest(f"There is no store {', '.join(unknown)}.")
        with self.db.read() as tx:
            row = self._get(tx, context, image_id)
            found = store_locations.of(tx, [image_id])[image_id]
            copy = store_locations.cached_image(tx, image_id)
        if row.status == "deactivated" and not context.permits(RULES["download_deactivated_image"]):
            raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
        if row.status not in ("active", "deactivated"):
            return None
        if copy is not None and copy.status == "cached" and not preferred:
            with contextlib.suppress(Gone), self.db.transaction() as tx:  # of another controller
                file = self.cache.open(image_id)
                store_locations.hit(tx, image_id)
                return Download(LocalSource(file), copy.size, row.checksum)
        if (name := self.readable(found, preferred)) is not None:
            return Download(LocalSource(self.stores.folders()[name].open(row.data)), row.size, row.checksum)
        url = next((each.url for each in found if each.url is not None), None)
        if url is None:
            return None
        return Download(RemoteSource(self.fetcher, url), self._remote_size(row, url), row.checksum)

    def readable(self, found: Sequence[sa.Row], preferred: Sequence[str] = (), *, staged: bool = False) -> str | None:
        """The store whose file is read, of an image with these locations; `staged`: also one to be imported."""
        good = ("active", "staged") if staged else ("active",)
        names = [each.store for each in found if each.url is None and each.status in good]
        order = [*(name for name in preferred if name in names), *self.stores.sorted(names)]
        return next((name for name in order if self.stores.files(name) is not None), None)

    def _remote_size(self, row: sa.Row, url: str) -> int:
        try:
            size = self.fetcher.size(url) if row.size is None else row.size
        except FetchError as error:
            raise Gone(f"The image's data is not there: {error}") from None
        if size is None:
            raise Gone(f"The image's data cannot be read: the server of {url} does not say its size.")
        return size

    def _until(self, tx) -> int:
        return tx.now + UPLOAD_LEASE_SECONDS * 1_000_000

    # -- the asynchronous side: what runs at the edge, with all that may block in threads

    async def in_thread(self, verb: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, verb, *arguments)

    async def receive(
        self,
        context: Context,
        image_id: str,
        size: int | None,
        body: AsyncIterator[bytes],
        store_name: str | None = None,
        staging: bool = False,
    ) -> None:
        """Takes a whole upload, or leaves the image as it was."""
        upload = await self.in_thread(self.begin_upload, context, image_id, size, store_name, staging)
        try:
            async with asyncio.TaskGroup() as group:
                alive = group.create_task(self._stay_alive(upload))
                await self._write(upload.writer, body)
                if size not in (None, upload.writer.size):
                    raise BadRequest(f"The data has {upload.writer.size} bytes, not {size} as announced.")
                await self.in_thread(self.finish_upload, upload)
                alive.cancel()
        except BaseException as error:
            await asyncio.shield(self.in_thread(self.abandon_upload, upload))
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None

    async def _write(self, writer: Writer, body: AsyncIterator[bytes]) -> None:
        """Receives one batch while the one before it is written, and older ones settle on the disk."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future = loop.create_future()
        done.set_result(None)
        writing, settling = done, done
        batch, held, settled = [], 0, 0
        try:
            async with asyncio.timeout(IDLE_SECONDS) as patience:
                async for part in body:
                    batch.append(part)
                    held += len(part)
                    if held < BATCH_BYTES:
                        continue
                    await writing
                    if writer.size > MAX_BYTES:
                        raise TooLarge(f"The image exceeds the maximum size of {MAX_BYTES} bytes.")
                    if writer.size - settled >= SETTLE_BYTES and settling.done():
                        settled, settling = writer.size, loop.run_in_executor(self.threads, writer.settle)
                    writing = loop.run_in_executor(self.threads, writer.write, batch)
                    batch, held = [], 0
                    patience.reschedule(loop.time() + IDLE_SECONDS)
            await writing
            await self.in_thread(writer.write, batch)
            await settling
        except TimeoutError:
            raise BadRequest(
                f"The upload was given up: too little came within {IDLE_SECONDS} seconds."
            ) from None
        finally:
            await asyncio.gather(writing, settling, return_exceptions=True)

    async def _stay_alive(self, upload: Upload) -> None:
        """Renews the upload's lease. Raises Gone as soon as it is lost."""
        while True:
            await asyncio.sleep(UPLOAD_LEASE_SECONDS / 4)
            if not await self.in_thread(self.renew_upload, upload):
                raise Gone(f"Image {upload.image_id} was deleted during the upload.")

    async def send(self, download: Download, start: int, length: int) -> AsyncIterator[bytes]:
        """The data from `start` on; one chunk is read while the one before it is sent."""
        loop = asyncio.get_running_loop()
        end, source = start + length, download.source
        # A slow web server keeps nobody waiting who reads from here.
        threads = self.transfers if isinstance(source, RemoteSource) else self.threads

        def read(at: int) -> asyncio.Future[bytes]:
            return loop.run_in_executor(threads, source.read_at, min(CHUNK_BYTES, end - at), at)

        ahead = read(start)
        try:
            while start < end:
                chunk = await ahead
                if not chunk:
                    raise NotFound("The image's data is shorter than recorded.")
                start += len(chunk)
                ahead = read(start)
                yield chunk
        finally:
            await asyncio.wait([ahead])
            source.close()
