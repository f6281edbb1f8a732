"""SQL of consoles' tokens."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.compute.tables import console_tokens, servers
from pilvi.db import Tx

T = console_tokens.c

_VALID = (
    sa.select(T.server_id, T.type, T.verb, servers.c.host)
    .join(servers, servers.c.id == T.server_id)
    .where(T.digest == sa.bindparam("digest"), T.expires_at > sa.bindparam("now"), servers.c.deleted_at.is_(None),
           servers.c.host.is_not(None))
)


def insert(tx: Tx, **values: Any) -> None:
    """And forgets those that have expired."""
    tx.execute(console_tokens.delete().where(T.expires_at <= tx.now))
    tx.execute(console_tokens.insert(), values)


def valid(tx: Tx, digest: str) -> sa.Row | None:
    """(server_id, type, verb, host) of a token that can be used now."""
    return tx.one(_VALID, {"digest": digest, "now": tx.now})


def redeem(tx: Tx, digest: str, verb: str) -> sa.Row | None:
    """As `valid`, for one who comes for this; the token is gone then: of two who come at once one gets it."""
    row = valid(tx, digest)
    if row is None or row.verb != verb:
        return None
    return row if tx.execute(console_tokens.delete().where(T.digest == digest)).rowcount else None
