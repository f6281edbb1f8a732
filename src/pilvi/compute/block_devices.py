"""What a server's disks are to be: the three notations in which that is said, what they come to, and the rules of it.

Rules and words are those of Nova's block device mappings: `block_device_mapping_v2`, the older
`block_device_mapping`, and the properties of images of the same names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from pilvi.compute.buses import bus_of
from pilvi.faults import BadRequest

ROOT_DEVICE = "/dev/vda"
DESTINATIONS = {"blank": "local", "image": "local", "snapshot": "volume", "volume": "volume"}  # unless it is said


class BlockDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One disk."""

    source: str = "blank"  # blank image snapshot volume
    source_id: str | None = None
    destination: str = "local"  # local volume
    boot_index: int | None = None  # None: it is not booted from
    size: int | None = None  # GiB; MiB of a swap disk
    volume_type: str | None = None
    device: str | None = None  # /dev/...
    bus: str = "virtio"  # as a hypervisor's Disk has it
    guest_format: str | None = None
    tag: str | None = None
    delete_on_termination: bool = False
    nothing: bool = False  # it takes away what an image has for the device

    @property
    def is_swap(self) -> bool:
        return self.source == "blank" and self.destination == "local" and self.guest_format == "swap"

    @property
    def is_ephemeral(self) -> bool:
        return self.source == "blank" and self.destination == "local" and not self.is_swap

    @property
    def is_image_disk(self) -> bool:
        """The server's own disk, made from its image."""
        return self.source == "image" and self.destination == "local"


def invalid(why: str) -> BadRequest:
    return BadRequest(f"Block Device Mapping is Invalid: {why}")


# -- notations


def from_new(given: Mapping[str, Any]) -> BlockDevice:
    """Of the second notation. Raises BadRequest for what makes no sense."""
    device = with_dev(given.get("device_name"))
    if given.get("no_device"):
        return BlockDevice(device=device, nothing=True)
    source = given.get("source_type")
    if source is None:
        raise invalid("source_type is required.")
    source_id = given.get("uuid") or given.get(f"{source}_id")
    if (source == "blank") == bool(source_id):
        raise invalid("a blank device has no uuid." if source_id else f"a device made from a {source} needs a uuid.")
    destination = given.get("destination_type") or DESTINATIONS[source]
    if destination == "local" and DESTINATIONS[source] != "local":
        raise invalid(f"a {source} is not copied to a local disk: its destination_type is volume.")
    index = given.get("boot_index")
    index = None if index is None or int(index) < 0 else int(index)
    return BlockDevice(
        source=source, source_id=source_id, destination=destination, boot_index=index, device=device,
        size=_size(given.get("volume_size")), volume_type=given.get("volume_type"),
        bus=bus_of(given.get("device_type"), given.get("disk_bus")), guest_format=given.get("guest_format"),
        tag=given.get("tag"), delete_on_termination=bool(given.get("delete_on_termination")))


def from_old(given: Mapping[str, Any]) -> BlockDevice:
    """Of the first notation. Raises BadRequest."""
    device, name = with_dev(given.get("device_name")), given.get("virtual_name") or ""
    shared: dict[str, Any] = {"device": device, "size": _size(given.get("volume_size")),
                              "delete_on_termination": bool(given.get("delete_on_termination"))}
    if given.get("no_device"):
        return BlockDevice(device=device, nothing=True)
    for source in ("volume", "snapshot"):
        if given.get(f"{source}_id"):
            return BlockDevice(source=source, source_id=given[f"{source}_id"], destination="volume", **shared)
    if name == "swap" or re.fullmatch(r"ephemeral\d+", name):
        return BlockDevice(guest_format="swap" if name == "swap" else None, **shared)
    raise invalid("it needs a volume_id, a snapshot_id, or the virtual_name swap or ephemeral0.")


def of_image(properties: Mapping[str, str]) -> list[BlockDevice]:
    """Those that an image describes, as one that was made of a server with volumes. Raises BadRequest."""
    text = properties.get("block_device_mapping")
    if not text:
        return []
    read = from_new if properties.get("bdm_v2", "").lower() in ("true", "1", "yes") else from_old
    try:
        return [read(msgspec.structs.asdict(each)) for each in msgspec.json.decode(text, type=list[_Described])]
    except (msgspec.MsgspecError, ValueError) as error:
        raise invalid(f"the image's property block_device_mapping cannot be understood: {error}") from None


