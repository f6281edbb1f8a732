"""Roles, implications and assignments."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

from pilvi.faults import BadRequest, NotFound
from pilvi.http.request import Request, Response, boolean
from pilvi.http.routing import Route
from pilvi.identity import nouns
from pilvi.identity.base import may_see
from pilvi.identity.grants import Effective, Named
from pilvi.identity.store import ALL, Filter
from pilvi.identity.store_grants import Assignment, Wanted
from pilvi.identity.tables import ROOT, roles
from pilvi.identity.views import V3, collection, role_view


def list_roles(request: Request) -> Response:
    """A domain's own only when that domain's are asked for."""
    wanted = nouns.filters(request, nouns.ROLE)
    for each in wanted:
        if each.column == "domain_id":
            may_see(request.context, each.value, "identity:list_domain_roles")
    if not any(each.column == "domain_id" for each in wanted):
        wanted.append(Filter("domain_id", "", ROOT))
    limit, marker = nouns.page(request)
    return nouns.page_of(
        request, nouns.ROLE, request.cloud.identity.listing(roles, wanted, limit, marker), limit
    )


# Grants: /projects/P/users/U/roles/R, and so on for domains, the system, and groups; and those that are inherited


def grant_routes() -> tuple[Route, ...]:
    found: list[Route] = []
    for target, actor in product(("project", "domain", "system"), ("user", "group")):
        there = "/v3/system" if target == "system" else f"/v3/{target}s/{{{target}_id}}"
        every = f"{there}/{actor}s/{{{actor}_id}}/roles"
        found += _grant_routes(target, actor, every, every + "/{role_id}", inherited=False)
        if target != "system":
            every = every.replace("/v3", "/v3/OS-INHERIT")
            last = "/inherited_to_projects"
            found += _grant_routes(target, actor, every + last, every + "/{role_id}" + last, inherited=True)
    return tuple(found)


def _grant_routes(target: str, actor: str, every: str, one: str, *, inherited: bool) -> list[Route]:
    def of(request: Request) -> Assignment:
        target_id = ALL if target == "system" else request.params[f"{target}_id"]
        role_id = request.params.get("role_id", "")
        return Assignment(actor, request.params[f"{actor}_id"], target, target_id, role_id, inherited)

    def listing(request: Request) -> Response:
        rows = request.cloud.identity.granted(request.context, of(request))
        return Response(200, collection(request, "roles", [role_view(row, request) for row in rows]))

    def doing(verb: str) -> Callable[[Request], Response]:
        def handler(request: Request) -> Response:
            getattr(request.cloud.identity, verb)(request.context, of(request))
            return Response(204)

        return handler

    return [
        Route("GET", every, listing, "identity:list_grants"),
        Route("GET", one, doing("check_grant"), "identity:check_grant"),
        Route("PUT", one, doing("grant"), "identity:create_grant"),
        Route("DELETE", one, doing("take_away"), "identity:revoke_grant"),
    ]


# The listing of all assignments


def list_assignments(request: Request) -> Response:
    identity, wanted = request.cloud.identity, _wanted(request)
    found = identity.assignments(wanted)
    named = identity.assignment_names(found) if _on(request, "include_names") else None
    views = [_assignment_view(request, each, named) for each in found]
    return Response(200, collection(request, "role_assignments", views))


def _wanted(request: Request) -> Wanted:
    """Raises BadRequest for what does not go together, as Keystone does."""
    scopes = [kind for kind in _SCOPES if request.arg(_SCOPES[kind]) is not None]
    kind = scopes[0] if scopes else None
    context, target = request.context, request.arg(_SCOPES[kind]) if kind else None
    wanted = Wanted(
        user_id=request.arg("user.id"),
        group_id=request.arg("group.id"),
        role_id=request.arg("role.id"),
        target_type=kind,
        target_id=ALL if kind == "system" else target,
        inherited=_inherited(request),
        effective=_on(request, "effective"),
        subtree=_on(request, "include_subtree"),
        domain_id=None if context.is_auditor else context.read_domain,
    )
    for refused, reason in (
        (len(scopes) > 1, "Role assignments are listed by one scope at the most."),
        (wanted.group_id and wanted.user_id, "Role assignments are a user's or a group's, not both."),
        (wanted.group_id and wanted.effective, "A group has no effective role assignments: its users have."),
        (wanted.subtree and kind != "project", "include_subtree goes with scope.project.id only."),
        (
            wanted.effective and wanted.inherited and kind == "domain",
            "A domain inherits no role assignments.",
        ),
    ):
        if refused:
            raise BadRequest(reason)
    return wanted


_SCOPES = {"project": "scope.project.id", "domain": "scope.domain.id", "system": "scope.system"}


def _inherited(request: Request) -> bool:
    to = request.arg("scope.OS-INHERIT:inherited_to")
    if to not in (None, "projects"):
        raise BadRequest("Roles are inherited by projects only: scope.OS-INHERIT:inherited_to=projects.")
    return to is not None


def _on(request: Request, name: str) -> bool:
    """Such a parameter is on when it is there, unless it says no."""
    text = request.arg(name)
    return text is not None and (text == "" or boolean(text, name))


def _assignment_view(request: Request, found: Effective, named: Named | None) -> dict[str, Any]:
    given, direct = found.assignment, found.direct
    scope: Any = {"all": True}
    if given.target_type != "system":
        scope = _part(given.target_id, named and named.projects, in_domain=given.target_type == "project")
    place = "/system" if direct.target_type == "system" else f"/{direct.target_type}s/{direct.target_id}"
    path = f"{place}/{direct.actor_type}s/{direct.actor_id}/roles/{direct.role_id}"
    if direct.inherited:
        path = f"/OS-INHERIT{path}/inherited_to_projects"
    links = {"assignment": f"{request.base_url}{V3}{path}"}
    if direct.role_id != given.role_id:
        links["prior_role"] = f"{request.base_url}{V3}/roles/{direct.role_id}"
    if direct.actor_type != given.actor_type:
        links["membership"] = f"{request.base_url}{V3}/groups/{direct.actor_id}/users/{given.actor_id}"
    return {
        "role": _part(given.role_id, named and named.roles),
        given.actor_type: _part(given.actor_id, getattr(named, given.actor_type + "s", None)),
        "scope": {
            given.target_type: scope,
            **({"OS-INHERIT:inherited_to": "projects"} if given.inherited else {}),
        },
        "links": links,
    }


def _part(key: str, names: Any, in_domain: bool = True) -> dict[str, Any]:
    if names is None:
        return {"id": key}
    row = names.get(key)
    part: dict[str, Any] = {"id": key, "name": row.name if row is not None else ""}
    if in_domain and row is not None and row.domain_id:
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
    inference = {"prior_role": prior, "implies": implied}
    return Response(200, {"role_inference": inference, "links": {"self": request.base_url + request.path}})


def confirm_implied(request: Request) -> Response:
    check_implied(request)
    return Response(204)


def imply(request: Request) -> Response:
    request.cloud.identity.imply(request.params["role_id"], request.params["implied_role_id"])
    return Response(201, check_implied(request).body)


def no_longer_imply(request: Request) -> Response:
    request.cloud.identity.no_longer_imply(request.params["role_id"], request.params["implied_role_id"])
    return Response(204)


def _role_name(request: Request, row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "links": {"self": f"{request.base_url}{V3}/roles/{row.id}"}}
