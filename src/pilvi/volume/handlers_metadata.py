"""Metadata of volumes and snapshots over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pilvi.faults import BadRequest
from pilvi.http.request import Request, Response
from pilvi.http.routing import Route
from pilvi.volume import wire
from pilvi.volume.handlers_volumes import without
from pilvi.volume.tables import snapshots, volumes

Change = Callable[[dict[str, str]], dict[str, str]]


def changed(request: Request, change: Change) -> dict[str, str]:
    context, params = request.context, request.params
    if "volume_id" in params:
        return request.cloud.volume.change_metadata(context, volumes, params["volume_id"], "Volume", change)
    return request.cloud.volume.change_metadata(context, snapshots, params["snapshot_id"], "Snapshot", change)


def current(request: Request) -> dict[str, str]:
    service, params = request.cloud.volume, request.params
    if "volume_id" in params:
        return service.show_volume(request.context, params["volume_id"]).rows[0].metadata
    return service.show_snapshot(request.context, params["snapshot_id"]).metadata


def show(request: Request) -> Response:
    return Response(200, {"metadata": current(request)})


def add(request: Request) -> Response:
    items = request.decode(wire.MetadataRequest).metadata
    return Response(200, {"metadata": changed(request, lambda old: {**old, **items})})


def replace(request: Request) -> Response:
    items = request.decode(wire.MetadataRequest).metadata
    return Response(200, {"metadata": changed(request, lambda _: items)})


def show_item(request: Request) -> Response:
    key, found = request.params["key"], current(request)
    without(found, key)
    return Response(200, {"meta": {key: found[key]}})


def set_item(request: Request) -> Response:
    key, items = request.params["key"], request.decode(wire.MetaRequest).meta
    if list(items) != [key]:
        raise BadRequest(f"Invalid input for field/attribute meta. It names {', '.join(items)}, and the address {key}.")
    changed(request, lambda old: {**old, **items})
    return Response(200, {"meta": items})


def delete_item(request: Request) -> Response:
    changed(request, lambda old: without(old, request.params["key"]))
    return Response(200)


def routes(path: str) -> tuple[Route, ...]:
    rows: list[tuple[str, str, Any, str]] = [
        ("GET", "", show, "volume:read"), ("POST", "", add, "volume:write"), ("PUT", "", replace, "volume:write"),
        ("GET", "/{key}", show_item, "volume:read"), ("PUT", "/{key}", set_item, "volume:write"),
        ("DELETE", "/{key}", delete_item, "volume:write")]
    return tuple(Route(method, f"{path}/metadata{rest}", handler, rule) for method, rest, handler, rule in rows)
