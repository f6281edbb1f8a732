"""What the builders of guest images share: running their scripts, and keeping what is made already."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

Progress = Callable[[str], None]
DISK = Path(__file__).with_name("disk.sh")  # makes a disk that boots; sourced by each image's script


def once(output: Path, inputs: Iterable[str], make: Callable[[], object], progress: Progress) -> Path:
    """Has `make` write `output`, unless what is there was made of the same inputs: `output`.inputs tells.

    Of two processes that want it the second waits, and finds it made."""
    record, wanted = Path(f"{output}.inputs"), "\n".join([*inputs, ""])
    with locked(output.parent):
        if output.exists() and record.exists() and record.read_text() == wanted:
            progress("nothing to do: it is made of the same already")
            return output
        record.unlink(missing_ok=True)
        make()
        record.write_text(wanted)
    return output


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One builder at a time in this folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def candidates(names: Iterable[str]) -> str:
    """apt's records of these packages, as it would install them now."""
    return subprocess.run(["apt-cache", "show", "--no-all-versions", *names], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False).stdout


def digest(*places: Path) -> str:
    """The hash of files and of folders' files, names and contents."""
    whole = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file():
                data = path.read_bytes()
                whole.update(f"{path.relative_to(place.parent)}\0{len(data)}\0".encode() + data)
    return whole.hexdigest()


def run(command: list[str], progress: Progress, *, marker: str = "", stdin: Path | None = None) -> None:
    """Runs to the end; lines that begin with `marker`, where there is one, are progress.

    Raises RuntimeError with the last words when it fails."""
    lines = []
    with (open(stdin or "/dev/null", "rb") as source,
          subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, errors="replace") as process):
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if marker and line.startswith(marker):
                progress(line.rstrip())
    if process.returncode:
        raise RuntimeError("\n".join(lines[-5:]) or f"{command[0]} ended with status {process.returncode}")
