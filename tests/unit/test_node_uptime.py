"""How long a host is up, in words."""

from __future__ import annotations

import pytest

from pilvi.node.uptime import uptime


@pytest.mark.parametrize(("seconds", "words"), [
    ("59.10 8.1", " 0:00"), ("3600 1", " 1:00"), ("90061 1", "1 day,  1:01"), ("180000 1", "2 days,  2:00")])
def test_uptime(seconds, words):
    said = uptime(45_296_000_000, seconds, "0.20 0.12 0.14 1/2 3")
    assert said == f" 12:34:56 up {words},  load average: 0.20, 0.12, 0.14"
