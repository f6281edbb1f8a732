"""Placement's API (microversions up to 1.39), for reading: what is taken is taken by Compute."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pilvi.faults import BadRequest, Fault
from pilvi.http.request import Request, Response, integer
from pilvi.http.routing import Api, Microversions, Route
from pilvi.placement import policy


def versions(request: Request) -> Response:
    return Response(
        200,
        {
            "versions": [
                {
                    "id": "v1.0",
                    "max_version": "1.39",
                    "min_version": "1.0",
                    "status": "CURRENT",
                    "links": [{"rel": "self", "href": ""}],
                }
            ]
        },
    )


def _provider(row: Any, request: Request) -> dict[str, Any]:
    path = f"/placement/resource_providers/{row.uuid}"
    shown = {
        "uuid": row.uuid,
        "name": row.host,
        "generation": row.generation,
        "links": [{"rel": "self", "href": path}]
        + [{"rel": name, "href": f"{path}/{name}"} for name in ("inventories", "usages", "allocations")],
    }
    if request.at_least(1, 14):
        shown |= {"parent_provider_uuid": None, "root_provider_uuid": row.uuid}
    return shown


# Query parameters of a listing, and the microversion that each came with.
FILTERS = {
    "name": (1, 0),
    "uuid": (1, 0),
    "member_of": (1, 3),
    "resources": (1, 4),
    "in_tree": (1, 14),
    "required": (1, 18),
}


def list_providers(request: Request) -> Response:
    _check_filters(request)
    if _wants_what_no_provider_has(request):
        return Response(200, {"resource_providers": []})
    uuids = [uuid for name in ("uuid", "in_tree") if (uuid := request.arg(name)) is not None]
    wanted = amounts(request.arg("resources"))
    rows = request.cloud.placement.providers(request.arg("name"), uuids, wanted)
    return Response(200, {"resource_providers": [_provider(row, request) for row in rows]})


def _check_filters(request: Request) -> None:
    for name in request.query:
        if not request.at_least(*FILTERS.get(name, (9, 0))):
            raise BadRequest(f"Invalid query string parameters: '{name}' is not served by this version.")


def _wants_what_no_provider_has(request: Request) -> bool:
    """To be in an aggregate, or to have a trait."""
    words = [
        word for name in ("member_of", "required") for word in (request.arg(name) or "").split(",") if word
    ]
    return any(not word.startswith("!") for word in words)


def amounts(text: str | None) -> dict[str, int]:
    """{"VCPU": 1} of "VCPU:1". Raises BadRequest."""
    found = {}
    for part in text.split(",") if text is not None else ():
        name, _, amount = part.partition(":")
        found[name] = integer(amount, "resources", 1)
    return found


def show_provider(request: Request) -> Response:
    row, _, _ = request.cloud.placement.provider(request.params["uuid"])
    return Response(200, _provider(row, request))


def list_inventories(request: Request) -> Response:
    row, inventories, _ = request.cloud.placement.provider(request.params["uuid"])
    shown = {
        each.resource_class: {
            "total": each.total,
            "reserved": each.reserved,
            "min_unit": 1,
            "max_unit": each.total,
            "step_size": 1,
            "allocation_ratio": each.ratio,
        }
        for each in inventories
    }
    return Response(200, {"resource_provider_generation": row.generation, "inventories": shown})


def list_usages(request: Request) -> Response:
    row, inventories, _ = request.cloud.placement.provider(request.params["uuid"])
    return Response(
        200,
        {
            "resource_provider_generation": row.generation,
            "usages": {each.resource_class: each.used for each in inventories},
        },
    )


def list_provider_allocations(request: Request) -> Response:
    row, _, allocations = request.cloud.placement.provider(request.params["uuid"])
    shown: dict[str, Any] = defaultdict(lambda: {"resources": {}})
    for each in allocations:
        shown[each.consumer_id]["resources"][each.resource_class] = each.used
    return Response(200, {"resource_provider_generation": row.generation, "allocations": shown})


def show_allocations(request: Request) -> Response:
    allocations, providers = request.cloud.placement.consumer(request.params["consumer"])
    shown: dict[str, Any] = {}
    for each in allocations:
        row = providers[each.host]
        entry = shown.setdefault(row.uuid, {"generation": row.generation, "resources": {}})
        entry["resources"][each.resource_class] = each.used
    return Response(200, {"allocations": shown})


def fault_body(fault: Fault) -> dict[str, Any]:
    return {"errors": [{"status": fault.status, "title": fault.title, "detail": fault.message}]}


ROUTES = (
    Route("GET", "/", versions, None),
    Route("GET", "/resource_providers", list_providers, "placement:read"),
    Route("GET", "/resource_providers/{uuid}", show_provider, "placement:read"),
    Route("GET", "/resource_providers/{uuid}/inventories", list_inventories, "placement:read"),
    Route("GET", "/resource_providers/{uuid}/usages", list_usages, "placement:read"),
    Route("GET", "/resource_providers/{uuid}/allocations", list_provider_allocations, "placement:read"),
    Route("GET", "/allocations/{consumer}", show_allocations, "placement:read"),
)
API = Api(
    "placement", "/placement", ROUTES, policy.RULES, fault_body, Microversions("placement", "1.0", "1.39")
)
