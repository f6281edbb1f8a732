"""SQL of Compute's servers and hosts; that of flavors, key pairs and counts is in `store_catalog`."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.compute.tables import hosts, servers
from pilvi.db import Tx, as_text, plain

S = servers.c

# -- servers

_SERVERS = sa.select(servers)
_SERVER = _SERVERS.where(S.id == sa.bindparam("id"))
_SERVER_ALIVE = _SERVER.where(S.deleted_at.is_(None))


def server(tx: Tx, server_id: str, *, deleted: bool = False) -> sa.Row | None:
    """One server, whoever it belongs to; one that is gone only where `deleted`."""
    return tx.one(_SERVER if deleted else _SERVER_ALIVE, {"id": server_id})


_SHOWN_COLUMNS = (
    S.id, S.name, S.vm_state, S.task_state, S.power_state, S.project_id, S.user_id, S.host, S.hostname, S.image_id,
    S.ram, S.created_at, S.updated_at, S.launched_at, S.terminated_at, S.access_ip_v4, S.access_ip_v6, S.disk_config,
    S.locked, S.locked_reason, S.description, S.server_group_id, S.availability_zone, S.pinned_availability_zone,
    S.config_drive, S.key_name, S.user_data, S.reservation_id, S.launch_index,
    *map(as_text, (S.flavor, S.metadata, S.tags, S.fault, S.volumes, S.image_properties, S.scheduler_hints)))
_SHOWN, _NAMES = sa.select(*_SHOWN_COLUMNS), sa.select(S.id, S.name)
_SHOWN_ALIVE = _SHOWN.where(S.id == sa.bindparam("id"), S.deleted_at.is_(None))

Shown = plain("Shown", _SHOWN_COLUMNS)  # what the API shows of a server; JSON as the text that is kept


def shown(tx: Tx, server_id: str) -> Any:
    """One server as the API shows it; None where it is gone."""
    row = tx.one(_SHOWN_ALIVE, {"id": server_id})
    return None if row is None else Shown(*row)


def insert_servers(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    tx.execute(servers.insert(), rows)


def update_server(tx: Tx, server_id: str, **values: Any) -> bool:
    """Writes columns of a server; False when there is none."""
    statement = servers.update().where(S.id == server_id).values({"updated_at": tx.now, **values})
    return bool(tx.execute(statement).rowcount)


def note_guest_password(tx: Tx, server_id: str, password: str) -> bool:
    """False where one is kept already."""
    statement = servers.update().where(S.id == server_id, sa.func.coalesce(S.guest_password, "") == "")
    return bool(tx.execute(statement.values(guest_password=password)).rowcount)


def transition(tx: Tx, server_id: str, vm_states: Sequence[str] | None,
               task_states: Sequence[str | None] | None, *, generations: int = 1, **values: Any) -> int | None:
    """Writes columns and counts `generation` up by so many, if the server is in one of these states (None: in any).

    Returns the new generation; None where it is not in such a state, or gone: of two requests one wins."""
    conditions = [S.id == server_id, S.deleted_at.is_(None)]
    if vm_states is not None:
        conditions.append(S.vm_state.in_(vm_states))
    if task_states is not None:
        named = [state for state in task_states if state is not None]
        idle = [S.task_state.is_(None)] if None in task_states else []
        conditions.append(sa.or_(S.task_state.in_(named), *idle))
    return tx.scalar(servers.update().where(*conditions)
                     .values({"updated_at": tx.now, "generation": S.generation + generations, **values})
                     .returning(S.generation))


_MARK_DELETING = (
    servers.update()
    .where(S.id == sa.bindparam("server"), S.deleted_at.is_(None), S.task_state.is_distinct_from("deleting"))
    .values(updated_at=sa.bindparam("now"), generation=S.generation + 1, task_state="deleting"))


def mark_deleting(tx: Tx, server_id: str) -> bool:
    """From now on it goes away; False when it did so before."""
    return bool(tx.execute(_MARK_DELETING, {"server": server_id, "now": tx.now}).rowcount)


class ServerQuery(msgspec.Struct):
    """What to list. Lists of values: one of them; times: microseconds, both ends included."""

    project_id: str | None = None
    equal: dict[str, Any] = {}  # column: value
    among: dict[str, list[Any]] = {}  # column: values
    matching: dict[str, str] = {}  # column: regular expression, found anywhere
    not_before: dict[str, int] = {}  # column: time
    not_after: dict[str, int] = {}
    tags: list[str] = []  # has all of them
    tags_any: list[str] = []
    not_tags: list[str] = []  # lacks at least one
    not_tags_any: list[str] = []  # lacks all
    flavor_id: str | None = None
    deleted: bool | None = False  # None: both
    sort: list[tuple[str, bool]] = []  # column, descending
    marker: str | None = None
    limit: int | None = None


class UnknownMarker(LookupError):
    """The page is to begin after a server that is not among those listed."""


def select_servers(tx: Tx, query: ServerQuery) -> Sequence[sa.Row]:
    """The page that was asked for. Raises UnknownMarker."""
    return _select(tx, _SERVERS, query)


def select_shown(tx: Tx, query: ServerQuery) -> list[Any]:
    """As select_servers, each `Shown`."""
    return [Shown(*row) for row in _select(tx, _SHOWN, query)]


def select_names(tx: Tx, query: ServerQuery) -> Sequence[sa.Row]:
    """As select_servers, (id, name) only."""
    return _select(tx, _NAMES, query)


@functools.cache
def _newest(statement: sa.Select, everybodys: bool) -> sa.Select:
    """What nearly all lists ask for, built once: the newest servers of a project, or of all."""
    owner = [] if everybodys else [S.project_id == sa.bindparam("project_id")]
    alive = statement.where(S.deleted_at.is_(None), S.vm_state != "soft-delete", *owner)
    return alive.order_by(S.seq.desc(), S.id.desc()).limit(sa.bindparam("limit", type_=sa.Integer))


def _select(tx: Tx, statement: sa.Select, query: ServerQuery) -> Sequence[sa.Row]:
    project_id, limit = query.project_id, query.limit
    if limit is not None and query == ServerQuery(project_id=project_id, limit=limit, sort=query.sort[:0]):
        return tx.all(_newest(statement, project_id is None), {"project_id": project_id, "limit": limit})
    statement = statement.where(*_conditions(query))
    sort = [(S[name], descending) for name, descending in query.sort] or [(S.seq, True)]
    sort.append((S.id, sort[0][1]))
    if query.marker is not None:
        statement = statement.where(_after(tx, query, sort))
    order = [_comparable(column).desc() if down else _comparable(column).asc() for column, down in sort]
    return tx.all(statement.order_by(*order).limit(query.limit))


def _conditions(query: ServerQuery) -> list[sa.ColumnElement[bool]]:
    conditions = [S[name] == value for name, value in query.equal.items()]
    conditions += [S[name].in_(values) for name, values in query.among.items()]
    conditions += [S[name].regexp_match(pattern) for name, pattern in query.matching.items()]
    conditions += [S[name] >= moment for name, moment in query.not_before.items()]
    conditions += [S[name] <= moment for name, moment in query.not_after.items()]
    if query.project_id is not None:
        conditions.append(S.project_id == query.project_id)
    if query.deleted is False and "vm_state" not in {*query.equal, *query.among}:
        conditions.append(S.vm_state != "soft-delete")
    if query.deleted is not None:
        conditions.append(S.deleted_at.is_not(None) if query.deleted else S.deleted_at.is_(None))
    if query.flavor_id is not None:
        conditions.append(S.flavor["id"].as_string() == query.flavor_id)
    conditions += [_tagged(tag) for tag in query.tags]
    if query.tags_any:
        conditions.append(sa.or_(*map(_tagged, query.tags_any)))
    if query.not_tags:
        conditions.append(sa.not_(sa.and_(*map(_tagged, query.not_tags))))
    conditions += [sa.not_(_tagged(tag)) for tag in query.not_tags_any]
    return conditions


def _tagged(tag: str) -> sa.ColumnElement[bool]:
    """The JSON list holds this string: taking its text out changes the list's."""
    text = sa.cast(S.tags, sa.Text)
    return sa.func.replace(text, json.dumps(tag), "") != text


