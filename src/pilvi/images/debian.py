"""The Debian image: a full Debian with cloud-init, of the packages that the host itself uses."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

from pilvi.images.making import DISK, candidates, digest, once, run

GUEST = Path(__file__).with_name("debian_guest")  # the guest's files, and the script that puts them together
SOURCES = Path("/etc/apt")
PACKAGES = (
    "linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "systemd-resolved", "systemd-timesyncd",
    "dbus", "udev", "cloud-init", "cloud-guest-utils", "isc-dhcp-client", "openssh-server", "sudo",
    "ca-certificates", "curl", "iproute2", "iputils-ping", "less", "netbase", "procps", "qemu-guest-agent",
    "vim-tiny",
)


def build(output: Path, *, work: Path, progress: Callable[[str], None]) -> Path:
    """Builds the image as a qcow2 at `output`, whole or not at all, with `work` for what comes between.

    An image that is there and was made of the same packages and guest's files is kept. It takes root, a
    Debian host, and some minutes. Raises RuntimeError with the last words of the step that failed."""
    if os.geteuid() != 0:
        raise RuntimeError("the files of a Debian have many owners: only root can build it (sudo)")
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian":
        raise RuntimeError(f"this is {release.get('PRETTY_NAME')}: a Debian image is built on Debian")
    sources = work / "sources"
    sources.write_text(apt_sources(SOURCES))
    suite = release["VERSION_CODENAME"]
    command = ["bash", str(GUEST / "build.sh"), str(work), str(output), suite, *PACKAGES]
    records = candidates(PACKAGES).splitlines()
    versions = [line for line in records if line.startswith(("Package:", "Version:"))]
    return once(output, [suite, *versions, f"guest={digest(GUEST, DISK)}"],
                lambda: run(command, progress, marker="debian: ", stdin=sources), progress)


def apt_sources(folder: Path) -> str:
    """The host's package sources, in either of apt's two ways to write them; the newer where both are used,
    for one list cannot hold both. Raises RuntimeError where there are none."""
    written = [path.read_text() for path in sorted(folder.glob("sources.list.d/*.sources"))]
    if not written:
        lists = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]
        written = [path.read_text() for path in lists if path.exists()]
    if not any(text.strip() for text in written):
        raise RuntimeError(f"{folder} names no package sources")
    return "\n".join(written)
