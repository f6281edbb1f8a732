"""The disks of servers that are made: which image or volume they boot from, and the volumes that they are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.compute import block_devices, local_disks
from pilvi.compute.base import Base
from pilvi.compute.block_devices import ROOT_DEVICE, BlockDevice
from pilvi.compute.buses import free_name
from pilvi.db import Tx
from pilvi.faults import BadRequest, NotFound, OverLimit, TooLarge
from pilvi.image.service import BootImage
from pilvi.policy import Context
from pilvi.volume.service import VolumeCreate

IMAGE_FACTS = ("image_id", "image_name", "disk_format", "container_format", "min_disk", "min_ram", "size", "checksum")


class Plan(NamedTuple):
    """What a server's disks are going to be."""

    facts: BootImage  # what is known of what it boots from
    image: BootImage | None  # that its own disk is made from; None: it boots from a volume
    volumes: Sequence[BlockDevice]  # in the order in which the guest finds them
    local_disks: list[dict[str, Any]] | None  # as the server's row keeps them


class Devices(Base):
    def plan_disks(self, tx: Tx, context: Context, wanted: Sequence[BlockDevice], image_id: str | None, flavor: Any, *,
                   old: bool, many: bool, multiattach: bool = True) -> Plan:
        """`old`: in the older notation; `many`: for several servers; `multiattach`: volumes may be several servers'.

        Raises BadRequest for what is not there, cannot be booted from, or makes no sense."""
        image = self.boot_image(tx, context, image_id, described=True) if image_id else None
        described = block_devices.of_image(image.properties) if image else []
        devices = block_devices.planned(wanted, image_id, described, old=old)
        block_devices.check(devices, flavor, image_id)
        if many and any(each.source == "volume" for each in devices):
            raise BadRequest("Cannot attach one or more volumes to multiple instances")
        root = block_devices.root_of(devices)
        if image is not None and root.is_image_disk and image.path is None:
            raise BadRequest(f"Image {image.id} is unacceptable: it has no data, and describes no disk to boot from.")
        volumes = [each for each in devices if each.destination == "volume"]
        facts = {each: self._facts(tx, context, each, multiattach) for each in volumes}
        volumes.sort(key=lambda each: (each.boot_index is None, each.boot_index))
        return Plan(image or facts[root], image if root.is_image_disk else None, volumes,
                    local_disks.notes_of(devices, flavor))

    def boot_image(self, tx: Tx, context: Context, image_id: str, *, described: bool = False) -> BootImage:
        """Raises BadRequest where there is none that a server can boot from."""
        try:
            return self.image.for_boot(tx, context, image_id, described=described)
        except NotFound as fault:
            raise BadRequest(fault.message) from None

    def _facts(self, tx: Tx, context: Context, device: BlockDevice, multiattach: bool) -> BootImage:
        """What is known of a volume. Raises BadRequest for a source that is not there or cannot be booted from."""
        if device.source == "blank":
            return facts_of({})
        try:
            if device.source == "image":
                return self.image.for_boot(tx, context, device.source_id)
            found = self.volume.boot_source(tx, context, device.source, device.source_id)
        except NotFound:
            raise block_devices.invalid(f"failed to get {device.source} {device.source_id}.") from None
        if found.multiattach and not multiattach:
            raise BadRequest(f"Volume {device.source_id} has 'multiattach' set, which is not supported for this instance: "
                             "it takes microversion 2.60.")
        if device.boot_index == 0 and not found.bootable:
            raise BadRequest(f"Block Device {device.source_id} is not bootable.")
        return facts_of(found.image_metadata)

    def give_volumes(self, tx: Tx, context: Context, server: Mapping[str, Any], plan: Plan) -> list[dict[str, Any]]:
        """The server's entries for its volumes, which are its own from now on; those that are to be made are begun.

        Raises BadRequest for a volume that is not free, OverLimit where Volume's quota is used up."""
        root = ROOT_DEVICE if plan.image else plan.volumes[0].device or free_name(plan.volumes[0].bus, set())
        taken = {root, *local_disks.devices(server["flavor"], root, plan.local_disks).values(),
                 *(each.device for each in plan.volumes if each.device)}
        entries = []
        for each in plan.volumes:
            device = each.device or (root if each.boot_index == 0 else free_name(each.bus, taken))
            taken.add(device)
            made = self._attachment(tx, context, server["id"], each, device)
            self.volume.connect(tx, made.id, {"host": server["host"], "mountpoint": device})
            entries.append({
                "id": made.id, "volume_id": made.volume_id, "device": device, "tag": each.tag, "bus": each.bus,
                "boot_index": each.boot_index, "delete_on_termination": each.delete_on_termination,
                "readonly": made.mode == "ro", "made": each.source != "volume"})
        return entries

    def _attachment(self, tx: Tx, context: Context, server_id: str, device: BlockDevice, name: str) -> sa.Row:
        try:
            if device.source == "volume":
                return self.volume.reserve(tx, context, device.source_id, server_id, mountpoint=name)
            sources = {} if device.source == "blank" else {f"{device.source}_id": device.source_id}
            new = VolumeCreate(size=device.size, name=f"{server_id}-blank-vol" if not sources else "",
                               volume_type=device.volume_type, **sources)
            return self.volume.make_for_server(tx, context, new, server_id, name)
        except NotFound as fault:
            raise block_devices.invalid(fault.message) from None
        except TooLarge as fault:
            raise OverLimit(fault.message) from None


def root_volume(row: Any) -> dict[str, Any] | None:
    """A server's entry for the volume that it boots from; None where it boots from a disk of its own."""
    return root_among(row.volumes or ())


def root_among(volumes: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    return next((each for each in volumes if each.get("boot_index") == 0), None)


def root_device(row: Any) -> str:
    """What its guest calls the disk that it boots from."""
    found = root_volume(row)
    return found["device"] if found else ROOT_DEVICE


def facts_of(image_metadata: Mapping[str, Any]) -> BootImage:
    """What a volume says of the image that it was made from."""
    def number(name: str) -> int:
        text = str(image_metadata.get(name) or "0")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

    own = {name: str(value) for name, value in image_metadata.items() if name not in IMAGE_FACTS}
    return BootImage(image_metadata.get("image_id") or "", image_metadata.get("image_name"), "active",
                     image_metadata.get("disk_format") or "raw", 0, 0, number("min_disk"), number("min_ram"), own, None)
