"""Images are fetched ahead by the hosts of an aggregate, also by one that did not answer at first."""

from __future__ import annotations

from pathlib import Path

from pilvi.bus.base import BusError
from pilvi.image.service import BootImage


def test_images_are_cached_and_leave_no_disk(world, monkeypatch):
    world.start()
    compute, calls = world.cloud.compute, []
    answer = compute.bus.call

    def once_silent(node, verb, *rest, **more):
        if verb == "cache_image":
            calls.append(node)
            if len(calls) == 1:
                raise BusError("no answer")
        return answer(node, verb, *rest, **more)

    monkeypatch.setattr(compute.bus, "call", once_silent)
    image = Path(world.cloud.place.root / "ahead.raw")
    image.write_bytes(bytes(512))
    monkeypatch.setattr(compute.image, "for_boot", lambda tx, context, image_id: BootImage(
        image_id, "ahead", "active", "raw", 512, 512, 0, 0, {}, image))
    number = compute.create_aggregate("rack").row.id
    compute.add_aggregate_host(number, world.agent.name)
    disks, made = world.agent.disks.disks(), []
    make = world.agent.disks.ensure_from_image

    def note(disk_id, source, size_bytes):
        made.append(source.id)
        return make(disk_id, source, size_bytes)

    monkeypatch.setattr(world.agent.disks, "ensure_from_image", note)
    compute.cache_images(world.context(), number, ["ahead"])
    world.settle()
    assert calls == [world.agent.name] * 2
    assert world.agent.disks.disks() == disks
    assert made == ["ahead"]
