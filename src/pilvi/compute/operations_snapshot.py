"""Images made of servers: snapshots, and backups of which only the last few are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilvi.compute.operations_base import ServerOperation
from pilvi.db import Tx
from pilvi.drivers.disk.base import DiskSource
from pilvi.engine.operations import Progress, Step
from pilvi.faults import Fault
from pilvi.node.messages import CopyOrder

COPY_SECONDS = 6 * 3600
CALL_SECONDS = 3600  # a guest at rest is copied within one call


class Imaging(ServerOperation):
    """Steps that make an image, whose row is there already, of a server's root disk.

    `memory`: `image_id`; then `copy`, the file that holds the disk's content."""

    def copy(self, progress: Progress) -> None:
        if not progress.wait(lambda: self._copied(progress), COPY_SECONDS):
            raise Fault(f"the disk was not copied within {COPY_SECONDS} s")

    def _copied(self, progress: Progress) -> bool:
        found = self.call(progress, "copy", self._copy_order(progress), DiskSource | None, timeout=CALL_SECONDS)
        if found is not None:
            progress.memory["copy"] = found.url
        return found is not None

    def drop_copy(self, progress: Progress) -> None:
        self.call(progress, "drop_copy", self._copy_order(progress))

    def store(self, progress: Progress) -> None:
        self.compute.image.store_snapshot(progress.memory["image_id"], Path(progress.memory["copy"]), consume=True)

    def _copy_order(self, progress: Progress) -> Any:
        return CopyOrder(progress.object_id, progress.memory["generation"], progress.memory["image_id"])


class CreateImage(Imaging):
    """The server goes on as it was."""

    kind, action = "server.create_image", "createImage"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("copy disk", self.copy, self.drop_copy),
            Step("store image", self.store),
            Step("drop the copy", self.drop_copy, certain=True),
        )

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.settle(tx, progress, task_state=None)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """The server is what it was; the image says why it is none."""
        self.compute.image.fail_snapshot(tx, progress.memory["image_id"], reason)
        if not progress.cancelled:
            self.settle(tx, progress, task_state=None)


class CreateBackup(CreateImage):
    """`memory`: also `backup`, the properties that one server's backups of a kind share; `keep`, how many of them."""

    kind, action = "server.create_backup", "createBackup"

    def finish(self, tx: Tx, progress: Progress) -> None:
        super().finish(tx, progress)
        self.compute.image.rotate_snapshots(tx, progress.memory["backup"], progress.memory["keep"])


OPERATIONS = (CreateImage, CreateBackup)
