"""Roles, implications and assignments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pilvi.faults import BadRequest, NotFound
from pilvi.http.request import Request, Response, boolean
from pilvi.http.routing import Route
from pilvi.identity import nouns
from pilvi.identity.grants import Effective, Named
from pilvi.identity.store import ALL, Assignment, Filter
from pilvi.identity.tables import ROOT, roles
from pilvi.identity.views import V3, collection, role_view


def list_roles(request: Request) -> Response:
    """A domain's own only when that domain's are asked for."""
    wanted = nouns.filters(request, nouns.ROLE)
    if not any(each.column == "domain_id" for each in wanted):
        wanted.append(Filter("domain_id", "", ROOT))
    limit, marker = nouns.page(request)
    return nouns.page_of(
        request, nouns.ROLE, request.cloud.identity.listing(roles, wanted, limit, marker), limit
    )


# Grants: /projects/P/users/U/roles/R, and so on for domains, the system, and groups


def grant_routes() -> tuple[Route, ...]:
    found: list[Route] = []
    for target, target_path in (
        ("project", "/v3/projects/{project_id}"),
        ("domain", "/v3/domains/{domain_id}"),
        ("system", "/v3/system"),
    ):
        for actor in ("user", "group"):
            every = f"{target_path}/{actor}s/{{{actor}_id}}/roles"
            for method, path, make, action in (
                ("GET", every, _list_grants, "list_grants"),
                ("GET", every + "/{role_id}", _check_grant, "check_grant"),
                ("PUT", every + "/{role_id}", _grant, "create_grant"),
                ("DELETE", every + "/{role_id}", _take_away, "revoke_grant"),
            ):
                found.append(Route(method, path, make(target, actor), f"identity:{action}"))
    return tuple(found)


def _assignment(request: Request, target: str, actor: str) -> Assignment:
    target_id = ALL if target == "system" else request.params[f"{target}_id"]
    return Assignment(
        actor, request.params[f"{actor}_id"], target, target_id, request.params.get("role_id", "")
    )


def _list_grants(target: str, actor: str) -> Callable[[Request], Response]:
    def handler(request: Request) -> Response:
        rows = request.cloud.identity.granted(*_assignment(request, target, actor)[:4])
        return Response(200, collection(request, "roles", [role_view(row, request) for row in rows]))

    return handler


def _check_grant(target: str, actor: str) -> Callable[[Request], Response]:
    def handler(request: Request) -> Response:
        request.cloud.identity.check_grant(_assignment(request, target, actor))
        return Response(204)

    return handler


def _grant(target: str, actor: str) -> Callable[[Request], Response]:
    def handler(request: Request) -> Response:
        request.cloud.identity.grant(_assignment(request, target, actor))
        return Response(204)

    return handler


def _take_away(target: str, actor: str) -> Callable[[Request], Response]:
    def handler(request: Request) -> Response:
        request.cloud.identity.take_away(_assignment(request, target, actor))
        return Response(204)

    return handler


# The listing of all assignments


def list_assignments(request: Request) -> Response:
    """Grants are not inherited here, so that a listing of inherited ones is empty."""
    conditions, user_id, effective = _conditions(request), request.arg("user.id"), _on(request, "effective")
    if conditions.get("actor_type") == "group" and (effective or user_id is not None):
        raise BadRequest("A group goes neither with a user nor with effective assignments, which are users'.")
    identity = request.cloud.identity
    found = identity.assignments(conditions, user_id, request.arg("role.id"), effective=effective)
    if "scope.OS-INHERIT:inherited_to" in request.query:
        found = []
    named = identity.assignment_names(found) if _on(request, "include_names") else None
    views = [_assignment_view(request, each, named) for each in found]
    return Response(200, collection(request, "role_assignments", views))


_CONDITIONS = (
    ("scope.project.id", "target", "project"),
    ("scope.domain.id", "target", "domain"),
    ("scope.system", "target", "system"),
    ("group.id", "actor", "group"),
)


def _conditions(request: Request) -> dict[str, str]:
    """Columns of assignments. Raises BadRequest for two scopes."""
    found: dict[str, str] = {}
    for name, column, kind in _CONDITIONS:
        if (value := request.arg(name)) is not None:
            if f"{column}_type" in found:
                raise BadRequest("Role assignments are listed by one scope at the most.")
            found |= {f"{column}_type": kind, f"{column}_id": ALL if kind == "system" else value}
    return found


def _on(request: Request, name: str) -> bool:
    """Such a parameter is on when it is there, unless it says no."""
    text = request.arg(name)
    return text is not None and (text == "" or boolean(text, name))


def _assignment_view(request: Request, found: Effective, named: Named | None) -> dict[str, Any]:
    given, direct = found.assignment, found.direct
    actor = _part(given.actor_id, getattr(named, given.actor_type + "s", None))
    scope: Any = {"all": True}
    if given.target_type != "system":
        scope = _part(given.target_id, named and named.projects, in_domain=given.target_type == "project")
    place = "/system" if direct.target_type == "system" else f"/{direct.target_type}s/{direct.target_id}"
    links = {
        "assignment": f"{request.base_url}{V3}{place}/{direct.actor_type}s/{direct.actor_id}/roles/"
        f"{direct.role_id}"
    }
    if direct.role_id != given.role_id:
        links["prior_role"] = f"{request.base_url}{V3}/roles/{direct.role_id}"
    if direct.actor_type != given.actor_type:
        links["membership"] = f"{request.base_url}{V3}/groups/{direct.actor_id}/users/{given.actor_id}"
    return {
        "role": _part(given.role_id, named and named.roles, in_domain=False),
        given.actor_type: actor,
        "scope": {given.target_type: scope},
        "links": links,
    }


def _part(key: str, names: Any, in_domain: bool = True) -> dict[str, Any]:
    if names is None:
        return {"id": key}
    row = names.get(key)
    part: dict[str, Any] = {"id": key, "name": row.name if row is not None else ""}
    if in_domain and row is not None:
        part["domain"] = {"id": row.domain_id, "name": row.domain_name}
    return part


# Implied roles


def list_inferences(request: Request) -> Response:
    every, pairs = request.cloud.identity.implied_roles()
    by_prior: dict[str, list[Any]] = {}
    for pair in pairs:
        by_prior.setdefault(pair.prior_id, []).append(_role_name(request, every[pair.implied_id]))
    found = [
        {"prior_role": _role_name(request, every[prior]), "implies": implied}
        for prior, implied in by_prior.items()
    ]
    return Response(200, collection(request, "role_inferences", found))


def list_implied(request: Request) -> Response:
    prior = request.cloud.identity.row(roles, request.params["role_id"], "role")
    every, pairs = request.cloud.identity.implied_roles()
    implied = [_role_name(request, every[pair.implied_id]) for pair in pairs if pair.prior_id == prior.id]
    return Response(
        200,
        {
            "role_inference": {"prior_role": _role_name(request, prior), "implies": implied},
            "links": {"self": request.base_url + request.path},
        },
    )


def check_implied(request: Request) -> Response:
    every, pairs = request.cloud.identity.implied_roles()
    wanted = request.params["role_id"], request.params["implied_role_id"]
    if not any((pair.prior_id, pair.implied_id) == wanted for pair in pairs):
        raise NotFound(f"The role {wanted[0]} does not imply {wanted[1]}.")
    prior, implied = (_role_name(request, every[role]) for role in wanted)
    return Response(
        200,
        {
            "role_inference": {"prior_role": prior, "implies": implied},
            "links": {"self": request.base_url + request.path},
        },
    )


def imply(request: Request) -> Response:
    request.cloud.identity.imply(request.params["role_id"], request.params["implied_role_id"])
    return Response(201, check_implied(request).body)


def no_longer_imply(request: Request) -> Response:
    request.cloud.identity.no_longer_imply(request.params["role_id"], request.params["implied_role_id"])
    return Response(204)


def _role_name(request: Request, row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "links": {"self": f"{request.base_url}{V3}/roles/{row.id}"}}
