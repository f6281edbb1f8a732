"""All SQL of Placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from pilvi.db import Tx, one_of
from pilvi.placement.tables import allocations, inventories, providers

I = inventories.c  # noqa: E741
VCPU, MEMORY_MB, DISK_GB = "VCPU", "MEMORY_MB", "DISK_GB"  # resource classes


def providers_all(tx: Tx) -> Sequence[sa.Row]:
    return tx.all(sa.select(providers).order_by(providers.c.host))


def provider(tx: Tx, uuid: str) -> sa.Row | None:
    return tx.one(sa.select(providers).where(providers.c.uuid == uuid))


_INVENTORIES = sa.select(inventories).order_by(I.host, I.resource_class)
_INVENTORIES_OF = _INVENTORIES.where(one_of(I.host, "hosts"))


def inventories_of(tx: Tx, hosts: Sequence[str] | None = None) -> Sequence[sa.Row]:
    return tx.all(_INVENTORIES) if hosts is None else tx.all(_INVENTORIES_OF, {"hosts": list(hosts)})


def ensure_provider(tx: Tx, host: str, uuid: str) -> None:
    if tx.one(sa.select(providers.c.host).where(providers.c.host == host)) is None:
        tx.execute(providers.insert(), {"host": host, "uuid": uuid, "generation": 0, "created_at": tx.now})


def remove_provider(tx: Tx, host: str) -> None:
    tx.execute(inventories.delete().where(I.host == host))
    tx.execute(providers.delete().where(providers.c.host == host))


def save_inventory(tx: Tx, host: str, resource_class: str, total: int, reserved: int, ratio: float) -> bool:
    """Whether this changed anything."""
    values = {"total": total, "reserved": reserved, "ratio": ratio}
    row = tx.one(sa.select(inventories).where(I.host == host, I.resource_class == resource_class))
    if row is None:
        tx.execute(
            inventories.insert(), {"host": host, "resource_class": resource_class, "used": 0, **values}
        )
    elif (row.total, row.reserved, row.ratio) == (total, reserved, ratio):
        return False
    else:
        tx.execute(
            inventories.update().where(I.host == host, I.resource_class == resource_class).values(values)
        )
    return True


def count_generation(tx: Tx, host: str) -> None:
    tx.execute(
        providers.update().where(providers.c.host == host).values(generation=providers.c.generation + 1)
    )


# One conditional UPDATE for all resource classes: of two who want the last of something, one gets it.
_AMOUNT = sa.case({name: sa.bindparam(name) for name in (VCPU, MEMORY_MB, DISK_GB)}, value=I.resource_class)
_TAKE = (
    inventories.update()
    .where(I.host == sa.bindparam("the_host"), I.used + _AMOUNT <= (I.total - I.reserved) * I.ratio)
    .values(used=I.used + _AMOUNT)
    .returning(I.resource_class)
)
_GIVE_BACK = inventories.update().where(I.host == sa.bindparam("the_host")).values(used=I.used - _AMOUNT)
_NOTHING = {VCPU: 0, MEMORY_MB: 0, DISK_GB: 0}
_NOTE = allocations.insert()
_ALLOCATIONS_OF = sa.select(allocations).where(allocations.c.consumer_id == sa.bindparam("consumer"))
_FORGET = (
    allocations.delete()
    .where(allocations.c.consumer_id == sa.bindparam("consumer"))
    .returning(allocations.c.host, allocations.c.resource_class, allocations.c.used)
)


def take(tx: Tx, host: str, amounts: Mapping[str, int]) -> list[str]:
    """Takes all of it, or nothing and says which resources lack."""
    taken = {row.resource_class for row in tx.all(_TAKE, {"the_host": host, **_NOTHING, **amounts})}
    lacking = [name for name in amounts if name not in taken]
    if lacking:
        give_back(tx, host, {name: amount for name, amount in amounts.items() if name in taken})
    return lacking


def give_back(tx: Tx, host: str, amounts: Mapping[str, int]) -> None:
    tx.execute(_GIVE_BACK, {"the_host": host, **_NOTHING, **amounts})


def note(tx: Tx, consumer_id: str, host: str, amounts: Mapping[str, int], project_id: str, user_id: str) -> None:
    shared = {"consumer_id": consumer_id, "host": host, "project_id": project_id, "user_id": user_id, "generation": 1}
    tx.execute(_NOTE, [{**shared, "resource_class": name, "used": amount} for name, amount in amounts.items()])


def allocations_of(tx: Tx, consumer_id: str) -> Sequence[sa.Row]:
    return tx.all(_ALLOCATIONS_OF, {"consumer": consumer_id})


def allocations_on(tx: Tx, host: str) -> Sequence[sa.Row]:
    return tx.all(sa.select(allocations).where(allocations.c.host == host))


def allocations_by(tx: Tx, project_id: str, user_id: str | None) -> Sequence[sa.Row]:
    """Those of a project's consumers, or of one user's among them."""
    owner = [allocations.c.user_id == user_id] if user_id is not None else []
    return tx.all(sa.select(allocations).where(allocations.c.project_id == project_id, *owner))


def hand_over(tx: Tx, consumer_id: str, to: str) -> None:
    tx.execute(allocations.update().where(allocations.c.consumer_id == consumer_id).values(
        consumer_id=to, generation=allocations.c.generation + 1))


def forget(tx: Tx, consumer_id: str) -> Sequence[sa.Row]:
    """Deletes a consumer's allocations and returns what they were."""
    return tx.all(_FORGET, {"consumer": consumer_id})
