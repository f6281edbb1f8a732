"""Identity providers with their protocols, mappings, service providers."""

from __future__ import annotations

import msgspec

from pilvi.faults import NotImplementedHere
from pilvi.http.request import Request, Response
from pilvi.http.routing import Route
from pilvi.identity import handlers_auth as auth
from pilvi.identity import nouns, tables_registry
from pilvi.identity import wire_registry as wire
from pilvi.identity.handlers_limits import given
from pilvi.identity.views import collection
from pilvi.identity.views_registry import (
    FEDERATION,
    identity_provider_view,
    mapping_view,
    protocol_view,
    service_provider_view,
)
from pilvi.identity.wire import Id

IDENTITY_PROVIDER = nouns.Noun(
    "identity_provider",
    "identity_providers",
    tables_registry.identity_providers,
    wire.IdentityProviderNew,
    wire.IdentityProviderChange,
    identity_provider_view,
    {"id": str, "enabled": bool},
    place=FEDERATION,
    named=True,
)
MAPPING = nouns.Noun(
    "mapping",
    "mappings",
    tables_registry.mappings,
    wire.MappingNew,
    wire.MappingChange,
    mapping_view,
    {"id": str},
    place=FEDERATION,
    named=True,
)
SERVICE_PROVIDER = nouns.Noun(
    "service_provider",
    "service_providers",
    tables_registry.service_providers,
    wire.ServiceProviderNew,
    wire.ServiceProviderChange,
    service_provider_view,
    {"id": str, "enabled": bool},
    place=FEDERATION,
    named=True,
)


class ProtocolNewBody(msgspec.Struct):
    protocol: wire.ProtocolNew


class ProtocolBody(msgspec.Struct):
    protocol: wire.ProtocolChange


def list_protocols(request: Request) -> Response:
    rows = request.cloud.identity.protocols(request.params["identity_provider_id"])
    return Response(200, collection(request, "protocols", [protocol_view(row, request) for row in rows]))


def create_protocol(request: Request) -> Response:
    values = given(request.decode(ProtocolNewBody).protocol)
    key = nouns.converted(request.params["protocol_id"], Id, "id")
    row = request.cloud.identity.create_protocol(request.params["identity_provider_id"], key, values)
    return Response(201, {"protocol": protocol_view(row, request)})


def show_protocol(request: Request) -> Response:
    row = request.cloud.identity.protocol(*_protocol(request))
    return Response(200, {"protocol": protocol_view(row, request)})


def update_protocol(request: Request) -> Response:
    row = request.cloud.identity.update_protocol(
        *_protocol(request), given(request.decode(ProtocolBody).protocol)
    )
    return Response(200, {"protocol": protocol_view(row, request)})


def delete_protocol(request: Request) -> Response:
    request.cloud.identity.delete_protocol(*_protocol(request))
    return Response(204)


def _protocol(request: Request) -> tuple[str, str]:
    return request.params["identity_provider_id"], request.params["protocol_id"]


def no_federated_login(request: Request) -> Response:
    raise NotImplementedHere("Nobody logs in by federation here: log in by a password or an application credential.")


_AUTH = "/v3/auth/OS-FEDERATION"
_LOGINS = (
    f"/v3/{FEDERATION}identity_providers/{{identity_provider_id}}/protocols/{{protocol_id}}/auth",
    f"{_AUTH}/identity_providers/{{identity_provider_id}}/protocols/{{protocol_id}}/websso",
    f"{_AUTH}/websso/{{protocol_id}}",
    f"{_AUTH}/saml2",
    f"{_AUTH}/saml2/ecp",
)
_EVERY = f"/v3/{FEDERATION}identity_providers/{{identity_provider_id}}/protocols"
_ONE = _EVERY + "/{protocol_id}"

ROUTES = (
    *nouns.routes_of(IDENTITY_PROVIDER),
    *nouns.routes_of(MAPPING),
    *nouns.routes_of(SERVICE_PROVIDER),
    Route("GET", _EVERY, list_protocols, "identity:list_protocols"),
    Route("PUT", _ONE, create_protocol, "identity:create_protocol"),
    Route("GET", _ONE, show_protocol, "identity:get_protocol"),
    Route("PATCH", _ONE, update_protocol, "identity:update_protocol"),
    Route("DELETE", _ONE, delete_protocol, "identity:delete_protocol"),
    *(Route(method, path, no_federated_login, None) for path in _LOGINS for method in ("GET", "POST")),
    Route("GET", f"/v3/{FEDERATION}saml2/metadata", no_federated_login, None),
    Route("GET", f"/v3/{FEDERATION}projects", auth.auth_projects, "identity:get_auth_projects"),
    Route("GET", f"/v3/{FEDERATION}domains", auth.auth_domains, "identity:get_auth_domains"),
)
