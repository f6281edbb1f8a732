"""The disks that a server's host makes for it beside its root disk, as its flavor says: ephemeral, and swap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import ascii_lowercase
from typing import Any

import sqlalchemy as sa

from pilvi.node.messages import LocalDisk

GIB, MIB = 1 << 30, 1 << 20
ROOT_DEVICE = "/dev/vda"


def of_flavor(flavor: Mapping[str, Any]) -> tuple[LocalDisk, ...]:
    """In the order in which the guest finds them."""
    disks = []
    if flavor["ephemeral"]:
        disks.append(LocalDisk("ephemeral0", flavor["ephemeral"] * GIB, "ext4", "ephemeral0"))
    if flavor["swap"]:
        disks.append(LocalDisk("swap", flavor["swap"] * MIB, "swap"))
    return tuple(disks)


def devices(flavor: Mapping[str, Any]) -> dict[str, str]:
    """Disk -> device, as a Linux guest names them: they come right behind the root disk."""
    return {disk.name: device for disk, device in zip(of_flavor(flavor), free_devices(), strict=False)}


def free_devices() -> Iterator[str]:
    """The names of devices that are not the root disk's."""
    return (f"/dev/vd{letter}" for letter in ascii_lowercase[1:])


def device_mapping(server: sa.Row) -> dict[str, str]:
    """What EC2 metadata calls a guest's devices."""
    volumes = sorted(each["device"] for each in server.volumes or [])
    return {"ami": ROOT_DEVICE.removeprefix("/dev/"), "root": ROOT_DEVICE, **devices(server.flavor),
            **{f"ebs{number}": device for number, device in enumerate(volumes)}}
