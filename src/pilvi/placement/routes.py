"""Placement's API (microversions up to 1.39), for reading: what is taken is taken by Compute."""

from __future__ import annotations

from typing import Any

from pilvi.faults import BadRequest, Fault, NotFound
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
    shown = {each.resource_class: _inventory(each) for each in inventories}
    return Response(200, {"resource_provider_generation": row.generation, "inventories": shown})


def _inventory(row: Any) -> dict[str, Any]:
    return {"total": row.total, "reserved": row.reserved, "min_unit": 1, "max_unit": row.total, "step_size": 1,
            "allocation_ratio": row.ratio}


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
    shown: dict[str, Any] = {}
    for each in allocations:
        entry = shown.setdefault(each.consumer_id, {"resources": {}})
        entry["resources"][each.resource_class] = each.used
        if request.at_least(1, 28):
            entry["consumer_generation"] = each.generation
    return Response(200, {"resource_provider_generation": row.generation, "allocations": shown})


def show_allocations(request: Request) -> Response:
    allocations, providers = request.cloud.placement.consumer(request.params["consumer"])
    shown: dict[str, Any] = {}
    for each in allocations:
        row = providers[each.host]
        entry = shown.setdefault(row.uuid, {"generation": row.generation, "resources": {}})
        entry["resources"][each.resource_class] = each.used
    return Response(200, {"allocations": shown, **(_consumer(request, allocations[0]) if allocations else {})})


def _consumer(request: Request, allocation: Any) -> dict[str, Any]:
    """Whose it is, as far as this microversion says."""
    facts = {(1, 12): {"project_id": allocation.project_id, "user_id": allocation.user_id},
             (1, 28): {"consumer_generation": allocation.generation}, (1, 38): {"consumer_type": CONSUMER_TYPE}}
    return {name: value for since, values in facts.items() if request.at_least(*since) for name, value in values.items()}


# -- what all projects share, and what each uses

CONSUMER_TYPE = "INSTANCE"
CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB")


def _class(name: str) -> dict[str, Any]:
    return {"name": name, "links": [{"rel": "self", "href": f"/placement/resource_classes/{name}"}]}


def list_classes(request: Request) -> Response:
    return Response(200, {"resource_classes": [_class(name) for name in CLASSES]})


def show_class(request: Request) -> Response:
    if request.params["name"] not in CLASSES:
        raise NotFound(f"No such resource class {request.params['name']}.")
    return Response(200, _class(request.params["name"]))


def list_traits(request: Request) -> Response:
    """Hosts have none: what flavors may ask of hosts is said by aggregates and capabilities."""
    return Response(200, {"traits": []})


def show_trait(request: Request) -> Response:
    """Raises NotFound for any."""
    raise NotFound(f"No such trait {request.params['name']}.")


def provider_traits(request: Request) -> Response:
    row, _, _ = request.cloud.placement.provider(request.params["uuid"])
    return Response(200, {"traits": [], "resource_provider_generation": row.generation})


def provider_aggregates(request: Request) -> Response:
    """Placement's own, of which there are none: Compute's aggregates are heeded by Compute's scheduler."""
    row, _, _ = request.cloud.placement.provider(request.params["uuid"])
    generation = {"resource_provider_generation": row.generation} if request.at_least(1, 19) else {}
    return Response(200, {"aggregates": [], **generation})


def show_inventory(request: Request) -> Response:
    row, inventories, _ = request.cloud.placement.provider(request.params["uuid"])
    for each in inventories:
        if each.resource_class == request.params["name"]:
            return Response(200, {"resource_provider_generation": row.generation, **_inventory(each)})
    raise NotFound(f"No inventory of class {request.params['name']} for {row.uuid}")


def list_project_usages(request: Request) -> Response:
    if (project_id := request.arg("project_id")) is None:
        raise BadRequest("Invalid query string parameters: 'project_id' is a required property")
    used, consumers = request.cloud.placement.used_by(project_id, request.arg("user_id"))
    if not request.at_least(1, 38):
        return Response(200, {"usages": used})
    wanted = request.arg("consumer_type", CONSUMER_TYPE)
    name = wanted if wanted == "all" else CONSUMER_TYPE
    fits = bool(consumers) and wanted in ("all", CONSUMER_TYPE)
    return Response(200, {"usages": {name: {**used, "consumer_count": consumers}} if fits else {}})


def list_candidates(request: Request) -> Response:
    """Where this much would fit. Raises BadRequest."""
    wanted = amounts(request.arg("resources"))
    if not wanted:
        raise BadRequest("Invalid query string parameters: 'resources' is a required property")
    limit = integer(request.arg("limit", "1000"), "limit", 1)
    none = "required" in request.query or "member_of" in request.query
    found = [] if none and _wants_what_no_provider_has(request) else request.cloud.placement.candidates(wanted, limit)
    return Response(200, {
        "allocation_requests": [_request(request, row.uuid, wanted) for row, _ in found],
        "provider_summaries": {row.uuid: _summary(request, row.uuid, inventories) for row, inventories in found}})


def _request(request: Request, uuid: str, wanted: dict[str, int]) -> dict[str, Any]:
    if not request.at_least(1, 12):
        return {"allocations": [{"resource_provider": {"uuid": uuid}, "resources": wanted}]}
    mappings = {"mappings": {"": [uuid]}} if request.at_least(1, 34) else {}
    return {"allocations": {uuid: {"resources": wanted}}, **mappings}


def _summary(request: Request, uuid: str, inventories: list[Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"resources": {
        each.resource_class: {"capacity": int((each.total - each.reserved) * each.ratio), "used": each.used}
        for each in inventories}}
    if request.at_least(1, 17):
        body["traits"] = []
    if request.at_least(1, 29):
        body |= {"parent_provider_uuid": None, "root_provider_uuid": uuid}
    return body


def fault_body(fault: Fault) -> dict[str, Any]:
    return {"errors": [{"status": fault.status, "title": fault.title, "detail": fault.message}]}


ROUTES = (
    Route("GET", "/", versions, None),
    Route("GET", "/resource_providers", list_providers, "placement:read"),
    Route("GET", "/resource_providers/{uuid}", show_provider, "placement:read"),
    Route("GET", "/resource_providers/{uuid}/inventories", list_inventories, "placement:read"),
    Route("GET", "/resource_providers/{uuid}/usages", list_usages, "placement:read"),
    Route("GET", "/resource_providers/{uuid}/allocations", list_provider_allocations, "placement:read"),
    Route("GET", "/resource_providers/{uuid}/inventories/{name}", show_inventory, "placement:read"),
    Route("GET", "/resource_providers/{uuid}/aggregates", provider_aggregates, "placement:read", since="1.1"),
    Route("GET", "/resource_providers/{uuid}/traits", provider_traits, "placement:read", since="1.6"),
    Route("GET", "/resource_classes", list_classes, "placement:read", since="1.2"),
    Route("GET", "/resource_classes/{name}", show_class, "placement:read", since="1.2"),
    Route("GET", "/traits", list_traits, "placement:read", since="1.6"),
    Route("GET", "/traits/{name}", show_trait, "placement:read", since="1.6"),
    Route("GET", "/usages", list_project_usages, "placement:read", since="1.9"),
    Route("GET", "/allocation_candidates", list_candidates, "placement:read", since="1.10"),
    Route("GET", "/allocations/{consumer}", show_allocations, "placement:read"),
)
API = Api(
    "placement", "/placement", ROUTES, policy.RULES, fault_body, Microversions("placement", "1.0", "1.39")
)
