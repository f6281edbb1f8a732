"""Guests as QEMU processes, which outlive Pilvi and are found again by what is noted in their folders.

A guest's folder holds, for root alone: `guest.json` (what was defined), `process.json` (which process it is),
`off` (while it is switched off, and we know), the monitors' and the console's sockets, `console.log` and
`stderr.log`. Only the folder `own` belongs to the guest's process, the rest is opened for it: a guest that
breaks into its QEMU can put nothing in our way.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from pilvi.drivers.hypervisor import (
    qemu_agent,
    qemu_command,
    qemu_copy,
    qemu_hotplug,
    qemu_memory,
    qemu_mirror,
    qemu_transfer,
    qemu_use,
    qemu_volumes,
)
from pilvi.drivers.hypervisor.base import (
    Capabilities,
    Disk,
    Guest,
    HypervisorError,
    Nic,
    Places,
    PowerState,
    Transfer,
    UnknownGuest,
    Use,
)
from pilvi.drivers.hypervisor.qemu_command import Files, Privileges
from pilvi.drivers.hypervisor.qemu_folder import Folder, open_for_writing, tail
from pilvi.drivers.hypervisor.qemu_monitor import Loop, Monitor, MonitorError
from pilvi.drivers.hypervisor.qemu_process import Process, launch, strays
from pilvi.supervise.namespace import open_tap

ALIVE = (PowerState.RUNNING, PowerState.PAUSED)
START_SECONDS = 30.0  # for QEMU to answer its monitor; far more than it needs, also on a busy host
LOOK_SECONDS = 3.0
END_SECONDS = 30.0  # for a killed process to be gone: its memory is given back first
QUIT_SECONDS = 3.0
_NEVER_RAN = ("prelaunch", "inmigrate")


class QemuHypervisor:
    """Guests below `root`, run as `uid` and `gid` with their taps in `namespace`."""

    def __init__(self, root: Path, *, namespace: str | None, uid: int, gid: int, userspace_datapath: bool,
                 unseal: Callable[[str], bytes] = str.encode):
        """`unseal`: a disk's key -> the passphrase."""
        self._unseal = unseal
        self._root, self._namespace, self._offloads = root, namespace, not userspace_datapath
        self._privileges, self._kvm = Privileges(uid, gid, namespace), qemu_command.accelerated(uid, gid)
        self._loop = Loop()
        self._monitors: dict[str, Monitor] = {}
        self._known: dict[str, PowerState] = {}  # as last seen, for those who ask while a verb is at work
        self._locks: dict[str, threading.RLock] = defaultdict(threading.RLock)
        self._lookers = ThreadPoolExecutor(4, "qemu-guests")
        self._callbacks: list[Callable[[str, PowerState], None]] = []
        self._version: int | None = None
        self._closed = False
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o711)

    def capabilities(self) -> Capabilities:
        if self._version is None:
            self._version = _version()
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        return Capabilities("QEMU", self._version, "kvm" if self._kvm else "tcg", os.cpu_count() or 1, memory)

    # -- power

    def start(self, guest: Guest) -> None:
        with self._locks[guest.id]:
            folder = self._folder(guest.id)
            process = folder.process()
            if self._look(folder) is not PowerState.SAVED and process is not None and process.alive() and (
                    self._go_on(folder, process)):
                return
            self._launch(folder, guest)
            self._known[guest.id] = PowerState.RUNNING

    def define(self, guest: Guest) -> None:
        with self._locks[guest.id]:
            folder = self._folder(guest.id)
            if self._look(folder) not in ALIVE:
                try:
                    folder.define(guest, self._privileges)
                    folder.mark_off()
                except OSError as error:
                    raise HypervisorError(f"guest {guest.id} cannot be noted: {error}") from error
                self._known[guest.id] = PowerState.OFF

    def shutdown(self, guest_id: str) -> None:
        with self._defined(guest_id) as folder:
            if self._look(folder) is PowerState.RUNNING:
                self._execute(folder, "system_powerdown")

    def stop(self, guest_id: str) -> None:
        with self._defined(guest_id) as folder:
            self._switch_off(folder)

    def reset(self, guest_id: str) -> None:
        with self._alive(guest_id) as folder:
            self._execute(folder, "system_reset")

    def pause(self, guest_id: str) -> None:
        with self._alive(guest_id) as folder:
            self._execute(folder, "stop")
            self._look(folder)

    def resume(self, guest_id: str) -> None:
        with self._alive(guest_id) as folder:
            self._execute(folder, "cont")
            self._look(folder)

    def interrupt(self, guest_id: str) -> None:
        with self._talking(guest_id) as monitor:
            monitor.ask("inject-nmi")

    # -- memory and disks

    def save(self, guest_id: str) -> None:
        with self._defined(guest_id) as folder:
            if self._look(folder) is not PowerState.SAVED:
                with self._talking(guest_id) as monitor:
                    qemu_memory.save(monitor, folder.path)
                self._end(folder)
                self._known[guest_id] = PowerState.SAVED

    def restore(self, guest: Guest) -> None:
        with self._defined(guest.id) as folder:
            state = self._look(folder)
            if state in ALIVE:
                qemu_memory.forget(folder.path)
                self._execute(folder, "cont")
            elif state is PowerState.SAVED:
                self._end(folder)
                self._launch(folder, guest, restored=True)
            else:
                raise HypervisorError(f"guest {guest.id} is {state}: there is no memory of it")
            self._known[guest.id] = PowerState.RUNNING

    def copy_disk(self, guest_id: str, source: str, target: str) -> bool:
        with self._talking(guest_id) as monitor:
            return qemu_copy.copy(monitor, source, target)

    def stop_copying(self, guest_id: str) -> None:
        if self.state(guest_id) in ALIVE:
            with self._talking(guest_id) as monitor:
                qemu_copy.stop(monitor)

    # -- the guest agent

    def has_agent(self, guest_id: str) -> bool:
        return self._known_folder(guest_id).guest().agent

    def set_password(self, guest_id: str, user: str, password: str) -> None:
        with self._alive(guest_id) as folder:
            if not folder.guest().agent:
                raise HypervisorError(f"guest {guest_id} has no guest agent")
            qemu_agent.set_password(folder.path / "agent", user, password)

    def undefine(self, guest_id: str) -> None:
        with self._locks[guest_id]:
            folder = self._folder(guest_id)
            if folder.path.exists():
                self._switch_off(folder)
                folder.remove()
            self._known.pop(guest_id, None)

    # -- what is plugged in

    def attach_nic(self, guest_id: str, nic: Nic) -> None:
        with self._talking(guest_id) as monitor:
            qemu_hotplug.plug_nic(monitor, nic, lambda: self._open_tap(nic), offloads=self._offloads)

    def detach_nic(self, guest_id: str, port_id: str) -> bool:
        with self._talking(guest_id) as monitor:
            return qemu_hotplug.unplug_nic(monitor, port_id)

    def attach_disk(self, guest_id: str, disk: Disk) -> None:
        with self._talking(guest_id) as monitor:
            qemu_volumes.plug(monitor, disk, self._unseal(disk.key).decode() if disk.key else "")

    def detach_disk(self, guest_id: str, name: str) -> bool:
        with self._talking(guest_id) as monitor:
            return qemu_volumes.unplug(monitor, name)

    def redirect_disk(self, guest_id: str, name: str, path: str) -> None:
        with self._talking(guest_id) as monitor:
            qemu_volumes.redirect(monitor, name, path)

    def resize_disk(self, guest_id: str, name: str, size_bytes: int) -> None:
        with self._talking(guest_id) as monitor:
            qemu_volumes.resize(monitor, name, size_bytes)

    def mirror_disk(self, guest_id: str, name: str, target: Disk) -> bool:
        with self._talking(guest_id) as monitor:
            return qemu_mirror.mirror(monitor, msgspec.structs.replace(target, name=name))

    def switch_disk(self, guest_id: str, name: str, path: str) -> None:
        with self._talking(guest_id) as monitor:
            qemu_mirror.switch(monitor, name, path)

    def stop_mirroring(self, guest_id: str, name: str) -> None:
        if self.state(guest_id) in ALIVE:
            with self._talking(guest_id) as monitor:
                qemu_mirror.stop(monitor, name)

    def limit_disk(self, guest_id: str, name: str, limits: dict[str, int]) -> None:
        with self._talking(guest_id) as monitor:
            qemu_volumes.limit(monitor, qemu_command.volume_device(name), limits)

    def layout(self, cards: int) -> list[str]:
        return qemu_command.layout(cards)

    def addresses(self, guest_id: str) -> dict[str, str]:
        with self._talking(guest_id) as monitor:
            return qemu_hotplug.nic_addresses(monitor)

    def disk_addresses(self, guest_id: str) -> dict[str, str]:
        with self._talking(guest_id) as monitor:
            return qemu_volumes.addresses(monitor)

    # -- to another host

    def places(self, guest_id: str) -> Places:
        with self._talking(guest_id) as monitor:
            return qemu_memory.places(monitor)

    def expect(self, guest: Guest, places: Places) -> str:
        with self._locks[guest.id]:
            folder = self._folder(guest.id)
            process = folder.process()
            monitor = process and process.alive() and self._monitor(folder, process, START_SECONDS)
            if not monitor or monitor.status not in _NEVER_RAN:
                self._end(folder)
                self._launch(folder, guest, expected=places)
            self._known[guest.id] = PowerState.LOST
            return str(folder.own)

    def send(self, guest_id: str, where: str, *, hurry: bool = False) -> Transfer:
        with self._talking(guest_id) as monitor:
            nodes = qemu_transfer.mirrored(self._folder(guest_id).guest().disks)
            return qemu_transfer.send(monitor, Path(where), nodes, hurry=hurry)

    def give_up(self, guest_id: str, *, paused: bool) -> None:
        with suppress(UnknownGuest), self._talking(guest_id) as monitor:
            qemu_transfer.give_up(monitor, paused=paused)

    def take_over(self, guest_id: str, *, paused: bool) -> None:
        with self._defined(guest_id) as folder:
            self._look(folder)
            if folder.id not in self._monitors:
                raise HypervisorError(f"guest {guest_id} is not expected here, or its process ended")
            self._take_over(folder, paused)

    def _take_over(self, folder: Folder, paused: bool) -> None:
        try:
            qemu_transfer.take_over(self._monitors[folder.id], paused=paused)
        except (MonitorError, HypervisorError) as error:
            raise HypervisorError(f"guest {folder.id}: {error}") from error
        self._look(folder)

    # -- looking

    def use(self, guest_id: str) -> Use:
        with self._talking(guest_id) as monitor:
            return qemu_use.use(monitor, self._folder(guest_id).process(), "kvm" if self._kvm else "qemu")

    def state(self, guest_id: str) -> PowerState:
        """While a verb for this guest is at work, what it was before."""
        lock = self._locks[guest_id]
        if not lock.acquire(blocking=guest_id not in self._known):
            return self._known.get(guest_id, PowerState.LOST)
        try:
            return self._look(self._folder(guest_id))
        finally:
            lock.release()

    def guests(self) -> dict[str, PowerState]:
        """And keeps their logs from filling the host."""
        for name in self._defined_ids():
            self._folder(name).trim_logs()
        states = {name: self.state(name) for name in self._defined_ids()}
        return {name: state for name, state in states.items() if state is not PowerState.ABSENT}

    def strays(self, *, end: bool = False) -> list[str]:
        found = strays(self._root, {process.pid for name in self._defined_ids()
                                    if (process := self._folder(name).process()) is not None})
        for process in found if end else ():
            process.kill(END_SECONDS)
        return [f"pid {process.pid}" for process in found]

    def console_log(self, guest_id: str, last_bytes: int = 1 << 20) -> bytes:
        return tail(self._known_folder(guest_id).path / "console.log", last_bytes)

    def console_socket(self, guest_id: str) -> Path:
        return self._known_folder(guest_id).path / "con"

    def vnc_socket(self, guest_id: str) -> Path:
        with self._alive(guest_id) as folder:
            return folder.own / "vnc"

    def listen(self, callback: Callable[[str, PowerState], None]) -> None:
        self._callbacks.append(callback)
        for guest_id in self._defined_ids():
            self._look_soon(guest_id)  # and so hear of it from now on

    def close(self) -> None:
        self._closed = True
        self._lookers.shutdown(cancel_futures=True)
        for monitor in list(self._monitors.values()):
            monitor.close()
        self._monitors.clear()
        self._loop.close()

    # -- starting

    def _go_on(self, folder: Folder, process: Process) -> bool:
        """Whether its process will do: it runs or is paused, or was started and only waits for `cont`."""
        monitor = self._monitor(folder, process, START_SECONDS)
        if monitor is None:
            if process.alive():
                raise HypervisorError(f"guest {folder.id} has a process ({process.pid}) that does not answer")
            return False
        if monitor.status == "shutdown":
            self._switch_off(folder)
            return False
        if monitor.status in _NEVER_RAN:
            self._execute(folder, "cont")
        folder.unmark_off()
        self._look(folder)
        return True

    def _launch(self, folder: Folder, guest: Guest, *, expected: Places | None = None,
                restored: bool = False) -> None:
        new, was_off = not folder.defined(), folder.off()
        try:
            if not restored:
                qemu_memory.forget(folder.path)
            folder.define(guest, self._privileges)
            process = self._spawn(folder, guest, expected=expected, restored=restored)
            self._await_monitor(folder, process)
            qemu_volumes.limit_all(self._monitors[folder.id], guest.disks)
            if restored:
                self._await_memory(folder, process)
                qemu_memory.forget(folder.path)  # before it runs: nobody may go back to this moment any more
            if expected is not None:
                qemu_transfer.listen(self._monitors[folder.id], folder.own, qemu_transfer.mirrored(guest.disks))
            else:
                self._execute(folder, "cont")
        except (HypervisorError, MonitorError, OSError) as error:
            why = "; ".join(filter(None, (str(error), folder.errors())))
            self._end(folder)
            if new:
                folder.remove()
            elif was_off:
                folder.mark_off()
            raise HypervisorError(f"guest {guest.id} does not start: {why}") from error

    def _spawn(self, folder: Folder, guest: Guest, *, expected: Places | None, restored: bool) -> Process:
        files, places = Files(folder.own), qemu_memory.noted_places(folder.path) if restored else expected or Places()
        incoming = "defer" if expected is not None else f"fd:{files.memory(guest)}" if restored else ""
        command = self._privileges.command(qemu_command.arguments(
            guest, files, kvm=self._kvm, offloads=self._offloads, layout=places.devices, ports=places.count,
            incoming=incoming))
        with ExitStack() as opened:
            files = [opened.enter_context(folder.listen(name)).fileno() for name in ("q0", "q1", "con")]
            files.append(open_for_writing(opened, folder.path / "console.log", os.O_APPEND))
            for nic in guest.nics:
                files.append(self._open_tap(nic))
                opened.callback(os.close, files[-1])
            if guest.agent:
                files.append(opened.enter_context(folder.listen("agent")).fileno())
            for disk in guest.disks:
                if disk.key:
                    files.append(_passphrase(self._unseal(disk.key)))
                    opened.callback(os.close, files[-1])
            if restored:
                files.append(os.open(folder.path / "memory", os.O_RDONLY | os.O_CLOEXEC))
                opened.callback(os.close, files[-1])
            errors = open_for_writing(opened, folder.path / "stderr.log", os.O_APPEND)
            return launch(command, files, errors, folder.note)

    def _open_tap(self, nic: Nic) -> int:
        return open_tap(self._namespace, nic.device, offloads=self._offloads)

    def _await_monitor(self, folder: Folder, process: Process) -> None:
        """Raises HypervisorError at once when the process has ended."""
        limit = time.monotonic() + START_SECONDS
        while self._monitor(folder, process, START_SECONDS) is None:
            if not process.alive():
                raise HypervisorError("its process ended")
            if time.monotonic() > limit:
                raise HypervisorError(f"its process did not answer within {START_SECONDS:g} s")

    def _await_memory(self, folder: Folder, process: Process) -> None:
        """Raises HypervisorError when the process ends over it."""
        limit = time.monotonic() + qemu_memory.SECONDS
        while (monitor := self._monitor(folder, process, START_SECONDS)) is not None and (
                monitor.ask("query-status")["status"] == "inmigrate"):
            if time.monotonic() > limit:
                raise HypervisorError(f"its memory was not read within {qemu_memory.SECONDS:g} s")
            time.sleep(qemu_memory.POLL_SECONDS)
        if monitor is None:
            raise HypervisorError("its process ended while it read the memory")

    # -- ending

    def _switch_off(self, folder: Folder) -> None:
        """Marked first: an order to switch off that is cut short is repeated, what a guest did is not."""
        folder.mark_off()
        self._end(folder)
        qemu_memory.forget(folder.path)
        if folder.defined():
            self._known[folder.id] = PowerState.OFF

    def _end(self, folder: Folder) -> None:
        """Its process is gone afterwards. Raises HypervisorError when even SIGKILL does not end it."""
        process = folder.process()
        if process is not None and process.alive():
            monitor = self._monitor(folder, process, LOOK_SECONDS)
            if monitor is not None:
                monitor.quit(QUIT_SECONDS)
                process.wait_gone(QUIT_SECONDS)
            if not process.kill(END_SECONDS):
                raise HypervisorError(f"guest {folder.id}: process {process.pid} does not end")
        if folder.id in self._monitors:
            self._monitors.pop(folder.id).close()

    # -- inside

    def _look(self, folder: Folder) -> PowerState:
        """What it is doing, and from now on known to. The caller holds the guest's lock."""
        state = self._seen(folder)
        if state is PowerState.ABSENT:
            self._known.pop(folder.id, None)
        else:
            self._known[folder.id] = state
        return state

    def _seen(self, folder: Folder) -> PowerState:
        if not folder.defined():
            return PowerState.ABSENT
        process = folder.process()
        if process is not None and process.alive():
            monitor = self._monitor(folder, process, LOOK_SECONDS)
            if monitor is not None:
                return self._shown(folder, monitor.status)
            if process.alive():
                return self._known.get(folder.id, PowerState.RUNNING)  # it is there, and too busy to say more
        if qemu_memory.saved(folder.path):
            return PowerState.SAVED
        return PowerState.OFF if folder.off() else PowerState.LOST

    def _shown(self, folder: Folder, status: str) -> PowerState:
        if status == "shutdown":
            self._switch_off(folder)
            return PowerState.OFF
        if status in (*_NEVER_RAN, qemu_memory.AT_REST) and qemu_memory.saved(folder.path):
            self._end(folder)
            return PowerState.SAVED
        if status in _NEVER_RAN:
            return PowerState.LOST
        return PowerState.RUNNING if status == "running" else PowerState.PAUSED

    def _monitor(self, folder: Folder, process: Process, seconds: float) -> Monitor | None:
        """None where it does not answer; if its process is just ending, it has ended then."""
        monitor = self._monitors.get(folder.id)
        if monitor is not None:
            if monitor.connected:
                return monitor
            self._monitors.pop(folder.id).close()
        monitor = Monitor(self._loop, lambda: self._look_soon(folder.id))
        try:
            monitor.connect(folder.path / "q0", seconds)
        except MonitorError:
            monitor.close()
            process.wait_gone(1.0)
            return None
        self._monitors[folder.id] = monitor
        return monitor

    def _execute(self, folder: Folder, command: str) -> None:
        monitor = self._monitors.get(folder.id)
        try:
            if monitor is None:
                raise MonitorError("it does not answer")
            monitor.execute(command)
        except MonitorError as error:
            raise HypervisorError(f"guest {folder.id}: {command}: {error}") from error

    def _look_soon(self, guest_id: str) -> None:
        with suppress(RuntimeError):  # let go of already
            self._lookers.submit(self._look_and_tell, guest_id)

    def _look_and_tell(self, guest_id: str) -> None:
        with self._locks[guest_id]:
            if self._closed:
                return
            before = self._known.get(guest_id)
            try:
                state = self._look(self._folder(guest_id))
            except (HypervisorError, OSError):
                return  # whoever asks for it next meets the same trouble
        found_well = before is None and state in ALIVE
        if state not in (before, PowerState.ABSENT) and not found_well:
            for callback in self._callbacks:
                callback(guest_id, state)

    def _folder(self, guest_id: str) -> Folder:
        if not re.fullmatch(r"[\w-]+", guest_id, re.ASCII):
            raise HypervisorError(f"guest {guest_id!r} cannot be called that")
        return Folder(self._root / guest_id)

    def _known_folder(self, guest_id: str) -> Folder:
        folder = self._folder(guest_id)
        if not folder.defined():
            raise UnknownGuest(f"there is no guest {guest_id}")
        return folder

    @contextmanager
    def _defined(self, guest_id: str) -> Iterator[Folder]:
        with self._locks[guest_id]:
            yield self._known_folder(guest_id)

    @contextmanager
    def _alive(self, guest_id: str) -> Iterator[Folder]:
        with self._defined(guest_id) as folder:
            if (state := self._look(folder)) not in ALIVE:
                raise HypervisorError(f"guest {guest_id} is {state}: it does not run")
            yield folder

    @contextmanager
    def _talking(self, guest_id: str) -> Iterator[Monitor]:
        """The monitor of a guest that runs or is paused. What goes wrong is said of this guest."""
        with self._alive(guest_id) as folder:
            monitor = self._monitors.get(folder.id)
            try:
                if monitor is None:
                    raise MonitorError("it does not answer")
                yield monitor
            except (MonitorError, HypervisorError, OSError) as error:
                raise HypervisorError(f"guest {guest_id}: {error}") from error

    def _defined_ids(self) -> list[str]:
        return [entry.name for entry in os.scandir(self._root) if entry.is_dir()]


def _passphrase(text: bytes) -> int:
    """An open file that is in memory only, from which a process reads it once: it is on no command line."""
    file = os.memfd_create("passphrase", os.MFD_CLOEXEC)
    os.write(file, text)
    return file


def _version() -> int:
    """Raises HypervisorError where there is no QEMU."""
    try:
        told = subprocess.run([qemu_command.PROGRAM, "--version"], capture_output=True, text=True, timeout=20,
                              check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise HypervisorError(f"no QEMU here: {error}") from error
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", told)
    if found is None:
        raise HypervisorError(f"QEMU tells no version: {told.strip()}")
    major, minor, micro = map(int, found.groups())
    return major * 1_000_000 + minor * 1_000 + micro
