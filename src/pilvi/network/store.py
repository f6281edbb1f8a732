"""All SQL of Network that is not about one noun's own ways; addresses are in `store_addresses`."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx, one_of
from pilvi.network import store_changes, store_forwardings, store_sharing
from pilvi.network.nouns import Noun
from pilvi.network.tables import (
    address_group_addresses,
    addresses,
    default_rules,
    flavors,
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
    subnetpools,
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


# Statements that every request needs are built once: building one takes several times as long as running it.


@functools.cache
def _by_id(noun: Noun) -> sa.Select:
    return sa.select(noun.table).where(noun.table.c.id == sa.bindparam("id"))


@functools.cache
def _by_id_seen(noun: Noun) -> sa.Select:
    return _by_id(noun).where(_seen_by(noun, sa.bindparam("project")))


@functools.cache
def _by_ids(noun: Noun) -> sa.Select:
    return sa.select(noun.table).where(one_of(noun.table.c.id, "ids"))


def get(tx: Tx, noun: Noun, object_id: str) -> sa.Row | None:
    return tx.one(_by_id(noun), {"id": object_id})


def visible(noun: Noun, context: Context) -> sa.ColumnElement[bool]:
    """What the caller may see: all of it for an administrator."""
    return sa.true() if context.is_admin else _seen_by(noun, context.project_id)


def _seen_by(noun: Noun, project: Any) -> sa.ColumnElement[bool]:
    table = noun.table
    if table in (default_rules, flavors):
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


def _usable(table: sa.Table, kind: str, project: Any) -> sa.CompoundSelect:
    """The project's own objects, and those that are shared with it."""
    own = sa.select(table.c.id).where(table.c.project_id == project)
    return sa.union(own, store_sharing.ids(kind, project, store_sharing.SHARED))


def find(tx: Tx, noun: Noun, context: Context, object_id: str) -> sa.Row | None:
    """The object, where the caller may see it."""
    if context.is_admin:
        return get(tx, noun, object_id)
    return tx.one(_by_id_seen(noun), {"id": object_id, "project": context.project_id})


def by_ids(tx: Tx, noun: Noun, ids: Collection[str]) -> list[sa.Row]:
    return list(tx.all(_by_ids(noun), {"ids": ids})) if ids else []


def insert(tx: Tx, noun: Noun, values: dict[str, Any]) -> None:
    tx.execute(noun.table.insert(), {"created_at": tx.now, "updated_at": tx.now, **values})


@functools.cache
def _update(noun: Noun, names: tuple[str, ...]) -> sa.Update:
    table, written = noun.table, {name: sa.bindparam(name) for name in names}
    return (
        table.update()
        .where(table.c.id == sa.bindparam("the_id"))
        .values(revision_number=table.c.revision_number + 1, **written)
    )


def update(tx: Tx, noun: Noun, object_id: str, **values: Any) -> None:
    """Counts as a change that clients see."""
    values["updated_at"] = tx.now
    tx.execute(_update(noun, tuple(values)), {"the_id": object_id, **values})


@functools.cache
def _delete(noun: Noun) -> tuple[sa.Delete, ...]:
    own = noun.table.delete().where(one_of(noun.table.c.id, "ids"))
    return tags.delete().where(one_of(tags.c.object_id, "ids")), own


def delete(tx: Tx, noun: Noun, *ids: str) -> None:
    if not ids:
        return
    for statement in _delete(noun):
        tx.execute(statement, {"ids": ids})
    if noun.shared_as:
        store_sharing.forget(tx, noun.shared_as, ids)


@functools.cache
def _count(noun: Noun) -> sa.Select:
    return sa.select(sa.func.count()).select_from(noun.table).where(noun.table.c.project_id == sa.bindparam("project"))


def count(tx: Tx, noun: Noun, project_id: str) -> int:
    return tx.scalar(_count(noun), {"project": project_id})


def page(tx: Tx, noun: Noun, conditions: Iterable[Any], order: Sequence[Any], limit: int | None) -> list[sa.Row]:
    return list(tx.all(sa.select(noun.table).where(*conditions).order_by(*order).limit(limit)))


# -- tags


_TAGS = sa.select(tags.c.object_id, tags.c.tag).where(one_of(tags.c.object_id, "ids")).order_by(tags.c.tag)


def tags_of(tx: Tx, ids: Collection[str]) -> dict[str, list[str]]:
    return _grouped(tx, _TAGS, ids)


