"""An operation as the tests put it through its paces: what there is before, the order, and what is then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pilvi.compute.block_devices import BlockDevice
from tests.support.world import World


class Scenario(NamedTuple):
    before: Callable[[World], str | None]  # makes the server that the operation is about
    order: Callable[[World, str | None], str]  # begins it; returns the server's id
    after: str  # vm_state
    guest: str  # its guest's state then
    failed: str = "error"  # vm_state after it failed and was undone, with the reason as the server's fault
    hosts: int = 1
    cards: int = 1
    held: bool = True  # one guest, disk, tap, claim afterwards: False where that is the scenario's own to check


def active(world: World) -> str:
    return world.settled_boot()


def volume_backed(world: World) -> str:
    """A server that boots from a volume."""
    image = world.cloud.image.find(world.context(), "image")
    server_id = world.boot(image_id=None, old_devices=False, devices=[BlockDevice(
        source="image", source_id=image, destination="volume", boot_index=0, size=1, delete_on_termination=True)])
    world.settle()
    assert world.row(server_id).vm_state == "active"
    return server_id


def told(*orders: str) -> Callable[[World], str]:
    def before(world: World) -> str:
        server_id = active(world)
        for order in orders:
            world.order(order, server_id)
            world.settle()
        return server_id

    return before


def tell(verb: str, **values: Any) -> Callable[[World, str], str]:
    def order(world: World, server_id: str) -> str:
        world.order(verb, server_id, **values)
        return server_id

    return order
