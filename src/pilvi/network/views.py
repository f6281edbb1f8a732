"""Rows as the Networking API shows them: one function a noun, with a constant number of queries for any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx, plain
from pilvi.engine.clock import seconds_text
from pilvi.network import store, store_addresses, store_forwardings, store_qos, store_sharing, store_trunks
from pilvi.network.nouns import (
    ADDRESS_GROUP,
    ADDRESS_SCOPE,
    DEFAULT_RULE,
    FLOATING_IP,
    NETWORK,
    NOUNS,
    PORT,
    PORT_FORWARDING,
    RBAC_POLICY,
    ROUTER,
    RULE,
    SECURITY_GROUP,
    SUBNET,
    SUBNET_POOL,
    Noun,
)
from pilvi.policy import Context

DNS_DOMAIN = "openstacklocal."
ZONE = "nova"
PORT_DETAILS = ("name", "network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner")
VIF = {"port_filter": True, "connectivity": "l2"}

_PLAIN = {noun.name: plain(noun.title, noun.table.c) for noun in NOUNS}

_moment = lru_cache(4096)(seconds_text)

View = Callable[[Tx, Context, Sequence[Any], dict[str, list[str]]], list[dict[str, Any]]]
_VIEWS: dict[str, View] = {}


def shows(noun: Noun) -> Callable[[View], View]:
    """The function shows rows of this noun; the last argument are the objects' tags."""

    def register(view: View) -> View:
        _VIEWS[noun.name] = view
        return view

    return register


def views(tx: Tx, noun: Noun, context: Context, rows: Sequence[sa.Row]) -> list[dict[str, Any]]:
    if not rows:
        return []
    plain = [_PLAIN[noun.name](*row) for row in rows]
    return _VIEWS[noun.name](tx, context, plain, store.tags_of(tx, [row.id for row in plain]))


def shared_ones(tx: Tx, noun: Noun, context: Context, ids: Sequence[str]) -> set[str]:
    """Those of the objects that are shared with the caller's project."""
    return {
        found for part in store.chunks(ids)
        for found in store_sharing.shared_with(tx, noun.shared_as, part, context.project_id)
    }  # fmt: skip


def standard(row: sa.Row, labels: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "tenant_id": row.project_id,
        "project_id": row.project_id,
        "description": row.description,
        "tags": labels.get(row.id, []),
        "created_at": _moment(row.created_at),
        "updated_at": _moment(row.updated_at),
        "revision_number": row.revision_number,
    }


