"""Port forwardings over HTTP: objects within a floating IP."""

from __future__ import annotations

from typing import Any

from pilvi.http.request import Request, Response
from pilvi.network import wire
from pilvi.network.handlers import chosen, identifier, listed
from pilvi.network.nouns import PORT_FORWARDING
from pilvi.network.wire_forwardings import PortForwardingChange, PortForwardingNew


def show_all(request: Request) -> Response:
    found = request.cloud.network.port_forwardings(request.context, identifier(request), request.query)
    return listed(request, PORT_FORWARDING, *found)


def show(request: Request) -> Response:
    item = request.cloud.network.port_forwarding(request.context, identifier(request), _inner(request))
    return Response(200, {"port_forwarding": chosen(request, item)})


def create(request: Request) -> Response:
    wanted, many = wire.items(request, PORT_FORWARDING, PortForwardingNew)
    made = request.cloud.network.create_port_forwardings(request.context, identifier(request), wanted)
    return Response(201, {"port_forwardings": made} if many else {"port_forwarding": made[0]})


def update(request: Request) -> Response:
    change = wire.item(request.decode(dict[str, Any]), PORT_FORWARDING, PortForwardingChange, "PUT")
    item = request.cloud.network.update_port_forwarding(
        request.context, identifier(request), _inner(request), change
    )
    return Response(200, {"port_forwarding": item})


def delete(request: Request) -> Response:
    request.cloud.network.delete_port_forwarding(request.context, identifier(request), _inner(request))
    return Response(204)


def _inner(request: Request) -> str:
    return identifier(request, "forwarding_id")
