"""SQL of flavors and key pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.compute.tables import flavor_access, flavors, keypairs
from pilvi.db import Tx

F, A, K = flavors.c, flavor_access.c, keypairs.c

# -- flavors


def insert_flavor(tx: Tx, **values: Any) -> None:
    """Raises sqlalchemy's IntegrityError where the id or the name is taken."""
    tx.execute(flavors.insert(), {"created_at": tx.now, **values})


_FLAVOR = sa.select(flavors).where(F.id == sa.bindparam("id"))
_HAS_ACCESS = sa.exists().where(A.flavor_id == F.id, A.project_id == sa.bindparam("project_id"))
_FLAVOR_FOR = _FLAVOR.where(sa.or_(F.is_public, _HAS_ACCESS))


def flavor(tx: Tx, flavor_id: str, project_id: str | None = None) -> sa.Row | None:
    """One flavor; where `project_id` is given, only one that this project may use."""
    if project_id is None:
        return tx.one(_FLAVOR, {"id": flavor_id})
    return tx.one(_FLAVOR_FOR, {"id": flavor_id, "project_id": project_id})


def flavor_taken(tx: Tx, flavor_id: str | None, name: str) -> sa.Row | None:
    """A flavor that has this id or this name already."""
    return tx.one(sa.select(flavors).where(sa.or_(F.name == name, F.id == flavor_id)))


def flavors_named(tx: Tx, name: str) -> Sequence[sa.Row]:
    return tx.all(sa.select(flavors).where(F.name == name))


def select_flavors(tx: Tx, *, is_public: bool | None = None, project_id: str | None = None, min_ram: int = 0,
                   min_disk: int = 0, sort: str = "id", descending: bool = False,
                   marker: sa.Row | None = None, limit: int | None = None,
                   name: str | None = None) -> Sequence[sa.Row]:
    """`is_public` None: public and private ones. `project_id`: and those that this project may use."""
    statement = sa.select(flavors).where(F.ram >= min_ram, F.disk >= min_disk)
    if is_public is not None:
        wanted = F.is_public == is_public
        if project_id is not None:
            wanted = sa.or_(wanted, sa.exists().where(A.flavor_id == F.id, A.project_id == project_id))
        statement = statement.where(wanted)
    if name is not None:
        statement = statement.where(F.name == name)
    column = sa.func.coalesce(F[sort], "") if F[sort].nullable else F[sort]
    if marker is not None:
        here = getattr(marker, sort) if getattr(marker, sort) is not None else ""
        past = column < here if descending else column > here
        further = F.id < marker.id if descending else F.id > marker.id
        statement = statement.where(sa.or_(past, sa.and_(column == here, further)))
    order = (column.desc(), F.id.desc()) if descending else (column, F.id)
    return tx.all(statement.order_by(*order).limit(limit))


def update_flavor(tx: Tx, flavor_id: str, **values: Any) -> None:
    tx.execute(flavors.update().where(F.id == flavor_id).values(values))


def delete_flavor(tx: Tx, flavor_id: str) -> bool:
    return bool(tx.execute(flavors.delete().where(F.id == flavor_id)).rowcount)


def access(tx: Tx, flavor_id: str) -> list[str]:
    """The projects that may use a private flavor."""
    return [row.project_id for row in tx.all(
        sa.select(A.project_id).where(A.flavor_id == flavor_id).order_by(A.project_id))]


def add_access(tx: Tx, flavor_id: str, project_id: str) -> None:
    tx.execute(flavor_access.insert(), {"flavor_id": flavor_id, "project_id": project_id})


def remove_access(tx: Tx, flavor_id: str, project_id: str) -> bool:
    return bool(tx.execute(flavor_access.delete().where(
        A.flavor_id == flavor_id, A.project_id == project_id)).rowcount)


# -- key pairs


def insert_keypair(tx: Tx, **values: Any) -> None:
    tx.execute(keypairs.insert(), {"created_at": tx.now, **values})


def keypair(tx: Tx, user_id: str, name: str) -> sa.Row | None:
    return tx.one(sa.select(keypairs).where(K.user_id == user_id, K.name == name))


def select_keypairs(tx: Tx, user_id: str, *, after: str | None = None, limit: int | None = None
                    ) -> Sequence[sa.Row]:
    """By name; `after` is the last one of the page before."""
    statement = sa.select(keypairs).where(K.user_id == user_id)
    if after is not None:
        statement = statement.where(K.name > after)
    return tx.all(statement.order_by(K.name).limit(limit))


def count_keypairs(tx: Tx, user_id: str) -> int:
    return tx.scalar(sa.select(sa.func.count()).select_from(keypairs).where(K.user_id == user_id))


def delete_keypair(tx: Tx, user_id: str, name: str) -> bool:
    return bool(tx.execute(keypairs.delete().where(K.user_id == user_id, K.name == name)).rowcount)
