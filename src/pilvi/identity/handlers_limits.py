"""Registered limits, and those of projects and domains: several are made at once."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pilvi.http.request import Request, Response
from pilvi.http.routing import Route
from pilvi.identity import wire_registry as wire
from pilvi.identity.limits import MODEL
from pilvi.identity.store import Filter
from pilvi.identity.views import collection
from pilvi.identity.views_registry import limit_view, registered_limit_view

Some = msgspec.Meta(min_length=1, max_length=1000)


class RegisteredLimitsBody(msgspec.Struct, forbid_unknown_fields=True):
    registered_limits: Annotated[list[wire.RegisteredLimitNew], Some]


class RegisteredLimitBody(msgspec.Struct, forbid_unknown_fields=True):
    registered_limit: wire.RegisteredLimitChange


class LimitsBody(msgspec.Struct, forbid_unknown_fields=True):
    limits: Annotated[list[wire.LimitNew], Some]


class LimitBody(msgspec.Struct, forbid_unknown_fields=True):
    limit: wire.LimitChange


def given(fields: msgspec.Struct) -> dict[str, Any]:
    known = {name: getattr(fields, name) for name in fields.__struct_fields__}
    return {name: value for name, value in known.items() if value is not msgspec.UNSET}


def model(request: Request) -> Response:
    return Response(200, {"model": MODEL})


def list_registered(request: Request) -> Response:
    filters = [Filter(name, "", value) for name, value in _filters(request, _PLACE).items()]
    rows = request.cloud.identity.registered_limits(filters)
    return _collection(
        request, "registered_limits", [registered_limit_view(row, request) for row in rows]
    )


def register(request: Request) -> Response:
    wanted = [given(each) for each in request.decode(RegisteredLimitsBody).registered_limits]
    rows = request.cloud.identity.create_registered_limits(wanted)
    return Response(201, {"registered_limits": [registered_limit_view(row, request) for row in rows]})


def show_registered(request: Request) -> Response:
    row = request.cloud.identity.registered_limit(request.params["registered_limit_id"])
    return Response(200, {"registered_limit": registered_limit_view(row, request)})


def change_registered(request: Request) -> Response:
    values = given(request.decode(RegisteredLimitBody).registered_limit)
    row = request.cloud.identity.update_registered_limit(request.params["registered_limit_id"], values)
    return Response(200, {"registered_limit": registered_limit_view(row, request)})


def delete_registered(request: Request) -> Response:
    request.cloud.identity.delete_registered_limit(request.params["registered_limit_id"])
    return Response(204)


def list_limits(request: Request) -> Response:
    wanted = _filters(request, (*_PLACE, "project_id", "domain_id"))
    rows = request.cloud.identity.limits(request.context, wanted)
    return _collection(request, "limits", [limit_view(row, request) for row in rows])


def create_limits(request: Request) -> Response:
    wanted = [given(each) for each in request.decode(LimitsBody).limits]
    rows = request.cloud.identity.create_limits(wanted)
    return Response(201, {"limits": [limit_view(row, request) for row in rows]})


def show_limit(request: Request) -> Response:
    row = request.cloud.identity.limit(request.context, request.params["limit_id"])
    return Response(200, {"limit": limit_view(row, request)})


def change_limit(request: Request) -> Response:
    values = given(request.decode(LimitBody).limit)
    row = request.cloud.identity.update_limit(request.params["limit_id"], values)
    return Response(200, {"limit": limit_view(row, request)})


def delete_limit(request: Request) -> Response:
    request.cloud.identity.delete_limit(request.params["limit_id"])
    return Response(204)


_PLACE = ("service_id", "region_id", "resource_name")


def _filters(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name in names if (value := request.arg(name)) is not None}


def _collection(request: Request, name: str, views: list[dict[str, Any]]) -> Response:
    return Response(200, collection(request, name, views))


_REGISTERED, _LIMIT = "/v3/registered_limits", "/v3/limits"

ROUTES = (
    Route("GET", _REGISTERED, list_registered, "identity:list_registered_limits"),
    Route("POST", _REGISTERED, register, "identity:create_registered_limits"),
    Route("GET", _REGISTERED + "/{registered_limit_id}", show_registered, "identity:get_registered_limit"),
    Route(
        "PATCH", _REGISTERED + "/{registered_limit_id}", change_registered, "identity:update_registered_limit"
    ),
    Route(
        "DELETE",
        _REGISTERED + "/{registered_limit_id}",
        delete_registered,
        "identity:delete_registered_limit",
    ),
    Route("GET", _LIMIT + "/model", model, "identity:get_limit_model"),
    Route("GET", _LIMIT, list_limits, "identity:list_limits"),
    Route("POST", _LIMIT, create_limits, "identity:create_limits"),
    Route("GET", _LIMIT + "/{limit_id}", show_limit, "identity:get_limit"),
    Route("PATCH", _LIMIT + "/{limit_id}", change_limit, "identity:update_limit"),
    Route("DELETE", _LIMIT + "/{limit_id}", delete_limit, "identity:delete_limit"),
)
