"""All SQL of Network that is not about one noun's own ways; addresses are in `store_addresses`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.network import store_changes, store_forwardings, store_sharing
from pilvi.network.nouns import Noun
from pilvi.network.tables import (
    address_group_addresses,
    addresses,
    default_rules,
    floatingips,
    networks,
    port_forwardings,
    port_groups,
    ports,
    qos_bandwidth_limit_rules,
    qos_dscp_marking_rules,
    routers,
    rules,
    security_groups,
    subnets,
    tags,
)
from pilvi.policy import Context

CHUNK = 10_000  # values in one IN: databases bound them
ROUTER_INTERFACE, ROUTER_GATEWAY, FLOATING_IP = (
    "network:router_interface",
    "network:router_gateway",
    "network:floatingip",
)
ROUTERS = (ROUTER_INTERFACE, ROUTER_GATEWAY)
COMPUTE = "compute:nova"  # device_owner of servers' ports
METADATA = "network:distributed"


def chunks(values: Collection[str]) -> Iterator[list[str]]:
    values = list(values)
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


# -- one object


def lock_network(tx: Tx, *network_ids: str) -> None:
    """Held while a network's addresses, MAC addresses and subnets are looked at and changed."""
    for network_id in sorted(set(network_ids)):
        tx.lock("network", network_id)


def get(tx: Tx, noun: Noun, object_id: str) -> sa.Row | None:
    return tx.one(sa.select(noun.table).where(noun.table.c.id == object_id))


def visible(noun: Noun, context: Context) -> sa.ColumnElement[bool]:
    """What the caller may see: all of it for an administrator."""
    table, project = noun.table, context.project_id
    if context.is_admin:
        return sa.true()
    if table is default_rules:
        return sa.true()
    own = table.c.project_id == project
    if noun.shared_as:
        return sa.or_(own, table.c.id.in_(store_sharing.ids(noun.shared_as, project)))
    if table is subnets:
        return sa.or_(own, subnets.c.network_id.in_(_usable(networks, "network", project)))
    if table in (qos_bandwidth_limit_rules, qos_dscp_marking_rules):
        return sa.or_(own, table.c.policy_id.in_(store_sharing.ids("qos_policy", project)))
    if table is ports:
        return sa.or_(own, ports.c.network_id.in_(sa.select(networks.c.id).where(networks.c.project_id == project)))
    if table is rules:
        return sa.or_(own, rules.c.security_group_id.in_(_usable(security_groups, "security_group", project)))
    return own


def _usable(table: sa.Table, kind: str, project: str | None) -> sa.CompoundSelect:
    """The project's own objects, and those that are shared with it."""
    own = sa.select(table.c.id).where(table.c.project_id == project)
    return sa.union(own, store_sharing.ids(kind, project, store_sharing.SHARED))


def find(tx: Tx, noun: Noun, context: Context, object_id: str) -> sa.Row | None:
    """The object, where the caller may see it."""
    return tx.one(sa.select(noun.table).where(noun.table.c.id == object_id, visible(noun, context)))


def by_ids(tx: Tx, noun: Noun, ids: Collection[str]) -> list[sa.Row]:
    return [row for part in chunks(ids) for row in tx.all(sa.select(noun.table).where(noun.table.c.id.in_(part)))]


def insert(tx: Tx, noun: Noun, values: dict[str, Any]) -> None:
    tx.execute(noun.table.insert(), {"created_at": tx.now, "updated_at": tx.now, **values})


def update(tx: Tx, noun: Noun, object_id: str, **values: Any) -> None:
    """Counts as a change that clients see."""
    tx.execute(
        noun.table.update()
        .where(noun.table.c.id == object_id)
        .values(revision_number=noun.table.c.revision_number + 1, updated_at=tx.now, **values)
    )


def delete(tx: Tx, noun: Noun, *ids: str) -> None:
    for part in chunks(ids):
        tx.execute(tags.delete().where(tags.c.object_id.in_(part)))
        if noun.shared_as:
            store_sharing.forget(tx, noun.shared_as, part)
        tx.execute(noun.table.delete().where(noun.table.c.id.in_(part)))


def count(tx: Tx, noun: Noun, project_id: str) -> int:
    return tx.scalar(sa.select(sa.func.count()).select_from(noun.table).where(noun.table.c.project_id == project_id))


def page(tx: Tx, noun: Noun, conditions: Iterable[Any], order: Sequence[Any], limit: int | None) -> list[sa.Row]:
    return list(tx.all(sa.select(noun.table).where(*conditions).order_by(*order).limit(limit)))


