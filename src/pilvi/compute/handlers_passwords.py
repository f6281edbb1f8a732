"""/servers/{id}/os-server-password."""

from __future__ import annotations

from pilvi.http.request import Request, Response


def show(request: Request) -> Response:
    password = request.cloud.compute.guest_password(request.context, request.params["server_id"])
    return Response(200, {"password": password})


def clear(request: Request) -> Response:
    request.cloud.compute.clear_guest_password(request.context, request.params["server_id"])
    return Response(204)
