"""A private Ceph for a test: one monitor and one OSD in memory, on loopback; and an S3 server on it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.wait import eventually

CONFIGURATION = """
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{v2}/0,v1:127.0.0.1:{v1}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 1
auth allow insecure global id reclaim = false
osd objectstore = memstore
memstore device bytes = 2147483648
ms bind ipv6 = false
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
keyring = {folder}/keyring
crash dir = {folder}
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}
rgw frontends = beast endpoint=127.0.0.1:{rgw}
rgw thread pool size = 8
"""
SECONDS = 120
BUCKET = "pilvi-backups"


class S3(NamedTuple):
    endpoint: str
    bucket: str
    access_key: str = "access"
    secret_key: str = "secret"


class Ceph:
    def __init__(self, folder: Path, stack: ExitStack):
        self.folder, self.configuration, self._stack = folder, folder / "ceph.conf", stack
        self._ports = dict(zip(("v2", "v1", "rgw"), _free_ports(3), strict=True))
        self.configuration.write_text(CONFIGURATION.format(fsid=uuid.uuid4(), folder=folder, **self._ports))

    def run(self, *command: str | Path, check: bool = True, timeout: float = SECONDS) -> str:
        done = subprocess.run([command[0], "-c", self.configuration, *command[1:]], capture_output=True, text=True,
                              timeout=timeout)
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def serve(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{command[0]}.out").open("wb") as out:
            process = subprocess.Popen([command[0], "-c", str(self.configuration), *command[1:], "-f"],
                                       stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self._stack.callback(_end, process)
        return process

    def start(self) -> None:
        keyring, map_file = self.folder / "keyring", self.folder / "monmap"
        every = [part for name in ("mon", "osd", "mgr", "mds") for part in ("--cap", name, "allow *")]
        for index, name in enumerate(("mon.", "client.admin", "osd.0", "client.rgw.a")):
            create = ["--create-keyring"] if index == 0 else []
            subprocess.run(["ceph-authtool", keyring, *create, "--gen-key", "-n", name, *every], check=True,
                           stdout=subprocess.DEVNULL)
        fsid = self.run("ceph-conf", "--lookup", "fsid").strip()
        address = f"[v2:127.0.0.1:{self._ports['v2']},v1:127.0.0.1:{self._ports['v1']}]"
        subprocess.run(["monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, map_file], check=True,
                       stdout=subprocess.DEVNULL)
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", map_file, "--keyring", keyring)
        self.serve("ceph-mon", "-i", "a")
        eventually(lambda: "mon" in self.run("ceph", "--connect-timeout", "10", "-s", check=False), SECONDS, "the monitor")
        self.run("ceph", "auth", "import", "-i", keyring)
        osd = str(uuid.uuid4())
        self.run("ceph", "osd", "new", osd, "0")
        (self.folder / "osd").mkdir()
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, "--no-mon-config")
        self.serve("ceph-osd", "-i", "0")
        eventually(lambda: "1 up" in self.run("ceph", "osd", "stat"), SECONDS, "the OSD", poll=0.2)

    def pool(self, name: str) -> None:
        self.run("ceph", "osd", "pool", "create", name, "8")
        self.run("rbd", "pool", "init", name)

    def s3(self) -> S3:
        from minio import Minio

        found = S3(f"http://127.0.0.1:{self._ports['rgw']}", BUCKET)
        self.serve("radosgw", "-n", "client.rgw.a")
        eventually(lambda: _answers(found.endpoint), SECONDS, "the S3 server", poll=0.1)
        self.run("radosgw-admin", "user", "create", "--uid=pilvi", "--display-name=Pilvi",
                 f"--access-key={found.access_key}", f"--secret-key={found.secret_key}")
        host = found.endpoint.partition("://")[2]
        Minio(host, found.access_key, found.secret_key, secure=False, region="us-east-1").make_bucket(found.bucket)
        return found


@contextmanager
def ceph() -> Iterator[Ceph]:
    for program in ("ceph-mon", "ceph-osd", "radosgw", "rbd"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: scripts/test installs it")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="pilvi-ceph-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        made = Ceph(folder, stack)
        made.start()
        yield made


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
