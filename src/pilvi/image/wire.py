"""What goes over the wire: an image as JSON, and what a client may say about one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from pilvi.engine.clock import seconds_text
from pilvi.faults import BadRequest, Forbidden, TooLarge
from pilvi.http.request import field_message

DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop", "gpt")
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
VISIBILITIES = ("community", "public", "private", "shared")
MEMBER_STATUSES = ("pending", "accepted", "rejected")
HASH = "sha512"
MAX_PROPERTIES = 128
MAX_TAGS = 128

UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
Short = Annotated[str, msgspec.Meta(max_length=255)]
Whole = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Attributes(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a client may set; UNSET where it says nothing."""

    id: Annotated[str, msgspec.Meta(pattern=UUID)] | msgspec.UnsetType = msgspec.UNSET
    name: Short | msgspec.UnsetType | None = msgspec.UNSET
    owner: Short | msgspec.UnsetType = msgspec.UNSET
    visibility: Literal[VISIBILITIES] | msgspec.UnsetType = msgspec.UNSET
    protected: bool | msgspec.UnsetType = msgspec.UNSET
    os_hidden: bool | msgspec.UnsetType = msgspec.UNSET
    disk_format: Literal[DISK_FORMATS] | msgspec.UnsetType | None = msgspec.UNSET
    container_format: Literal[CONTAINER_FORMATS] | msgspec.UnsetType | None = msgspec.UNSET
    min_disk: Whole | msgspec.UnsetType = msgspec.UNSET
    min_ram: Whole | msgspec.UnsetType = msgspec.UNSET
    tags: list[Short] | msgspec.UnsetType = msgspec.UNSET


class MemberRequest(msgspec.Struct):
    member: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class MemberStatusRequest(msgspec.Struct):
    status: Literal[MEMBER_STATUSES]


class ImportMethod(msgspec.Struct):
    name: str


class ImportRequest(msgspec.Struct):
    method: ImportMethod


SETTABLE = frozenset(Attributes.__struct_fields__)
READ_ONLY = frozenset(
    {
        "created_at",
        "updated_at",
        "status",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "size",
        "virtual_size",
        "direct_url",
        "self",
        "file",
        "schema",
    }
)
RESERVED = frozenset({"location", "deleted", "deleted_at"})
BASE = SETTABLE | READ_ONLY
RESERVED_PREFIX = "os_glance_"


def refuse_read_only(name: str) -> None:
    """Raises Forbidden for what only the service writes."""
    if name in READ_ONLY:
        raise Forbidden(f"Attribute '{name}' is read-only.")
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise Forbidden(f"Attribute '{name}' is reserved.")
    if name == "locations":
        raise Forbidden("Attribute 'locations' cannot be set: this cloud does not show where data is kept.")


def attributes(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Splits what a client says into the image's own attributes and additional properties, both checked.

    Raises BadRequest that names the attribute, Forbidden for a read-only one, TooLarge for too many."""
    for name in given:
        refuse_read_only(name)
    try:
        known = msgspec.convert({name: given[name] for name in SETTABLE & given.keys()}, Attributes)
    except msgspec.ValidationError as error:
        raise BadRequest(field_message(error)) from None
    values = {
        name: value
        for name in Attributes.__struct_fields__
        if (value := getattr(known, name)) is not msgspec.UNSET
    }
    if "tags" in values:
        values["tags"] = sorted(set(values["tags"]))
        bounded_tags(len(values["tags"]))
    properties = {name: _property(name, value) for name, value in given.items() if name not in SETTABLE}
    bounded_properties(len(properties))
    return values, properties


def _property(name: str, value: Any) -> str:
    if not 1 <= len(name) <= 255:
        raise BadRequest("Invalid input: the name of a property has 1 to 255 characters.")
    if not isinstance(value, str) or len(value) > 65535:
        raise BadRequest(
            f"Invalid input for field/attribute {name}. Value: {str(value)[:100]}. "
            "It must be a string of at most 65535 characters."
        )
    return value


def bounded_tags(count: int) -> None:
    if count > MAX_TAGS:
        raise TooLarge(f"The limit of tags on an image has been exceeded: {count} are more than {MAX_TAGS}.")


def bounded_properties(count: int) -> None:
    if count > MAX_PROPERTIES:
        raise TooLarge(
            f"The limit of properties on an image has been exceeded: {count} are more than {MAX_PROPERTIES}."
        )


def image(row: Any, properties: dict[str, str], tags: list[str]) -> dict[str, Any]:
    """An image as the API shows it."""
    path = f"/v2/images/{row.id}"
    return {
        **properties,
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "visibility": row.visibility,
        "owner": row.owner,
        "protected": row.protected,
        "os_hidden": row.os_hidden,
        "tags": tags,
        "disk_format": row.disk_format,
        "container_format": row.container_format,
        "min_disk": row.min_disk,
        "min_ram": row.min_ram,
        "size": row.size,
        "virtual_size": row.virtual_size,
        "checksum": row.checksum,
        "os_hash_algo": HASH if row.os_hash_value else None,
        "os_hash_value": row.os_hash_value,
        "created_at": seconds_text(row.created_at),
        "updated_at": seconds_text(row.updated_at),
        "self": path,
        "file": path + "/file",
        "schema": "/v2/schemas/image",
    }


def member(row: Any) -> dict[str, Any]:
    return {
        "image_id": row.image_id,
        "member_id": row.member_id,
        "status": row.status,
        "created_at": seconds_text(row.created_at),
        "updated_at": seconds_text(row.updated_at),
        "schema": "/v2/schemas/member",
    }
