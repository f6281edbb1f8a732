"""What Identity answers: Keystone's API v3."""

from __future__ import annotations

from pilvi.http.routing import Api, Route
from pilvi.identity import handlers_auth as auth
from pilvi.identity import policy

ROUTES = (
    Route("GET", "", auth.versions, None),
    Route("GET", "/v3", auth.version, None),
    Route("POST", "/v3/auth/tokens", auth.issue_token, None),
    Route("GET", "/v3/auth/tokens", auth.validate_token, "identity:validate_token"),
    Route("DELETE", "/v3/auth/tokens", auth.revoke_token, "identity:revoke_token"),
    Route("GET", "/v3/auth/catalog", auth.auth_catalog, "identity:get_auth_catalog"),
    Route("GET", "/v3/auth/projects", auth.auth_projects, "identity:get_auth_projects"),
    Route("GET", "/v3/auth/domains", auth.auth_domains, "identity:get_auth_domains"),
    Route("GET", "/v3/auth/system", auth.auth_system, "identity:get_auth_system"),
)

API = Api("identity", "/identity", ROUTES, policy.RULES)
