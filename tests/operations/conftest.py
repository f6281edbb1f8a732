import pytest

from tests.support.world import World


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return World.template(tmp_path_factory.mktemp("template") / "state")


@pytest.fixture
def world(template, tmp_path):
    world = World.copy(template, tmp_path / "state")
    yield world
    world.stop()
