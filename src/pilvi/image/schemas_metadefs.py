"""The JSON schemas that Image serves about metadata definitions and tasks."""

from __future__ import annotations

from typing import Any

_NAME = {"type": "string", "maxLength": 80}
_TEXT = {"type": "string"}
_TIME = {"type": "string", "readOnly": True, "format": "date-time"}
_WHOLE = {"type": "integer", "minimum": 0}
_NAMES = {"type": "array", "items": _TEXT, "uniqueItems": True}
_KINDS = ["array", "boolean", "integer", "number", "object", "string"]
_LINKS = {"self": {"type": "string", "readOnly": True}, "schema": {"type": "string", "readOnly": True}}
_TIMES = {"created_at": _TIME, "updated_at": _TIME}

_PROPERTY: dict[str, Any] = {
    "name": _NAME,
    "title": _TEXT,
    "description": _TEXT,
    "type": {"type": "string", "enum": _KINDS},
    "operators": {"type": "array", "items": _TEXT},
    "required": _NAMES,
    "readonly": {"type": "boolean"},
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "minLength": _WHOLE,
    "maxLength": _WHOLE,
    "pattern": {"type": "string", "format": "regex"},
    "enum": {"type": "array"},
    "items": {"type": "object", "properties": {"type": {"type": "string", "enum": _KINDS}, "enum": {"type": "array"}}},
    "minItems": _WHOLE,
    "maxItems": _WHOLE,
    "uniqueItems": {"type": "boolean", "default": False},
    "additionalItems": {"type": "boolean"},
    "default": {},
}
_PROPERTIES = {
    "type": "object",
    "additionalProperties": {"type": "object", "properties": _PROPERTY, "required": ["title", "type"]},
}
_OBJECT: dict[str, Any] = {
    "name": _NAME,
    "description": _TEXT,
    "required": _NAMES,
    "properties": _PROPERTIES,
    **_LINKS,
    **_TIMES,
}
_TAG = {"name": _NAME, **_TIMES}
_ASSOCIATION = {"name": _NAME, "prefix": _NAME, "properties_target": _NAME, **_TIMES}


def _array(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "object", "properties": properties}}


_NAMESPACE: dict[str, Any] = {
    "namespace": _NAME,
    "display_name": _NAME,
    "description": {"type": "string", "maxLength": 500},
    "visibility": {"type": "string", "enum": ["public", "private"]},
    "protected": {"type": "boolean"},
    "owner": {"type": "string", "maxLength": 255},
    "resource_type_associations": _array(_ASSOCIATION),
    "properties": _PROPERTIES,
    "objects": _array(_OBJECT),
    "tags": _array(_TAG),
    **_LINKS,
    **_TIMES,
}
_TASK: dict[str, Any] = {
    "id": _TEXT,
    "type": {"type": "string", "enum": ["import", "api_image_import", "location_import"]},
    "status": {"type": "string", "enum": ["pending", "processing", "success", "failure"]},
    "owner": _TEXT,
    "input": {"type": ["null", "object"]},
    "result": {"type": ["null", "object"]},
    "message": _TEXT,
    "image_id": _TEXT,
    "user_id": _TEXT,
    "request_id": _TEXT,
    "expires_at": _TIME,
    **_LINKS,
    **_TIMES,
}


def _one(name: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"name": name, "type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _many(name: str, items: dict[str, Any]) -> dict[str, Any]:
    pages = {"first": _TEXT, "next": _TEXT, "schema": _TEXT}
    links = [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"},
             {"rel": "describedby", "href": "{schema}"}]
    return {"name": name, "properties": {name: items, **pages}, "links": links}


METADEFS = {
    "namespace": _one("namespace", _NAMESPACE, ["namespace"]),
    "namespaces": _many("namespaces", _array(_NAMESPACE)),
    "object": _one("object", _OBJECT, ["name"]),
    "objects": _many("objects", _array(_OBJECT)),
    "property": _one("property", _PROPERTY, ["name", "title", "type"]),
    "properties": _many("properties", _PROPERTIES),
    "tag": _one("tag", _TAG, ["name"]),
    "tags": _many("tags", _array(_TAG)),
    "resource_type": _one("resource_type_association", _ASSOCIATION, ["name"]),
    "resource_types": _many("resource_type_associations", _array(_ASSOCIATION)),
}
TASKS = {"task": _one("task", _TASK, ["type"]), "tasks": _many("tasks", _array(_TASK))}
