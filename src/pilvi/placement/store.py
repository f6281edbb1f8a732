"""All SQL of Placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.placement.tables import allocations, inventories, providers

I = inventories.c  # noqa: E741


def providers_all(tx: Tx) -> Sequence[sa.Row]:
    return tx.all(sa.select(providers).order_by(providers.c.host))


def provider(tx: Tx, uuid: str) -> sa.Row | None:
    return tx.one(sa.select(providers).where(providers.c.uuid == uuid))


def inventories_of(tx: Tx, hosts: Sequence[str] | None = None) -> Sequence[sa.Row]:
    statement = sa.select(inventories).order_by(I.host, I.resource_class)
    return tx.all(statement if hosts is None else statement.where(I.host.in_(hosts)))


def ensure_provider(tx: Tx, host: str, uuid: str) -> None:
    if tx.one(sa.select(providers.c.host).where(providers.c.host == host)) is None:
        tx.execute(providers.insert(), {"host": host, "uuid": uuid, "generation": 0, "created_at": tx.now})


def save_inventory(tx: Tx, host: str, resource_class: str, total: int, reserved: int, ratio: float) -> bool:
    """Whether this changed anything."""
    values = {"total": total, "reserved": reserved, "ratio": ratio}
    row = tx.one(sa.select(inventories).where(I.host == host, I.resource_class == resource_class))
    if row is None:
        tx.execute(inventories.insert(), {"host": host, "resource_class": resource_class, "used": 0, **values})
    elif (row.total, row.reserved, row.ratio) == (total, reserved, ratio):
        return False
    else:
        tx.execute(inventories.update().where(I.host == host, I.resource_class == resource_class).values(values))
    return True


def count_generation(tx: Tx, host: str) -> None:
    tx.execute(providers.update().where(providers.c.host == host).values(generation=providers.c.generation + 1))


def take(tx: Tx, host: str, amounts: Mapping[str, int]) -> list[str]:
    """Takes all of it or, where something does not fit, says what; the caller then gives back what was taken.

    Each is one conditional UPDATE: of two who want the last of it, one gets it."""
    lacking = []
    for resource_class, amount in amounts.items():
        taken = tx.execute(
            inventories.update()
            .where(I.host == host, I.resource_class == resource_class,
                   I.used + amount <= (I.total - I.reserved) * I.ratio)
            .values(used=I.used + amount))
        if not taken.rowcount:
            lacking.append(resource_class)
    return lacking


def give_back(tx: Tx, host: str, amounts: Mapping[str, int]) -> None:
    for resource_class, amount in amounts.items():
        tx.execute(inventories.update().where(I.host == host, I.resource_class == resource_class)
                   .values(used=I.used - amount))


def note(tx: Tx, consumer_id: str, host: str, amounts: Mapping[str, int]) -> None:
    tx.execute(allocations.insert(), [
        {"consumer_id": consumer_id, "host": host, "resource_class": resource_class, "used": amount}
        for resource_class, amount in amounts.items()])


def allocations_of(tx: Tx, consumer_id: str) -> Sequence[sa.Row]:
    return tx.all(sa.select(allocations).where(allocations.c.consumer_id == consumer_id))


def allocations_on(tx: Tx, host: str) -> Sequence[sa.Row]:
    return tx.all(sa.select(allocations).where(allocations.c.host == host))


def forget(tx: Tx, consumer_id: str) -> Sequence[sa.Row]:
    """Deletes a consumer's allocations and returns what they were."""
    return tx.all(allocations.delete().where(allocations.c.consumer_id == consumer_id)
                  .returning(allocations.c.host, allocations.c.resource_class, allocations.c.used))
