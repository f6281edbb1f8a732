"""A real cloud for a test: `pilvi up` inside a network namespace that stands for the host, and clients beside it.

Everything that the cloud, its guests and their clients send stays in that namespace and in those Pilvi makes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pilvi.cli.client import Client
from pilvi.lock import running_pid
from pilvi.settings import Place
from pilvi.site import Names
from pilvi.supervise.namespace import call_in
from tests.support.wait import eventually

BIN = Path(sys.executable).parent
PORT = 9774


def require_real() -> None:
    """Skips where a real cloud cannot run, and says why."""
    if os.geteuid() != 0:
        pytest.skip("a real cloud needs root: network namespaces, taps, OVS")
    for program in ("qemu-system-x86_64", "ovn-northd", "ovs-vswitchd", "ip", "ssh"):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            pytest.skip(f"{program} is not installed: scripts/test installs it")


class Lab:
    def __init__(self, image: Path):
        self.image = image
        self.folder = Path(tempfile.mkdtemp(prefix="plv-"))
        self.folder.chmod(0o711)
        self.place = Place(self.folder / "s")
        self.namespace = f"plvt-{self.folder.name[4:]}"
        self.names = Names(self.place)
        self.key = self.folder / "key"

    # -- the cloud

    def start(self) -> None:
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        subprocess.run(["ip", "-n", self.namespace, "link", "set", "lo", "up"], check=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.up("--listen", f"127.0.0.1:{PORT}", "--no-demo")

    def run(self, *command: str | Path, check: bool = True, timeout: float = 120, **options: Any):
        """A command inside the host's namespace."""
        done = subprocess.run(["nsenter", f"--net=/run/netns/{self.namespace}", *map(str, command)], text=True,
                              capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL, **options)
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log()}"
        return done

    def pilvi(self, *arguments: str, check: bool = True):
        return self.run(BIN / "pilvi", *arguments, "--state", self.place.root, check=check)

    def up(self, *arguments: str) -> str:
        return self.pilvi("up", *arguments).stdout

    def pid(self) -> int | None:
        return running_pid(self.place)

    def kill9(self) -> None:
        """SIGKILL for Pilvi, and the wait until it is gone."""
        if pid := self.pid():
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: self.pid() is None, 10, "the end of the killed Pilvi")

    def log(self) -> str:
        return self.place.log.read_text(errors="replace")[-3000:] if self.place.log.exists() else ""

    # -- clients

    def openstack(self, *arguments: str, cloud: str = "pilvi", check: bool = True) -> Any:
        """The unmodified openstackclient; its answer decoded where it is JSON."""
        clouds = self.place / "clouds.yaml"
        done = self.run(BIN / "openstack", "--os-cloud", cloud, *arguments, check=check,
                        env={**os.environ, "OS_CLIENT_CONFIG_FILE": str(clouds)}, cwd=self.folder)
        if not check:
            return done
        return json.loads(done.stdout) if "json" in arguments else done.stdout

    def json(self, *arguments: str, cloud: str = "pilvi") -> Any:
        return self.openstack(*arguments, "-f", "json", cloud=cloud)

    def client(self, user: str = "pilvi") -> Api:
        return Api(self, user)

    def ssh(self, address: str, command: str, *, user: str = "tiny", check: bool = True, timeout: float = 60):
        return self.run("ssh", "-i", self.key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                        "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5", "-o", "BatchMode=yes",
                        f"{user}@{address}", command, check=check, timeout=timeout)

    def wait_ssh(self, address: str, seconds: float = 180) -> None:
        eventually(lambda: self.ssh(address, "true", check=False).returncode == 0, seconds, f"ssh on {address}")

    def pings(self, address: str) -> bool:
        return self.run("ping", "-c", "1", "-W", "2", address, check=False).returncode == 0

    # -- what is on the host

    def processes(self) -> list[int]:
        """QEMU processes that use this cloud's folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(self.place.root).encode() in line and b"qemu-system" in line.split(b"\0")[0]:
                found.append(int(entry.name))
        return found

    def taps(self) -> list[str]:
        links = json.loads(self.run("ip", "-n", self.names.namespace, "-j", "link").stdout)
        return [link["ifname"] for link in links if link["ifname"].startswith("tap")]

    def northbound(self, table: str, column: str = "name") -> list[str]:
        done = self.run("ovn-nbctl", f"--db=unix:{self.place.root}/ovn/nb.sock", "--bare", f"--columns={column}",
                        "list", table)
        return [line for line in done.stdout.splitlines() if line]

    def disks(self) -> list[str]:
        """Files of guests' disks, base images aside."""
        root = self.place.node / "disks"
        return [str(path.relative_to(root)) for path in root.rglob("*")
                if path.is_file() and "base" not in path.relative_to(root).parts[0]]

    def allocations(self) -> int:
        """VCPUs that placement counts as used."""
        hosts = self.client("admin").get("/pilvi/v1/status")["hosts"]
        return sum(host["vcpus_used"] for host in hosts)

    # -- the end

    def close(self) -> None:
        """Takes everything away, whatever state it is in."""
        self.kill9()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        for pid_file in self.place.root.glob("ovn/*.pid"):
            try:
                os.kill(int(pid_file.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                continue
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        mine = {self.namespace, self.names.namespace}
        for line in listed.splitlines():
            name = line.split()[0]
            if name in mine or name.startswith(self.names.namespace):
                subprocess.run(["ip", "netns", "delete", name], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Api:
    """Pilvi's own small client, called inside the host's namespace."""

    def __init__(self, lab: Lab, user: str):
        self._lab = lab
        self._client = call_in(lab.namespace, Client, lab.place, user)
        self.project_id = self._client.project_id

    def __getattr__(self, name: str) -> Callable[..., Any]:
        verb = getattr(self._client, name)
        return lambda *arguments: call_in(self._lab.namespace, verb, *arguments)


@contextmanager
def lab(image: Path) -> Iterator[Lab]:
    require_real()
    made = Lab(image)
    try:
        made.start()
        yield made
    finally:
        made.close()
