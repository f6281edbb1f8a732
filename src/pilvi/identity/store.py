"""All SQL of Identity."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pilvi import quota
from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict
from pilvi.identity.tables import (
    ROOT,
    application_credentials,
    assignments,
    changes,
    endpoints,
    groups,
    implied,
    inherited_assignments,
    members,
    projects,
    revocations,
    roles,
    services,
    users,
)

ALL = "all"  # the id of the system as a target

_COUNT = sa.select(changes.c.count).where(changes.c.id == 1)


def change_count(tx: Tx) -> int:
    return tx.scalar(_COUNT) or 0


def changed(tx: Tx) -> None:
    """What anybody found out about any token, or about the catalog, is to be found out anew."""
    if not tx.execute(changes.update().where(changes.c.id == 1).values(count=changes.c.count + 1)).rowcount:
        tx.execute(changes.insert(), {"id": 1, "count": 1})


# Rows of any table


def insert(tx: Tx, table: sa.Table, values: Mapping[str, Any], duplicate: str) -> None:
    """Raises Conflict, saying `duplicate`, where a unique constraint stands against it."""
    try:
        tx.execute(table.insert(), values)
    except sa.exc.IntegrityError:
        raise Conflict(duplicate) from None


def ensure(tx: Tx, table: sa.Table, **values: Any) -> bool:
    """Inserts the row unless there is one with its key, even if another inserts it at the same moment.

    False where there was one."""
    insert_into = postgresql.insert if tx.connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert_into(table).values(**values).on_conflict_do_nothing()
    # Without the option the count of an INSERT is not to be relied upon.
    return bool(tx.execute(statement.execution_options(preserve_rowcount=True)).rowcount)


def update(tx: Tx, table: sa.Table, key: str, values: Mapping[str, Any], duplicate: str = "") -> bool:
    """Is there such a row? Raises Conflict, saying `duplicate`."""
    try:
        return bool(tx.execute(table.update().where(table.c.id == key).values(**values)).rowcount)
    except sa.exc.IntegrityError:
        raise Conflict(duplicate) from None


def delete(tx: Tx, table: sa.Table, key: str) -> bool:
    return bool(tx.execute(table.delete().where(table.c.id == key)).rowcount)


def get(tx: Tx, table: sa.Table, key: str) -> sa.Row | None:
    return tx.one(sa.select(table).where(table.c.id == key))


def find(tx: Tx, table: sa.Table, /, **columns: Any) -> sa.Row | None:
    return tx.one(sa.select(table).where(*(table.c[name] == value for name, value in columns.items())))


def listing(
    tx: Tx,
    table: sa.Table,
    conditions: Iterable[sa.ColumnElement],
    limit: int | None = None,
    marker: str | None = None,
) -> Sequence[sa.Row]:
    """By id, which is the order that pages need."""
    statement = sa.select(table).where(*conditions).order_by(table.c.id)
    if marker is not None:
        statement = statement.where(table.c.id > marker)
    return tx.all(statement if limit is None else statement.limit(limit))


_COMPARISONS = {
    "contains": lambda column, text: column.contains(text, autoescape=True),
    "icontains": lambda column, text: column.icontains(text, autoescape=True),
    "startswith": lambda column, text: column.startswith(text, autoescape=True),
    "istartswith": lambda column, text: column.istartswith(text, autoescape=True),
    "endswith": lambda column, text: column.endswith(text, autoescape=True),
    "iendswith": lambda column, text: column.iendswith(text, autoescape=True),
}


_MOMENTS = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge, "neq": operator.ne}


class Filter(NamedTuple):
    """One condition of a listing: `name__contains=...` is column name, how "contains"; moments are ints."""

    column: str
    how: str
    value: Any


class Page(NamedTuple):
    """A part of a listing."""

    filters: Sequence[Filter] = ()
    limit: int | None = None
    marker: str | None = None


def comparison(table: sa.Table, wanted: Filter) -> sa.ColumnElement:
    """Raises BadRequest where this is no way to compare."""
    column = table.c[wanted.column]
    if not wanted.how:
        return column == wanted.value if wanted.value is not None else column.is_(None)
    if isinstance(wanted.value, int) and wanted.how in _MOMENTS:
        return _MOMENTS[wanted.how](column, wanted.value)
    compare = _COMPARISONS.get(wanted.how)
    if compare is None or not isinstance(wanted.value, str):
        raise BadRequest(
            f"Invalid filter {wanted.column}__{wanted.how}: a text can be compared by {', '.join(_COMPARISONS)}."
        )
    return compare(column, wanted.value)


# Who a token is about

_user_domain = projects.alias("user_domain")
_project_domain = projects.alias("project_domain")


# What every login asks is built once, as `_COUNT` is: building a statement takes several times as long as running it.

_SUBJECT = (
    sa.select(
        users.c.id.label("user_id"),
        users.c.name.label("user_name"),
        users.c.enabled.label("user_enabled"),
        users.c.epoch.label("user_epoch"),
        users.c.default_project_id,
        users.c.options.label("user_options"),
        users.c.password_expires_at,
        users.c.failed_count,
        users.c.last_active_at,
        _user_domain.c.id.label("user_domain_id"),
        _user_domain.c.name.label("user_domain_name"),
        _user_domain.c.enabled.label("user_domain_enabled"),
        _user_domain.c.epoch.label("user_domain_epoch"),
        projects.c.id.label("project_id"),
        projects.c.name.label("project_name"),
        projects.c.is_domain,
        projects.c.enabled.label("project_enabled"),
        projects.c.epoch.label("project_epoch"),
        _project_domain.c.id.label("project_domain_id"),
        _project_domain.c.name.label("project_domain_name"),
        _project_domain.c.enabled.label("project_domain_enabled"),
        _project_domain.c.epoch.label("project_domain_epoch"),
    )
    .join(_user_domain, _user_domain.c.id == users.c.domain_id)
    .outerjoin(projects, projects.c.id == sa.bindparam("project"))
    .outerjoin(_project_domain, _project_domain.c.id == projects.c.domain_id)
    .where(users.c.id == sa.bindparam("user"))
)


def subject(tx: Tx, user_id: str, project_id: str | None) -> sa.Row | None:
    """A user with their domain, and the project or domain they are about to act in: all in one row."""
    return tx.one(_SUBJECT, {"user": user_id, "project": project_id})


def _by_name(statement: sa.Select, table: sa.Table) -> dict[str, sa.Select]:
    """Rows of a name in a domain, which is given by its id or by its name."""
    named = (
        sa.select(_project_domain.c.id)
        .where(_project_domain.c.name == sa.bindparam("domain_name"), _project_domain.c.domain_id == ROOT)
        .scalar_subquery()
    )
    statement = statement.where(table.c.name == sa.bindparam("name"))
    return {
        "domain_id": statement.where(table.c.domain_id == sa.bindparam("domain_id")),
        "domain_name": statement.where(table.c.domain_id == named),
    }


_LOGIN = sa.select(
    users.c.id,
    users.c.password_hash,
    users.c.password_expires_at,
    users.c.epoch,
    users.c.options,
    users.c.failed_count,
    users.c.failed_at,
)
_LOGINS = {"user_id": _LOGIN.where(users.c.id == sa.bindparam("user_id")), **_by_name(_LOGIN, users)}
_PROJECT_KEYS = _by_name(sa.select(projects.c.id), projects)


def login(
    tx: Tx,
    *,
    user_id: str | None = None,
    name: str | None = None,
    domain_id: str | None = None,
    domain_name: str | None = None,
) -> sa.Row | None:
    """The user to log in."""
    by = "user_id" if user_id is not None else "domain_id" if domain_id is not None else "domain_name"
    given = {"user_id": user_id, "name": name, "domain_id": domain_id, "domain_name": domain_name}
    return tx.one(_LOGINS[by], given)


def project_key(
    tx: Tx, *, name: str, domain_id: str | None = None, domain_name: str | None = None
) -> str | None:
    by = "domain_id" if domain_id is not None else "domain_name"
    return tx.scalar(_PROJECT_KEYS[by], {"name": name, "domain_id": domain_id, "domain_name": domain_name})


def domain_key(tx: Tx, name: str) -> str | None:
    return tx.scalar(sa.select(projects.c.id).where(projects.c.name == name, projects.c.domain_id == ROOT))


def _groups_of(user_id: Any) -> sa.Select:
    return sa.select(members.c.group_id).where(members.c.user_id == user_id)


def is_actor(user_id: Any, table: sa.Table = assignments) -> sa.ColumnElement:
    """Assignments to the user, or to a group they are in."""
    return sa.or_(
        sa.and_(table.c.actor_type == "user", table.c.actor_id == user_id),
        sa.and_(table.c.actor_type == "group", table.c.actor_id.in_(_groups_of(user_id))),
    )


def above(project_id: Any) -> sa.Select:
    """Ids of the projects above one, and of its domain."""
    found = sa.select(projects.c.parent_id.label("id")).where(projects.c.id == project_id)
    found = found.cte(recursive=True)
    return sa.select(
        found.union_all(sa.select(projects.c.parent_id).join(found, projects.c.id == found.c.id)).c.id
    )


def below(parents: sa.Select | Sequence[str]) -> sa.Select:
    """Ids of the projects below these, at any depth."""
    found = sa.select(projects.c.id).where(projects.c.parent_id.in_(parents)).cte(recursive=True)
    return sa.select(
        found.union(sa.select(projects.c.id).join(found, projects.c.parent_id == found.c.id)).c.id
    )


_USER, _TARGET = sa.bindparam("user"), sa.bindparam("target")
_GRANTED = sa.select(assignments.c.role_id).where(
    is_actor(_USER), assignments.c.target_type == sa.bindparam("type"), assignments.c.target_id == _TARGET
)
_GRANTED_IN_PROJECT = _GRANTED.union(
    sa.select(inherited_assignments.c.role_id).where(
        is_actor(_USER, inherited_assignments), inherited_assignments.c.target_id.in_(above(_TARGET))
    )
)


def granted_roles(tx: Tx, user_id: str, target_type: str, target_id: str) -> set[str]:
    """Ids of the roles given, there or to what is below something, without what they imply."""
    statement = _GRANTED_IN_PROJECT if target_type == "project" else _GRANTED
    return set(tx.connection.scalars(statement, {"user": user_id, "type": target_type, "target": target_id}))


def targets_of(tx: Tx, user_id: str, target_type: str) -> Sequence[sa.Row]:
    """The enabled projects (or domains) in which a user has a role, whole rows."""
    wanted = sa.select(assignments.c.target_id).where(
        is_actor(user_id), assignments.c.target_type == target_type
    )
    fits = projects.c.id.in_(wanted)
    if target_type == "project":
        inherited = inherited_assignments
        fits |= projects.c.id.in_(below(sa.select(inherited.c.target_id).where(is_actor(user_id, inherited))))
    return listing(tx, projects, [fits, projects.c.enabled])


def role_names(tx: Tx) -> dict[str, str]:
    """Name by id, of the roles that belong to no domain, by name."""
    rows = tx.all(sa.select(roles.c.id, roles.c.name).where(roles.c.domain_id == ROOT).order_by(roles.c.name))
    return {row.id: row.name for row in rows}


def role_ids(tx: Tx) -> Sequence[str]:
    return list(tx.connection.scalars(sa.select(roles.c.id)))


def implications(tx: Tx) -> Sequence[sa.Row]:
    return tx.all(sa.select(implied.c.prior_id, implied.c.implied_id).order_by(implied.c.prior_id))


# Tokens that were revoked one by one


def revoke(tx: Tx, audit_id: str, expires_at: int) -> None:
    ensure(tx, revocations, audit_id=audit_id, expires_at=expires_at)


def is_revoked(tx: Tx, audit_ids: Sequence[str]) -> bool:
    return tx.one(sa.select(revocations.c.audit_id).where(revocations.c.audit_id.in_(audit_ids))) is not None


def delete_revocations(tx: Tx, expired_before: int) -> int:
    return tx.execute(revocations.delete().where(revocations.c.expires_at < expired_before)).rowcount


# The catalog


def catalog(tx: Tx) -> Sequence[sa.Row]:
    """The enabled endpoints of the enabled services, service by service."""
    return tx.all(
        sa.select(
            services.c.id.label("service_id"),
            services.c.type,
            services.c.name,
            endpoints.c.id,
            endpoints.c.interface,
            endpoints.c.region_id,
            endpoints.c.url,
        )
        .join(endpoints, endpoints.c.service_id == services.c.id)
        .where(services.c.enabled, endpoints.c.enabled)
        .order_by(
            services.c.type, services.c.id, endpoints.c.region_id, endpoints.c.interface, endpoints.c.id
        )
    )


# Projects and domains


def end_tokens(tx: Tx, table: sa.Table, key: str) -> None:
    """All tokens of a user, or all that are scoped to a project or domain or belong to a domain's users."""
    tx.execute(table.update().where(table.c.id == key).values(epoch=table.c.epoch + 1))


