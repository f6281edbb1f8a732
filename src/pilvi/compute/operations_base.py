"""What all operations on servers share.

Steps reach the host by the bus only, with the generation of the desired state that they carry out; an agent
that knows a later one refuses them. They end in rows only if no later order was taken meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilvi.bus.base import BusError
from pilvi.compute import states, store_running
from pilvi.db import Tx
from pilvi.drivers.hypervisor.base import PowerState
from pilvi.engine.operations import Operation, Progress, Retry
from pilvi.node.messages import Order, Question

if TYPE_CHECKING:
    from pilvi.compute.service import Compute

RUNNING, PAUSED, SHUT_DOWN = 1, 3, 4  # power_state


class ServerOperation(Operation):
    def __init__(self, compute: Compute):
        self.compute = compute

    def call(
        self,
        progress: Progress,
        verb: str,
        argument: Any = None,
        answer: type | None = None,
        timeout: float = 60,
    ) -> Any:
        """A verb of the agent of the server's host. Raises Retry while that host does not answer."""
        progress.host = progress.memory["host"]
        try:
            return self.compute.bus.call(
                progress.host, verb, argument or self.order(progress), answer, timeout
            )
        except BusError as error:
            raise Retry(str(error)) from None

    def order(self, progress: Progress) -> Order:
        return Order(progress.object_id, progress.memory["generation"])

    def power(self, progress: Progress) -> PowerState:
        return PowerState(self.call(progress, "state", Question(progress.object_id), str))

    def settle(self, tx: Tx, progress: Progress, **values: Any) -> None:
        store_running.settle(tx, progress.object_id, progress.memory["generation"], **values)

    def fail_as_error(self, tx: Tx, progress: Progress, reason: str) -> None:
        if not progress.cancelled:
            self.settle(
                tx, progress, vm_state=states.ERROR, task_state=None, fault=store_running.fault(tx, reason)
            )

    # -- steps that several operations have

    def ask(self, progress: Progress) -> None:
        self.call(progress, "shutdown")

    def wait_off(self, progress: Progress) -> None:
        """Waits for the guest to switch itself off, and forces it when its time is up."""
        seconds = self.compute.settings.shutdown_seconds
        if not progress.wait(lambda: self.power(progress) is not PowerState.RUNNING, seconds, poll=0.25):
            progress.memory["forced"] = True
        self.call(progress, "stop")

    def start(self, progress: Progress) -> None:
        self.call(progress, "start")
