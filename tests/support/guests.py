"""The tiny guest image for tests."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path


def tiny_image() -> Path:
    """Built once for as long as what it is made of stays the same."""
    from pilvi.images import tiny

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pilvi"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pilvi-tiny-") as work, (cache / "tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of the tests' processes builds it, the others wait
        return tiny.build(cache / "tiny.qcow2", work=Path(work), progress=print)
