"""Answers about metadata definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from pilvi.faults import BadRequest
from pilvi.http.request import Request, Response, integer
from pilvi.http.routing import Route
from pilvi.image import store_metadefs as store
from pilvi.image import wire_metadefs as wire
from pilvi.image.metadefs import OBJECT, PROPERTY, RESOURCE_TYPE, TAG, Kind

DEFAULT_LIMIT, MAX_LIMIT = 25, 1000
SCHEMAS = "/v2/schemas/metadefs/"


def list_resource_types(request: Request) -> Response:
    return Response(200, {"resource_types": request.cloud.image.resource_types()})


# -- namespaces


def _page(request: Request) -> dict[str, Any]:
    key, way = request.arg("sort_key", "created_at"), request.arg("sort_dir", "desc")
    if key not in store.SORT_KEYS or way not in ("asc", "desc"):
        raise BadRequest(f"Invalid order {key}:{way}: sort by {', '.join(store.SORT_KEYS)}; asc or desc.")
    visibility = request.arg("visibility")
    if visibility not in (None, *wire.VISIBILITIES):
        raise BadRequest(f"Invalid visibility value: {visibility}. It is one of {', '.join(wire.VISIBILITIES)}.")
    types = [name for name in (request.arg("resource_types") or "").split(",") if name]
    limit = min(integer(request.arg("limit", str(DEFAULT_LIMIT)), "limit", 1), MAX_LIMIT)
    return {"sort_key": key, "ascending": way == "asc", "visibility": visibility, "types": types, "limit": limit}


def list_namespaces(request: Request) -> Response:
    wanted = _page(request)
    found = request.cloud.image.namespaces(request.context, marker=request.arg("marker"), **wanted)
    query = [(name, value) for name, values in request.query.items() if name != "marker" for value in values]
    answer = {
        "namespaces": found,
        "first": wire.PATH + ("?" + urlencode(query) if query else ""),
        "schema": SCHEMAS + "namespaces",
    }
    if len(found) == wanted["limit"]:
        answer["next"] = f"{wire.PATH}?" + urlencode([*query, ("marker", found[-1]["namespace"])])
    return Response(200, answer)


def _created(request: Request, body: Any, path: str) -> Response:
    return Response(201, body, {"Location": f"{request.base_url}/image{path}"})


def create_namespace(request: Request) -> Response:
    made = request.cloud.image.create_namespace(request.context, request.decode(wire.NamespaceCreate))
    return _created(request, made, made["self"])


def show_namespace(request: Request) -> Response:
    name, resource_type = request.params["namespace"], request.arg("resource_type")
    return Response(200, request.cloud.image.namespace(request.context, name, resource_type))


def update_namespace(request: Request) -> Response:
    wanted = request.decode(wire.NamespaceUpdate)
    return Response(200, request.cloud.image.update_namespace(request.context, request.params["namespace"], wanted))


def delete_namespace(request: Request) -> Response:
    request.cloud.image.delete_namespace(request.context, request.params["namespace"])
    return Response(204)


# -- what is in them


def _of(request: Request, kind: Kind) -> list[dict[str, Any]]:
    return request.cloud.image.definitions(request.context, request.params["namespace"], kind)


def list_objects(request: Request) -> Response:
    path = wire.path(request.params["namespace"], "objects")
    return Response(200, {"objects": _of(request, OBJECT), "first": path, "schema": SCHEMAS + "objects"})


def list_properties(request: Request) -> Response:
    found = {each.pop("name"): each for each in _of(request, PROPERTY)}
    return Response(200, {"properties": found, "schema": SCHEMAS + "properties"})


def list_tags(request: Request) -> Response:
    path = wire.path(request.params["namespace"], "tags")
    tags = [{"name": each["name"]} for each in _of(request, TAG)]
    return Response(200, {"tags": tags, "first": path, "schema": SCHEMAS + "tags"})


def list_associations(request: Request) -> Response:
    return Response(200, {"resource_type_associations": _of(request, RESOURCE_TYPE)})


def create_tags(request: Request) -> Response:
    """In place of those that there are, unless the header asks to append."""
    namespace, append = request.params["namespace"], request.headers.get("x-openstack-append", "").lower() == "true"
    tags = request.cloud.image.set_tags(request.context, namespace, request.decode(wire.Tags).tags, append)
    return _created(request, {"tags": tags}, wire.path(namespace, "tags"))


def create_tag(request: Request) -> Response:
    namespace, name = request.params["namespace"], request.params["name"]
    if len(name) > 80:
        raise BadRequest("Invalid input for a tag: it has at most 80 characters.")
    made = request.cloud.image.create_definition(request.context, namespace, TAG, wire.Tag(name))
    return _created(request, made, wire.path(namespace, "tags", name))


def show_property(request: Request) -> Response:
    namespace, name, resource_type = *request.params.values(), request.arg("resource_type")
    if resource_type is not None:
        return Response(200, request.cloud.image.property_on(request.context, namespace, name, resource_type))
    return Response(200, request.cloud.image.definition(request.context, namespace, PROPERTY, name))


def _creator(kind: Kind, shape: type, path: str) -> Callable[[Request], Response]:
    def create(request: Request) -> Response:
        wanted, namespace = request.decode(shape), request.params["namespace"]
        made = request.cloud.image.create_definition(request.context, namespace, kind, wanted)
        return _created(request, made, wire.path(namespace, path, made["name"]))

    return create


def _shower(kind: Kind) -> Callable[[Request], Response]:
    def show(request: Request) -> Response:
        namespace, name = request.params["namespace"], request.params["name"]
        return Response(200, request.cloud.image.definition(request.context, namespace, kind, name))

    return show


def _updater(kind: Kind, shape: type) -> Callable[[Request], Response]:
    def update(request: Request) -> Response:
        wanted, (namespace, name) = request.decode(shape), (request.params["namespace"], request.params["name"])
        return Response(200, request.cloud.image.update_definition(request.context, namespace, kind, name, wanted))

    return update


def _deleter(kind: Kind) -> Callable[[Request], Response]:
    def delete(request: Request) -> Response:
        name = request.params.get("name")
        request.cloud.image.delete_definition(request.context, request.params["namespace"], kind, name)
        return Response(204)

    return delete


_ALL = "/v2/metadefs/namespaces"
_ONE = _ALL + "/{namespace}"


def _definitions(path: str, kind: Kind, shape: type, lister: Any, shower: Any = None) -> tuple[Route, ...]:
    one = f"{_ONE}/{path}/{{name}}"
    return (
        Route("GET", f"{_ONE}/{path}", lister, "get_metadefs"),
        Route("DELETE", f"{_ONE}/{path}", _deleter(kind), "modify_metadefs"),
        Route("GET", one, shower or _shower(kind), "get_metadefs"),
        Route("PUT", one, _updater(kind, shape), "modify_metadefs"),
        Route("DELETE", one, _deleter(kind), "modify_metadefs"),
    )


ROUTES = (
    Route("GET", "/v2/metadefs/resource_types", list_resource_types, "get_metadefs"),
    Route("GET", _ALL, list_namespaces, "get_metadefs"),
    Route("POST", _ALL, create_namespace, "modify_metadefs"),
    Route("GET", _ONE, show_namespace, "get_metadefs"),
    Route("PUT", _ONE, update_namespace, "modify_metadefs"),
    Route("DELETE", _ONE, delete_namespace, "modify_metadefs"),
    *_definitions("objects", OBJECT, wire.Object, list_objects),
    Route("POST", _ONE + "/objects", _creator(OBJECT, wire.Object, "objects"), "modify_metadefs"),
    *_definitions("properties", PROPERTY, wire.NamedProperty, list_properties, show_property),
    Route("POST", _ONE + "/properties", _creator(PROPERTY, wire.NamedProperty, "properties"), "modify_metadefs"),
    *_definitions("tags", TAG, wire.Tag, list_tags),
    Route("POST", _ONE + "/tags", create_tags, "modify_metadefs"),
    Route("POST", _ONE + "/tags/{name}", create_tag, "modify_metadefs"),
    Route("GET", _ONE + "/resource_types", list_associations, "get_metadefs"),
    Route("POST", _ONE + "/resource_types", _creator(RESOURCE_TYPE, wire.ResourceType, "resource_types"),
          "modify_metadefs"),
    Route("DELETE", _ONE + "/resource_types/{name}", _deleter(RESOURCE_TYPE), "modify_metadefs"),
)
