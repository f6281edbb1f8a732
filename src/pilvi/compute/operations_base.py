"""What all operations on servers share.

Steps reach the host by the bus only, with the generation of the desired state that they carry out; an agent
that knows a later one refuses them. They end in rows only if no later order was taken meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pilvi.bus.base import BusError
from pilvi.compute import local_disks, states, store, store_running
from pilvi.db import Tx
from pilvi.drivers.hypervisor.base import PowerState
from pilvi.engine.operations import Operation, Progress, Retry
from pilvi.faults import Fault
from pilvi.images import configdrive
from pilvi.metadata import tree
from pilvi.node.messages import GuestSpec, ImageSource, Order, PortSpec, Question

if TYPE_CHECKING:
    from pilvi.compute.service import Compute

GIB = 1 << 30
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
        host: str | None = None,
    ) -> Any:
        """A verb of the agent of a host, the server's own unless told. Raises Retry while that does not answer."""
        progress.host = host or progress.memory["host"]
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

    def settle(self, tx: Tx, progress: Progress, **values: Any) -> bool:
        """False where a later order was taken meanwhile."""
        return store_running.settle(tx, progress.object_id, progress.memory["generation"], **values)

    def moved(self, tx: Tx, progress: Progress, host: str, zone: str | None) -> None:
        """Where the guest is now, also for a later order's operation: a delete has to find it."""
        store.update_server(tx, progress.object_id, host=host, availability_zone=zone)
        self.compute.network.bind(tx, progress.object_id, host)

    def fail_as_error(self, tx: Tx, progress: Progress, reason: str) -> None:
        if not progress.cancelled:
            self.settle(
                tx, progress, vm_state=states.ERROR, task_state=None, fault=store_running.fault(tx, reason)
            )

    def image(self, progress: Progress) -> ImageSource | None:
        """What the server's own disk was made from; None: it boots from a volume."""
        return progress.memory["image"] and ImageSource(**progress.memory["image"])

    def spec(self, progress: Progress, *, generation: int | None = None,
             flavor: Mapping[str, Any] | None = None) -> GuestSpec:
        """What the server's guest is, by its row, of this generation and flavor where they are not the row's.

        Raises Fault where the server is gone."""
        compute = self.compute
        with compute.db.read() as tx:
            row = store_running.for_spec(tx, progress.object_id)
            if row is None:
                raise Fault("the server was deleted")
            cards = compute.network.cards_of(tx, row.id)
            volumes = compute.volume_specs(tx, row.volumes or [])
            told = self._told(tx, row.id) if row.config_drive else None
        config = None if told is None else self._config_drive(progress, *told)
        flavor = flavor or row.flavor
        return GuestSpec(
            row.id,
            generation or progress.memory["generation"],
            row.name,
            flavor["vcpus"],
            flavor["ram"],
            self.image(progress),
            flavor["disk"] * GIB,
            tuple(PortSpec(*card) for card in cards),
            config,
            volumes=volumes,
            agent=(row.image_properties or {}).get("hw_qemu_guest_agent", "").lower() in ("yes", "true", "1"),
            local_disks=local_disks.of_flavor(flavor, row.local_disks),
        )

    def _told(self, tx: Tx, server_id: str) -> tuple[Any, list[Any], dict[str, Any]]:
        """The server, its ports and its network_data: what its config drive is made of."""
        network = self.compute.network
        ports = network.ports_of(tx, [server_id]).get(server_id, [])
        return store.server(tx, server_id), ports, network.network_data(tx, server_id)

    def _config_drive(self, progress: Progress, server: Any, ports: list[Any], data: dict[str, Any]) -> bytes:
        """Tagged cards are told with their places, which only the host knows."""
        places: dict[str, str] = {}
        if any(port.tag for port in ports):
            found = self.call(progress, "layout", len(ports), list[str])
            places = {port.id: where for port, where in zip(ports, found, strict=True)}
        return configdrive.build(tree.config_drive(server, ports, data, places, self.compute.local_devices(server)))

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
