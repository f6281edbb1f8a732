"""Remote consoles: POST /servers/{id}/remote-consoles, the actions before it, and what proxies ask of a token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pilvi.compute import wire
from pilvi.compute.console_proxy import console_url
from pilvi.compute.handlers_base import Action, argument
from pilvi.faults import Unauthorized
from pilvi.http.request import Request, Response


def create(request: Request) -> Response:
    wanted = request.decode(wire.RemoteConsole).remote_console
    wire.check_console(request, wanted)
    opened = request.cloud.compute.open_console(
        request.context, request.params["server_id"], wanted.protocol, wanted.type)
    url = console_url(request.base_url, opened.protocol, opened.token)
    return Response(200, {"remote_console": {"protocol": opened.protocol, "type": opened.type, "url": url}})


def legacy(name: str, protocol: str) -> Callable[[Request, str, Any], Response]:
    """The action of this name, which there was until 2.5."""

    def do(request: Request, server_id: str, value: Any) -> Response:
        wanted = argument(name, value, wire.LegacyConsole).type
        opened = request.cloud.compute.open_console(request.context, server_id, protocol, wanted)
        url = console_url(request.base_url, protocol, opened.token)
        return Response(200, {"console": {"type": opened.type, "url": url}})

    return do


def auth_token(request: Request) -> Response:
    """Before 2.31 for RDP consoles alone, of which there are none. What is connected to is a unix socket of the
    host, which has no port."""
    row, host, socket = request.cloud.compute.console_of(request.params["token"])
    if not request.at_least(2, 31):
        raise Unauthorized("The requested console type details are not accessible")
    body = {"instance_uuid": row.server_id, "host": host, "port": 0, "internal_access_path": str(socket)}
    if request.at_least(2, 99):
        body["tls_port"] = None
    return Response(200, {"console": body})


LEGACY = {"os-getVNCConsole": "vnc", "os-getSPICEConsole": "spice", "os-getRDPConsole": "rdp",
          "os-getSerialConsole": "serial"}
ACTIONS = {name: Action(legacy(name, protocol), until=(2, 5), rule="servers:consoles")
           for name, protocol in LEGACY.items()}
