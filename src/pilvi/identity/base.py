"""What all parts of Identity stand on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.db import Database, Tx
from pilvi.engine.clock import Clock, Ids, parse_time
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound
from pilvi.identity import store, wire
from pilvi.keys import Keys
from pilvi.policy import Context
from pilvi.settings import Settings


class Roles(NamedTuple):
    """All roles, as of one change count."""

    count: int
    names: dict[str, str]  # by id, of those of the whole cloud; a domain's own only stand for what they imply
    implied: dict[str, frozenset[str]]  # by id: the role itself, and all it implies, by ids

    def expand(self, ids: set[str]) -> dict[str, str]:
        """Name by id, of the roles and all that they imply."""
        every = set().union(*(self.implied[role] for role in ids if role in self.implied))
        return {role: name for role, name in self.names.items() if role in every}


class Base:
    def __init__(self, db: Database, clock: Clock, ids: Ids, settings: Settings, keys: Path):
        self._db, self._clock, self._ids, self._settings = db, clock, ids, settings
        self._keys = Keys(keys)
        self._secrets = Keys(keys / "credentials")  # never rotated: what they encrypt is kept
        self._known_roles: Roles | None = None
        self._endpoints: tuple[int, list[sa.Row]] | None = None
        # By base URL and project: the rows that a catalog was made of, and the catalog.
        self._catalogs: dict[tuple[str, str | None], tuple[list[sa.Row], list[dict[str, Any]]]] = {}

    @contextmanager
    def _change(self) -> Iterator[Tx]:
        """Raises Conflict where something this rests on is changed by another at the same moment."""
        try:
            with self._db.transaction() as tx:
                yield tx
                store.changed(tx)
        except sa.exc.IntegrityError:
            raise Conflict("What this rests on was changed at the same moment: try again.") from None

    def _roles(self, tx: Tx, count: int) -> Roles:
        known = self._known_roles
        if known is None or known.count != count:
            known = self._known_roles = Roles(count, store.role_names(tx), _closure(tx))
        return known

    def _get(self, tx: Tx, table: sa.Table, key: str, what: str, **columns: Any) -> sa.Row:
        """Raises NotFound where there is no such row, or a column of it is another than asked for."""
        row = store.get(tx, table, key)
        if row is None or any(getattr(row, name) != value for name, value in columns.items()):
            raise missing(what, key)
        return row


def _closure(tx: Tx) -> dict[str, frozenset[str]]:
    direct: dict[str, set[str]] = {role: set() for role in store.role_ids(tx)}
    for row in store.implications(tx):
        direct[row.prior_id].add(row.implied_id)
    whole = {}
    for role in direct:
        found, front = {role}, [role]
        while front:
            new = direct[front.pop()] - found
            found |= new
            front += new
        whole[role] = frozenset(found)
    return whole


def missing(what: str, key: str) -> NotFound:
    return NotFound(f"Could not find {what}: {key}.")


def forbidden(action: str) -> Forbidden:
    return Forbidden(f"You are not authorized to perform the requested action: {action}.")


def own_or_admin(context: Context, user_id: str, action: str) -> None:
    """Raises Forbidden, alike for those who exist and those who do not."""
    if context.user_id != user_id and not context.is_admin:
        raise forbidden(action)


def own_or_auditor(context: Context, user_id: str, action: str) -> None:
    """As own_or_admin, for what changes nothing."""
    if context.user_id != user_id and not context.is_auditor:
        raise forbidden(action)


def may_see(context: Context, domain_id: str | None, action: str) -> None:
    """What is in this domain, None for what does not exist. Raises Forbidden, alike for both."""
    if not context.is_auditor and (domain_id is None or context.read_domain != domain_id):
        raise forbidden(action)


def may_manage(context: Context, domain_id: str | None, action: str) -> None:
    if not context.is_admin and (domain_id is None or context.managed_domain != domain_id):
        raise forbidden(action)


def role_ids_of(having: Mapping[str, str], wanted: Sequence[wire.RoleRef]) -> list[str] | None:
    """Ids of the wanted roles, by id or name; None where there are none, or one is not among `having`.

    A client that may not list roles sends the name that it was given as an id."""
    by_name = {name: role for role, name in having.items()}
    found = [role.id if role.id in having else by_name.get(role.name or role.id or "") for role in wanted]
    return sorted(set(found)) if found and None not in found else None


def moment_of(text: str | None, now: int) -> int | None:
    """When something expires, microseconds since 1970. Raises BadRequest for the past, and for no time."""
    if text is None:
        return None
    try:
        moment = parse_time(text)
    except (ValueError, OverflowError):
        raise BadRequest(
            f"Invalid input for field/attribute expires_at. Value: {text[:64]}. It is not a time."
        ) from None
    if moment <= now:
        raise BadRequest(f"Invalid input for field/attribute expires_at. Value: {text}. It has passed.")
    return moment
