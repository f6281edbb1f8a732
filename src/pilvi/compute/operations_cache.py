"""What is done ahead of servers: fetching images to the hosts that will need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.bus.base import BusError
from pilvi.engine.operations import Operation, Progress, Retry, Step
from pilvi.node.messages import ImageSource

if TYPE_CHECKING:
    from pilvi.compute.service import Compute


class CacheImages(Operation):
    """Hosts of an aggregate fetch images; one that does not answer in the end goes without."""

    kind, action = "aggregate.cache_images", "cache_images"

    def __init__(self, compute: Compute):
        self.compute = compute

    def steps(self) -> tuple[Step, ...]:
        return (Step("cache images", self.cache),)

    def cache(self, progress: Progress) -> None:
        done = progress.memory.setdefault("done", [])
        silent = []
        for host in progress.memory["hosts"]:
            if host in done:
                continue
            try:
                for image in progress.memory["images"]:
                    self.compute.bus.call(host, "cache_image", ImageSource(**image), timeout=600)
                done.append(host)
            except BusError as error:
                silent.append(f"host {host}: {error}")
        if silent:
            raise Retry("; ".join(silent))
