"""What a token, or a receipt for half a login, says in OpenStack's words."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.engine.clock import micros_text
from pilvi.identity.authentication import Issued, MoreFactors
from pilvi.identity.delegations import ACCESS_TOKEN, APPLICATION_CREDENTIAL, Delegation
from pilvi.identity.tokens import DOMAIN, PROJECT, SYSTEM, UNSCOPED


def token_body(issued: Issued, catalog: list[dict[str, Any]] | None) -> dict[str, Any]:
    """`catalog` is None where none is wanted."""
    token, grant = issued.token, issued.grant
    row = grant.subject
    body: dict[str, Any] = {
        "methods": list(token.methods),
        "user": _user(row),
        "audit_ids": list(token.audit_ids),
        **_times(token.issued_at, token.expires_at),
    }
    if grant.scope == PROJECT:
        body["project"] = {
            "id": row.project_id,
            "name": row.project_name,
            "domain": {"id": row.project_domain_id, "name": row.project_domain_name},
        }
        body["is_domain"] = False
    elif grant.scope == DOMAIN:
        body["domain"] = {"id": row.project_id, "name": row.project_name}
    elif grant.scope == SYSTEM:
        body["system"] = {"all": True}
    if grant.scope != UNSCOPED:
        body["roles"] = [{"id": role, "name": name} for role, name in grant.roles.items()]
        if catalog is not None:
            body["catalog"] = catalog
    if grant.delegation is not None:
        body.update(_delegation(grant.delegation))
    return body


def _delegation(delegation: Delegation) -> dict[str, Any]:
    row = delegation.row
    if delegation.kind == APPLICATION_CREDENTIAL:
        view = {"id": row.id, "name": row.name, "restricted": delegation.restricted}
        if delegation.access_rules is not None:
            view["access_rules"] = [
                {"id": rule.id, "service": rule.service, "method": rule.method, "path": rule.path}
                for rule in delegation.access_rules
            ]
        return {"application_credential": view}
    if delegation.kind == ACCESS_TOKEN:
        return {"OS-OAUTH1": {"access_token_id": row.id, "consumer_id": row.consumer_id}}
    parties = {"trustor_user": {"id": row.trustor_id}, "trustee_user": {"id": row.trustee_id}}
    return {"OS-TRUST:trust": {"id": row.id, "impersonation": row.impersonation, **parties}}


def receipt_body(fault: MoreFactors) -> dict[str, Any]:
    receipt = fault.receipt
    return {
        "receipt": {
            "methods": list(receipt.methods),
            "user": _user(fault.person),
            **_times(receipt.issued_at, receipt.expires_at),
        },
        "required_auth_methods": fault.required,
        "error": {"code": 401, "message": fault.message, "title": fault.title},
    }


def _user(row: sa.Row) -> dict[str, Any]:
    expires = row.password_expires_at
    return {
        "id": row.user_id,
        "name": row.user_name,
        "password_expires_at": None if expires is None else micros_text(expires),
        "domain": {"id": row.user_domain_id, "name": row.user_domain_name},
    }


def _times(issued_at: int, expires_at: int) -> dict[str, str]:
    return {"issued_at": micros_text(issued_at) + "Z", "expires_at": micros_text(expires_at) + "Z"}
