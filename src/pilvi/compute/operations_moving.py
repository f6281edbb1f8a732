"""A server gets another guest: rebuilt from an image, or resized, on its host or another.

The guest that there was stays on its host as disks set aside, until nobody can want it back. Each such change
takes three generations: one in which the old guest goes, one in which the new one comes, and one, the row's, in
which the old one would come back; so no order of one of them is mistaken for another's on a host that sees both.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pilvi.bus.base import RemoteError
from pilvi.compute import reimaging, states, store_migrations, store_running
from pilvi.compute.operations_base import RUNNING, SHUT_DOWN, ServerOperation
from pilvi.compute.operations_boot import NETWORK_SECONDS
from pilvi.db import Tx
from pilvi.drivers.disk.base import DiskSource
from pilvi.drivers.hypervisor.base import PowerState
from pilvi.engine.operations import Progress, Retry, Step
from pilvi.node.messages import Arrival, Away, Back, Order

GENERATIONS = 3  # that a change takes
TRIES = 5  # of starting a guest again before it is left to its owner
COPY_SECONDS = 3600


class Replacement(ServerOperation):
    """What a server's old guest and its new one go through.

    `memory`: `host` and `target`, where they are; `generation`, the last one; `mark` of the old disks; `was`, the
    vm_state before; `run`, whether the guest is to run; `old` and `new` values of the row."""

    def order(self, progress: Progress) -> Order:
        """To the old guest while it goes."""
        return Order(progress.object_id, progress.memory["generation"] - 2)

    def new_order(self, progress: Progress) -> Order:
        return Order(progress.object_id, progress.memory["generation"] - 1)

    def old_order(self, progress: Progress) -> Order:
        """To the old guest when it has come back."""
        return Order(progress.object_id, progress.memory["generation"])

    def away(self, progress: Progress) -> Away:
        return Away(progress.object_id, progress.memory["generation"] - 2, progress.memory["mark"])

    def there(self, progress: Progress, verb: str, argument: Any = None, timeout: float = 60) -> Any:
        """A verb for the new guest."""
        return self.call(progress, verb, argument or self.new_order(progress), timeout=timeout,
                         host=progress.memory["target"])

    # -- the old guest

    def switch_off(self, progress: Progress) -> None:
        if progress.memory["graceful"] and self.power(progress) is PowerState.RUNNING:
            self.ask(progress)
            self.wait_off(progress)
        else:
            self.call(progress, "stop")

    def switch_on_again(self, progress: Progress) -> None:
        """A guest that cannot be started is its owner's to mend: the rest is as it was."""
        try:
            if progress.memory["run"]:
                self.call(progress, "start", self.old_order(progress))
        except RemoteError as error:
            if progress.attempts < TRIES:
                raise
            progress.memory["broken"] = str(error)

    def set_aside(self, progress: Progress) -> None:
        self.call(progress, "set_aside", self.away(progress))

    def take_back(self, progress: Progress) -> None:
        spec = self.spec(progress, generation=progress.memory["generation"],
                         flavor=progress.memory["old"].get("flavor"))
        self.call(progress, "take_back", Back(spec, progress.memory["mark"]))

    def discard(self, progress: Progress) -> None:
        self.call(progress, "discard", self.away(progress))

    # -- the new guest

    def new_spec(self, progress: Progress) -> Any:
        return self.spec(progress, generation=progress.memory["generation"] - 1,
                         flavor=progress.memory["new"].get("flavor"))

    def remove_new(self, progress: Progress) -> None:
        self.there(progress, "absent", timeout=120)

    def plug(self, progress: Progress) -> None:
        self.there(progress, "plug")

    def unplug(self, progress: Progress) -> None:
        self.there(progress, "unplug")

    def wait_network(self, progress: Progress) -> None:
        with self.compute.db.read() as tx:
            ports = [card[0] for card in self.compute.network.cards_of(tx, progress.object_id)]
        if not progress.wait(lambda: self.compute.network.realised(ports), NETWORK_SECONDS):
            raise Retry(f"the network does not know the ports {', '.join(ports)} after {NETWORK_SECONDS} s")

    def start_new(self, progress: Progress) -> None:
        self.there(progress, "start" if progress.memory["run"] else "define")

    def unstart(self, progress: Progress) -> None:
        self.there(progress, "undefine")

    def settled(self, progress: Progress) -> dict[str, Any]:
        """The server's states when its guest is as it was told."""
        if progress.memory["run"]:
            return {"vm_state": states.ACTIVE, "power_state": RUNNING, "task_state": None, "fault": None}
        return {"vm_state": states.STOPPED, "power_state": SHUT_DOWN, "task_state": None, "fault": None}


