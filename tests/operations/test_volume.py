"""Each of Volume's operations: every step done twice, failing, undone twice, killed; and all of them on PostgreSQL.

What is kept afterwards is what rows say, and nothing else, and no volume is in a passing status."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import msgspec
import pytest

from pilvi.compute.service import ServerCreate
from pilvi.engine.operations import Progress
from pilvi.settings import BackendSettings, VolumeSettings
from pilvi.volume import store, tables
from pilvi.volume.operations import operations
from pilvi.volume.service import VolumeCreate
from tests.support.postgresql import postgresql
from tests.support.world import SETTINGS, Killed, World

KINDS = {operation.kind: operation for operation in operations(None)}  # type: ignore[arg-type]
SETTLED = {"available", "in-use", "error", "error_extending", "error_managing", "error_restoring"}
PLAIN: dict[str, Any] = {"name": None, "description": None, "metadata": {}}


class Case(NamedTuple):
    before: Callable[[World], dict[str, Any]]
    order: Callable[[World, dict[str, Any]], None]
    done: Callable[[World, dict[str, Any]], bool] = lambda world, had: True
    undone: Callable[[World, dict[str, Any]], bool] = lambda world, had: True


def volume(world: World, **wanted: Any) -> str:
    made = world.cloud.volume.create_volume(world.context(), VolumeCreate(**{"size": 1, **wanted})).rows[0].id
    world.settle()
    return made


def snapshot(world: World, volume_id: str) -> str:
    made = world.cloud.volume.create_snapshot(world.context(), volume_id, force=True, **PLAIN).id
    world.settle()
    return made


def backup(world: World, volume_id: str, *, settle: bool = True) -> str:
    made = world.cloud.volume.create_backup(
        world.context(), volume_id, name=None, description=None, container=None, incremental=False, force=True,
        snapshot_id=None, metadata={}).id
    if settle:
        world.settle()
    return made


def attached(world: World) -> dict[str, Any]:
    """A volume that a server has, whose guest runs."""
    with world.cloud.db.read() as tx:
        known = tx.one(tables.types.select().where(tables.types.c.name == "elsewhere"))
    if known is None:
        world.cloud.volume.create_type("elsewhere", None, True, {"volume_backend_name": "second"})
        world.cloud.volume.create_type("shared", None, True, {"multiattach": "<is> True"})
    server = world.cloud.compute.create_server(world.context(), ServerCreate(
        name="s", flavor_id=world.flavor("m1.tiny"), image_id=world.cloud.image.find(world.context(), "image"),
        networks="none"))[0].id
    world.settle()
    had = {"volume": volume(world), "server": server}
    world.cloud.compute.attach_volume(world.context(), server, had["volume"], device=None, tag=None,
                                      delete_on_termination=False)
    world.settle()
    return had


def free(world: World) -> dict[str, Any]:
    attached(world)
    return {"volume": volume(world)}


def with_snapshot(world: World) -> dict[str, Any]:
    had = free(world)
    return {**had, "snapshot": snapshot(world, had["volume"])}


def with_backup(world: World) -> dict[str, Any]:
    had = free(world)
    return {**had, "backup": backup(world, had["volume"])}


def unmanaged(world: World) -> dict[str, Any]:
    had = free(world)
    world.cloud.volume.unmanage_volume(world.context(), had["volume"])
    return had


def unmanaged_snapshot(world: World) -> dict[str, Any]:
    had = with_snapshot(world)
    world.cloud.volume.unmanage_snapshot(world.context(), had["snapshot"])
    return had


def create(world: World, had: dict[str, Any]) -> None:
    had["made"] = world.cloud.volume.create_volume(world.context(), VolumeCreate(size=1)).rows[0].id


def clone(world: World, had: dict[str, Any]) -> None:
    wanted = VolumeCreate(source_volid=had["volume"])
    had["made"] = world.cloud.volume.create_volume(world.context(), wanted).rows[0].id


def take_snapshot(world: World, had: dict[str, Any]) -> None:
    had["snapshot"] = world.cloud.volume.create_snapshot(world.context(), had["volume"], force=True, **PLAIN).id


def upload(world: World, had: dict[str, Any]) -> None:
    _, had["image"] = world.cloud.volume.upload(
        world.context(), had["volume"], force=True, name="i", disk_format="raw", container_format="bare",
        visibility="private", protected=False)


def take_backup(world: World, had: dict[str, Any]) -> None:
    had["backup"] = backup(world, had["volume"], settle=False)


def tell(verb: str, *names: str, **more: Any) -> Callable[[World, dict[str, Any]], None]:
    return lambda world, had: getattr(world.cloud.volume, verb)(
        world.context(), *(had.get(name, name) for name in names), **more) and None


def manage(world: World, had: dict[str, Any]) -> None:
    host = world.cloud.volume.pool_name()
    had["made"] = world.cloud.volume.manage_volume(
        world.context(), host=host, reference={"source-name": had["volume"]}, volume_type=None, bootable=False, **PLAIN).id


def manage_snapshot(world: World, had: dict[str, Any]) -> None:
    reference = {"source-name": had["snapshot"]}
    had["snapshot"] = world.cloud.volume.manage_snapshot(
        world.context(), volume_id=had["volume"], reference=reference, **PLAIN).id


def row(world: World, table: Any, key: str) -> Any:
    with world.cloud.db.read() as tx:
        return store.get(tx, table, key)


def has(name: str, status: str, table: Any = tables.volumes, **values: Any) -> Callable[[World, dict[str, Any]], bool]:
    """The thing of this name is in this status, with these values."""
    def check(world: World, had: dict[str, Any]) -> bool:
        found = row(world, table, had[name])
        return found.status == status and all(getattr(found, key) == value for key, value in values.items())
    return check


def gone(name: str, table: Any = tables.volumes) -> Callable[[World, dict[str, Any]], bool]:
    return lambda world, had: row(world, table, had[name]) is None


def migrate(world: World, had: dict[str, Any]) -> None:
    world.cloud.volume.migrate(world.context(), had["volume"], world.cloud.volume.pool_name("second"))


def image_is(*statuses: str) -> Callable[[World, dict[str, Any]], bool]:
    return lambda world, had: world.cloud.image.show(world.context(), had["image"])["status"] in statuses


S, B = tables.snapshots, tables.backups
CASES = {
    "volume.create": Case(free, create, has("made", "available"), has("made", "error")),
    "volume.clone": Case(attached, clone, has("made", "available"), has("made", "error")),
    "volume.delete": Case(with_snapshot, lambda world, had: world.cloud.volume.delete_volume(
        world.context(), had["volume"], cascade=True), gone("volume")),
    "snapshot.create": Case(attached, take_snapshot, has("snapshot", "available", S), has("snapshot", "error", S)),
    "snapshot.delete": Case(with_snapshot, tell("delete_snapshot", "snapshot"), gone("snapshot", S)),
    "volume.extend": Case(attached, lambda world, had: world.cloud.volume.extend(
        world.context(), had["volume"], 2, attached=True), has("volume", "in-use", size=2), has("volume", "in-use", size=1)),
    "volume.upload": Case(attached, upload, image_is("active"),
                          image_is("killed", "deleted", "queued", "active")),  # it is there once it has been stored
    "volume.revert": Case(with_snapshot, tell("revert", "volume", "snapshot"), has("volume", "available"),
                          has("volume", "error")),
    "volume.reimage": Case(free, lambda world, had: world.cloud.volume.reimage(
        world.context(), had["volume"], world.cloud.image.find(world.context(), "image"), reserved=False),
        has("volume", "available", bootable=True), has("volume", "error")),
    "backup.create": Case(attached, take_backup, has("backup", "available", B), has("backup", "error", B)),
    "backup.restore": Case(with_backup, lambda world, had: world.cloud.volume.restore(
        world.context(), had["backup"], had["volume"], None) and None, has("volume", "available"),
        has("volume", "error_restoring")),
    "backup.delete": Case(with_backup, tell("delete_backup", "backup"), gone("backup", B)),
    "volume.manage": Case(unmanaged, manage, has("made", "available"), has("made", "error_managing")),
    "snapshot.manage": Case(unmanaged_snapshot, manage_snapshot, has("snapshot", "available", S),
                            has("snapshot", "error", S)),
    "volume.retype": Case(free, tell("retype", "volume", "shared", move=False), has("volume", "available", multiattach=True),
                          has("volume", "available", multiattach=False)),
    "volume.migrate": Case(attached, migrate, has("volume", "in-use", backend="second", migration_status="success"),
                           has("volume", "in-use", backend="file", migration_status="error")),
}


def settings(root: Any, **more: Any) -> Any:
    second = VolumeSettings((BackendSettings("second", str(root / "second")),))
    return msgspec.structs.replace(SETTINGS, volume=second, **more)


@pytest.fixture
def world(template, tmp_path) -> Iterator[World]:
    world = World.copy(template, tmp_path / "state", settings(tmp_path))
    world.context = lambda: world.cloud.identity.internal_context("admin", "admin", "req-1")  # type: ignore[method-assign]
    yield world
    world.stop()


def check(world: World) -> None:
    """Nothing is kept that no row has, and what rows have is kept; nothing is under way, or left of what was."""
    kept = world.agent.volumes
    with world.cloud.db.read() as tx:
        rows, held = tx.all(tables.volumes.select()), tx.all(tables.snapshots.select())
        backups = {f"{each.file}.qcow2" for each in tx.all(tables.backups.select()) if each.status == "available"}
    assert {each.status for each in rows} <= SETTLED
    there, sure = set(kept.volumes()), {each.id for each in rows if each.status in ("available", "in-use")}
    assert sure <= there <= {each.id for each in rows} | world.left
    assert set(kept.snapshots()) == {each.id for each in held if each.status == "available"} | world.left_snapshots
    assert {each.name for each in (world.cloud.volume.folder / "backups").glob("*")} == backups
    assert not list((world.cloud.volume.folder / "out").glob("*"))


def prepared(world: World, kind: str) -> dict[str, Any]:
    world.left, world.left_snapshots = set(), set()  # type: ignore[attr-defined]
    return CASES[kind].before(world)


def kept_on_purpose(world: World, kind: str, had: dict[str, Any]) -> None:
    """Where taking something over has failed, it stays what it was."""
    if kind == "volume.manage":
        world.left = {had["volume"]}  # type: ignore[attr-defined]
    if kind == "snapshot.manage":
        world.left_snapshots = {had["old"]}  # type: ignore[attr-defined]


def test_every_operation_has_its_case() -> None:
    assert KINDS.keys() == CASES.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_may_be_done_twice(world, kind):
    def twice(verb: Callable[[Progress], None], progress: Progress) -> None:
        verb(progress)
        if progress.kind == kind:
            verb(progress)

    world.start()
    had = prepared(world, kind)
    world.cloud.engine.call = twice
    CASES[kind].order(world, had)
    world.settle()
    assert CASES[kind].done(world, had)
    check(world)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_undone_from_every_step(world, kind):
    """The step fails with its work done; its undo, and those before it, are done twice. What is certain is repeated."""
    operation = KINDS[kind]
    steps = operation.steps()
    failing: list[int] = [0]

    def broken(verb: Callable[[Progress], None], progress: Progress) -> None:
        verb(progress)
        if progress.kind != kind:
            return
        step = steps[progress.step]
        if step.undo is not None and verb.__name__ == step.undo.__name__ and progress.state == "undoing":
            verb(progress)
        elif progress.step == failing[0] and (progress.attempts < 2 or not (operation.forward_only or step.certain)):
            raise ValueError("no luck")

    world.start()
    for number, step in enumerate(steps):
        had, failing[0] = prepared(world, kind), number
        had["old"] = had.get("snapshot")
        world.cloud.engine.call = broken
        CASES[kind].order(world, had)
        world.settle()
        world.cloud.engine.call = lambda verb, progress: verb(progress)
        certain = operation.forward_only or step.certain
        assert (CASES[kind].done if certain else CASES[kind].undone)(world, had), step.name
        if not certain:
            kept_on_purpose(world, kind, had)
        check(world)
        break_off(world, kind)


def break_off(world: World, kind: str) -> None:
    """What a failure has left on purpose does not get into the way of the next."""
    for name in world.left:
        world.agent.volumes.absent(name)
    for name in world.left_snapshots:
        world.agent.volumes.absent_snapshot(name)


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_on_after_a_kill_at_every_step(world, kind):
    killed: set[int] = set()
    dead = threading.Event()

    def kill(verb: Callable[[Progress], None], progress: Progress) -> None:
        verb(progress)
        if progress.kind == kind and progress.step not in killed:
            killed.add(progress.step)
            dead.set()
            raise Killed

    world.start()
    had = prepared(world, kind)
    world.cloud.engine.call = kill
    CASES[kind].order(world, had)
    for number in range(len(KINDS[kind].steps())):
        assert dead.wait(20), f"step {number}"
        dead.clear()
        world.restart(kill)
    world.settle()
    assert CASES[kind].done(world, had)
    check(world)


@pytest.mark.postgresql
def test_all_of_them_on_postgresql(tmp_path):
    with ExitStack() as stack:
        chosen = settings(tmp_path, database=stack.enter_context(postgresql()))
        World.template(tmp_path / "state", chosen)
        world = World(tmp_path / "state", chosen)
        stack.callback(world.stop)
        world.context = lambda: world.cloud.identity.internal_context("admin", "admin", "req-1")  # type: ignore[method-assign]
        world.start()
        world.cloud.volume.set_quotas(world.context().project_id, {"volumes": -1})
        for kind, case in CASES.items():
            had = prepared(world, kind)
            case.order(world, had)
            world.settle()
            assert case.done(world, had), kind
            check(world)
            for server in world.cloud.compute.servers(world.context()).rows:
                world.order("delete_server", server.id)
            world.settle()
