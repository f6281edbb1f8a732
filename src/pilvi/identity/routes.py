"""What Identity answers: Keystone's API v3."""

from __future__ import annotations

from pilvi.http.request import Request, Response
from pilvi.http.routing import Api, Route
from pilvi.identity import handlers_auth as auth
from pilvi.identity import handlers_catalog as catalog
from pilvi.identity import handlers_credentials as credentials
from pilvi.identity import handlers_directory as directory
from pilvi.identity import handlers_domain_config as domain_config
from pilvi.identity import handlers_federation as federation
from pilvi.identity import handlers_grants as grants
from pilvi.identity import handlers_limits as limits
from pilvi.identity import handlers_oauth as oauth
from pilvi.identity import handlers_oauth2 as oauth2
from pilvi.identity import handlers_trusts as trusts
from pilvi.identity import nouns, policy

_TAGS = "/v3/projects/{project_id}/tags"
_MEMBER = "/v3/groups/{group_id}/users/{user_id}"
_IMPLIED = "/v3/roles/{role_id}/implies"

# What Keystone has only a 410 for, since tokens are not signed by certificates any more.
_GONE = ("/v3/auth/tokens/OS-PKI/revoked", "/v3/OS-SIMPLE-CERT/ca", "/v3/OS-SIMPLE-CERT/certificates")


def _version(request: Request) -> Response:
    return auth.version(request, ROUTES)


ROUTES = (
    Route("GET", "", auth.versions, None),
    Route("GET", "/v3", _version, None),
    Route("POST", "/v3/auth/tokens", auth.issue_token, None),
    Route("GET", "/v3/auth/tokens", auth.validate_token, "identity:validate_token"),
    Route("DELETE", "/v3/auth/tokens", auth.revoke_token, "identity:revoke_token"),
    *(Route("GET", path, auth.gone, None) for path in _GONE),
    Route("GET", "/v3/OS-REVOKE/events", auth.list_revocations, "identity:list_revoke_events"),
    Route("GET", "/v3/auth/catalog", auth.auth_catalog, "identity:get_auth_catalog"),
    Route("GET", "/v3/auth/projects", auth.auth_projects, "identity:get_auth_projects"),
    Route("GET", "/v3/auth/domains", auth.auth_domains, "identity:get_auth_domains"),
    Route("GET", "/v3/auth/system", auth.auth_system, "identity:get_auth_system"),
    *nouns.routes_of(nouns.DOMAIN, directory.list_domains),
    *nouns.routes_of(nouns.PROJECT, directory.list_projects, directory.show_project),
    *nouns.routes_of(nouns.USER),
    *nouns.routes_of(nouns.GROUP),
    *nouns.routes_of(nouns.ROLE, grants.list_roles),
    *nouns.routes_of(nouns.SERVICE),
    *nouns.routes_of(nouns.ENDPOINT),
    *nouns.routes_of(nouns.REGION),
    Route("PUT", "/v3/regions/{region_id}", directory.create_region_named, "identity:create_region"),
    Route("GET", _TAGS, directory.list_tags, "identity:list_project_tags"),
    Route("PUT", _TAGS, directory.replace_tags, "identity:update_project_tags"),
    Route("DELETE", _TAGS, directory.delete_tags, "identity:delete_project_tags"),
    Route("GET", _TAGS + "/{value}", directory.check_tag, "identity:get_project_tag"),
    Route("PUT", _TAGS + "/{value}", directory.add_tag, "identity:create_project_tag"),
    Route("DELETE", _TAGS + "/{value}", directory.remove_tag, "identity:delete_project_tag"),
    Route("POST", "/v3/users/{user_id}/password", directory.change_password, None),
    Route("GET", "/v3/users/{user_id}/projects", directory.list_user_projects, "identity:list_user_projects"),
    Route("GET", "/v3/users/{user_id}/groups", directory.list_user_groups, "identity:list_groups_for_user"),
    Route("GET", "/v3/groups/{group_id}/users", directory.list_group_users, "identity:list_users_in_group"),
    Route("GET", _MEMBER, directory.check_member, "identity:check_user_in_group"),
    Route("PUT", _MEMBER, directory.add_member, "identity:add_user_to_group"),
    Route("DELETE", _MEMBER, directory.remove_member, "identity:remove_user_from_group"),
    Route("GET", "/v3/role_inferences", grants.list_inferences, "identity:list_role_inference_rules"),
    Route("GET", _IMPLIED, grants.list_implied, "identity:list_implied_roles"),
    Route("GET", _IMPLIED + "/{implied_role_id}", grants.check_implied, "identity:get_implied_role"),
    Route("HEAD", _IMPLIED + "/{implied_role_id}", grants.confirm_implied, "identity:get_implied_role"),
    Route("PUT", _IMPLIED + "/{implied_role_id}", grants.imply, "identity:create_implied_role"),
    Route("DELETE", _IMPLIED + "/{implied_role_id}", grants.no_longer_imply, "identity:delete_implied_role"),
    *grants.grant_routes(),
    Route("GET", "/v3/role_assignments", grants.list_assignments, "identity:list_role_assignments"),
    *catalog.ROUTES,
    *limits.ROUTES,
    *domain_config.ROUTES,
    *federation.ROUTES,
    *credentials.ROUTES,
    *trusts.ROUTES,
    *oauth.ROUTES,
    *oauth2.ROUTES,
)

API = Api("identity", "/identity", ROUTES, policy.RULES)
