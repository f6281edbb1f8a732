"""Engine daemons that outlive Pilvi: started detached, found again by pid file, restarted when they died.

There is nothing to remember between two runs of Pilvi: a daemon is running when the process of its pid file
carries that pid file's path in its command line. A pid that the kernel gave to another process does not.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

from pilvi.supervise.namespace import inside, run


@dataclass(frozen=True)
class Daemon:
    """A program of the Open vSwitch family: with `--detach` it returns when the daemon serves."""

    name: str
    command: tuple[str, ...]
    folder: Path
    namespace: str | None = None

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    def pid(self) -> int | None:
        """The process id where it runs, else None."""
        pid = self._noted_pid()
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return None
        return pid if self._pid_argument.encode() in arguments else None

    def start(self) -> bool:
        """True where it had to be started. Raises HostError with what the daemon said."""
        if self.pid() is not None:
            return False
        self._clear_away()
        run(
            *inside(self.namespace, "env", f"OVS_RUNDIR={self.folder}", f"OVN_RUNDIR={self.folder}"),
            *self.command,
            self._pid_argument,
            f"--log-file={self.log_file}",
            "-vconsole:off",
            "-vsyslog:off",
            "--no-chdir",
            "--detach",
        )
        return True

    def stop(self, seconds: float = 5.0) -> None:
        """Asks it to end, and ends it when it has not within `seconds`."""
        pid = self.pid()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if self.pid() == pid:
                    _end(handle, seconds)
            finally:
                os.close(handle)
        self._clear_away()

    def _noted_pid(self) -> int | None:
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None

    def _clear_away(self) -> None:
        """What a killed daemon leaves behind: its pid file, and the control socket named after its pid."""
        (self.folder / f"{Path(self.command[0]).name}.{self._noted_pid()}.ctl").unlink(missing_ok=True)
        self.pid_file.unlink(missing_ok=True)

    @property
    def _pid_argument(self) -> str:
        return f"--pidfile={self.pid_file}"


def _end(handle: int, seconds: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        signal.pidfd_send_signal(handle, number)
        if select.select([handle], [], [], seconds)[0]:
            return
