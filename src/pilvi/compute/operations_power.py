"""Power: stop, start, reboot, pause."""

from __future__ import annotations

from pilvi.compute import states
from pilvi.compute.operations_base import PAUSED, RUNNING, SHUT_DOWN, ServerOperation
from pilvi.db import Tx
from pilvi.drivers.hypervisor.base import PowerState
from pilvi.engine.operations import Progress, Step


class Stop(ServerOperation):
    kind, action = "server.stop", "stop"

    def steps(self) -> tuple[Step, ...]:
        return (Step("ask the guest", self.ask), Step("wait for the guest", self.wait_off))

    def ask(self, progress: Progress) -> None:
        if self.power(progress) in (PowerState.RUNNING, PowerState.PAUSED):
            self.call(progress, "shutdown")

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.settle(tx, progress, vm_state=states.STOPPED, task_state=None, power_state=SHUT_DOWN, fault=None)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        self.fail_as_error(tx, progress, reason)


class Start(ServerOperation):
    kind, action = "server.start", "start"

    def steps(self) -> tuple[Step, ...]:
        return (Step("start guest", self.start),)

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.settle(tx, progress, vm_state=states.ACTIVE, task_state=None, power_state=RUNNING, fault=None)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        self.fail_as_error(tx, progress, reason)


class Reboot(Start):
    """Soft: the guest is asked to end, and forced when it does not. Hard: it is forced at once."""

    kind, action = "server.reboot", "reboot"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("ask the guest", self.ask),
            Step("wait for the guest", self.wait_off),
            Step("start guest", self.start),
        )

    def ask(self, progress: Progress) -> None:
        if progress.memory["type"] == "SOFT" and self.power(progress) is PowerState.RUNNING:
            super().ask(progress)

    def wait_off(self, progress: Progress) -> None:
        if progress.memory["type"] == "SOFT":
            super().wait_off(progress)
        else:
            self.call(progress, "stop")


class Pause(ServerOperation):
    kind, action = "server.pause", "pause"
    verb, vm_state, power_state = "pause", states.PAUSED, PAUSED

    def steps(self) -> tuple[Step, ...]:
        return (Step(self.verb + " guest", self.turn),)

    def turn(self, progress: Progress) -> None:
        self.call(progress, self.verb)

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.settle(tx, progress, vm_state=self.vm_state, task_state=None, power_state=self.power_state)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """It is what it was; the trail has the reason."""
        if not progress.cancelled:
            self.settle(tx, progress, task_state=None)


class Unpause(Pause):
    kind, action = "server.unpause", "unpause"
    verb, vm_state, power_state = "resume", states.ACTIVE, RUNNING


OPERATIONS = (Stop, Start, Reboot, Pause, Unpause)
