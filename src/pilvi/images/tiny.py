"""The tiny image: an 18 MB guest that boots in seconds, made of Debian's kernel, busybox and dropbear."""

from __future__ import annotations

import fcntl
import hashlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

GUEST = Path(__file__).with_name("tiny_guest")  # the guest's files, and the script that puts them together
KERNEL = "linux-image-cloud-amd64"  # names the kernel of the day as what it depends on
PACKAGES = (
    "busybox-static", "dropbear-bin", "e2fsprogs",
    "libblkid1", "libc6", "libcom-err2", "libcrypt1", "libext2fs2", "libgmp10", "libss2", "libtomcrypt1",
    "libtommath1", "libuuid1", "zlib1g",
)


def build(output: Path, *, work: Path, progress: Callable[[str], None]) -> Path:
    """Builds the image as a qcow2 at `output`, whole or not at all, with `work` for what comes between.

    An image that is there and was made of the same packages and guest's files is kept: `output`.inputs tells.
    Raises RuntimeError with the last words of the step that failed."""
    inputs = Path(f"{output}.inputs")
    with open(f"{output}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builders of one file: the second finds it made
        packages = _packages(progress)
        wanted = "\n".join([*packages, f"guest={_digest(GUEST)}", ""])
        if output.exists() and inputs.exists() and inputs.read_text() == wanted:
            progress("tiny: nothing to do")
            return output
        inputs.unlink(missing_ok=True)
        _run(["bash", str(GUEST / "build.sh"), str(work), str(output), *packages], progress)
        inputs.write_text(wanted)
    return output


def _packages(progress: Callable[[str], None]) -> list[str]:
    """name=version of each package that goes into the image, as apt would install them now."""
    if not (found := _candidates([KERNEL])):
        progress("tiny: fetching the list of packages")
        _run(["apt-get", "update", "-q"], progress)
        found = _candidates([KERNEL])
    kernel = re.search(r"^Depends:.*?\b(linux-image-\d[^\s,]*)", found, re.MULTILINE)
    if not kernel:
        raise RuntimeError(f"apt knows no {KERNEL}: the tiny image is made of Debian's packages for amd64")
    names = (kernel[1], *PACKAGES)
    records = re.findall(r"^Package: (.*)$(?:\n.+)*?\nVersion: (.*)$", _candidates(names), re.MULTILINE)
    if missing := set(names) - {name for name, _ in records}:
        raise RuntimeError(f"apt does not know {', '.join(sorted(missing))}")
    return [f"{name}={version}" for name, version in sorted(records)]


def _candidates(names: tuple[str, ...] | list[str]) -> str:
    done = subprocess.run(["apt-cache", "show", "--no-all-versions", *names], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    return done.stdout


def _digest(folder: Path) -> str:
    """The hash of a folder's files, names and contents."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            whole.update(f"{path.relative_to(folder)}\0{len(data)}\0".encode() + data)
    return whole.hexdigest()


def _run(command: list[str], progress: Callable[[str], None]) -> None:
    """Runs to the end; lines that begin with "tiny: " are progress."""
    lines = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if line.startswith("tiny: "):
                progress(line.rstrip())
    if process.returncode:
        raise RuntimeError("\n".join(lines[-5:]) or f"{command[0]} ended with status {process.returncode}")
