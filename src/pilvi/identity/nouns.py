"""What Identity manages is handled alike: a noun says what is particular, `routes_of` makes the routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa

from pilvi.engine.clock import parse_time
from pilvi.faults import BadRequest
from pilvi.http.pagination import limit_of, next_link
from pilvi.http.request import Request, Response, boolean, field_message
from pilvi.http.routing import Route
from pilvi.identity import tables, views, wire
from pilvi.identity.store import Filter
from pilvi.identity.views import collection

T = TypeVar("T")
KEPT_BY_US = frozenset(
    {"id", "links", "password", "password_expires_at", "original_password"}
)  # never the client's
MAX_LIMIT = 10_000


class Noun(NamedTuple):
    singular: str
    plural: str
    table: sa.Table
    new: type[msgspec.Struct]
    change: type[msgspec.Struct]
    view: Callable[[sa.Row, Request], dict[str, Any]]
    filters: Mapping[str, type]  # bool, str, or int for a moment, by column
    shown_by: str | None = None  # the verb that shows one, where who may see it is more than a role
    place: str = ""  # of an extension: "OS-EP-FILTER/"
    named: bool = False  # made by PUT, under an id of the client's choice


Handler = Callable[[Request], Response]


def routes_of(
    noun: Noun, listing: Handler | None = None, showing: Handler | None = None
) -> tuple[Route, ...]:
    """List, create, show, update and delete."""
    every = f"/v3/{noun.place}{noun.plural}"
    one = f"{every}/{{{noun.singular}_id}}"
    made = ("PUT", one) if noun.named else ("POST", every)
    return (
        Route("GET", every, listing or _list(noun), f"identity:list_{noun.plural}"),
        Route(*made, _create(noun), f"identity:create_{noun.singular}"),
        Route("GET", one, showing or _show(noun), f"identity:get_{noun.singular}"),
        Route("PATCH", one, _update(noun), f"identity:update_{noun.singular}"),
        Route("DELETE", one, _delete(noun), f"identity:delete_{noun.singular}"),
    )


def _list(noun: Noun) -> Handler:
    def handler(request: Request) -> Response:
        limit, marker = page(request)
        wanted = [*filters(request, noun), *(reach(request) if "domain_id" in noun.filters else ())]
        rows = request.cloud.identity.listing(noun.table, wanted, limit, marker)
        return page_of(request, noun, rows, limit)

    return handler


def _create(noun: Noun) -> Handler:
    body = msgspec.defstruct("Body", [(noun.singular, noun.new)])

    def handler(request: Request) -> Response:
        values, extra = given(request, body, noun.singular)
        if noun.named:
            key = converted(request.params[f"{noun.singular}_id"], wire.Id, "id")
            if values.get("id") not in (None, key):
                raise BadRequest(f"Invalid input for field/attribute id. It is {key}, in the path.")
            values["id"] = key
        row = getattr(request.cloud.identity, f"create_{noun.singular}")(request.context, values, extra)
        return Response(201, {noun.singular: noun.view(row, request)})

    return handler


def _show(noun: Noun) -> Handler:
    def handler(request: Request) -> Response:
        identity, key = request.cloud.identity, request.params[f"{noun.singular}_id"]
        row = (
            getattr(identity, noun.shown_by)(request.context, key)
            if noun.shown_by
            else identity.row(noun.table, key, noun.singular)
        )
        return Response(200, {noun.singular: noun.view(row, request)})

    return handler


def _update(noun: Noun) -> Handler:
    body = msgspec.defstruct("Body", [(noun.singular, noun.change)])

    def handler(request: Request) -> Response:
        values, extra = given(request, body, noun.singular)
        key = request.params[f"{noun.singular}_id"]
        row = getattr(request.cloud.identity, f"update_{noun.singular}")(request.context, key, values, extra)
        return Response(200, {noun.singular: noun.view(row, request)})

    return handler


def _delete(noun: Noun) -> Handler:
    def handler(request: Request) -> Response:
        key = request.params[f"{noun.singular}_id"]
        getattr(request.cloud.identity, f"delete_{noun.singular}")(request.context, key)
        return Response(204)

    return handler


def given(request: Request, body: type[msgspec.Struct], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields we know, as far as they were given, and the client's own. Raises BadRequest."""
    known = getattr(request.decode(body), name)
    values = {
        field: value
        for field in known.__struct_fields__
        if (value := getattr(known, field)) is not msgspec.UNSET
    }
    for field in ("options", "filters"):
        if field in values:
            values[field] = msgspec.to_builtins(values[field])
    everything = msgspec.json.decode(request.body)[name]
    extra = {
        field: value
        for field, value in everything.items()
        if field not in known.__struct_fields__ and field not in KEPT_BY_US
    }
    return values, extra


