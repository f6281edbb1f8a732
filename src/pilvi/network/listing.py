"""What a list request asks for: filters, order, page, fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest
from pilvi.http.request import boolean, integer
from pilvi.network import store, store_sharing
from pilvi.network.nouns import AGENT, FLOATING_IP, NETWORK, PORT, QOS_POLICY, ROUTER, RULE, SECURITY_GROUP, Noun
from pilvi.network.tables import addresses, port_groups, ports, qos_policies, security_groups, subnets, tags
from pilvi.network.views import ZONE
from pilvi.policy import Context

_PAGE = frozenset({"limit", "marker", "page_reverse", "sort_key", "sort_dir", "fields"})


class Listing(NamedTuple):
    conditions: list[Any]
    order: list[tuple[Any, bool]]  # column, descending; the id is the last
    limit: int | None
    marker: str | None
    backwards: bool
    fields: frozenset[str]


def parse(noun: Noun, context: Context, query: Mapping[str, list[str]]) -> Listing:
    """Raises BadRequest for a filter or sort key that the noun does not have."""
    conditions = [store.visible(noun, context)]
    for name, values in query.items():
        if name not in _PAGE:
            conditions.append(_condition(noun, context, name, values))
    limit = integer(query["limit"][-1], "limit") if "limit" in query else 0
    return Listing(
        conditions,
        _order(noun, query),
        limit or None,
        query.get("marker", [None])[-1],
        boolean(query.get("page_reverse", ["false"])[-1], "page_reverse"),
        frozenset(field for field in query.get("fields", ()) if field),
    )


def fetch(tx: Tx, noun: Noun, listing: Listing) -> tuple[list[sa.Row], bool, bool]:
    """(the page's rows, is there a page before it, is there one after it)."""
    conditions, order = listing.conditions, listing.order
    if listing.backwards:
        order = [(column, not descending) for column, descending in order]
    if listing.marker is not None:
        marker = store.get(tx, noun, listing.marker)
        if marker is None:
            raise BadRequest(f"Marker {listing.marker} could not be found.", kind="HTTPBadRequest")
        conditions = [*conditions, _beyond(order, marker)]
    limit = listing.limit
    rows = store.page(
        tx,
        noun,
        conditions,
        [column.desc() if descending else column.asc() for column, descending in order],
        limit and limit + 1,
    )
    more = limit is not None and len(rows) > limit
    rows = rows[:limit] if more else rows
    if listing.backwards:
        return rows[::-1], more, listing.marker is not None
    return rows, listing.marker is not None, more


def _beyond(order: list[tuple[Any, bool]], marker: sa.Row) -> Any:
    """What comes after the marker in this order."""
    alternatives, same = [], []
    for column, descending in order:
        value = getattr(marker, column.name)
        if value is not None:
            alternatives.append(sa.and_(*same, column < value if descending else column > value))
        same.append(column == value)
    return sa.or_(*alternatives)


def _order(noun: Noun, query: Mapping[str, list[str]]) -> list[tuple[Any, bool]]:
    keys, directions = query.get("sort_key", []), query.get("sort_dir", [])
    if directions and len(keys) != len(directions):
        raise BadRequest("The number of sort_keys and sort_dirs must be same", kind="HTTPBadRequest")
    found = []
    for number, key in enumerate(keys):
        if key not in noun.sortable:
            raise BadRequest(f"['{key}'] is invalid attribute for sort_keys", kind="HTTPBadRequest")
        direction = directions[number] if directions else "asc"
        if direction not in ("asc", "desc"):
            raise BadRequest("The value for sort_dir must be one of asc, desc", kind="HTTPBadRequest")
        found.append((noun.sortable[key], direction == "desc"))
    return found if "id" in keys else [*found, (noun.table.c.id, False)]


def _condition(noun: Noun, context: Context, name: str, values: list[str]) -> Any:
    if name in noun.filters:
        return _equals(noun.filters[name], name, values)
    if name in ("tags", "tags-any", "not-tags", "not-tags-any"):
        return _tagged(noun, name, [tag for value in values for tag in value.split(",")])
    if name == "shared" and noun.shared_as:
        shared = store_sharing.ids(noun.shared_as, context.project_id, store_sharing.SHARED)
        return _flag(noun.table.c.id.in_(shared), name)(values)
    special = _SPECIAL.get((noun.name, name))
    if special is None:
        raise BadRequest(f"['{name}'] is invalid attribute for filtering", kind="HTTPBadRequest")
    return special(values)


def _equals(column: Any, name: str, values: list[str]) -> Any:
    if isinstance(column.type, sa.Boolean):
        return column.in_([boolean(value, name) for value in values])
    if isinstance(column.type, sa.Integer):
        return column.in_([integer(value, name, -1) for value in values])
    found = column.in_(values)
    if column.nullable and ("" in values or "null" in values):
        return sa.or_(found, column.is_(None))
    return found


def _tagged(noun: Noun, name: str, wanted: list[str]) -> Any:
    having = sa.select(tags.c.object_id).where(tags.c.tag.in_(wanted))
    if not name.endswith("-any"):
        having = having.group_by(tags.c.object_id).having(sa.func.count() == len(set(wanted)))
    found = noun.table.c.id.in_(having)
    return sa.not_(found) if name.startswith("not-") else found


def _fixed_ips(values: list[str]) -> Any:
    """Neutron's `fixed_ips=ip_address=10.0.0.5`: any of the named addresses, and any of the named subnets."""
    wanted: dict[str, list[str]] = {}
    for value in (part for text in values for part in text.split(",")):
        key, _, what = value.partition("=")
        if key not in ("ip_address", "subnet_id", "ip_address_substr") or not what:
            raise BadRequest(
                f"Invalid filter fixed_ips={value}: it is ip_address=..., or subnet_id=...",
                kind="HTTPBadRequest",
            )
        wanted.setdefault(key, []).append(what)
    conditions = [
        addresses.c[column].in_(wanted[key])
        for key, column in (("ip_address", "address"), ("subnet_id", "subnet_id"))
        if key in wanted
    ]
    if "ip_address_substr" in wanted:
        conditions.append(
            sa.or_(*(addresses.c.address.contains(part, autoescape=True) for part in wanted["ip_address_substr"]))
        )
    return ports.c.id.in_(sa.select(addresses.c.port_id).where(*conditions))


def _flag(condition: Any, name: str) -> Callable[[list[str]], Any]:
    def build(values: list[str]) -> Any:
        return sa.or_(*(condition if boolean(value, name) else sa.not_(condition) for value in values))

    return build


_SPECIAL: dict[tuple[str, str], Any] = {
    (PORT.name, "fixed_ips"): _fixed_ips,
    (PORT.name, "security_groups"): lambda values: ports.c.id.in_(
        sa.select(port_groups.c.port_id).where(port_groups.c.security_group_id.in_(values))
    ),
    (NETWORK.name, "subnets"): lambda values: NETWORK.table.c.id.in_(
        sa.select(subnets.c.network_id).where(subnets.c.id.in_(values))
    ),
    (NETWORK.name, "status"): lambda values: sa.true() if "ACTIVE" in values else sa.false(),
    (ROUTER.name, "status"): lambda values: sa.true() if "ACTIVE" in values else sa.false(),
    (SECURITY_GROUP.name, "is_default"): _flag(security_groups.c.default_of.is_not(None), "is_default"),
    (RULE.name, "belongs_to_default_sg"): _flag(
        RULE.table.c.security_group_id.in_(
            sa.select(security_groups.c.id).where(security_groups.c.default_of.is_not(None))
        ),
        "belongs_to_default_sg",
    ),
    (AGENT.name, "admin_state_up"): _flag(sa.true(), "admin_state_up"),
    (AGENT.name, "availability_zone"): lambda values: sa.true() if ZONE in values else sa.false(),
    (QOS_POLICY.name, "is_default"): _flag(qos_policies.c.default_of.is_not(None), "is_default"),
    (FLOATING_IP.name, "floating_port_id"): lambda values: FLOATING_IP.table.c.floating_port_id.in_(values),
}
