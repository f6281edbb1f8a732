"""The disks that a server's host makes for it beside its root disk, as its flavor says: ephemeral, and swap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilvi.compute.buses import free_name
from pilvi.node.messages import LocalDisk

GIB, MIB = 1 << 30, 1 << 20


def of_flavor(flavor: Mapping[str, Any]) -> tuple[LocalDisk, ...]:
    """In the order in which the guest finds them."""
    disks = []
    if flavor["ephemeral"]:
        disks.append(LocalDisk("ephemeral0", flavor["ephemeral"] * GIB, "ext4", "ephemeral0"))
    if flavor["swap"]:
        disks.append(LocalDisk("swap", flavor["swap"] * MIB, "swap"))
    return tuple(disks)


def devices(flavor: Mapping[str, Any], root: str) -> dict[str, str]:
    """Disk -> device, as a Linux guest names them: they come right behind the disk that it boots from, `root`."""
    taken, found = {root}, {}
    for disk in of_flavor(flavor):
        found[disk.name] = free_name("virtio", taken)
        taken.add(found[disk.name])
    return found
