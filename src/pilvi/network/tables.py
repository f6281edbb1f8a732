"""What Network keeps."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Time, metadata


def _standard() -> tuple[sa.Column, ...]:
    """What every object of the Networking API has."""
    return (
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(255), nullable=False, index=True),
        sa.Column("name", sa.String(255), nullable=False, default=""),
        sa.Column("description", sa.String(255), nullable=False, default=""),
        sa.Column("revision_number", sa.Integer, nullable=False, default=1),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("updated_at", Time, nullable=False),
    )


def _policy() -> sa.Column:
    return sa.Column("qos_policy_id", sa.ForeignKey("qos_policies.id"), index=True)


qos_policies = sa.Table(
    "qos_policies",
    metadata,
    *_standard(),
    sa.Column("shared", sa.Boolean, nullable=False, default=False),
    sa.Column("default_of", sa.String(255), unique=True),  # the project whose new networks get it
)

qos_bandwidth_limit_rules = sa.Table(
    "qos_bandwidth_limit_rules",
    metadata,
    *_standard(),
    sa.Column("policy_id", sa.ForeignKey("qos_policies.id"), nullable=False),
    sa.Column("direction", sa.String(8), nullable=False),  # ingress | egress, as the port's owner sees it
    sa.Column("max_kbps", sa.Integer, nullable=False),
    sa.Column("max_burst_kbps", sa.Integer, nullable=False),  # in kilobits, in spite of its name; 0: the switch's choice
    sa.UniqueConstraint("policy_id", "direction"),
)

qos_dscp_marking_rules = sa.Table(
    "qos_dscp_marking_rules",
    metadata,
    *_standard(),
    sa.Column("policy_id", sa.ForeignKey("qos_policies.id"), nullable=False, unique=True),
    sa.Column("dscp_mark", sa.Integer, nullable=False),
)

networks = sa.Table(
    "networks",
    metadata,
    *_standard(),
    sa.Column("admin_state_up", sa.Boolean, nullable=False, default=True),
    sa.Column("shared", sa.Boolean, nullable=False, default=False),
    sa.Column("external", sa.Boolean, nullable=False, default=False),
    sa.Column("is_default", sa.Boolean, nullable=False, default=False),
    sa.Column("mtu", sa.Integer, nullable=False),
    sa.Column("port_security_enabled", sa.Boolean, nullable=False, default=True),
    sa.Column("dns_domain", sa.String(255), nullable=False, default="", server_default=""),  # "": the cloud's
    sa.Column("network_type", sa.String(32), nullable=False, default="geneve"),  # geneve | flat | vlan
    sa.Column("physical_network", sa.String(64)),
    sa.Column("segmentation_id", sa.Integer),  # a VLAN there, or the tunnels' id; None: untagged, or OVN chooses
    sa.Column("vlan_transparent", sa.Boolean, nullable=False, default=False, server_default=sa.text("false")),
    sa.Column("availability_zone_hints", sa.JSON, nullable=False, default=list),
    _policy(),
    sa.UniqueConstraint("physical_network", "segmentation_id"),
)

address_scopes = sa.Table(
    "address_scopes",
    metadata,
    *_standard(),
    sa.Column("ip_version", sa.Integer, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False, default=False),
)

subnetpools = sa.Table(
    "subnetpools",
    metadata,
    *_standard(),
    sa.Column("ip_version", sa.Integer, nullable=False),
    sa.Column("prefixes", sa.JSON, nullable=False),  # CIDRs, in order
    sa.Column("min_prefixlen", sa.Integer, nullable=False),
    sa.Column("max_prefixlen", sa.Integer, nullable=False),
    sa.Column("default_prefixlen", sa.Integer, nullable=False),
    sa.Column("default_quota", sa.Integer),  # of each project; IPv4 addresses, or IPv6 prefixes of /64
    sa.Column("shared", sa.Boolean, nullable=False, default=False),
    sa.Column("is_default", sa.Boolean, nullable=False, default=False),
    sa.Column("address_scope_id", sa.ForeignKey("address_scopes.id"), index=True),
)

subnets = sa.Table(
    "subnets",
    metadata,
    *_standard(),
    sa.Column("network_id", sa.ForeignKey("networks.id"), nullable=False, index=True),
    sa.Column("ip_version", sa.Integer, nullable=False),
    sa.Column("cidr", sa.String(64), nullable=False),
    sa.Column("gateway_ip", sa.String(64)),
    sa.Column("enable_dhcp", sa.Boolean, nullable=False, default=True),
    sa.Column("dns_nameservers", sa.JSON, nullable=False, default=list),
    sa.Column("host_routes", sa.JSON, nullable=False, default=list),  # [{"destination", "nexthop"}]
    sa.Column("allocation_pools", sa.JSON, nullable=False),  # [{"start", "end"}], in order
    sa.Column("ipv6_ra_mode", sa.String(32)),
    sa.Column("ipv6_address_mode", sa.String(32)),
    sa.Column("subnetpool_id", sa.ForeignKey("subnetpools.id"), index=True),  # that its CIDR was taken from
    # Device owners of the ports that get addresses of it; empty: of those that get none elsewhere.
    sa.Column("service_types", sa.JSON, nullable=False, default=list, server_default="[]"),
    sa.Column("cursor", sa.String(32), nullable=False, default=""),  # the address given out last, as `addresses.number`
)

ports = sa.Table(
    "ports",
    metadata,
    *_standard(),
    sa.Column("network_id", sa.ForeignKey("networks.id"), nullable=False),
    sa.Column("mac_address", sa.String(17), nullable=False),
    sa.Column("admin_state_up", sa.Boolean, nullable=False, default=True),
    sa.Column("status", sa.String(16), nullable=False, default="DOWN"),
    sa.Column("device_id", sa.String(255), nullable=False, default=""),
    sa.Column("device_owner", sa.String(255), nullable=False, default=""),
    sa.Column("port_security_enabled", sa.Boolean, nullable=False, default=True),
    sa.Column("allowed_address_pairs", sa.JSON, nullable=False, default=list),
    sa.Column("dns_name", sa.String(255), nullable=False, default=""),
    # [{"opt_name", "opt_value", "ip_version"}]
    sa.Column("extra_dhcp_opts", sa.JSON, nullable=False, default=list, server_default="[]"),
    sa.Column("host", sa.String(255), nullable=False, default=""),
    sa.Column("vnic_type", sa.String(32), nullable=False, default="normal"),
    sa.Column("profile", sa.JSON, nullable=False, default=dict),
    sa.Column("made_for_server", sa.Boolean, nullable=False, default=False),  # goes when the server goes
    sa.Column("nic", sa.Integer, nullable=False, default=0),  # its place among the server's
    sa.Column("nic_tag", sa.String(60)),
    _policy(),
    sa.UniqueConstraint("network_id", "mac_address"),
    sa.Index("ix_ports_device_id", "device_id"),
)

trunks = sa.Table(
    "trunks",
    metadata,
    *_standard(),
    sa.Column("admin_state_up", sa.Boolean, nullable=False, default=True),
    sa.Column("port_id", sa.ForeignKey("ports.id"), nullable=False, unique=True),  # over which its subports are reached
)

subports = sa.Table(
    "trunk_subports",
    metadata,
    sa.Column("port_id", sa.ForeignKey("ports.id"), primary_key=True),
    sa.Column("trunk_id", sa.ForeignKey("trunks.id"), nullable=False),
    sa.Column("segmentation_type", sa.String(16), nullable=False),  # vlan
    sa.Column("segmentation_id", sa.Integer, nullable=False),
    sa.UniqueConstraint("trunk_id", "segmentation_type", "segmentation_id"),
)

addresses = sa.Table(
    "port_addresses",
    metadata,
    sa.Column("subnet_id", sa.ForeignKey("subnets.id"), primary_key=True),
    sa.Column("number", sa.String(32), primary_key=True),  # the address in 32 hexadecimal digits: sorts as addresses do
    sa.Column("address", sa.String(64), nullable=False, index=True),
    sa.Column("port_id", sa.ForeignKey("ports.id"), nullable=False, index=True),
)

port_groups = sa.Table(
    "port_security_groups",
    metadata,
    sa.Column("port_id", sa.ForeignKey("ports.id"), primary_key=True),
    sa.Column("security_group_id", sa.ForeignKey("security_groups.id"), primary_key=True, index=True),
)

flavors = sa.Table(
    "network_flavors",
    metadata,
    *_standard(),
    sa.Column("service_type", sa.String(255), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
)

service_profiles = sa.Table(
    "network_service_profiles",
    metadata,
    *_standard(),
    sa.Column("driver", sa.String(255), nullable=False),
    sa.Column("metainfo", sa.String(255), nullable=False, default=""),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
)

flavor_profiles = sa.Table(
    "network_flavor_profiles",
    metadata,
    sa.Column("flavor_id", sa.ForeignKey("network_flavors.id"), primary_key=True),
    sa.Column("profile_id", sa.ForeignKey("network_service_profiles.id"), primary_key=True, index=True),
)

routers = sa.Table(
    "routers",
    metadata,
    *_standard(),
    sa.Column("admin_state_up", sa.Boolean, nullable=False, default=True),
    sa.Column("gateway_port_id", sa.ForeignKey("ports.id")),
    sa.Column("enable_snat", sa.Boolean, nullable=False, default=True),
    sa.Column("routes", sa.JSON, nullable=False, default=list),  # [{"destination", "nexthop"}]
    sa.Column("availability_zone_hints", sa.JSON, nullable=False, default=list),
    sa.Column("flavor_id", sa.ForeignKey("network_flavors.id"), index=True),
    _policy(),  # of its gateway
)

# What projects were given that only wanted a network. Either may be gone by now.
auto_topologies = sa.Table(
    "auto_allocated_topologies",
    metadata,
    sa.Column("project_id", sa.String(255), primary_key=True),
    sa.Column("network_id", sa.String(36), nullable=False),
    sa.Column("router_id", sa.String(36), nullable=False),
)

floatingips = sa.Table(
    "floatingips",
    metadata,
    *_standard(),
    sa.Column("status", sa.String(16), nullable=False, default="DOWN"),
    sa.Column("floating_network_id", sa.ForeignKey("networks.id"), nullable=False, index=True),
    sa.Column("floating_ip_address", sa.String(64), nullable=False),
    sa.Column("floating_port_id", sa.ForeignKey("ports.id"), nullable=False, index=True),  # holds the address
    sa.Column("port_id", sa.ForeignKey("ports.id")),
    sa.Column("fixed_ip_address", sa.String(64)),
    sa.Column("router_id", sa.ForeignKey("routers.id"), index=True),
    _policy(),
    sa.UniqueConstraint("floating_network_id", "floating_ip_address"),
    sa.UniqueConstraint("port_id", "fixed_ip_address", "floating_network_id"),
)

port_forwardings = sa.Table(
    "port_forwardings",
    metadata,
    *_standard(),
    sa.Column("floatingip_id", sa.ForeignKey("floatingips.id"), nullable=False),
    sa.Column("protocol", sa.String(16), nullable=False),  # tcp | udp
    sa.Column("external_port", sa.Integer, nullable=False),
    sa.Column("external_last", sa.Integer, nullable=False),  # of a range; else the same
    sa.Column("internal_port_id", sa.ForeignKey("ports.id"), nullable=False, index=True),
    sa.Column("internal_ip_address", sa.String(64), nullable=False),
    sa.Column("internal_port", sa.Integer, nullable=False),
    sa.Column("internal_last", sa.Integer, nullable=False),
    sa.UniqueConstraint("floatingip_id", "protocol", "external_port"),
)

security_groups = sa.Table(
    "security_groups",
    metadata,
    *_standard(),
    sa.Column("stateful", sa.Boolean, nullable=False, default=True),
    sa.Column("default_of", sa.String(255), unique=True),  # the project whose default group it is
)

address_groups = sa.Table("address_groups", metadata, *_standard())

address_group_addresses = sa.Table(
    "address_group_addresses",
    metadata,
    sa.Column("address_group_id", sa.ForeignKey("address_groups.id"), primary_key=True),
    sa.Column("cidr", sa.String(64), primary_key=True),
)

rules = sa.Table(
    "security_group_rules",
    metadata,
    *_standard(),
    sa.Column("security_group_id", sa.ForeignKey("security_groups.id"), nullable=False),
    sa.Column("direction", sa.String(16), nullable=False),
    sa.Column("ethertype", sa.String(8), nullable=False),
    sa.Column("protocol", sa.String(40)),
    sa.Column("port_range_min", sa.Integer),
    sa.Column("port_range_max", sa.Integer),
    sa.Column("remote_group_id", sa.ForeignKey("security_groups.id"), index=True),
    sa.Column("remote_ip_prefix", sa.String(64)),
    sa.Column("remote_address_group_id", sa.ForeignKey("address_groups.id"), index=True),
    sa.Column("meaning", sa.String(255), nullable=False),  # what it matches, in one word: NULLs would not be unique
    sa.UniqueConstraint("security_group_id", "meaning"),
)

# What new groups begin with.
default_rules = sa.Table(
    "default_security_group_rules",
    metadata,
    *_standard(),
    sa.Column("direction", sa.String(16), nullable=False),
    sa.Column("ethertype", sa.String(8), nullable=False),
    sa.Column("protocol", sa.String(40)),
    sa.Column("port_range_min", sa.Integer),
    sa.Column("port_range_max", sa.Integer),
    sa.Column("remote_group_id", sa.String(36)),  # "PARENT": the new group itself
    sa.Column("remote_ip_prefix", sa.String(64)),
    sa.Column("remote_address_group_id", sa.ForeignKey("address_groups.id")),
    sa.Column("used_in_default_sg", sa.Boolean, nullable=False),
    sa.Column("used_in_non_default_sg", sa.Boolean, nullable=False),
    sa.Column("meaning", sa.String(255), nullable=False, unique=True),
)

rbac_policies = sa.Table(
    "network_rbac_policies",
    metadata,
    *_standard(),
    sa.Column("object_type", sa.String(32), nullable=False),
    sa.Column("object_id", sa.String(36), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("target", sa.String(255), nullable=False),  # a project; "*": all of them
    sa.UniqueConstraint("object_type", "object_id", "action", "target"),
    sa.Index("ix_network_rbac_policies_target", "target", "object_type"),
)

# What the first start made: whoever takes that away does not get it back.
foundations = sa.Table(
    "network_foundations",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
)

agents = sa.Table(
    "network_agents",
    metadata,
    *_standard(),
    sa.Column("agent_type", sa.String(64), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("binary", sa.String(64), nullable=False),
    sa.Column("alive", sa.Boolean, nullable=False),
    sa.Column("started_at", Time, nullable=False),
    sa.Column("heartbeat_at", Time, nullable=False),
    sa.Column("configurations", sa.JSON, nullable=False),
    sa.UniqueConstraint("agent_type", "host"),
)

tags = sa.Table(
    "network_tags",
    metadata,
    sa.Column("object_id", sa.String(36), primary_key=True),
    sa.Column("tag", sa.String(255), primary_key=True, index=True),
)

# What has changed of the logical network, until a pass has made it so. A counter would do on SQLite, but would make all
# of PostgreSQL's writers wait for each other.
changes = sa.Table(
    "network_changes",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(32)),  # a field of the fabric's Scope; NULL: anything may have changed
    sa.Column("object_id", sa.String(36)),
)