def children(tx: Tx, project_id: str) -> Sequence[sa.Row]:
    return tx.all(sa.select(projects.c.id, projects.c.enabled).where(projects.c.parent_id == project_id))


def delete_project(tx: Tx, project_id: str) -> bool:
    _drop_assignments(tx, lambda table: table.c.target_id == project_id)
    tx.execute(users.update().where(users.c.default_project_id == project_id).values(default_project_id=None))
    quota.forget(tx, [project_id])
    return delete(tx, projects, project_id)


def delete_actor(tx: Tx, table: sa.Table, kind: str, key: str) -> bool:
    """A user or a group, with what was granted to it."""
    _drop_assignments(tx, lambda table: sa.and_(table.c.actor_type == kind, table.c.actor_id == key))
    return delete(tx, table, key)


def delete_domain(tx: Tx, domain_id: str) -> None:
    """With everything in it: users, groups, projects, roles."""
    for kind, table in (("user", users), ("group", groups)):
        _drop_assignments(
            tx, partial(_is_given_to, kind, sa.select(table.c.id).where(table.c.domain_id == domain_id))
        )
        tx.execute(table.delete().where(table.c.domain_id == domain_id))
    inside = sa.select(projects.c.id).where(projects.c.domain_id == domain_id)
    _drop_assignments(tx, lambda made: made.c.target_id.in_(inside) | (made.c.target_id == domain_id))
    tx.execute(users.update().where(users.c.default_project_id.in_(inside)).values(default_project_id=None))
    tx.execute(roles.delete().where(roles.c.domain_id == domain_id))
    quota.forget(tx, inside)
    # Children before their parents: the parent's row must outlive theirs.
    tx.execute(projects.update().where(projects.c.domain_id == domain_id).values(parent_id=domain_id))
    tx.execute(projects.delete().where(projects.c.domain_id == domain_id))
    delete(tx, projects, domain_id)