def _grouped(tx: Tx, statement: sa.Select, ids: Collection[str]) -> dict[str, list[str]]:
    """The pairs that a statement finds, by their first, in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for key, value in tx.all(statement, {"ids": ids}):
        found[key].append(value)
    return found


def set_tags(tx: Tx, object_id: str, wanted: Collection[str]) -> None:
    tx.execute(tags.delete().where(tags.c.object_id == object_id))
    if wanted:
        tx.execute(tags.insert(), [{"object_id": object_id, "tag": tag} for tag in sorted(set(wanted))])


# -- networks and subnets


_SUBNETS_OF = (
    sa.select(subnets).where(one_of(subnets.c.network_id, "ids")).order_by(subnets.c.created_at, subnets.c.id)
)
_SUBNET_IDS_OF = (
    sa.select(subnets.c.network_id, subnets.c.id).where(one_of(subnets.c.network_id, "ids")).order_by(subnets.c.id)
)


def subnets_of(tx: Tx, *network_ids: str) -> list[sa.Row]:
    """In the order of their making."""
    return list(tx.all(_SUBNETS_OF, {"ids": network_ids}))


def subnet_ids_of(tx: Tx, network_ids: Collection[str]) -> dict[str, list[str]]:
    return _grouped(tx, _SUBNET_IDS_OF, network_ids)


_GIVEN = sa.select(networks.c.id, networks.c.dns_domain, networks.c.qos_policy_id).where(one_of(networks.c.id, "ids"))


def given_to_ports(tx: Tx, network_ids: Collection[str]) -> dict[str, sa.Row]:
    """(id, DNS domain or "", QoS policy) of networks."""
    return {row.id: row for row in tx.all(_GIVEN, {"ids": network_ids})}


def address_scopes_of(tx: Tx, network_ids: Collection[str]) -> dict[tuple[str, int], str]:
    """(network, IP version) -> address scope, of those that have one."""
    query = (
        sa.select(subnets.c.network_id, subnets.c.ip_version, subnetpools.c.address_scope_id)
        .join(subnetpools, subnetpools.c.id == subnets.c.subnetpool_id)
        .where(subnetpools.c.address_scope_id.is_not(None))
        .distinct()
    )
    found = (row for part in chunks(network_ids) for row in tx.all(query.where(subnets.c.network_id.in_(part))))
    return {(row.network_id, row.ip_version): row.address_scope_id for row in found}


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


_MAC = sa.select(ports.c.id).where(
    ports.c.network_id == sa.bindparam("network"), ports.c.mac_address == sa.bindparam("mac")
)


def mac_taken(tx: Tx, network_id: str, mac: str) -> bool:
    return tx.one(_MAC, {"network": network_id, "mac": mac}) is not None


def ports_on(tx: Tx, network_id: str) -> list[sa.Row]:
    return list(tx.all(sa.select(ports).where(ports.c.network_id == network_id)))


_PORTS_OF_DEVICES = (
    sa.select(ports).where(one_of(ports.c.device_id, "ids")).order_by(ports.c.nic, ports.c.created_at, ports.c.id)
)
_OWNED_PORTS_OF_DEVICES = _PORTS_OF_DEVICES.where(ports.c.device_owner == sa.bindparam("owner"))


def ports_of_devices(tx: Tx, device_ids: Collection[str], owner: str | None = None) -> list[sa.Row]:
    """In the order of the device's network cards."""
    statement = _PORTS_OF_DEVICES if owner is None else _OWNED_PORTS_OF_DEVICES
    return list(tx.all(statement, {"ids": device_ids, "owner": owner}))


def without_security(tx: Tx) -> list[str]:
    return [row.id for row in tx.all(sa.select(ports.c.id).where(
        ports.c.port_security_enabled.is_(False), ports.c.device_owner.startswith("compute:")))]


_SHOWN_CARDS = (
    sa.select(
        ports.c.id,
        ports.c.device_id,
        ports.c.network_id,
        networks.c.name,
        ports.c.mac_address,
        networks.c.mtu,
        ports.c.status,
        ports.c.nic_tag,
    )
    .join(networks, networks.c.id == ports.c.network_id)
    .where(one_of(ports.c.device_id, "ids"), ports.c.device_owner == sa.bindparam("owner"))
    .order_by(ports.c.nic, ports.c.created_at, ports.c.id)
)


def shown_cards_of(tx: Tx, device_ids: Collection[str], owner: str) -> Sequence[sa.Row]:
    """(port, device, network, the network's name, MAC address, MTU, status, tag) of the devices' network cards,
    each device's in their order."""
    return tx.all(_SHOWN_CARDS, {"ids": device_ids, "owner": owner})


_CARDS = (
    sa.select(ports.c.id, ports.c.mac_address, networks.c.mtu)
    .join(networks, networks.c.id == ports.c.network_id)
    .where(ports.c.device_id == sa.bindparam("device"), ports.c.device_owner == sa.bindparam("owner"))
    .order_by(ports.c.nic, ports.c.created_at, ports.c.id)
)


def cards_of(tx: Tx, device_id: str, owner: str) -> list[tuple[str, str, int]]:
    """(port, MAC address, MTU in bytes) of the device's network cards in their order."""
    return [tuple(row) for row in tx.all(_CARDS, {"device": device_id, "owner": owner})]


