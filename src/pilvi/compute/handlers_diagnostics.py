"""GET /servers/{id}/diagnostics and /servers/{id}/topology."""

from __future__ import annotations

from pilvi.compute import views_diagnostics
from pilvi.http.request import Request, Response


def diagnostics(request: Request) -> Response:
    row, report = request.cloud.compute.diagnostics(request.context, request.params["server_id"])
    render = views_diagnostics.standard if request.at_least(2, 48) else views_diagnostics.plain
    return Response(200, render(row, report))


def topology(request: Request) -> Response:
    row = request.cloud.compute.server(request.context, request.params["server_id"])
    return Response(200, views_diagnostics.topology(row))
