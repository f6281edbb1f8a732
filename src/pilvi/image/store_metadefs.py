"""SQL about metadata definitions: namespaces, and the objects, properties, tags and resource types in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.image.tables import definitions, namespaces, resource_types
from pilvi.policy import Context

SORT_KEYS = ("created_at", "updated_at", "namespace", "display_name", "visibility", "owner", "protected")


def visible(context: Context) -> sa.ColumnElement[bool]:
    if context.is_admin:
        return sa.true()
    return sa.or_(namespaces.c.visibility == "public", namespaces.c.owner == context.project_id)


def namespace(tx: Tx, context: Context, name: str) -> sa.Row | None:
    return tx.one(namespaces.select().where(namespaces.c.namespace == name, visible(context)))


def page(
    tx: Tx,
    context: Context,
    *,
    sort_key: str,
    ascending: bool,
    limit: int,
    after: sa.Row | None = None,
    visibility: str | None = None,
    types: Sequence[str] = (),
) -> Sequence[sa.Row]:
    """One page of what the caller sees, after a namespace; of some resource types where they are named."""
    column = namespaces.c[sort_key]
    key = sa.func.coalesce(column, "") if column.nullable else column
    found = namespaces.select().where(visible(context))
    if visibility is not None:
        found = found.where(namespaces.c.visibility == visibility)
    if types:
        one = sa.select(1).where(
            definitions.c.namespace_id == namespaces.c.id,
            definitions.c.kind == "resource_type",
            definitions.c.name.in_(types),
        )
        found = found.where(one.exists())
    if after is not None:
        value = getattr(after, sort_key)
        place = sa.tuple_(sa.literal("" if value is None else value), sa.literal(after.id))
        order = sa.tuple_(key, namespaces.c.id)
        found = found.where(order > place if ascending else order < place)
    ways = (key.asc(), namespaces.c.id.asc()) if ascending else (key.desc(), namespaces.c.id.desc())
    return tx.all(found.order_by(*ways).limit(limit))


def insert_namespace(tx: Tx, **values: Any) -> None:
    tx.execute(namespaces.insert(), {**values, "created_at": tx.now, "updated_at": tx.now})


def update_namespace(tx: Tx, namespace_id: str, /, **values: Any) -> None:
    tx.execute(namespaces.update().where(namespaces.c.id == namespace_id).values(updated_at=tx.now, **values))


def delete_namespace(tx: Tx, namespace_id: str) -> None:
    tx.execute(namespaces.delete().where(namespaces.c.id == namespace_id))


# -- what is in them


def of(tx: Tx, ids: Sequence[str], *kinds: str) -> dict[tuple[str, str], list[sa.Row]]:
    """Definitions by (namespace's id, kind), in the order of their names; of all kinds where none is named."""
    found: dict[tuple[str, str], list[sa.Row]] = defaultdict(list)
    if ids:
        wanted = definitions.select().where(definitions.c.namespace_id.in_(ids))
        if kinds:
            wanted = wanted.where(definitions.c.kind.in_(kinds))
        for row in tx.all(wanted.order_by(definitions.c.name)):
            found[row.namespace_id, row.kind].append(row)
    return found


def one(tx: Tx, namespace_id: str, kind: str, name: str) -> sa.Row | None:
    return tx.one(definitions.select().where(_key(namespace_id, kind, name)))


def insert(tx: Tx, namespace_id: str, kind: str, name: str, body: dict[str, Any]) -> None:
    row = {"namespace_id": namespace_id, "kind": kind, "name": name, "body": body}
    tx.execute(definitions.insert(), {**row, "created_at": tx.now, "updated_at": tx.now})


def update(tx: Tx, namespace_id: str, kind: str, name: str, /, **values: Any) -> None:
    found = definitions.update().where(_key(namespace_id, kind, name))
    tx.execute(found.values(updated_at=tx.now, **values))


def delete(tx: Tx, namespace_id: str, kind: str, name: str | None = None) -> bool:
    """One, or all of a kind; False where there was none."""
    found = definitions.delete().where(definitions.c.namespace_id == namespace_id, definitions.c.kind == kind)
    return bool(tx.execute(found if name is None else found.where(definitions.c.name == name)).rowcount)


def _key(namespace_id: str, kind: str, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        definitions.c.namespace_id == namespace_id, definitions.c.kind == kind, definitions.c.name == name
    )


# -- resource types


def types(tx: Tx) -> Sequence[sa.Row]:
    return tx.all(resource_types.select().order_by(resource_types.c.name))


def ensure_type(tx: Tx, name: str) -> None:
    tx.lock("metadef resource types")
    if tx.one(resource_types.select().where(resource_types.c.name == name)) is None:
        tx.execute(resource_types.insert(), {"name": name, "created_at": tx.now, "updated_at": tx.now})
