"""The disks of a server as request bodies say them, in both notations, and which microversions know what of them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pilvi.compute import block_devices
from pilvi.compute.block_devices import BlockDevice
from pilvi.compute.wire import NewDevice, OldDevice, truth, unexpected, whole
from pilvi.http.request import Request


def devices(request: Request, new: list[NewDevice] | UnsetType, old: list[OldDevice] | UnsetType) -> list[BlockDevice]:
    """Raises BadRequest for what this microversion does not know, and what makes no sense."""
    if new and old:
        raise block_devices.invalid("Using different block_device_mapping syntaxes is not allowed in the same request.")
    for each in new or ():
        if each.tag is not UNSET and request.version != (2, 32) and not request.at_least(2, 42):
            raise unexpected("block_device_mapping_v2", "tag")
        if each.volume_type is not UNSET and not request.at_least(2, 67):
            raise unexpected("block_device_mapping_v2", "volume_type")
    return [block_devices.from_new(given(each, "block_device_mapping_v2")) for each in new or ()] or [
        block_devices.from_old(given(each, "block_device_mapping")) for each in old or ()]


def given(device: OldDevice, name: str) -> dict[str, Any]:
    """What was said of it. Raises BadRequest for a size or flag that is none."""
    values = {key: value for key, value in msgspec.structs.asdict(device).items() if value not in (UNSET, None)}
    if "volume_size" in values:
        values["volume_size"] = whole(values["volume_size"], f"{name}.volume_size", 1)
    if "delete_on_termination" in values:
        values["delete_on_termination"] = truth(values["delete_on_termination"], "delete_on_termination")
    return values
