"""Packets go on while engines and Pilvi die, and everything comes back; `tests.system.network_faults` has more of it."""

from __future__ import annotations

import pytest

from tests.system import lab, netlab
from tests.system.flows import traffic
from tests.system.network_faults import faults, ground, strike

pytestmark = [
    pytest.mark.system,
    pytest.mark.chaos,
    pytest.mark.skipif(netlab.missing() is not None, reason=f"no OVN here: {netlab.missing()}"),
]

# Nothing of what moves packets is touched by these: not one is lost.
UNHARMED = ("nb-db killed", "sb-db killed", "northd killed", "Pilvi killed, started after 1 s",
            "northbound database deleted", "northbound database full of rubbish")
OTHERS = ("ovnc killed", "switch killed", "everything killed, Pilvi started")


@pytest.fixture(scope="module")
def flowing():
    lab.require_real()
    with ground() as made, traffic() as flows:
        made.start(flows)
        yield made, flows


@pytest.mark.parametrize("name", [*UNHARMED, *OTHERS])
def test_flows_go_on_and_everything_comes_back(flowing, name, record_property):
    made, flows = flowing
    before = made.stack.status()
    found = strike(made, flows, name, faults(made)[name])
    record_property("lost", found.lost)
    print(found)
    assert found.broken == []
    if name in UNHARMED:
        assert set(found.lost.values()) == {0}
    if name.startswith("Pilvi"):
        assert made.stack.status() == before, "Pilvi finds the engines that run"
