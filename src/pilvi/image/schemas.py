"""The JSON schemas that Image serves about itself (/v2/schemas/...)."""

from __future__ import annotations

from typing import Any

from pilvi.image import wire

_TIME = {"type": "string", "readOnly": True}


def _property(kind: Any, description: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "description": description, **more}


_IMAGE_PROPERTIES: dict[str, Any] = {
    "id": _property("string", "An identifier for the image", pattern=wire.UUID),
    "name": _property(["null", "string"], "Descriptive name for the image", maxLength=255),
    "status": _property(
        "string",
        "Status of the image",
        readOnly=True,
        enum=["queued", "saving", "uploading", "importing", "active", "deactivated", "killed"],
    ),
    "visibility": _property("string", "Scope of image accessibility", enum=list(wire.VISIBILITIES)),
    "owner": _property(["null", "string"], "Project that owns the image", maxLength=255),
    "protected": _property("boolean", "If true, image will not be deletable."),
    "os_hidden": _property("boolean", "If true, image will not appear in default image list response."),
    "tags": _property(
        "array", "List of strings related to the image", items={"type": "string", "maxLength": 255}
    ),
    "container_format": _property(
        ["null", "string"], "Format of the container", enum=[None, *wire.CONTAINER_FORMATS]
    ),
    "disk_format": _property(["null", "string"], "Format of the disk", enum=[None, *wire.DISK_FORMATS]),
    "min_disk": _property("integer", "Amount of disk space (in GB) required to boot image."),
    "min_ram": _property("integer", "Amount of ram (in MB) required to boot image."),
    "size": _property(["null", "integer"], "Size of image file in bytes", readOnly=True),
    "virtual_size": _property(["null", "integer"], "Virtual size of image in bytes", readOnly=True),
    "checksum": _property(["null", "string"], "md5 hash of image contents.", readOnly=True, maxLength=32),
    "os_hash_algo": _property(
        ["null", "string"], "Algorithm to calculate the os_hash_value", readOnly=True, maxLength=64
    ),
    "os_hash_value": _property(
        ["null", "string"],
        "Hexdigest of the image contents using the algorithm specified by the os_hash_algo",
        readOnly=True,
        maxLength=128,
    ),
    "created_at": {**_TIME, "description": "Date and time of image registration"},
    "updated_at": {**_TIME, "description": "Date and time of the last image modification"},
    "self": _property("string", "An image self url", readOnly=True),
    "file": _property("string", "An image file url", readOnly=True),
    "schema": _property("string", "An image schema url", readOnly=True),
}

# What an image has only sometimes: properties that have a meaning, and what depends on settings and its past.
_OPTIONAL: dict[str, Any] = {
    "kernel_id": _property("string", "ID of the kernel of an AMI-style image", pattern=wire.UUID, is_base=False),
    "ramdisk_id": _property("string", "ID of the ramdisk of an AMI-style image", pattern=wire.UUID, is_base=False),
    "architecture": _property("string", "Operating system architecture", is_base=False),
    "instance_uuid": _property("string", "ID of the server that this image is a snapshot of", is_base=False),
    "os_distro": _property("string", "Common name of the operating system distribution", is_base=False),
    "os_version": _property("string", "Operating system version as its distributor says it", is_base=False),
    "stores": _property("string", "Stores that have the image's data", readOnly=True),
    "locations": _property(
        "array",
        "Where the image's data lies",
        items={
            "type": "object",
            "required": ["url", "metadata"],
            "properties": {"url": {"type": "string"}, "metadata": {"type": "object"}},
        },
    ),
}

_MEMBER_PROPERTIES: dict[str, Any] = {
    "image_id": _property("string", "An identifier for the image", pattern=wire.UUID),
    "member_id": _property("string", "An identifier for the image member (tenantId)"),
    "status": _property("string", "The status of this image member", enum=list(wire.MEMBER_STATUSES)),
    "created_at": {**_TIME, "description": "Date and time of image member creation"},
    "updated_at": {**_TIME, "description": "Date and time of last modification of image member"},
    "schema": {"type": "string", "readOnly": True},
}

IMAGE = {
    "name": "image",
    "properties": {**_IMAGE_PROPERTIES, **_OPTIONAL},
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
MEMBER = {"name": "member", "properties": _MEMBER_PROPERTIES}


def _collection(name: str, item: dict[str, Any], paged: bool) -> dict[str, Any]:
    pages = {"first": {"type": "string"}, "next": {"type": "string"}} if paged else {}
    links = [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}] if paged else []
    return {
        "name": name,
        "properties": {name: {"type": "array", "items": item}, **pages, "schema": {"type": "string"}},
        "links": [*links, {"rel": "describedby", "href": "{schema}"}],
    }


SCHEMAS = {
    "image": IMAGE,
    "images": _collection("images", IMAGE, paged=True),
    "member": MEMBER,
    "members": _collection("members", MEMBER, paged=False),
}
