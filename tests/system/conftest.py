"""Fixtures of the tests with packets."""

from __future__ import annotations

import pytest

from tests.system.netlab import Lab


@pytest.fixture(scope="module")
def whole_lab():
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture
def lab(whole_lab: Lab):
    yield whole_lab
    whole_lab.clear()
