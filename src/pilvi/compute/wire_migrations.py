"""Request bodies of what replaces a server's guest, or moves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from pilvi.compute.wire import MAX_USER_DATA, Body, Flag, Hostname, InjectedFile, Metadata, Name, Text255
from pilvi.http.request import Version

LAST: Version = (9, 0)


class Rebuild(Body):
    imageRef: Annotated[str, Meta(min_length=1, max_length=255)]
    name: Name | UnsetType = UNSET
    adminPass: str | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    preserve_ephemeral: Flag | UnsetType = UNSET
    disk_config: str | UnsetType = field(default=UNSET, name="OS-DCF:diskConfig")
    accessIPv4: str | UnsetType = UNSET
    accessIPv6: str | UnsetType = UNSET
    personality: list[InjectedFile] | UnsetType = UNSET
    description: Text255 | UnsetType | None = UNSET
    key_name: Name | UnsetType | None = UNSET
    user_data: Annotated[str, Meta(max_length=MAX_USER_DATA)] | UnsetType | None = UNSET
    trusted_image_certificates: list[str] | UnsetType | None = UNSET
    hostname: Hostname | UnsetType = UNSET


REBUILD_FIELDS: Mapping[str, tuple[Version, Version]] = {
    "description": ((2, 19), LAST),
    "key_name": ((2, 54), LAST),
    "user_data": ((2, 57), LAST),
    "trusted_image_certificates": ((2, 63), LAST),
    "hostname": ((2, 90), LAST),
    "personality": ((2, 1), (2, 56)),
}


class Resize(Body):
    flavorRef: Annotated[str, Meta(min_length=1, max_length=255)] | int
    disk_config: str | UnsetType = field(default=UNSET, name="OS-DCF:diskConfig")


class MigrateLive(Body):
    host: Name | None
    block_migration: Flag
    disk_over_commit: Flag | UnsetType = UNSET
    force: Flag | UnsetType = UNSET


MIGRATE_LIVE_FIELDS: Mapping[str, tuple[Version, Version]] = {
    "disk_over_commit": ((2, 1), (2, 24)),
    "force": ((2, 30), (2, 67)),
}


class Evacuate(Body):
    host: Name | UnsetType = UNSET
    onSharedStorage: Flag | UnsetType = UNSET
    adminPass: str | UnsetType = UNSET
    force: Flag | UnsetType = UNSET


EVACUATE_FIELDS: Mapping[str, tuple[Version, Version]] = {
    "onSharedStorage": ((2, 1), (2, 13)),
    "force": ((2, 29), (2, 67)),
}


class ForceComplete(Body):
    force_complete: None


class Migrate(Body):
    host: Name | None = None
