"""A resize that stays on its host, where the old guest and the new one have the same name; orders that come late."""

from __future__ import annotations

import pytest

from pilvi.node.journal import StaleGeneration
from pilvi.node.messages import Away, Order
from tests.operations.scenario import active
from tests.operations.scenarios_moving import confirm, resize, resized, revert
from tests.support.wait import eventually


@pytest.mark.parametrize(("word", "flavor"), [(confirm, "m1.small"), (revert, "m1.tiny")])
def test_a_resize_on_the_only_host(world, word, flavor):
    world.start()
    server_id = active(world)
    before = world.holdings()
    resize(world, server_id)
    world.settle()
    assert len(world.holdings().disks) == 2, "the old disk is kept"
    assert len({consumer for consumer, _, _ in world.holdings().claims}) == 2, "and so is its share"
    word(world, server_id)
    world.settle()
    row, held = world.row(server_id), world.holdings()
    assert (row.vm_state, row.flavor["name"], row.host) == ("active", flavor, world.agent.name)
    assert (held.guests, held.disks, held.journal, held.taps) == (before.guests, before.disks, before.journal, before.taps)
    size = {"m1.small": 20, "m1.tiny": 1}[flavor]
    assert world.agent.disks.info(server_id).size_bytes == size << 30
    assert world.agent.spec_of(server_id).memory_mib == row.flavor["ram"]
    assert (row.vcpus, row.ram) == (row.flavor["vcpus"], row.flavor["ram"])


def test_what_a_resize_counts_for_until_there_is_a_word(world):
    world.start()
    server_id = resized(world)
    assert world.row(server_id).ram == 2048
    revert(world, server_id)
    world.settle()
    assert world.row(server_id).ram == 512


def test_orders_of_before_a_resize_do_nothing_after_it(world):
    world.start()
    server_id = active(world)
    old = world.row(server_id).generation
    resize(world, server_id)
    world.settle()
    for verb in (world.agent.stop, world.agent.absent, world.agent.undefine):
        with pytest.raises(StaleGeneration):
            verb(Order(server_id, old))
    assert world.agent.hypervisor.state(server_id) == "running"
    from pilvi.node.moving import set_aside

    with pytest.raises(StaleGeneration):
        set_aside(world.agent, Away(server_id, old + 1, old + 1))


def test_a_guest_that_does_not_come_back_is_an_error_and_not_a_resize_without_end(world):
    world.start()
    server_id = resized(world)
    world.agent.hypervisor.fail("start", "no memory", times=None)
    revert(world, server_id)
    eventually(lambda: world.row(server_id).vm_state == "error", 20)
    world.settle()
    assert "no memory" in world.row(server_id).fault["message"]
    assert world.row(server_id).flavor["name"] == "m1.tiny"