def _is_given_to(kind: str, ids: sa.Select, table: sa.Table) -> sa.ColumnElement:
    return (table.c.actor_type == kind) & table.c.actor_id.in_(ids)


def _drop_assignments(tx: Tx, condition: Callable[[sa.Table], sa.ColumnElement]) -> None:
    for table in (assignments, inherited_assignments):
        tx.execute(table.delete().where(condition(table)))


# Groups


def replace_password(tx: Tx, user_id: str, old_hash: str, new_hash: str) -> bool:
    """False where the password has become another meanwhile."""
    return bool(
        tx.execute(
            users.update()
            .where(users.c.id == user_id, users.c.password_hash == old_hash)
            .values(password_hash=new_hash)
        ).rowcount
    )


def members_of(tx: Tx, group_id: str, wanted: Page) -> Sequence[sa.Row]:
    inside = sa.select(members.c.user_id).where(members.c.group_id == group_id)
    return _page(tx, users, inside, wanted)


def groups_of(tx: Tx, user_id: str, wanted: Page) -> Sequence[sa.Row]:
    return _page(tx, groups, _groups_of(user_id), wanted)


def _page(tx: Tx, table: sa.Table, ids: sa.Select, wanted: Page) -> Sequence[sa.Row]:
    conditions = [table.c.id.in_(ids), *(comparison(table, each) for each in wanted.filters)]
    return listing(tx, table, conditions, wanted.limit, wanted.marker)


