"""Versions, tokens, and what a token can tell about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilvi.faults import BadRequest, Forbidden, Gone, Unauthorized
from pilvi.http.app import token_of, unauthorized
from pilvi.http.request import Request, Response
from pilvi.http.routing import Route
from pilvi.identity import json_home, wire
from pilvi.identity.authentication import Issued, MoreFactors
from pilvi.identity.oauth_signature import SignedRequest
from pilvi.identity.token_views import receipt_body, token_body
from pilvi.identity.tokens import PROJECT, UNSCOPED
from pilvi.identity.views import collection, domain_view, moment, project_view


def _version(request: Request) -> dict[str, Any]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{request.base_url}/identity/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def versions(request: Request) -> Response:
    return Response(
        300, {"versions": {"values": [_version(request)]}}, {"Location": f"{request.base_url}/identity/v3/"}
    )


def version(request: Request, routes: Sequence[Route]) -> Response:
    """The version, or the JSON home document where that is asked for."""
    if json_home.wanted(request.headers.get("accept", "")):
        home = json_home.document(routes, "/identity")
        return Response(200, home, {"Vary": "Accept"}, content_type=json_home.MEDIA_TYPE)
    return Response(200, {"version": _version(request)}, {"Vary": "Accept"})


def issue_token(request: Request) -> Response:
    auth = request.decode(wire.AuthBody).auth
    receipt = request.headers.get("openstack-auth-receipt", "")
    try:
        issued = request.cloud.identity.issue(auth, signed(request), receipt)
    except MoreFactors as fault:
        return Response(401, receipt_body(fault), {"Openstack-Auth-Receipt": fault.text})
    except Unauthorized as fault:
        raise unauthorized(request, fault.message) from None
    return token_response(201, request, issued)


def validate_token(request: Request) -> Response:
    subject, own = _subject(request), token_of(request)
    expired, heeds = _present(request, "allow_expired"), "openstack-identity-access-rules" in request.headers
    issued = request.cloud.identity.validate(request.context, own, subject, expired, heeds)
    return token_response(200, request, issued)


def token_response(status: int, request: Request, issued: Issued) -> Response:
    catalog = None
    if not _present(request, "nocatalog") and issued.grant.scope != UNSCOPED:
        project_id = issued.token.scope_id if issued.grant.scope == PROJECT else None
        catalog = request.cloud.identity.catalog(request.base_url, project_id)
    headers = {"X-Subject-Token": issued.text, "Vary": "X-Auth-Token"}
    return Response(status, {"token": token_body(issued, catalog)}, headers)


def signed(request: Request) -> SignedRequest:
    """What an OAuth signature of this request is about."""
    url = request.base_url + request.path
    return SignedRequest(request.method, url, request.query_string, request.headers.get("authorization", ""))


def gone(request: Request) -> Response:
    raise Gone("Tokens are no longer signed by certificates: ask about one at GET /v3/auth/tokens.")


def revoke_token(request: Request) -> Response:
    request.cloud.identity.revoke(request.context, token_of(request), _subject(request))
    return Response(204)


def list_revocations(request: Request) -> Response:
    """What ended tokens, for services that keep what they found out about them."""
    rows = request.cloud.identity.revocations(request.arg("since"))
    return Response(200, collection(request, "events", [_event(row) for row in rows]))


_EVENT = {
    "audit_id": "audit_id",
    "user_id": "user_id",
    "project_id": "project_id",
    "domain_id": "domain_id",
    "trust_id": "OS-TRUST:trust_id",
    "consumer_id": "OS-OAUTH1:consumer_id",
    "access_token_id": "OS-OAUTH1:access_token_id",
}


def _event(row: Any) -> dict[str, str]:
    about = {name: getattr(row, column) for column, name in _EVENT.items()}
    return {"issued_before": f"{moment(row.issued_before)}Z", **{k: v for k, v in about.items() if v is not None}}


def auth_catalog(request: Request) -> Response:
    context = request.context
    if context.project_id is None and context.domain_id is None and not context.system:
        raise Forbidden("An unscoped token has no catalog.")
    catalog = request.cloud.identity.catalog(request.base_url, context.project_id)
    return Response(200, collection(request, "catalog", catalog))


def auth_projects(request: Request) -> Response:
    rows = request.cloud.identity.projects_of(request.context.user_id)
    return Response(200, collection(request, "projects", [project_view(row, request) for row in rows]))


def auth_domains(request: Request) -> Response:
    rows = request.cloud.identity.domains_of(request.context.user_id)
    return Response(200, collection(request, "domains", [domain_view(row, request) for row in rows]))


def auth_system(request: Request) -> Response:
    has = request.cloud.identity.has_system_role(request.context.user_id)
    return Response(200, collection(request, "system", [{"all": True}] if has else []))


def _subject(request: Request) -> str:
    token = request.headers.get("x-subject-token")
    if not token:
        raise BadRequest("The header X-Subject-Token is missing: it names the token that is asked about.")
    return token


def _present(request: Request, name: str) -> bool:
    """A query parameter that is on when it is there, unless it says no."""
    return request.arg(name) == "" or bool(request.flag(name, False) if request.arg(name) else False)
