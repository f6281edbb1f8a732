"""Fixtures of the tests of the APIs."""

from __future__ import annotations

import pytest

from tests.support.passwords import cheap_passwords


@pytest.fixture(autouse=True, scope="package")
def passwords_at_little_cost():
    with cheap_passwords():
        yield
