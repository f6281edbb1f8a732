"""`pilvi doctor`: what a real cloud needs of this machine, checked one by one."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import NamedTuple

import click

from pilvi.cli.main import state_option
from pilvi.settings import Place, default_place

INSTALL = "Run scripts/install as root, or install the Debian package"
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "ovsdb-server": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch", "ovn-northd": "ovn-central", "ovn-controller": "ovn-host",
    "ip": "iproute2", "ethtool": "ethtool", "nsenter": "util-linux", "setpriv": "util-linux",
}
LEAST_DISK_GIB = 2


class Check(NamedTuple):
    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = True  # False: good to have


def checks(place: Place) -> list[Check]:
    return [
        Check("root", os.geteuid() == 0, f"user id {os.geteuid()}", "Run it with sudo."),
        *(Check(program, bool(path := shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")),
                path or "not found", f"{INSTALL} {package}.") for program, package in PROGRAMS.items()),
        check_tun(),
        check_kvm(place),
        check_space(place),
        check_address(place),
    ]


def check_tun() -> Check:
    there = os.access("/dev/net/tun", os.R_OK | os.W_OK)
    return Check("/dev/net/tun", there, "usable" if there else "missing",
                 "Load the tun module (modprobe tun), or give this container /dev/net/tun.")


def check_kvm(place: Place) -> Check:
    from pilvi.site import guests_have_kvm

    uid = place.load().host.guest_uid
    there = guests_have_kvm(uid)
    why = f"closed to the guests' user {uid}" if Path("/dev/kvm").exists() else "missing"
    return Check("/dev/kvm", there, "usable" if there else f"{why}: guests are emulated, and slow",
                 "Switch virtualisation on in the firmware (or nested virtualisation on the host), and let the group kvm "
                 "use the device.", needed=False)


def check_space(place: Place) -> Check:
    folder = next(path for path in (place.root, *place.root.parents) if path.exists())
    free = shutil.disk_usage(folder).free / 2**30
    return Check("disk space", free >= LEAST_DISK_GIB, f"{free:.1f} GiB free below {folder}",
                 f"Free {LEAST_DISK_GIB} GiB, or put the state elsewhere with --state.")


def check_address(place: Place) -> Check:
    from pilvi.lock import running_pid

    listen = place.load().listen
    host, _, port = listen.rpartition(":")
    if running_pid(place):
        return Check("API address", True, f"{listen}, in use by this cloud")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            return Check("API address", False, f"{listen}: {error.strerror}", "Name another one with --listen.",
                         needed=False)
    return Check("API address", True, f"{listen} is free")


def missing(place: Place) -> list[Check]:
    """What a real cloud cannot do without, and is not there."""
    return [check for check in checks(place) if check.needed and not check.ok]


@click.command("doctor")
@state_option
def command(state: Path | None) -> None:
    """Check each requirement of this machine, and say how to meet it. Exits 1 when one is not met."""
    found = checks(Place(state or default_place()))
    for check in found:
        mark, colour = ("✓", "green") if check.ok else ("✗", "red") if check.needed else ("-", "yellow")
        click.secho(f"{mark} ", fg=colour, nl=False)
        click.echo(f"{check.name}: {check.found}" + ("" if check.ok else f"\n    {check.remedy}"))
    if any(check.needed and not check.ok for check in found):
        raise SystemExit(1)
