"""How Identity's things look on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.http.request import Request

V3 = "/identity/v3"


def self_link(request: Request, plural: str, key: str) -> dict[str, str]:
    return {"self": f"{request.base_url}{V3}/{plural}/{key}"}


def collection(request: Request, name: str, items: Sequence[Any], following: str | None = None) -> dict[str, Any]:
    query = f"?{request.query_string}" if request.query_string else ""
    links = {"next": following, "self": f"{request.base_url}{request.path}{query}", "previous": None}
    return {name: items, "links": links}


def domain_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {**row.extra, "id": row.id, "name": row.name, "description": row.description, "enabled": row.enabled,
            "tags": row.tags, "options": {}, "links": self_link(request, "domains", row.id)}


def project_view(row: sa.Row, request: Request) -> dict[str, Any]:
    """A domain, seen as a project, is in no domain and has no parent."""
    return {**row.extra, "id": row.id, "name": row.name, "description": row.description, "enabled": row.enabled,
            "domain_id": row.domain_id or None, "parent_id": row.parent_id, "is_domain": row.is_domain,
            "tags": row.tags, "options": {}, "links": self_link(request, "projects", row.id)}


def user_view(row: sa.Row, request: Request) -> dict[str, Any]:
    view = {**row.extra, "id": row.id, "name": row.name, "domain_id": row.domain_id, "enabled": row.enabled,
            "options": row.options, "password_expires_at": None, "links": self_link(request, "users", row.id)}
    if row.default_project_id is not None:
        view["default_project_id"] = row.default_project_id
    return view


def group_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {**row.extra, "id": row.id, "name": row.name, "domain_id": row.domain_id, "description": row.description,
            "links": self_link(request, "groups", row.id)}


def role_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {**row.extra, "id": row.id, "name": row.name, "domain_id": row.domain_id or None,
            "description": row.description, "options": row.options, "links": self_link(request, "roles", row.id)}
