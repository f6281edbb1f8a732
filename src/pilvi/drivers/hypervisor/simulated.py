"""Guests that are only pretended: power states that last, a console that speaks, and failures on demand.

A product of its own, for clouds that only answer their API, and so under the contract of the real drivers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pilvi.drivers.hypervisor.base import (
    Capabilities,
    Disk,
    DiskUse,
    Guest,
    HypervisorError,
    Nic,
    Places,
    PowerState,
    Transfer,
    UnknownGuest,
    Use,
)
from pilvi.drivers.hypervisor.simulated_consoles import Consoles, screen, serial
from pilvi.drivers.pretend import Faults
from pilvi.notes import Notes

ALIVE = (PowerState.RUNNING, PowerState.PAUSED)


class _Kept(msgspec.Struct):
    guest: Guest
    state: PowerState
    boots: int = 0


class SimulatedHypervisor(Faults):
    """`seconds` is how long each verb takes, those not named no time; `sleep` is how it is waited.

    With a root, guests outlive this object."""

    error = HypervisorError

    def __init__(
        self, root: Path | None = None, *, vcpus: int = 64, memory_mib: int = 1 << 18,
        seconds: Mapping[str, float] | None = None, sleep: Callable[[float], None] = time.sleep,
    ):
        super().__init__()
        self._root, self._vcpus, self._memory_mib = root, vcpus, memory_mib
        self._seconds, self._sleep = dict(seconds or {}), sleep
        self._notes = Notes(root)
        noted = self._notes.values.items()
        self._guests = {name: msgspec.json.decode(text, type=_Kept) for name, text in noted}
        self._callbacks: list[Callable[[str, PowerState], None]] = []
        self._guard = threading.Lock()
        self._consoles = Consoles()
        self.slow = False  # guests that are sent to another host take for ever, unless hurried

    def capabilities(self) -> Capabilities:
        return Capabilities("fake", 1_000_000, "none", self._vcpus, self._memory_mib)

    def start(self, guest: Guest) -> None:
        kept = self._guests.get(guest.id)
        if kept is not None and kept.state in ALIVE:
            return
        self._do("start", guest.id)
        self._keep(_Kept(guest, PowerState.RUNNING, kept.boots + 1 if kept else 1))

    def define(self, guest: Guest) -> None:
        kept = self._guests.get(guest.id)
        if kept is None or kept.state not in ALIVE:
            self._do("define", guest.id)
            self._keep(_Kept(guest, PowerState.OFF, kept.boots if kept else 0))

    def shutdown(self, guest_id: str) -> None:
        if self._known(guest_id).state is not PowerState.RUNNING:
            return
        self._do("shutdown", guest_id)
        self.guest_switches_off(guest_id)

    def stop(self, guest_id: str) -> None:
        kept = self._known(guest_id)
        self._do("stop", guest_id)
        self._turn(kept, PowerState.OFF)

    def reset(self, guest_id: str) -> None:
        kept = self._alive(guest_id)
        self._do("reset", guest_id)
        self._keep(_Kept(kept.guest, kept.state, kept.boots + 1))

    def pause(self, guest_id: str) -> None:
        kept = self._alive(guest_id)
        self._do("pause", guest_id)
        self._turn(kept, PowerState.PAUSED)

    def resume(self, guest_id: str) -> None:
        kept = self._alive(guest_id)
        self._do("resume", guest_id)
        self._turn(kept, PowerState.RUNNING)

    def save(self, guest_id: str) -> None:
        kept = self._known(guest_id)
        if kept.state is not PowerState.SAVED:
            self._alive(guest_id)
            self._do("save", guest_id)
            self._turn(kept, PowerState.SAVED)

    def restore(self, guest: Guest) -> None:
        kept = self._known(guest.id)
        if kept.state in ALIVE:
            return self._turn(kept, PowerState.RUNNING)
        if kept.state is not PowerState.SAVED:
            raise HypervisorError(f"guest {guest.id} is {kept.state}: there is no memory of it")
        self._do("restore", guest.id)
        self._keep(_Kept(guest, PowerState.RUNNING, kept.boots))
        return None

    def interrupt(self, guest_id: str) -> None:
        self._alive(guest_id)
        self._do("interrupt", guest_id)

    def set_password(self, guest_id: str, user: str, password: str) -> None:
        """Pretended guests all have an agent, and forget the password."""
        self._alive(guest_id)
        self._do("set_password", guest_id)

    def has_agent(self, guest_id: str) -> bool:
        self._known(guest_id)
        return True

    def copy_disk(self, guest_id: str, source: str, target: str) -> bool:
        self._alive(guest_id)
        self._do("copy_disk", guest_id)
        return True

    def stop_copying(self, guest_id: str) -> None:
        if self.state(guest_id) in ALIVE:
            self._do("stop_copying", guest_id)

    def state(self, guest_id: str) -> PowerState:
        kept = self._guests.get(guest_id)
        return kept.state if kept else PowerState.ABSENT

    def guests(self) -> dict[str, PowerState]:
        return {name: kept.state for name, kept in list(self._guests.items())}

    def strays(self, *, end: bool = False) -> list[str]:
        return []  # what is only pretended has no processes

    def console_log(self, guest_id: str, last_bytes: int = 1 << 20) -> bytes:
        kept = self._known(guest_id)
        lines = []
        for boot in range(kept.boots):
            lines += ["[    0.000000] Linux version 6.1.0-simulated",
                      f"[    0.004000] Memory: {kept.guest.memory_mib}M",
                      f"[    0.020000] smp: Brought up {kept.guest.vcpus} CPUs",
                      *(f"[    0.100000] virtio_net {nic.mac}" for nic in kept.guest.nics),
                      f"{kept.guest.name} login: (boot {boot + 1})"]
        log = "\n".join([*lines, ""]).encode()
        return log[max(0, len(log) - last_bytes):]

    def console_socket(self, guest_id: str) -> Path:
        kept = self._alive(guest_id)
        greeting = f"\r\n{kept.guest.name} login: ".encode()
        return self._consoles.socket(guest_id, "serial", lambda client: serial(client, greeting))

    def vnc_socket(self, guest_id: str) -> Path:
        name = self._alive(guest_id).guest.name
        return self._consoles.socket(guest_id, "vnc", lambda client: screen(client, name))

    def attach_nic(self, guest_id: str, nic: Nic) -> None:
        guest = self._alive(guest_id).guest
        if all(each.port_id != nic.port_id for each in guest.nics):
            self._do("attach_nic", guest_id)
            self._change(guest_id, nics=(*guest.nics, nic))

    def detach_nic(self, guest_id: str, port_id: str) -> bool:
        guest = self._alive(guest_id).guest
        if any(each.port_id == port_id for each in guest.nics):
            self._do("detach_nic", guest_id)
            self._change(guest_id, nics=tuple(each for each in guest.nics if each.port_id != port_id))
        return True

    def attach_disk(self, guest_id: str, disk: Disk) -> None:
        guest = self._alive(guest_id).guest
        if all(each.name != disk.name for each in guest.disks):
            self._do("attach_disk", guest_id)
            self._change(guest_id, disks=(*guest.disks, disk))

    def detach_disk(self, guest_id: str, name: str) -> bool:
        guest = self._alive(guest_id).guest
        if any(each.name == name for each in guest.disks):
            self._do("detach_disk", guest_id)
            self._change(guest_id, disks=tuple(each for each in guest.disks if each.name != name))
        return True

    def redirect_disk(self, guest_id: str, name: str, path: str) -> None:
        guest = self._alive(guest_id).guest
        self._has_disk(guest, name)
        self._do("redirect_disk", guest_id)
        self._change(guest_id, disks=tuple(
            msgspec.structs.replace(each, path=path) if each.name == name else each for each in guest.disks))

    def resize_disk(self, guest_id: str, name: str, size_bytes: int) -> None:
        self._has_disk(self._alive(guest_id).guest, name)
        self._do("resize_disk", guest_id)

    def mirror_disk(self, guest_id: str, name: str, target: Disk) -> bool:
        self._has_disk(self._alive(guest_id).guest, name)
        self._do("mirror_disk", guest_id)
        return True

    def switch_disk(self, guest_id: str, name: str, path: str) -> None:
        guest = self._alive(guest_id).guest
        self._has_disk(guest, name)
        self._do("switch_disk", guest_id)
        self._change(guest_id, disks=tuple(
            msgspec.structs.replace(each, path=path) if each.name == name else each for each in guest.disks))

    def stop_mirroring(self, guest_id: str, name: str) -> None:
        if self.state(guest_id) in ALIVE:
            self._do("stop_mirroring", guest_id)

    def limit_disk(self, guest_id: str, name: str, limits: dict[str, int]) -> None:
        guest = self._alive(guest_id).guest
        self._has_disk(guest, name)
        self._do("limit_disk", guest_id)
        self._change(guest_id, disks=tuple(
            msgspec.structs.replace(each, limits=limits) if each.name == name else each for each in guest.disks))

    def _has_disk(self, guest: Guest, name: str) -> None:
        if all(each.name != name for each in guest.disks):
            raise HypervisorError(f"guest {guest.id} has no disk {name}")

    def addresses(self, guest_id: str) -> dict[str, str]:
        nics = self._alive(guest_id).guest.nics
        return {nic.port_id: where for nic, where in zip(nics, self.layout(len(nics)), strict=True)}

    def disk_addresses(self, guest_id: str) -> dict[str, str]:
        guest = self._alive(guest_id).guest
        return {disk.name: f"0000:{number:02x}:00.0" for number, disk in enumerate(guest.disks, len(guest.nics) + 2)
                if disk.bus == "virtio"}

    def layout(self, cards: int) -> list[str]:
        return [f"0000:{number + 1:02x}:00.0" for number in range(cards)]

    def use(self, guest_id: str) -> Use:
        """Pretended guests use nothing."""
        guest = self._alive(guest_id).guest
        disks = tuple(DiskUse(disk.name) for disk in guest.disks)
        return Use("fake", None, guest.memory_mib, 0, (0,) * guest.vcpus, disks)

    def places(self, guest_id: str) -> Places:
        self._alive(guest_id)
        return Places()

    def expect(self, guest: Guest, places: Places) -> str:
        kept = self._guests.get(guest.id)
        if kept is None or kept.state not in ALIVE:
            self._do("expect", guest.id)
            self._keep(_Kept(guest, PowerState.LOST))
        return f"simulated:{guest.id}"

    def send(self, guest_id: str, where: str, *, hurry: bool = False) -> Transfer:
        """Done at once, or while `slow` once it is hurried."""
        kept = self._alive(guest_id)
        guest = kept.guest
        self._do("send", guest_id)
        if not self.slow or hurry:
            self._turn(kept, PowerState.PAUSED)
        held, memory = self.slow and not hurry, guest.memory_mib << 20
        return Transfer("running" if held else "done", memory_total=memory, memory_remaining=memory if held else 0,
                        memory_processed=0 if held else memory, disk_total=0, disk_processed=0, disk_remaining=0)

    def give_up(self, guest_id: str, *, paused: bool) -> None:
        if (kept := self._guests.get(guest_id)) is not None and kept.state in ALIVE:
            self._do("give_up", guest_id)
            self._turn(kept, PowerState.PAUSED if paused else PowerState.RUNNING)

    def take_over(self, guest_id: str, *, paused: bool) -> None:
        kept = self._known(guest_id)
        if kept.state not in ALIVE:
            self._do("take_over", guest_id)
            self._turn(kept, PowerState.PAUSED if paused else PowerState.RUNNING)

    def undefine(self, guest_id: str) -> None:
        if guest_id not in self._guests:
            return
        self._do("undefine", guest_id)
        self._consoles.drop(guest_id)
        self._guests.pop(guest_id, None)
        self._notes.drop(guest_id)

    def listen(self, callback: Callable[[str, PowerState], None]) -> None:
        self._callbacks.append(callback)

    def close(self) -> None:
        self._consoles.close()

    # -- what happens to guests, for tests

    def guest_switches_off(self, guest_id: str) -> None:
        self._by_itself(guest_id, PowerState.OFF)

    def guest_is_lost(self, guest_id: str) -> None:
        """As when its process crashed."""
        self._by_itself(guest_id, PowerState.LOST)

    def _by_itself(self, guest_id: str, state: PowerState) -> None:
        self._turn(self._known(guest_id), state)
        for callback in self._callbacks:
            callback(guest_id, state)

    # -- inside

    def _do(self, verb: str, guest_id: str) -> None:
        """Takes the verb's time, and then fails where that is due."""
        if seconds := self._seconds.get(verb):
            self._sleep(seconds)
        self.strike(verb, f"guest {guest_id}")

    def _known(self, guest_id: str) -> _Kept:
        kept = self._guests.get(guest_id)
        if kept is None:
            raise UnknownGuest(f"there is no guest {guest_id}")
        return kept

    def _alive(self, guest_id: str) -> _Kept:
        kept = self._known(guest_id)
        if kept.state not in ALIVE:
            raise HypervisorError(f"guest {guest_id} is {kept.state}: it does not run")
        return kept

    def _change(self, guest_id: str, **values: Any) -> None:
        kept = self._known(guest_id)
        self._keep(_Kept(msgspec.structs.replace(kept.guest, **values), kept.state, kept.boots))

    def _turn(self, kept: _Kept, state: PowerState) -> None:
        if state not in ALIVE:
            self._consoles.drop(kept.guest.id)
        self._keep(_Kept(kept.guest, state, kept.boots))

    def _keep(self, kept: _Kept) -> None:
        with self._guard:
            self._guests[kept.guest.id] = kept
            self._notes.put(kept.guest.id, msgspec.json.encode(kept).decode())
