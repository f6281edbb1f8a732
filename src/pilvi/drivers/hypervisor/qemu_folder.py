"""What is noted of one guest of QEMU, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from pilvi.drivers.hypervisor.base import Guest, HypervisorError
from pilvi.drivers.hypervisor.qemu_command import Privileges
from pilvi.drivers.hypervisor.qemu_process import Process
from pilvi.notes import replace
from pilvi.supervise.namespace import HostError, run

LOG_BYTES = 8 << 20  # what a log may take on the host, and what is kept of one that takes more
KEPT_LOG_BYTES = 1 << 20
LONGEST_SOCKET_PATH = 107  # unix(7): sun_path, with its end


class Folder:
    """What is noted of one guest."""

    def __init__(self, path: Path):
        self.path, self.id, self.own = path, path.name, path / "own"

    def defined(self) -> bool:
        return (self.path / "guest.json").exists()

    def define(self, guest: Guest, privileges: Privileges) -> None:
        """And forget what the last process left."""
        self.path.mkdir(exist_ok=True)
        self.path.chmod(0o711)
        shutil.rmtree(self.own, ignore_errors=True)
        self.own.mkdir(mode=0o700)
        os.chown(self.own, privileges.uid, privileges.gid)
        for name in ("off", "process.json", "stderr.log", "q0", "q1", "con", "agent"):
            (self.path / name).unlink(missing_ok=True)
        replace(self.path / "guest.json", msgspec.json.encode(guest))

    def guest(self) -> Guest:
        """As it was defined."""
        return msgspec.json.decode((self.path / "guest.json").read_bytes(), type=Guest)

    def process(self) -> Process | None:
        try:
            return msgspec.json.decode((self.path / "process.json").read_bytes(), type=Process)
        except FileNotFoundError:
            return None

    def note(self, process: Process) -> None:
        replace(self.path / "process.json", msgspec.json.encode(process))

    def off(self) -> bool:
        return (self.path / "off").exists()

    def mark_off(self) -> None:
        (self.path / "off").touch()

    def unmark_off(self) -> None:
        (self.path / "off").unlink(missing_ok=True)

    def errors(self) -> str:
        """What its process complained about last."""
        lines = tail(self.path / "stderr.log", 4096).decode(errors="replace").splitlines()
        return "; ".join(line.strip() for line in lines if line.strip())

    def trim_logs(self) -> None:
        """Gives back the space of a long log's beginning: a hole takes none, the end stays where it is."""
        for log in (self.path / "console.log", self.path / "stderr.log"):
            with suppress(FileNotFoundError, HostError):
                found = log.stat()
                if found.st_blocks * 512 <= LOG_BYTES:
                    continue
                run("fallocate", "--punch-hole", "--length", str(found.st_size - KEPT_LOG_BYTES), str(log))

    @contextmanager
    def listen(self, name: str) -> Iterator[socket.socket]:
        """A listening socket in the folder for root alone."""
        path = str(self.path / name)
        if len(os.fsencode(self.own / "vnc")) > LONGEST_SOCKET_PATH:
            raise HypervisorError(f"the path of the folder {self.path} is too long for sockets in it")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
            listener.listen(1)
            yield listener

    def remove(self) -> None:
        """The definition first: what is half removed is not defined."""
        (self.path / "guest.json").unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)


def open_for_writing(opened: ExitStack, path: Path, flags: int) -> int:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    opened.callback(os.close, file)
    return file


def tail(file: Path, last_bytes: int) -> bytes:
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - last_bytes))
            return opened.read(last_bytes)
    except FileNotFoundError:
        return b""
