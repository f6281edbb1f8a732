"""Which endpoints a project sees: those, and those of the groups, that it was associated with; without any, all."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, NotFound
from pilvi.identity import store
from pilvi.identity.base import missing
from pilvi.identity.catalog import Catalog
from pilvi.identity.directory import Values
from pilvi.identity.tables import endpoints, projects, regions, services
from pilvi.identity.tables_registry import endpoint_groups, project_endpoint_groups, project_endpoints
from pilvi.policy import Context


class Shown(NamedTuple):
    """As of one change count: what each project that has any association sees."""

    count: int
    endpoints: dict[str, set[str]]
    groups: dict[str, list[dict[str, Any]]]  # their filters


_LINKS = {
    "endpoint_id": (project_endpoints, endpoints),
    "endpoint_group_id": (project_endpoint_groups, endpoint_groups),
}


class EndpointFilter(Catalog):
    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._known_shown: Shown | None = None

    def create_endpoint_group(self, context: Context, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            self._filters_exist(tx, values)
            key = self._ids.hex()
            tx.execute(endpoint_groups.insert(), {"id": key, **values})
            return store.get(tx, endpoint_groups, key)

    def update_endpoint_group(self, context: Context, key: str, values: Values, extra: Values) -> sa.Row:
        with self._change() as tx:
            self._get(tx, endpoint_groups, key, "endpoint group")
            if values.get("filters", {}) is None:
                values = {name: value for name, value in values.items() if name != "filters"}
            self._filters_exist(tx, values)
            if values:
                store.update(tx, endpoint_groups, key, values)
            return store.get(tx, endpoint_groups, key)

    def delete_endpoint_group(self, context: Context, key: str) -> None:
        with self._change() as tx:
            if not store.delete(tx, endpoint_groups, key):
                raise missing("endpoint group", key)

    def _filters_exist(self, tx: Tx, values: Values) -> None:
        for name, table in (("service_id", services), ("region_id", regions)):
            key = values.get("filters", {}).get(name)
            if key is not None and store.get(tx, table, key) is None:
                raise BadRequest(f"Invalid input for field/attribute filters.{name}. There is no {key}.")

    # Associations; `kind` is endpoint_id or endpoint_group_id

    def show_to(self, project_id: str, kind: str, key: str) -> None:
        with self._change() as tx:
            self._association(tx, project_id, kind, key)
            store.ensure(tx, _LINKS[kind][0], project_id=project_id, **{kind: key})

    def check_shown_to(self, project_id: str, kind: str, key: str) -> None:
        with self._db.read() as tx:
            self._association(tx, project_id, kind, key)
            if store.find(tx, _LINKS[kind][0], project_id=project_id, **{kind: key}) is None:
                raise _not_associated(project_id, kind, key)

    def no_longer_show_to(self, project_id: str, kind: str, key: str) -> None:
        table = _LINKS[kind][0]
        with self._change() as tx:
            gone = table.delete().where(table.c.project_id == project_id, table.c[kind] == key)
            if not tx.execute(gone).rowcount:
                raise _not_associated(project_id, kind, key)

    def projects_shown(self, kind: str, key: str) -> list[sa.Row]:
        link, table = _LINKS[kind]
        with self._db.read() as tx:
            self._get(tx, table, key, kind.removesuffix("_id").replace("_", " "))
            inside = sa.select(link.c.project_id).where(link.c[kind] == key)
            return list(store.listing(tx, projects, [projects.c.id.in_(inside)]))

    def endpoints_of_project(self, project_id: str) -> list[sa.Row]:
        """Those it was associated with, by themselves or in groups."""
        with self._db.read() as tx:
            self._get(tx, projects, project_id, "project")
            shown = self._shown_to_projects(tx)
            return [row for row in store.listing(tx, endpoints, []) if _is_shown(shown, project_id, row)]

    def endpoint_groups_of_project(self, project_id: str) -> list[sa.Row]:
        link = project_endpoint_groups
        with self._db.read() as tx:
            self._get(tx, projects, project_id, "project")
            inside = sa.select(link.c.endpoint_group_id).where(link.c.project_id == project_id)
            return list(store.listing(tx, endpoint_groups, [endpoint_groups.c.id.in_(inside)]))

    def endpoints_of_group(self, key: str) -> list[sa.Row]:
        with self._db.read() as tx:
            group = self._get(tx, endpoint_groups, key, "endpoint group")
            return [row for row in store.listing(tx, endpoints, []) if _fits(group.filters, row)]

    def _association(self, tx: Tx, project_id: str, kind: str, key: str) -> None:
        self._get(tx, projects, project_id, "project")
        self._get(tx, _LINKS[kind][1], key, kind.removesuffix("_id").replace("_", " "))

    # In the catalog

    def _catalog_rows(self, tx: Tx, project_id: str | None) -> list[sa.Row]:
        rows, shown = super()._catalog_rows(tx, project_id), self._shown_to_projects(tx)
        if project_id not in shown.endpoints and project_id not in shown.groups:
            return rows
        return [row for row in rows if _is_shown(shown, project_id, row)]

    def _shown_to_projects(self, tx: Tx) -> Shown:
        count, known = store.change_count(tx), self._known_shown
        if known is None or known.count != count:
            by_project: dict[str, set[str]] = defaultdict(set)
            for row in tx.all(sa.select(project_endpoints)):
                by_project[row.project_id].add(row.endpoint_id)
            link, groups = project_endpoint_groups, defaultdict(list)
            joined = sa.select(link.c.project_id, endpoint_groups.c.filters).join(endpoint_groups)
            for row in tx.all(joined):
                groups[row.project_id].append(row.filters)
            known = self._known_shown = Shown(count, dict(by_project), dict(groups))
        return known


def _is_shown(shown: Shown, project_id: str, endpoint: sa.Row) -> bool:
    if endpoint.id in shown.endpoints.get(project_id, ()):
        return True
    return any(_fits(filters, endpoint) for filters in shown.groups.get(project_id, ()))


def _fits(filters: dict[str, Any], endpoint: sa.Row) -> bool:
    """The catalog's rows say not that they are enabled: they all are."""
    return all(getattr(endpoint, name, True) == value for name, value in filters.items())


def _not_associated(project_id: str, kind: str, key: str) -> NotFound:
    what = kind.removesuffix("_id").replace("_", " ")
    return NotFound(f"The {what} {key} is not associated with project {project_id}.")
