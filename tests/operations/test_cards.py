"""Guests that are slow to let go of a card, or never do."""

from __future__ import annotations

import pytest

from pilvi.compute import operations_cards
from pilvi.drivers.hypervisor.base import HypervisorError
from tests.operations.scenarios_cards import with_two_cards
from tests.support.wait import eventually
from tests.support.world import NOTHING


def test_a_detach_waits_for_the_guest(world):
    world.start()
    server_id = with_two_cards(world)
    driver, asked = world.agent.hypervisor, []
    detach = driver.detach_nic
    driver.detach_nic = lambda *which: asked.append(which) or (len(asked) > 3 and detach(*which))
    port = world.holdings().ports[0][0]
    world.order("detach_interface", server_id, port_id=port)
    world.settle()
    assert len(asked) == 4
    assert world.operations(server_id)[-1] == ("server.detach_interface", "done")
    assert [each[0] for each in world.holdings().ports] == list(world.holdings().taps) != [port]


def test_a_guest_that_does_not_let_go_keeps_its_card(world, monkeypatch):
    monkeypatch.setattr(operations_cards, "DETACH_SECONDS", 0.3)
    world.start()
    server_id = with_two_cards(world)
    world.agent.hypervisor.detach_nic = lambda *which: False
    before = world.holdings()
    world.order("detach_interface", server_id, port_id=before.ports[0][0])
    world.settle()
    assert world.operations(server_id)[-1] == ("server.detach_interface", "failed")
    assert world.holdings() == before
    assert world.row(server_id).vm_state == "active"


def test_a_delete_does_not_wait_for_a_guest_that_does_not_let_go(world):
    world.start()
    server_id = with_two_cards(world)
    world.agent.hypervisor.detach_nic = lambda *which: False
    world.order("detach_interface", server_id, port_id=world.holdings().ports[0][0])
    world.order("delete_server", server_id)
    eventually(lambda: world.row(server_id).deleted_at, 20, "the server's end")
    world.settle()
    assert world.holdings() == NOTHING


def test_a_card_that_fails_is_cut_off_from_a_guest_that_does_not_let_go(world):
    world.start()
    server_id = world.settled_boot()
    driver = world.agent.hypervisor

    def attached_in_vain(*which):
        raise HypervisorError("it broke half way")

    driver.attach_nic, driver.detach_nic = attached_in_vain, lambda *which: False
    before = world.holdings()
    world.order("attach_interface", server_id, wanted=None)
    world.settle()
    assert world.operations(server_id)[-1] == ("server.attach_interface", "failed")
    assert world.holdings() == before


@pytest.mark.parametrize("verb", ["stop", "pause"])
def test_what_is_told_next_comes_after_the_card(world, verb):
    world.start()
    server_id = world.settled_boot()
    world.order("attach_interface", server_id, wanted=None)
    world.order(verb, server_id)
    world.settle()
    assert [state for _, state in world.operations(server_id)] == ["done"] * 3
    assert len(world.holdings().taps) == 2
