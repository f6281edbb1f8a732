"""What replaces a server's guest, on hosts of which there are two."""

from __future__ import annotations

from pilvi.node.messages import Order
from tests.operations.scenario import Scenario, active
from tests.support.world import World


def rebuild(world: World, server_id: str) -> str:
    from pilvi.compute.service import RebuildWanted

    image = world.cloud.image.find(world.context(), "image")
    world.order("rebuild_server", server_id, wanted=RebuildWanted(image_id=image, values={"name": "new"}))
    return server_id


def resize(world: World, server_id: str) -> str:
    world.order("resize_server", server_id, flavor_id=world.flavor("m1.small"))
    return server_id


def resized(world: World) -> str:
    server_id = resize(world, active(world))
    world.settle()
    assert world.row(server_id).vm_state == "resized"
    return server_id


def confirm(world: World, server_id: str) -> str:
    world.order("confirm_resize", server_id)
    return server_id


def revert(world: World, server_id: str) -> str:
    world.order("revert_resize", server_id)
    return server_id


def live_migrate(world: World, server_id: str) -> str:
    world.order("live_migrate", server_id)
    return server_id


def alone(world: World) -> str:
    """Its host is said to be down, and has nothing of it any more."""
    server_id = active(world)
    row = world.row(server_id)
    agent = next(each for each in world.cloud.site.agents if each.name == row.host)
    agent.absent(Order(server_id, row.generation))
    world.cloud.compute.change_host(row.host, forced_down=True)
    return server_id


def evacuate(world: World, server_id: str) -> str:
    world.order("evacuate", server_id)
    return server_id


SCENARIOS = {
    "server.live_migrate": Scenario(active, live_migrate, "active", "running", failed="active", hosts=2),
    "server.evacuate": Scenario(alone, evacuate, "active", "running", failed="active", hosts=2, held=False),
    "server.rebuild": Scenario(active, rebuild, "active", "running", hosts=2),
    "server.resize": Scenario(active, resize, "resized", "running", failed="active", hosts=2, held=False),
    "server.confirm_resize": Scenario(resized, confirm, "active", "running", hosts=2),
    "server.revert_resize": Scenario(resized, revert, "active", "running", hosts=2),
}
