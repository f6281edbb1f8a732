"""Servers at rest and in trouble: suspend and resume, rescue and what ends it, passwords, crash dumps."""

from __future__ import annotations

import msgspec

from pilvi.bus.base import RemoteError
from pilvi.compute import states, store, store_running
from pilvi.compute.operations_base import RUNNING, SHUT_DOWN, ServerOperation
from pilvi.compute.operations_power import Pause
from pilvi.db import Tx
from pilvi.drivers.hypervisor.base import AgentSilent, PowerState
from pilvi.engine.operations import Progress, Step
from pilvi.faults import Fault
from pilvi.node.messages import PasswordOrder, Rescue

SAVE_SECONDS = 960  # more than a hypervisor takes before it gives up
TRIES = 5  # of starting a guest before it is left to its owner
AGENT_SECONDS = 120  # for a guest to start its agent
ADMINISTRATOR = {"windows": "Administrator"}  # by os_type; elsewhere it is root


class Suspend(Pause):
    kind, action = "server.suspend", "suspend"
    verb, vm_state, power_state = "save", states.SUSPENDED, SHUT_DOWN

    def turn(self, progress: Progress) -> None:
        self.call(progress, self.verb, timeout=SAVE_SECONDS)


class Resume(Suspend):
    kind, action = "server.resume", "resume"
    verb, vm_state, power_state = "restore", states.ACTIVE, RUNNING


class Dressing(ServerOperation):
    """`memory`: `image`, what the server's own disk was made from; `rescue`: the image and bus of the other disk."""

    def dress(self, progress: Progress) -> None:
        rescue = msgspec.convert(progress.memory["rescue"], Rescue)
        self.call(progress, "dress", msgspec.structs.replace(self.spec(progress), rescue=rescue), timeout=600)

    def undress(self, progress: Progress) -> None:
        self.call(progress, "dress", self.spec(progress))

    def stop(self, progress: Progress) -> None:
        self.call(progress, "stop")


class RescueServer(Dressing):
    """`memory`: also `was`, the vm_state before; `run`, whether the guest ran; `old` and `new` values of the row."""

    kind, action = "server.rescue", "rescue"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("ask the guest", self.ask),
            Step("wait for the guest", self.wait_off, self.switch_on_again),
            Step("put the rescue disk in", self.dress, self.undress),
            Step("start guest", self.start, self.stop),
        )

    def ask(self, progress: Progress) -> None:
        if self.power(progress) is PowerState.RUNNING:
            super().ask(progress)

    def switch_on_again(self, progress: Progress) -> None:
        if progress.memory["run"]:
            self.call(progress, "start")

    def undress(self, progress: Progress) -> None:
        with self.compute.db.transaction() as tx:  # what its config drive says depends on it
            store.update_server(tx, progress.object_id, **progress.memory["old"])
        super().undress(progress)

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.settle(tx, progress, vm_state=states.RESCUED, task_state=None, power_state=RUNNING, fault=None)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """It is what it was."""
        if not progress.cancelled:
            self.settle(tx, progress, vm_state=progress.memory["was"], task_state=None,
                        fault=store_running.fault(tx, reason), **progress.memory["old"])


class Unrescue(Dressing):
    kind, action, forward_only = "server.unrescue", "unrescue", True

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("switch off", self.stop),
            Step("take the rescue disk out", self.undress),
            Step("start guest", self.start),
        )

    def start(self, progress: Progress) -> None:
        """A guest that cannot be started is its owner's to mend."""
        try:
            super().start(progress)
        except RemoteError as error:
            if progress.attempts < TRIES:
                raise
            progress.memory["broken"] = str(error)

    def finish(self, tx: Tx, progress: Progress) -> None:
        values = {"vm_state": states.ACTIVE, "power_state": RUNNING, "fault": None}
        if broken := progress.memory.get("broken"):
            values = {"vm_state": states.ERROR, "power_state": SHUT_DOWN, "fault": store_running.fault(tx, broken)}
        self.settle(tx, progress, task_state=None, **values)


class Aside(ServerOperation):
    """Something that leaves the server what it was, whether it succeeds or not; the trail has the reason."""

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.settle(tx, progress, task_state=None)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        if not progress.cancelled:
            self.settle(tx, progress, task_state=None)


class ChangePassword(Aside):
    """The password is the row's, so that it is in no trail."""

    kind, action = "server.change_password", "changePassword"

    def steps(self) -> tuple[Step, ...]:
        return (Step("tell the guest agent", self.tell),)

    def tell(self, progress: Progress) -> None:
        with self.compute.db.read() as tx:
            row = store.server(tx, progress.object_id)
        if row is None:
            return
        image = row.image_properties or {}
        user = image.get("os_admin_user") or ADMINISTRATOR.get(image.get("os_type", ""), "root")
        order = PasswordOrder(row.id, progress.memory["generation"], user, row.admin_password)
        if not progress.wait(lambda: self._told(progress, order), AGENT_SECONDS, poll=1):
            raise Fault(f"the guest's agent has not answered within {AGENT_SECONDS} s")

    def _told(self, progress: Progress, order: PasswordOrder) -> bool:
        """False where the guest's agent does not answer yet."""
        try:
            self.call(progress, "set_password", order)
        except RemoteError as error:
            if error.kind != AgentSilent.__name__:
                raise
            return False
        return True


class CrashDump(Aside):
    kind, action = "server.crash_dump", "trigger_crash_dump"

    def steps(self) -> tuple[Step, ...]:
        return (Step("interrupt the guest", self.interrupt),)

    def interrupt(self, progress: Progress) -> None:
        self.call(progress, "interrupt")


OPERATIONS = (Suspend, Resume, RescueServer, Unrescue, ChangePassword, CrashDump)
