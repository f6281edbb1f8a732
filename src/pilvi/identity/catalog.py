"""Services, their endpoints and regions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden
from pilvi.identity import store
from pilvi.identity.base import missing
from pilvi.identity.directory import Directory, Values
from pilvi.identity.tables import endpoints, regions, services
from pilvi.identity.tables_registry import registered_limits

CATALOGS = 256  # that are remembered


class Catalog(Directory):
    def create_service(self, context: Any, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            return _made(tx, services, {"id": self._ids.hex(), **values, "extra": extra})

    def update_service(self, context: Any, service_id: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            return self._changed(tx, services, service_id, "service", values, extra)

    def delete_service(self, context: Any, service_id: str) -> None:
        """With its endpoints."""
        with self._change() as tx:
            if not store.delete(tx, services, service_id):
                raise missing("service", service_id)

    def create_endpoint(self, context: Any, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            return _made(tx, endpoints, {"id": self._ids.hex(), **self._endpoint(tx, values), "extra": extra})

    def update_endpoint(self, context: Any, endpoint_id: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            return self._changed(tx, endpoints, endpoint_id, "endpoint", self._endpoint(tx, values), extra)

    def delete_endpoint(self, context: Any, endpoint_id: str) -> None:
        with self._change() as tx:
            if not store.delete(tx, endpoints, endpoint_id):
                raise missing("endpoint", endpoint_id)

    def create_region(self, context: Any, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            key = values["id"] or self._ids.hex()
            if store.get(tx, regions, key) is not None:
                raise Conflict(
                    f"Conflict occurred attempting to store region: there is one with the id {key} already."
                )
            if values["parent_region_id"] is not None:
                self._get(tx, regions, values["parent_region_id"], "region")
            return _made(
                tx, regions, {**values, "id": key, "description": values["description"] or "", "extra": extra}
            )

    def update_region(self, context: Any, region_id: str, values: Values, extra: Values) -> sa.Row:
        """Raises BadRequest where a region would come to be inside itself."""
        with self._change() as tx:
            parent = values.get("parent_region_id")
            while parent is not None:
                if parent == region_id:
                    raise BadRequest(f"The region {region_id} cannot be inside itself.")
                parent = self._get(tx, regions, parent, "region").parent_region_id
            known = (
                {**values, "description": values["description"] or ""} if "description" in values else values
            )
            return self._changed(tx, regions, region_id, "region", known, extra)

    def delete_region(self, context: Any, region_id: str) -> None:
        """With the regions inside it. Raises Forbidden while endpoints or registered limits are in one of them."""
        with self._change() as tx:
            self._get(tx, regions, region_id, "region")
            levels = [[region_id]]
            while inside := store.listing(tx, regions, [regions.c.parent_region_id.in_(levels[-1])]):
                levels.append([row.id for row in inside])
            every = [key for level in levels for key in level]
            if any(
                store.listing(tx, table, [table.c.region_id.in_(every)], 1)
                for table in (endpoints, registered_limits)
            ):
                raise Forbidden(
                    f"Cannot delete region {region_id}: there are endpoints or registered limits in it, or in a "
                    f"region inside it."
                )
            for key in reversed(every):
                store.delete(tx, regions, key)

    def _endpoint(self, tx: Tx, values: Values) -> dict[str, Any]:
        """`region` is the older name of region_id, and makes a missing region. Raises BadRequest."""
        known = dict(values)
        if "service_id" in known and store.get(tx, services, known["service_id"]) is None:
            raise BadRequest(
                f"Invalid input for field/attribute service_id. There is no service {known['service_id']}."
            )
        legacy = known.pop("region", None)
        if legacy and not known.get("region_id"):
            known["region_id"] = legacy
            if store.get(tx, regions, legacy) is None:
                _made(tx, regions, {"id": legacy, "description": "", "extra": {}})
        if known.get("region_id") and store.get(tx, regions, known["region_id"]) is None:
            raise BadRequest(
                f"Invalid input for field/attribute region_id. There is no region {known['region_id']}."
            )
        return known

    def _changed(self, tx: Tx, table: sa.Table, key: str, what: str, values: Values, extra: Values) -> sa.Row:
        row = self._get(tx, table, key, what)
        store.update(tx, table, key, {**values, "extra": {**row.extra, **extra}})
        return store.get(tx, table, key)

    # As tokens show it

    def catalog(self, base_url: str, project_id: str | None) -> list[dict[str, Any]]:
        """The services with their endpoints; where there is no project, without those that need one."""
        with self._db.read() as tx:
            rows = self._catalog_rows(tx, project_id)
        known = self._catalogs.get((base_url, project_id))
        if known is None or known[0] is not rows:
            if len(self._catalogs) >= CATALOGS:
                self._catalogs.clear()
            known = self._catalogs[base_url, project_id] = (rows, _catalog(rows, base_url, project_id))
        return known[1]

    def _catalog_rows(self, tx: Tx, project_id: str | None) -> list[sa.Row]:
        """What a project sees, or who is in none: remembered until something changes."""
        count = store.change_count(tx)
        if self._endpoints is None or self._endpoints[0] != count:
            self._endpoints = (count, list(store.catalog(tx)))
        return self._endpoints[1]


def _catalog(rows: Iterable[sa.Row], base_url: str, project_id: str | None) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        url = filled(row.url, base_url, project_id)
        if "$(" in url:
            continue
        service = found.setdefault(
            row.service_id,
            {"id": row.service_id, "type": row.type, "name": row.name or "", "endpoints": []},
        )
        service["endpoints"].append(
            {
                "id": row.id,
                "interface": row.interface,
                "region": row.region_id,
                "region_id": row.region_id,
                "url": url,
            }
        )
    return list(found.values())


def filled(template: str, base_url: str, project_id: str | None = None) -> str:
    """An endpoint's URL with what can be put in put in."""
    url = template.replace("$(base_url)s", base_url)
    if project_id is not None:
        for name in ("project_id", "tenant_id"):
            url = url.replace(f"$({name})s", project_id).replace(f"%({name})s", project_id)
    return url


def _made(tx: Tx, table: sa.Table, values: Values) -> sa.Row:
    tx.execute(table.insert(), values)
    return store.get(tx, table, values["id"])
