"""What the Networking API does the same way for all its nouns: make, list, show, change, delete; tags and quotas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from pilvi.faults import NotFound
from pilvi.http.request import Request, Response
from pilvi.network import wire, wire_addressing, wire_groups
from pilvi.network.extensions import EXTENSIONS
from pilvi.network.nouns import BY_PATH, SECURITY_GROUP, TAGGED, Noun
from pilvi.network.views import ZONE

PREFIX = "/network"
Handler = Callable[[Request], Response]


# -- versions, extensions, zones


def show_versions(request: Request) -> Response:
    link = {"rel": "self", "href": f"{request.base_url}{PREFIX}/v2.0/"}
    return Response(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]})


def show_resources(request: Request) -> Response:
    base = f"{request.base_url}{PREFIX}/v2.0"
    return Response(200, {"resources": [
        {"name": noun.name, "collection": noun.plural, "links": [{"rel": "self", "href": f"{base}/{noun.path}"}]}
        for noun in BY_PATH.values()
    ]})  # fmt: skip


def list_extensions(_request: Request) -> Response:
    return Response(200, {"extensions": list(EXTENSIONS.values())})


def show_extension(request: Request) -> Response:
    alias = request.params["alias"]
    if alias not in EXTENSIONS:
        raise NotFound(f"Extension with alias {alias} does not exist", kind="ExtensionNotFound")
    return Response(200, {"extension": EXTENSIONS[alias]})


def list_zones(_request: Request) -> Response:
    zones = [{"name": ZONE, "resource": resource, "state": "available"} for resource in ("network", "router")]
    return Response(200, {"availability_zones": zones})


# -- objects


def lister(noun: Noun) -> Handler:
    def handler(request: Request) -> Response:
        networks = request.cloud.network
        if noun is SECURITY_GROUP:
            networks.ensure_default_group(request.context)
        return listed(request, noun, *networks.page(request.context, noun, request.query))

    return handler


def listed(request: Request, noun: Noun, items: list[dict[str, Any]], before: bool, after: bool) -> Response:
    answer: dict[str, Any] = {noun.plural: [chosen(request, item) for item in items]}
    if "limit" in request.query and items and (links := _links(request, items, before, after)):
        answer[f"{noun.plural}_links"] = links
    return Response(200, answer)


def _links(request: Request, items: list[dict[str, Any]], before: bool, after: bool) -> list[dict[str, str]]:
    kept = [
        (name, value)
        for name, values in request.query.items()
        if name not in ("marker", "page_reverse")
        for value in values
    ]
    base, found = f"{request.base_url}{request.path}?", []
    if after:
        found.append({"rel": "next", "href": base + urlencode([*kept, ("marker", items[-1]["id"])])})
    if before:
        query = [*kept, ("marker", items[0]["id"]), ("page_reverse", "True")]
        found.append({"rel": "previous", "href": base + urlencode(query)})
    return found


def chosen(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    """Only the fields that were asked for."""
    if "fields" not in request.query:
        return item
    fields = request.query["fields"]
    return {name: value for name, value in item.items() if name in fields} if any(fields) else item


def shower(noun: Noun) -> Handler:
    def handler(request: Request) -> Response:
        item = request.cloud.network.show(request.context, noun, identifier(request))
        return Response(200, {noun.name: chosen(request, item)})

    return handler


def creator(noun: Noun, shape: type, verb: str) -> Handler:
    def handler(request: Request) -> Response:
        wanted, many = wire.items(request, noun, shape)
        made = getattr(request.cloud.network, verb)(request.context, wanted)
        return Response(201, {noun.plural: made} if many else {noun.name: made[0]})

    return handler


def updater(noun: Noun, shape: type, verb: str) -> Handler:
    def handler(request: Request) -> Response:
        change = wire.item(request.decode(dict[str, Any]), noun, shape, "PUT")
        item = getattr(request.cloud.network, verb)(request.context, identifier(request), change)
        return Response(200, {noun.name: item})

    return handler


def deleter(verb: str) -> Handler:
    def handler(request: Request) -> Response:
        getattr(request.cloud.network, verb)(request.context, identifier(request))
        return Response(204)

    return handler


def identifier(request: Request, name: str = "object_id") -> str:
    text = request.params[name]
    if "\0" in text:
        raise NotFound("The resource could not be found.", kind="HTTPNotFound")
    return text


# -- routers' own


def add_interface(request: Request) -> Response:
    wanted = request.decode(wire.Interface)
    return Response(200, request.cloud.network.add_interface(request.context, identifier(request), wanted))


def remove_interface(request: Request) -> Response:
    wanted = request.decode(wire.Interface)
    return Response(200, request.cloud.network.remove_interface(request.context, identifier(request), wanted))


def add_routes(request: Request) -> Response:
    return _change_routes(request, True)


def remove_routes(request: Request) -> Response:
    return _change_routes(request, False)


def _change_routes(request: Request, add: bool) -> Response:
    routes = request.decode(wire.RoutesRequest).router.routes
    router = request.cloud.network.change_routes(request.context, identifier(request), routes, add)
    return Response(200, {"router": router})


# -- what is made for projects that ask for nothing in particular


def show_auto_topology(request: Request) -> Response:
    networks, project_id = request.cloud.network, identifier(request, "project_id")
    verb = networks.check_auto_topology if "dry-run" in request.query.get("fields", ()) else networks.auto_topology
    return Response(200, {"auto_allocated_topology": verb(request.context, project_id)})


def delete_auto_topology(request: Request) -> Response:
    request.cloud.network.delete_auto_topology(request.context, identifier(request, "project_id"))
    return Response(204)


# -- subnet pools' own


def add_prefixes(request: Request) -> Response:
    wanted = request.decode(wire_addressing.PrefixesRequest).prefixes
    return Response(200, {"prefixes": request.cloud.network.add_prefixes(request.context, identifier(request), wanted)})


def remove_prefixes(request: Request) -> Response:
    gone = request.decode(wire_addressing.PrefixesRequest).prefixes
    left = request.cloud.network.remove_prefixes(request.context, identifier(request), gone)
    return Response(200, {"prefixes": left})


def onboard(request: Request) -> Response:
    network_id = request.decode(wire_addressing.OnboardRequest).network_id
    request.cloud.network.onboard(request.context, identifier(request), network_id)
    return Response(200, {})


# -- address groups' own


def add_addresses(request: Request) -> Response:
    return _change_addresses(request, True)


def remove_addresses(request: Request) -> Response:
    return _change_addresses(request, False)


def _change_addresses(request: Request, add: bool) -> Response:
    wanted = wire_groups.addresses(request)
    group = request.cloud.network.change_addresses(request.context, identifier(request), wanted, add)
    return Response(200, {"address_group": group})


# -- tags


def _tagged(request: Request) -> tuple[Noun, str]:
    noun = TAGGED.get(request.params["collection"])
    if noun is None:
        raise NotFound("The resource could not be found.", kind="HTTPNotFound")
    return noun, identifier(request)


def list_tags(request: Request) -> Response:
    return Response(200, {"tags": request.cloud.network.tags(request.context, *_tagged(request))})


def set_tags(request: Request) -> Response:
    wanted = request.decode(wire.TagsRequest).tags
    return Response(200, {"tags": request.cloud.network.set_tags(request.context, *_tagged(request), wanted)})


def clear_tags(request: Request) -> Response:
    request.cloud.network.set_tags(request.context, *_tagged(request), [])
    return Response(204)


def check_tag(request: Request) -> Response:
    request.cloud.network.check_tag(request.context, *_tagged(request), request.params["tag"])
    return Response(204)


def add_tag(request: Request) -> Response:
    tag = wire.tag(request.params["tag"])
    request.cloud.network.add_tags(request.context, *_tagged(request), [tag])
    return Response(201)


def remove_tag(request: Request) -> Response:
    request.cloud.network.remove_tag(request.context, *_tagged(request), request.params["tag"])
    return Response(204)


# -- quotas


def list_quotas(request: Request) -> Response:
    return Response(200, {"quotas": request.cloud.network.quotas()})


def show_quota(request: Request) -> Response:
    return Response(200, {"quota": request.cloud.network.quota(request.context, request.params["project_id"])})


def show_quota_defaults(request: Request) -> Response:
    project_id = request.params["project_id"]
    return Response(200, {"quota": request.cloud.network.quota_defaults(request.context, project_id)})


def show_quota_details(request: Request) -> Response:
    project_id = request.params["project_id"]
    return Response(200, {"quota": request.cloud.network.quota_details(request.context, project_id)})


def update_quota(request: Request) -> Response:
    wanted = wire.quota(request)
    return Response(200, {"quota": request.cloud.network.set_quota(request.params["project_id"], wanted)})


def reset_quota(request: Request) -> Response:
    request.cloud.network.reset_quota(request.params["project_id"])
    return Response(204)


# -- addresses in use


def list_ip_availabilities(request: Request) -> Response:
    found = request.cloud.network.ip_availabilities(request.query)
    return Response(200, {"network_ip_availabilities": [chosen(request, item) for item in found]})


def show_ip_availability(request: Request) -> Response:
    found = request.cloud.network.ip_availability(request.context, identifier(request))
    return Response(200, {"network_ip_availability": found})
