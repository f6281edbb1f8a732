"""Types of volumes: what a volume is to be like, and who may use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx, on_constraint
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.base import BACKEND, Base
from pilvi.volume.listing import Listing, page
from pilvi.volume.tables import default_types, type_access, types, volumes

DEFAULT = "__DEFAULT__"  # the type of volumes whose type is not named, as in OpenStack
VENDOR, PROTOCOL = "Pilvi", "file"
CAPABILITIES = {  # what extra specs are held against, beside the backend's name
    "vendor_name": VENDOR, "storage_protocol": PROTOCOL, "driver_version": "1.0",
    "multiattach": "True", "QoS_support": "True", "thin_provisioning_support": "True", "sparse_copy_volume": "True",
    "backend_state": "up", "online_extend_support": "True",
}
UNHELD = ("RESKEY:", "provisioning:", "replication_enabled")  # prefixes of what is no capability


class Types(Base):
    def bootstrap(self) -> None:
        """Makes what every cloud has; what is there stays as it is."""
        with self.db.transaction() as tx:
            tx.lock("volume", "bootstrap")
            if store.find(tx, types, name=DEFAULT) is None:
                self._insert_type(tx, DEFAULT, "Default Volume Type", True, {})

    def volume_types(self, context: Context, listing: Listing) -> tuple[list[sa.Row], int]:
        where = [store.usable_types(context)]
        specs = listing.filters.pop("extra_specs", None)
        with self.db.read() as tx:
            rows, count = page(tx, types, listing, where)
        return [row for row in rows if not specs or specs.items() <= row.extra_specs.items()], count

    def volume_type(self, context: Context, type_id: str) -> sa.Row:
        with self.db.read() as tx:
            return self.usable_type(tx, context, type_id)

    def default_type_of(self, context: Context) -> sa.Row:
        with self.db.read() as tx:
            return self.wanted_type(tx, context, None)

    def usable_type(self, tx: Tx, context: Context, type_id: str) -> sa.Row:
        row = store.get(tx, types, type_id, store.usable_types(context))
        if row is None:
            raise NotFound(f"Volume type {type_id} could not be found.")
        return row

    def wanted_type(self, tx: Tx, context: Context, name: str | None) -> sa.Row:
        """By name or id; without, the project's default, or the cloud's. Raises NotFound."""
        if name is None:
            return store.default_type(tx, context.project_id) or store.find(tx, types, name=DEFAULT)
        row = tx.one(sa.select(types).where(sa.or_(types.c.name == name, types.c.id == name), store.usable_types(context)))
        if row is None:
            raise NotFound(f"Volume type {name} could not be found.")
        return row

    def create_type(self, name: str, description: str | None, is_public: bool, specs: Mapping[str, str]) -> sa.Row:
        """Raises Conflict where there is one of this name."""
        try:
            with self.db.transaction() as tx:
                return self._insert_type(tx, name, description, is_public, specs)
        except sa.exc.IntegrityError as error:
            raise self._taken(error, name) from None

    def _insert_type(self, tx: Tx, name: str, description: str | None, is_public: bool,
                     specs: Mapping[str, str]) -> sa.Row:
        return store.insert(tx, types, {
            "id": self.ids.uuid(), "seq": tx.now, "name": name, "description": description, "is_public": is_public,
            "extra_specs": dict(specs), "created_at": tx.now})

    def _taken(self, error: sa.exc.IntegrityError, name: str) -> Exception:
        if on_constraint(error, "uq_volume_types_name", "volume_types.name"):
            return Conflict(f"Volume Type {name} already exists.")
        return error

    def update_type(self, context: Context, type_id: str, **values: Any) -> sa.Row:
        try:
            with self.db.transaction() as tx:
                self.usable_type(tx, context, type_id)
                return store.update(tx, types, type_id, **values)
        except sa.exc.IntegrityError as error:
            raise self._taken(error, values["name"]) from None

    def delete_type(self, context: Context, type_id: str) -> None:
        """Raises BadRequest while there are volumes of it, and for the cloud's default."""
        with self.db.transaction() as tx:
            row = self.usable_type(tx, context, type_id)
            if row.name == DEFAULT:
                raise BadRequest(f"{row.name} is the cloud's default volume type: it cannot be deleted.")
            if store.count(tx, volumes, volumes.c.type_id == type_id):
                raise BadRequest(f"Volume type {type_id} deletion is not allowed with volumes present with the type.")
            store.delete(tx, types, type_id)

    # -- extra specs

    def change_specs(self, context: Context, type_id: str, specs: Mapping[str, str | None]) -> dict[str, str]:
        """The extra specs after these were set; None takes one away. Raises NotFound for one that is not there."""
        with self.db.transaction() as tx:
            tx.lock("volume type", type_id)
            known = dict(self.usable_type(tx, context, type_id).extra_specs)
            for name, value in specs.items():
                if value is not None:
                    known[name] = value
                elif known.pop(name, None) is None:
                    raise NotFound(f"Volume Type {type_id} has no extra specs with key {name}.")
            store.update(tx, types, type_id, extra_specs=known)
            return known

    # -- who may use a private one

    def type_projects(self, context: Context, type_id: str) -> Sequence[str]:
        with self.db.read() as tx:
            self._private(tx, context, type_id)
            return [row.project_id for row in tx.all(sa.select(type_access).where(type_access.c.type_id == type_id))]

    def add_type_access(self, context: Context, type_id: str, project_id: str) -> None:
        with self.db.transaction() as tx:
            tx.lock("volume type", type_id)
            self._private(tx, context, type_id)
            if tx.one(self._access(type_id, project_id)) is not None:
                raise Conflict(f"Volume type access for {type_id} / {project_id} combination already exists.")
            tx.execute(type_access.insert(), {"type_id": type_id, "project_id": project_id})

    def remove_type_access(self, context: Context, type_id: str, project_id: str) -> None:
        with self.db.transaction() as tx:
            self._private(tx, context, type_id)
            where = (type_access.c.type_id == type_id, type_access.c.project_id == project_id)
            if not tx.execute(type_access.delete().where(*where)).rowcount:
                raise NotFound(f"Volume type access not found for {type_id} / {project_id} combination.")

    def _access(self, type_id: str, project_id: str) -> sa.Select:
        return sa.select(type_access).where(type_access.c.type_id == type_id, type_access.c.project_id == project_id)

    def _private(self, tx: Tx, context: Context, type_id: str) -> sa.Row:
        row = self.usable_type(tx, context, type_id)
        if row.is_public:
            raise NotFound("Access list not available for public volume types.")
        return row

    # -- a project's default

    def default_types(self, project_id: str | None = None) -> list[sa.Row]:
        with self.db.read() as tx:
            where = [] if project_id is None else [default_types.c.project_id == project_id]
            return list(tx.all(sa.select(default_types).where(*where)))

    def set_default_type(self, context: Context, project_id: str, name: str) -> sa.Row:
        with self.db.transaction() as tx:
            tx.lock("volume default type", project_id)
            row = self.wanted_type(tx, context, name)
            if not self.identity.project_exists(tx, project_id):
                raise BadRequest(f"Project {project_id} could not be found.")
            tx.execute(default_types.delete().where(default_types.c.project_id == project_id))
            tx.execute(default_types.insert(), {"project_id": project_id, "type_id": row.id})
            return row

    def unset_default_type(self, project_id: str) -> None:
        with self.db.transaction() as tx:
            if not tx.execute(default_types.delete().where(default_types.c.project_id == project_id)).rowcount:
                raise NotFound(f"Default type for project {project_id} not found.")


def unfit(specs: Mapping[str, str], backend: str = BACKEND) -> str | None:
    """What a backend lacks of these extra specs, in words; None where it has it all."""
    has = {**CAPABILITIES, "volume_backend_name": backend}
    for name, wanted in specs.items():
        if name.startswith(UNHELD):
            continue
        scope, _, inner = name.rpartition(":")
        if scope not in ("", "capabilities"):
            continue  # for a driver of another kind
        if not _fits(has.get(inner), wanted):
            return f"the backend {backend} has {inner} {has.get(inner)!r}, and the volume type wants {wanted!r}"
    return None


def _fits(has: str | None, wanted: str) -> bool:
    if has is None:
        return False
    for operator in ("<is>", "<in>", "s==", "="):
        if wanted.startswith(operator):
            value = wanted.removeprefix(operator).strip()
            return value in has if operator == "<in>" else value.lower() == has.lower()
    return wanted == has


def multiattach(specs: Mapping[str, str]) -> bool:
    return specs.get("multiattach", "").strip().lower() == "<is> true"
