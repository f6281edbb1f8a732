"""The services of Volume, what their hosts have, and the messages they leave."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.bus.base import BusError, RemoteError
from pilvi.drivers.volume.base import Capacity
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.base import ZONE, Base
from pilvi.volume.listing import Listing, page
from pilvi.volume.tables import messages, services


class ServiceView(NamedTuple):
    binary: str
    host: str
    disabled: bool
    disabled_reason: str | None
    frozen: bool
    up: bool
    zone: str = ZONE


class Backends(Base):
    def services(self, host: str | None = None, binary: str | None = None) -> list[ServiceView]:
        """Of this host (with or without its backend), and this binary."""
        keeper, up = self.keeper, self.keeper in self.bus.nodes()
        there = (("cinder-scheduler", keeper), *(("cinder-volume", self.service_host(each)) for each in self.backends),
                 ("cinder-backup", keeper))
        with self.db.read() as tx:
            rows = {(row.host, row.binary): row for row in tx.all(sa.select(services))}
        found = []
        for name, where in there:
            if host in (None, where, where.partition("@")[0]) and binary in (None, name):
                row = rows.get((where, name))
                found.append(ServiceView(name, where, bool(row and row.disabled), row.disabled_reason if row else None,
                                         bool(row and row.frozen), up))
        return found

    def set_service(self, host: str, binary: str, **values: Any) -> ServiceView:
        """Raises NotFound."""
        if not any(each.host == host for each in self.services(binary=binary)):
            raise NotFound(f"Service {binary} could not be found on host {host}.")
        with self.db.transaction() as tx:
            store.set_service(tx, host, binary, **values)
        return next(each for each in self.services(binary=binary) if each.host == host)

    def freeze(self, host: str, frozen: bool) -> None:
        """Raises BadRequest for what is no backend, and where one that is not frozen is to be thawed."""
        found = [each for each in self.services(host, "cinder-volume")]
        if not found:
            raise BadRequest(f"Service cinder-volume could not be found on host {host}.")
        if not frozen and not found[0].frozen:
            raise BadRequest("Service is not frozen.")
        with self.db.transaction() as tx:
            store.set_service(tx, found[0].host, "cinder-volume", frozen=frozen)

    def capacity(self, backend: str) -> Capacity:
        """Raises Conflict where the host does not answer."""
        try:
            return self.bus.call(self.keeper, "volume_capacity", backend, Capacity)
        except (BusError, RemoteError) as error:
            raise Conflict(f"What the backend {self.pool_name(backend)} has is not known: {error}") from None

    def host_usage(self, host: str) -> list[tuple[str, int, int, int, int]]:
        """By project: volumes, GiB, snapshots, GiB. Raises NotFound for a host that keeps no volumes."""
        if not any(each.host == host for each in self.services(binary="cinder-volume")):
            raise NotFound(f"Host {host} could not be found.")
        with self.db.read() as tx:
            return store.host_usage(tx, self.keeper, self.backend_at(host))

    # -- messages

    def list_messages(self, context: Context, listing: Listing) -> tuple[list[sa.Row], int]:
        with self.db.read() as tx:
            return page(tx, messages, listing, [store.owned(context, messages, False)])

    def show_message(self, context: Context, message_id: str) -> sa.Row:
        with self.db.read() as tx:
            return self.get(tx, context, messages, message_id, "Message")

    def delete_message(self, context: Context, message_id: str) -> None:
        with self.db.transaction() as tx:
            self.get(tx, context, messages, message_id, "Message")
            store.delete(tx, messages, message_id)
