"""The tiny image in plain QEMU: no cloud, no network namespace, and no packet that leaves the QEMU process.

QEMU's own DHCP server answers the guest, `restrict=on` keeps it from everything else, the metadata service is
a command that QEMU starts, and ssh comes through a port on loopback."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pycdlib
import pytest

from pilvi.drivers.hypervisor import qemu_agent
from tests.support import metadata_stdio
from tests.system.lab import eventually

pytestmark = pytest.mark.system

BOOT_SECONDS = 180  # under emulation, on a busy machine; a boot takes 5 to 15


class Guest:
    """A QEMU process with the tiny image, what it says on its console, and a way to log in."""

    def __init__(self, folder: Path, disk: Path, key: Path, *devices: str):
        self.folder, self.key = folder, key
        self._console, self._monitor = folder / "console", folder / "qmp"
        folder.mkdir(exist_ok=True)
        self._console.unlink(missing_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        metadata = f"{sys.executable} -S {metadata_stdio.__file__} {folder}/metadata"
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-accel", "tcg,tb-size=32",
             "-m", "128", "-nodefaults", "-display", "none", "-serial", f"file:{self._console}",
             "-drive", f"file={disk},if=virtio", "-device", "pcie-root-port,id=spare",
             "-netdev", "user,id=a,restrict=on,net=169.254.0.0/16,dhcpstart=169.254.0.15,"
             f"hostfwd=tcp:127.0.0.1:{self._port}-:22,guestfwd=tcp:169.254.169.254:80-cmd:{metadata}",
             "-netdev", "user,id=b,restrict=on,net=10.7.0.0/24,dhcpstart=10.7.0.9",
             "-device", "virtio-net-pci,netdev=a",
             "-qmp", f"unix:{self._monitor},server=on,wait=off", *devices],
            stdin=subprocess.DEVNULL)

    def console(self) -> str:
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def wait(self, text: str) -> str:
        """The console's line with this text."""
        def line() -> str | None:
            assert self.process.poll() is None, f"QEMU ended before {text!r}:\n{self.console()}"
            return next((line for line in self.console().splitlines() if text in line), None)

        return eventually(line, BOOT_SECONDS, f"{text!r} on the console")

    def qmp(self, **command: object) -> None:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(30)
            monitor.connect(str(self._monitor))
            lines = monitor.makefile("rw")
            lines.readline()
            for each in ({"execute": "qmp_capabilities"}, command):
                lines.write(json.dumps(each) + "\n")
                lines.flush()
                while "return" not in (said := json.loads(lines.readline())):
                    assert "error" not in said, said

    def with_password(self, user: str, password: str) -> int:
        """How ssh ends that is given nothing but a password."""
        answer = self.folder / "askpass"
        answer.write_text(f"#!/bin/sh\necho '{password}'\n")
        answer.chmod(0o700)
        return subprocess.run(
            ["ssh", "-p", str(self._port), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30", "-o", "PubkeyAuthentication=no",
             "-o", "NumberOfPasswordPrompts=1", f"{user}@127.0.0.1", "true"], timeout=120, stdin=subprocess.DEVNULL,
            capture_output=True, env={**os.environ, "SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force"},
            check=False).returncode

    def ssh(self, command: str, *, user: str = "tiny", options: tuple[str, ...] = (), check: bool = True):
        done = subprocess.run(
            ["ssh", *options, "-i", self.key, "-p", str(self._port), "-o", "StrictHostKeyChecking=no",
             "-o", "LogLevel=ERROR", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30",
             "-o", "BatchMode=yes", f"{user}@127.0.0.1", command],
            capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False)
        assert not check or done.returncode == 0, f"{command}: {done}\n{self.console()}"
        return done

    def power_button(self) -> None:
        self.qmp(execute="system_powerdown")
        assert self.process.wait(timeout=BOOT_SECONDS) == 0
        assert "tiny: power button" in self.console()
        assert "tiny: shutting down" in self.console()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    for program in ("qemu-system-x86_64", "qemu-img", "ssh", "ssh-keygen", "grub-mkimage"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: scripts/test installs it")
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    return folder


@pytest.fixture(scope="module")
def disk(place, tiny_image):
    disk = place / "disk.qcow2"
    overlay = ("-f", "qcow2", "-F", "qcow2", "-b", tiny_image)
    subprocess.run(["qemu-img", "create", "-q", *overlay, disk, "1G"], check=True)
    return disk


@pytest.fixture(scope="module")
def served(place, disk):
    """The first boot, with a metadata service."""
    folder = place / "served"
    tree = {
        "meta-data/instance-id": "i-00000001", "meta-data/local-hostname": "first.pilvi.test",
        "meta-data/public-ipv4": "203.0.113.7", "meta-data/public-keys/index": "0=mine",
        "meta-data/public-keys/0/openssh-key": Path(f"{place}/key.pub").read_text(),
        "user-data": "#!/bin/sh\necho $(id -un) was here\ntouch /root/ran-$(hostname)\nexit 3\n",
    }
    for name, text in tree.items():
        path = folder / "metadata" / "latest" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    guest = Guest(folder, disk, place / "key", "-device", "virtio-serial", "-chardev",
                  f"socket,id=agent,path={folder}/agent,server=on,wait=off",
                  "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
    yield guest
    guest.kill()


@pytest.fixture(scope="module")
def ready(served):
    served.wait("sshd ready")
    served.wait("tiny: eth0 has 169.254.0.15/16")
    served.wait("metadata from the metadata service: instance i-00000001, host first, 1 keys")
    served.wait("user-data ended with status 3")
    return served


def test_user_data_runs_as_root_and_keeps_what_it_said(ready):
    said = ready.ssh("cat /var/log/user-data.log; ls /root/ran-first", user="root").stdout
    assert said == "root was here\n/root/ran-first\n"


@pytest.mark.parametrize("user", ["tiny", "root"])
def test_the_instances_key_opens_the_door(ready, user):
    assert ready.ssh("id -un; hostname", user=user).stdout == f"{user}\nfirst\n"


def test_no_password_opens_it(ready):
    options = ("-o", "PubkeyAuthentication=no", "-o", "LogLevel=DEBUG")
    refused = ready.ssh("true", options=options, check=False)
    assert refused.returncode == 255
    methods = [line for line in refused.stderr.splitlines() if "Authentications that can continue" in line]
    assert methods
    assert all("password" not in line for line in methods), methods


@pytest.mark.parametrize(("arguments", "status", "said"), [
    ("-s http://169.254.169.254/latest/meta-data/public-ipv4", 0, "203.0.113.7"),
    ("169.254.169.254/latest/meta-data/public-ipv4 -sS -H 'X-A: b c' -H X-B:d -m 20", 0, "203.0.113.7"),
    ("-so /tmp/got http://169.254.169.254/latest/meta-data/public-ipv4 && cat /tmp/got", 0, "203.0.113.7"),
    ("-sf http://169.254.169.254/latest/nothing", 22, ""),
    ("-s http://127.0.0.1:9/", 7, ""),
    ("--unknown http://169.254.169.254/", 2, ""),
])
def test_curl(ready, arguments, status, said):
    done = ready.ssh(f"curl {arguments}", check=False)
    assert (done.returncode, done.stdout) == (status, said), done.stderr


def test_the_root_file_system_fills_the_disk(ready):
    size_kib = int(ready.ssh("df -k / | tail -1").stdout.split()[1])
    assert size_kib > 900 * 1024


def test_devices_are_everybodys_that_should_be(ready):
    assert ready.ssh("echo x >/dev/null && head -c 3 /dev/zero | wc -c && test ! -r /dev/vda").stdout == "3\n"


def test_a_card_plugged_in_later_gets_its_address(ready):
    card = {"driver": "virtio-net-pci", "netdev": "b", "id": "later", "bus": "spare"}
    ready.qmp(execute="device_add", arguments=card)
    ready.wait("tiny: eth1 has 10.7.0.9/24")
    ready.qmp(execute="device_del", arguments={"id": "later"})
    eventually(lambda: "eth1" not in ready.ssh("ls /sys/class/net").stdout, 60, "eth1 to go")
    eventually(lambda: "eth1" not in ready.ssh("ps").stdout, 60, "the end of eth1's DHCP client")


def test_a_password_that_its_agent_sets_opens_the_door_and_the_images_own_does_not(ready):
    assert ready.with_password("tiny", "gocubsgo") == 255
    qemu_agent.set_password(ready.folder / "agent", "root", "It's $ecret: 1")
    assert "root:$6$" in ready.ssh("cat /etc/shadow", user="root").stdout
    eventually(lambda: ready.with_password("root", "It's $ecret: 1".replace("'", "'\\''")) == 0, 60, "root's password")
    assert ready.with_password("tiny", "gocubsgo") == 255
    qemu_agent.set_password(ready.folder / "agent", "tiny", "another")
    assert ready.with_password("tiny", "another") == 0


def config_drive(path: Path, instance: str, key: str) -> Path:
    """A config drive as OpenStack makes it: ISO 9660 with Joliet and Rock Ridge, labelled config-2."""
    drive = pycdlib.PyCdlib()
    drive.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="config-2")
    data = {"uuid": instance, "hostname": "second.pilvi.test", "public_keys": {"mine": key}, "name": "second",
            "keys": [{"name": "mine", "type": "ssh", "data": key}], "meta": {}}
    numbers = itertools.count()
    for folder in ("openstack", "openstack/latest"):
        drive.add_directory(f"/{folder.upper()}", rr_name=folder.split("/")[-1], joliet_path=f"/{folder}")
    for name, body in (("meta_data.json", json.dumps(data).encode()),
                       ("user_data", b"#!/bin/sh\necho ran >>/root/times\n")):
        drive.add_fp(io.BytesIO(body), len(body), f"/OPENSTACK/LATEST/F{next(numbers)}.;1", rr_name=name,
                     joliet_path=f"/openstack/latest/{name}")
    drive.write(str(path))
    drive.close()
    return path


def test_power_button_config_drive_and_once_per_instance(ready, place, disk):
    ready.power_button()
    instance = "0d4f7f5e-0000-4000-8000-000000000002"
    drive = config_drive(place / "config.iso", instance, (place / "key.pub").read_text())
    for boot in ("new", "same"):
        guest = Guest(place / boot, disk, place / "key", "-drive",
                      f"file={drive},if=virtio,format=raw,readonly=on")
        try:
            guest.wait(f"metadata from the config drive: instance {instance}, host second, 1 keys")
            times = partial(guest.ssh, "cat /root/times", user="root", check=False)
            eventually(lambda times=times: times().stdout == "ran\n", BOOT_SECONDS, "user-data, once")
            guest.power_button()
            assert ("user-data ended with status 0" in guest.console()) == (boot == "new")
        finally:
            guest.kill()