class _Described(msgspec.Struct):
    """What an image may say of a device; more than is heeded."""

    source_type: Literal["blank", "image", "snapshot", "volume"] | None = None
    destination_type: Literal["local", "volume"] | None = None
    image_id: str | None = None
    snapshot_id: str | None = None
    volume_id: str | None = None
    virtual_name: str | None = None
    boot_index: int | str | None = None
    volume_size: int | str | None = None
    volume_type: str | None = None
    device_name: str | None = None
    device_type: str | None = None
    disk_bus: str | None = None
    guest_format: str | None = None
    delete_on_termination: bool | None = None
    no_device: bool | None = None
    tag: str | None = None


def to_image(devices: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The properties of an image that describes these devices, each given in the second notation."""
    return {"block_device_mapping": msgspec.json.encode(devices).decode(), "bdm_v2": "True"}


def with_dev(name: str | None) -> str | None:
    return "/dev/" + name.removeprefix("/dev/") if name else None


def _size(given: Any) -> int | None:
    return int(given) if given else None


# -- what they come to


def root_of(devices: Sequence[BlockDevice]) -> BlockDevice | None:
    return next((each for each in devices if each.boot_index == 0), None)


def planned(wanted: Sequence[BlockDevice], image_id: str | None, of_its_image: Sequence[BlockDevice], *,
            old: bool) -> list[BlockDevice]:
    """The disks of a server that is made from this image (None: from none) and told these, in their order.

    `old`: in the notation that leaves it open which one is booted from. Raises BadRequest where it is none, or the
    order of booting is not 0, 1, 2..."""
    described = root_of(of_its_image) is not None
    if image_id and any(each.destination == "volume" and each.device == ROOT_DEVICE for each in wanted):
        raise BadRequest(f"The volume cannot be assigned the same device name as the root device {ROOT_DEVICE}")
    if old and not described:
        wanted = _with_root(wanted, image_id)
    elif described:  # clients put the image first, which is no disk then
        wanted = [each for each in wanted if not (each.source == "image" and each.boot_index == 0)]
    named = {each.device for each in wanted if each.device}
    found = [each for each in (*wanted, *(one for one in of_its_image if one.device not in named)) if not each.nothing]
    order = sorted(each.boot_index for each in found if each.boot_index is not None)
    if not order or order != list(range(len(order))):
        raise invalid("Boot sequence for the instance and image/block device mapping combination is not valid.")
    return found


def _with_root(wanted: Sequence[BlockDevice], image_id: str | None) -> list[BlockDevice]:
    if image_id:
        image = BlockDevice(source="image", source_id=image_id, boot_index=0, delete_on_termination=True)
        return [image, *wanted]
    return [msgspec.structs.replace(each, boot_index=0) if each.device == ROOT_DEVICE and each.source != "blank" else each
            for each in wanted]


def check(devices: Sequence[BlockDevice], flavor: Any, image_id: str | None) -> None:
    """That they are served, and within what the flavor has. Raises BadRequest."""
    for each in devices:
        if each.is_image_disk and (each.source_id != image_id or each.boot_index != 0):
            raise invalid("only the server's own image is copied to a local disk, and booted from there.")
        if each.destination == "volume" and each.source in ("image", "blank") and not each.size:
            raise invalid(f"a volume made from {'an image' if each.source == 'image' else 'nothing'} needs a volume_size.")
        if each.destination == "local" and each.bus != "virtio":
            raise invalid("local disks are on the virtio bus.")
        if each.destination == "local" and each.boot_index is not None and each.source == "blank":
            raise invalid("a blank local disk cannot be booted from.")
        if each.is_ephemeral and each.guest_format not in (None, "", "ext4"):
            raise invalid(f"ephemeral disks are formatted as ext4, not as {each.guest_format}.")
    ephemeral = sum(each.size or flavor.ephemeral for each in devices if each.is_ephemeral)
    if ephemeral > flavor.ephemeral:
        raise invalid(f"ephemeral disks of {ephemeral} GiB are asked for; the flavor has {flavor.ephemeral} GiB.")
    swap = [each.size or 0 for each in devices if each.is_swap]
    if len(swap) > 1:
        raise invalid("More than one swap drive requested.")
    if sum(swap) > flavor.swap:
        raise invalid(f"a swap disk of {swap[0]} MiB is asked for; the flavor has {flavor.swap} MiB.")
    names = [each.device for each in devices if each.device]
    if len(names) != len(set(names)):
        raise invalid("two devices have the same device_name.")