class Rebuild(Replacement):
    """The same server, with its ports and addresses, from an image: the old disks go once the new guest runs.

    `memory`: also `keep_ephemeral`, whether it keeps what is on its ephemeral disks."""

    kind, action = "server.rebuild", "rebuild"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("switch off", self.switch_off, self.switch_on_again),
            Step("set the old disks aside", self.set_aside, self.take_back),
            Step("prepare disk", self.prepare, self.remove_new),
            Step("plug ports", self.plug, self.unplug),
            Step("wait for the network", self.wait_network),
            Step("start guest", self.start_new, self.unstart),
            Step("drop the old disks", self.discard, certain=True),
        )

    def set_aside(self, progress: Progress) -> None:
        super().set_aside(progress)
        reimaging.keep(self, progress)

    def take_back(self, progress: Progress) -> None:
        reimaging.take_back(self, progress)
        super().take_back(progress)

    def prepare(self, progress: Progress) -> None:
        reimaging.write(self, progress)
        if progress.memory.get("keep_ephemeral"):
            self.there(progress, "hand_on", self.new_away(progress))
        self.there(progress, "prepare", self.new_spec(progress), timeout=600)

    def remove_new(self, progress: Progress) -> None:
        if progress.memory.get("keep_ephemeral"):
            self.there(progress, "hand_back", self.new_away(progress))
        super().remove_new(progress)

    def discard(self, progress: Progress) -> None:
        reimaging.forget(self, progress)
        super().discard(progress)

    def new_away(self, progress: Progress) -> Away:
        return msgspec.structs.replace(self.away(progress), generation=progress.memory["generation"] - 1)

    def finish(self, tx: Tx, progress: Progress) -> None:
        reimaging.settle(self, tx, progress, done=True)
        self.settle(tx, progress, launched_at=tx.now, **self.settled(progress))

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """The guest is what it was, and its row too; that the rebuild failed is to be seen."""
        reimaging.settle(self, tx, progress, done=False)
        if not progress.cancelled:
            self.settle(tx, progress, vm_state=states.ERROR, task_state=None,
                        fault=store_running.fault(tx, reason), **progress.memory["old"])


class Resize(Replacement):
    """To another flavor, another host, or both. What there was is kept, with what it holds, until confirmed.

    `memory`: also `migration`, which holds the source's claim meanwhile."""

    kind, action = "server.resize", "resize"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("switch off", self.switch_off, self.switch_on_again),
            Step("set the old disks aside", self.set_aside, self.take_back),
            Step("copy disk", self.copy, self.remove_new),
            Step("plug ports", self.plug, self.unplug),
            Step("wait for the network", self.wait_network),
            Step("start guest", self.start_new, self.unstart),
        )

    def copy(self, progress: Progress) -> None:
        disks = self.call(progress, "export", self.away(progress), dict[str, DiskSource])
        self.there(progress, "receive", Arrival(self.new_spec(progress), disks), timeout=COPY_SECONDS)

    def finish(self, tx: Tx, progress: Progress) -> None:
        memory = progress.memory
        self.moved(tx, progress, memory["target"], memory["new"]["availability_zone"])
        values = self.settled(progress) | {"vm_state": states.RESIZED}
        self.settle(tx, progress, launched_at=tx.now, **values, **memory["new"])
        store_migrations.update(tx, memory["migration"], status="finished")

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """It is what it was, and holds what it held."""
        memory = progress.memory
        self.compute.placement.release(tx, progress.object_id)
        self.compute.placement.hand_over(tx, memory["migration"], progress.object_id)
        store_migrations.update(tx, memory["migration"], status="error")
        if not progress.cancelled:
            self.settle(tx, progress, vm_state=memory["was"], task_state=None,
                        fault=store_running.fault(tx, reason), **memory["old"])


class ConfirmResize(Replacement):
    """What there was before goes for good.

    `memory`: `host` is the source's; `new`: the row's values from now on."""

    kind, action, forward_only = "server.confirm_resize", "confirmResize", True

    def steps(self) -> tuple[Step, ...]:
        return (Step("drop the old disks", self.discard),)

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.compute.placement.release(tx, progress.memory["migration"])
        store_migrations.update(tx, progress.memory["migration"], status="confirmed")
        self.settle(tx, progress, **self.settled(progress), **progress.memory["new"])


class RevertResize(Replacement):
    """The guest that there was comes back, on its host, with its flavor. Once begun there is no other way.

    `memory`: `host` is the source's, where it comes back; `target`'s is the guest that goes."""

    kind, action, forward_only = "server.revert_resize", "revertResize", True

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("remove guest", self.remove_new),
            Step("take the old disks back", self.take_back),
            Step("wait for the network", self.wait_network),
            Step("start guest", self.switch_on_again),
        )

    def finish(self, tx: Tx, progress: Progress) -> None:
        memory, placement = progress.memory, self.compute.placement
        placement.release(tx, progress.object_id)
        placement.hand_over(tx, memory["migration"], progress.object_id)
        store_migrations.update(tx, memory["migration"], status="reverted")
        values = self.settled(progress)
        if broken := memory.get("broken"):
            values |= {"vm_state": states.ERROR, "power_state": SHUT_DOWN, "fault": store_running.fault(tx, broken)}
        self.moved(tx, progress, memory["host"], memory["old"]["availability_zone"])
        self.settle(tx, progress, launched_at=tx.now, **values, **memory["old"])


OPERATIONS = (Rebuild, Resize, ConfirmResize, RevertResize)
