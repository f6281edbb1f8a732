"""Volumes that come and go while a server is there."""

from __future__ import annotations

from pilvi.compute.operations_base import ServerOperation
from pilvi.db import Tx
from pilvi.engine.operations import Progress, Step
from pilvi.faults import Fault
from pilvi.node.messages_volumes import Resized, VolumeOrder

DETACH_SECONDS = 160  # how long a guest may take to let go of a volume: as long as Nova waits


class ServerVolumeOperation(ServerOperation):
    """Its memory has the "attachment" and the "volume"; its "host" is None for a server that is on none.

    A server's rows stay as they are."""

    def attach(self, progress: Progress) -> None:
        if progress.memory["host"] is not None:
            self.call(progress, "attach_volume", self._order(progress))

    def detached(self, progress: Progress, *, force: bool = False) -> bool:
        return progress.memory["host"] is None or self.call(progress, "detach_volume", self._order(progress, force), bool)

    def _order(self, progress: Progress, force: bool = False) -> VolumeOrder:
        memory = progress.memory
        with self.compute.db.read() as tx:
            (spec,) = self.compute.volume_specs(tx, [{"volume_id": memory["volume"], **memory}])
        return VolumeOrder(progress.object_id, memory["generation"], spec, force)


class AttachVolume(ServerVolumeOperation):
    kind, action = "server.attach_volume", "attach_volume"

    def steps(self) -> tuple[Step, ...]:
        return (Step("compute_attach_volume", self.attach, self.take_back),)

    def take_back(self, progress: Progress) -> None:
        self.detached(progress, force=True)

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.compute.volume.complete(tx, progress.memory["attachment"])

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """The server is what it was; the trail has the reason."""
        if not progress.cancelled:
            self.compute.drop_volume(tx, progress.object_id, progress.memory["attachment"])


class DetachVolume(ServerVolumeOperation):
    kind, action = "server.detach_volume", "detach_volume"

    def steps(self) -> tuple[Step, ...]:
        return (Step("compute_detach_volume", self.detach, self.attach),)

    def detach(self, progress: Progress) -> None:
        if not progress.wait(lambda: self.detached(progress), DETACH_SECONDS, poll=0.25):
            raise Fault(f"the guest did not let go of the volume within {DETACH_SECONDS} s: is it mounted, does its "
                        "operating system run? Stop the server to take the volume out.")

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.compute.drop_volume(tx, progress.object_id, progress.memory["attachment"])

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        if not progress.cancelled:
            self.compute.volume.complete(tx, progress.memory["attachment"])


class ExtendVolume(ServerVolumeOperation):
    """The volume is larger by now; the guest sees it, if it did not see it grow."""

    kind, action = "server.extend_volume", "extend_volume"

    def steps(self) -> tuple[Step, ...]:
        return (Step("compute_extend_volume", self.extend),)

    def extend(self, progress: Progress) -> None:
        volume_id = progress.memory["volume"]
        with self.compute.db.read() as tx:
            size = self.compute.volume.size_of(tx, volume_id)
        if size is not None:
            self.call(progress, "resize_volume", Resized(progress.object_id, volume_id, size))


OPERATIONS = (AttachVolume, DetachVolume, ExtendVolume)
