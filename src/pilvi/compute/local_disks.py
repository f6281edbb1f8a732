"""The disks that a server's host makes for it beside its root disk, as its flavor says: ephemeral, and swap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilvi.compute.block_devices import BlockDevice
from pilvi.compute.buses import free_name
from pilvi.node.messages import LocalDisk

GIB, MIB = 1 << 30, 1 << 20


def of_flavor(flavor: Mapping[str, Any], chosen: Sequence[Mapping[str, Any]] | None = None) -> tuple[LocalDisk, ...]:
    """In the order in which the guest finds them. `chosen`: those that the server was made with (`notes_of`), of which
    each kind stands instead of the flavor's."""
    ephemeral = [each["size"] for each in chosen or () if each["name"].startswith("ephemeral")] or [flavor["ephemeral"]]
    swap = next((each["size"] for each in chosen or () if each["name"] == "swap"), flavor["swap"])
    disks = [LocalDisk(f"ephemeral{number}", gib * GIB, "ext4", f"ephemeral{number}")
             for number, gib in enumerate(ephemeral) if gib]
    if swap:
        disks.append(LocalDisk("swap", swap * MIB, "swap"))
    return tuple(disks)


def notes_of(devices: Sequence[BlockDevice], flavor: Any) -> list[dict[str, Any]] | None:
    """What a server's row keeps of its own disks: sizes (GiB, MiB of swap) and tags; None where nothing was said."""
    notes = [{"name": "root", "size": None, "tag": each.tag} for each in devices if each.is_image_disk and each.tag]
    ephemeral = [each for each in devices if each.is_ephemeral]
    notes += [{"name": f"ephemeral{number}", "size": each.size or flavor.ephemeral, "tag": each.tag}
              for number, each in enumerate(ephemeral)]
    notes += [{"name": "swap", "size": each.size or flavor.swap, "tag": each.tag} for each in devices if each.is_swap]
    return notes or None


def described(chosen: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """As an image of the server describes them."""
    return [{"source_type": "blank", "destination_type": "local", "volume_size": each["size"], "tag": each["tag"],
             "guest_format": "swap" if each["name"] == "swap" else None, "delete_on_termination": True}
            for each in chosen or () if each["name"] != "root"]


def devices(flavor: Mapping[str, Any], root: str, chosen: Sequence[Mapping[str, Any]] | None = None) -> dict[str, str]:
    """Disk -> device, as a Linux guest names them: they come right behind the disk that it boots from, `root`."""
    taken, found = {root}, {}
    for disk in of_flavor(flavor, chosen):
        found[disk.name] = free_name("virtio", taken)
        taken.add(found[disk.name])
    return found
