"""Host aggregates: named sets of hosts, whose metadata makes them availability zones and what the scheduler heeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.compute import store, store_aggregates
from pilvi.compute.base import Base
from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.policy import Context

ZONE = "availability_zone"  # the metadata that is the zone of the aggregate's hosts
DEFAULT_ZONE = "nova"  # of hosts in no aggregate that names one


class Aggregate(NamedTuple):
    row: Any
    hosts: Sequence[str]

    @property
    def zone(self) -> str | None:
        return self.row.metadata.get(ZONE)


class Aggregates(Base):
    def aggregates(self) -> list[Aggregate]:
        with self.db.read() as tx:
            return _all(tx)

    def aggregate(self, aggregate_id: int) -> Aggregate:
        """Raises NotFound."""
        with self.db.read() as tx:
            return _one(tx, aggregate_id)

    def create_aggregate(self, name: str, zone: str | None = None) -> Aggregate:
        """Raises Conflict for a name that is taken."""
        with self.db.transaction() as tx:
            tx.lock("aggregates")
            _check_name(tx, name)
            aggregate_id = store_aggregates.insert_aggregate(
                tx, uuid=self.ids.uuid(), name=name, metadata={ZONE: zone} if zone else {})
            return _one(tx, aggregate_id)

    def update_aggregate(self, aggregate_id: int, *, name: str | None = None,
                         metadata: Mapping[str, str | None] | None = None) -> Aggregate:
        """Gives it another name; merges metadata into its own, of which None takes a key away.

        Raises NotFound; Conflict for a name that is taken; BadRequest where hosts would change their zone
        that have servers, or would be in two."""
        with self._changing_aggregate(aggregate_id) as (tx, found):
            values: dict[str, Any] = {}
            if name is not None and name != found.row.name:
                _check_name(tx, name)
                values["name"] = name
            if metadata is not None:
                merged = {**found.row.metadata, **metadata}
                values["metadata"] = {key: value for key, value in merged.items() if value is not None}
            store_aggregates.update_aggregate(tx, aggregate_id, **values)
            self._settle_zones(tx, found.hosts, BadRequest)
            return _one(tx, aggregate_id)

    def delete_aggregate(self, aggregate_id: int) -> None:
        """Raises NotFound, and BadRequest where it has hosts."""
        with self._changing_aggregate(aggregate_id) as (tx, found):
            if found.hosts:
                raise BadRequest(f"Cannot delete aggregate {aggregate_id}: it is not empty; remove its hosts "
                                 f"first ({', '.join(found.hosts)}).")
            store_aggregates.delete_aggregate(tx, aggregate_id)

    def add_aggregate_host(self, aggregate_id: int, host: str) -> Aggregate:
        """Raises NotFound; Conflict where the host is in it already, or its zone would change under servers."""
        with self._changing_aggregate(aggregate_id) as (tx, found):
            if store.host(tx, host) is None:
                raise NotFound(f"Compute host {host} could not be found.")
            if host in found.hosts:
                raise Conflict(f"Aggregate {aggregate_id} already has host {host}.")
            store_aggregates.add_aggregate_host(tx, aggregate_id, host)
            store_aggregates.update_aggregate(tx, aggregate_id)
            self._settle_zones(tx, [host], Conflict)
            return _one(tx, aggregate_id)

    def remove_aggregate_host(self, aggregate_id: int, host: str) -> Aggregate:
        """Raises NotFound; Conflict where the host's zone would change under its servers."""
        with self._changing_aggregate(aggregate_id) as (tx, _):
            if not store_aggregates.remove_aggregate_host(tx, aggregate_id, host):
                raise NotFound(f"Aggregate {aggregate_id} has no host {host}.")
            store_aggregates.update_aggregate(tx, aggregate_id)
            self._settle_zones(tx, [host], Conflict)
            return _one(tx, aggregate_id)

    def cache_images(self, context: Context, aggregate_id: int, image_ids: Sequence[str]) -> None:
        """Has the aggregate's hosts fetch images before a server asks for them.

        Raises NotFound, and BadRequest for an image that there is not or that cannot be used."""
        with self._changing_aggregate(aggregate_id) as (tx, found):
            images = []
            for image_id in image_ids:
                try:
                    image = self.image.for_boot(tx, context, image_id)
                except NotFound as fault:
                    raise BadRequest(fault.message) from None
                images.append({"id": image.id, "path": str(image.path), "format": image.disk_format})
            if found.hosts:
                self.engine.begin(tx, "aggregate.cache_images", found.row.uuid, context=context,
                                  memory={"hosts": list(found.hosts), "images": images})

    @contextmanager
    def _changing_aggregate(self, aggregate_id: int) -> Iterator[tuple[Tx, Aggregate]]:
        """A transaction in which nobody else changes aggregates. Raises NotFound."""
        with self.db.transaction() as tx:
            tx.lock("aggregates")
            yield tx, _one(tx, aggregate_id)

    def _settle_zones(self, tx: Tx, names: Sequence[str], refusal: type[BadRequest | Conflict]) -> None:
        """Writes to hosts the zone that their aggregates say now."""
        metadata, busy = store_aggregates.metadata_by_host(tx), store.count_by_host(tx)
        for row in store.all_hosts(tx):
            if row.name not in names:
                continue
            zones = {each[ZONE] for each in metadata.get(row.name, ()) if each.get(ZONE)}
            if len(zones) > 1:
                raise refusal(f"Host {row.name} is already in an availability zone: its aggregates say "
                              f"{' and '.join(sorted(zones))}.")
            zone = zones.pop() if zones else DEFAULT_ZONE
            if zone == row.availability_zone:
                continue
            if busy.get(row.name):
                raise refusal(f"Host {row.name} has {busy[row.name]} servers in zone {row.availability_zone}: "
                              "move or delete them before it changes its availability zone.")
            store.save_host(tx, row.name, self.ids, availability_zone=zone)


def _all(tx: Tx) -> list[Aggregate]:
    hosts = store_aggregates.hosts_by_aggregate(tx)
    return [Aggregate(row, hosts.get(row.id, [])) for row in store_aggregates.all_aggregates(tx)]


def _one(tx: Tx, aggregate_id: int) -> Aggregate:
    row: sa.Row | None = store_aggregates.aggregate(tx, aggregate_id)
    if row is None:
        raise NotFound(f"Aggregate {aggregate_id} could not be found.")
    return Aggregate(row, store_aggregates.hosts_by_aggregate(tx).get(aggregate_id, []))


def _check_name(tx: Tx, name: str) -> None:
    if store_aggregates.aggregate_named(tx, name) is not None:
        raise Conflict(f"Aggregate {name} already exists.")
