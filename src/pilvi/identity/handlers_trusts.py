"""Trusts on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.faults import NotFound
from pilvi.http.request import Request, Response
from pilvi.http.routing import Route
from pilvi.identity import nouns, wire
from pilvi.identity.views import V3, collection, moment, role_view

_PATH = "/v3/OS-TRUST/trusts"


class TrustBody(msgspec.Struct):
    trust: wire.TrustNew


def list_trusts(request: Request) -> Response:
    trustor, trustee = request.arg("trustor_user_id"), request.arg("trustee_user_id")
    rows = request.cloud.identity.trusts(request.context, trustor, trustee)
    return Response(200, collection(request, "trusts", [_summary(row, request) for row in rows]))


def create_trust(request: Request) -> Response:
    _, extra = nouns.given(request, TrustBody, "trust")
    wanted = request.decode(TrustBody).trust
    row = request.cloud.identity.create_trust(request.context, wanted, extra)
    return Response(201, {"trust": _view(row, request)})


def show_trust(request: Request) -> Response:
    return Response(200, {"trust": _view(_row(request), request)})


def delete_trust(request: Request) -> Response:
    request.cloud.identity.delete_trust(request.context, request.params["trust_id"])
    return Response(204)


def list_trust_roles(request: Request) -> Response:
    found = request.cloud.identity.roles_of(_row(request))
    return Response(200, collection(request, "roles", [role_view(row, request) for row in found.values()]))


def show_trust_role(request: Request) -> Response:
    return Response(200, {"role": role_view(role_in(request, _row(request), "trust"), request)})


def role_in(request: Request, row: sa.Row, what: str) -> sa.Row:
    """The role in the path. Raises NotFound where the trust or access token does not have it."""
    found = request.cloud.identity.roles_of(row).get(request.params["role_id"])
    if found is None:
        raise NotFound(f"Could not find role: {request.params['role_id']} in the {what} {row.id}.")
    return found


def _row(request: Request) -> sa.Row:
    return request.cloud.identity.trust(request.context, request.params["trust_id"])


def _view(row: sa.Row, request: Request) -> dict[str, Any]:
    own = f"{request.base_url}{V3}/OS-TRUST/trusts/{row.id}"
    roles: Mapping[str, sa.Row] = request.cloud.identity.roles_of(row)
    return {
        **_summary(row, request),
        "roles": [role_view(role, request) for role in roles.values()],
        "roles_links": {"self": f"{own}/roles", "next": None, "previous": None},
    }


def _summary(row: sa.Row, request: Request) -> dict[str, Any]:
    expires = moment(row.expires_at)
    return {
        **row.extra,
        "id": row.id,
        "trustor_user_id": row.trustor_id,
        "trustee_user_id": row.trustee_id,
        "project_id": row.project_id,
        "impersonation": row.impersonation,
        "expires_at": expires and expires + "Z",
        "deleted_at": None,
        "remaining_uses": row.remaining_uses,
        "redelegation_count": row.redelegation_count,
        "redelegated_trust_id": row.parent_id,
        "links": {"self": f"{request.base_url}{V3}/OS-TRUST/trusts/{row.id}"},
    }


ROUTES = (
    Route("GET", _PATH, list_trusts, "identity:list_trusts"),
    Route("POST", _PATH, create_trust, "identity:create_trust"),
    Route("GET", _PATH + "/{trust_id}", show_trust, "identity:get_trust"),
    Route("DELETE", _PATH + "/{trust_id}", delete_trust, "identity:delete_trust"),
    Route("GET", _PATH + "/{trust_id}/roles", list_trust_roles, "identity:list_roles_for_trust"),
    Route("GET", _PATH + "/{trust_id}/roles/{role_id}", show_trust_role, "identity:get_role_for_trust"),
)
