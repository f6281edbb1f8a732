"""OpenAPI descriptions of OpenStack's APIs, taken apart: one operation for each microversion and action it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

METHODS = ("get", "head", "post", "put", "patch", "delete")


class Described(NamedTuple):
    """One operation, at the microversions `since` to `until` (None: no bound)."""

    label: str
    method: str
    path: str
    operation: dict[str, Any]  # with one body schema; the responses as they are described
    since: str | None
    until: str | None


class Description:
    def __init__(self, file: Path):
        self.document = yaml.load(file.read_text(), yaml.CSafeLoader)  # plain data either way; in Python it takes minutes
        _allow_several(self.document)

    def operations(self) -> Iterator[Described]:
        for path, item in self.document["paths"].items():
            shared = item.get("parameters", [])
            for method in METHODS:
                if operation := item.get(method):
                    yield from self._variants(method.upper(), path, {
                        **operation, "parameters": [*shared, *operation.get("parameters", [])]})

    def _variants(self, method: str, path: str, operation: dict[str, Any]) -> Iterator[Described]:
        contents = operation.get("requestBody", {}).get("content", {})
        if "application/json" not in contents:
            limits = operation.get("x-openstack", {})
            yield Described(f"{method} {path}", method, path, operation, limits.get("min-ver"), limits.get("max-ver"))
            return
        for schema in self.leaves(contents["application/json"].get("schema", {})):
            limits = schema.get("x-openstack", {})
            name = " ".join(filter(None, (method, path, limits.get("action-name"), limits.get("min-ver"))))
            body = {"required": True, "content": {"application/json": {"schema": schema}}}
            yield Described(name, method, path, {**operation, "requestBody": body}, limits.get("min-ver"),
                            limits.get("max-ver"))

    def leaves(self, schema: dict[str, Any], inherited: dict[str, Any] | None = None, *,
               every: bool = False) -> Iterator[dict[str, Any]]:
        """The schemas between which an action's name or the microversion decides; `every`: or nothing that is said."""
        schema = self.resolve(schema)
        marks = {**(inherited or {}), **schema.get("x-openstack", {})}
        choices = schema.get("oneOf") or (schema.get("anyOf") if every else None)
        if choices:
            marks.pop("discriminator", None)
            for each in choices:
                yield from self.leaves(each, marks, every=every)
        else:
            yield {**schema, "x-openstack": marks}

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        while reference := schema.get("$ref"):
            found: Any = self.document
            for part in reference.removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            schema = found
        return schema

    def answer(self, operation: dict[str, Any], version: str | None, action: str | None) -> list[dict[str, Any]]:
        """The schemas that an answer with success may have at this microversion; none where nothing is said."""
        found = []
        for status, response in operation["responses"].items():
            schema = response.get("content", {}).get("application/json", {}).get("schema")
            if status.startswith("2") and schema:
                found += [leaf for leaf in self.leaves(schema, every=True) if _fits(leaf["x-openstack"], version, action)]
        return found


def _allow_several(node: Any) -> None:
    """What is one of several without a mark that decides may be more than one of them: "" is an address of both families."""
    if isinstance(node, dict):
        if "oneOf" in node and "discriminator" not in node.get("x-openstack", {}):
            node["anyOf"] = node.pop("oneOf")
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            _allow_several(each)


def _fits(marks: dict[str, Any], version: str | None, action: str | None) -> bool:
    if marks.get("action-name") not in (None, action):
        return False
    if version is None:
        return True
    number = parts(version)
    return parts(marks.get("min-ver") or "0.0") <= number <= parts(marks.get("max-ver") or "9.999")


def parts(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor or 0)
