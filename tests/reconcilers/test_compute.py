"""Compute's passes: from nothing, twice, and while something fails."""

from __future__ import annotations

import pytest

from pilvi.compute.reconcilers import KEEP_DAYS, Expiry, Guests, Hosts
from pilvi.drivers.hypervisor.base import PowerState
from pilvi.engine import store as engine_store
from pilvi.node.agent import mark_for_restart
from pilvi.node.messages import Order
from tests.support.wait import eventually
from tests.support.world import NOTHING, World

DAY = 86_400_000_000


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return World.template(tmp_path_factory.mktemp("template") / "state")


@pytest.fixture
def world(template, tmp_path):
    world = World.copy(template, tmp_path / "state").start()
    for runner in world.cloud.engine.reconcilers.values():
        if runner.reconciler.name in ("guests", "hosts", "expiry"):
            runner.stop()  # a test says when
    yield world
    world.stop()


def guests(world):
    return Guests(world.cloud.compute).reconcile()


def unreachable(world):
    """The host's agent is away until what this returns is called."""
    handler = world.cloud.bus._handlers[world.agent.name]

    def away(verb, argument):
        raise TimeoutError("the agent is away")

    world.cloud.bus.serve(world.agent.name, away)
    return lambda: world.cloud.bus.serve(world.agent.name, handler)


# -- guests


def test_guests_from_nothing_and_twice(world):
    assert guests(world) == guests(world) == "all as it should be"
    server_id = world.settled_boot()
    before = world.row(server_id)
    assert guests(world) == guests(world) == "all as it should be"
    assert world.row(server_id) == before


@pytest.mark.parametrize(
    ("event", "vm_state", "power_state", "fault"),
    [
        ("guest_switches_off", "stopped", 4, None),
        ("guest_is_lost", "stopped", 6, "The guest's process ended, and it was not the guest that ended it."),
        ("undefine", "error", 0, "The guest is no longer on its host."),
        ("pause", "paused", 3, None),
    ],
)
def test_what_a_guest_did_by_itself_is_written_down(world, event, vm_state, power_state, fault):
    server_id = world.settled_boot()
    getattr(world.agent.hypervisor, event)(server_id)
    assert guests(world) == "mended 1"
    row = world.row(server_id)
    assert (row.vm_state, row.power_state, row.fault and row.fault["message"]) == (
        vm_state,
        power_state,
        fault,
    )
    assert guests(world) == "all as it should be"


def test_a_guest_that_runs_again_is_active_again(world):
    server_id = world.settled_boot()
    world.write(server_id, vm_state="stopped", power_state=4)
    assert guests(world) == "mended 1"
    assert world.row(server_id).vm_state == "active"


def test_a_host_that_does_not_answer_is_said_and_left_for_later(world):
    server_id = world.settled_boot()
    back = unreachable(world)
    world.agent.hypervisor.guest_switches_off(server_id)
    with pytest.raises(Exception, match=r"simulated-1: the agent is away"):
        guests(world)
    assert world.row(server_id).vm_state == "active"
    back()
    assert guests(world) == "mended 1"
    assert world.row(server_id).vm_state == "stopped"


def test_what_an_operation_is_at_work_on_is_left_to_it(world):
    server_id = world.settled_boot()
    world.agent.hypervisor.shutdown = lambda guest_id: None  # so the stop takes its time
    world.cloud.compute.settings = world.settings.__class__(simulated=True, shutdown_seconds=60)
    world.order("stop", server_id)
    eventually(lambda: len(world.operations(server_id)) == 2, 10)
    world.agent.hypervisor.state = lambda guest_id: PowerState.RUNNING  # or the stop might end in between
    world.agent.hypervisor.undefine(server_id)
    assert guests(world) == "all as it should be"
    assert world.row(server_id).task_state == "powering-off"
    del world.agent.hypervisor.state
    world.cloud.engine.wake(server_id)
    world.settle()
    assert world.row(server_id).vm_state == "stopped"


def test_a_guest_whose_server_is_gone_is_removed(world):
    server_id = world.settled_boot()
    world.write(server_id, deleted_at=1, vm_state="deleted")
    assert guests(world) == "mended 1"
    held = world.holdings()
    assert held.guests == held.disks == held.taps == held.journal == ()
    assert guests(world) == "all as it should be"


def test_a_guest_that_cannot_be_removed_is_tried_again(world):
    server_id = world.settled_boot()
    world.write(server_id, deleted_at=1, vm_state="deleted")
    world.agent.hypervisor.fail("undefine", "it hangs")
    with pytest.raises(Exception, match="it hangs"):
        guests(world)
    assert guests(world) == "mended 1"
    assert world.holdings().disks == ()


def test_a_guest_of_another_database_is_left_alone(world):
    server_id = world.settled_boot()
    with world.cloud.db.transaction() as tx:
        tx.connection.exec_driver_sql("DELETE FROM servers")
    assert guests(world) == "all as it should be; 1 guests of another database are left alone"
    assert world.holdings().guests == (server_id,)


