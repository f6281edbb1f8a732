"""The verb that explains why a packet passes, or where it is dropped."""

from __future__ import annotations

import ipaddress
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.drivers.fabric.base import FabricError, Rule, Topology
from pilvi.faults import BadRequest, Conflict, NotFound, Unavailable
from pilvi.network import paths, tables, topology
from pilvi.network.base import Base
from pilvi.network.nouns import ADDRESS_GROUP, FLOATING_IP, NETWORK, PORT, ROUTER, SECURITY_GROUP, SUBNET, Noun
from pilvi.policy import Context

PROTOCOLS = ("icmp", "tcp", "udp", "sctp")
WITHOUT_PORTS = "icmp"
TITLES = {"address_group": "address group", "floatingip": "floating IP", "security_group": "security group",
          "security_group_rule": "rule"}


class _Row(NamedTuple):
    name: str
    project_id: str
    common: bool  # everybody may see it


class PathVerbs(Base):
    def path(self, context: Context, source: str, address: str, *, protocol: str = "icmp", port: int | None = None,
             sender: str | None = None) -> dict[str, Any]:
        """What becomes of the first packet to `address` from `source`: one of the caller's ports, by id or name, or an
        external network for a packet from outside. `sender`: another source address than the port's own.

        Objects of other projects are not named, but to administrators. Raises BadRequest, NotFound, Conflict for a
        name that several have, Unavailable where nothing can be traced."""
        question = paths.Question("", *_checked(address, protocol, port, sender))
        with self._db.read() as tx:
            question = question._replace(source_id=self._whence(tx, context, source))
            world = topology.read(tx)
            names = _Names(tx, context, world.topology)
        up = {port_id for port_id, status in world.ports.items() if status == "ACTIVE"}
        known = paths.Known(world.topology, up, names.floating, names.label)
        try:
            steps = paths.explain(known, self._northbound.trace, question)
        except FabricError as error:
            raise Unavailable(f"The path cannot be shown: {error}.") from error
        shown = [names.shown(step) for step in steps]
        return {"passes": steps[-1].passes, "from": question.source_id, "to": question.address, "protocol": protocol,
                "port": port, "steps": shown}

    def _whence(self, tx: Tx, context: Context, wanted: str) -> str:
        own = PORT.table.c.project_id == context.project_id if not context.is_admin else sa.true()
        guests = sa.not_(tables.ports.c.device_owner.startswith("network:"))
        found = [*_called(tx, PORT, wanted, own, guests), *_called(tx, NETWORK, wanted, tables.networks.c.external)]
        if len(found) > 1:
            raise Conflict(f"More than one port is called {wanted}: say which by its id.", kind="Conflict")
        if not found:
            raise NotFound(f"There is no port of a server, nor an external network, called {wanted}.", kind="PortNotFound")
        return found[0]


def _called(tx: Tx, noun: Noun, wanted: str, *conditions: Any) -> list[str]:
    columns = noun.table.c
    either = sa.or_(columns.id == wanted, columns.name == wanted)
    return [row.id for row in tx.all(sa.select(columns.id).where(either, *conditions).limit(2))]


def _checked(address: str, protocol: str, port: int | None, sender: str | None) -> tuple[Any, ...]:
    """The question's fields but for its source. Raises BadRequest."""
    wanted = _address(address, "to")
    if wanted.is_multicast or wanted.is_unspecified:
        raise BadRequest(f"'to': {address} is no single receiver's address.")
    if sender is not None and _address(sender, "source").version != wanted.version:
        raise BadRequest(f"'source': {sender} and {address} are of different IP versions.")
    if protocol not in PROTOCOLS:
        raise BadRequest(f"'protocol': {protocol!r} is none of {', '.join(PROTOCOLS)}.")
    if (port is None) != (protocol == WITHOUT_PORTS) or not 0 < (port or 1) < 65536:
        raise BadRequest(f"'port': {protocol} wants {'none' if protocol == WITHOUT_PORTS else 'one from 1 to 65535'}.")
    return str(wanted), protocol, port, sender and str(_address(sender, "source"))


def _address(text: str, field: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise BadRequest(f"'{field}': {text!r} is no IP address.") from None


class _Names:
    """How objects are called, and what of them the caller may see."""

    def __init__(self, tx: Tx, context: Context, whole: Topology) -> None:
        self._context = context
        self._rules = {rule.id: (rule, group.id) for group in whole.security_groups for rule in group.rules}
        self._rows = {noun.name: _rows(tx, noun) for noun in (NETWORK, SUBNET, PORT, ROUTER, SECURITY_GROUP, ADDRESS_GROUP)}
        floating = tables.floatingips.c
        rows = tx.all(sa.select(floating.id, floating.floating_ip_address, floating.project_id))
        self._rows[FLOATING_IP.name] = {row.id: _Row(row.floating_ip_address, row.project_id, False) for row in rows}
        self.floating = {row.floating_ip_address: row.id for row in rows}

    def label(self, kind: str, object_id: str) -> str:
        title = TITLES.get(kind, kind)
        if not self._seen(kind, object_id):
            return f"another project's {title}"
        if kind == "security_group_rule":
            return f"rule {object_id} ({_described(self._rules[object_id][0], self.label)})"
        row = self._rows[kind].get(object_id)
        return f"{title} {row.name} ({object_id})" if row and row.name else f"{title} {object_id}"

    def shown(self, step: paths.Step) -> dict[str, Any]:
        if not step.id or self._seen(step.kind, step.id):
            return {"passes": step.passes, "kind": step.kind, "id": step.id, "text": step.text, "remedy": step.remedy}
        done = "lets it through" if step.passes else "drops it"
        return {"passes": step.passes, "kind": step.kind, "id": "", "remedy": "",
                "text": f"another project's {TITLES.get(step.kind, step.kind)} {done}"}

    def _seen(self, kind: str, object_id: str) -> bool:
        if self._context.is_admin:
            return True
        if kind == "security_group_rule":
            kind, object_id = SECURITY_GROUP.name, self._rules[object_id][1]
        row = self._rows[kind].get(object_id)
        return row is not None and (row.common or row.project_id == self._context.project_id)


def _rows(tx: Tx, noun: Noun) -> dict[str, _Row]:
    columns = noun.table.c
    common = sa.or_(columns.shared, columns.external) if noun is NETWORK else sa.false()
    return {row.id: _Row(row.name, row.project_id, bool(row.common))
            for row in tx.all(sa.select(columns.id, columns.name, columns.project_id, common.label("common")))}  # fmt: skip


def _described(rule: Rule, label: Any) -> str:
    """As in "ingress tcp 22 from 10.0.0.0/8"."""
    low, high = rule.port_range_min, rule.port_range_max
    numbers = [] if low is None and high is None else [str(low) if low == high else f"{low}-{high}"]
    groups = (("security_group", rule.remote_group_id), ("address_group", rule.remote_address_group_id))
    named = next((label(kind, group) for kind, group in groups if group), "anywhere")
    peer = rule.remote_ip_prefix or named
    way = "from" if rule.direction == "ingress" else "to"
    return " ".join([rule.direction, rule.ethertype, rule.protocol or "any protocol", *numbers, way, peer])
