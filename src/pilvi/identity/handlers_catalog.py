"""What there is to say about endpoints: policies that are meant for them, and projects that they are shown to."""

from __future__ import annotations

from collections.abc import Callable

from pilvi.http.request import Request, Response
from pilvi.http.routing import Route
from pilvi.identity import nouns, wire_registry
from pilvi.identity.policies import Association
from pilvi.identity.tables_registry import endpoint_groups, policies
from pilvi.identity.views import collection, endpoint_view, project_view, self_link
from pilvi.identity.views_registry import EP_FILTER, endpoint_group_view, policy_view

POLICY = nouns.Noun(
    "policy",
    "policies",
    policies,
    wire_registry.PolicyNew,
    wire_registry.PolicyChange,
    policy_view,
    {"type": str},
)
ENDPOINT_GROUP = nouns.Noun(
    "endpoint_group",
    "endpoint_groups",
    endpoint_groups,
    wire_registry.EndpointGroupNew,
    wire_registry.EndpointGroupChange,
    endpoint_group_view,
    {"name": str},
    place=EP_FILTER,
)
Handler = Callable[[Request], Response]

# Policies


def _association(request: Request) -> Association:
    return Association(**{name: request.params.get(name) for name in Association._fields})


def _policy(verb: str) -> Handler:
    def handler(request: Request) -> Response:
        getattr(request.cloud.identity, verb)(request.params["policy_id"], _association(request))
        return Response(204)

    return handler


def policy_of_endpoint(request: Request) -> Response:
    row = request.cloud.identity.policy_of(request.params["endpoint_id"])
    return Response(200, {"policy": policy_view(row, request)})


def endpoints_of_policy(request: Request) -> Response:
    rows = request.cloud.identity.endpoints_of_policy(request.params["policy_id"])
    return Response(200, collection(request, "endpoints", [endpoint_view(row, request) for row in rows]))


def _policy_routes() -> list[Route]:
    base, service = "/v3/policies/{policy_id}/OS-ENDPOINT-POLICY", "/services/{service_id}"
    found = []
    for place in ("/endpoints/{endpoint_id}", service, service + "/regions/{region_id}"):
        for method, verb, action in (
            ("GET", "check_association", "check_policy_association"),
            ("PUT", "associate", "create_policy_association"),
            ("DELETE", "dissociate", "delete_policy_association"),
        ):
            found.append(Route(method, base + place, _policy(verb), f"identity:{action}"))
    return found


# Which project is shown what


def _shown(verb: str, kind: str) -> Handler:
    def handler(request: Request) -> Response:
        getattr(request.cloud.identity, verb)(request.params["project_id"], kind, request.params[kind])
        return Response(204)

    return handler


def show_group_of_project(request: Request) -> Response:
    project_id, key = request.params["project_id"], request.params["endpoint_group_id"]
    request.cloud.identity.check_shown_to(project_id, "endpoint_group_id", key)
    links = self_link(request, f"{EP_FILTER}endpoint_groups/{key}/projects", project_id)
    view = {"endpoint_group_id": key, "project_id": project_id, "links": links}
    return Response(200, {"project_endpoint_group": view})


def _projects_shown(kind: str) -> Handler:
    def handler(request: Request) -> Response:
        rows = request.cloud.identity.projects_shown(kind, request.params[kind])
        return Response(200, collection(request, "projects", [project_view(row, request) for row in rows]))

    return handler


def endpoints_of_project(request: Request) -> Response:
    rows = request.cloud.identity.endpoints_of_project(request.params["project_id"])
    return Response(200, collection(request, "endpoints", [endpoint_view(row, request) for row in rows]))


def groups_of_project(request: Request) -> Response:
    rows = request.cloud.identity.endpoint_groups_of_project(request.params["project_id"])
    views = [endpoint_group_view(row, request) for row in rows]
    return Response(200, collection(request, "endpoint_groups", views))


def endpoints_of_group(request: Request) -> Response:
    rows = request.cloud.identity.endpoints_of_group(request.params["endpoint_group_id"])
    return Response(200, collection(request, "endpoints", [endpoint_view(row, request) for row in rows]))


_EP = "/v3/" + EP_FILTER.rstrip("/")
_ONE = _EP + "/projects/{project_id}/endpoints/{endpoint_id}"
_GROUP = _EP + "/endpoint_groups/{endpoint_group_id}"
_GROUP_OF = _GROUP + "/projects/{project_id}"
_SINGLE, _GROUPED = "endpoint_id", "endpoint_group_id"

ROUTES = (
    *nouns.routes_of(POLICY),
    *_policy_routes(),
    Route("GET", "/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints", endpoints_of_policy,
          "identity:list_endpoints_for_policy"),
    Route("GET", "/v3/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy", policy_of_endpoint,
          "identity:get_policy_for_endpoint"),
    *nouns.routes_of(ENDPOINT_GROUP),
    Route("GET", _ONE, _shown("check_shown_to", _SINGLE), "identity:check_endpoint_in_project"),
    Route("PUT", _ONE, _shown("show_to", _SINGLE), "identity:add_endpoint_to_project"),
    Route("DELETE", _ONE, _shown("no_longer_show_to", _SINGLE), "identity:remove_endpoint_from_project"),
    Route("GET", _EP + "/projects/{project_id}/endpoints", endpoints_of_project,
          "identity:list_endpoints_for_project"),
    Route("GET", _EP + "/endpoints/{endpoint_id}/projects", _projects_shown(_SINGLE),
          "identity:list_projects_for_endpoint"),
    Route("GET", _GROUP_OF, show_group_of_project, "identity:get_endpoint_group_in_project"),
    Route("PUT", _GROUP_OF, _shown("show_to", _GROUPED), "identity:add_endpoint_group_to_project"),
    Route("DELETE", _GROUP_OF, _shown("no_longer_show_to", _GROUPED),
          "identity:remove_endpoint_group_from_project"),
    Route("GET", _EP + "/projects/{project_id}/endpoint_groups", groups_of_project,
          "identity:list_endpoint_groups_for_project"),
    Route("GET", _GROUP + "/projects", _projects_shown(_GROUPED),
          "identity:list_projects_associated_with_endpoint_group"),
    Route("GET", _GROUP + "/endpoints", endpoints_of_group,
          "identity:list_endpoints_associated_with_endpoint_group"),
)  # fmt: skip
