"""The engine: operations go on after a crash, are undone when they fail, and a delete wins."""

from __future__ import annotations

import threading

import pytest

from pilvi.db import Database, metadata
from pilvi.engine import store
from pilvi.engine.clock import Ids, SystemClock
from pilvi.engine.engine import LEASE_SECONDS, Engine
from pilvi.engine.operations import Operation, Retry, Step
from pilvi.engine.reconcilers import Reconciler
from tests.support.wait import eventually

THING = "thing-1"


class Recorder(Operation):
    """Three steps that note what happens to them; `trouble` maps a verb to what it does instead, once per
    entry."""

    kind, action = "test.three", "three"

    def __init__(self):
        self.log: list[str] = []
        self.trouble: dict[str, list] = {}
        self.hold, self.waiting = threading.Event(), threading.Event()
        self.hold.set()

    def steps(self):
        return tuple(Step(name, self._verb(name), self._verb("undo " + name)) for name in ("a", "b", "c"))

    def _verb(self, name):
        def verb(progress):
            if name == "b":
                self.waiting.set()
                progress.wait(self.hold.is_set, 30, poll=0.01)
            self.log.append(name)
            progress.memory.setdefault("seen", []).append(name)
            if self.trouble.get(name):
                raise self.trouble[name].pop(0)

        return verb

    def finish(self, tx, progress):
        self.log.append("finish")

    def fail(self, tx, progress, reason):
        self.log.append(f"fail: {reason}{' (cancelled)' if progress.cancelled else ''}")


class Certain(Recorder):
    """From its last step on there is no way back."""

    kind = "test.certain"

    def steps(self):
        *first, last = super().steps()
        return (*first, Step(last.name, last.do, certain=True))


class Remove(Recorder):
    kind, action, forward_only = "test.remove", "remove", True


@pytest.fixture
def db(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'db'}", SystemClock())
    with database.transaction() as tx:
        metadata.create_all(tx.connection)
    yield database
    database.close()


@pytest.fixture
def engines(db):
    made = []

    def make(*kinds, **options):
        engine = Engine(db, SystemClock(), Ids(), workers=4, retry_seconds=0.01, **options)
        engine.register(*kinds)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.stop()


def begin(engine, kind="test.three", **options):
    with engine.db.transaction() as tx:
        return engine.begin(tx, kind, THING, **options)


def states(db):
    with db.read() as tx:
        return [row.state for row in reversed(store.operations_of(tx, THING))]


def finished(db, *expected):
    eventually(lambda: states(db) == list(expected), 10, f"operations {expected}; they are {states(db)}")


def test_steps_run_in_order_and_leave_a_trail(db, engines):
    kind = Recorder()
    engine = engines(kind)
    engine.start()
    operation = begin(engine)
    finished(db, "done")
    assert kind.log == ["a", "b", "c", "finish"]
    with db.read() as tx:
        assert [(row.name, row.result) for row in store.events_of(tx, operation)] == [
            ("a", "Success"),
            ("b", "Success"),
            ("c", "Success"),
        ]


@pytest.mark.parametrize("number", range(3))
def test_a_failure_undoes_the_step_under_way_and_those_before(db, engines, number):
    kind, names = Recorder(), ["a", "b", "c"][: number + 1]
    kind.trouble[names[-1]] = [ValueError("no luck")]
    engine = engines(kind)
    engine.start()
    begin(engine)
    finished(db, "failed")
    assert kind.log == [*names, *("undo " + name for name in reversed(names)), "fail: no luck"]


def test_a_retry_is_tried_again_and_counts(db, engines):
    kind = Recorder()
    kind.trouble["b"] = [Retry("not yet")] * 3
    engine = engines(kind)
    engine.start()
    begin(engine)
    finished(db, "done")
    assert kind.log.count("b") == 4
    kind.log.clear()
    kind.trouble["b"] = [Retry("never")] * 99
    begin(engine)
    finished(db, "done", "failed")
    assert kind.log.count("b") == kind.retries
    assert kind.log[-1] == "fail: never"


