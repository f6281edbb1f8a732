"""Request bodies of actions on a guest as a whole, and of those that make an image of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from pilvi.compute.wire import Body, Metadata, Name, Uuid, Whole


class CreateImage(Body):
    name: Name
    metadata: Metadata = {}


class CreateBackup(Body):
    name: Name
    backup_type: Annotated[str, Meta(max_length=255, pattern=r"^[^\x00]*\Z")]
    rotation: Whole
    metadata: Metadata = {}


class Rescue(Body):
    adminPass: str | UnsetType = UNSET
    rescue_image_ref: Uuid | UnsetType = UNSET


class ChangePassword(Body):
    adminPass: Annotated[str, Meta(pattern=r"^[^\x00]*\Z")]


class Unshelve(Body):
    availability_zone: Name | UnsetType | None = UNSET
    host: Name | UnsetType = UNSET
