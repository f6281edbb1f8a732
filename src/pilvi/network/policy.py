"""Who may do what with networks; whose networks, the queries decide."""

from __future__ import annotations

from pilvi.policy import ADMIN, ANYONE, MEMBER, READER, Rule

RULES: dict[str, Rule] = {
    "read": READER,
    "write": MEMBER,
    "write_default_rule": ADMIN,
    "write_qos": ADMIN,
    "write_flavor": ADMIN,
    "get_extension": ANYONE,
    "get_availability_zone": READER,
    "list_agents": READER,  # ... who finds none but for an administrator
    "get_agent": ADMIN,
    "get_quota": READER,  # of one's own project
    "list_quotas": ADMIN,
    "update_quota": ADMIN,
    "get_ip_availability": ADMIN,
}

# Attributes that only an administrator may set, by noun and column.
ADMIN_ATTRIBUTES: dict[str, frozenset[str]] = {
    "network": frozenset({"shared", "external", "is_default", "network_type", "physical_network", "segmentation_id"}),
    "address_scope": frozenset({"shared"}),
    "subnetpool": frozenset({"shared", "is_default"}),
    "port": frozenset({"host", "profile"}),
    "floatingip": frozenset({"floating_ip_address"}),
}

# ... and that else only the owner of the port's network may set.
NETWORK_OWNER_ATTRIBUTES = frozenset({"mac_address", "port_security_enabled", "allowed_address_pairs"})