def test_an_undo_that_fails_is_done_again(db, engines):
    kind = Recorder()
    kind.trouble = {"c": [ValueError("no luck")], "undo b": [OSError("busy")] * 2}
    engine = engines(kind)
    engine.start()
    begin(engine)
    finished(db, "failed")
    assert kind.log.count("undo b") == 3
    assert kind.log.count("undo c") == 1


def test_forward_only_goes_on_until_it_succeeds(db, engines):
    kind = Remove()
    kind.trouble["a"] = [ValueError("no luck")] * 8
    engine = engines(kind)
    engine.start()
    begin(engine, "test.remove")
    finished(db, "done")
    assert kind.log == ["a"] * 9 + ["b", "c", "finish"]


def test_from_a_certain_step_on_there_is_no_way_back(db, engines):
    kind = Certain()
    kind.trouble["c"] = [ValueError("no luck")] * 8
    engine = engines(kind)
    engine.start()
    begin(engine, "test.certain")
    finished(db, "done")
    assert kind.log == ["a", "b"] + ["c"] * 9 + ["finish"]


def test_a_delete_waits_for_what_there_is_no_way_back_from(db, engines):
    kind, remove = Certain(), Remove()
    kind.trouble["c"] = [ValueError("no luck")] * 3
    begun = []

    def call(verb, progress):
        if progress.kind == "test.certain" and progress.step == 2 and not begun:
            begun.append(begin(engine, "test.remove", wins=True))
        verb(progress)

    engine = engines(kind, remove, call=call)
    engine.start()
    begin(engine, "test.certain")
    finished(db, "done", "done")
    assert kind.log == ["a", "b"] + ["c"] * 4 + ["finish"]
    assert remove.log[-1] == "finish"


def test_a_delete_undoes_what_is_under_way(db, engines):
    kind, remove = Recorder(), Remove()
    kind.hold.clear()
    engine = engines(kind, remove)
    engine.start()
    begin(engine)
    assert kind.waiting.wait(10)
    begin(engine, "test.remove", wins=True)
    finished(db, "failed", "done")
    assert kind.log == ["a", "undo b", "undo a", "fail: it was overtaken by a delete (cancelled)"]
    assert remove.log[-1] == "finish"


def test_two_deletes_do_not_cancel_each_other(db, engines):
    remove = Remove()
    engine = engines(remove)
    engine.start()
    begin(engine, "test.remove", wins=True)
    begin(engine, "test.remove", wins=True)
    finished(db, "done", "done")


def test_operations_of_one_object_run_one_after_another(db, engines):
    kind = Recorder()
    engine = engines(kind)
    engine.start()
    for _ in range(10):
        begin(engine)
    finished(db, *["done"] * 10)
    assert kind.log == ["a", "b", "c", "finish"] * 10


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", ["a", "b", "c", "undo c", "undo b", "undo a"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_engine_is_taken_up_where_it_was(db, engines, at, when):
    kind = Recorder()
    if at.startswith("undo"):
        kind.trouble["c"] = [ValueError("no luck")]

    struck = threading.Event()

    def killed(verb, progress):
        order = ["a", "b", "c", "undo c", "undo b", "undo a"]
        strikes = order[len(kind.log)] == at
        if strikes and when == "before":
            struck.set()
            raise Killed
        verb(progress)
        if strikes:
            struck.set()
            raise Killed

    first = engines(kind, call=killed)
    first.start()
    begin(first)
    assert struck.wait(10)
    first.stop()
    second = engines(kind)
    second.start()
    finished(db, "failed" if at.startswith("undo") else "done")
    assert kind.log[-1].startswith("fail" if at.startswith("undo") else "finish")


