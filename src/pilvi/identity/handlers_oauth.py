"""OAuth 1 on the wire: its own three steps speak forms and Authorization headers, the rest JSON."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
import sqlalchemy as sa

from pilvi.faults import BadRequest, Unauthorized
from pilvi.http.app import unauthorized
from pilvi.http.request import Request, Response
from pilvi.http.routing import Route
from pilvi.identity import nouns, wire
from pilvi.identity.handlers_auth import signed
from pilvi.identity.handlers_trusts import role_in
from pilvi.identity.oauth import TokenPair
from pilvi.identity.tables_delegation import consumers
from pilvi.identity.views import V3, collection, moment, role_view

_CONSUMERS = "/v3/OS-OAUTH1/consumers"
_TOKENS = "/v3/users/{user_id}/OS-OAUTH1/access_tokens"
_FORM = "application/x-www-form-urlencoded"


class ConsumerNewBody(msgspec.Struct):
    consumer: wire.ConsumerNew


class ConsumerChangeBody(msgspec.Struct):
    consumer: wire.ConsumerChange


class AuthoriseBody(msgspec.Struct):
    roles: list[wire.RoleRef]


def list_consumers(request: Request) -> Response:
    rows = request.cloud.identity.listing(consumers, [], None, None)
    return Response(200, collection(request, "consumers", [_consumer(row, request) for row in rows]))


def create_consumer(request: Request) -> Response:
    values, extra = nouns.given(request, ConsumerNewBody, "consumer")
    row, secret = request.cloud.identity.create_consumer(values["description"], extra)
    return Response(201, {"consumer": {**_consumer(row, request), "secret": secret}})


def show_consumer(request: Request) -> Response:
    row = request.cloud.identity.row(consumers, request.params["consumer_id"], "consumer")
    return Response(200, {"consumer": _consumer(row, request)})


def update_consumer(request: Request) -> Response:
    values, extra = nouns.given(request, ConsumerChangeBody, "consumer")
    if "secret" in extra:
        raise BadRequest("Invalid input for field/attribute secret. It cannot be changed.")
    row = request.cloud.identity.update_consumer(request.params["consumer_id"], values, extra)
    return Response(200, {"consumer": _consumer(row, request)})


def delete_consumer(request: Request) -> Response:
    request.cloud.identity.delete_consumer(request.params["consumer_id"])
    return Response(204)


def request_token(request: Request) -> Response:
    project_id = request.headers.get("requested-project-id")
    if not project_id:
        raise BadRequest("The header Requested-Project-Id is missing: it names the project to work in.")
    try:
        return _pair(request.cloud.identity.request_token(signed(request), project_id))
    except Unauthorized as fault:
        raise unauthorized(request, fault.message) from None


def access_token(request: Request) -> Response:
    try:
        return _pair(request.cloud.identity.access_token(signed(request)))
    except Unauthorized as fault:
        raise unauthorized(request, fault.message) from None


def authorise(request: Request) -> Response:
    roles = request.decode(AuthoriseBody).roles
    identity, key = request.cloud.identity, request.params["request_token_id"]
    return Response(200, {"token": {"oauth_verifier": identity.authorise(request.context, key, roles)}})


def list_access_tokens(request: Request) -> Response:
    rows = request.cloud.identity.access_tokens_of(request.context, request.params["user_id"])
    return Response(200, collection(request, "access_tokens", [_access_token(row, request) for row in rows]))


def show_access_token(request: Request) -> Response:
    return Response(200, {"access_token": _access_token(_row(request), request)})


def delete_access_token(request: Request) -> Response:
    identity, params = request.cloud.identity, request.params
    identity.delete_access_token(request.context, params["user_id"], params["access_token_id"])
    return Response(204)


def list_access_token_roles(request: Request) -> Response:
    found = request.cloud.identity.roles_of(_row(request))
    return Response(200, collection(request, "roles", [role_view(row, request) for row in found.values()]))


def show_access_token_role(request: Request) -> Response:
    return Response(200, {"role": role_view(role_in(request, _row(request), "access token"), request)})


def _row(request: Request) -> sa.Row:
    params = request.params
    return request.cloud.identity.access_token_of(request.context, params["user_id"], params["access_token_id"])


def _pair(pair: TokenPair) -> Response:
    shown = {"oauth_token": pair.key, "oauth_token_secret": pair.secret}
    text = urlencode({**shown, "oauth_expires_at": f"{moment(pair.expires_at)}Z"})
    return Response(201, text.encode(), content_type=_FORM)


def _consumer(row: sa.Row, request: Request) -> dict[str, Any]:
    links = {"self": f"{request.base_url}{V3}/OS-OAUTH1/consumers/{row.id}"}
    return {**row.extra, "id": row.id, "description": row.description, "links": links}


def _access_token(row: sa.Row, request: Request) -> dict[str, Any]:
    own = f"{request.base_url}{V3}/users/{row.user_id}/OS-OAUTH1/access_tokens/{row.id}"
    return {
        "id": row.id,
        "consumer_id": row.consumer_id,
        "project_id": row.project_id,
        "authorizing_user_id": row.user_id,
        "expires_at": f"{moment(row.expires_at)}Z",
        "links": {"self": own, "roles": f"{own}/roles"},
    }


ROUTES = (
    Route("GET", _CONSUMERS, list_consumers, "identity:list_consumers"),
    Route("POST", _CONSUMERS, create_consumer, "identity:create_consumer"),
    Route("GET", _CONSUMERS + "/{consumer_id}", show_consumer, "identity:get_consumer"),
    Route("PATCH", _CONSUMERS + "/{consumer_id}", update_consumer, "identity:update_consumer"),
    Route("DELETE", _CONSUMERS + "/{consumer_id}", delete_consumer, "identity:delete_consumer"),
    Route("POST", "/v3/OS-OAUTH1/request_token", request_token, None),
    Route("POST", "/v3/OS-OAUTH1/access_token", access_token, None),
    Route("PUT", "/v3/OS-OAUTH1/authorize/{request_token_id}", authorise, "identity:authorize_request_token"),
    Route("GET", _TOKENS, list_access_tokens, "identity:list_access_tokens"),
    Route("GET", _TOKENS + "/{access_token_id}", show_access_token, "identity:get_access_token"),
    Route("DELETE", _TOKENS + "/{access_token_id}", delete_access_token, "identity:delete_access_token"),
    Route("GET", _TOKENS + "/{access_token_id}/roles", list_access_token_roles,
          "identity:list_access_token_roles"),
    Route("GET", _TOKENS + "/{access_token_id}/roles/{role_id}", show_access_token_role,
          "identity:get_access_token_role"),
)
