"""The tiny image: a 20 MB guest that boots in seconds, made of Debian's kernel, busybox and dropbear."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pilvi.images.making import DISK, candidates, digest, once, run

GUEST = Path(__file__).with_name("tiny_guest")  # the guest's files, and the script that puts them together
KERNEL = "linux-image-cloud-amd64"  # names the kernel of the day as what it depends on
PACKAGES = (
    "busybox-static", "dosfstools", "dropbear-bin", "e2fsprogs",
    "libblkid1", "libc6", "libcom-err2", "libcrypt1", "libext2fs2", "libglib2.0-0", "libgmp10", "libmount1", "libnuma1",
    "libpcre2-8-0", "libselinux1", "libsmartcols1", "libss2", "libtomcrypt1", "libtommath1", "libudev1", "liburing2",
    "libuuid1", "qemu-guest-agent", "util-linux", "zlib1g",
)


def build(output: Path, *, work: Path, progress: Callable[[str], None]) -> Path:
    """Builds the image as a qcow2 at `output`, whole or not at all, with `work` for what comes between.

    An image that is there and was made of the same packages and guest's files is kept. Raises RuntimeError
    with the last words of the step that failed."""
    packages = newest(progress)
    command = ["bash", str(GUEST / "build.sh"), str(work), str(output), *packages]
    return once(output, [*packages, f"guest={digest(GUEST, DISK)}"],
                lambda: run(command, progress, marker="tiny: "), progress)


def newest(progress: Callable[[str], None]) -> list[str]:
    """name=version of each package of the image, as apt would install them now. Raises RuntimeError."""
    if not (found := candidates([KERNEL])):
        progress("tiny: fetching the list of packages")
        run(["apt-get", "update", "-q"], progress)
        found = candidates([KERNEL])
    return versions(found, candidates)


def versions(kernel: str, records: Callable[[tuple[str, ...]], str]) -> list[str]:
    """The same, of the record of the kernel's metapackage and of what `records` tells about the others."""
    depends = re.search(r"^Depends:.*?\b(linux-image-\d[^\s,]*)", kernel, re.MULTILINE)
    if not depends:
        raise RuntimeError(f"apt knows no {KERNEL}: the tiny image is made of Debian's packages for amd64")
    names = (depends[1], *PACKAGES)
    found = re.findall(r"^Package: (.*)$(?:\n.+)*?\nVersion: (.*)$", records(names), re.MULTILINE)
    if missing := set(names) - {name for name, _ in found}:
        raise RuntimeError(f"apt does not know {', '.join(sorted(missing))}")
    return [f"{name}={version}" for name, version in sorted(found)]
