"""Trunks' subports over HTTP."""

from __future__ import annotations

from pilvi.http.request import Request, Response
from pilvi.network.handlers import identifier
from pilvi.network.wire_trunks import SubPortsGoneRequest, SubPortsRequest


def show_subports(request: Request) -> Response:
    return Response(200, {"sub_ports": request.cloud.network.subports(request.context, identifier(request))})


def add_subports(request: Request) -> Response:
    wanted = request.decode(SubPortsRequest).sub_ports
    return Response(200, request.cloud.network.add_subports(request.context, identifier(request), wanted))


def remove_subports(request: Request) -> Response:
    wanted = request.decode(SubPortsGoneRequest).sub_ports
    return Response(200, request.cloud.network.remove_subports(request.context, identifier(request), wanted))