def _comparable(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """NULL sorts like nothing at all, on every database."""
    if not column.nullable:
        return column
    return sa.func.coalesce(column, "" if isinstance(column.type, sa.String) else 0)


def _after(tx: Tx, query: ServerQuery, sort: list[tuple[sa.Column[Any], bool]]) -> sa.ColumnElement[bool]:
    owner = [S.project_id == query.project_id] if query.project_id is not None else []
    row = tx.one(sa.select(*(_comparable(column) for column, _ in sort)).where(S.id == query.marker, *owner))
    if row is None:
        raise UnknownMarker(query.marker)
    alternatives, equal = [], []
    for (column, descending), value in zip(sort, row, strict=True):
        here = _comparable(column)
        alternatives.append(sa.and_(*equal, here < value if descending else here > value))
        equal.append(here == value)
    return sa.or_(*alternatives)


def servers_named(tx: Tx, name: str, *, deleted: bool = False) -> Sequence[sa.Row]:
    alive = [] if deleted else [S.deleted_at.is_(None)]
    return tx.all(sa.select(servers).where(S.name == name, *alive).order_by(S.seq.desc()))


_IN_USE = (  # a server that is deleted for a while has no processors, and counts for nothing
    sa.select(sa.func.coalesce(sa.func.sum(sa.case((S.vcpus > 0, 1), else_=0)), 0),
              sa.func.coalesce(sa.func.sum(S.vcpus), 0),
              sa.func.coalesce(sa.func.sum(S.ram), 0))
    .where(S.project_id == sa.bindparam("project_id"), S.deleted_at.is_(None))
)
_IN_USE_BY = _IN_USE.where(S.user_id == sa.bindparam("user_id"))


def in_use(tx: Tx, project_id: str, user_id: str | None = None) -> dict[str, int]:
    """Instances, cores and MiB of memory that count against the quota of a project, or of one user in it."""
    statement = _IN_USE if user_id is None else _IN_USE_BY
    instances, cores, ram = tx.one(statement, {"project_id": project_id, "user_id": user_id})
    return {"instances": int(instances), "cores": int(cores), "ram": int(ram)}


def servers_alive_between(tx: Tx, since: int, until: int, project_id: str | None = None, *,
                          after: sa.Row | None = None, limit: int | None = None) -> Sequence[sa.Row]:
    """Servers that ran for some of this time, for the usage report; `after`: the last one of the page before."""
    conditions = [S.launched_at <= until, sa.or_(S.terminated_at.is_(None), S.terminated_at >= since)]
    if project_id is not None:
        conditions.append(S.project_id == project_id)
    if after is not None:
        conditions.append(sa.or_(S.project_id > after.project_id, sa.and_(
            S.project_id == after.project_id,
            sa.or_(S.seq > after.seq, sa.and_(S.seq == after.seq, S.id > after.id)))))
    return tx.all(sa.select(servers).where(*conditions).order_by(S.project_id, S.seq, S.id).limit(limit))


def count_by_host(tx: Tx) -> dict[str, int]:
    """How many servers each host has."""
    rows = tx.all(sa.select(S.host, sa.func.count()).where(S.host.is_not(None), S.deleted_at.is_(None))
                  .group_by(S.host))
    return {host: count for host, count in rows}


def flavors_on_host(tx: Tx, host: str) -> Sequence[sa.Row]:
    return tx.all(sa.select(S.project_id, S.vcpus, S.ram, S.flavor).where(S.host == host, S.deleted_at.is_(None)))


def servers_by_host(tx: Tx) -> dict[str, list[tuple[str, str]]]:
    """(id, name) of each host's servers."""
    found: dict[str, list[tuple[str, str]]] = {}
    for host, server_id, name in tx.all(sa.select(S.host, S.id, S.name).where(
            S.host.is_not(None), S.deleted_at.is_(None)).order_by(S.seq)):
        found.setdefault(host, []).append((server_id, name))
    return found


# -- hosts


def host(tx: Tx, name: str) -> sa.Row | None:
    return tx.one(sa.select(hosts).where(hosts.c.name == name))


_ALL_HOSTS = sa.select(hosts).order_by(hosts.c.number)


def all_hosts(tx: Tx) -> Sequence[sa.Row]:
    return tx.all(_ALL_HOSTS)


def save_host(tx: Tx, name: str, ids: Any, **values: Any) -> None:
    """Writes columns of a host, which is made if it is new (with two ids of `ids.uuid()`)."""
    statement = hosts.update().where(hosts.c.name == name).values({"updated_at": tx.now, **values})
    if not tx.execute(statement).rowcount:
        tx.execute(hosts.insert(), {
            "name": name, "id": ids.uuid(), "service_id": ids.uuid(), "created_at": tx.now,
            "updated_at": tx.now, "seen_at": tx.now, **values})


def delete_host(tx: Tx, name: str) -> None:
    tx.execute(hosts.delete().where(hosts.c.name == name))
