"""Flavors: the sizes that servers come in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from pilvi.compute import store_catalog as store
from pilvi.compute.base import Base
from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.policy import Context

# id, name, vcpus, ram (MiB), disk (GiB)
FIRST_FLAVORS = (
    ("42", "m1.nano", 1, 128, 1),
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("4", "m1.large", 4, 8192, 80),
)
SORT_KEYS = {
    "id": "id", "flavorid": "id", "name": "name", "memory_mb": "ram", "vcpus": "vcpus", "root_gb": "disk",
    "ephemeral_gb": "ephemeral", "swap": "swap", "rxtx_factor": "rxtx_factor", "is_public": "is_public",
    "disabled": "disabled", "created_at": "created_at", "updated_at": "created_at",
    "description": "description", "vcpu_weight": "id",  # which none has
}


def extra_gib(flavor: Mapping[str, Any]) -> int:
    """GiB that a server of the flavor takes beside its root disk: ephemeral (GiB), and swap (MiB) rounded up, as Nova
    asks Placement for them."""
    return flavor["ephemeral"] + -(-flavor["swap"] // 1024)


class Flavors(Base):
    def bootstrap_flavors(self, tx: Tx) -> None:
        """Makes the flavors that a new cloud has; a cloud that has any keeps what it has."""
        if store.select_flavors(tx, limit=1):
            return
        for flavor_id, name, vcpus, ram, disk in FIRST_FLAVORS:
            store.insert_flavor(tx, id=flavor_id, name=name, vcpus=vcpus, ram=ram, disk=disk, extra_specs={})

    def create_flavor(self, *, name: str, vcpus: int, ram: int, disk: int, id: str | None = None,
                      ephemeral: int = 0, swap: int = 0, rxtx_factor: float = 1.0, is_public: bool = True,
                      description: str | None = None) -> sa.Row:
        """`ram`, `swap` in MiB, `disk`, `ephemeral` in GiB. Raises Conflict when the id or name is taken."""
        flavor_id = id or self.ids.uuid()
        with self.db.transaction() as tx:
            tx.lock("flavors")
            if taken := store.flavor_taken(tx, flavor_id, name):
                what = f"name {name}" if taken.name == name else f"ID {flavor_id}"
                raise Conflict(f"Flavor with {what} already exists.")
            store.insert_flavor(tx, id=flavor_id, name=name, vcpus=vcpus, ram=ram, disk=disk, swap=swap,
                                ephemeral=ephemeral, rxtx_factor=rxtx_factor, is_public=is_public,
                                description=description, extra_specs={})
            return store.flavor(tx, flavor_id)

    def flavor(self, context: Context, flavor_id: str) -> sa.Row:
        """Raises NotFound, also for a private one that the caller's project may not use."""
        with self.db.read() as tx:
            return self.flavor_for(tx, context, flavor_id)

    def flavor_for(self, tx: Tx, context: Context, flavor_id: str) -> sa.Row:
        row = store.flavor(tx, flavor_id, None if context.is_admin else context.project_id or "")
        if row is None:
            raise NotFound(f"Flavor {flavor_id} could not be found.")
        return row

    def find_flavor(self, context: Context, name_or_id: str) -> sa.Row | None:
        """By id or else by name, among those that the caller may use; None when there is none."""
        with self.db.read() as tx:
            project_id = None if context.is_admin else context.project_id or ""
            named = store.flavors_named(tx, name_or_id)
            candidates = [name_or_id, *(row.id for row in named)]
            return next(filter(None, (store.flavor(tx, each, project_id) for each in candidates)), None)

    def flavors(self, context: Context, *, is_public: bool | None = True, min_ram: int = 0, min_disk: int = 0,
                sort_key: str = "flavorid", descending: bool = False, marker: str | None = None,
                limit: int | None = None, name: str | None = None) -> Sequence[sa.Row]:
        """Public ones and those that the caller's project may use; an administrator may choose (None: all).

        Raises BadRequest for a sort key or a marker that there is not."""
        if sort_key not in SORT_KEYS:
            raise BadRequest(f"Sort key supplied is invalid: {sort_key}.")
        project_id = context.project_id if is_public or not context.is_admin else None
        with self.db.read() as tx:
            begin = None
            if marker is not None and (begin := store.flavor(tx, marker)) is None:
                raise BadRequest(f"marker [{marker}] not found")
            return store.select_flavors(
                tx, is_public=is_public if context.is_admin else True, project_id=project_id, min_ram=min_ram,
                min_disk=min_disk, sort=SORT_KEYS[sort_key], descending=descending, marker=begin, limit=limit,
                name=name)

    def update_flavor(self, flavor_id: str, description: str | None) -> sa.Row:
        with self._changing(flavor_id) as (tx, _):
            store.update_flavor(tx, flavor_id, description=description)
            return store.flavor(tx, flavor_id)

    def delete_flavor(self, flavor_id: str) -> None:
        """Servers keep what they were made with. Raises NotFound."""
        with self.db.transaction() as tx:
            if not store.delete_flavor(tx, flavor_id):
                raise NotFound(f"Flavor {flavor_id} could not be found.")

    # -- extra specs

    def add_extra_specs(self, flavor_id: str, specs: Mapping[str, str]) -> dict[str, str]:
        """All of the flavor's extra specs afterwards."""
        with self._changing(flavor_id) as (tx, row):
            merged = {**row.extra_specs, **specs}
            store.update_flavor(tx, flavor_id, extra_specs=merged)
            return merged

    def remove_extra_spec(self, flavor_id: str, name: str) -> None:
        with self._changing(flavor_id) as (tx, row):
            if name not in row.extra_specs:
                raise NotFound(f"Flavor {flavor_id} has no extra specs with key {name}.")
            rest = {key: value for key, value in row.extra_specs.items() if key != name}
            store.update_flavor(tx, flavor_id, extra_specs=rest)

    # -- access to private flavors

    def flavor_access(self, flavor_id: str) -> list[str]:
        """The projects that may use it. Raises NotFound for a public flavor, which has no such list."""
        with self.db.read() as tx:
            row = store.flavor(tx, flavor_id)
            if row is None:
                raise NotFound(f"Flavor {flavor_id} could not be found.")
            if row.is_public:
                raise NotFound("Access list not available for public flavors.")
            return store.access(tx, flavor_id)

    def add_flavor_access(self, flavor_id: str, project_id: str) -> list[str]:
        """Raises Conflict where the flavor is public or the project may use it already, and BadRequest where
        there is no such project."""
        with self._changing(flavor_id) as (tx, row):
            if row.is_public:
                raise Conflict("Can not add access to a public flavor.")
            if not self.identity.project_exists(tx, project_id):
                raise BadRequest(f"Project ID {project_id} is not a valid project.")
            if project_id in store.access(tx, flavor_id):
                raise Conflict(f"Project {project_id} has access to flavor {flavor_id} already.")
            store.add_access(tx, flavor_id, project_id)
            return store.access(tx, flavor_id)

    def remove_flavor_access(self, flavor_id: str, project_id: str) -> list[str]:
        with self._changing(flavor_id) as (tx, row):
            if row.is_public:
                raise Conflict("Can not remove access to a public flavor.")
            if not store.remove_access(tx, flavor_id, project_id):
                raise NotFound(f"Flavor access not found for {flavor_id} / {project_id} combination.")
            return store.access(tx, flavor_id)

    @contextmanager
    def _changing(self, flavor_id: str) -> Iterator[tuple[Tx, sa.Row]]:
        """A transaction that changes one flavor, and in which nobody else changes any. Raises NotFound."""
        with self.db.transaction() as tx:
            tx.lock("flavors")
            row = store.flavor(tx, flavor_id)
            if row is None:
                raise NotFound(f"Flavor {flavor_id} could not be found.")
            yield tx, row
