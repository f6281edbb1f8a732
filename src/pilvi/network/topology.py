"""The rows as the logical network that ought to be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.drivers.fabric.base import (
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
    SecurityGroup,
    Subnet,
    Topology,
)
from pilvi.network import store, store_forwardings, tables


class _Port(msgspec.Struct, gc=False):
    """What is read of a port: a pass reads all of them, so it leaves out what the network does not need."""

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
    status: str


_PORTS = sa.select(*(tables.ports.c[name] for name in _Port.__struct_fields__)).order_by(tables.ports.c.id)
_ADDRESSES = sa.select(tables.addresses.c.port_id, tables.addresses.c.subnet_id, tables.addresses.c.address).order_by(
    tables.addresses.c.number
)


class World(NamedTuple):
    topology: Topology
    ports: dict[str, str]  # port id -> status, of those that a host can join
    floating_ips: dict[str, tuple[str, str]]  # id -> status as kept, and as it ought to be


def read(tx: Tx) -> World:
    fixed: dict[str, list[FixedIp]] = defaultdict(list)
    for port_id, subnet_id, address in tx.all(_ADDRESSES):
        fixed[port_id].append(FixedIp(subnet_id, address))
    groups: dict[str, list[str]] = defaultdict(list)
    for port_id, group_id in tx.all(sa.select(tables.port_groups).order_by(tables.port_groups.c.security_group_id)):
        groups[port_id].append(group_id)
    rows = [_Port(*row) for row in tx.all(_PORTS)]
    floating = store.floating_ips(tx, tables.floatingips.c.router_id.is_not(None))
    return World(
        Topology(
            _networks(tx, rows, fixed),
            _ports(rows, fixed, groups),
            _routers(tx, rows, fixed, floating),
            _security_groups(tx),
        ),
        {row.id: row.status for row in rows if not row.device_owner.startswith("network:")},
        {row.id: (row.status, "ACTIVE" if row.router_id else "DOWN") for row in floating},
    )


def _networks(tx: Tx, ports: Sequence[_Port], fixed: dict[str, list[FixedIp]]) -> tuple[Network, ...]:
    metadata = {port.network_id: port for port in ports if port.device_owner == store.METADATA}
    subnets: dict[str, list[Any]] = defaultdict(list)
    for row in tx.all(sa.select(tables.subnets).order_by(tables.subnets.c.created_at, tables.subnets.c.id)):
        subnets[row.network_id].append(row)
    found = []
    for row in tx.all(sa.select(tables.networks).order_by(tables.networks.c.id)):
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
    )


def _ports(rows: Sequence[_Port], fixed: dict[str, list[FixedIp]], groups: dict[str, list[str]]) -> tuple[Port, ...]:
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
        )
        for row in rows
        if not row.device_owner.startswith("network:")
    )


def _routers(
    tx: Tx, ports: Sequence[_Port], fixed: dict[str, list[FixedIp]], floating: Sequence[Any]
) -> tuple[Router, ...]:
    legs: dict[str, list[RouterPort]] = defaultdict(list)
    gateways: dict[str, Any] = {}
    for port in ports:
        if port.device_owner == store.ROUTER_INTERFACE:
            legs[port.device_id].append(
                RouterPort(port.id, port.network_id, port.mac_address, tuple(fixed.get(port.id, ())))
            )
        elif port.device_owner == store.ROUTER_GATEWAY:
            gateways[port.id] = port
    leading: dict[str, list[FloatingIp]] = defaultdict(list)
    for row in floating:
        if row.port_id is not None:
            leading[row.router_id].append(
                FloatingIp(row.id, row.floating_ip_address, row.fixed_ip_address, row.port_id)
            )
    forwarded = _forwardings(tx, floating)
    found = []
    for row in tx.all(sa.select(tables.routers).order_by(tables.routers.c.id)):
        port = gateways.get(row.gateway_port_id)
        gateway = port and Gateway(
            port.id, port.network_id, port.mac_address, tuple(fixed.get(port.id, ())), row.enable_snat
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
    for row in tx.all(store_forwardings.select()):
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


def _security_groups(tx: Tx) -> tuple[SecurityGroup, ...]:
    rules: dict[str, list[Rule]] = defaultdict(list)
    for row in tx.all(sa.select(tables.rules).order_by(tables.rules.c.id)):
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
            )
        )
    columns = tables.security_groups.c
    groups = tx.all(sa.select(columns.id, columns.stateful).order_by(columns.id))
    return tuple(SecurityGroup(row.id, tuple(rules[row.id]), row.stateful) for row in groups)
