"""What all operations of Volume share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pilvi.bus.base import BusError
from pilvi.db import Tx
from pilvi.drivers.volume.base import VolumeInfo
from pilvi.engine.operations import Operation, Progress, Retry
from pilvi.faults import Fault
from pilvi.node.messages_volumes import CopyIn, Redirect, Sharing, SnapshotOrder
from pilvi.volume import store
from pilvi.volume.tables import volumes
from pilvi.volume.vaults import VaultError

if TYPE_CHECKING:
    from pilvi.volume.service import Volumes

COPY_SECONDS = 3600


@contextmanager
def reachable() -> Iterator[None]:
    """Raises Retry while the vault of backups does not answer."""
    try:
        yield
    except VaultError as error:
        raise Retry(str(error)) from None


class VolumeOperation(Operation):
    def __init__(self, service: Volumes):
        self.service = service

    def call(self, progress: Progress, verb: str, argument: Any, answer: type | None = None, *, timeout: float = 300,
             host: str | None = None) -> Any:
        """A verb of the agent that looks after volumes, unless told. Raises Retry while it does not answer."""
        progress.host = host or progress.memory["host"]
        try:
            return self.service.bus.call(progress.host, verb, argument, answer, timeout)
        except BusError as error:
            raise Retry(str(error)) from None

    def restore(self, progress: Progress) -> None:
        """A backup's content becomes the volume's."""
        memory, vault = progress.memory, self.service.vault
        with reachable(), vault.held(memory["files"]):
            order = CopyIn(memory["volume"], str(vault.path(memory["files"][0])), "qcow2", memory["size"], memory["backend"])
            self.call(progress, "volume_copy_in", order, timeout=COPY_SECONDS)
        self.share(progress, memory["volume"])

    def tell(self, tx: Tx, progress: Progress, resource: tuple[str, str], event: str, text: str) -> None:
        self.service.tell(tx, progress.project_id, progress.request_id, resource, event, text)

    def back(self, tx: Tx, progress: Progress, **values: Any) -> None:
        """The volume is in its old status again, or the one that its attachments have given it since."""
        store.update(tx, volumes, progress.memory["volume"], status=progress.memory["status"], **values)
        self.service.settle(tx, progress.memory["volume"])

    def users(self, progress: Progress, volume_id: str) -> list[tuple[str, str]]:
        """Host and server of everybody who has the volume open now."""
        with self.service.db.read() as tx:
            return self.service.users(tx, volume_id)

    # -- a snapshot: made of a volume that may be in use

    def freeze(self, progress: Progress) -> None:
        order = self.snapshot_order(progress)
        users = self.users(progress, order.volume_id)
        if len(users) > 1:
            raise Fault("several servers have the volume: what they write has no moment at which it is whole")
        target = self.call(progress, "volume_begin_snapshot", order, VolumeInfo)
        for host, server in users:
            self.call(progress, "redirect_volume", Redirect(server, order.volume_id, target), host=host)
        self.call(progress, "volume_end_snapshot", order)
        if not users:  # or else the only one that has it keeps it to itself, until it is attached anew
            self.share(progress, order.volume_id)

    def share(self, progress: Progress, volume_id: str) -> None:
        """What several guests may open stays that: how it is kept has just changed."""
        if progress.memory.get("shared"):
            self.call(progress, "volume_share", Sharing(volume_id, True), timeout=COPY_SECONDS)

    def unfreeze(self, progress: Progress) -> None:
        self.call(progress, "volume_absent_snapshot", self.snapshot_order(progress).snapshot_id)

    def snapshot_order(self, progress: Progress) -> SnapshotOrder:
        return SnapshotOrder(progress.memory["volume"], progress.memory["snapshot"])
