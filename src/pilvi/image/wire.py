"""What goes over the wire: an image as JSON, and what a client may say about one."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from pilvi.engine.clock import seconds_text
from pilvi.faults import BadRequest, Forbidden, TooLarge
from pilvi.http.request import field_message

DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop", "gpt")
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
VISIBILITIES = ("community", "public", "private", "shared")
MEMBER_STATUSES = ("pending", "accepted", "rejected")
HASH = "sha512"
HASH_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128, "sha224": 56, "sha1": 40}
T = TypeVar("T")
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


class ImportMethod(msgspec.Struct, omit_defaults=True):
    name: str
    uri: str | None = None
    glance_region: str | None = None
    glance_image_id: str | None = None
    glance_service_interface: str = "public"


class ImportRequest(msgspec.Struct, omit_defaults=True):
    method: ImportMethod
    stores: list[str] | None = None
    all_stores: bool = False
    all_stores_must_succeed: bool = True


class Location(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    metadata: dict[str, Any] = {}
    validation_data: dict[str, Any] = {}


class LocationRequest(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    validation_data: dict[str, Any] = {}


class TaskInput(msgspec.Struct, forbid_unknown_fields=True):
    import_from: str
    import_from_format: Literal[DISK_FORMATS]
    image_properties: dict[str, Any]


class TaskRequest(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["import"]
    input: TaskInput


def decode(shape: type[T], value: Any) -> T:
    """A part of a request in this shape. Raises BadRequest that names the field."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise BadRequest(field_message(error)) from None


def is_uuid(text: str) -> bool:
    return re.fullmatch(UUID, text) is not None


def hashes(given: dict[str, Any], *, checked: bool = True) -> dict[str, str]:
    """What the data is expected to hash to; `checked`: also whether the values can be such hashes.

    Raises BadRequest."""
    if unknown := given.keys() - {"checksum", "os_hash_algo", "os_hash_value"}:
        raise BadRequest(f"Invalid validation_data: {', '.join(sorted(unknown))} is not known.")
    if not given:
        return {}
    algorithm, value, checksum = (given.get(name) for name in ("os_hash_algo", "os_hash_value", "checksum"))
    if not isinstance(algorithm, str) or not isinstance(value, str):
        raise BadRequest("validation_data needs both os_hash_algo and os_hash_value.")
    if algorithm not in HASH_DIGITS:
        raise BadRequest(f"Invalid os_hash_algo {algorithm[:40]!r}: it is one of {', '.join(HASH_DIGITS)}.")
    if checked and not re.fullmatch(f"[0-9a-f]{{{HASH_DIGITS[algorithm]}}}", value):
        raise BadRequest(f"Invalid os_hash_value: {algorithm} has {HASH_DIGITS[algorithm]} hexadecimal digits.")
    if checksum is not None and not (isinstance(checksum, str) and re.fullmatch("[0-9a-f]{32}", checksum)):
        raise BadRequest("Invalid checksum: MD5 has 32 hexadecimal digits.")
    return {name: given[name] for name in ("os_hash_algo", "os_hash_value", "checksum") if given.get(name)}


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
        "stores",
        "self",
        "file",
        "schema",
    }
)
RESERVED = frozenset({"location", "locations", "deleted", "deleted_at"})
BASE = SETTABLE | READ_ONLY
IDS = ("kernel_id", "ramdisk_id")  # properties that are ids
RESERVED_PREFIX = "os_glance_"


def refuse_read_only(name: str) -> None:
    """Raises Forbidden for what only the service writes."""
    if name in READ_ONLY:
        raise Forbidden(f"Attribute '{name}' is read-only.")
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise Forbidden(f"Attribute '{name}' is reserved.")


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
    if name in IDS and not (isinstance(value, str) and is_uuid(value)):
        raise BadRequest(f"Invalid input for field/attribute {name}. Value: {str(value)[:100]}. It must be a UUID.")
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


def image(
    row: Any,
    properties: dict[str, str],
    tags: list[str],
    stores: list[str],
    locations: list[dict[str, Any]] | None,
) -> dict[str, Any]:
    """An image as the API shows it; `locations` is None where they are not shown."""
    path = f"/v2/images/{row.id}"
    return {
        **properties,
        **({"stores": ",".join(stores)} if stores else {}),
        **({} if locations is None else {"locations": locations}),
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
        "os_hash_algo": row.os_hash_algo or (HASH if row.os_hash_value else None),
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


def task(row: Any, detail: bool = True) -> dict[str, Any]:
    shown = {
        "id": row.id,
        "type": row.type,
        "status": row.status,
        "owner": row.owner,
        "created_at": seconds_text(row.created_at),
        "updated_at": seconds_text(row.updated_at),
        **({} if row.expires_at is None else {"expires_at": seconds_text(row.expires_at)}),
        "self": f"/v2/tasks/{row.id}",
        "schema": "/v2/schemas/task",
    }
    if detail:
        shown |= {name: getattr(row, name) for name in TASK_DETAILS}
    return shown


TASK_DETAILS = ("input", "result", "message", "image_id", "user_id", "request_id")
