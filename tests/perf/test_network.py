"""The benchmark of the network runs, in small, and its table has every row."""

from __future__ import annotations

import pytest

from tests.perf.network import main
from tests.support import ovsdb

SMALL = ["--networks=3", "--routers=3", "--groups=2", "--ports=12", "--samples=1", "--idle=0.1"]


@pytest.mark.skipif(ovsdb.missing() is not None, reason=ovsdb.missing() or "")
def test_the_benchmark_in_small(capsys):
    main(["--real", *SMALL])
    table = capsys.readouterr().out.partition("| measure | value |")[2]
    for row in ("a whole pass with nothing to do", "a pass for one new port", "list 1,000 ports", "northbound ovsdb-server"):
        assert row in table
