from pilvi.compute.events import ExternalEvent
from pilvi.volume import store
from pilvi.volume.service import VolumeCreate
from pilvi.volume.tables import volumes
from tests.operations.scenario import Scenario, active
from tests.support.world import World


def a_volume(world: World) -> str:
    made = world.cloud.volume.create_volume(world.context(), VolumeCreate(size=1)).rows[0].id
    world.settle()
    return made


def attach(world: World, server_id: str) -> str:
    world.cloud.compute.attach_volume(world.context(), server_id, a_volume(world), device=None, tag=None,
                                      delete_on_termination=False)
    return server_id


def with_volume(world: World) -> str:
    server_id = attach(world, active(world))
    world.settle()
    return server_id


def detach(world: World, server_id: str) -> str:
    (entry,) = world.cloud.compute.volumes_of(world.context(), server_id)
    world.cloud.compute.detach_volume(world.context(), server_id, entry["volume_id"])
    return server_id


def extended(world: World) -> str:
    """A server whose volume has grown while its guest was not told."""
    server_id = with_volume(world)
    (entry,) = world.cloud.compute.volumes_of(world.context(), server_id)
    with world.cloud.db.transaction() as tx:
        store.update(tx, volumes, entry["volume_id"], size=2)
    return server_id


def extend(world: World, server_id: str) -> str:
    (entry,) = world.cloud.compute.volumes_of(world.context(), server_id)
    assert world.cloud.compute.tell(world.context(), [
        ExternalEvent("volume-extended", server_id, entry["volume_id"])]) == [200]
    return server_id


SCENARIOS = {
    "server.extend_volume": Scenario(extended, extend, "active", "running", failed="as it is"),
    "server.attach_volume": Scenario(active, attach, "active", "running", failed="as it is"),
    "server.detach_volume": Scenario(with_volume, detach, "active", "running", failed="as it is"),
}
