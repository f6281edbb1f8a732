"""Guests' processes: started so that none is ever unknown, and told from later ones with the same number."""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

FIRST_FILE = 3  # the number under which a started process finds the first of the files it was given
_GATE = 'read -r go && cd / && exec "$@" </dev/null'


class Process(msgspec.Struct, frozen=True):
    """One process, for ever: its number alone is given to another one some day, also after a reboot."""

    pid: int
    started: int  # clock ticks after boot, proc_pid_stat(5) field 22
    boot: str

    def alive(self) -> bool:
        """A zombie counts as gone, once none of its threads is left, and is reaped where it is ours."""
        found = _stat(self.pid)
        if found is None or found.started != self.started or self.boot != _boot():
            return False
        if found.state not in "ZX" or found.threads > 1:
            return True
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return False

    def wait_gone(self, seconds: float) -> bool:
        """Whether it has ended within that time."""
        return self._with_handle(lambda handle: _ended(handle, seconds)) and not self.alive()

    def kill(self, seconds: float) -> bool:
        """Whether it has ended within that time after SIGKILL."""

        def end(handle: int) -> bool:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            return _ended(handle, seconds)

        return self._with_handle(end) and not self.alive()

    def _with_handle(self, function: Callable[[int], bool]) -> bool:
        """True without calling where it is gone. A handle stays with its process: checked once held."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return function(handle) if self.alive() else True
        finally:
            os.close(handle)


def launch(
    command: Sequence[str], files: Sequence[int], errors: int, note: Callable[[Process], None]
) -> Process:
    """Starts the command in a session of its own, where it finds the files at FIRST_FILE, FIRST_FILE + 1, ...

    A shell waits at the gate until `note` has written down which process this will be; when we are killed
    before that, it reads the end of its input and goes. So there is no process that nobody knows about.
    Raises OSError, and what `note` raises."""
    above = FIRST_FILE + len(files)
    gate, opener = os.pipe()
    kept = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, above) for file in (gate, errors, *files)]
    os.close(gate)
    try:
        numbers = (0, 2, *range(FIRST_FILE, above))
        given = [(os.POSIX_SPAWN_DUP2, file, number) for file, number in zip(kept, numbers, strict=True)]
        pid = os.posix_spawn(
            "/bin/sh", ["sh", "-c", _GATE, "guest", *command], {"PATH": os.defpath}, setsid=True,
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), *given],
            setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores these
        )
        found = _stat(pid)
        if found is None:
            raise OSError(f"the process of {command[0]} ended before it began")
        process = Process(pid, found.started, _boot())
        note(process)
        with suppress(BrokenPipeError):
            os.write(opener, b"go\n")
        return process
    finally:
        for file in (opener, *kept):
            os.close(file)


def strays(folder: Path, known: Collection[int]) -> list[Process]:
    """QEMUs that were started with something below this folder, and have none of the known numbers."""
    found, mark = [], f"{folder}/".encode()
    for place in Path("/proc").glob("[0-9]*"):
        pid = int(place.name)
        try:
            program, arguments = os.readlink(place / "exe"), (place / "cmdline").read_bytes()
        except OSError:  # it has ended, or is a thread of the kernel's
            continue
        if pid not in known and mark in arguments and Path(program).name.startswith("qemu-system") and (
                stat := _stat(pid)) is not None:
            found.append(Process(pid, stat.started, _boot()))
    return found


def _ended(handle: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class _Stat(msgspec.Struct, frozen=True):
    state: str
    threads: int
    started: int


def _stat(pid: int) -> _Stat | None:
    """proc_pid_stat(5). The command's name in it may hold anything, parentheses too."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return _Stat(fields[0], int(fields[17]), int(fields[19]))


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
