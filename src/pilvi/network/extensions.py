"""The parts of the Networking API that are there, by the aliases that clients look for."""

from __future__ import annotations

from typing import Any

_NAMES = {
    "address-group": "Address group",
    "agent": "agent",
    "allowed-address-pairs": "Allowed Address Pairs",
    "availability_zone": "Availability Zone",
    "binding": "Port Binding",
    "ext-gw-mode": "Neutron L3 Configurable external gateway mode",
    "default-subnetpools": "Default Subnetpools",
    "expose-port-forwarding-in-fip": "Expose Port Forwarding in FIP",
    "external-net": "Neutron external network",
    "extra_dhcp_opt": "Neutron Extra DHCP options",
    "extraroute": "Neutron Extra Route",
    "extraroute-atomic": "Atomically add/remove extra routes",
    "filter-validation": "Filter parameters validation",
    "fip-port-details": "Floating IP Port Details Extension",
    "floating-ip-port-forwarding": "Floating IP Port Forwarding",
    "floating-ip-port-forwarding-description": "Description of a port forwarding",
    "floating-ip-port-forwarding-detail": "Floating IP Port Forwarding Detail",
    "floating-ip-port-forwarding-port-ranges": "Floating IP Port Forwarding support Port Ranges",
    "ip-substring-filtering": "IP address substring filtering",
    "net-mtu": "Network MTU",
    "net-mtu-writable": "Network MTU (writable)",
    "network-ip-availability": "Network IP Availability",
    "network_availability_zone": "Network Availability Zone",
    "pagination": "Pagination support",
    "port-security": "Port Security",
    "project-id": "project_id field enabled",
    "provider": "Provider Network",
    "qos": "Quality of Service",
    "qos-bw-limit-direction": "Direction for QoS bandwidth limit rule",
    "qos-default": "QoS default policy",
    "qos-fip": "Floating IP QoS",
    "qos-gateway-ip": "Gateway IP QoS",
    "qos-port-network-policy": "QoS port network policy",
    "qos-rule-type-details": "Details of QoS rule types",
    "qos-rule-type-filter": "QoS rule type filter",
    "qos-rules-alias": "Ability to modify QoS rules without policy ID",
    "quotas": "Quota management support",
    "quota_details": "Quota details management support",
    "rbac-policies": "RBAC Policies",
    "rbac-address-group": "Add address_group type to RBAC",
    "rbac-security-groups": "Add security_group type to network RBAC",
    "rbac-subnetpool": "Add subnetpool type to RBAC",
    "router": "Neutron L3 Router",
    "router_availability_zone": "Router Availability Zone",
    "security-group": "security-group",
    "security-groups-default-rules": "Default rules for security groups",
    "security-groups-normalized-cidr": "Normalized CIDR field for security group rules",
    "security-groups-remote-address-group": "Remote address group id field for security group rules",
    "security-groups-rules-belongs-to-default-sg": "Add belongs_to_default_sg to security group rules",
    "security-groups-shared-filtering": "Security group filtering on the shared field",
    "sorting": "Sorting support",
    "standard-attr-description": "standard-attr-description",
    "standard-attr-revisions": "Resource revision numbers",
    "standard-attr-tag": "Tag support for resources with standard attribute: "
    "network, subnet, subnetpool, port, router, floatingip, security_group, security_group_rule, policy",
    "standard-attr-timestamp": "Resource timestamps",
    "stateful-security-group": "Stateful security group",
    "subnet_allocation": "Subnet Allocation",
}

EXTENSIONS: dict[str, dict[str, Any]] = {
    alias: {
        "alias": alias,
        "name": name,
        "description": name,
        "updated": "2026-01-01T00:00:00-00:00",
        "links": [],
    }
    for alias, name in _NAMES.items()
}
