"""Servers as rows: reading, renaming, metadata, tags. What they run is changed in `actions`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pilvi.compute import store
from pilvi.compute.base import Base
from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound, OverLimit
from pilvi.policy import Context
from pilvi.quota import UNLIMITED, limits

MAX_TAGS = 50


class Found(NamedTuple):
    """Servers as `store.Shown`, and the ports of each by its id."""

    rows: Sequence[Any]
    ports: Mapping[str, list[Any]]


class Servers(Base):
    def server(self, context: Context, server_id: str) -> sa.Row:
        """Raises NotFound, also for another project's."""
        with self.db.read() as tx:
            return self.owned(tx, context, server_id)

    def owned(self, tx: Tx, context: Context, server_id: str, *, deleted: bool = False) -> sa.Row:
        return _owned(context, server_id, store.server(tx, server_id, deleted=deleted))

    def server_with_ports(self, context: Context, server_id: str) -> Found:
        with self.db.read() as tx:
            return self._with_ports(tx, [_owned(context, server_id, store.shown(tx, server_id))])

    def servers(self, context: Context, query: store.ServerQuery | None = None, *, all_projects: bool = False,
                addresses: Mapping[int, str] | None = None, with_ports: bool = True) -> Found:
        """A page of servers: the caller's project's, or an administrator's choice; only ids and names where not
        `with_ports`.

        `addresses`: IP version to a regular expression that one of the server's fixed addresses must match.
        Raises BadRequest for an unknown marker."""
        query = query or store.ServerQuery()
        if not (all_projects and context.is_admin):
            query = msgspec.structs.replace(query, project_id=context.project_id or "")
        limit = query.limit
        if addresses:  # which are Network's, so the page is cut here
            query = msgspec.structs.replace(query, limit=None)
        select = store.select_shown if with_ports else store.select_names
        with self.db.read() as tx:
            try:
                rows = select(tx, query)
            except store.UnknownMarker:
                raise BadRequest(f"marker [{query.marker}] not found") from None
            except sa.exc.DataError as error:  # a regular expression that is none for this database
                raise BadRequest(f"Invalid value of a filter: {error.orig}") from None
            if not addresses:
                return self._with_ports(tx, rows) if with_ports else Found(rows, {})
            found = self._with_ports(tx, rows)
        matching = [row for row in rows if _has_address(found.ports.get(row.id, ()), addresses)]
        return Found(matching[:limit], found.ports)

    def _with_ports(self, tx: Tx, rows: Sequence[Any]) -> Found:
        if not rows:
            return Found((), {})
        return Found(rows, self.network.ports_of(tx, [row.id for row in rows]))

    # -- changing rows

    @contextmanager
    def changing(self, context: Context, server_id: str) -> Iterator[tuple[Tx, sa.Row]]:
        """A transaction in which nobody else changes this server's row. Raises NotFound."""
        with self.db.transaction() as tx:
            tx.lock("server", server_id)
            yield tx, self.owned(tx, context, server_id)

    def update_server(self, context: Context, server_id: str, **values: Any) -> Found:
        """Writes `name`, `description`, `hostname`, `access_ip_v4`, `access_ip_v6`, `disk_config`, and
        `pinned_availability_zone`: None, or the zone that the server is in; BadRequest for another."""
        with self.changing(context, server_id) as (tx, row):
            zone = values.get("pinned_availability_zone")
            if zone is not None and zone not in (row.availability_zone, row.pinned_availability_zone):
                raise BadRequest(f"Cannot pin server {server_id} to availability zone {zone}: it is in "
                                 f"{row.availability_zone}. Move it there first.")
            store.update_server(tx, server_id, **values)
            return self._with_ports(tx, [store.shown(tx, row.id)])

    def change_metadata(self, context: Context, server_id: str,
                        change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
        """The metadata afterwards. Raises Conflict where the server is locked, OverLimit at the quota."""
        with self.changing(context, server_id) as (tx, row):
            self.check_lock(context, row)
            metadata = change(dict(row.metadata))
            allowed = limits(tx, "compute", row.project_id)["metadata_items"]
            if allowed != UNLIMITED and len(metadata) > max(allowed, len(row.metadata)):
                raise OverLimit(f"Maximum number of metadata items exceeds {allowed}")
            store.update_server(tx, server_id, metadata=metadata)
            return metadata

    def change_tags(self, context: Context, server_id: str,
                    change: Callable[[list[str]], list[str]]) -> list[str]:
        """The tags afterwards, each once. Raises BadRequest for more than 50."""
        with self.changing(context, server_id) as (tx, row):
            tags = list(dict.fromkeys(change(list(row.tags))))
            if len(tags) > MAX_TAGS:
                raise BadRequest(f"The number of tags exceeded the per-server limit {MAX_TAGS}")
            store.update_server(tx, server_id, tags=tags)
            return tags

    def lock_server(self, context: Context, server_id: str, reason: str | None = None) -> None:
        with self.changing(context, server_id) as (tx, row):
            owner = row.project_id == context.project_id and not context.is_admin
            if row.locked_by == "admin" and owner:
                return
            self.engine.note(tx, "lock", server_id, context)
            store.update_server(tx, server_id, locked=True, locked_by="owner" if owner else "admin",
                                locked_reason=reason)

    def unlock_server(self, context: Context, server_id: str) -> None:
        """Raises Forbidden where an administrator locked it and the caller is none."""
        with self.changing(context, server_id) as (tx, row):
            if row.locked_by == "admin" and not context.is_admin:
                raise Forbidden("Policy doesn't allow os_compute_api:os-lock-server:unlock:unlock_override to be "
                                f"performed: an administrator locked instance {server_id}.")
            self.engine.note(tx, "unlock", server_id, context)
            store.update_server(tx, server_id, locked=False, locked_by=None, locked_reason=None)

    def check_lock(self, context: Context, row: sa.Row) -> None:
        if row.locked and not context.is_admin:
            raise Conflict(f"Instance {row.id} is locked")


def _owned(context: Context, server_id: str, row: Any) -> Any:
    """Raises NotFound where there is no such server, also for another project's."""
    if row is None or (row.project_id != context.project_id and not context.is_admin):
        raise NotFound(f"Instance {server_id} could not be found.")
    return row


def _has_address(ports: Sequence[Any], addresses: Mapping[int, str]) -> bool:
    patterns = {version: re.compile(pattern) for version, pattern in addresses.items()}
    return all(any(pattern.search(address) for port in ports for _, address, each in port.fixed_ips
                   if each == version)
               for version, pattern in patterns.items())
