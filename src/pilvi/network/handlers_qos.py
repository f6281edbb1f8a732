"""Quality of service over HTTP: rules within a policy, their aliases without it, and the kinds of rules."""

from __future__ import annotations

from typing import Any

from pilvi.faults import BadRequest
from pilvi.http.request import Request, Response, boolean
from pilvi.http.routing import Route
from pilvi.network import wire
from pilvi.network.handlers import Handler, chosen, identifier, listed
from pilvi.network.qos import KINDS, UNSUPPORTED


def _shows_all(kind: str) -> Handler:
    def handler(request: Request) -> Response:
        found = request.cloud.network.qos_rules(request.context, kind, identifier(request), request.query)
        return listed(request, KINDS[kind].noun, *found)

    return handler


def _creates(kind: str) -> Handler:
    noun, new = KINDS[kind].noun, KINDS[kind].new

    def handler(request: Request) -> Response:
        wanted, many = wire.items(request, noun, new)
        made = request.cloud.network.create_qos_rules(request.context, kind, identifier(request), wanted)
        return Response(201, {noun.plural: made} if many else {noun.name: made[0]})

    return handler


def _where(request: Request) -> tuple[str | None, str]:
    """The policy, where the path names it, and the rule."""
    inner = "rule_id" in request.params
    return identifier(request) if inner else None, identifier(request, "rule_id" if inner else "object_id")


def _shows(kind: str, name: str) -> Handler:
    def handler(request: Request) -> Response:
        item = request.cloud.network.qos_rule(request.context, kind, *_where(request))
        return Response(200, {name: chosen(request, item)})

    return handler


def _updates(kind: str, name: str) -> Handler:
    noun = KINDS[kind].noun._replace(name=name)

    def handler(request: Request) -> Response:
        change = wire.item(request.decode(dict[str, Any]), noun, KINDS[kind].change, "PUT")
        item = request.cloud.network.update_qos_rule(request.context, kind, *_where(request), change)
        return Response(200, {name: item})

    return handler


def _deletes(kind: str) -> Handler:
    def handler(request: Request) -> Response:
        request.cloud.network.delete_qos_rule(request.context, kind, *_where(request))
        return Response(204)

    return handler


def _refuses(kind: str) -> Handler:
    def handler(request: Request) -> Response:
        return request.cloud.network.unsupported_qos_rule(request.context, kind, identifier(request))

    return handler


def show_types(request: Request) -> Response:
    """`all_rules`: also those that nothing here does; `all_supported`: those that it does, as without either."""
    unknown = set(request.query) - {"all_rules", "all_supported", "fields", "type"}
    if unknown:
        raise BadRequest(f"['{min(unknown)}'] is invalid attribute for filtering", kind="HTTPBadRequest")
    every, supported = (boolean(request.query.get(name, ["false"])[-1], name) for name in ("all_rules", "all_supported"))
    if every and supported:
        raise BadRequest("Only one of all_rules and all_supported can be asked for.", kind="HTTPBadRequest")
    names = request.cloud.network.qos_rule_types(every)
    wanted = request.query.get("type", names)
    return Response(200, {"rule_types": [chosen(request, {"type": name}) for name in names if name in wanted]})


def show_type(request: Request) -> Response:
    return Response(200, {"rule_type": request.cloud.network.qos_rule_type(identifier(request))})


def routes(prefix: str) -> tuple[Route, ...]:
    found = [
        Route("GET", f"{prefix}/rule-types", show_types, "read"),
        Route("GET", f"{prefix}/rule-types/{{object_id}}", show_type, "read"),
    ]
    for kind in KINDS:
        name, inner = f"{kind}_rule", f"{prefix}/policies/{{object_id}}/{kind}_rules"
        found.append(Route("GET", inner, _shows_all(kind), "read"))
        found.append(Route("POST", inner, _creates(kind), "write_qos"))
        alias = f"{prefix}/alias-{kind.replace('_', '-')}-rules/{{object_id}}"
        for item, shown in ((inner + "/{rule_id}", name), (alias, f"alias_{name}")):
            found.append(Route("GET", item, _shows(kind, shown), "read"))
            found.append(Route("PUT", item, _updates(kind, shown), "write_qos"))
            found.append(Route("DELETE", item, _deletes(kind), "write_qos"))
    found += [
        Route("POST", f"{prefix}/policies/{{object_id}}/{kind}_rules", _refuses(kind), "write_qos")
        for kind in UNSUPPORTED
    ]
    return tuple(found)
