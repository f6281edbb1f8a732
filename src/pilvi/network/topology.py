"""The rows as the logical network that ought to be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.drivers.fabric.base import (
    AddressGroup,
    FixedIp,
    FloatingIp,
    Gateway,
    HostRoute,
    Network,
    Port,
    PortForwarding,
    Route,
    Router,
    RouterPort,
    Rule,
    Scope,
    SecurityGroup,
    Subnet,
    Topology,
)
from pilvi.network import scopes, store, store_forwardings, store_trunks, tables
from pilvi.network.shaping import Policies


class _Port(msgspec.Struct, gc=False):
    """What is read of a port: a whole pass reads all of them, so it leaves out what the network does not need."""

    id: str
    network_id: str
    mac_address: str
    device_id: str
    device_owner: str
    port_security_enabled: bool
    allowed_address_pairs: list[dict[str, str]]
    admin_state_up: bool
    dns_name: str
    extra_dhcp_opts: list[dict[str, Any]]
    qos_policy_id: str | None
    status: str


_PORTS = sa.select(*(tables.ports.c[name] for name in _Port.__struct_fields__)).order_by(tables.ports.c.id)
_ADDRESSES = sa.select(tables.addresses.c.port_id, tables.addresses.c.subnet_id, tables.addresses.c.address).order_by(
    tables.addresses.c.number
)
_GROUPS = sa.select(tables.port_groups).order_by(tables.port_groups.c.security_group_id)
_FLOATING = (
    sa.select(tables.floatingips)
    .where(tables.floatingips.c.router_id.is_not(None))
    .order_by(tables.floatingips.c.created_at, tables.floatingips.c.id)
)
_SUBNETS = (
    sa.select(tables.subnets, tables.subnetpools.c.address_scope_id)
    .join(tables.subnetpools, tables.subnetpools.c.id == tables.subnets.c.subnetpool_id, isouter=True)
    .order_by(tables.subnets.c.created_at, tables.subnets.c.id)
)
_NETWORKS = sa.select(tables.networks).order_by(tables.networks.c.id)
_ROUTERS = sa.select(tables.routers).order_by(tables.routers.c.id)
_RULES = sa.select(tables.rules).order_by(tables.rules.c.id)
_SECURITY_GROUPS = sa.select(tables.security_groups.c.id, tables.security_groups.c.stateful).order_by(
    tables.security_groups.c.id
)
_ADDRESS_GROUPS = sa.select(tables.address_groups.c.id).order_by(tables.address_groups.c.id)


class World(NamedTuple):
    topology: Topology
    scope: Scope | None  # what of the topology can be made true; None: all of it
    ports: dict[str, str]  # port id -> status, of those that a host can join
    floating_ips: dict[str, tuple[str, str]]  # id -> status as kept, and as it ought to be


def read(tx: Tx, scope: Scope | None = None) -> World:
    """All of it, or what is needed to make the scope true."""
    part = scope and scopes.part(tx, scope)
    port_ids, network_ids, router_ids = part and part.ports, part and part.networks, part and part.scope.routers
    fixed: dict[str, list[FixedIp]] = defaultdict(list)
    for port_id, subnet_id, address in _some(tx, _ADDRESSES, tables.addresses.c.port_id, port_ids):
        fixed[port_id].append(FixedIp(subnet_id, address))
    groups: dict[str, list[str]] = defaultdict(list)
    for port_id, group_id in _some(tx, _GROUPS, tables.port_groups.c.port_id, port_ids):
        groups[port_id].append(group_id)
    rows = [_Port(*row) for row in _some(tx, _PORTS, tables.ports.c.id, port_ids)]
    wires = {
        row.port_id: (row.parent_id, row.segmentation_id)
        for row in _some(tx, store_trunks.WIRES, tables.subports.c.port_id, port_ids)
    }
    floating = _some(tx, _FLOATING, tables.floatingips.c.router_id, router_ids)
    networks = _some(tx, _NETWORKS, tables.networks.c.id, network_ids)
    policies = Policies(tx, networks)
    group_ids = part and part.scope.security_groups.union(*groups.values())
    security_groups = _security_groups(tx, group_ids)
    return World(
        Topology(
            _networks(tx, networks, rows, fixed),
            _ports(rows, fixed, groups, policies, wires),
            _routers(tx, router_ids, rows, fixed, floating, policies),
            security_groups,
            _address_groups(tx, part and part.scope.address_groups, security_groups),
        ),
        part and part.scope,
        {row.id: row.status for row in rows if not row.device_owner.startswith("network:")},
        {row.id: (row.status, "ACTIVE" if row.router_id else "DOWN") for row in floating},
    )


def _some(tx: Tx, query: sa.Select, column: sa.Column, ids: Collection[str] | None) -> list[Any]:
    """Those that have one of these values in this column; None: all."""
    if ids is None:
        return list(tx.all(query))
    return [row for some in store.chunks(sorted(ids)) for row in tx.all(query.where(column.in_(some)))]


def _networks(
    tx: Tx, rows: Sequence[Any], ports: Sequence[_Port], fixed: dict[str, list[FixedIp]]
) -> tuple[Network, ...]:
    metadata = {port.network_id: port for port in ports if port.device_owner == store.METADATA}
    subnets: dict[str, list[Any]] = defaultdict(list)
    for row in _some(tx, _SUBNETS, tables.subnets.c.network_id, [row.id for row in rows]):
        subnets[row.network_id].append(row)
    found = []
    for row in rows:
        port = metadata.get(row.id)
        address = {one.subnet_id: one.ip_address for one in fixed.get(port.id, ())} if port else {}
        found.append(
            Network(
                row.id,
                row.name,
                row.mtu,
                tuple(_subnet(subnet, address.get(subnet.id)) for subnet in subnets[row.id]),
                row.physical_network,
                port and port.id,
                port and port.mac_address,
                row.admin_state_up,
                row.segmentation_id if row.network_type == "vlan" else None,
                row.segmentation_id if row.network_type == "geneve" else None,
                row.vlan_transparent,
                dns_domain=row.dns_domain.rstrip("."),
            )
        )
    return tuple(found)


def _subnet(row: Any, metadata_ip: str | None) -> Subnet:
    return Subnet(
        row.id,
        row.cidr,
        row.ip_version,
        row.gateway_ip,
        row.enable_dhcp,
        tuple(row.dns_nameservers),
        tuple(HostRoute(route["destination"], route["nexthop"]) for route in row.host_routes),
        metadata_ip,
        row.ipv6_ra_mode,
        row.address_scope_id,
    )


def _ports(
    rows: Sequence[_Port],
    fixed: dict[str, list[FixedIp]],
    groups: dict[str, list[str]],
    policies: Policies,
    wires: dict[str, tuple[str, int]],
) -> tuple[Port, ...]:
    return tuple(
        Port(
            row.id,
            row.network_id,
            row.mac_address,
            tuple(fixed.get(row.id, ())),
            tuple(groups.get(row.id, ())),
            row.port_security_enabled,
            tuple((pair["mac_address"], pair["ip_address"]) for pair in row.allowed_address_pairs),
            row.admin_state_up,
            row.dns_name,
            tuple((one["ip_version"], one["opt_name"], one["opt_value"]) for one in row.extra_dhcp_opts),
            wires.get(row.id),
            policies.shaping(row.qos_policy_id, row.network_id),
        )
        for row in rows
        if not row.device_owner.startswith("network:")
    )


def _routers(
    tx: Tx,
    ids: Collection[str] | None,
    ports: Sequence[_Port],
    fixed: dict[str, list[FixedIp]],
    floating: Sequence[Any],
    policies: Policies,
) -> tuple[Router, ...]:
    legs: dict[str, list[RouterPort]] = defaultdict(list)
    gateways: dict[str, Any] = {}
    for port in ports:
        if port.device_owner == store.ROUTER_INTERFACE:
            legs[port.device_id].append(
                RouterPort(
                    port.id,
                    port.network_id,
                    port.mac_address,
                    tuple(fixed.get(port.id, ())),
                    policies.shaping(port.qos_policy_id),
                )
            )
        elif port.device_owner == store.ROUTER_GATEWAY:
            gateways[port.id] = port
    leading: dict[str, list[FloatingIp]] = defaultdict(list)
    for row in floating:
        if row.port_id is not None:
            shaping = policies.shaping(row.qos_policy_id, row.floating_network_id)
            leading[row.router_id].append(
                FloatingIp(row.id, row.floating_ip_address, row.fixed_ip_address, row.port_id, shaping)
            )
    forwarded = _forwardings(tx, floating)
    found = []
    for row in _some(tx, _ROUTERS, tables.routers.c.id, ids):
        port = gateways.get(row.gateway_port_id)
        gateway = port and Gateway(
            port.id,
            port.network_id,
            port.mac_address,
            tuple(fixed.get(port.id, ())),
            row.enable_snat,
            policies.shaping(row.qos_policy_id, port.network_id),
        )
        routes = tuple(Route(route["destination"], route["nexthop"]) for route in row.routes)
        found.append(
            Router(
                row.id,
                row.name,
                tuple(legs[row.id]),
                gateway,
                routes,
                tuple(leading[row.id]),
                row.admin_state_up,
                tuple(forwarded[row.id]),
            )
        )
    return tuple(found)


def _forwardings(tx: Tx, floating: Sequence[Any]) -> dict[str, list[PortForwarding]]:
    """By router."""
    at, found = {row.id: row for row in floating}, defaultdict(list)
    for row in _some(tx, store_forwardings.select(), tables.port_forwardings.c.floatingip_id, at):
        address = at[row.floatingip_id]
        spread = row.internal_last > row.internal_port
        for number in range(row.external_last - row.external_port + 1):
            found[address.router_id].append(
                PortForwarding(
                    address.floating_ip_address,
                    row.protocol,
                    row.external_port + number,
                    row.internal_ip_address,
                    row.internal_port + number * spread,
                )
            )
    return found


def _security_groups(tx: Tx, ids: Collection[str] | None) -> tuple[SecurityGroup, ...]:
    """With the groups that they name in their rules: a match cannot name one that is not there."""
    rules: dict[str, list[Rule]] = defaultdict(list)
    for row in _some(tx, _RULES, tables.rules.c.security_group_id, ids):
        rules[row.security_group_id].append(
            Rule(
                row.id,
                row.direction,
                row.ethertype,
                row.protocol,
                row.port_range_min,
                row.port_range_max,
                row.remote_ip_prefix,
                row.remote_group_id,
                row.remote_address_group_id,
            )
        )
    if ids is not None:
        named = (rule.remote_group_id for kept in rules.values() for rule in kept)
        ids = {*ids, *(group for group in named if group is not None)}
    groups = _some(tx, _SECURITY_GROUPS, tables.security_groups.c.id, ids)
    return tuple(SecurityGroup(row.id, tuple(rules[row.id]), row.stateful) for row in groups)


def _address_groups(
    tx: Tx, ids: Collection[str] | None, security_groups: Sequence[SecurityGroup]
) -> tuple[AddressGroup, ...]:
    """With those that the security groups name in their rules."""
    if ids is not None:
        named = (rule.remote_address_group_id for group in security_groups for rule in group.rules)
        ids = {*ids, *(group for group in named if group is not None)}
    found = [row.id for row in _some(tx, _ADDRESS_GROUPS, tables.address_groups.c.id, ids)]
    cidrs = store.addresses_of_groups(tx, found)
    return tuple(AddressGroup(group_id, tuple(cidrs.get(group_id, ()))) for group_id in found)
