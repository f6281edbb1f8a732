"""Servers that are put on a shelf: off, with their disk as an image, and no longer on any host in the end."""

from __future__ import annotations

from typing import Any

from pilvi.compute import states, store, store_running
from pilvi.compute.operations_base import RUNNING, SHUT_DOWN, ServerOperation
from pilvi.compute.operations_boot import Boot
from pilvi.compute.operations_snapshot import Imaging
from pilvi.db import Tx
from pilvi.drivers.hypervisor.base import PowerState
from pilvi.engine.operations import Progress, Step


class Shelve(Imaging):
    """`memory`: `was`, its vm_state. A guest that rests is copied as it lies, and loses its memory last of all."""

    kind, action = "server.shelve", "shelve"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("ask the guest", self.ask),
            Step("wait for the guest", self.wait_off, self.switch_on_again),
            Step("copy disk", self.copy, self.drop_copy),
            Step("store image", self.store),
            Step("drop the copy", self.drop_copy, certain=True),
            Step("switch off", self.switch_off, certain=True),
        )

    def ask(self, progress: Progress) -> None:
        if progress.memory["was"] == states.ACTIVE and self.power(progress) is PowerState.RUNNING:
            super().ask(progress)

    def wait_off(self, progress: Progress) -> None:
        if progress.memory["was"] == states.ACTIVE:
            super().wait_off(progress)

    def switch_on_again(self, progress: Progress) -> None:
        if progress.memory["was"] == states.ACTIVE:
            self.call(progress, "start")

    def switch_off(self, progress: Progress) -> None:
        self.call(progress, "stop")

    def finish(self, tx: Tx, progress: Progress) -> None:
        memory = progress.memory
        shelved = {"image": memory["image_id"], "at": tx.now}
        if self.settle(tx, progress, vm_state=states.SHELVED, task_state=None, power_state=SHUT_DOWN, fault=None,
                       shelved=shelved) and self.compute.settings.shelved_offload_seconds == 0:
            self.compute.offload(tx, store.server(tx, progress.object_id))

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """It is what it was."""
        if progress.memory["image_id"] is not None:
            self.compute.image.delete_snapshot_if_unfinished(tx, progress.memory["image_id"])
        if not progress.cancelled:
            self.settle(tx, progress, vm_state=progress.memory["was"], task_state=None,
                        fault=store_running.fault(tx, reason))


class ShelveAway(Shelve):
    """One that boots from a volume leaves its host at once: there is nothing of it there that it would miss."""

    kind = "server.shelve_away"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("ask the guest", self.ask),
            Step("wait for the guest", self.wait_off, self.switch_on_again),
            Step("remove guest", self.remove, certain=True),
        )

    def remove(self, progress: Progress) -> None:
        self.call(progress, "absent", timeout=120)

    def finish(self, tx: Tx, progress: Progress) -> None:
        leave(self, tx, progress, fault=None, shelved={"image": None, "at": tx.now})


def leave(operation: ServerOperation, tx: Tx, progress: Progress, **values: Any) -> None:
    """The server is on no host from now on."""
    if operation.settle(tx, progress, vm_state=states.SHELVED_OFFLOADED, task_state=None, power_state=SHUT_DOWN,
                        host=None, availability_zone=None, **values):
        operation.compute.placement.release(tx, progress.object_id)
        operation.compute.network.bind(tx, progress.object_id, "")


class Offload(Imaging):
    """Its host forgets it. The image has what it needs to come back."""

    kind, action, forward_only = "server.shelve_offload", "shelveOffload", True

    def steps(self) -> tuple[Step, ...]:
        return (Step("remove guest", self.remove),)

    def remove(self, progress: Progress) -> None:
        self.call(progress, "absent", timeout=120)

    def finish(self, tx: Tx, progress: Progress) -> None:
        leave(self, tx, progress)


class Unshelve(Boot):
    """`memory`: `offloaded`, whether its guest is to be made anew, from `image`; otherwise it is only started."""

    kind, action = "server.unshelve", "unshelve"

    def prepare(self, progress: Progress) -> None:
        if progress.memory["offloaded"]:
            super().prepare(progress)

    def unprepare(self, progress: Progress) -> None:
        if progress.memory["offloaded"]:
            super().unprepare(progress)

    def plug(self, progress: Progress) -> None:
        if progress.memory["offloaded"]:
            super().plug(progress)

    def unplug(self, progress: Progress) -> None:
        if progress.memory["offloaded"]:
            super().unplug(progress)

    def wait_network(self, progress: Progress) -> None:
        if progress.memory["offloaded"]:
            super().wait_network(progress)

    def unstart(self, progress: Progress) -> None:
        if progress.memory["offloaded"]:
            super().unstart(progress)
        else:
            self.call(progress, "stop")

    def finish(self, tx: Tx, progress: Progress) -> None:
        """The image has served its purpose."""
        if self.settle(tx, progress, vm_state=states.ACTIVE, task_state=None, power_state=RUNNING, fault=None,
                       shelved=None, launched_at=tx.now) and progress.memory["shelved"] is not None:
            self.compute.image.delete_snapshot(tx, progress.memory["shelved"])

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """It is on the shelf as before, and says why it did not leave that."""
        values = {}
        if progress.memory["offloaded"]:
            self.compute.placement.release(tx, progress.object_id)
            self.compute.network.bind(tx, progress.object_id, "")
            values = {"host": None, "availability_zone": None}
        if not progress.cancelled:
            self.settle(tx, progress, vm_state=progress.memory["was"], task_state=None,
                        fault=store_running.fault(tx, reason), **values)


OPERATIONS = (Shelve, ShelveAway, Offload, Unshelve)