# -- tags


def tags_of(tx: Tx, ids: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for part in chunks(ids):
        for object_id, tag in tx.all(sa.select(tags).where(tags.c.object_id.in_(part)).order_by(tags.c.tag)):
            found[object_id].append(tag)
    return found


def set_tags(tx: Tx, object_id: str, wanted: Collection[str]) -> None:
    tx.execute(tags.delete().where(tags.c.object_id == object_id))
    if wanted:
        tx.execute(tags.insert(), [{"object_id": object_id, "tag": tag} for tag in sorted(set(wanted))])


# -- networks and subnets


def subnets_of(tx: Tx, *network_ids: str) -> list[sa.Row]:
    """In the order of their making."""
    return [
        row
        for part in chunks(network_ids)
        for row in tx.all(
            sa.select(subnets).where(subnets.c.network_id.in_(part)).order_by(subnets.c.created_at, subnets.c.id)
        )
    ]


def subnet_ids_of(tx: Tx, network_ids: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for part in chunks(network_ids):
        for subnet_id, network_id in tx.all(
            sa.select(subnets.c.id, subnets.c.network_id).where(subnets.c.network_id.in_(part)).order_by(subnets.c.id)
        ):
            found[network_id].append(subnet_id)
    return found


def usable_networks(tx: Tx, project_id: str) -> list[sa.Row]:
    """Those that a server of the project is put on when none is named."""
    return list(
        tx.all(
            sa.select(networks)
            .where(networks.c.id.in_(_usable(networks, "network", project_id)), networks.c.external.is_(False))
            .order_by(networks.c.created_at, networks.c.id)
        )
    )


def metadata_port(tx: Tx, network_id: str) -> sa.Row | None:
    return tx.one(sa.select(ports).where(ports.c.network_id == network_id, ports.c.device_owner == METADATA))


# -- ports


def mac_taken(tx: Tx, network_id: str, mac: str) -> bool:
    return tx.one(sa.select(ports.c.id).where(ports.c.network_id == network_id, ports.c.mac_address == mac)) is not None


def ports_on(tx: Tx, network_id: str) -> list[sa.Row]:
    return list(tx.all(sa.select(ports).where(ports.c.network_id == network_id)))


def ports_of_devices(tx: Tx, device_ids: Collection[str], owner: str | None = None) -> list[sa.Row]:
    """In the order of the device's network cards."""
    where = [] if owner is None else [ports.c.device_owner == owner]
    return [
        row
        for part in chunks(device_ids)
        for row in tx.all(
            sa.select(ports)
            .where(ports.c.device_id.in_(part), *where)
            .order_by(ports.c.nic, ports.c.created_at, ports.c.id)
        )
    ]


_CARDS = (
    sa.select(ports.c.id, ports.c.mac_address, networks.c.mtu)
    .join(networks, networks.c.id == ports.c.network_id)
    .where(ports.c.device_id == sa.bindparam("device"), ports.c.device_owner == sa.bindparam("owner"))
    .order_by(ports.c.nic, ports.c.created_at, ports.c.id)
)


def cards_of(tx: Tx, device_id: str, owner: str) -> list[tuple[str, str, int]]:
    """(port, MAC address, MTU in bytes) of the device's network cards in their order."""
    return [tuple(row) for row in tx.all(_CARDS, {"device": device_id, "owner": owner})]


def security_groups_of(tx: Tx, port_ids: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for part in chunks(port_ids):
        for port_id, group in tx.all(
            sa.select(port_groups).where(port_groups.c.port_id.in_(part)).order_by(port_groups.c.security_group_id)
        ):
            found[port_id].append(group)
    return found


def security_group_names_of(tx: Tx, port_ids: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    joined = sa.select(port_groups.c.port_id, security_groups.c.name).join(security_groups)
    for part in chunks(port_ids):
        for port_id, name in tx.all(joined.where(port_groups.c.port_id.in_(part)).order_by(security_groups.c.name)):
            found[port_id].append(name)
    return found


def set_security_groups(tx: Tx, port_id: str, groups: Collection[str]) -> None:
    tx.execute(port_groups.delete().where(port_groups.c.port_id == port_id))
    add_security_groups(tx, port_id, groups)


def add_security_groups(tx: Tx, port_id: str, groups: Collection[str]) -> None:
    if groups:
        tx.execute(
            port_groups.insert(),
            [{"port_id": port_id, "security_group_id": group} for group in dict.fromkeys(groups)],
        )


def delete_ports(tx: Tx, ids: Collection[str]) -> None:
    """With their addresses; floating addresses that led to them, or ports of them, lead nowhere afterwards."""
    from pilvi.network.nouns import PORT

    for part in chunks(ids):
        _note_ports(tx, part)
        tx.execute(addresses.delete().where(addresses.c.port_id.in_(part)))
        tx.execute(port_groups.delete().where(port_groups.c.port_id.in_(part)))
        disassociate(tx, floatingips.c.port_id.in_(part))
        store_forwardings.delete(tx, port_forwardings.c.internal_port_id.in_(part))
    delete(tx, PORT, *ids)


def _note_ports(tx: Tx, ids: Collection[str]) -> None:
    """Whose leg such a port is, and the names on its network, change with it."""
    rows = tx.all(
        sa.select(ports.c.id, ports.c.network_id, ports.c.device_id, ports.c.device_owner).where(ports.c.id.in_(ids))
    )
    store_changes.note(tx, "ports", (row.id for row in rows))
    store_changes.note(tx, "names", (row.network_id for row in rows))
    store_changes.note(tx, "routers", (row.device_id for row in rows if row.device_owner in ROUTERS))


def set_statuses(tx: Tx, table: sa.Table, status: str, ids: Collection[str], *where: Any) -> int:
    """What a pass found; no change of the logical network. How many had another status."""
    return sum(
        tx.execute(
            table.update().where(table.c.id.in_(part), table.c.status != status, *where).values(status=status)
        ).rowcount
        for part in chunks(ids)
    )


# -- routers and floating IPs


def router_of(tx: Tx, subnet_id: str) -> list[sa.Row]:
    """(router, its port) of each leg in this subnet, the one at the subnet's gateway address first."""
    return list(
        tx.all(
            sa.select(routers, addresses.c.address)
            .join(ports, sa.and_(ports.c.device_id == routers.c.id, ports.c.device_owner == ROUTER_INTERFACE))
            .join(addresses, addresses.c.port_id == ports.c.id)
            .join(subnets, subnets.c.id == addresses.c.subnet_id)
            .where(addresses.c.subnet_id == subnet_id)
            .order_by(sa.case((addresses.c.address == subnets.c.gateway_ip, 0), else_=1), routers.c.id)
        )
    )


def disassociate(tx: Tx, *where: Any) -> None:
    routers_left = tx.all(sa.select(floatingips.c.router_id).where(floatingips.c.router_id.is_not(None), *where))
    store_changes.note(tx, "routers", (row.router_id for row in routers_left))
    tx.execute(
        floatingips.update()
        .where(*where)
        .values(
            port_id=None,
            fixed_ip_address=None,
            router_id=None,
            status="DOWN",
            revision_number=floatingips.c.revision_number + 1,
            updated_at=tx.now,
        )
    )


def floating_ips(tx: Tx, *where: Any) -> list[sa.Row]:
    return list(tx.all(sa.select(floatingips).where(*where).order_by(floatingips.c.created_at, floatingips.c.id)))


def idle_floating_ips(tx: Tx, network_id: str) -> list[sa.Row]:
    """Those of an external network that lead nowhere, as a whole or in part."""
    return floating_ips(tx, floatingips.c.floating_network_id == network_id, floatingips.c.router_id.is_(None))


# -- security groups


def default_group(tx: Tx, project_id: str) -> str | None:
    return tx.scalar(sa.select(security_groups.c.id).where(security_groups.c.default_of == project_id))


def default_groups(tx: Tx, ids: Collection[str]) -> set[str]:
    """Those of the groups that are a project's default group."""
    found = sa.select(security_groups.c.id).where(security_groups.c.default_of.is_not(None))
    return {row.id for part in chunks(ids) for row in tx.all(found.where(security_groups.c.id.in_(part)))}


def addresses_of_groups(tx: Tx, ids: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    columns = address_group_addresses.c
    for part in chunks(ids):
        for group, cidr in tx.all(
            sa.select(columns.address_group_id, columns.cidr)
            .where(columns.address_group_id.in_(part))
            .order_by(columns.cidr)
        ):
            found[group].append(cidr)
    return found


def rules_of(tx: Tx, group_ids: Collection[str]) -> dict[str, list[sa.Row]]:
    found: dict[str, list[sa.Row]] = defaultdict(list)
    for part in chunks(group_ids):
        for row in tx.all(
            sa.select(rules).where(rules.c.security_group_id.in_(part)).order_by(rules.c.created_at, rules.c.id)
        ):
            found[row.security_group_id].append(row)
    return found