def filters(request: Request, noun: Noun) -> list[Filter]:
    """Query parameters that name no column say nothing about a listing."""
    found = []
    for name, values in request.query.items():
        column, _, how = name.partition("__")
        kind = noun.filters.get(column)
        if kind is bool:
            found.append(Filter(column, how, values[-1] == "" or boolean(values[-1], name)))
        elif kind is str:
            found.append(Filter(column, how, values[-1]))
        elif kind is int and not how:
            found.append(_moment_filter(column, values[-1]))
    return found


def reach(request: Request) -> list[Filter]:
    """Who is a domain's reader, and no more, sees what is in that domain."""
    context = request.context
    return [] if context.is_auditor else [Filter("domain_id", "", context.read_domain)]


def _moment_filter(column: str, text: str) -> Filter:
    """ "lt:2026-01-31T12:00:00Z": before then; also lte, gt, gte, eq, neq. Raises BadRequest."""
    how, _, moment = text.partition(":")
    try:
        if how in ("lt", "lte", "gt", "gte", "eq", "neq"):
            return Filter(column, "" if how == "eq" else how, parse_time(moment))
    except (ValueError, OverflowError):
        pass
    raise BadRequest(
        f"Invalid input for field/attribute {column}. Value: {text[:64]}. "
        "It takes lt, lte, gt, gte, eq or neq, a colon and a time."
    )


def page(request: Request) -> tuple[int | None, str | None]:
    return (limit_of(request, MAX_LIMIT, 1) if "limit" in request.query else None), request.arg("marker")


def page_of(request: Request, noun: Noun, rows: Sequence[sa.Row], limit: int | None) -> Response:
    full = limit is not None and len(rows) == limit
    following = next_link(request, rows[-1].id) if full else None
    return Response(
        200, collection(request, noun.plural, [noun.view(row, request) for row in rows], following)
    )


def converted(value: Any, kind: type[T], name: str) -> T:
    """Raises BadRequest, naming the field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(field_message(error).replace("request body", name)) from None


DOMAIN = Noun(
    "domain",
    "domains",
    tables.projects,
    wire.DomainNew,
    wire.DomainChange,
    views.domain_view,
    {"name": str, "enabled": bool},
    "domain",
)
PROJECT = Noun(
    "project",
    "projects",
    tables.projects,
    wire.ProjectNew,
    wire.ProjectChange,
    views.project_view,
    {"name": str, "enabled": bool, "domain_id": str, "parent_id": str, "is_domain": bool},
    "project",
)
USER = Noun(
    "user",
    "users",
    tables.users,
    wire.UserNew,
    wire.UserChange,
    views.user_view,
    {"name": str, "enabled": bool, "domain_id": str, "default_project_id": str, "password_expires_at": int},
    "user",
)
GROUP = Noun(
    "group",
    "groups",
    tables.groups,
    wire.GroupNew,
    wire.GroupChange,
    views.group_view,
    {"name": str, "domain_id": str},
    "group",
)
ROLE = Noun(
    "role",
    "roles",
    tables.roles,
    wire.RoleNew,
    wire.RoleChange,
    views.role_view,
    {"name": str, "domain_id": str},
    "role",
)
SERVICE = Noun(
    "service",
    "services",
    tables.services,
    wire.ServiceNew,
    wire.ServiceChange,
    views.service_view,
    {"name": str, "type": str, "enabled": bool},
)
ENDPOINT = Noun(
    "endpoint",
    "endpoints",
    tables.endpoints,
    wire.EndpointNew,
    wire.EndpointChange,
    views.endpoint_view,
    {"interface": str, "service_id": str, "region_id": str, "enabled": bool},
)
REGION = Noun(
    "region",
    "regions",
    tables.regions,
    wire.RegionNew,
    wire.RegionChange,
    views.region_view,
    {"parent_region_id": str},
)
CREDENTIAL = Noun(
    "credential",
    "credentials",
    tables.credentials,
    wire.CredentialNew,
    wire.CredentialChange,
    views.credential_view,
    {"user_id": str, "type": str},
    "credential",
)