def test_another_controller_takes_over_when_the_lease_is_over(db, engines):
    kind = Recorder()
    kind.hold.clear()
    first = engines(kind, alone=False)
    first.start()
    begin(first)
    assert kind.waiting.wait(10)
    other = Recorder()
    second = engines(other, alone=False)
    second.start()
    second.poke(THING)
    eventually(second.idle, 10)
    assert other.log == [], "its owner is alive"
    with db.transaction() as tx:
        row = store.unfinished(tx, THING)
        assert row.lease_until > tx.now + (LEASE_SECONDS - 10) * 1e6
        store.update(tx, row.seq, first.id, lease_until=tx.now - 1)
    finished(db, "done")
    assert other.log == ["b", "c", "finish"]
    kind.hold.set()
    eventually(first.idle, 10)
    assert "finish" not in kind.log, "the one that lost its lease does not end the operation a second time"


class Counting(Reconciler):
    name, period = "counting", 60.0

    def __init__(self):
        self.passes, self.trouble = 0, []

    def reconcile(self):
        self.passes += 1
        if self.trouble:
            raise self.trouble.pop(0)
        return f"pass {self.passes}"


def status(db):
    with db.read() as tx:
        return {row.name: row for row in store.statuses(tx)}.get("counting")


def test_a_reconciler_runs_at_start_and_when_poked_and_keeps_its_status(db, engines):
    counting, engine = Counting(), engines()
    engine.add_reconciler(counting)
    engine.start()
    eventually(lambda: counting.passes == 1, 10)
    counting.trouble = [RuntimeError("broken")]
    engine.poke_reconciler("counting")
    eventually(lambda: (row := status(db)) and not row.ok and "broken" in row.summary, 10)
    eventually(
        lambda: (row := status(db)) and row.ok and row.failures == 0, 10, "the pass after the failed one"
    )


def test_one_controller_at_a_time_runs_a_shared_reconciler(db, engines):
    passes = [Counting(), Counting()]
    pair = [engines(alone=False) for _ in passes]
    for engine, counting in zip(pair, passes, strict=True):
        engine.add_reconciler(counting)
    assert pair[0].reconcilers["counting"].run_once()
    assert pair[1].reconcilers["counting"].run_once()
    assert [counting.passes for counting in passes] == [1, 0]


def test_what_waits_keeps_nobody_else_from_work(db, engines):
    kind, other = Recorder(), Remove()
    kind.hold.clear()
    engine = engines(kind, other)  # of four workers
    engine.start()
    with db.transaction() as tx:
        for number in range(20):
            engine.begin(tx, "test.three", f"waiting-{number}")
    eventually(lambda: kind.log.count("a") == 20, 10)
    begin(engine, "test.remove")
    finished(db, "done")
    assert not engine.idle()
    kind.hold.set()
    assert engine.wake()
    eventually(engine.idle, 10)
    assert kind.log.count("finish") == 20
    assert not engine.wake()
    assert not engine.wake(THING)


def test_a_wait_has_an_end(db, engines):
    class Impatient(Recorder):
        def steps(self):
            def wait(progress):
                self.log.append(progress.wait(lambda: False, 0.05, poll=0.01))

            return (Step("wait", wait),)

    kind = Impatient()
    engine = engines(kind)
    engine.start()
    begin(engine)
    finished(db, "done")
    assert kind.log == [False, "finish"]


def test_an_end_that_cannot_be_written_is_tried_again(db, engines):
    kind, finish = Recorder(), []

    def broken(tx, progress):
        finish.append(1)
        if len(finish) < 3:
            raise OSError("the disk is full")

    kind.finish = broken
    engine = engines(kind)
    engine.start()
    begin(engine)
    finished(db, "done")
    assert (len(finish), kind.log) == (3, ["a", "b", "c", "c", "c"])


def test_a_delete_that_another_controller_was_told_of_is_noticed(db, engines):
    kind, remove = Recorder(), Remove()
    kind.hold.clear()
    first = engines(kind, remove, alone=False)
    first.start()
    begin(first)
    assert kind.waiting.wait(10)
    second = engines(kind, remove, alone=False)  # it accepts, and does not run anything
    begin(second, "test.remove", wins=True)
    finished(db, "failed", "done")
    assert kind.log[-1].endswith("(cancelled)")
