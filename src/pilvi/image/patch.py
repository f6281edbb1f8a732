"""JSON patches of images: RFC 6902's add, replace and remove, in both media types of the Image API."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pilvi.faults import BadRequest, UnsupportedMediaType

MEDIA_TYPES = ("application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.0-json-patch")
OPERATIONS = ("add", "replace", "remove")


class Change(NamedTuple):
    operation: str
    name: str  # of the attribute or property
    value: Any = None
    index: str | None = None  # of the location: a number, or "-" behind the last


def parse(media_type: str, body: Any) -> list[Change]:
    """Raises UnsupportedMediaType, and BadRequest that says which change is malformed."""
    if media_type not in MEDIA_TYPES:
        raise UnsupportedMediaType(
            f"Unsupported Content-Type {media_type}: send {MEDIA_TYPES[0]}.",
            headers={"Accept-Patch": ", ".join(MEDIA_TYPES)},
        )
    if not isinstance(body, list):
        raise BadRequest("Request body must be a JSON array of operation objects.")
    old = media_type == MEDIA_TYPES[1]
    return [_change(item, old) for item in body]


def _change(item: Any, old: bool) -> Change:
    if not isinstance(item, dict):
        raise BadRequest("Operations must be JSON objects.")
    if old:  # {"replace": "/name", "value": "x"}
        found = [name for name in OPERATIONS if name in item]
        if len(found) != 1:
            raise BadRequest(
                "Operation objects must contain exactly one member named 'add', 'remove', or 'replace'."
            )
        operation, pointer = found[0], item[found[0]]
    else:
        operation, pointer = item.get("op"), item.get("path")
        if operation not in OPERATIONS:
            raise BadRequest(f"Operations must be one of {', '.join(OPERATIONS)}, not {operation!r}.")
    if operation != "remove" and "value" not in item:
        raise BadRequest(f'Operation "{operation}" requires a member named "value".')
    if isinstance(pointer, str) and re.fullmatch(r"/locations/(\d+|-)", pointer):
        return Change(operation, "locations", item.get("value"), pointer.rpartition("/")[2])
    return Change(operation, _name(pointer), item.get("value"))


def _name(pointer: Any) -> str:
    if not isinstance(pointer, str) or not pointer.startswith("/"):
        raise BadRequest(f'Invalid JSON pointer {pointer!r}: it is a string that begins with "/".')
    name = pointer[1:]
    if not name or "/" in name:
        raise BadRequest(f"Invalid JSON pointer for this resource: {pointer!r}, e.g. '/a'.")
    if "~" in name.replace("~0", "").replace("~1", ""):
        raise BadRequest(f'Pointer {pointer!r} contains "~" not part of a recognized escape sequence.')
    return name.replace("~1", "/").replace("~0", "~")
