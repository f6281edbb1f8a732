"""The Networking API's nouns as data: what each is called, where it is kept, what it can be asked by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.network import tables


class Noun(NamedTuple):
    name: str  # "security_group": in bodies, and in quotas
    plural: str  # "security_groups": in bodies
    path: str  # "security-groups": in URLs; empty for what is only reached through another noun
    title: str  # "SecurityGroup": in the types of faults
    table: sa.Table
    filters: Mapping[str, Any]  # attribute -> column
    sortable: Mapping[str, Any]
    tagged: bool = True
    shared_as: str = ""  # its name in RBAC policies; empty where it cannot be shared

    def __hash__(self) -> int:
        """There is one of each name; statements are kept by noun."""
        return hash(self.name)


def _noun(
    name: str,
    title: str,
    table: sa.Table,
    *columns: str,
    plural: str = "",
    path: str = "",
    nested: bool = False,
    tagged: bool = True,
    shared_as: str = "",
    **renamed: str,
) -> Noun:
    """`columns` can be filtered by under their own names, `renamed` ("binding:host_id" to "host") under others."""
    plural = plural or name + "s"
    standard = ("id", "project_id", "name", "description", "revision_number")
    found = {column: table.c[column] for column in (*standard, *columns)}
    found |= {attribute: table.c[column] for attribute, column in renamed.items()}
    found["tenant_id"] = table.c.project_id
    sortable = {**found, "created_at": table.c.created_at, "updated_at": table.c.updated_at}
    path = "" if nested else path or plural.replace("_", "-")
    return Noun(name, plural, path, title, table, found, sortable, tagged, shared_as)


NETWORK = _noun(
    "network",
    "Network",
    tables.networks,
    "admin_state_up",
    "mtu",
    "dns_domain",
    "port_security_enabled",
    "is_default",
    "vlan_transparent",
    "qos_policy_id",
    shared_as="network",
    **{
        "router:external": "external",
        "provider:network_type": "network_type",
        "provider:physical_network": "physical_network",
        "provider:segmentation_id": "segmentation_id",
    },
)
SUBNET = _noun(
    "subnet",
    "Subnet",
    tables.subnets,
    "network_id",
    "ip_version",
    "cidr",
    "gateway_ip",
    "enable_dhcp",
    "ipv6_ra_mode",
    "ipv6_address_mode",
    "subnetpool_id",
)
ADDRESS_SCOPE = _noun(
    "address_scope",
    "AddressScope",
    tables.address_scopes,
    "ip_version",
    tagged=False,
    shared_as="address_scope",
)
SUBNET_POOL = _noun(
    "subnetpool",
    "SubnetPool",
    tables.subnetpools,
    "ip_version",
    "min_prefixlen",
    "max_prefixlen",
    "default_prefixlen",
    "default_quota",
    "is_default",
    "address_scope_id",
    shared_as="subnetpool",
)
PORT = _noun(
    "port",
    "Port",
    tables.ports,
    "network_id",
    "mac_address",
    "admin_state_up",
    "status",
    "device_id",
    "device_owner",
    "port_security_enabled",
    "dns_name",
    "qos_policy_id",
    **{"binding:host_id": "host", "binding:vnic_type": "vnic_type"},
)
ROUTER = _noun("router", "Router", tables.routers, "admin_state_up", "flavor_id")
FLOATING_IP = _noun(
    "floatingip",
    "FloatingIP",
    tables.floatingips,
    "status",
    "floating_network_id",
    "floating_ip_address",
    "port_id",
    "fixed_ip_address",
    "router_id",
    "qos_policy_id",
)
PORT_FORWARDING = _noun(
    "port_forwarding",
    "PortForwarding",
    tables.port_forwardings,
    "floatingip_id",
    "protocol",
    "external_port",
    "internal_port",
    "internal_port_id",
    "internal_ip_address",
    nested=True,
    tagged=False,
)
SECURITY_GROUP = _noun("security_group", "SecurityGroup", tables.security_groups, "stateful", shared_as="security_group")
RULE = _noun(
    "security_group_rule",
    "SecurityGroupRule",
    tables.rules,
    "security_group_id",
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_group_id",
    "remote_ip_prefix",
    "remote_address_group_id",
    normalized_cidr="remote_ip_prefix",
)
ADDRESS_GROUP = _noun(
    "address_group", "AddressGroup", tables.address_groups, tagged=False, shared_as="address_group"
)
DEFAULT_RULE = _noun(
    "default_security_group_rule",
    "DefaultSecurityGroupRule",
    tables.default_rules,
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_group_id",
    "remote_ip_prefix",
    "remote_address_group_id",
    "used_in_default_sg",
    "used_in_non_default_sg",
    tagged=False,
)
RBAC_POLICY = _noun(
    "rbac_policy",
    "RbacPolicy",
    tables.rbac_policies,
    "object_type",
    "object_id",
    "action",
    plural="rbac_policies",
    tagged=False,
    target_tenant="target",
)
AGENT = _noun("agent", "Agent", tables.agents, "agent_type", "host", "binary", "alive", tagged=False)
FLAVOR = _noun("flavor", "Flavor", tables.flavors, "service_type", "enabled", tagged=False)
SERVICE_PROFILE = _noun(
    "service_profile",
    "ServiceProfile",
    tables.service_profiles,
    "driver",
    "metainfo",
    "enabled",
    path="service_profiles",
    tagged=False,
)
TRUNK = _noun("trunk", "Trunk", tables.trunks, "admin_state_up", "port_id")
QOS_POLICY = _noun(
    "policy", "QosPolicy", tables.qos_policies, plural="policies", path="qos/policies", shared_as="qos_policy"
)
BANDWIDTH_LIMIT_RULE = _noun(
    "bandwidth_limit_rule",
    "QosRule",
    tables.qos_bandwidth_limit_rules,
    "policy_id",
    "direction",
    "max_kbps",
    "max_burst_kbps",
    nested=True,
    tagged=False,
)
DSCP_MARKING_RULE = _noun(
    "dscp_marking_rule",
    "QosRule",
    tables.qos_dscp_marking_rules,
    "policy_id",
    "dscp_mark",
    nested=True,
    tagged=False,
)

NOUNS = (
    NETWORK,
    SUBNET,
    ADDRESS_SCOPE,
    SUBNET_POOL,
    PORT,
    ROUTER,
    FLOATING_IP,
    PORT_FORWARDING,
    SECURITY_GROUP,
    RULE,
    ADDRESS_GROUP,
    DEFAULT_RULE,
    RBAC_POLICY,
    AGENT,
    FLAVOR,
    SERVICE_PROFILE,
    TRUNK,
    QOS_POLICY,
    BANDWIDTH_LIMIT_RULE,
    DSCP_MARKING_RULE,
)
BY_PATH = {noun.path: noun for noun in NOUNS if noun.path}
TAGGED = {noun.path.rpartition("/")[2]: noun for noun in NOUNS if noun.tagged}
