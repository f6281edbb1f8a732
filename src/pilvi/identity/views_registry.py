"""How policies, endpoint groups, limits and federation look on the wire."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.http.request import Request
from pilvi.identity.views import V3, self_link

EP_FILTER, FEDERATION = "OS-EP-FILTER/", "OS-FEDERATION/"


def _plain(row: sa.Row, request: Request, plural: str, *columns: str) -> dict[str, Any]:
    return {**{name: getattr(row, name) for name in columns}, "links": self_link(request, plural, row.id)}


def policy_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {**row.extra, **_plain(row, request, "policies", "id", "type", "blob")}


def endpoint_group_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return _plain(row, request, EP_FILTER + "endpoint_groups", "id", "name", "description", "filters")


def registered_limit_view(row: sa.Row, request: Request) -> dict[str, Any]:
    columns = ("id", "service_id", "region_id", "resource_name", "default_limit", "description")
    return _plain(row, request, "registered_limits", *columns)


def limit_view(row: sa.Row, request: Request) -> dict[str, Any]:
    columns = ("id", "service_id", "region_id", "resource_name", "resource_limit", "description")
    return _plain(row, request, "limits", *columns, "project_id", "domain_id")


def identity_provider_view(row: sa.Row, request: Request) -> dict[str, Any]:
    columns = ("id", "domain_id", "enabled", "description", "remote_ids", "authorization_ttl")
    view = _plain(row, request, FEDERATION + "identity_providers", *columns)
    view["links"]["protocols"] = view["links"]["self"] + "/protocols"
    return view


def mapping_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return _plain(row, request, FEDERATION + "mappings", "id", "rules", "schema_version")


def protocol_view(row: sa.Row, request: Request) -> dict[str, Any]:
    provider = f"{FEDERATION}identity_providers/{row.idp_id}"
    view = _plain(row, request, provider + "/protocols", "id", "mapping_id", "remote_id_attribute")
    view["links"]["identity_provider"] = f"{request.base_url}{V3}/{provider}"
    return view


def service_provider_view(row: sa.Row, request: Request) -> dict[str, Any]:
    columns = ("id", "auth_url", "sp_url", "enabled", "description", "relay_state_prefix")
    return _plain(row, request, FEDERATION + "service_providers", *columns)
