"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import atexit
import gc
import os
import tempfile
from pathlib import Path

import pytest

# msgspec 0.22 may crash when the interpreter's last collection frees types with a Meta, after all
# tests have passed; what is frozen is not collected.
atexit.register(gc.freeze)


@pytest.fixture
def served(tmp_path):
    """A simulated cloud with room for everything, served on loopback."""
    from tests.support.cloud import simulated_cloud

    with simulated_cloud(tmp_path / "cloud") as cloud:
        yield cloud


@pytest.fixture(scope="session")
def tiny_image():
    """The tiny guest image, built once for as long as what it is made of stays the same."""
    from pilvi.images import tiny

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pilvi"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pilvi-tiny-") as work:
        return tiny.build(cache / "tiny.qcow2", work=Path(work), progress=print)
