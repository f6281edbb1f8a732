"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import atexit
import gc

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
    from tests.support.guests import tiny_image

    return tiny_image()
