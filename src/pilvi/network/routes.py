"""What Network answers: Networking API v2.0."""

from __future__ import annotations

from typing import Any

from pilvi.faults import Fault
from pilvi.http.routing import Api, Route
from pilvi.network import (
    handlers,
    handlers_flavors,
    handlers_forwardings,
    handlers_qos,
    handlers_trunks,
    nouns,
    wire,
    wire_addressing,
    wire_agents,
    wire_flavors,
    wire_groups,
    wire_qos,
    wire_sharing,
    wire_trunks,
)
from pilvi.network.policy import RULES

V2 = "/v2.0"


def fault(problem: Fault) -> dict[str, Any]:
    return {"NeutronError": {"type": problem.kind, "message": problem.message, "detail": ""}}


def _object(
    noun: nouns.Noun, verbs: str, verb: str, new: type, change: type | None, writes: str = "write"
) -> tuple[Route, ...]:
    """The routes of one noun; `verb` and `verbs` end the service's verbs for one and for many."""
    collection, item = f"{V2}/{noun.path}", f"{V2}/{noun.path}/{{object_id}}"
    routes = (
        Route("GET", collection, handlers.lister(noun), "read"),
        Route("POST", collection, handlers.creator(noun, new, f"create_{verbs}"), writes),
        Route("GET", item, handlers.shower(noun), "read"),
        Route("DELETE", item, handlers.deleter(f"delete_{verb}"), writes),
    )
    if change is None:
        return routes
    return (*routes, Route("PUT", item, handlers.updater(noun, change, f"update_{verb}"), writes))


_TAGS = V2 + "/{collection}/{object_id}/tags"
_ROUTER = V2 + "/routers/{object_id}"
_FORWARDINGS = V2 + "/floatingips/{object_id}/port_forwardings"
_ADDRESSES = V2 + "/address-groups/{object_id}"
_AUTO = V2 + "/auto-allocated-topology/{project_id}"
_AGENT = V2 + "/agents/{object_id}"
_PROFILES = V2 + "/flavors/{object_id}/service_profiles"
_TRUNK = V2 + "/trunks/{object_id}"
_POOL = V2 + "/subnetpools/{object_id}"
_QUOTA = V2 + "/quotas/{project_id}"

