"""Each of Compute's operations: broken at each step, done and undone twice, killed, overtaken by a delete."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import pytest

from pilvi.compute.operations import operations
from pilvi.engine import store
from pilvi.engine.operations import Progress
from tests.operations import (
    scenarios_cards,
    scenarios_moving,
    scenarios_power,
    scenarios_rest,
    scenarios_volumes,
)
from tests.support.wait import eventually
from tests.support.world import NOTHING, SETTINGS, Killed, World

# A module for each of compute's operations_*.py, with SCENARIOS by kind.
MODULES = (
    scenarios_cards,
    scenarios_moving,
    scenarios_power,
    scenarios_rest,
    scenarios_volumes,
)
SCENARIOS = {kind: scenario for module in MODULES for kind, scenario in module.SCENARIOS.items()}


@pytest.fixture
def world(request, template, tmp_path):
    """A cloud with as many hosts as the scenario wants."""
    scenario = SCENARIOS.get(request.node.callspec.params.get("kind")) if hasattr(request.node, "callspec") else None
    settings = msgspec.structs.replace(SETTINGS, simulated_hosts=scenario.hosts if scenario else 1)
    world = World.copy(template, tmp_path / "state", settings)
    yield world
    world.stop()


KINDS = {operation.kind: operation for operation in operations(None)}
STEPS = [(kind, number) for kind, operation in KINDS.items() for number in range(len(operation.steps()))]
CERTAIN = {(kind, number) for kind, number in STEPS
           if KINDS[kind].forward_only or KINDS[kind].steps()[number].certain}
UNDONE = [(kind, number) for kind, number in STEPS if KINDS[kind].steps()[number].undo]


def test_every_operation_has_its_scenario():
    assert KINDS.keys() == SCENARIOS.keys()


class Steps:
    """Counts the calls of one kind's steps, and does to them what a test wants."""

    def __init__(
        self,
        kind: str,
        do: Callable[[int, Callable, Progress], None] | None = None,
        undo: Callable[[Callable, Progress], None] | None = None,
    ):
        self.kind, self.do, self.undo = kind, do, undo

    def __call__(self, verb: Callable[[Progress], None], progress: Progress) -> None:
        if progress.kind != self.kind:
            return verb(progress)
        step = KINDS[progress.kind].steps()[progress.step]
        if step.undo is not None and verb.__name__ == step.undo.__name__:
            return self.undo(verb, progress) if self.undo else verb(progress)
        return self.do(progress.step, verb, progress) if self.do else verb(progress)


def guest(world: World, server_id: str) -> str:
    """The state of its guest where its row says that it is."""
    host = world.row(server_id).host
    return next((agent.hypervisor.state(server_id) for agent in world.cloud.site.agents if agent.name == host), "absent")


def check(world: World, kind: str, server_id: str) -> None:
    """The operation's end is as it should be, and nothing is held that should not be."""
    world.settle()
    scenario, row = SCENARIOS[kind], world.row(server_id)
    assert (row.vm_state, row.task_state, row.fault) == (scenario.after, None, None)
    assert guest(world, server_id) == scenario.guest
    held = world.holdings()
    if scenario.after == "deleted":
        assert held == NOTHING
    elif scenario.held:
        assert held.guests == held.disks == held.journal == (server_id,)
        assert held.taps == tuple(port for port, _, _ in held.ports)
        assert len(held.taps) == scenario.cards
        assert {owner for owner, _, _ in held.claims} == {server_id}
        assert sum(amount for _, _, amount in held.used) == sum(amount for _, _, amount in held.claims)


def bring_back(world: World) -> None:
    """Hosts that were down are there again, and what they held for servers that left them is free."""
    for host in world.cloud.compute.hosts():
        if host.row.forced_down:
            world.cloud.compute.change_host(host.row.name, forced_down=False)
            world.cloud.engine.reconcilers["guests"].run_once()


