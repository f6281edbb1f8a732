"""How Identity's things look on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.engine.clock import micros_text
from pilvi.http.request import Request
from pilvi.identity.catalog import filled

V3 = "/identity/v3"


def self_link(request: Request, plural: str, key: str) -> dict[str, str]:
    return {"self": f"{request.base_url}{V3}/{plural}/{key}"}


def collection(
    request: Request, name: str, items: Sequence[Any], following: str | None = None
) -> dict[str, Any]:
    query = f"?{request.query_string}" if request.query_string else ""
    links = {"next": following, "self": f"{request.base_url}{request.path}{query}", "previous": None}
    return {name: items, "links": links}


def moment(at: int | None) -> str | None:
    return None if at is None else micros_text(at)


def domain_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {
        **row.extra,
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "enabled": row.enabled,
        "tags": row.tags,
        "options": row.options,
        "links": self_link(request, "domains", row.id),
    }


def project_view(row: sa.Row, request: Request) -> dict[str, Any]:
    """A domain, seen as a project, is in no domain and has no parent."""
    return {
        **row.extra,
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "enabled": row.enabled,
        "domain_id": row.domain_id or None,
        "parent_id": row.parent_id,
        "is_domain": row.is_domain,
        "tags": row.tags,
        "options": row.options,
        "links": self_link(request, "projects", row.id),
    }


def user_view(row: sa.Row, request: Request) -> dict[str, Any]:
    view = {
        **row.extra,
        "id": row.id,
        "name": row.name,
        "domain_id": row.domain_id,
        "enabled": row.enabled,
        "options": row.options,
        "password_expires_at": moment(row.password_expires_at),
        "links": self_link(request, "users", row.id),
    }
    if row.default_project_id is not None:
        view["default_project_id"] = row.default_project_id
    return view


def group_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {
        **row.extra,
        "id": row.id,
        "name": row.name,
        "domain_id": row.domain_id,
        "description": row.description,
        "links": self_link(request, "groups", row.id),
    }


def role_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {
        **row.extra,
        "id": row.id,
        "name": row.name,
        "domain_id": row.domain_id or None,
        "description": row.description,
        "options": row.options,
        "links": self_link(request, "roles", row.id),
    }


def service_view(row: sa.Row, request: Request) -> dict[str, Any]:
    view = {
        **row.extra,
        "id": row.id,
        "type": row.type,
        "enabled": row.enabled,
        "links": self_link(request, "services", row.id),
    }
    for name in ("name", "description"):
        if getattr(row, name) is not None:
            view[name] = getattr(row, name)
    return view


def endpoint_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {
        **row.extra,
        "id": row.id,
        "service_id": row.service_id,
        "interface": row.interface,
        "region": row.region_id,
        "region_id": row.region_id,
        "url": filled(row.url, request.base_url),
        "enabled": row.enabled,
        "links": self_link(request, "endpoints", row.id),
    }


def region_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {
        **row.extra,
        "id": row.id,
        "description": row.description,
        "parent_region_id": row.parent_region_id,
        "links": self_link(request, "regions", row.id),
    }


def credential_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {
        **row.extra,
        "id": row.id,
        "user_id": row.user_id,
        "project_id": row.project_id,
        "type": row.type,
        "blob": request.cloud.identity.credential_blob(row),
        "links": self_link(request, "credentials", row.id),
    }


def access_rule_view(row: sa.Row, request: Request) -> dict[str, Any]:
    return {
        "id": row.id,
        "service": row.service,
        "method": row.method,
        "path": row.path,
        "links": self_link(request, f"users/{row.user_id}/access_rules", row.id),
    }


def application_credential_view(
    row: sa.Row, roles: Mapping[str, sa.Row], rules: Mapping[str, sa.Row], request: Request
) -> dict[str, Any]:
    """`roles` and `rules` are rows by id; a role that was deleted since is left out."""
    given = [
        {"id": role, "name": roles[role].name, "domain_id": roles[role].domain_id or None}
        for role in row.role_ids
        if role in roles
    ]
    view = {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "user_id": row.user_id,
        "project_id": row.project_id,
        "expires_at": moment(row.expires_at),
        "unrestricted": row.unrestricted,
        "roles": given,
        "system": None,
        "links": self_link(request, f"users/{row.user_id}/application_credentials", row.id),
    }
    if row.access_rule_ids is not None:
        names = ("id", "service", "method", "path")
        kept = (rules[key] for key in row.access_rule_ids if key in rules)
        view["access_rules"] = [{name: getattr(rule, name) for name in names} for rule in kept]
    return view
