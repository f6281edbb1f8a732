"""Engine daemons are known by their pid files, and nothing else is ever taken for one; needs no root."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilvi.supervise.namespace import HostError, call_in, listen_in, run
from pilvi.supervise.ovn import SCHEMAS, OvnStack
from pilvi.supervise.processes import Daemon
from tests.system.netlab import wait_for

needs_ovs = pytest.mark.skipif(
    not (shutil.which("ovsdb-server") and SCHEMAS["conf"].exists()),
    reason="no Open vSwitch here: ovsdb-server or its schema is not installed",
)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="db") as folder:
        file = Path(folder, "conf.db")
        run("ovsdb-tool", "create", str(file), str(SCHEMAS["conf"]))
        one = Daemon("conf-db", ("ovsdb-server", str(file), f"--remote=punix:{folder}/s"), Path(folder))
        try:
            yield one
        finally:
            one.stop()


@needs_ovs
class TestDaemon:
    def test_it_is_started_once(self, daemon: Daemon):
        assert daemon.pid() is None
        assert daemon.start() is True
        pid = daemon.pid()
        assert daemon.start() is False
        assert daemon.pid() == pid

    def test_it_is_found_by_another_process_and_outlives_the_one_that_started_it(self, daemon: Daemon):
        start = (
            "import sys; from pathlib import Path; from pilvi.supervise.processes import Daemon\n"
            "Daemon(sys.argv[1], tuple(sys.argv[3:]), Path(sys.argv[2])).start()\n"
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        )
        arguments = (daemon.name, str(daemon.folder), *daemon.command)
        killed = subprocess.run([sys.executable, "-c", start, *arguments], timeout=30, check=False)
        assert killed.returncode == -signal.SIGKILL
        assert daemon.pid() is not None
        assert daemon.start() is False

    def test_stopping_leaves_nothing_and_may_be_done_twice(self, daemon: Daemon):
        daemon.start()
        pid = daemon.pid()
        daemon.stop()
        daemon.stop()
        assert daemon.pid() is None
        assert not daemon.pid_file.exists()
        assert not list(daemon.folder.glob("*.ctl"))
        wait_for(lambda: not runs(pid), "the process to end")

    def test_it_comes_back_after_it_was_killed(self, daemon: Daemon):
        daemon.start()
        pid = daemon.pid()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: daemon.pid() is None, "the daemon to die")
        assert daemon.start() is True
        assert daemon.pid() not in (None, pid)
        assert len(list(daemon.folder.glob("*.ctl"))) == 1, "the dead one's socket is gone"

    def test_a_daemon_that_does_not_listen_to_asking_is_ended(self, daemon: Daemon):
        daemon.start()
        pid = daemon.pid()
        os.kill(pid, signal.SIGSTOP)
        daemon.stop(seconds=0.2)
        wait_for(lambda: not runs(pid), "the process to end")

    def test_another_process_with_its_pid_is_not_it_and_is_left_alone(self, daemon: Daemon):
        stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            daemon.pid_file.write_text(f"{stranger.pid}\n")
            assert daemon.pid() is None
            daemon.stop()
            assert stranger.poll() is None
            assert daemon.start() is True
            assert daemon.pid() != stranger.pid
        finally:
            stranger.communicate(b"\n", timeout=10)

    @pytest.mark.parametrize("content", ["", "not a number", "4194304999"])
    def test_a_broken_pid_file_is_no_daemon(self, daemon: Daemon, content: str):
        daemon.pid_file.write_text(content)
        assert daemon.pid() is None
        assert daemon.start() is True

    def test_what_it_says_when_it_cannot_start_is_the_error(self, daemon: Daemon):
        daemon.command[1] and Path(daemon.command[1]).write_text("no database")
        with pytest.raises(HostError, match=r"ovsdb-server.*conf\.db"):
            daemon.start()
        assert daemon.pid() is None


def runs(pid: int) -> bool:
    """Whether a process runs; one that nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_folder_too_deep_for_sockets_is_refused_before_anything_is_made(tmp_path: Path):
    with pytest.raises(ValueError, match="too long a path for sockets"):
        OvnStack(tmp_path / ("x" * 100), "never-made", system_id="host-1", userspace=True)


def test_a_command_that_fails_says_which_and_why():
    with pytest.raises(HostError, match=r"ls /nowhere-at-all: .*No such file"):
        run("ls", "/nowhere-at-all")
    with pytest.raises(HostError, match="never-installed"):
        run("never-installed")


def test_a_function_called_in_no_namespace_is_called_here():
    assert call_in(None, os.getpid) == os.getpid()
    with pytest.raises(ZeroDivisionError):
        call_in(None, divmod, 1, 0)


def test_calling_in_a_namespace_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError, match="never-made"):
        call_in("never-made", os.getpid)


def test_a_listener_on_a_taken_address_is_an_error():
    with listen_in(None, "127.0.0.1", 0) as first:
        number = first.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listen_in(None, "127.0.0.1", number)
        with socket.create_connection(("127.0.0.1", number), 5):
            assert first.accept()[0].fileno() >= 0