@shows(NETWORK)
def _networks(tx: Tx, context: Context, rows: Sequence[sa.Row], labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    ids = [row.id for row in rows]
    subnets, shared = store.subnet_ids_of(tx, ids), shared_ones(tx, NETWORK, context, ids)
    scopes = store.address_scopes_of(tx, ids)
    found = []
    for row in rows:
        view = {
            **standard(row, labels),
            "admin_state_up": row.admin_state_up,
            "status": "ACTIVE",
            "subnets": subnets.get(row.id, []),
            "shared": row.id in shared,
            "router:external": row.external,
            "mtu": row.mtu,
            "port_security_enabled": row.port_security_enabled,
            "dns_domain": row.dns_domain,
            "qos_policy_id": row.qos_policy_id,
            "vlan_transparent": row.vlan_transparent,
            "availability_zone_hints": row.availability_zone_hints,
            "availability_zones": [ZONE],
            "ipv4_address_scope": scopes.get((row.id, 4)),
            "ipv6_address_scope": scopes.get((row.id, 6)),
        }
        if row.external:
            view["is_default"] = row.is_default
        if context.is_admin:
            view |= {
                "provider:network_type": row.network_type,
                "provider:physical_network": row.physical_network,
                "provider:segmentation_id": row.segmentation_id,
            }
        found.append(view)
    return found


@shows(SUBNET)
def _subnets(_tx: Tx, _context: Context, rows: Sequence[sa.Row], labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [
        {
            **standard(row, labels),
            "network_id": row.network_id,
            "ip_version": row.ip_version,
            "cidr": row.cidr,
            "gateway_ip": row.gateway_ip,
            "enable_dhcp": row.enable_dhcp,
            "dns_nameservers": row.dns_nameservers,
            "host_routes": row.host_routes,
            "allocation_pools": row.allocation_pools,
            "subnetpool_id": row.subnetpool_id,
            "ipv6_ra_mode": row.ipv6_ra_mode,
            "ipv6_address_mode": row.ipv6_address_mode,
            "service_types": row.service_types,
        }
        for row in rows
    ]


@shows(SUBNET_POOL)
def _subnet_pools(
    tx: Tx, context: Context, rows: Sequence[sa.Row], labels: dict[str, list[str]]
) -> list[dict[str, Any]]:
    shared = shared_ones(tx, SUBNET_POOL, context, [row.id for row in rows])
    return [
        {
            **standard(row, labels),
            "ip_version": row.ip_version,
            "prefixes": row.prefixes,
            "min_prefixlen": row.min_prefixlen,
            "max_prefixlen": row.max_prefixlen,
            "default_prefixlen": row.default_prefixlen,
            "default_quota": row.default_quota,
            "address_scope_id": row.address_scope_id,
            "shared": row.id in shared,
            "is_default": row.is_default,
        }
        for row in rows
    ]


@shows(PORT)
def _ports(tx: Tx, context: Context, rows: Sequence[sa.Row], labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    ids = [row.id for row in rows]
    fixed, groups = store_addresses.of_ports(tx, ids), store.security_groups_of(tx, ids)
    given = store.given_to_ports(tx, {row.network_id for row in rows})
    trunks = store_trunks.trunks_of(tx, ids)
    subports = store_trunks.subports_of(tx, [trunk.id for trunk in trunks.values()])
    found = []
    for row in rows:
        pairs = fixed.get(row.id, ())
        view = {
            **standard(row, labels),
            "network_id": row.network_id,
            "mac_address": row.mac_address,
            "admin_state_up": row.admin_state_up,
            "status": row.status,
            "device_id": row.device_id,
            "device_owner": row.device_owner,
            "security_groups": groups.get(row.id, []),
            "fixed_ips": [{"subnet_id": subnet_id, "ip_address": address} for subnet_id, address in pairs],
            "port_security_enabled": row.port_security_enabled,
            "binding:vnic_type": row.vnic_type,
            "allowed_address_pairs": row.allowed_address_pairs,
            "dns_name": row.dns_name,
            "extra_dhcp_opts": row.extra_dhcp_opts,
            "qos_policy_id": row.qos_policy_id,
            "qos_network_policy_id": given[row.network_id].qos_policy_id,
            "dns_assignment": [
                _name(row.dns_name, address, given[row.network_id].dns_domain or DNS_DOMAIN) for _, address in pairs
            ],
        }
        if (trunk := trunks.get(row.id)) is not None:
            view["trunk_details"] = _trunk_details(trunk, subports.get(trunk.id, ()))
        if context.is_admin:
            view |= {
                "binding:host_id": row.host,
                "binding:profile": row.profile,
                "binding:vif_type": "ovs" if row.host else "unbound",
                "binding:vif_details": VIF if row.host else {},
            }
        found.append(view)
    return found


def _trunk_details(trunk: Any, subports: Sequence[Any]) -> dict[str, Any]:
    fields = ("port_id", "segmentation_type", "segmentation_id", "mac_address")
    return {
        "trunk_id": trunk.id,
        "sub_ports": [{field: getattr(one, field) for field in fields} for one in subports],
    }


def _name(dns_name: str, address: str, domain: str) -> dict[str, str]:
    host = dns_name or "host-" + address.replace(".", "-").replace(":", "-")
    return {"hostname": host, "ip_address": address, "fqdn": f"{host}.{domain}"}


@shows(ROUTER)
def _routers(tx: Tx, _context: Context, rows: Sequence[sa.Row], labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    gateways = {
        port.id: port for port in store.by_ids(tx, PORT, [row.gateway_port_id for row in rows if row.gateway_port_id])
    }
    fixed = store_addresses.of_ports(tx, list(gateways))
    return [
        {
            **standard(row, labels),
            "admin_state_up": row.admin_state_up,
            "status": "ACTIVE",
            "routes": row.routes,
            "flavor_id": row.flavor_id,
            "external_gateway_info": row.gateway_port_id
            and {
                "network_id": gateways[row.gateway_port_id].network_id,
                "enable_snat": row.enable_snat,
                "qos_policy_id": row.qos_policy_id,
                "external_fixed_ips": [
                    {"subnet_id": subnet_id, "ip_address": address}
                    for subnet_id, address in fixed.get(row.gateway_port_id, ())
                ],
            },
            "availability_zone_hints": row.availability_zone_hints,
            "availability_zones": [ZONE],
        }
        for row in rows
    ]


@shows(FLOATING_IP)
def _floating_ips(
    tx: Tx, context: Context, rows: Sequence[sa.Row], labels: dict[str, list[str]]
) -> list[dict[str, Any]]:
    policies = store_qos.policies_of_networks(tx, {row.floating_network_id for row in rows})
    ports = {row.id: row for row in store.by_ids(tx, PORT, {row.port_id for row in rows if row.port_id})}
    forwarded = store_forwardings.of_floating_ips(tx, [row.id for row in rows if row.router_id and not row.port_id])
    found = []
    for row in rows:
        view = standard(row, labels)
        del view["name"]
        found.append(
            {
                **view,
                "status": row.status,
                "floating_network_id": row.floating_network_id,
                "floating_ip_address": row.floating_ip_address,
                "port_id": row.port_id,
                "fixed_ip_address": row.fixed_ip_address,
                "router_id": row.router_id,
                "qos_policy_id": row.qos_policy_id,
                "qos_network_policy_id": policies.get(row.floating_network_id),
                "port_details": row.port_id and {name: getattr(ports[row.port_id], name) for name in PORT_DETAILS},
                "port_forwardings": [forwarding(one) for one in forwarded.get(row.id, ())],
            }
        )
    return found


def forwarding(row: Any) -> dict[str, Any]:
    """A port alone is also shown as one; of a range there is no such port."""
    single = row.external_last == row.external_port
    return {
        "id": row.id,
        "protocol": row.protocol,
        "external_port": row.external_port if single else None,
        "external_port_range": f"{row.external_port}:{row.external_last}",
        "internal_port_id": row.internal_port_id,
        "internal_ip_address": row.internal_ip_address,
        "internal_port": row.internal_port if row.internal_last == row.internal_port else None,
        "internal_port_range": f"{row.internal_port}:{row.internal_last}",
    }


@shows(PORT_FORWARDING)
def _port_forwardings(
    _tx: Tx, _context: Context, rows: Sequence[sa.Row], _labels: dict[str, list[str]]
) -> list[dict[str, Any]]:
    return [{**forwarding(row), "description": row.description} for row in rows]


@shows(SECURITY_GROUP)
def _security_groups(
    tx: Tx, context: Context, rows: Sequence[sa.Row], labels: dict[str, list[str]]
) -> list[dict[str, Any]]:
    ids = [row.id for row in rows]
    rules, shared = store.rules_of(tx, ids), shared_ones(tx, SECURITY_GROUP, context, ids)
    flat = [rule for row in rows for rule in rules.get(row.id, ())]
    shown: dict[str, list[dict[str, Any]]] = {}
    for view in views(tx, RULE, context, flat):
        shown.setdefault(view["security_group_id"], []).append(view)
    return [
        {
            **standard(row, labels),
            "stateful": row.stateful,
            "shared": row.id in shared,
            "security_group_rules": shown.get(row.id, []),
        }
        for row in rows
    ]


@shows(RULE)
def _rules(tx: Tx, _context: Context, rows: Sequence[sa.Row], labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    defaults = store.default_groups(tx, {row.security_group_id for row in rows})
    found = []
    for row in rows:
        view = standard(row, labels)
        del view["name"]
        found.append(
            {
                **view,
                "security_group_id": row.security_group_id,
                "direction": row.direction,
                "ethertype": row.ethertype,
                "protocol": row.protocol,
                "port_range_min": row.port_range_min,
                "port_range_max": row.port_range_max,
                "remote_group_id": row.remote_group_id,
                "remote_ip_prefix": row.remote_ip_prefix,
                "normalized_cidr": row.remote_ip_prefix,
                "remote_address_group_id": row.remote_address_group_id,
                "belongs_to_default_sg": row.security_group_id in defaults,
            }
        )
    return found



@shows(ADDRESS_SCOPE)
def _address_scopes(
    tx: Tx, context: Context, rows: Sequence[sa.Row], _labels: dict[str, list[str]]
) -> list[dict[str, Any]]:
    shared = shared_ones(tx, ADDRESS_SCOPE, context, [row.id for row in rows])
    return [
        {
            "id": row.id,
            "name": row.name,
            "tenant_id": row.project_id,
            "project_id": row.project_id,
            "ip_version": row.ip_version,
            "shared": row.id in shared,
        }
        for row in rows
    ]


@shows(ADDRESS_GROUP)
def _address_groups(
    tx: Tx, context: Context, rows: Sequence[sa.Row], labels: dict[str, list[str]]
) -> list[dict[str, Any]]:
    ids = [row.id for row in rows]
    cidrs, shared = store.addresses_of_groups(tx, ids), shared_ones(tx, ADDRESS_GROUP, context, ids)
    found = []
    for row in rows:
        view = standard(row, labels)
        del view["tags"]
        found.append({**view, "addresses": cidrs.get(row.id, []), "shared": row.id in shared})
    return found


@shows(DEFAULT_RULE)
def _default_rules(
    _tx: Tx, _context: Context, rows: Sequence[sa.Row], _labels: dict[str, list[str]]
) -> list[dict[str, Any]]:
    shown = ("id", "description", "direction", "ethertype", "protocol", "port_range_min", "port_range_max",
             "remote_group_id", "remote_ip_prefix", "remote_address_group_id", "used_in_default_sg",
             "used_in_non_default_sg")  # fmt: skip
    return [{name: getattr(row, name) for name in shown} for row in rows]


@shows(RBAC_POLICY)
def _rbac_policies(
    _tx: Tx, _context: Context, rows: Sequence[sa.Row], _labels: dict[str, list[str]]
) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "tenant_id": row.project_id,
            "project_id": row.project_id,
            "object_type": row.object_type,
            "object_id": row.object_id,
            "action": row.action,
            "target_tenant": row.target,
        }
        for row in rows
    ]
