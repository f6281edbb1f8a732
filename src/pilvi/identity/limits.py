"""Limits: registered ones, which hold for all projects, and those of single projects and domains.

The model is flat: what a project may have depends on no other project. A limit on a resource that one of this
cloud's services counts is that service's quota: it is written to the quotas, and the later of the two holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from pilvi import quota
from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden
from pilvi.identity import store
from pilvi.identity.base import forbidden, missing
from pilvi.identity.directory import Directory, Values
from pilvi.identity.tables import projects, regions, services
from pilvi.identity.tables_registry import limits, registered_limits
from pilvi.policy import Context

MODEL = {
    "name": "flat",
    "description": "Limits are enforced project by project, whatever is above or below a project.",
}
SERVICES = {
    "compute": "compute",
    "image": "image",
    "network": "network",
    "block-storage": "volume",
    "volumev3": "volume",
}  # quota's names, by the type of the service
_NOVA = {  # how Compute's resources are called as limits
    "instances": "servers",
    "cores": "class:VCPU",
    "ram": "class:MEMORY_MB",
    "metadata_items": "server_metadata_items",
    "key_pairs": "server_key_pairs",
    "injected_files": "server_injected_files",
    "injected_file_content_bytes": "server_injected_file_content_bytes",
    "injected_file_path_bytes": "server_injected_file_path_bytes",
}
_RESOURCES = {limit: resource for resource, limit in _NOVA.items()}
_ALL = sa.select(
    limits, registered_limits.c.service_id, registered_limits.c.region_id, registered_limits.c.resource_name
).join(registered_limits, registered_limits.c.id == limits.c.registered_limit_id)


class Limits(Directory):
    # Registered limits

    def registered_limit(self, key: str) -> sa.Row:
        return self.row(registered_limits, key, "registered limit")

    def registered_limits(self, filters: Sequence[store.Filter]) -> list[sa.Row]:
        return self.listing(registered_limits, filters, None, None)

    def create_registered_limits(self, wanted: Sequence[Values]) -> list[sa.Row]:
        """All or none. Raises BadRequest for no such service or region, Conflict."""
        with self._limits_change() as tx:
            return [self._register(tx, values) for values in wanted]

    def _register(self, tx: Tx, values: Values) -> sa.Row:
        self._place_exists(tx, values)
        if self._registered(tx, values) is not None:
            raise Conflict(f"There is a registered limit for {values['resource_name']} there already.")
        key = self._ids.hex()
        tx.execute(registered_limits.insert(), {"id": key, **values})
        row = store.get(tx, registered_limits, key)
        self._default_to(tx, row, row.default_limit)
        return row

    def update_registered_limit(self, key: str, values: Values) -> sa.Row:
        """Raises Forbidden where it would become another's than what projects' limits rest on."""
        with self._limits_change() as tx:
            row = self._get(tx, registered_limits, key, "registered limit")
            place = {name: values.get(name, getattr(row, name)) for name in _PLACE}
            if any(place[name] != getattr(row, name) for name in _PLACE):
                self._is_free(tx, row)
                self._place_exists(tx, place)
                if self._registered(tx, place) is not None:
                    raise Conflict(f"There is a registered limit for {place['resource_name']} there already.")
                self._default_to(tx, row, None)
            if values:
                store.update(tx, registered_limits, key, values)
            row = store.get(tx, registered_limits, key)
            self._default_to(tx, row, row.default_limit)
            return row

    def delete_registered_limit(self, key: str) -> None:
        with self._limits_change() as tx:
            row = self._get(tx, registered_limits, key, "registered limit")
            self._is_free(tx, row)
            self._default_to(tx, row, None)
            store.delete(tx, registered_limits, key)

    def _is_free(self, tx: Tx, row: sa.Row) -> None:
        if store.find(tx, limits, registered_limit_id=row.id) is not None:
            raise Forbidden(
                f"Unable to update or delete registered limit {row.id}: there are limits of projects or domains "
                f"that rest on it. Delete them first."
            )

    # Limits of projects and domains

    def limits(self, context: Context, filters: Mapping[str, str]) -> list[sa.Row]:
        """Who does not see everything sees those of their project or domain."""
        with self._db.read() as tx:
            rows = tx.all(
                _ALL.where(*(_COLUMNS[name] == value for name, value in filters.items())).order_by(
                    limits.c.id
                )
            )
        return [row for row in rows if _may_see(context, row)]

    def limit(self, context: Context, key: str) -> sa.Row:
        with self._db.read() as tx:
            row = tx.one(_ALL.where(limits.c.id == key))
        if row is None and context.is_auditor:
            raise missing("limit", key)
        if row is None or not _may_see(context, row):
            raise forbidden("identity:get_limit")
        return row

    def create_limits(self, wanted: Sequence[Values]) -> list[sa.Row]:
        """All or none. Raises Forbidden for what is not registered, BadRequest, Conflict."""
        with self._limits_change() as tx:
            keys = [self._limit(tx, values) for values in wanted]
            rows = {row.id: row for row in tx.all(_ALL.where(limits.c.id.in_(keys)))}
            return [rows[key] for key in keys]

    def _limit(self, tx: Tx, values: Values) -> str:
        of = {name: values[name] for name in ("project_id", "domain_id") if values[name] is not None}
        if len(of) != 1:
            raise BadRequest(
                "Invalid input for field/attribute limits. A limit is a project's or a domain's."
            )
        [(name, owner)] = of.items()
        row = store.get(tx, projects, owner)
        if row is None or row.is_domain != (name == "domain_id"):
            raise BadRequest(
                f"Invalid input for field/attribute {name}. There is no such {name[:-3]}: {owner}."
            )
        self._place_exists(tx, values)
        registered = self._registered(tx, values)
        if registered is None:
            raise Forbidden(
                f"Unable to create a limit for {values['resource_name']}: there is no registered limit for it with "
                f"this service and region (region_id {values['region_id']})."
            )
        if store.find(tx, limits, registered_limit_id=registered.id, **of) is not None:
            raise Conflict(f"There is a limit for {values['resource_name']} of {owner} already.")
        key, amount = self._ids.hex(), values["resource_limit"]
        given = {"resource_limit": amount, "description": values["description"], **of}
        tx.execute(limits.insert(), {"id": key, "registered_limit_id": registered.id, **given})
        self._bind(tx, registered, of.get("project_id"), amount)
        return key

    def update_limit(self, key: str, values: Values) -> sa.Row:
        with self._limits_change() as tx:
            row = self._get(tx, limits, key, "limit")
            if values:
                store.update(tx, limits, key, values)
            registered = store.get(tx, registered_limits, row.registered_limit_id)
            self._bind(tx, registered, row.project_id, values.get("resource_limit", row.resource_limit))
            return tx.one(_ALL.where(limits.c.id == key))

    def delete_limit(self, key: str) -> None:
        with self._limits_change() as tx:
            row = self._get(tx, limits, key, "limit")
            self._bind(tx, store.get(tx, registered_limits, row.registered_limit_id), row.project_id, None)
            store.delete(tx, limits, key)

    # What the services enforce

    def enforced(self, tx: Tx, service_type: str, project_id: str) -> dict[str, int]:
        """The registered limits of a service, with the project's own in their place, by resource; -1: none.

        For resources that are counted elsewhere than in `pilvi.quota`."""
        own = sa.and_(
            limits.c.registered_limit_id == registered_limits.c.id, limits.c.project_id == project_id
        )
        rows = tx.all(
            sa.select(
                registered_limits.c.resource_name,
                sa.func.coalesce(limits.c.resource_limit, registered_limits.c.default_limit).label("limit"),
            )
            .join(services, services.c.id == registered_limits.c.service_id)
            .outerjoin(limits, own)
            .where(services.c.type == service_type, self._here())
        )
        return {row.resource_name: row.limit for row in rows}

    def _here(self) -> sa.ColumnElement:
        region = registered_limits.c.region_id
        return region.is_(None) | (region == self._settings.region)

    def _counted(self, tx: Tx, registered: sa.Row) -> tuple[str, str] | None:
        """The service and resource of `pilvi.quota` that it is about; None where it is about another."""
        service = SERVICES.get(store.get(tx, services, registered.service_id).type)
        resource = registered.resource_name
        if service == "compute":
            resource = _RESOURCES.get(resource, resource)
        here = registered.region_id in (None, self._settings.region)
        return (service, resource) if here and resource in quota.DEFAULTS.get(service or "", ()) else None

    def _default_to(self, tx: Tx, registered: sa.Row, limit: int | None) -> None:
        if (counted := self._counted(tx, registered)) is not None:
            service, resource = counted
            quota.set_limit(tx, service, quota.DEFAULT_CLASS, resource, limit)

    def _bind(self, tx: Tx, registered: sa.Row, project_id: str | None, limit: int | None) -> None:
        if project_id is not None and (counted := self._counted(tx, registered)) is not None:
            service, resource = counted
            quota.lock(tx, project_id)
            quota.set_limit(tx, service, project_id, resource, limit)

    @contextmanager
    def _limits_change(self) -> Iterator[Tx]:
        """One at a time: what is unique is so where a region is missing, too."""
        with self._change() as tx:
            tx.lock("identity", "limits")
            yield tx

    def _registered(self, tx: Tx, place: Values) -> sa.Row | None:
        return store.find(tx, registered_limits, **{name: place[name] for name in _PLACE})

    def _place_exists(self, tx: Tx, values: Values) -> None:
        for name, table in (("service_id", services), ("region_id", regions)):
            if values[name] is not None and store.get(tx, table, values[name]) is None:
                raise BadRequest(
                    f"Invalid input for field/attribute {name}. There is no such {name[:-3]}: {values[name]}."
                )

    def _bootstrap_limits(self, tx: Tx) -> None:
        """What Pilvi's own services count is registered, so that projects' limits can rest on it."""
        for service in quota.DEFAULTS:
            row = store.find(
                tx, services, type=next(kind for kind, name in SERVICES.items() if name == service)
            )
            if row is None or store.find(tx, registered_limits, service_id=row.id) is not None:
                continue
            for resource, limit in quota.limits(tx, service, quota.DEFAULT_CLASS).items():
                name = _NOVA.get(resource, resource) if service == "compute" else resource
                made = {"service_id": row.id, "resource_name": name, "default_limit": limit}
                tx.execute(
                    registered_limits.insert(),
                    {"id": self._ids.hex(), "region_id": self._settings.region, **made},
                )


_PLACE = ("service_id", "region_id", "resource_name")
_COLUMNS = {
    **{name: registered_limits.c[name] for name in _PLACE},
    **{name: limits.c[name] for name in ("project_id", "domain_id")},
}


def _may_see(context: Context, row: sa.Row) -> bool:
    own = (context.project_id, row.project_id), (context.domain_id, row.domain_id)
    return context.is_auditor or any(mine is not None and mine == theirs for mine, theirs in own)
