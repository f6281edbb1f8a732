"""Images made of servers that boot from volumes: snapshots of their volumes, which the image describes."""

from __future__ import annotations

from pilvi.compute.operations_base import ServerOperation
from pilvi.db import Tx
from pilvi.engine.operations import Progress, Step
from pilvi.faults import Fault

SNAPSHOT_SECONDS = 3600


class SnapshotVolumes(ServerOperation):
    """`memory`: `image_id`, of an image that is there already; `snapshots`, which are begun. The server goes on."""

    kind, action = "server.snapshot_volumes", "createImage"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("snapshot volumes", self.wait, self.discard),
            Step("store image", self.store),
        )

    def wait(self, progress: Progress) -> None:
        def there() -> bool:
            with self.compute.db.read() as tx:
                return self.compute.volume.check_snapshots(tx, progress.memory["snapshots"])

        if not progress.wait(there, SNAPSHOT_SECONDS):
            raise Fault(f"the snapshots of its volumes were not made within {SNAPSHOT_SECONDS} s")

    def discard(self, progress: Progress) -> None:
        with self.compute.db.transaction() as tx:
            for snapshot_id in progress.memory["snapshots"]:
                self.compute.volume.discard_snapshot(tx, snapshot_id)

    def store(self, progress: Progress) -> None:
        self.compute.image.store_snapshot(progress.memory["image_id"], None)

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.settle(tx, progress, task_state=None)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """The server is what it was; the image says why it is none."""
        self.compute.image.fail_snapshot(tx, progress.memory["image_id"], reason)
        if not progress.cancelled:
            self.settle(tx, progress, task_state=None)


OPERATIONS = (SnapshotVolumes,)
