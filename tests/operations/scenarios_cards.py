from tests.operations.scenario import Scenario, active, tell
from tests.support.world import World


def with_two_cards(world: World) -> str:
    server_id = active(world)
    world.order("attach_interface", server_id, wanted=None)
    world.settle()
    return server_id


def detach_first(world: World, server_id: str) -> str:
    world.order("detach_interface", server_id, port_id=world.holdings().ports[0][0])
    return server_id


SCENARIOS = {
    "server.attach_interface": Scenario(active, tell("attach_interface", wanted=None), "active", "running",
                                        failed="as it is", cards=2),
    "server.detach_interface": Scenario(with_two_cards, detach_first, "active", "running", failed="as it is"),
}
