"""Security groups and their rules: the verbs."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.network import addresses, store, store_sharing, wire
from pilvi.network.nouns import ADDRESS_GROUP, RULE, SECURITY_GROUP
from pilvi.network.sharing import SharingVerbs
from pilvi.network.tables import default_rules, port_groups, rules
from pilvi.policy import Context

# The names that rules may use, by IANA's protocol numbers.
PROTOCOLS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "icmp": 1,
    "icmpv6": 58,
    "igmp": 2,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
ONLY_IPV6 = frozenset({41, 43, 44, 58, 59, 60})
WITH_PORTS, ICMP = frozenset({6, 17, 132}), frozenset({1, 58})
PARENT = "PARENT"  # as a remote group of what new groups begin with: the new group itself
ETHERTYPES = {"ipv4": "IPv4", "ipv6": "IPv6"}
MATCHED = (
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_group_id",
    "remote_ip_prefix",
    "remote_address_group_id",
)


class SecurityGroupVerbs(SharingVerbs):
    def ensure_default_group(self, context: Context) -> None:
        """A project has its default group from the first time that it looks."""
        if context.project_id is None:
            return
        with self._db.read() as tx:
            if store.default_group(tx, context.project_id) is not None:
                return
        with self._db.transaction() as tx:
            self._default_group(tx, context.project_id)

    def _default_group(self, tx: Tx, project_id: str) -> str:
        found = store.default_group(tx, project_id)
        if found is None:
            tx.lock("default security group", project_id)
            found = store.default_group(tx, project_id)
        if found is None:
            found = self._insert_group(
                tx,
                {
                    "name": "default",
                    "description": "Default security group",
                    "project_id": project_id,
                    "default_of": project_id,
                },
            )
            self._changed(tx, SECURITY_GROUP, found)
        return found

    def _insert_group(self, tx: Tx, values: dict[str, Any]) -> str:
        """A group with the rules that new groups begin with."""
        group_id = self._ids.uuid()
        store.insert(tx, SECURITY_GROUP, {**values, "id": group_id})
        used = default_rules.c.used_in_default_sg if "default_of" in values else default_rules.c.used_in_non_default_sg
        for row in tx.all(sa.select(default_rules).where(used).order_by(default_rules.c.meaning)):
            rule = {name: getattr(row, name) for name in ("description", *MATCHED)}
            if row.remote_group_id == PARENT:
                rule["remote_group_id"] = group_id
            self._insert_rule(tx, values["project_id"], {**rule, "security_group_id": group_id})
        return group_id

    def create_security_groups(self, context: Context, wanted: Sequence[wire.SecurityGroupNew]) -> list[dict[str, Any]]:
        return self._each(context, SECURITY_GROUP, wanted, self._create_security_group)

    def _create_security_group(self, tx: Tx, context: Context, wanted: wire.SecurityGroupNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        self._default_group(tx, project)
        if values.get("name") == "default":
            raise Conflict("Default security group already exists.", kind="SecurityGroupDefaultAlreadyExists")
        self._take_quota(tx, SECURITY_GROUP, project)
        return self._insert_group(tx, {**values, "project_id": project})

    def update_security_group(
        self, context: Context, group_id: str, change: wire.SecurityGroupChange
    ) -> dict[str, Any]:
        values = wire.given(change)
        with self._db.transaction() as tx:
            row = self._own(tx, SECURITY_GROUP, context, group_id)
            if row.default_of is not None and values.get("name", row.name) != row.name:
                raise Conflict("Updating default security group not allowed.", kind="SecurityGroupCannotUpdateDefault")
            if row.default_of is None and values.get("name") == "default":
                raise Conflict("Default security group already exists.", kind="SecurityGroupDefaultAlreadyExists")
            if values.get("stateful", row.stateful) != row.stateful:
                tx.lock("security group", group_id)
                self._unused(tx, group_id)
                self._changed(tx, SECURITY_GROUP, group_id)
            store.update(tx, SECURITY_GROUP, group_id, **values)
            return self._fresh(tx, SECURITY_GROUP, context, [group_id])[0]

    def delete_security_group(self, context: Context, group_id: str) -> None:
        """With the rules of other groups that name it. Raises Conflict for one that ports have, and for the default
        group."""
        with self._db.transaction() as tx:
            row = self._own(tx, SECURITY_GROUP, context, group_id)
            if row.default_of is not None and not context.is_admin:
                raise Conflict(
                    "Insufficient rights for removing default security group.",
                    kind="SecurityGroupCannotRemoveDefault",
                )
            self._unused(tx, group_id)
            gone = tx.all(
                sa.select(rules.c.id).where(
                    sa.or_(rules.c.remote_group_id == group_id, rules.c.security_group_id == group_id)
                )
            )
            self._changed(tx, RULE, *(rule.id for rule in gone))
            self._changed(tx, SECURITY_GROUP, group_id)
            store.delete(tx, RULE, *(rule.id for rule in gone))
            tx.execute(default_rules.delete().where(default_rules.c.remote_group_id == group_id))
            store.delete(tx, SECURITY_GROUP, group_id)

    def _unused(self, tx: Tx, group_id: str) -> None:
        """Raises Conflict where a port has this group."""
        used = tx.one(sa.select(port_groups.c.port_id).where(port_groups.c.security_group_id == group_id))
        if used:
            raise Conflict(f"Security Group {group_id} in use: by port {used.port_id}.", kind="SecurityGroupInUse")

    # -- rules

    def create_security_group_rules(self, context: Context, wanted: Sequence[wire.RuleNew]) -> list[dict[str, Any]]:
        """Raises BadRequest for what no packet can be, NotFound (groups), Conflict for a rule that is there."""
        return self._each(context, RULE, wanted, self._create_rule)

    def _create_rule(self, tx: Tx, context: Context, wanted: wire.RuleNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        group = self._own(tx, SECURITY_GROUP, context, wanted.security_group_id)
        check_rule(values)
        if wanted.remote_group_id is not None:
            self._get(tx, SECURITY_GROUP, context, wanted.remote_group_id)
        if wanted.remote_address_group_id is not None:
            self._get(tx, ADDRESS_GROUP, context, wanted.remote_address_group_id)
            tx.lock("address group", wanted.remote_address_group_id)
            self._get(tx, ADDRESS_GROUP, context, wanted.remote_address_group_id)
        self._take_quota(tx, RULE, project)
        tx.lock("security group", group.id)
        same = tx.one(
            sa.select(rules.c.id).where(rules.c.security_group_id == group.id, rules.c.meaning == meaning(values))
        )
        if same is not None:
            raise Conflict(f"Security group rule already exists. Rule id is {same.id}.", kind="SecurityGroupRuleExists")
        store.update(tx, SECURITY_GROUP, group.id)
        return self._insert_rule(tx, project, values)

    def _insert_rule(self, tx: Tx, project: str, values: dict[str, Any]) -> str:
        rule_id = self._ids.uuid()
        store.insert(tx, RULE, {**values, "id": rule_id, "project_id": project, "meaning": meaning(values)})
        return rule_id

    def delete_security_group_rule(self, context: Context, rule_id: str) -> None:
        with self._db.transaction() as tx:
            row = self._own(tx, RULE, context, rule_id)
            store.delete(tx, RULE, rule_id)
            store.update(tx, SECURITY_GROUP, row.security_group_id)
            self._changed(tx, SECURITY_GROUP, row.security_group_id)

    # -- for servers

    def _groups_named(self, tx: Tx, context: Context, wanted: Sequence[str]) -> list[str]:
        """Ids of the project's groups of these names or ids, or shared ones of these ids; its default group if none.

        Raises NotFound, and Conflict where a name is ambiguous."""
        if not wanted:
            return [self._default_group(tx, context.project_id)]
        if "default" in wanted:
            self._default_group(tx, context.project_id)
        own = tx.all(
            sa.select(SECURITY_GROUP.table.c.id, SECURITY_GROUP.table.c.name).where(
                SECURITY_GROUP.table.c.project_id == context.project_id
            )
        )
        shared = {row.object_id for row in tx.all(store_sharing.ids("security_group", context.project_id))}
        found = []
        for name in wanted:
            matching = [row.id for row in own if row.id == name] or [row.id for row in own if row.name == name]
            matching = matching or [name for _ in range(name in shared)]
            if not matching:
                raise NotFound(
                    f"Security group {name} not found for project {context.project_id}.",
                    kind="SecurityGroupNotFound",
                )
            if len(matching) > 1:
                raise Conflict(f"Multiple security groups found matching '{name}'. Use an ID to be more specific.")
            found.append(matching[0])
        return list(dict.fromkeys(found))


def meaning(values: dict[str, Any]) -> str:
    """What a rule matches, in one word: rules of one meaning are the same rule."""
    protocol = values.get("protocol")
    parts = "|".join(
        "" if part is None else str(part)
        for part in (
            values["direction"],
            values["ethertype"],
            PROTOCOLS.get(protocol, protocol),
            values.get("port_range_min"),
            values.get("port_range_max"),
            values.get("remote_group_id"),
            values.get("remote_ip_prefix"),
        )
    )
    # Rules from before there were address groups say nothing of them.
    group = values.get("remote_address_group_id")
    return parts if group is None else f"{parts}|{group}"


def check_rule(values: dict[str, Any]) -> None:
    """Checks a rule, and writes it as it is kept. Raises BadRequest with the kinds of fault that Neutron names."""
    ethertype = ETHERTYPES.get((values["ethertype"] or "IPv4").lower())
    if ethertype is None:
        raise BadRequest(
            f"Security group rule for ethertype '{values['ethertype']}' not supported. Allowed values are IPv4, IPv6.",
            kind="SecurityGroupRuleInvalidEtherType",
        )
    values["ethertype"] = ethertype
    number = values["protocol"] = _protocol(values["protocol"])
    number = PROTOCOLS.get(number, number)
    number = None if number is None else int(number)
    if number in ONLY_IPV6 and ethertype == "IPv4":
        raise BadRequest(
            f"Invalid ethertype IPv4 for protocol {values['protocol']}.",
            kind="SecurityGroupEthertypeConflictWithProtocol",
        )
    remotes = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")
    if sum(values[name] is not None for name in remotes) > 1:
        raise BadRequest(
            "Only one of remote_ip_prefix, remote_group_id and remote_address_group_id may be provided.",
            kind="SecurityGroupRemoteGroupAndRemoteIpPrefix",
        )
    if values["remote_ip_prefix"] is not None:
        values["remote_ip_prefix"] = _remote(values["remote_ip_prefix"], ethertype)
    _check_range(number, values["port_range_min"], values["port_range_max"])


def _protocol(wanted: str | int | None) -> str | None:
    if wanted is None:
        return None
    text = str(wanted).lower()
    if text in ("", "any", "null"):
        return None
    if text in PROTOCOLS:
        return "ipv6-icmp" if text == "icmpv6" else text
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255:
        return str(int(text)) if int(text) else None
    raise BadRequest(
        f"Security group rule protocol {wanted} not supported. Only protocol values "
        f"{', '.join(sorted(PROTOCOLS))} and integer representations [0 to 255] are supported.",
        kind="SecurityGroupRuleInvalidProtocol",
    )


def _remote(text: str, ethertype: str) -> str:
    address, slash, _ = text.partition("/")
    parsed = addresses.parse(address, "remote_ip_prefix")
    try:  # host bits are forgiven here
        prefix = ipaddress.ip_network(text if slash else parsed, strict=False)
    except ValueError:
        raise BadRequest(
            f"Invalid input for remote_ip_prefix. Reason: '{text}' is not a valid IP subnet.",
            kind="HTTPBadRequest",
        ) from None
    if f"IPv{prefix.version}" != ethertype:
        raise BadRequest(
            f"Conflicting value ethertype {ethertype} for CIDR {prefix}",
            kind="SecurityGroupRuleParameterConflict",
        )
    return str(prefix)


def _check_range(protocol: int | None, low: int | None, high: int | None) -> None:
    if low is None and high is None:
        return
    if protocol in ICMP:
        for name, field, value in (("type", "min", low), ("code", "max", high)):
            if value is not None and not 0 <= value <= 255:
                raise BadRequest(
                    f"Invalid value for ICMP {name} (port-range-{field}): {value}. It must be 0 to 255.",
                    kind="SecurityGroupInvalidIcmpValue",
                )
        if low is None:
            raise BadRequest(
                f"ICMP code (port-range-max) {high} is provided but ICMP type (port-range-min) is missing.",
                kind="SecurityGroupMissingIcmpType",
            )
        return
    if protocol not in WITH_PORTS:
        raise BadRequest(
            "Port range cannot be specified without one of the protocols tcp, udp and sctp.",
            kind="SecurityGroupProtocolRequiredWithPorts",
        )
    for port in (low, high):
        if port is not None and not 1 <= port <= 65535:
            raise BadRequest(
                f"Invalid value for port {port}. It must be 1 to 65535.", kind="SecurityGroupInvalidPortValue"
            )
    if low is None or high is None or low > high:
        raise BadRequest(
            f"Invalid port range {low}-{high}: For TCP/UDP/SCTP protocols, port_range_min must be <= port_range_max.",
            kind="SecurityGroupInvalidPortRange",
        )
