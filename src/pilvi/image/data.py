"""The images' data: taking an upload and giving it out again, with little memory, whole or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO, NamedTuple, TypeVar

from pilvi.faults import BadRequest, Conflict, Forbidden, Gone, NotFound, TooLarge
from pilvi.image import formats, store
from pilvi.image.files import CHUNK_BYTES, Writer
from pilvi.image.policy import RULES
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
    owner: str
    disk_format: str
    container_format: str
    writer: Writer


class Download(NamedTuple):
    file: BinaryIO
    size: int
    md5: str | None


class Data:
    """The data's verbs of Images."""

    def begin_upload(self, context: Context, image_id: str, size: int | None) -> Upload:
        """Makes the image `saving`. Raises Conflict where it has data or is given some, Forbidden."""
        if size is not None and size > MAX_BYTES:
            raise TooLarge(f"The image of {size} bytes exceeds the maximum size of {MAX_BYTES}.")
        upload_id = self._ids.uuid()
        with self._db.transaction() as tx:
            row = self._own(tx, context, image_id)
            missing = [name for name in ("disk_format", "container_format") if getattr(row, name) is None]
            if missing:
                raise BadRequest(f"Properties {', '.join(missing)} must be set prior to saving data.")
            self._check_size(tx, row.owner, size or 0)
            if not store.begin_upload(tx, image_id, upload_id, self._until(tx)):
                raise Conflict(
                    f"Image status transition from {row.status} to saving is not allowed"
                    + (": another upload is under way." if row.status == "saving" else ".")
                )
        return Upload(
            upload_id,
            image_id,
            row.owner,
            row.disk_format,
            row.container_format,
            self.files.create(upload_id),
        )

    def renew_upload(self, upload: Upload) -> bool:
        """False when the image is gone, or another upload has overtaken this one."""
        with self._db.transaction() as tx:
            return store.renew_upload(tx, upload.image_id, upload.id, self._until(tx))

    def finish_upload(self, upload: Upload, status: str = "active") -> None:
        """Checks the content and makes the image active. Raises BadRequest for content that is refused,
        TooLarge for a quota that does not suffice, Gone where the image was deleted meanwhile."""
        writer = upload.writer
        writer.flush()
        with writer.part.open("rb") as file:
            try:
                virtual = formats.virtual_size(file, upload.disk_format, upload.container_format, writer.size)
            except formats.ImageRefused as error:
                raise BadRequest(f"The data of image {upload.image_id} is refused: {error}.") from None
        writer.keep()
        if not self._settle_upload(upload.image_id, upload.owner, upload.id, writer.size, virtual, status):
            raise Gone(
                f"Image {upload.image_id} could not be found after upload. "
                "It may have been deleted during the upload, or another upload has taken its place."
            )

    def _settle_upload(
        self,
        image_id: str,
        owner: str,
        upload_id: str,
        size: int,
        virtual: int | None,
        status: str = "active",
    ) -> bool:
        """Gives the image its data, which is whole; False, with the data gone, where it is no longer wanted.

        Raises TooLarge for a quota that does not suffice."""
        digests = self.files.digests(upload_id) if size <= HASHED_AT_ONCE_BYTES else (None, None)
        with self._db.transaction() as tx:
            self._check_size(tx, owner, size)
            ours = store.end_upload(
                tx,
                image_id,
                upload_id,
                status=status,
                data=upload_id,
                size=size,
                virtual_size=virtual,
                checksum=digests[0],
                os_hash_value=digests[1],
            )
            tx.after_commit(self._poke_hashing)
        if not ours:
            self.files.remove(upload_id)
        return ours

    def abandon_upload(self, upload: Upload) -> None:
        """The image is queued again and its data dropped, unless it has become active after all."""
        upload.writer.close()
        with self._db.transaction() as tx:
            ours = store.end_upload(tx, upload.image_id, upload.id, status="queued")
        if ours:
            self.files.remove(upload.id)

    def import_staged(self, context: Context, image_id: str) -> None:
        """Makes staged data the image's. Raises Conflict where none is staged."""
        with self._db.transaction() as tx:
            self._own(tx, context, image_id)
            if not store.switch(tx, image_id, "uploading", "active"):
                raise Conflict("Only images with status 'uploading' can be imported.")

    def open_data(self, context: Context, image_id: str) -> Download | None:
        """None for an image without data. Raises Forbidden for a deactivated one."""
        with self._db.read() as tx:
            row = self._get(tx, context, image_id)
        if row.status == "deactivated" and not context.permits(RULES["download_deactivated_image"]):
            raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
        if row.data is None or row.status == "uploading":
            return None
        return Download(self.files.open(row.data), row.size, row.checksum)

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
        status: str = "active",
    ) -> None:
        """Takes a whole upload, or leaves the image as it was."""
        upload = await self.in_thread(self.begin_upload, context, image_id, size)
        try:
            async with asyncio.TaskGroup() as group:
                alive = group.create_task(self._stay_alive(upload))
                await self._write(upload.writer, body)
                if size not in (None, upload.writer.size):
                    raise BadRequest(f"The data has {upload.writer.size} bytes, not {size} as announced.")
                await self.in_thread(self.finish_upload, upload, status)
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
        end, descriptor = start + length, download.file.fileno()

        def read(at: int) -> asyncio.Future[bytes]:
            return loop.run_in_executor(self.threads, os.pread, descriptor, min(CHUNK_BYTES, end - at), at)

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
            download.file.close()
