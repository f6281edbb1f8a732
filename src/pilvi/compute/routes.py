"""What Compute answers: method, path, handler, policy, and the microversions it is there for."""

from __future__ import annotations

from typing import Any

from pilvi.compute import handlers_actions as act
from pilvi.compute import handlers_catalog as catalog
from pilvi.compute import handlers_cloud as cloud
from pilvi.compute import handlers_consoles as consoles
from pilvi.compute import handlers_diagnostics as diagnostics
from pilvi.compute import handlers_events as events
from pilvi.compute import handlers_extensions, policy, routes_admin, routes_legacy
from pilvi.compute import handlers_interfaces as cards
from pilvi.compute import handlers_migrating as migrating
from pilvi.compute import handlers_migrations as migrations
from pilvi.compute import handlers_passwords as passwords
from pilvi.compute import handlers_quotas as quotas
from pilvi.compute import handlers_servers as servers
from pilvi.compute import handlers_trail as trail
from pilvi.compute import handlers_usage as usage
from pilvi.compute import handlers_volumes as volumes
from pilvi.compute.views import PREFIX
from pilvi.faults import Fault
from pilvi.http.routing import Api, Microversions, OneVersion, Route, plain_fault

SERVER = "/v2.1/servers/{server_id}"
VOLUMES = SERVER + "/os-volume_attachments"
FLAVOR = "/v2.1/flavors/{flavor_id}"
QUOTA = "/v2.1/os-quota-sets/{project_id}"
QUOTA_CLASS = "/v2.1/os-quota-class-sets/{name}"