_BIND = (
    ports.update()
    .where(ports.c.device_id == sa.bindparam("device"), ports.c.device_owner == sa.bindparam("owner"))
    .values(host=sa.bindparam("the_host"))
)


def bind(tx: Tx, device_id: str, owner: str, host: str) -> None:
    """Says which host the device's network cards are on."""
    tx.execute(_BIND, {"device": device_id, "owner": owner, "the_host": host})


_GROUPS_OF = (
    sa.select(port_groups.c.port_id, port_groups.c.security_group_id)
    .where(one_of(port_groups.c.port_id, "ids"))
    .order_by(port_groups.c.security_group_id)
)
_GROUP_NAMES_OF = (
    sa.select(port_groups.c.port_id, security_groups.c.name)
    .join(security_groups)
    .where(one_of(port_groups.c.port_id, "ids"))
    .order_by(security_groups.c.name)
)


def security_groups_of(tx: Tx, port_ids: Collection[str]) -> dict[str, list[str]]:
    return _grouped(tx, _GROUPS_OF, port_ids)


def security_group_names_of(tx: Tx, port_ids: Collection[str]) -> dict[str, list[str]]:
    return _grouped(tx, _GROUP_NAMES_OF, port_ids)


def set_security_groups(tx: Tx, port_id: str, groups: Collection[str]) -> None:
    tx.execute(port_groups.delete().where(port_groups.c.port_id == port_id))
    add_security_groups(tx, port_id, groups)


def add_security_groups(tx: Tx, port_id: str, groups: Collection[str]) -> None:
    if groups:
        tx.execute(
            port_groups.insert(),
            [{"port_id": port_id, "security_group_id": group} for group in dict.fromkeys(groups)],
        )


_DELETE_ADDRESSES = addresses.delete().where(one_of(addresses.c.port_id, "ids"))
# Few ports have a floating address or lead somewhere: one query finds those that do.
_LED_TO = sa.union_all(
    sa.select(floatingips.c.port_id).where(one_of(floatingips.c.port_id, "ids")),
    sa.select(port_forwardings.c.internal_port_id).where(one_of(port_forwardings.c.internal_port_id, "ids")),
)
_DELETE_GROUPS = port_groups.delete().where(one_of(port_groups.c.port_id, "ids"))


def delete_ports(tx: Tx, ids: Collection[str]) -> None:
    """With their addresses; floating addresses that led to them, or ports of them, lead nowhere afterwards."""
    from pilvi.network.nouns import PORT

    if not ids:
        return
    _note_ports(tx, ids)
    tx.execute(_DELETE_ADDRESSES, {"ids": ids})
    tx.execute(_DELETE_GROUPS, {"ids": ids})
    for part in chunks({row[0] for row in tx.all(_LED_TO, {"ids": ids})}):
        disassociate(tx, floatingips.c.port_id.in_(part))
        store_forwardings.delete(tx, port_forwardings.c.internal_port_id.in_(part))
    delete(tx, PORT, *ids)


_NOTED_PORTS = sa.select(ports.c.id, ports.c.network_id, ports.c.device_id, ports.c.device_owner).where(
    one_of(ports.c.id, "ids")
)


def _note_ports(tx: Tx, ids: Collection[str]) -> None:
    """Whose leg such a port is, and the names on its network, change with it."""
    rows = tx.all(_NOTED_PORTS, {"ids": ids})
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


_FLOATING_IPS_OF = (
    sa.select(floatingips.c.port_id, floatingips.c.floating_ip_address, floatingips.c.fixed_ip_address)
    .where(one_of(floatingips.c.port_id, "ids"))
    .order_by(floatingips.c.created_at, floatingips.c.id)
)


def floating_ips_of(tx: Tx, port_ids: Collection[str]) -> Sequence[sa.Row]:
    """(port, floating address, fixed address) of those that lead to these ports."""
    return tx.all(_FLOATING_IPS_OF, {"ids": port_ids})


def floating_ips(tx: Tx, *where: Any) -> list[sa.Row]:
    return list(tx.all(sa.select(floatingips).where(*where).order_by(floatingips.c.created_at, floatingips.c.id)))


def idle_floating_ips(tx: Tx, network_id: str) -> list[sa.Row]:
    """Those of an external network that lead nowhere, as a whole or in part."""
    return floating_ips(tx, floatingips.c.floating_network_id == network_id, floatingips.c.router_id.is_(None))


# -- security groups


_DEFAULT_GROUP = sa.select(security_groups.c.id).where(security_groups.c.default_of == sa.bindparam("project"))
_RULES_OF = (
    sa.select(rules).where(one_of(rules.c.security_group_id, "ids")).order_by(rules.c.created_at, rules.c.id)
)


def default_group(tx: Tx, project_id: str) -> str | None:
    return tx.scalar(_DEFAULT_GROUP, {"project": project_id})


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
    for row in tx.all(_RULES_OF, {"ids": group_ids}):
        found[row.security_group_id].append(row)
    return found