def remove(world: World, server_id: str) -> None:
    """Whatever became of it, it can be deleted, and nothing is left."""
    if world.row(server_id).deleted_at is None:
        world.order("delete_server", server_id)
        world.settle()
    assert world.row(server_id).vm_state == "deleted"
    bring_back(world)
    assert world.holdings() == NOTHING


def check_failed(world: World, kind: str, server_id: str) -> None:
    row = world.row(server_id)
    assert row.task_state is None
    if SCENARIOS[kind].failed == "as it is":  # it may have gone one way or the other: the pass finds out
        world.cloud.engine.reconcilers["guests"].run_once()
        found = {"running": "active", "paused": "paused", "off": "stopped", "saved": "suspended"}
        assert world.row(server_id).vm_state == found[guest(world, server_id)]
    else:
        assert (row.vm_state, row.fault["message"]) == (SCENARIOS[kind].failed, "no luck")


@pytest.mark.parametrize("kind", KINDS)
def test_as_it_should_be(world, kind):
    world.start()
    server_id = SCENARIOS[kind].order(world, SCENARIOS[kind].before(world))
    check(world, kind, server_id)
    remove(world, server_id)


@pytest.mark.parametrize(("kind", "number"), STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_it_unwinds_cleanly_from_every_step(world, kind, number, when):
    """The step fails, with its work undone or done."""

    def broken(at, verb, progress):
        if at == number:
            if when == "after":
                verb(progress)
            if (kind, number) not in CERTAIN or progress.attempts < 3:
                raise ValueError("no luck")
        verb(progress)

    world.start()
    server_id = SCENARIOS[kind].before(world)
    before = world.holdings()
    world.cloud.engine.call = Steps(kind, broken)
    server_id = SCENARIOS[kind].order(world, server_id)
    world.settle()
    if (kind, number) in CERTAIN:
        return check(world, kind, server_id)
    assert world.operations(server_id)[-1] == (kind, "failed")
    check_failed(world, kind, server_id)
    assert world.holdings() == before
    remove(world, server_id)
    return None


@pytest.mark.parametrize(("kind", "number"), STEPS)
def test_a_step_can_be_done_twice(world, kind, number):
    def twice(at, verb, progress):
        verb(progress)
        if at == number:
            verb(progress)

    world.start()
    server_id = SCENARIOS[kind].before(world)
    world.cloud.engine.call = Steps(kind, twice)
    server_id = SCENARIOS[kind].order(world, server_id)
    check(world, kind, server_id)
    remove(world, server_id)


@pytest.mark.parametrize(("kind", "number"), UNDONE)
def test_an_undo_can_be_done_twice(world, kind, number):
    def broken(at, verb, progress):
        verb(progress)
        if at == number:
            raise ValueError("no luck")

    undone = []

    def twice(verb, progress):
        verb(progress)
        verb(progress)
        undone.append(progress.step)

    world.start()
    server_id = SCENARIOS[kind].before(world)
    before = world.holdings()
    world.cloud.engine.call = Steps(kind, broken, twice)
    server_id = SCENARIOS[kind].order(world, server_id)
    world.settle()
    assert undone == [each for each in range(number, -1, -1) if KINDS[kind].steps()[each].undo]
    check_failed(world, kind, server_id)
    assert world.holdings() == before
    remove(world, server_id)


@pytest.mark.parametrize(("kind", "number"), STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_it_goes_on_after_a_kill(world, kind, number, when):
    """The process ends when the step has been done but not noted, or just before."""
    killed = threading.Event()

    def kill(at, verb, progress):
        if at == number and when == "before":
            killed.set()
            raise Killed
        verb(progress)
        if at == number:
            killed.set()
            raise Killed

    world.start()
    server_id = SCENARIOS[kind].before(world)
    world.cloud.engine.call = Steps(kind, kill)
    server_id = SCENARIOS[kind].order(world, server_id)
    assert killed.wait(10)
    world.restart()
    check(world, kind, server_id)
    remove(world, server_id)


@pytest.mark.parametrize(("kind", "number"), UNDONE)
def test_it_goes_on_being_undone_after_a_kill(world, kind, number):
    killed = threading.Event()
    last = max(each for each in range(len(KINDS[kind].steps())) if (kind, each) not in CERTAIN)

    def broken(at, verb, progress):
        verb(progress)
        if at == last:
            raise ValueError("no luck")

    def kill(verb, progress):
        verb(progress)
        if progress.step == number:
            killed.set()
            raise Killed

    world.start()
    server_id = SCENARIOS[kind].before(world)
    before = world.holdings()
    world.cloud.engine.call = Steps(kind, broken, kill)
    server_id = SCENARIOS[kind].order(world, server_id)
    assert killed.wait(10)
    world.restart()
    world.settle()
    check_failed(world, kind, server_id)
    assert world.holdings() == before
    remove(world, server_id)


@pytest.mark.parametrize(("kind", "number"), STEPS)
def test_a_delete_overtakes_it(world, kind, number):
    def overtaken(at, verb, progress):
        if at == number:
            world.order("delete_server", progress.object_id)
        verb(progress)

    world.start()
    server_id = SCENARIOS[kind].before(world)
    world.cloud.engine.call = Steps(kind, overtaken)
    server_id = SCENARIOS[kind].order(world, server_id)
    eventually(lambda: world.row(server_id).deleted_at is not None, 20, "the server's end")
    world.settle()
    bring_back(world)
    assert world.holdings() == NOTHING
    assert world.operations(server_id)[-1] == ("server.delete", "done")
    if number < len(KINDS[kind].steps()) - 1 and (kind, number + 1) not in CERTAIN:  # or it may be too late
        assert (kind, "failed") in world.operations(server_id)


def test_a_boot_waits_for_the_network_and_a_delete_does_not_wait_with_it(world):
    world.start()
    world.cloud.site.northbound.fail("sync", "northd is away", times=None)
    waiting, gone = world.boot("waiting"), world.boot("gone")
    eventually(lambda: len(world.holdings().taps) == 2, 10)
    world.order("delete_server", gone)
    eventually(lambda: world.row(gone).deleted_at, 10)
    assert world.row(waiting).vm_state == "building"
    assert world.agent.hypervisor.guests() == {}
    world.cloud.site.northbound.heal()
    eventually(lambda: world.row(waiting).vm_state == "active", 10)


def test_a_guest_that_does_not_listen_is_forced(world):
    world.start()
    server_id = world.settled_boot()
    world.agent.hypervisor.shutdown = lambda guest_id: None
    world.order("stop", server_id)
    world.settle()
    assert (world.row(server_id).vm_state, world.agent.hypervisor.state(server_id)) == ("stopped", "off")
    with world.cloud.db.read() as tx:
        assert store.operations_of(tx, server_id)[0].memory["forced"]


def test_an_unreachable_host_delays_and_does_not_break(world):
    world.start()
    server_id = world.settled_boot()
    handler = world.cloud.bus._handlers.pop(world.agent.name)
    world.order("delete_server", server_id)
    eventually(lambda: world.cloud.engine.idle(), 10)
    assert world.row(server_id).task_state == "deleting"
    world.cloud.bus.serve(world.agent.name, handler)
    world.settle()
    assert world.holdings() == NOTHING


def test_a_config_drive_is_made_and_removed(world):
    world.start()
    server_id = world.boot(config_drive=True)
    world.settle()
    assert world.holdings().disks == (server_id, server_id + ".config")
    world.order("delete_server", server_id)
    world.settle()
    assert world.holdings() == NOTHING


def test_a_boot_takes_a_bounded_number_of_transactions(world):
    """What the operation itself costs, without what the request and the passes cost."""
    world.start()
    server_id = world.settled_boot()
    begun, transaction = [], world.cloud.db.transaction

    def counted():
        if threading.current_thread().name.startswith("operation"):
            begun.append(1)
        return transaction()

    world.cloud.db.transaction = counted
    world.order("delete_server", server_id)
    world.settle()
    assert len(begun) == 2
    begun.clear()
    world.settled_boot()
    assert len(begun) == 5
