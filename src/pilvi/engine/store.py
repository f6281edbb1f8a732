"""All SQL of the engine."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx, one_of
from pilvi.engine.tables import events, leases, operations, reconcilers

UNFINISHED = ("running", "undoing")


_INSERT = operations.insert()


def insert(tx: Tx, **values: Any) -> int:
    result = tx.execute(_INSERT, {"created_at": tx.now, "updated_at": tx.now, **values})
    return result.inserted_primary_key[0]


_CANCEL = (
    operations.update()
    .where(
        operations.c.object_id == sa.bindparam("object"),
        operations.c.state.in_(UNFINISHED),
        sa.not_(one_of(operations.c.kind, "but")),
    )
    .values(cancelled=True, not_before=0)
)


def cancel_unfinished(tx: Tx, object_id: str, but: list[str]) -> None:
    """Asks whatever is under way for this object, but for these kinds, to undo itself."""
    tx.execute(_CANCEL, {"object": object_id, "but": but})


# Statements that every step needs are built once: building one takes several times as long as running it.

_FIRST_UNFINISHED = (
    sa.select(operations)
    .where(operations.c.object_id == sa.bindparam("object_id"), operations.c.state.in_(UNFINISHED))
    .order_by(operations.c.seq)
    .limit(1)
)
_CLAIM = (
    operations.update()
    .where(
        operations.c.seq == sa.bindparam("the_seq"),
        sa.or_(
            operations.c.owner.is_(None),
            operations.c.owner == sa.bindparam("owner"),
            operations.c.lease_until <= sa.bindparam("now"),
        ),
    )
    .values(owner=sa.bindparam("owner"), lease_until=sa.bindparam("until"))
)


def claim_first(tx: Tx, object_id: str, owner: str, until: int) -> sa.Row | None:
    """The oldest unfinished operation of an object, now `owner`'s; None when there is none, another
    controller holds it, or it is not due yet."""
    row = tx.one(_FIRST_UNFINISHED, {"object_id": object_id})
    if row is None or row.not_before > tx.now:
        return None
    if row.owner not in (None, owner) and row.lease_until > tx.now:
        return None
    taken = tx.execute(_CLAIM, {"the_seq": row.seq, "owner": owner, "now": tx.now, "until": until})
    return row if taken.rowcount else None


@functools.cache
def _update(names: tuple[str, ...]) -> sa.Update:
    return (
        operations.update()
        .where(operations.c.seq == sa.bindparam("the_seq"), operations.c.owner == sa.bindparam("the_owner"))
        .values({name: sa.bindparam(name) for name in names})
        .returning(operations.c.cancelled)
    )


def update(tx: Tx, seq: int, owner: str, /, **values: Any) -> bool | None:
    """Writes progress and says whether the operation is cancelled; None when it is no longer `owner`'s (its
    lease ran out)."""
    values["updated_at"] = tx.now
    return tx.scalar(_update(tuple(values)), {"the_seq": seq, "the_owner": owner, **values})


def renew(tx: Tx, owner: str, until: int) -> None:
    tx.execute(
        operations.update()
        .where(operations.c.owner == owner, operations.c.state.in_(UNFINISHED))
        .values(lease_until=until)
    )


def waiting(tx: Tx, owner: str) -> Sequence[sa.Row]:
    """(object_id, seq, cancelled) of unfinished operations that are due and that nobody else holds."""
    return tx.all(
        sa.select(operations.c.object_id, operations.c.seq, operations.c.cancelled)
        .where(
            operations.c.state.in_(UNFINISHED),
            operations.c.not_before <= tx.now,
            sa.or_(
                operations.c.owner.is_(None), operations.c.owner == owner, operations.c.lease_until <= tx.now
            ),
        )
        .order_by(operations.c.seq)
    )


def unfinished_objects(tx: Tx) -> set[str]:
    """Objects that some operation has not finished with."""
    return {
        row.object_id
        for row in tx.all(sa.select(operations.c.object_id).where(operations.c.state.in_(UNFINISHED)))
    }


def unfinished(tx: Tx, object_id: str) -> sa.Row | None:
    return tx.one(_FIRST_UNFINISHED, {"object_id": object_id})


def release_all(tx: Tx) -> None:
    """Takes every lease back: for a controller that knows it is alone (the embedded cloud, at its start)."""
    tx.execute(
        operations.update().where(operations.c.state.in_(UNFINISHED)).values(owner=None, lease_until=0)
    )
    tx.execute(leases.delete())


_ADD_EVENT = events.insert()


def add_event(tx: Tx, **values: Any) -> None:
    tx.execute(_ADD_EVENT, values)


def operations_of(
    tx: Tx, object_id: str, *, limit: int | None = None, since: int | None = None, until: int | None = None
) -> list[sa.Row]:
    """Newest first; `since` and `until` bound the time of the last change (microseconds)."""
    statement = (
        sa.select(operations).where(operations.c.object_id == object_id).order_by(operations.c.seq.desc())
    )
    if since is not None:
        statement = statement.where(operations.c.updated_at >= since)
    if until is not None:
        statement = statement.where(operations.c.updated_at <= until)
    return list(tx.all(statement.limit(limit)))


def operation_by_request(tx: Tx, object_id: str, request_id: str) -> sa.Row | None:
    return tx.one(
        sa.select(operations)
        .where(operations.c.object_id == object_id, operations.c.request_id == request_id)
        .order_by(operations.c.seq.desc())
    )


def events_of(tx: Tx, operation_id: str) -> list[sa.Row]:
    return list(tx.all(sa.select(events).where(events.c.operation_id == operation_id).order_by(events.c.seq)))


def forget_finished(tx: Tx, before: int) -> int:
    """Deletes the trail of operations that ended before this moment; returns how many."""
    old = sa.select(operations.c.id).where(
        operations.c.updated_at < before, operations.c.state.not_in(UNFINISHED)
    )
    tx.execute(events.delete().where(events.c.operation_id.in_(old)))
    return tx.execute(
        operations.delete().where(operations.c.updated_at < before, operations.c.state.not_in(UNFINISHED))
    ).rowcount


_LEASE = sa.select(leases).where(leases.c.name == sa.bindparam("the_name"))
_TAKE_LEASE = (
    leases.update()
    .where(leases.c.name == sa.bindparam("the_name"))
    .values(owner=sa.bindparam("the_owner"), until=sa.bindparam("the_end"))
)


def take_lease(tx: Tx, name: str, owner: str, until: int) -> bool:
    """True when this owner holds the lease now."""
    tx.lock("lease", name)
    row = tx.one(_LEASE, {"the_name": name})
    if row is None:
        tx.execute(leases.insert(), {"name": name, "owner": owner, "until": until})
    elif row.owner != owner and row.until > tx.now:
        return False
    else:
        tx.execute(_TAKE_LEASE, {"the_name": name, "the_owner": owner, "the_end": until})
    return True


def save_status(tx: Tx, name: str, **values: Any) -> None:
    if not tx.execute(reconcilers.update().where(reconcilers.c.name == name).values(**values)).rowcount:
        tx.execute(reconcilers.insert(), {"name": name, **values})


def statuses(tx: Tx) -> list[sa.Row]:
    return list(tx.all(sa.select(reconcilers).order_by(reconcilers.c.name)))