ROUTES = (
    Route("GET", "", cloud.versions, None),
    Route("GET", "/v2", cloud.version_2, None),
    Route("GET", "/v2.1", cloud.version, None),
    Route("GET", "/v2.1/versions/{version}", cloud.named_version, None),
    Route("GET", "/v2.1/extensions", handlers_extensions.extensions, "extensions"),
    Route("GET", "/v2.1/extensions/{alias}", handlers_extensions.one_extension, "extensions"),

    Route("GET", "/v2.1/servers", servers.index, "servers:index"),
    Route("POST", "/v2.1/servers", servers.create, "servers:create"),
    Route("GET", "/v2.1/servers/detail", servers.detail, "servers:index"),
    Route("GET", SERVER, servers.show, "servers:show"),
    Route("PUT", SERVER, servers.update, "servers:update"),
    Route("DELETE", SERVER, servers.delete, "servers:delete"),
    Route("POST", SERVER + "/action", act.act, "servers:action"),
    Route("GET", SERVER + "/migrations", migrating.index, "servers:migrations", since="2.23"),
    Route("GET", SERVER + "/migrations/{migration_id}", migrating.show, "servers:migrations", since="2.23"),
    Route("DELETE", SERVER + "/migrations/{migration_id}", migrating.abort, "servers:migrations", since="2.24"),
    Route("POST", SERVER + "/migrations/{migration_id}/action", migrating.force, "servers:migrations", since="2.22"),
    Route("GET", SERVER + "/metadata", servers.metadata, "servers:metadata:show"),
    Route("POST", SERVER + "/metadata", servers.merge_metadata, "servers:metadata:change"),
    Route("PUT", SERVER + "/metadata", servers.replace_metadata, "servers:metadata:change"),
    Route("GET", SERVER + "/metadata/{key}", servers.metadata_item, "servers:metadata:show"),
    Route("PUT", SERVER + "/metadata/{key}", servers.set_metadata_item, "servers:metadata:change"),
    Route("DELETE", SERVER + "/metadata/{key}", servers.delete_metadata_item, "servers:metadata:change"),
    Route("GET", SERVER + "/tags", servers.tags, "servers:tags:show", since="2.26"),
    Route("PUT", SERVER + "/tags", servers.replace_tags, "servers:tags:change", since="2.26"),
    Route("DELETE", SERVER + "/tags", servers.delete_tags, "servers:tags:change", since="2.26"),
    Route("GET", SERVER + "/tags/{tag}", servers.tag, "servers:tags:show", since="2.26"),
    Route("PUT", SERVER + "/tags/{tag}", servers.add_tag, "servers:tags:change", since="2.26"),
    Route("DELETE", SERVER + "/tags/{tag}", servers.delete_tag, "servers:tags:change", since="2.26"),
    Route("POST", SERVER + "/remote-consoles", consoles.create, "servers:consoles", since="2.6"),
    Route("GET", SERVER + "/ips", cards.ips, "servers:ips"),
    Route("GET", SERVER + "/ips/{network}", cards.ips_of_network, "servers:ips"),
    Route("GET", SERVER + "/os-interface", cards.interfaces, "servers:interfaces"),
    Route("POST", SERVER + "/os-interface", cards.attach, "servers:interfaces:change"),
    Route("GET", SERVER + "/os-interface/{port_id}", cards.interface, "servers:interfaces"),
    Route("DELETE", SERVER + "/os-interface/{port_id}", cards.detach, "servers:interfaces:change"),
    Route("GET", SERVER + "/os-virtual-interfaces", cards.virtual_interfaces, "servers:interfaces", until="2.43"),
    Route("GET", SERVER + "/os-security-groups", cards.security_groups, "servers:security_groups"),
    Route("GET", SERVER + "/diagnostics", diagnostics.diagnostics, "servers:diagnostics"),
    Route("GET", SERVER + "/os-server-password", passwords.show, "servers:password"),
    Route("DELETE", SERVER + "/os-server-password", passwords.clear, "servers:password_clear"),
    Route("GET", SERVER + "/topology", diagnostics.topology, "servers:topology", since="2.78"),
    Route("GET", VOLUMES, volumes.index, "servers:show"),
    Route("POST", VOLUMES, volumes.attach, "servers:interfaces:change"),
    Route("GET", VOLUMES + "/{volume_id}", volumes.show, "servers:show"),
    Route("PUT", VOLUMES + "/{volume_id}", volumes.update, "servers:interfaces:change"),
    Route("DELETE", VOLUMES + "/{volume_id}", volumes.detach, "servers:interfaces:change"),
    Route("GET", SERVER + "/os-instance-actions", trail.actions, "servers:actions"),
    Route("GET", SERVER + "/os-instance-actions/{request_id}", trail.action, "servers:actions"),

    Route("GET", "/v2.1/flavors", catalog.flavors, "flavors:show"),
    Route("POST", "/v2.1/flavors", catalog.create_flavor, "flavors:manage"),
    Route("GET", "/v2.1/flavors/detail", catalog.flavors_detail, "flavors:show"),
    Route("GET", FLAVOR, catalog.flavor, "flavors:show"),
    Route("PUT", FLAVOR, catalog.update_flavor, "flavors:manage", since="2.55"),
    Route("DELETE", FLAVOR, catalog.delete_flavor, "flavors:manage"),
    Route("POST", FLAVOR + "/action", catalog.flavor_action, "flavors:access"),
    Route("GET", FLAVOR + "/os-flavor-access", catalog.flavor_access, "flavors:access"),
    Route("GET", FLAVOR + "/os-extra_specs", catalog.extra_specs, "flavors:show"),
    Route("POST", FLAVOR + "/os-extra_specs", catalog.add_extra_specs, "flavors:manage"),
    Route("GET", FLAVOR + "/os-extra_specs/{key}", catalog.extra_spec, "flavors:show"),
    Route("PUT", FLAVOR + "/os-extra_specs/{key}", catalog.set_extra_spec, "flavors:manage"),
    Route("DELETE", FLAVOR + "/os-extra_specs/{key}", catalog.delete_extra_spec, "flavors:manage"),

    Route("GET", "/v2.1/os-keypairs", catalog.keypair_list, "keypairs:show"),
    Route("POST", "/v2.1/os-keypairs", catalog.create_keypair, "keypairs:change"),
    Route("GET", "/v2.1/os-keypairs/{name}", catalog.keypair, "keypairs:show"),
    Route("DELETE", "/v2.1/os-keypairs/{name}", catalog.delete_keypair, "keypairs:change"),

    Route("GET", "/v2.1/os-console-auth-tokens/{token}", consoles.auth_token, "console_tokens"),
    Route("POST", "/v2.1/os-server-external-events", events.create, "external_events"),

    Route("GET", "/v2.1/limits", quotas.limits, "limits"),
    Route("GET", QUOTA, quotas.quota, "quotas:show"),
    Route("PUT", QUOTA, quotas.update_quota, "quotas:update"),
    Route("DELETE", QUOTA, quotas.reset_quota, "quotas:update"),
    Route("GET", QUOTA + "/defaults", quotas.quota_defaults, "quotas:show"),
    Route("GET", QUOTA + "/detail", quotas.quota_detail, "quotas:show"),
    Route("GET", QUOTA_CLASS, quotas.quota_class, "quota_classes:show"),
    Route("PUT", QUOTA_CLASS, quotas.update_quota_class, "quotas:update"),
    Route("GET", "/v2.1/os-simple-tenant-usage", usage.usage_list, "usage:list"),
    Route("GET", "/v2.1/os-simple-tenant-usage/{project_id}", usage.usage, "usage:show"),

    Route("GET", "/v2.1/os-migrations", migrations.index, "migrations"),

    Route("GET", "/v2.1/os-availability-zone", cloud.zones, "availability_zones"),
    Route("GET", "/v2.1/os-availability-zone/detail", cloud.zones_detail, "availability_zones:detail"),
    Route("GET", "/v2.1/os-hypervisors", cloud.hypervisors, "hypervisors"),
    Route("GET", "/v2.1/os-hypervisors/detail", cloud.hypervisors_detail, "hypervisors"),
    Route("GET", "/v2.1/os-hypervisors/statistics", cloud.hypervisor_statistics, "hypervisors", until="2.87"),
    Route("GET", "/v2.1/os-hypervisors/{hypervisor_id}", cloud.hypervisor, "hypervisors"),
    Route("GET", "/v2.1/os-services", cloud.services, "services"),
    Route("DELETE", "/v2.1/os-services/{service_id}", cloud.delete_service, "services"),
    Route("PUT", "/v2.1/os-services/{service_id}", cloud.named_service, "services", until="2.52"),
    Route("PUT", "/v2.1/os-services/{service_id}", cloud.update_service, "services", since="2.53"),
    *routes_admin.ROUTES,
    *routes_legacy.ROUTES,
)

FAULT_NAMES = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 405: "badMethod",
               409: "conflictingRequest", 413: "overLimit", 415: "badMediaType", 429: "overLimit",
               501: "notImplemented", 503: "serviceUnavailable"}


def fault(refused: Fault) -> dict[str, Any]:
    """Nova's shape; a missing or bad token is answered as Identity's middleware answers it."""
    if refused.status == 401:
        return plain_fault(refused)
    name = FAULT_NAMES.get(refused.status, "computeFault")
    return {name: {"code": refused.status, "message": refused.message}}


MICROVERSIONS = Microversions("compute", cloud.OLDEST, cloud.NEWEST, "X-OpenStack-Nova-API-Version")

API = Api("compute", PREFIX, ROUTES, policy.RULES, fault, MICROVERSIONS,
          lambda request_id: {"x-compute-request-id": request_id}, strict_slash=True)

# The version before microversions is 2.1 under another path.
V2 = API._replace(microversions=OneVersion("compute", cloud.OLDEST), routes=tuple(
    route._replace(path="/v2" + route.path.removeprefix("/v2.1")) for route in ROUTES
    if route.path.startswith("/v2.1/") and route.since is None))
