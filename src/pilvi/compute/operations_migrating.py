"""Servers that go to another host: while they run, or because their host is gone."""

from __future__ import annotations

from typing import Any

import msgspec

from pilvi.compute import states, store_migrations, store_running
from pilvi.compute.operations_base import PAUSED, RUNNING, SHUT_DOWN, ServerOperation
from pilvi.compute.operations_boot import Boot
from pilvi.compute.operations_moving import Replacement
from pilvi.db import Tx
from pilvi.drivers.hypervisor.base import Places, Transfer
from pilvi.engine.operations import Progress, Step
from pilvi.faults import Fault
from pilvi.node.messages import Expected, Order, Question, Rest, Sending

GENERATIONS = 2  # of a live migration: the source's, and the destination's
SEND_SECONDS = 24 * 3600


def stays(operation: ServerOperation, tx: Tx, progress: Progress, reason: str, status: str = "error") -> None:
    """The server is where it was and what it was, and holds what it held."""
    memory, placement = progress.memory, operation.compute.placement
    placement.release(tx, progress.object_id)
    placement.hand_over(tx, memory["migration"], progress.object_id)
    store_migrations.update(tx, memory["migration"], status=status)
    if not progress.cancelled:
        operation.settle(tx, progress, vm_state=memory["was"], task_state=None, fault=store_running.fault(tx, reason))


class LiveMigrate(Replacement):
    """`memory`: `host` and `target`; `generation`, the destination's; `was`; `migration`; `zone` of the target."""

    kind, action = "server.live_migrate", "live-migration"

    def order(self, progress: Progress) -> Order:
        return Order(progress.object_id, progress.memory["generation"] - 1)

    def new_order(self, progress: Progress) -> Order:
        return Order(progress.object_id, progress.memory["generation"])

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("make ready for the guest", self.expect, self.remove_new),
            Step("send the guest", self.send, self.give_up),
            Step("take the guest over", self.take_over, certain=True),
            Step("remove what the guest left", self.remove_old, certain=True),
        )

    def expect(self, progress: Progress) -> None:
        sizes = self.call(progress, "disk_bytes", Question(progress.object_id), dict[str, int])
        places = self.call(progress, "places", Question(progress.object_id), Places)
        expected = Expected(self.spec(progress), sizes, places)
        progress.memory["where"] = self.call(progress, "expect", expected, str, timeout=120,
                                             host=progress.memory["target"])

    def send(self, progress: Progress) -> None:
        if not progress.wait(lambda: self._sent(progress), SEND_SECONDS, poll=0.1):
            raise Fault(f"the guest has not arrived within {SEND_SECONDS} s")

    def _sent(self, progress: Progress) -> bool:
        """Whether it has arrived. Raises Fault where it never will, and where somebody asked to give it up."""
        memory = progress.memory
        with self.compute.db.read() as tx:
            migration = store_migrations.get(tx, memory["migration"])
        wish = migration.wish
        if wish == "abort":
            memory["aborted"] = True
            raise Fault("the live migration was aborted")
        order = self.order(progress)
        sending = Sending(order.server_id, order.generation, memory["where"], wish == "force")
        found = self.call(progress, "send", sending, Transfer)
        if found.state == "failed":
            raise Fault(f"the guest could not be sent: {found.reason}")
        figures = {name: value for name, value in msgspec.structs.asdict(found).items()
                   if name not in ("state", "reason")}
        status = "post-migrating" if found.state == "done" else "running"
        if (status, figures) != (migration.status, migration.figures):
            with self.compute.db.transaction() as tx:
                store_migrations.update(tx, memory["migration"], figures=figures, status=status)
        return found.state == "done"

    def give_up(self, progress: Progress) -> None:
        self.call(progress, "give_up", self._rest(progress, self.order(progress)))

    def take_over(self, progress: Progress) -> None:
        self.there(progress, "take_over", self._rest(progress, self.new_order(progress)))

    def remove_old(self, progress: Progress) -> None:
        self.call(progress, "absent", timeout=120)

    def _rest(self, progress: Progress, order: Order) -> Rest:
        return Rest(order.server_id, order.generation, progress.memory["was"] == states.PAUSED)

    def finish(self, tx: Tx, progress: Progress) -> None:
        memory = progress.memory
        self.compute.placement.release(tx, memory["migration"])
        store_migrations.update(tx, memory["migration"], status="completed")
        power = PAUSED if memory["was"] == states.PAUSED else RUNNING
        self.moved(tx, progress, memory["target"], memory["zone"])
        self.settle(tx, progress, vm_state=memory["was"], task_state=None, power_state=power, fault=None)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        stays(self, tx, progress, reason, "cancelled" if progress.memory.get("aborted") else "error")


class Evacuate(Boot):
    """The server is made anew on another host, since its own is gone; whatever that still has is removed when it
    is back (by the reconciler of guests), and held until then."""

    kind, action = "server.evacuate", "evacuate"

    def start(self, progress: Progress) -> None:
        self.call(progress, "start" if progress.memory["run"] else "define")

    def finish(self, tx: Tx, progress: Progress) -> None:
        memory = progress.memory
        values: dict[str, Any] = {"vm_state": states.STOPPED, "power_state": SHUT_DOWN}
        if memory["run"]:
            values = {"vm_state": states.ACTIVE, "power_state": RUNNING}
        store_migrations.update(tx, memory["migration"], status="done")
        self.moved(tx, progress, memory["host"], memory["zone"])
        self.settle(tx, progress, task_state=None, fault=None, launched_at=tx.now, **values)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        stays(self, tx, progress, reason)


OPERATIONS = (LiveMigrate, Evacuate)
