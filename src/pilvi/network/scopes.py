"""What a change of one object means for others: the part of the topology that a pass has to look at."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.drivers.fabric.base import Scope
from pilvi.network import store
from pilvi.network.nouns import PORT_FORWARDING, Noun
from pilvi.network.tables import floatingips, port_groups, ports, rules, subnets

MOST = 1000  # objects; for more, all of them are read just as fast

# The nouns that are in a topology as they are, and those that are there as a part of another one.
KINDS = {"network": "networks", "port": "ports", "router": "routers", "security_group": "security_groups",
         "address_group": "address_groups"}
PARTS = {
    "subnet": ("networks", subnets.c.network_id),
    "floatingip": ("routers", floatingips.c.router_id),
    "port_forwarding": ("routers", floatingips.c.router_id),
    "security_group_rule": ("security_groups", rules.c.security_group_id),
}
# Those that no topology tells of, but by what has them.
NOWHERE = frozenset({
    "rbac_policy", "subnetpool", "default_security_group_rule", "policy", "trunk", "flavor", "service_profile",
})  # fmt: skip


def affected(tx: Tx, noun: Noun, ids: Collection[str]) -> tuple[str, list[str]] | None:
    """The objects of a topology (their kind, their ids) that say what these do; None where it may be any."""
    if noun.name in KINDS:
        return KINDS[noun.name], list(ids)
    if noun.name in NOWHERE:
        return "networks", []
    if noun.name not in PARTS:
        return None
    kind, column = PARTS[noun.name]
    query = sa.select(column).distinct().where(column.is_not(None))
    if noun is PORT_FORWARDING:
        query = query.join(noun.table, noun.table.c.floatingip_id == floatingips.c.id)
    found = _all(tx, query, noun.table.c.id, ids)
    return kind, [row[0] for row in found]


def of_changes(changes: Iterable[Any]) -> Scope | None:
    """Of what `store.pending_changes` gave; None is everything."""
    found: dict[str, set[str]] = {kind: set() for kind in Scope.__struct_fields__}
    for change in changes:
        if change.kind not in found:
            return None
        found[change.kind].add(change.object_id)
    if sum(map(len, found.values())) > MOST:
        return None
    return Scope(**{kind: frozenset(ids) for kind, ids in found.items()})


class Part(NamedTuple):
    """`scope` with what depends on it, and the ids of what has to be read to tell of it."""

    scope: Scope
    networks: frozenset[str]
    ports: frozenset[str]


_PORTS = sa.select(ports.c.id, ports.c.network_id, ports.c.device_id, ports.c.device_owner)


def part(tx: Tx, scope: Scope) -> Part:
    """A changed network changes its ports and the routers that have a leg in it; a changed port the names there.

    To be told of a group takes its ports, of a router its legs, of the names on a network its named ports."""
    changed = [*_all(tx, _PORTS, ports.c.id, scope.ports), *_all(tx, _PORTS, ports.c.network_id, scope.networks)]
    routers = scope.routers | {port.device_id for port in changed if port.device_owner in store.ROUTERS}
    names = scope.names | scope.networks | {port.network_id for port in changed}
    members = _PORTS.join(port_groups, port_groups.c.port_id == ports.c.id)
    told = [
        *_all(tx, _PORTS.where(ports.c.device_owner.in_(store.ROUTERS)), ports.c.device_id, routers),
        *_all(tx, _PORTS.where(ports.c.dns_name != ""), ports.c.network_id, names),
        *_all(tx, members, port_groups.c.security_group_id, scope.security_groups),
    ]
    networks = scope.networks | {port.network_id for port in (*changed, *told)}
    metadata = _all(tx, _PORTS.where(ports.c.device_owner == store.METADATA), ports.c.network_id, networks)
    wider = Scope(
        networks=scope.networks,
        names=names,
        ports=scope.ports | {port.id for port in changed},
        routers=routers,
        security_groups=scope.security_groups,
        address_groups=scope.address_groups,
    )
    return Part(wider, networks, frozenset(port.id for port in (*changed, *told, *metadata)))


def _all(tx: Tx, query: sa.Select, column: sa.Column, ids: Collection[str]) -> list[Any]:
    return [row for some in store.chunks(ids) for row in tx.all(query.where(column.in_(some)))]
