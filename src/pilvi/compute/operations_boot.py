"""How servers begin and end: boot and delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.compute import states, store_migrations, store_running
from pilvi.compute.operations_base import RUNNING, ServerOperation
from pilvi.db import Tx
from pilvi.engine.operations import Progress, Retry, Step
from pilvi.faults import Fault
from pilvi.node.messages import Away

if TYPE_CHECKING:
    from pilvi.compute.service import Compute

GIB = 1 << 30
VOLUME_SECONDS = 6 * 3600  # that its volumes may take: each is a copy of an image perhaps
NETWORK_SECONDS = 30  # how long a boot waits until the network knows its ports


class Boot(ServerOperation):
    kind, action = "server.boot", "create"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("prepare disk", self.prepare, self.unprepare),
            Step("plug ports", self.plug, self.unplug),
            Step("wait for the network", self.wait_network),
            Step("start guest", self.start, self.unstart),
        )

    def wait_volumes(self, progress: Progress) -> None:
        """Those that are made for it. Raises Fault where one cannot be made."""
        compute = self.compute
        made = progress.memory.get("made")

        def there() -> bool:
            with compute.db.read() as tx:
                return compute.volume.check_made(tx, made)

        if made and not progress.wait(there, VOLUME_SECONDS):
            raise Fault(f"its volumes were not made within {VOLUME_SECONDS} s")

    def prepare(self, progress: Progress) -> None:
        self.wait_volumes(progress)
        spec = self.spec(progress)
        progress.memory["ports"] = [port.id for port in spec.ports]
        self.call(progress, "prepare", spec, timeout=600)

    def unprepare(self, progress: Progress) -> None:
        self.call(progress, "absent")

    def plug(self, progress: Progress) -> None:
        self.call(progress, "plug")

    def unplug(self, progress: Progress) -> None:
        self.call(progress, "unplug")

    def wait_network(self, progress: Progress) -> None:
        ports = progress.memory["ports"]
        if not progress.wait(lambda: self.compute.network.realised(ports), NETWORK_SECONDS):
            raise Retry(
                f"the network does not know the ports {', '.join(ports)} after {NETWORK_SECONDS} s: "
                'see the reconciler "network" in `pilvi status`'
            )

    def unstart(self, progress: Progress) -> None:
        self.call(progress, "undefine")

    def finish(self, tx: Tx, progress: Progress) -> None:
        if self.settle(
            tx, progress, vm_state=states.ACTIVE, task_state=None, power_state=RUNNING, launched_at=tx.now
        ) and progress.memory.get("volumes"):
            self.compute.keep_volumes(tx, progress.object_id)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """The server stays, as an error that can be looked at and deleted; all it held is given back."""
        if not progress.cancelled:
            abandon_boot(self.compute, tx, progress.object_id, progress.memory["generation"], reason)


class Delete(ServerOperation):
    kind, action, forward_only = "server.delete", "delete", True

    def steps(self) -> tuple[Step, ...]:
        return (Step("remove guest", self.remove),)

    def remove(self, progress: Progress) -> None:
        with self.compute.db.read() as tx:
            row = store_running.for_spec(tx, progress.object_id)
        if row is None or row.host is None:
            return
        progress.memory.update(host=row.host, generation=row.generation)
        self.call(progress, "absent", timeout=120)
        self._discard(progress)

    def _discard(self, progress: Progress) -> None:
        """What a resize that nobody had a word on has kept."""
        with self.compute.db.read() as tx:
            move = store_migrations.undecided(tx, progress.object_id)
        if move is not None:
            away = Away(progress.object_id, progress.memory["generation"], move.mark)
            self.call(progress, "discard", away, host=move.source_host)

    def finish(self, tx: Tx, progress: Progress) -> None:
        if (move := store_migrations.undecided(tx, progress.object_id)) is not None:
            self.compute.placement.release(tx, move.uuid)
            store_migrations.update(tx, move.uuid, status="confirmed")
        self.compute.placement.release(tx, progress.object_id)
        self.compute.network.release(tx, progress.object_id)
        self.compute.release_volumes(tx, progress.object_id)
        store_running.bury(tx, progress.object_id)


def abandon_boot(compute: Compute, tx: Tx, server_id: str, generation: int, reason: str) -> bool:
    """The server is an error that holds nothing; False where somebody else has a later say."""
    settled = store_running.settle(
        tx,
        server_id,
        generation,
        vm_state=states.ERROR,
        task_state=None,
        host=None,
        power_state=0,
        fault=store_running.fault(tx, reason),
    )
    if settled:
        compute.placement.release(tx, server_id)
        compute.network.release(tx, server_id)
        compute.release_volumes(tx, server_id, unused=True)
    return settled


OPERATIONS = (Boot, Delete)
