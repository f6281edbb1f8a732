"""The node agent: the only part of Pilvi that touches a host.

It takes verbs that carry the full specification or refer to it, each idempotent and with a generation; verbs
for one guest are taken one after another, those for different guests side by side.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from pilvi.bus.base import Bus
from pilvi.drivers.disk.base import DiskStore, Image
from pilvi.drivers.fabric.base import HostFabric
from pilvi.drivers.hypervisor.base import Disk, Guest, Hypervisor, Nic, PowerState, UnknownGuest
from pilvi.drivers.volume.base import Containers, VolumeStores
from pilvi.engine.clock import Clock
from pilvi.node import audit, cards, copies, local_disks, moving, plugging, rest, transfers, volume_moves, volumes
from pilvi.node.journal import Journal
from pilvi.node.messages import EVENTS, Event, GuestSpec, ImageSource, Observed, Order, Question, Resources
from pilvi.node.uptime import LOAD, UPTIME, uptime
from pilvi.notes import replace
from pilvi.settings import Settings

if TYPE_CHECKING:
    from pilvi.cloud import Cloud

# Each has VERBS: name -> (function of the agent and the argument, the argument's type).
MODULES: tuple[ModuleType, ...] = (
    audit,
    cards,
    copies,
    local_disks,
    moving,
    plugging,
    rest,
    transfers,
    volume_moves,
    volumes,
)
ALIVE = (PowerState.RUNNING, PowerState.PAUSED)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Agent:
    def __init__(
        self,
        name: str,
        root: Path,
        bus: Bus,
        *,
        hypervisor: Hypervisor,
        disks: DiskStore,
        fabric: HostFabric,
        clock: Clock,
        settings: Settings,
        volumes: VolumeStores,
        luks: Containers | None = None,
    ):
        """`luks` is None where the content of volumes is only pretended."""
        self.volumes, self.luks = volumes, luks
        self.name, self.hypervisor, self.disks, self.fabric = name, hypervisor, disks, fabric
        self.bus, self.settings, self._clock = bus, settings, clock
        self.journal = Journal(root / "journal", clock, durable=not settings.simulated)
        self.restarts = Restarts(root, self.journal)
        self.locks = Locks()
        self._verbs: dict[str, tuple[Callable[[Any], Any], type]] = {
            "prepare": (self.prepare, GuestSpec),
            "plug": (self.plug, Order),
            "unplug": (self.unplug, Order),
            "start": (self.start_guest, Order),
            "shutdown": (self.shutdown, Order),
            "stop": (self.stop, Order),
            "reset": (self.reset, Order),
            "pause": (self.pause, Order),
            "resume": (self.resume, Order),
            "undefine": (self.undefine, Order),
            "absent": (self.absent, Order),
            "state": (self.state, Question),
            "console_log": (self.console_log, Question),
            "console_socket": (lambda question: str(self.hypervisor.console_socket(question.server_id)), Question),
            "vnc_socket": (lambda question: str(self.hypervisor.vnc_socket(question.server_id)), Question),
            "observe": (lambda _: self.observe(), type(None)),
            "uptime": (lambda _: uptime(self._clock.now(), UPTIME.read_text(), LOAD.read_text()), type(None)),
            "resources": (lambda _: self.resources(), type(None)),
            "cache_image": (self.cache_image, ImageSource),
            "prune": (lambda _: self.prune(), type(None)),
        }
        for module in MODULES:
            for verb, (function, shape) in module.VERBS.items():
                self._verbs[verb] = partial(function, self), shape

    def start(self, cloud: Cloud) -> None:
        """From now on it serves on the bus, and keeps the metadata ports of this host."""
        from pilvi.node.reconcilers import Cards, Connections, Guards, MetadataPorts

        self.hypervisor.listen(self._tell)
        self.bus.serve(self.name, self.handle)
        self._engine, self._metadata_ports = cloud.engine, MetadataPorts(self, cloud)
        cloud.engine.add_reconciler(self._metadata_ports)
        cloud.engine.add_reconciler(Cards(self))
        cloud.engine.add_reconciler(Connections(self, cloud))
        cloud.engine.add_reconciler(Guards(self, cloud))
        for task in ("metadata", "connections", "guards"):
            cloud.network.on_change(partial(cloud.engine.poke_reconciler, f"{task} {self.name}"))

    def switch_restarted(self) -> None:
        """It may have a new database, and know none of the devices."""
        self._metadata_ports.again()
        for task in ("metadata", "cards"):
            self._engine.poke_reconciler(f"{task} {self.name}")

    def handle(self, verb: str, argument: bytes) -> Any:
        function, shape = self._verbs[verb]
        return function(msgspec.msgpack.decode(argument, type=shape))

    def close(self) -> None:
        self.hypervisor.close()
        self.fabric.close()

    # -- making and starting

    def prepare(self, spec: GuestSpec) -> None:
        """Its disks, from its image."""
        with self.ordered(spec.server_id, spec.generation):
            self.journal.write(spec)
            if spec.image is not None:
                image = Image(spec.image.id, spec.image.path, spec.image.format)
                self.disks.ensure_from_image(root_disk(spec.server_id), image, spec.disk_bytes)
            local_disks.ensure(self, spec)
            self.ensure_config_drive(spec)

    def plug(self, order: Order) -> None:
        with self.ordered(order.server_id, order.generation):
            self.plug_all(self.spec_of(order.server_id))

    def start_guest(self, order: Order) -> None:
        """Starts it from what the journal says, also after its host was restarted and its taps are gone."""
        with self.ordered(order.server_id, order.generation):
            spec = self.spec_of(order.server_id)
            if self.hypervisor.state(spec.server_id) not in ALIVE:
                self.hypervisor.start(self.guest_of(spec, self.plug_all(spec)))
            self.restarts.done(order.server_id)

    # -- power

    def shutdown(self, order: Order) -> None:
        with self.ordered(order.server_id, order.generation):
            self.restarts.done(order.server_id)
            if self.hypervisor.state(order.server_id) is PowerState.PAUSED:
                self.hypervisor.resume(order.server_id)
            self.hypervisor.shutdown(order.server_id)

    def stop(self, order: Order) -> None:
        with self.ordered(order.server_id, order.generation), suppress(UnknownGuest):
            self.restarts.done(order.server_id)
            self.hypervisor.stop(order.server_id)

    def reset(self, order: Order) -> None:
        with self.ordered(order.server_id, order.generation):
            self.hypervisor.reset(order.server_id)

    def pause(self, order: Order) -> None:
        with self.ordered(order.server_id, order.generation):
            self.hypervisor.pause(order.server_id)

    def resume(self, order: Order) -> None:
        with self.ordered(order.server_id, order.generation):
            self.hypervisor.resume(order.server_id)

    # -- taking away

    def unplug(self, order: Order) -> None:
        with self.ordered(order.server_id, order.generation):
            self.unplug_all(order.server_id)

    def undefine(self, order: Order) -> None:
        with self.ordered(order.server_id, order.generation):
            self.hypervisor.undefine(order.server_id)

    def absent(self, order: Order) -> None:
        """Nothing of it is left here, and nothing as old as this order brings it back."""
        with self.locks.hold(order.server_id):
            entry = self.journal.get(order.server_id)
            if entry is None or entry.spec is not None:
                self.journal.admit(order.server_id, order.generation)
            self.hypervisor.undefine(order.server_id)
            self.unplug_all(order.server_id)
            for disk in (*self.disks_of(order.server_id), rest.rescue_disk(order.server_id)):
                self.disks.absent(disk)
            copies.drop_all(self, order.server_id)
            self.restarts.done(order.server_id)
            self.journal.bury(order.server_id, order.generation)

    def cache_image(self, image: ImageSource) -> None:
        """The next guest of this image starts from what is here already."""
        passing = f"cache-{image.id}"
        with self.locks.hold(passing):
            self.disks.ensure_from_image(passing, Image(image.id, image.path, image.format), 0)
            self.disks.absent(passing)

    def prune(self) -> list[str]:
        """Forgets what is of no use any more: old tombstones, and cached images (it says which)."""
        self.journal.forget_old_tombstones()
        return self.disks.prune()

    # -- looking

    def state(self, question: Question) -> str:
        return self.hypervisor.state(question.server_id).value

    def observe(self) -> list[Observed]:
        """Every guest that is here, or ought to be by the journal."""
        states = self.hypervisor.guests()
        entries = self.journal.guests()
        return [
            Observed(
                server_id,
                states.get(server_id, PowerState.ABSENT).value,
                entries[server_id].generation if server_id in entries else 0,
                self.restarts.wanted(server_id),
            )
            for server_id in {**states, **entries}
        ]

    def console_log(self, question: Question) -> bytes:
        return self.hypervisor.console_log(question.server_id)

    def resources(self) -> Resources:
        found, host = self.hypervisor.capabilities(), self.settings.host
        return Resources(
            found.hypervisor_type,
            found.version,
            host.vcpus or found.vcpus,
            host.memory_mib or found.memory_mib,
            host.disk_gib or self.disks.capacity_bytes() >> 30,
        )

    # -- what verbs are made of

    @contextmanager
    def ordered(self, server_id: str, generation: int) -> Iterator[None]:
        with self.locks.hold(server_id):
            self.journal.admit(server_id, generation)
            self.journal.advance(server_id, generation)
            yield

    def spec_of(self, server_id: str) -> GuestSpec:
        entry = self.journal.get(server_id)
        if entry is None or entry.spec is None:
            raise UnknownGuest(f"guest {server_id} is not in the journal of host {self.name}")
        return entry.spec

    def plug_all(self, spec: GuestSpec) -> list[str]:
        uid = self.settings.host.guest_uid
        return [self.fabric.plug(port.id, port.mac, port.mtu, uid) for port in spec.ports]

    def rejoin(self, server_id: str, port_id: str) -> bool:
        """Plugs in the card of a guest that is alive and has it; says whether it was one."""
        with self.locks.hold(server_id):
            entry, uid = self.journal.get(server_id), self.settings.host.guest_uid
            ports = entry.spec.ports if entry and entry.spec else ()
            port = next((one for one in ports if one.id == port_id), None)
            if port is None or self.hypervisor.state(server_id) not in ALIVE:
                return False
            self.fabric.plug(port.id, port.mac, port.mtu, uid)
        return True

    def unplug_all(self, server_id: str) -> None:
        entry = self.journal.get(server_id)
        for port in entry.spec.ports if entry and entry.spec else ():
            self.fabric.unplug(port.id)

    def disks_of(self, server_id: str, ending: str = "") -> list[str]:
        """The disks that it may have here, but for those of rescues and copies; `ending`: of their names here."""
        return [*self.written_disks(server_id, ending).values(), config_disk(server_id)]

    def written_disks(self, server_id: str, ending: str = "") -> dict[str, str]:
        """Those of them that it may write to, by name."""
        return {name: self.disk_called(server_id, name)
                for name in ("root", *local_disks.names(self, server_id, ending))}

    def disk_called(self, server_id: str, name: str) -> str:
        return root_disk(server_id) if name == "root" else local_disks.disk_name(server_id, name)

    def ensure_config_drive(self, spec: GuestSpec) -> None:
        if spec.config_drive is not None:
            self.disks.ensure_file(config_disk(spec.server_id), spec.config_drive)

    def guest_of(self, spec: GuestSpec, devices: Sequence[str]) -> Guest:
        disks = rest.with_rescue(self, spec, plugging.root_volume(self, spec) or self._own_root(spec))
        disks += local_disks.disks_of(self, spec)
        if (config := self.disks.info(config_disk(spec.server_id))) is not None:
            disks.append(Disk("config", config.path, config.format, "cdrom", readonly=True))
        disks += plugging.disks_of(self, spec)
        nics = tuple(
            Nic(port.id, port.mac, device, port.mtu) for port, device in zip(spec.ports, devices, strict=True)
        )
        return Guest(spec.server_id, spec.name, spec.vcpus, spec.memory_mib, tuple(disks), nics,
                     spec.agent)

    def _own_root(self, spec: GuestSpec) -> Disk:
        root = self.disks.info(root_disk(spec.server_id))
        if root is None:
            raise UnknownGuest(f"guest {spec.server_id} has no root disk on host {self.name}")
        return Disk("root", root.path, root.format, serial=spec.server_id[:20])

    def _tell(self, server_id: str, state: PowerState) -> None:
        self.bus.publish(EVENTS, Event(self.name, server_id, state.value))


def root_disk(server_id: str) -> str:
    return server_id


def config_disk(server_id: str) -> str:
    return server_id + ".config"


class Locks:
    """A lock for each name, kept for as long as somebody holds or awaits it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}  # with how many use it

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        with self._guard:
            lock, users = self._locks.get(name) or (threading.Lock(), 0)
            self._locks[name] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                users = self._locks[name][1] - 1
                self._locks[name] = lock, users
                if not users:
                    del self._locks[name]


class Restarts:
    """Guests that ran when their host went down (a reboot, `pilvi down --guests`), and are to run again."""

    def __init__(self, root: Path, journal: Journal):
        self._root, self._boot, self._guard = root, root / "boot_id", threading.Lock()
        root.mkdir(parents=True, exist_ok=True)
        now, marks = BOOT_ID.read_text().strip(), root / MARKS
        self._wanted = set(json.loads(marks.read_text())) if marks.exists() else set()
        if self._boot.exists() and self._boot.read_text() != now:
            self._wanted |= set(journal.guests())
            mark_for_restart(root, self._wanted)
        replace(self._boot, now.encode())

    def wanted(self, server_id: str) -> bool:
        return server_id in self._wanted

    def done(self, server_id: str) -> None:
        with self._guard:
            if server_id in self._wanted:
                self._wanted.discard(server_id)
                mark_for_restart(self._root, self._wanted)


MARKS = "restart.json"


def mark_for_restart(root: Path, server_ids: Collection[str]) -> None:
    """Notes for the agent's next start that these were running when they were switched off."""
    replace(root / MARKS, json.dumps(sorted(server_ids)).encode())