ROUTES = (
    Route("GET", "", handlers.show_versions, None),
    Route("GET", V2, handlers.show_resources, None),
    Route("GET", V2 + "/extensions", handlers.list_extensions, "get_extension"),
    Route("GET", V2 + "/extensions/{alias}", handlers.show_extension, "get_extension"),
    Route("GET", V2 + "/availability_zones", handlers.list_zones, "get_availability_zone"),
    Route("GET", V2 + "/agents", handlers.lister(nouns.AGENT), "list_agents"),
    Route("GET", _AGENT, handlers.shower(nouns.AGENT), "get_agent"),
    Route("PUT", _AGENT, handlers.updater(nouns.AGENT, wire_agents.AgentChange, "update_agent"), "get_agent"),
    Route("DELETE", _AGENT, handlers.deleter("delete_agent"), "get_agent"),
    *_object(nouns.NETWORK, "networks", "network", wire.NetworkNew, wire.NetworkChange),
    *_object(nouns.SUBNET, "subnets", "subnet", wire.SubnetNew, wire.SubnetChange),
    *_object(nouns.SUBNET_POOL, "subnetpools", "subnetpool", wire.SubnetPoolNew, wire.SubnetPoolChange),
    *_object(nouns.PORT, "ports", "port", wire.PortNew, wire.PortChange),
    *_object(nouns.ROUTER, "routers", "router", wire.RouterNew, wire.RouterChange),
    *_object(nouns.FLOATING_IP, "floating_ips", "floating_ip", wire.FloatingIpNew, wire.FloatingIpChange),
    *_object(
        nouns.SECURITY_GROUP,
        "security_groups",
        "security_group",
        wire.SecurityGroupNew,
        wire.SecurityGroupChange,
    ),
    *_object(nouns.QOS_POLICY, "qos_policies", "qos_policy", wire_qos.PolicyNew, wire_qos.PolicyChange, "write_qos"),
    *_object(nouns.FLAVOR, "flavors", "flavor", wire_flavors.FlavorNew, wire_flavors.FlavorChange, "write_flavor"),
    *_object(
        nouns.SERVICE_PROFILE,
        "service_profiles",
        "service_profile",
        wire_flavors.ProfileNew,
        wire_flavors.ProfileChange,
        "write_flavor",
    ),
    Route("POST", _PROFILES, handlers_flavors.add_profile, "write_flavor"),
    Route("DELETE", _PROFILES + "/{profile_id}", handlers_flavors.remove_profile, "write_flavor"),
    Route("GET", V2 + "/service-providers", handlers_flavors.list_providers, "read"),
    *_object(nouns.TRUNK, "trunks", "trunk", wire_trunks.TrunkNew, wire_trunks.TrunkChange),
    Route("GET", _TRUNK + "/get_subports", handlers_trunks.show_subports, "read"),
    Route("PUT", _TRUNK + "/add_subports", handlers_trunks.add_subports, "write"),
    Route("PUT", _TRUNK + "/remove_subports", handlers_trunks.remove_subports, "write"),
    *handlers_qos.routes(V2 + "/qos"),
    *_object(nouns.RULE, "security_group_rules", "security_group_rule", wire.RuleNew, None),
    Route("PUT", _POOL + "/add_prefixes", handlers.add_prefixes, "write"),
    Route("PUT", _POOL + "/remove_prefixes", handlers.remove_prefixes, "write"),
    Route("PUT", _POOL + "/onboard_network_subnets", handlers.onboard, "write"),
    *_object(
        nouns.ADDRESS_SCOPE,
        "address_scopes",
        "address_scope",
        wire_addressing.AddressScopeNew,
        wire_addressing.AddressScopeChange,
    ),
    Route("GET", _AUTO, handlers.show_auto_topology, "read"),
    Route("DELETE", _AUTO, handlers.delete_auto_topology, "write"),
    *_object(
        nouns.ADDRESS_GROUP,
        "address_groups",
        "address_group",
        wire_groups.AddressGroupNew,
        wire_groups.AddressGroupChange,
    ),
    Route("PUT", _ADDRESSES + "/add_addresses", handlers.add_addresses, "write"),
    Route("PUT", _ADDRESSES + "/remove_addresses", handlers.remove_addresses, "write"),
    *_object(
        nouns.DEFAULT_RULE, "default_rules", "default_rule", wire_groups.DefaultRuleNew, None, "write_default_rule"
    ),
    *_object(
        nouns.RBAC_POLICY,
        "rbac_policies",
        "rbac_policy",
        wire_sharing.RbacPolicyNew,
        wire_sharing.RbacPolicyChange,
    ),
    Route("PUT", _ROUTER + "/add_router_interface", handlers.add_interface, "write"),
    Route("PUT", _ROUTER + "/remove_router_interface", handlers.remove_interface, "write"),
    Route("PUT", _ROUTER + "/add_extraroutes", handlers.add_routes, "write"),
    Route("PUT", _ROUTER + "/remove_extraroutes", handlers.remove_routes, "write"),
    Route("GET", _FORWARDINGS, handlers_forwardings.show_all, "read"),
    Route("POST", _FORWARDINGS, handlers_forwardings.create, "write"),
    Route("GET", _FORWARDINGS + "/{forwarding_id}", handlers_forwardings.show, "read"),
    Route("PUT", _FORWARDINGS + "/{forwarding_id}", handlers_forwardings.update, "write"),
    Route("DELETE", _FORWARDINGS + "/{forwarding_id}", handlers_forwardings.delete, "write"),
    Route("GET", _TAGS, handlers.list_tags, "read"),
    Route("PUT", _TAGS, handlers.set_tags, "write"),
    Route("DELETE", _TAGS, handlers.clear_tags, "write"),
    Route("GET", _TAGS + "/{tag}", handlers.check_tag, "read"),
    Route("PUT", _TAGS + "/{tag}", handlers.add_tag, "write"),
    Route("DELETE", _TAGS + "/{tag}", handlers.remove_tag, "write"),
    Route("GET", V2 + "/quotas", handlers.list_quotas, "list_quotas"),
    Route("GET", _QUOTA, handlers.show_quota, "get_quota"),
    Route("PUT", _QUOTA, handlers.update_quota, "update_quota"),
    Route("DELETE", _QUOTA, handlers.reset_quota, "update_quota"),
    Route("GET", _QUOTA + "/default", handlers.show_quota_defaults, "get_quota"),
    Route("GET", _QUOTA + "/details", handlers.show_quota_details, "get_quota"),
    Route("GET", V2 + "/network-ip-availabilities", handlers.list_ip_availabilities, "get_ip_availability"),
    Route(
        "GET",
        V2 + "/network-ip-availabilities/{object_id}",
        handlers.show_ip_availability,
        "get_ip_availability",
    ),
)

API = Api("network", handlers.PREFIX, ROUTES, RULES, fault)