def test_a_boot_that_nobody_works_on_ends_as_an_error_that_holds_nothing(world):
    server_id = world.settled_boot()
    world.write(server_id, vm_state="building", task_state="spawning")
    assert guests(world) == "mended 1"
    row = world.row(server_id)
    assert (row.vm_state, row.task_state, row.host) == ("error", None, None)
    assert guests(world) == "mended 1"  # its guest goes with the next pass
    assert world.holdings() == NOTHING
    assert guests(world) == "all as it should be"


def test_a_delete_that_nobody_works_on_is_taken_up(world):
    server_id = world.settled_boot()
    world.write(server_id, task_state="deleting")
    assert guests(world) == "mended 1"
    world.settle()
    assert world.row(server_id).vm_state == "deleted"
    assert world.holdings() == NOTHING


def test_an_order_that_nobody_works_on_is_forgotten(world):
    server_id = world.settled_boot()
    world.write(server_id, task_state="pausing")
    assert guests(world) == "mended 1"
    assert world.row(server_id).task_state is None


@pytest.mark.parametrize("how", ["marked", "rebooted"])
def test_guests_that_ran_when_their_host_went_down_run_again(world, how):
    running, stopped = world.settled_boot(), world.settled_boot()
    world.order("stop", stopped)
    world.settle()
    node = world.root / "node" / world.agent.name
    world.agent.hypervisor.guest_is_lost(running)
    world.stop()
    if how == "marked":
        mark_for_restart(node, [running])
    else:
        (node / "boot_id").write_text("an earlier one")
    world.restart()
    eventually(lambda: world.operations(running)[-1] == ("server.start", "done"), 10)
    assert world.row(running).vm_state == "active"
    assert world.row(stopped).vm_state == "stopped"
    assert world.agent.hypervisor.guests() == {running: "running", stopped: "off"}
    assert not world.agent.restarts.wanted(running)


def test_an_event_of_a_guest_starts_a_pass_soon(template, tmp_path):
    world = World.copy(template, tmp_path / "state").start()
    try:
        server_id = world.settled_boot()
        world.agent.hypervisor.guest_switches_off(server_id)
        eventually(lambda: world.row(server_id).vm_state == "stopped", 5)
    finally:
        world.stop()


# -- hosts


def test_hosts_are_registered_once_and_seen_again(world):
    hosts = Hosts(world.cloud.compute)
    assert hosts.reconcile() == hosts.reconcile() == "1 hosts"
    (first,) = world.cloud.compute.hosts()
    assert (first.row.name, first.vcpus, first.memory_mib, first.disk_gib, first.up) == (
        "simulated-1",
        8,
        8192,
        100,
        True,
    )
    hosts.reconcile()
    (second,) = world.cloud.compute.hosts()
    assert second.row.seen_at > first.row.seen_at
    assert second.row.id == first.row.id


def test_a_host_that_is_silent_is_not_seen(world):
    before = world.cloud.compute.hosts()[0].row.seen_at
    back = unreachable(world)
    with pytest.raises(Exception, match="the agent is away"):
        Hosts(world.cloud.compute).reconcile()
    assert world.cloud.compute.hosts()[0].row.seen_at == before
    back()
    Hosts(world.cloud.compute).reconcile()
    assert world.cloud.compute.hosts()[0].row.seen_at > before


# -- expiry


def test_what_is_old_is_forgotten(world):
    expiry, old = Expiry(world.cloud.compute), (KEEP_DAYS + 1) * DAY
    assert expiry.reconcile() == "forgot 0 servers, 0 operations, 0 cached images"
    alive, gone = world.settled_boot(), world.settled_boot()
    world.order("delete_server", gone)
    world.settle()
    assert expiry.reconcile() == "forgot 0 servers, 0 operations, 0 cached images"
    world.write(gone, deleted_at=world.row(gone).deleted_at - old)
    with world.cloud.db.transaction() as tx:
        tx.connection.exec_driver_sql(f"UPDATE operations SET updated_at = updated_at - {old}")
    assert expiry.reconcile() == "forgot 1 servers, 3 operations, 0 cached images"
    assert world.row(gone) is None
    assert world.row(alive).vm_state == "active"
    with world.cloud.db.read() as tx:
        assert tx.all(engine_store.events.select()) == []
    assert expiry.reconcile() == "forgot 0 servers, 0 operations, 0 cached images"


def test_what_is_old_is_forgotten_though_a_host_is_silent(world):
    server_id = world.settled_boot()
    world.order("delete_server", server_id)
    world.settle()
    world.write(server_id, deleted_at=1)
    unreachable(world)
    with pytest.raises(Exception, match="the agent is away"):
        Expiry(world.cloud.compute).reconcile()
    assert world.row(server_id) is None


def test_the_agent_forgets_tombstones_that_are_old(world):
    server_id = world.settled_boot()
    generation = world.row(server_id).generation
    world.cloud.bus.call(world.agent.name, "absent", Order(server_id, generation))
    assert world.agent.journal.get(server_id).spec is None
    entry = world.agent.journal.get(server_id)
    entry.buried_at -= DAY + 1
    Expiry(world.cloud.compute).reconcile()
    assert world.agent.journal.get(server_id) is None
