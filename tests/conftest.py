"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import pytest

from tests.support.cloud import simulated_cloud


@pytest.fixture
def served(tmp_path):
    """A simulated cloud with room for everything, served on loopback."""
    with simulated_cloud(tmp_path / "cloud") as cloud:
        yield cloud
