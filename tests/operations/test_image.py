"""Each of Image's operations: broken at each step, done and undone twice, killed, its image deleted meanwhile."""

from __future__ import annotations

import msgspec
import pytest

from pilvi.engine.operations import Retry
from pilvi.image import store_tasks
from pilvi.image.operations import operations
from pilvi.image.wire import ImportMethod, ImportRequest, LocationRequest
from pilvi.settings import ImageSettings, StoreSettings
from tests.support import images
from tests.support.wait import eventually
from tests.support.world import SETTINGS, Killed, World

KINDS = {operation.kind: operation for operation in operations(type("Images", (), {"db": None})())}
METHODS = ("glance-direct", "web-download", "glance-download", "copy-image", "location")
STEPS = [(method, number) for method in METHODS
         for number in range(len(KINDS["image.location" if method == "location" else "image.import"].steps()))]


@pytest.fixture
def web():
    with images.web() as server:
        server.pages["/data"] = b"data"
        yield server


@pytest.fixture
def world(template, tmp_path):
    image = ImageSettings(import_allow=("127.0.0.1",), http_store=True,
                          stores=(StoreSettings("second", str(tmp_path / "second")),))
    world = World.copy(template, tmp_path / "state", msgspec.structs.replace(SETTINGS, image=image))
    yield world
    world.stop()


def begin(world, web, method):
    """An image that the operation is begun for; (its id, the states that it may end in)."""
    verbs, context = world.cloud.image, world.context()
    with_data = verbs.find(context, "image")
    wanted = ImportMethod(method, uri=web.url("/data"), glance_region="RegionOne", glance_image_id=with_data)
    if method == "copy-image":
        verbs.begin_import(context, with_data, ImportRequest(wanted, all_stores=True))
        return with_data
    image_id = verbs.create(context, {"disk_format": "raw", "container_format": "bare"}, {})["id"]
    if method == "location":
        verbs.add_location(context, image_id, LocationRequest(web.url("/data")))
        return image_id
    if method == "glance-direct":
        upload = verbs.begin_upload(context, image_id, 4, staging=True)
        upload.writer.write([b"data"])
        verbs.finish_upload(upload)
    verbs.begin_import(context, image_id, ImportRequest(wanted, all_stores=True))
    return image_id


def check_done(world, method, image_id):
    world.settle()
    shown = world.cloud.image.show(world.context(), image_id)
    assert (shown["status"], shown["stores"]) == ("active", "web" if method == "location" else "local,second")
    source = world.cloud.image.open_data(world.context(), image_id).source
    assert source.read_at(10, 0) == b"data"
    source.close()
    assert task(world, image_id) == "success"
    check_files(world)


def check_undone(world, method, image_id):
    world.settle()
    shown = world.cloud.image.show(world.context(), image_id)
    assert shown["status"] == ("active" if method == "copy-image" else "queued")
    assert shown.get("stores") == {"copy-image": "local", "location": "web"}.get(method)
    assert task(world, image_id) == "failure"
    check_files(world)


def check_files(world):
    """Every file belongs to an image, and no image is in a store that it should not be in."""
    before = {name: files.names() for name, files in world.cloud.image.stores.folders().items()}
    world.cloud.engine.reconcilers["image leftovers"].run_once()
    assert {name: files.names() for name, files in world.cloud.image.stores.folders().items()} == before


def task(world, image_id):
    with world.cloud.db.read() as tx:
        return store_tasks.of_image(tx, image_id)[-1].status


def stepper(number, verb_to_do):
    """Calls steps, and does to one of them what a test wants."""
    def call(verb, progress):
        step = KINDS[progress.kind].steps()[progress.step] if progress.kind in KINDS else None
        if step is not None and verb.__name__ == step.do.__name__ and progress.step == number:
            return verb_to_do(verb, progress)
        return verb(progress)

    return call


@pytest.mark.parametrize("method", METHODS)
def test_it_is_done(world, web, method):
    world.start()
    check_done(world, method, begin(world, web, method))


@pytest.mark.parametrize(("method", "number"), STEPS)
def test_a_step_that_fails_undoes_all(world, web, method, number):
    def broken(verb, progress):
        verb(progress)
        raise RuntimeError("broken")

    world.start(stepper(number, broken))
    check_undone(world, method, begin(world, web, method))


@pytest.mark.parametrize(("method", "number"), STEPS)
def test_a_step_may_be_done_twice(world, web, method, number):
    seen = []

    def again(verb, progress):
        verb(progress)
        seen.append(number)
        if len(seen) == 1:
            raise Retry("once more")

    world.start(stepper(number, again))
    check_done(world, method, begin(world, web, method))
    assert len(seen) == 2


@pytest.mark.parametrize(("method", "number"), STEPS)
def test_a_step_that_was_killed_is_done_after_the_restart(world, web, method, number):
    killed = []

    def kill(verb, progress):
        verb(progress)
        killed.append(number)
        raise Killed

    world.start(stepper(number, kill))
    image_id = begin(world, web, method)
    eventually(lambda: killed, 20, "the step")
    world.restart()
    check_done(world, method, image_id)


@pytest.mark.parametrize(("method", "number"), [each for each in STEPS if each[0] != "copy-image"])
def test_an_image_deleted_meanwhile_leaves_nothing(world, web, method, number):
    before = {name: files.names() for name, files in world.cloud.image.stores.folders().items()}

    deleted = []

    def delete(verb, progress):
        if not deleted:
            world.cloud.image.delete(world.context(), progress.object_id)
            deleted.append(number)
        verb(progress)

    world.start(stepper(number, delete))
    image_id = begin(world, web, method)
    world.settle()
    assert task(world, image_id) == "failure"
    assert {name: files.names() for name, files in world.cloud.image.stores.folders().items()} == before
