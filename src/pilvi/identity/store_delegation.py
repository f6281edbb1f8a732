"""SQL of what is passed on: trusts, access rules, OAuth tokens; of old passwords, and of what ended tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.identity.store import ensure, get
from pilvi.identity.tables import application_credentials, credentials, roles, users
from pilvi.identity.tables_delegation import (
    access_rules,
    access_tokens,
    consumers,
    nonces,
    password_history,
    request_tokens,
    revocation_events,
    trusts,
)

# Trusts


def trusts_of(tx: Tx, conditions: Mapping[str, Any]) -> Sequence[sa.Row]:
    wanted = (trusts.c[name] == value for name, value in conditions.items())
    return tx.all(sa.select(trusts).where(*wanted).order_by(trusts.c.id))


def use_trust(tx: Tx, trust_id: str) -> bool:
    """Counts one use; False where none is left, or the trust is gone."""
    left = sa.or_(trusts.c.remaining_uses.is_(None), trusts.c.remaining_uses > 0)
    statement = trusts.update().where(trusts.c.id == trust_id, left)
    return bool(tx.execute(statement.values(remaining_uses=trusts.c.remaining_uses - 1)).rowcount)


def roles_by_id(tx: Tx, ids: Iterable[str]) -> dict[str, sa.Row]:
    rows = tx.all(sa.select(roles).where(roles.c.id.in_(set(ids))).order_by(roles.c.name))
    return {row.id: row for row in rows}


# Access rules


def access_rules_by_id(tx: Tx, ids: Iterable[str]) -> dict[str, sa.Row]:
    rows = tx.all(sa.select(access_rules).where(access_rules.c.id.in_(set(ids))))
    return {row.id: row for row in rows}


def access_rules_of(tx: Tx, user_id: str, wanted: Mapping[str, str]) -> Sequence[sa.Row]:
    conditions = (access_rules.c[name] == value for name, value in wanted.items())
    statement = sa.select(access_rules).where(access_rules.c.user_id == user_id, *conditions)
    return tx.all(statement.order_by(access_rules.c.id))


def access_rule(tx: Tx, key: str, user_id: str, rule: Mapping[str, str]) -> str:
    """The id of the user's rule that says this, made with `key` if need be."""
    ensure(tx, access_rules, id=key, user_id=user_id, **rule)
    return access_rules_of(tx, user_id, rule)[0].id


def rules_in_use(tx: Tx, user_id: str) -> set[str]:
    """Ids of the access rules that some application credential of the user has."""
    found = tx.connection.scalars(
        sa.select(application_credentials.c.access_rule_ids).where(
            application_credentials.c.user_id == user_id
        )
    )
    return {rule for ids in found for rule in ids or ()}


# Credentials


def credentials_of(tx: Tx, user_id: str, kind: str) -> Sequence[sa.Row]:
    statement = sa.select(credentials).where(credentials.c.user_id == user_id, credentials.c.type == kind)
    return tx.all(statement.order_by(credentials.c.id))


# Passwords


def remember_password(tx: Tx, user_id: str, password_hash: str, kept: int) -> None:
    """Adds one to the user's former passwords, of which the newest `kept` stay."""
    tx.execute(password_history.insert(), {"user_id": user_id, "password_hash": password_hash})
    newest = former_passwords(tx, user_id, kept)
    stay = [row.id for row in newest]
    tx.execute(
        password_history.delete().where(
            password_history.c.user_id == user_id, password_history.c.id.not_in(stay)
        )
    )


def former_passwords(tx: Tx, user_id: str, count: int) -> Sequence[sa.Row]:
    """The newest first."""
    statement = sa.select(password_history).where(password_history.c.user_id == user_id)
    return tx.all(statement.order_by(password_history.c.id.desc()).limit(count))


def count_failure(tx: Tx, user_id: str, since: int) -> None:
    """One more wrong password in a row; a row that ended before `since` is over."""
    count = sa.case((users.c.failed_at < since, 1), else_=users.c.failed_count + 1)
    tx.execute(users.update().where(users.c.id == user_id).values(failed_count=count, failed_at=tx.now))


def note_login(tx: Tx, user_id: str) -> None:
    values = {"failed_count": 0, "failed_at": None, "last_active_at": tx.now}
    tx.execute(users.update().where(users.c.id == user_id).values(**values))


# OAuth 1


def oauth_of_user(tx: Tx, user_id: str) -> Sequence[sa.Row]:
    return tx.all(
        sa.select(access_tokens).where(access_tokens.c.user_id == user_id).order_by(access_tokens.c.id)
    )


def is_new_nonce(tx: Tx, key: str, expires_at: int) -> bool:
    return ensure(tx, nonces, key=key, expires_at=expires_at)


def authorise(tx: Tx, key: str, user_id: str, role_ids: Sequence[str], verifier: str) -> bool:
    """False where the request token is gone, or somebody has authorised it before."""
    statement = request_tokens.update().where(request_tokens.c.id == key, request_tokens.c.user_id.is_(None))
    values = {"user_id": user_id, "role_ids": list(role_ids), "verifier": verifier}
    return bool(tx.execute(statement.values(**values)).rowcount)


def consumer_of(tx: Tx, table: sa.Table, key: str) -> tuple[sa.Row, sa.Row] | None:
    """A request or access token, and its consumer."""
    row = get(tx, table, key)
    return None if row is None else (row, get(tx, consumers, row.consumer_id))


# What ended tokens


def note_revocation(tx: Tx, **about: str) -> None:
    tx.execute(revocation_events.insert(), {**about, "issued_before": tx.now, "revoked_at": tx.now})


def revocations_since(tx: Tx, moment: int) -> Sequence[sa.Row]:
    statement = sa.select(revocation_events).where(revocation_events.c.revoked_at >= moment)
    return tx.all(statement.order_by(revocation_events.c.id))


def forget(tx: Tx, revoked_before: int) -> int:
    """Deletes what no token can be affected by any more; how many rows."""
    return sum(
        tx.execute(table.delete().where(column < moment)).rowcount
        for table, column, moment in (
            (revocation_events, revocation_events.c.revoked_at, revoked_before),
            (nonces, nonces.c.expires_at, tx.now),
            (request_tokens, request_tokens.c.expires_at, tx.now),
        )
    )