def is_member(tx: Tx, group_id: str, user_id: str) -> bool:
    return (
        tx.one(sa.select(members).where(members.c.group_id == group_id, members.c.user_id == user_id))
        is not None
    )


def add_member(tx: Tx, group_id: str, user_id: str) -> None:
    ensure(tx, members, group_id=group_id, user_id=user_id)


def remove_member(tx: Tx, group_id: str, user_id: str) -> bool:
    return bool(
        tx.execute(
            members.delete().where(members.c.group_id == group_id, members.c.user_id == user_id)
        ).rowcount
    )


def names(tx: Tx, table: sa.Table, ids: Iterable[str]) -> dict[str, sa.Row]:
    """id, name, domain_id and the domain's name, by id."""
    rows = tx.all(
        sa.select(table.c.id, table.c.name, table.c.domain_id, _project_domain.c.name.label("domain_name"))
        .outerjoin(_project_domain, _project_domain.c.id == table.c.domain_id)
        .where(table.c.id.in_(set(ids)))
    )
    return {row.id: row for row in rows}


def imply(tx: Tx, prior_id: str, implied_id: str) -> None:
    ensure(tx, implied, prior_id=prior_id, implied_id=implied_id)


def no_longer_imply(tx: Tx, prior_id: str, implied_id: str) -> bool:
    return bool(
        tx.execute(
            implied.delete().where(implied.c.prior_id == prior_id, implied.c.implied_id == implied_id)
        ).rowcount
    )


# Application credentials


def application_credential(
    tx: Tx, *, key: str | None = None, name: str | None = None, user_id: str | None = None
) -> sa.Row | None:
    if key is not None:
        return get(tx, application_credentials, key)
    return find(tx, application_credentials, name=name, user_id=user_id)
