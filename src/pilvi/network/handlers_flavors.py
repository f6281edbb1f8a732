"""Routers' flavors over HTTP: their service profiles, and who provides services."""

from __future__ import annotations

from pilvi.http.request import Request, Response
from pilvi.network.handlers import chosen, identifier
from pilvi.network.wire_flavors import ProfileRequest


def list_providers(request: Request) -> Response:
    found = request.cloud.network.service_providers(request.query)
    return Response(200, {"service_providers": [chosen(request, one) for one in found]})


def add_profile(request: Request) -> Response:
    profile_id = request.decode(ProfileRequest).service_profile.id
    request.cloud.network.add_service_profile(request.context, identifier(request), profile_id)
    return Response(201, {"service_profile": {"id": profile_id}})


def remove_profile(request: Request) -> Response:
    profile_id = identifier(request, "profile_id")
    request.cloud.network.remove_service_profile(request.context, identifier(request), profile_id)
    return Response(204)
