"""Metadata definitions on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
import sqlalchemy as sa

from pilvi.engine.clock import seconds_text

PATH = "/v2/metadefs/namespaces"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Label = Annotated[str, msgspec.Meta(max_length=80)]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Whole = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Kind = Literal["array", "boolean", "integer", "number", "object", "string"]
VISIBILITIES = ("public", "private")


class Items(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    type: Kind | msgspec.UnsetType = msgspec.UNSET
    enum: list[Any] | msgspec.UnsetType = msgspec.UNSET


class Property(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A JSON schema of one value, in the part of JSON schema that definitions use."""

    title: str
    type: Kind
    name: Name | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    operators: list[str] | msgspec.UnsetType = msgspec.UNSET
    required: list[str] | msgspec.UnsetType = msgspec.UNSET
    readonly: bool | msgspec.UnsetType = msgspec.UNSET
    minimum: float | int | msgspec.UnsetType = msgspec.UNSET
    maximum: float | int | msgspec.UnsetType = msgspec.UNSET
    maxLength: Whole | msgspec.UnsetType = msgspec.UNSET
    minLength: Whole | msgspec.UnsetType = msgspec.UNSET
    pattern: str | msgspec.UnsetType = msgspec.UNSET
    enum: list[Any] | msgspec.UnsetType = msgspec.UNSET
    items: Items | msgspec.UnsetType = msgspec.UNSET
    maxItems: Whole | msgspec.UnsetType = msgspec.UNSET
    minItems: Whole | msgspec.UnsetType = msgspec.UNSET
    uniqueItems: bool | msgspec.UnsetType = msgspec.UNSET
    additionalItems: bool | msgspec.UnsetType = msgspec.UNSET
    default: Any = msgspec.UNSET


class NamedProperty(Property, kw_only=True):
    name: Name


class Object(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: Name
    description: str | None = None
    required: list[str] = []
    properties: dict[Name, Property] = {}


class Tag(msgspec.Struct):
    name: Name


class Tags(msgspec.Struct):
    tags: list[Tag]


class ResourceType(msgspec.Struct, omit_defaults=True):
    name: Name
    prefix: Label | None = None
    properties_target: Label | None = None


class NamespaceUpdate(msgspec.Struct, kw_only=True):
    namespace: Name
    display_name: Label | msgspec.UnsetType | None = msgspec.UNSET
    description: Text | msgspec.UnsetType | None = msgspec.UNSET
    visibility: Literal[VISIBILITIES] | msgspec.UnsetType = msgspec.UNSET
    protected: bool | msgspec.UnsetType = msgspec.UNSET
    owner: Annotated[str, msgspec.Meta(max_length=255)] | msgspec.UnsetType = msgspec.UNSET


class NamespaceCreate(NamespaceUpdate, kw_only=True):
    resource_type_associations: list[ResourceType] = []
    properties: dict[Name, Property] = {}
    objects: list[Object] = []
    tags: list[Tag] = []


# -- what is shown


def _times(row: sa.Row) -> dict[str, str]:
    return {"created_at": seconds_text(row.created_at), "updated_at": seconds_text(row.updated_at)}


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is not known: the API's schemas have no nulls."""
    return {name: value for name, value in values.items() if value is not None}


def path(namespace: str, *rest: str) -> str:
    """Of a namespace, or what is in it: names may hold anything."""
    return "/".join((PATH, *(quote(part, safe=":") for part in (namespace, *rest))))


def namespace(row: sa.Row, associations: list[sa.Row]) -> dict[str, Any]:
    names = ("namespace", "display_name", "description", "visibility", "protected", "owner")
    return _filled({name: getattr(row, name) for name in names}) | {
        **_times(row),
        **({"resource_type_associations": [resource_type(each) for each in associations]} if associations else {}),
        "self": path(row.namespace),
        "schema": "/v2/schemas/metadefs/namespace",
    }


def object_(row: sa.Row, namespace: str) -> dict[str, Any]:
    shown = {"name": row.name, "required": [], "properties": {}, **row.body, **_times(row)}
    return {**shown, "self": path(namespace, "objects", row.name), "schema": "/v2/schemas/metadefs/object"}


def property_(row: sa.Row, namespace: str = "") -> dict[str, Any]:
    return {"name": row.name, **row.body}


def tag(row: sa.Row, namespace: str = "") -> dict[str, Any]:
    return {"name": row.name, **_times(row)}


def resource_type(row: sa.Row, namespace: str = "") -> dict[str, Any]:
    return {"name": row.name, **row.body, **_times(row)}


def prefixed(properties: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + name: value for name, value in properties.items()}
