"""Guests at rest and in trouble, and images made of them."""

from __future__ import annotations

from tests.operations.scenario import Scenario, active, tell, told, volume_backed
from tests.support.world import World


def rescued(world: World) -> str:
    server_id = active(world)
    world.order("rescue", server_id, password="in trouble")
    world.settle()
    assert world.row(server_id).vm_state == "rescued"
    return server_id


def shelved(world: World) -> str:
    server_id = active(world)
    world.order("shelve", server_id)
    world.settle()
    assert world.row(server_id).vm_state == "shelved"
    return server_id


def offloaded(world: World) -> str:
    server_id = shelved(world)
    with world.cloud.db.transaction() as tx:
        assert world.cloud.compute.offload(tx, world.cloud.compute.owned(tx, world.context(), server_id))
    world.settle()
    assert world.row(server_id).vm_state == "shelved_offloaded"
    return server_id


def offload(world: World, server_id: str) -> str:
    with world.cloud.db.transaction() as tx:
        world.cloud.compute.offload(tx, world.cloud.compute.owned(tx, world.context(), server_id))
    return server_id


SCENARIOS = {
    "server.suspend": Scenario(active, tell("suspend"), "suspended", "saved", failed="as it is"),
    "server.resume": Scenario(told("suspend"), tell("resume"), "active", "running", failed="as it is"),
    "server.rescue": Scenario(active, tell("rescue", password="in trouble"), "rescued", "running", failed="active",
                              held=False),
    "server.unrescue": Scenario(rescued, tell("unrescue"), "active", "running"),
    "server.change_password": Scenario(active, tell("change_password", password="new"), "active", "running",
                                       failed="as it is"),
    "server.crash_dump": Scenario(active, tell("crash_dump"), "active", "running", failed="as it is"),
    "server.create_image": Scenario(active, tell("snapshot", name="picture", metadata={}), "active", "running",
                                    failed="as it is"),
    "server.create_backup": Scenario(active, tell("backup", name="b", kind="daily", rotation=1, metadata={}), "active",
                                     "running", failed="as it is"),
    "server.shelve": Scenario(active, tell("shelve"), "shelved", "off", failed="active"),
    "server.snapshot_volumes": Scenario(volume_backed, tell("snapshot", name="picture", metadata={}), "active", "running",
                                        failed="as it is", held=False),
    "server.shelve_away": Scenario(volume_backed, tell("shelve"), "shelved_offloaded", "absent", failed="active",
                                   held=False),
    "server.shelve_offload": Scenario(shelved, offload, "shelved_offloaded", "absent", held=False),
    "server.unshelve": Scenario(offloaded, tell("unshelve"), "active", "running", failed="shelved_offloaded"),
}
