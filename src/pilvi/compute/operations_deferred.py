"""Servers that are deleted for a while, and those that come back from that."""

from __future__ import annotations

from pilvi.compute import states, store_running
from pilvi.compute.operations_base import RUNNING, SHUT_DOWN, ServerOperation
from pilvi.db import Tx
from pilvi.engine.operations import Progress, Step


class SoftDelete(ServerOperation):
    """`memory`: `aside`, what the row has set aside."""

    kind, action = "server.soft_delete", "delete"

    def steps(self) -> tuple[Step, ...]:
        return (Step("switch off", self.switch_off),)

    def switch_off(self, progress: Progress) -> None:
        self.call(progress, "stop")

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.settle(tx, progress, vm_state=states.SOFT_DELETED, task_state=None, power_state=SHUT_DOWN, fault=None)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """It is what it was; the trail has the reason."""
        if not progress.cancelled:
            aside = progress.memory["aside"]
            self.settle(tx, progress, task_state=None, soft_deleted=None, vcpus=aside["vcpus"], ram=aside["ram"])


class Restore(ServerOperation):
    """`memory`: `becomes`, the vm_state that it has then."""

    kind, action = "server.restore", "restore"

    def steps(self) -> tuple[Step, ...]:
        return (Step("start guest", self.start, self.switch_off),)

    def start(self, progress: Progress) -> None:
        if progress.memory["becomes"] != states.SHELVED:
            super().start(progress)

    def switch_off(self, progress: Progress) -> None:
        self.call(progress, "stop")

    def finish(self, tx: Tx, progress: Progress) -> None:
        becomes = progress.memory["becomes"]
        power = SHUT_DOWN if becomes == states.SHELVED else RUNNING
        self.settle(tx, progress, vm_state=becomes, task_state=None, power_state=power, fault=None, soft_deleted=None)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """It stays deleted for a while, and counts for nothing again."""
        if not progress.cancelled:
            self.settle(tx, progress, vm_state=states.SOFT_DELETED, task_state=None, vcpus=0, ram=0,
                        fault=store_running.fault(tx, reason))


OPERATIONS = (SoftDelete, Restore)
