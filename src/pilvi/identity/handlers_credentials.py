"""Application credentials and their access rules, credentials for other services, and EC2 keys."""

from __future__ import annotations

from typing import Any

import msgspec

from pilvi.faults import Unauthorized
from pilvi.http.app import unauthorized
from pilvi.http.request import Request, Response
from pilvi.http.routing import Route
from pilvi.identity import nouns, wire
from pilvi.identity.ec2 import Key
from pilvi.identity.handlers_auth import token_response
from pilvi.identity.views import V3, access_rule_view, application_credential_view, collection, credential_view

_APPLICATION = "/v3/users/{user_id}/application_credentials"
_RULES = "/v3/users/{user_id}/access_rules"
_EC2 = "/v3/users/{user_id}/credentials/OS-EC2"


class ApplicationCredentialBody(msgspec.Struct):
    application_credential: wire.ApplicationCredentialNew


class Ec2Body(msgspec.Struct):
    """`ec2Credentials` is the name of old clients."""

    credentials: wire.Ec2Signed | None = None
    old: wire.Ec2Signed | None = msgspec.field(default=None, name="ec2Credentials")


class S3Body(msgspec.Struct):
    credentials: wire.S3Signed


def list_application_credentials(request: Request) -> Response:
    identity = request.cloud.identity
    rows = identity.application_credentials(request.context, request.params["user_id"], request.arg("name"))
    roles, rules = identity.role_rows(), identity.rules_of(rows)
    views = [application_credential_view(row, roles, rules, request) for row in rows]
    return Response(200, collection(request, "application_credentials", views))


def create_application_credential(request: Request) -> Response:
    identity = request.cloud.identity
    wanted = request.decode(ApplicationCredentialBody).application_credential
    row, secret = identity.create_application_credential(request.context, request.params["user_id"], wanted)
    return Response(201, {"application_credential": {**_view(row, request), "secret": secret}})


def show_application_credential(request: Request) -> Response:
    row = request.cloud.identity.application_credential(
        request.context, request.params["user_id"], request.params["application_credential_id"]
    )
    return Response(200, {"application_credential": _view(row, request)})


def _view(row: Any, request: Request) -> dict[str, Any]:
    identity = request.cloud.identity
    return application_credential_view(row, identity.role_rows(), identity.rules_of([row]), request)


def delete_application_credential(request: Request) -> Response:
    request.cloud.identity.delete_application_credential(
        request.context, request.params["user_id"], request.params["application_credential_id"]
    )
    return Response(204)


def list_access_rules(request: Request) -> Response:
    wanted = {name: text for name in ("service", "path", "method") if (text := request.arg(name)) is not None}
    rows = request.cloud.identity.access_rules(request.context, request.params["user_id"], wanted)
    return Response(200, collection(request, "access_rules", [access_rule_view(row, request) for row in rows]))


def show_access_rule(request: Request) -> Response:
    user_id, key = request.params["user_id"], request.params["access_rule_id"]
    row = request.cloud.identity.access_rule(request.context, user_id, key)
    return Response(200, {"access_rule": access_rule_view(row, request)})


def delete_access_rule(request: Request) -> Response:
    user_id, key = request.params["user_id"], request.params["access_rule_id"]
    request.cloud.identity.delete_access_rule(request.context, user_id, key)
    return Response(204)


def list_credentials(request: Request) -> Response:
    rows = request.cloud.identity.credentials(request.context, nouns.filters(request, nouns.CREDENTIAL))
    return Response(200, collection(request, "credentials", [credential_view(row, request) for row in rows]))


# EC2


def create_ec2(request: Request) -> Response:
    project_id = request.decode(wire.Ec2New).tenant_id
    key = request.cloud.identity.create_ec2(request.context, request.params["user_id"], project_id)
    return Response(201, {"credential": _key(key, request)})


def list_ec2(request: Request) -> Response:
    found = request.cloud.identity.ec2_keys(request.context, request.params["user_id"])
    return Response(200, collection(request, "credentials", [_key(key, request) for key in found]))


def show_ec2(request: Request) -> Response:
    params = request.params
    key = request.cloud.identity.ec2_key(request.context, params["user_id"], params["access"])
    return Response(200, {"credential": _key(key, request)})


def delete_ec2(request: Request) -> Response:
    params = request.params
    request.cloud.identity.delete_ec2(request.context, params["user_id"], params["access"])
    return Response(204)


def ec2_token(request: Request) -> Response:
    body = request.decode(Ec2Body)
    shown = body.credentials or body.old
    try:
        if shown is None:
            raise Unauthorized("EC2 signature not supplied: the body has no credentials.")
        return token_response(200, request, request.cloud.identity.issue_for_ec2(shown))
    except Unauthorized as fault:
        raise unauthorized(request, fault.message) from None


def s3_token(request: Request) -> Response:
    shown = request.decode(S3Body).credentials
    try:
        return token_response(200, request, request.cloud.identity.issue_for_s3(shown))
    except Unauthorized as fault:
        raise unauthorized(request, fault.message) from None


def _key(key: Key, request: Request) -> dict[str, Any]:
    return {
        "user_id": key.user_id,
        "tenant_id": key.project_id,
        "access": key.access,
        "secret": key.secret,
        "trust_id": key.trust_id,
        "links": {"self": f"{request.base_url}{V3}/users/{key.user_id}/credentials/OS-EC2/{key.access}"},
    }


ROUTES = (
    *nouns.routes_of(nouns.CREDENTIAL, list_credentials),
    Route("GET", _APPLICATION, list_application_credentials, "identity:list_application_credentials"),
    Route("POST", _APPLICATION, create_application_credential, "identity:create_application_credential"),
    Route("GET", _APPLICATION + "/{application_credential_id}", show_application_credential,
          "identity:get_application_credential"),
    Route("DELETE", _APPLICATION + "/{application_credential_id}", delete_application_credential,
          "identity:delete_application_credential"),
    Route("GET", _RULES, list_access_rules, "identity:list_access_rules"),
    Route("GET", _RULES + "/{access_rule_id}", show_access_rule, "identity:get_access_rule"),
    Route("DELETE", _RULES + "/{access_rule_id}", delete_access_rule, "identity:delete_access_rule"),
    Route("GET", _EC2, list_ec2, "identity:ec2_list_credentials"),
    Route("POST", _EC2, create_ec2, "identity:ec2_create_credential"),
    Route("GET", _EC2 + "/{access}", show_ec2, "identity:ec2_get_credential"),
    Route("DELETE", _EC2 + "/{access}", delete_ec2, "identity:ec2_delete_credential"),
    # Whoever could call these with a signature that somebody else made would get that one's token.
    Route("POST", "/v3/ec2tokens", ec2_token, "identity:create_ec2_token"),
    Route("POST", "/v3/s3tokens", s3_token, "identity:create_s3_token"),
)
