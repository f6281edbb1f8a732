"""The cloud that is measured: a process of its own, with hosts and guests only pretended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pilvi.cli.client import Client
from pilvi.lock import running_pid
from pilvi.settings import HostSettings, Place, Settings
from tests.support.cloud import Session
from tests.support.wait import eventually

ENOUGH = HostSettings(vcpus=4096, memory_mib=1 << 22, disk_gib=1 << 20)
TICKS = os.sysconf("SC_CLK_TCK")
PROJECT_QUOTAS = {
    "/compute/v2.1/os-quota-sets/": ("quota_set", ("instances", "cores", "ram")),
    "/network/v2.0/quotas/": ("quota", ("network", "subnet", "port", "security_group", "security_group_rule")),
}


class Target:
    """`ready_seconds`: from the command to the answer to the first authenticated request."""

    def __init__(self, place: Place, ready_seconds: float, client: Client, password: str):
        self.place, self.ready_seconds, self.password = place, ready_seconds, password
        self.pid = running_pid(place)
        listen = place.load().listen
        self.session = Session(int(listen.rpartition(":")[2]), client._token, client.project_id, version="2.1")

    @classmethod
    @contextmanager
    def running(cls, database: str = "") -> Iterator[Target]:
        with tempfile.TemporaryDirectory(prefix="plv-") as folder:
            place = Place(Path(folder) / "s")
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                listen = f"127.0.0.1:{free.getsockname()[1]}"
            place.save(Settings(simulated=True, simulated_hosts=2, listen=listen, database=database, host=ENOUGH))
            begun = time.perf_counter()
            up = [sys.executable, "-m", "pilvi.cli.main", "up", "--no-demo", "--state", str(place.root)]
            try:
                subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
                client = Client(place, "admin")
                client.get("/compute/v2.1/servers")
                ready = time.perf_counter() - begun
                for path, (noun, names) in PROJECT_QUOTAS.items():
                    client.put(path + client.project_id, {noun: dict.fromkeys(names, -1)})
                yield cls(place, ready, client, (place / "credentials.json").read_text())
            finally:
                if pid := running_pid(place):
                    os.kill(pid, signal.SIGTERM)
                    eventually(lambda: running_pid(place) is None, 20, "the end of the throw-away cloud")

    def cpu_seconds(self) -> float:
        """What the cloud's process has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self) -> float:
        """PSS of the cloud's process."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        raise LookupError("the kernel does not tell a process's PSS")
