"""Who may do what in Identity: administrators manage; everybody may see and change what is their own.

ANYONE stands where the service itself asks whether it is the caller's own; the rules of domains where it asks
which domain something is in.
"""

from __future__ import annotations

from pilvi.policy import ADMIN, ANYONE, AUDITOR, DOMAIN_MANAGER, DOMAIN_READER, SERVICE, Rule

_OWN = (
    "validate_token",
    "revoke_token",
    "get_auth_catalog",
    "get_auth_projects",
    "get_auth_domains",
    "get_auth_system",
    "get_domain",
    "get_project",
    "list_project_tags",
    "get_project_tag",
    "get_user",
    "list_user_projects",
    "list_groups_for_user",
    "list_application_credentials",
    "create_application_credential",
    "get_application_credential",
    "delete_application_credential",
    "list_credentials",
    "create_credential",
    "get_credential",
    "update_credential",
    "delete_credential",
    "list_access_rules",
    "get_access_rule",
    "delete_access_rule",
    "ec2_list_credentials",
    "ec2_create_credential",
    "ec2_get_credential",
    "ec2_delete_credential",
    "list_trusts",
    "create_trust",
    "get_trust",
    "delete_trust",
    "list_roles_for_trust",
    "get_role_for_trust",
    "authorize_request_token",
    "list_access_tokens",
    "get_access_token",
    "delete_access_token",
    "list_access_token_roles",
    "get_access_token_role",
)
_AUDITED = (
    "list_consumers",
    "get_consumer",
    "list_role_inference_rules",
    "list_implied_roles",
    "get_implied_role",
    "list_services",
    "get_service",
    "list_endpoints",
    "get_endpoint",
)
_SERVICES = ("list_revoke_events", "create_ec2_token", "create_s3_token")
_PUBLIC = ("list_regions", "get_region")
_OF_DOMAINS = (  # in a domain: its readers see what is in it
    "list_domains",
    "list_projects",
    "list_users",
    "list_groups",
    "get_group",
    "list_users_in_group",
    "check_user_in_group",
    "list_grants",
    "check_grant",
    "list_role_assignments",
    "list_roles",
    "get_role",
)
_BY_DOMAINS = (  # in a domain: its managers change what is in it
    "create_project",
    "update_project",
    "delete_project",
    "update_project_tags",
    "delete_project_tags",
    "create_project_tag",
    "delete_project_tag",
    "create_user",
    "update_user",
    "delete_user",
    "create_group",
    "update_group",
    "delete_group",
    "add_user_to_group",
    "remove_user_from_group",
    "create_grant",
    "revoke_grant",
)
_MANAGED = (
    "create_domain",
    "update_domain",
    "delete_domain",
    "create_role",
    "update_role",
    "delete_role",
    "create_implied_role",
    "delete_implied_role",
    "create_service",
    "update_service",
    "delete_service",
    "create_endpoint",
    "update_endpoint",
    "delete_endpoint",
    "create_region",
    "update_region",
    "delete_region",
    "create_consumer",
    "update_consumer",
    "delete_consumer",
)

RULES: dict[str, Rule] = {
    f"identity:{action}": rule
    for actions, rule in (
        ((*_OWN, *_PUBLIC), ANYONE),
        (_AUDITED, AUDITOR),
        (_SERVICES, SERVICE),
        (_OF_DOMAINS, DOMAIN_READER),
        (_BY_DOMAINS, DOMAIN_MANAGER),
        (_MANAGED, ADMIN),
    )
    for action in actions
}
