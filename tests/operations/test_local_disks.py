"""The ephemeral disk and the swap of a server's flavor, through all that replaces or moves its guest."""

from __future__ import annotations

import msgspec
import pytest

from pilvi.compute.operations_moving import Rebuild
from pilvi.compute.service import RebuildWanted
from pilvi.node.agent import Agent
from pilvi.node.messages import Order
from tests.operations.scenarios_moving import confirm, revert
from tests.support.world import NOTHING, SETTINGS, World

GIB, MIB = 1 << 30, 1 << 20
WRITTEN = GIB + 512  # the size of an ephemeral disk that was written to: nobody makes one of this size


@pytest.fixture
def world(request, template, tmp_path):
    """With as many hosts as the test's parameter `hosts` says."""
    hosts = request.node.callspec.params.get("hosts", 1) if hasattr(request.node, "callspec") else 1
    settings = msgspec.structs.replace(SETTINGS, simulated_hosts=hosts)
    world = World.copy(template, tmp_path / "state", settings).start()
    for name, ephemeral, swap in (("small", 1, 64), ("large", 2, 128), ("swapless", 1, 0), ("plain", 0, 0)):
        world.cloud.compute.create_flavor(name=name, id=name, vcpus=1, ram=64, disk=1, ephemeral=ephemeral, swap=swap)
    yield world
    world.stop()


def host_called(world: World, name: str) -> Agent:
    return next(each for each in world.cloud.site.agents if each.name == name)


def booted(world: World, flavor: str = "small") -> str:
    """A server with something on its ephemeral disk."""
    world.flavor = lambda _: flavor
    server_id = world.settled_boot()
    if flavor != "plain":
        host_called(world, world.row(server_id).host).disks._keep(f"{server_id}.ephemeral0", "raw", WRITTEN, 0, None)
    return server_id


def sizes(world: World) -> dict[str, int]:
    """Of the local disks, by name, wherever they are."""
    return {disk.split(".", 1)[1]: host.disks.info(disk).size_bytes
            for host in world.cloud.site.agents for disk in host.disks.disks() if "." in disk}


def seen(world: World, server_id: str) -> list[str]:
    return [disk.name for disk in world.agent.hypervisor._guests[server_id].guest.disks]


def rebuild(world: World, server_id: str, keep: bool) -> None:
    image = world.cloud.image.find(world.context(), "image")
    world.order("rebuild_server", server_id, wanted=RebuildWanted(image_id=image, keep_ephemeral=keep))
    world.settle()


def test_a_guest_has_them_behind_its_root_disk_and_they_go_with_it(world):
    server_id = booted(world)
    assert seen(world, server_id) == ["root", "ephemeral0", "swap"]
    assert sizes(world) == {"ephemeral0": WRITTEN, "swap": 64 * MIB}
    world.order("delete_server", server_id)
    world.settle()
    assert world.holdings() == NOTHING


@pytest.mark.parametrize(("flavor", "grown"), [
    ("large", {"ephemeral0": 2 * GIB, "swap": 128 * MIB}), ("swapless", {"ephemeral0": WRITTEN})])
@pytest.mark.parametrize("word", [confirm, revert])
def test_a_resize_keeps_what_is_on_the_ephemeral_disk_and_makes_swap_anew(world, flavor, grown, word):
    server_id = booted(world)
    before = sizes(world)
    world.order("resize_server", server_id, flavor_id=flavor)
    world.settle()
    assert {name: size for name, size in sizes(world).items() if "aside" not in name} == grown
    word(world, server_id)
    world.settle()
    assert sizes(world) == (grown if word is confirm else before)
    assert seen(world, server_id) == ["root", *sizes(world)]


def test_a_flavor_with_more_disks_gives_a_server_those(world):
    server_id = booted(world, "plain")
    assert sizes(world) == {}
    world.order("resize_server", server_id, flavor_id="small")
    world.settle()
    confirm(world, server_id)
    world.settle()
    assert sizes(world) == {"ephemeral0": GIB, "swap": 64 * MIB}


@pytest.mark.parametrize("keep", [True, False])
def test_a_rebuild_keeps_the_ephemeral_disk_only_when_it_is_told_to(world, keep):
    server_id = booted(world)
    rebuild(world, server_id, keep)
    assert world.row(server_id).vm_state == "active"
    assert sizes(world) == {"ephemeral0": WRITTEN if keep else GIB, "swap": 64 * MIB}


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rebuild_that_fails_leaves_them_as_they_were(world, keep, number, when):
    server_id = booted(world)
    step = Rebuild(world.cloud.compute).steps()[number].do.__name__

    def call(verb, progress):
        if verb.__name__ == step and when == "before":
            raise ValueError("no luck")
        verb(progress)
        if verb.__name__ == step:
            raise ValueError("no luck")
        if verb.__name__ == "remove_new":  # an undo may be done twice
            verb(progress)

    before = world.holdings()
    world.cloud.engine.call = call
    rebuild(world, server_id, keep)
    assert world.operations(server_id)[-1] == ("server.rebuild", "failed")
    assert world.holdings() == before
    assert sizes(world) == {"ephemeral0": WRITTEN, "swap": 64 * MIB}
    assert seen(world, server_id) == ["root", "ephemeral0", "swap"]


@pytest.mark.parametrize("hosts", [2])
@pytest.mark.parametrize("verb", ["live_migrate", "evacuate"])
def test_they_are_on_the_host_that_a_server_goes_to(world, verb, hosts):
    server_id = booted(world)
    row = world.row(server_id)
    old = host_called(world, row.host)
    if verb == "evacuate":
        old.absent(Order(server_id, row.generation))
        world.cloud.compute.change_host(row.host, forced_down=True)
    world.order(verb, server_id)
    world.settle()
    now = world.row(server_id)
    assert (now.vm_state, now.host != row.host) == ("active", True)
    assert world.holdings().disks == (server_id, server_id + ".ephemeral0", server_id + ".swap")
    assert len(host_called(world, now.host).disks.disks()) == 3
    assert sizes(world)["ephemeral0"] == (WRITTEN if verb == "live_migrate" else GIB)
