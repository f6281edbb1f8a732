"""What servers go through: boot, delete, stop, start, reboot, pause.

Steps reach the host by the bus only, with the generation of the desired state that they carry out; an agent
that knows a later one refuses them. They end in rows only if no later order was taken meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilvi.bus.base import BusError
from pilvi.compute import states, store, store_running
from pilvi.db import Tx
from pilvi.drivers.hypervisor.base import PowerState
from pilvi.engine.operations import Operation, Progress, Retry, Step
from pilvi.faults import Fault
from pilvi.images import configdrive
from pilvi.metadata import tree
from pilvi.node.messages import GuestSpec, ImageSource, Order, PortSpec, Question

if TYPE_CHECKING:
    from pilvi.compute.service import Compute

GIB = 1 << 30
NETWORK_SECONDS = 30  # how long a boot waits until the network knows its ports
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


class Boot(ServerOperation):
    kind, action = "server.boot", "create"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("prepare disk", self.prepare, self.unprepare),
            Step("plug ports", self.plug, self.unplug),
            Step("wait for the network", self.wait_network),
            Step("start guest", self.start, self.unstart),
        )

    def prepare(self, progress: Progress) -> None:
        spec = self._spec(progress)
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
        self.settle(
            tx, progress, vm_state=states.ACTIVE, task_state=None, power_state=RUNNING, launched_at=tx.now
        )

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """The server stays, as an error that can be looked at and deleted; all it held is given back."""
        if not progress.cancelled:
            abandon_boot(self.compute, tx, progress.object_id, progress.memory["generation"], reason)

    def _spec(self, progress: Progress) -> GuestSpec:
        compute = self.compute
        with compute.db.read() as tx:
            row = store_running.for_spec(tx, progress.object_id)
            if row is None:
                raise Fault("the server was deleted")
            cards = compute.network.cards_of(tx, row.id)
            config = self._config_drive(tx, row.id) if row.config_drive else None
        return GuestSpec(
            row.id,
            progress.memory["generation"],
            row.name,
            row.flavor["vcpus"],
            row.flavor["ram"],
            ImageSource(**progress.memory["image"]),
            row.flavor["disk"] * GIB,
            tuple(PortSpec(*card) for card in cards),
            config,
        )

    def _config_drive(self, tx: Tx, server_id: str) -> bytes:
        network = self.compute.network
        ports = network.ports_of(tx, [server_id]).get(server_id, [])
        server = store.server(tx, server_id)
        return configdrive.build(tree.config_drive(server, ports, network.network_data(tx, server_id)))


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

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.compute.placement.release(tx, progress.object_id)
        self.compute.network.release(tx, progress.object_id)
        store_running.bury(tx, progress.object_id)


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
    return settled


def operations(compute: Compute) -> tuple[Operation, ...]:
    return tuple(kind(compute) for kind in (Boot, Delete, Stop, Start, Reboot, Pause, Unpause))
