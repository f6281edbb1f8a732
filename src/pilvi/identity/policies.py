"""Policies, kept for the services that ask for them, and which endpoints each is meant for."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import NotFound
from pilvi.identity import store
from pilvi.identity.base import missing
from pilvi.identity.directory import Directory, Values
from pilvi.identity.tables import endpoints, regions, services
from pilvi.identity.tables_registry import policies, policy_associations
from pilvi.policy import Context


class Association(NamedTuple):
    """What a policy is meant for: an endpoint, a service, or a service in a region and those inside it."""

    endpoint_id: str | None = None
    service_id: str | None = None
    region_id: str | None = None

    @property
    def place(self) -> str:
        if self.endpoint_id is not None:
            return f"endpoint/{self.endpoint_id}"
        return f"service/{self.service_id}" + (f"/{self.region_id}" if self.region_id is not None else "")


_TABLES = {"endpoint_id": endpoints, "service_id": services, "region_id": regions}


class Policies(Directory):
    def create_policy(self, context: Context, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            key = self._ids.hex()
            tx.execute(policies.insert(), {"id": key, **values, "extra": extra})
            return store.get(tx, policies, key)

    def update_policy(self, context: Context, policy_id: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            row = self._get(tx, policies, policy_id, "policy")
            store.update(tx, policies, policy_id, {**values, "extra": {**row.extra, **extra}})
            return store.get(tx, policies, policy_id)

    def delete_policy(self, context: Context, policy_id: str) -> None:
        with self._change() as tx:
            if not store.delete(tx, policies, policy_id):
                raise missing("policy", policy_id)

    # What they are meant for

    def associate(self, policy_id: str, wanted: Association) -> None:
        """Instead of the policy that was meant for it before. Raises NotFound."""
        with self._change() as tx:
            self._association_parts(tx, policy_id, wanted)
            tx.execute(policy_associations.delete().where(policy_associations.c.place == wanted.place))
            store.ensure(tx, policy_associations, place=wanted.place, policy_id=policy_id, **wanted._asdict())

    def check_association(self, policy_id: str, wanted: Association) -> None:
        with self._db.read() as tx:
            self._association_parts(tx, policy_id, wanted)
            if store.find(tx, policy_associations, place=wanted.place, policy_id=policy_id) is None:
                raise NotFound(f"The policy {policy_id} is not associated with {wanted.place}.")

    def dissociate(self, policy_id: str, wanted: Association) -> None:
        table = policy_associations
        with self._change() as tx:
            self._association_parts(tx, policy_id, wanted)
            gone = table.delete().where(table.c.place == wanted.place, table.c.policy_id == policy_id)
            if not tx.execute(gone).rowcount:
                raise NotFound(f"The policy {policy_id} is not associated with {wanted.place}.")

    def policy_of(self, endpoint_id: str) -> sa.Row:
        """The one that is meant most closely for an endpoint. Raises NotFound where there is none."""
        with self._db.read() as tx:
            endpoint = self._get(tx, endpoints, endpoint_id, "endpoint")
            places = [Association(endpoint_id=endpoint_id).place]
            for region in self._regions_up(tx, endpoint.region_id):
                places.append(Association(service_id=endpoint.service_id, region_id=region).place)
            places.append(Association(service_id=endpoint.service_id).place)
            table = policy_associations
            found = {row.place: row for row in tx.all(sa.select(table).where(table.c.place.in_(places)))}
            for place in places:
                if place in found:
                    return store.get(tx, policies, found[place].policy_id)
        raise NotFound(f"No policy is associated with endpoint {endpoint_id}.")

    def endpoints_of_policy(self, policy_id: str) -> list[sa.Row]:
        with self._db.read() as tx:
            self._get(tx, policies, policy_id, "policy")
            table = policy_associations
            meant = tx.all(sa.select(table).where(table.c.policy_id == policy_id))
            parents = {row.id: row.parent_region_id for row in store.listing(tx, regions, [])}
            return [
                row
                for row in store.listing(tx, endpoints, [])
                if any(_fits(row, each, parents) for each in meant)
            ]

    def _association_parts(self, tx: Tx, policy_id: str, wanted: Association) -> None:
        self._get(tx, policies, policy_id, "policy")
        for name, key in wanted._asdict().items():
            if key is not None:
                self._get(tx, _TABLES[name], key, name.removesuffix("_id"))

    def _regions_up(self, tx: Tx, region_id: str | None) -> list[str]:
        """A region and those it is inside of."""
        parents = {row.id: row.parent_region_id for row in store.listing(tx, regions, [])}
        return _up(region_id, parents)


def _up(region_id: str | None, parents: dict[str, str | None]) -> list[str]:
    found = []
    while region_id is not None:
        found.append(region_id)
        region_id = parents.get(region_id)
    return found


def _fits(endpoint: sa.Row, meant: Any, parents: dict[str, str | None]) -> bool:
    if meant.endpoint_id is not None:
        return endpoint.id == meant.endpoint_id
    inside = meant.region_id is None or meant.region_id in _up(endpoint.region_id, parents)
    return endpoint.service_id == meant.service_id and inside
