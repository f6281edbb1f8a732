"""What hosts have and no server owns, and servers whose disk is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import Any, NamedTuple

from pilvi.audit import MISSING, ORPHAN, Finding, Key
from pilvi.bus.base import BusError, RemoteError
from pilvi.compute import states, store_migrations, store_running
from pilvi.compute.base import Base
from pilvi.engine import store as engine_store
from pilvi.faults import Conflict
from pilvi.node.audit import HostInventory
from pilvi.node.messages import Order

ON_DISK = (states.ACTIVE, states.STOPPED, states.PAUSED, states.SUSPENDED, states.RESCUED)


class Owners(NamedTuple):
    """Who may have something on a host."""

    servers: frozenset[str]  # whose host it is, or that are on their way from or to it
    busy: frozenset[str]  # of which nobody can say before an operation has finished
    local: frozenset[str]  # servers that are at rest here, with a root disk of their own
    cards: dict[str, str]  # port -> its server
    networks: frozenset[str]  # that have a metadata port


class Auditing(Base):
    def audit(self) -> Iterator[Finding]:
        """Raises Conflict where a host does not answer: nothing can be said about what it has."""
        for host in self.bus.nodes():
            before = self._owners(host, ())
            try:
                found = self.bus.call(host, "inventory", None, HostInventory)
            except (BusError, RemoteError) as error:
                raise Conflict(f"Host {host} cannot be audited: {error}") from None
            # Rows come before their things and go after them: what has no row now had none when it was seen.
            after = self._owners(host, found.cards)
            yield from self._orphans(host, found, after)
            yield from self._missing(host, found, before.local & after.local - after.busy)

    def _owners(self, host: str, ports: Collection[str]) -> Owners:
        with self.db.read() as tx:
            rows = store_running.on_host(tx, host)
            moving = store_migrations.servers_at(tx, host)
            local = store_running.with_local_root(tx, host, ON_DISK)
            return Owners(frozenset(row.id for row in rows) | moving, frozenset(engine_store.unfinished_objects(tx)),
                          local, self.network.devices_of(tx, ports),
                          frozenset(network for network, *_ in self.network.metadata_networks(tx)))

    def _orphans(self, host: str, found: HostInventory, owners: Owners) -> Iterator[Finding]:
        kept = owners.servers | owners.busy

        def orphan(kind: str, name: str, why: str, remedy: str, verb: str, argument: Any) -> Finding:
            mend = partial(self.bus.call, host, verb, argument)
            return Finding(Key(ORPHAN, kind, name, host), why, remedy, mend)

        for server, generation in found.guests.items():
            if server not in kept:
                yield orphan("guest", server, "no server of this id is on this host", "removed with its disks",
                             "absent", Order(server, generation))
        for disk in found.disks:
            if disk.partition(".")[0] not in kept | found.guests.keys():
                yield orphan("disk", disk, "no server on this host has it", "deleted", "drop_disk", disk)
        for port in found.cards:
            if owners.cards.get(port) not in kept:
                yield orphan("network card", port, "no server on this host has this port", "taken away",
                             "drop_orphaned_card", port)
        for network in found.metadata_networks:
            if network not in owners.networks:
                yield orphan("metadata namespace", network, "there is no such network, or it has no metadata port",
                             "taken away", "drop_metadata", network)
        for process in found.strays:
            yield orphan("process", process, "it runs a guest that is not defined", "killed", "end_strays", None)

    def _missing(self, host: str, found: HostInventory, wanted: Collection[str]) -> Iterator[Finding]:
        disks = set(found.disks)
        for server in wanted:
            if server not in disks:
                yield Finding(Key(MISSING, "disk", server, host), "the server's root disk is not there",
                              "the server's status becomes ERROR", partial(self._lost, server))

    def _lost(self, server_id: str) -> None:
        with self.db.transaction() as tx:
            row = store_running.for_spec(tx, server_id)
            if row is not None:
                store_running.settle(tx, server_id, row.generation, vm_state=states.ERROR, task_state=None,
                                     fault=store_running.fault(tx, f"Its root disk is no longer on host {row.host}."))
