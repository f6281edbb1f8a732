"""The tiny image: a 17 MB guest that boots in seconds, made of Debian's kernel, busybox and dropbear."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

GUEST = Path(__file__).with_name("tiny_guest")  # the guest's own files, and the script that builds it


def build(output: Path, *, work: Path, progress: Callable[[str], None]) -> Path:
    """Builds the image as a qcow2 at `output`, whole or not at all, with `work` for what comes between.

    Raises RuntimeError with the last words of the step that failed."""
    command = ["bash", str(GUEST / "build.sh"), str(GUEST), str(work), str(output)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith("tiny: "):
                progress(line.rstrip())
    if process.returncode:
        raise RuntimeError("\n".join(lines[-5:]))
    return output
