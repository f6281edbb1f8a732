"""Servers that change their flavor or their host: resize, confirm, revert, cold migration; and the list of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pilvi.compute import store, store_migrations
from pilvi.compute.creation import Creation, flavor_at_boot
from pilvi.compute.devices import root_volume
from pilvi.compute.flavors import extra_gib
from pilvi.compute.operations_moving import GENERATIONS
from pilvi.compute.orders import Change, Orders
from pilvi.compute.states import ACTIVE, RESIZED, STOPPED
from pilvi.compute.store_migrations import COLD, RESIZE, MigrationQuery, UnknownMarker
from pilvi.db import Tx
from pilvi.faults import BadRequest
from pilvi.placement.service import NoValidHost
from pilvi.policy import Context

GROW = Change("resize", "server.resize", "resize_prep", (ACTIVE, STOPPED))
MOVE = Change("migrate", "server.resize", "resize_prep", (ACTIVE, STOPPED))
CONFIRM = Change("confirmResize", "server.confirm_resize", "resize_confirming", (RESIZED,))
REVERT = Change("revertResize", "server.revert_resize", "resize_reverting", (RESIZED,))


class Target(NamedTuple):
    """Where a server is to go; its share of that host is its own by now, that of the old one the migration's."""

    migration: str
    host: str
    zone: str
    why: str


class Migrations(Creation, Orders):
    def resize_server(self, context: Context, server_id: str, flavor_id: str,
                      disk_config: str | None = None) -> None:
        """To another flavor, on this host or another; it waits for a word then.

        Raises BadRequest for a flavor that there is not, that it has, or whose disk is smaller, and where no host
        has room; OverLimit."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, GROW, generations=GENERATIONS)
            flavor = flavor_at_boot(self._flavor(tx, context, flavor_id))
            _check_flavors(row.flavor, flavor, own_disk=root_volume(row) is None)
            self.growing(tx, row.project_id, cores=flavor["vcpus"] - row.vcpus, ram=flavor["ram"] - row.ram)
            elsewhere = not self.settings.allow_resize_to_same_host and len(store.all_hosts(tx)) > 1
            self._move(tx, context, row, generation, RESIZE, flavor,
                       self.target(tx, row, flavor, elsewhere=elsewhere),
                       {} if disk_config is None else {"disk_config": disk_config})

    def migrate_server(self, context: Context, server_id: str, host: str | None = None) -> None:
        """To another host, switched off meanwhile. Raises BadRequest where there is none with room."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, MOVE, generations=GENERATIONS)
            self._move(tx, context, row, generation, COLD, row.flavor, self.target(tx, row, row.flavor, host=host))

    def confirm_resize(self, context: Context, server_id: str) -> None:
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, CONFIRM)
            self.decide(tx, context, row, generation, CONFIRM)

    def revert_resize(self, context: Context, server_id: str) -> None:
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, REVERT, generations=GENERATIONS)
            self.decide(tx, context, row, generation, REVERT)

    def migrations(self, context: Context, query: MigrationQuery) -> Sequence[sa.Row]:
        """Newest first: all for an administrator, for others their project's. Raises BadRequest for an unknown
        marker."""
        if not context.is_admin:
            query = msgspec.structs.replace(query, project_id=context.project_id or "")
        with self.db.read() as tx:
            try:
                return store_migrations.select(tx, query)
            except UnknownMarker:
                raise BadRequest(f"Marker {query.marker} could not be found.") from None

    # -- for what moves servers

    def target(self, tx: Tx, row: sa.Row, flavor: Mapping[str, Any], *, host: str | None = None,
               forced: bool = False, elsewhere: bool = True) -> Target:
        """A host with room for the flavor. Raises BadRequest where there is none."""
        if host is not None and store.host(tx, host) is None:
            raise BadRequest(f"Compute host {host} could not be found.")
        uuid = self.ids.uuid()
        held = self.placement.allocations(tx, row.id).get("resources", {}).get("DISK_GB", 0)
        root = 0 if root_volume(row) else flavor["disk"] or held - extra_gib(row.flavor)
        self.placement.hand_over(tx, row.id, uuid)
        schedule = self.schedule_again(tx, row, flavor, host=host, forced=forced, elsewhere=elsewhere)
        try:
            choices = schedule.choices()
            found = self.placement.claim(
                tx, row.id, vcpus=flavor["vcpus"], memory_mib=flavor["ram"], disk_gib=root + extra_gib(flavor),
                hosts=list(choices), ranks=choices, project_id=row.project_id, user_id=row.user_id)
        except NoValidHost as fault:
            raise BadRequest(fault.message) from None
        return Target(uuid, found, schedule.placed(found), f"{found} was chosen among {len(choices)} hosts")

    def note_migration(self, tx: Tx, context: Context, row: sa.Row, target: Target, kind: str, status: str,
                       **values: Any) -> None:
        store_migrations.insert(
            tx, uuid=target.migration, server_id=row.id, project_id=row.project_id, user_id=context.user_id,
            type=kind, status=status, source_host=row.host, dest_host=target.host,
            **{"old_flavor": row.flavor, "new_flavor": row.flavor, **values})

    def decide(self, tx: Tx, context: Context | None, row: sa.Row, generation: int, change: Change) -> None:
        """Raises BadRequest for a server that was not resized (an administrator said so, and it was not)."""
        found = store_migrations.undecided(tx, row.id)
        if found is None or found.status != "finished":
            raise BadRequest("Instance has not been resized.")
        store_migrations.update(tx, found.uuid, status="reverting" if change is REVERT else "confirming")
        old, new, source = found.old_flavor, found.new_flavor, store.host(tx, found.source_host)
        self.engine.begin(tx, change.kind, row.id, context=context, memory={
            "generation": generation, "host": found.source_host, "target": row.host, "mark": found.mark,
            "run": found.ran, "migration": found.uuid, "image": image_of(row),
            "old": {"flavor": old, "vcpus": old["vcpus"], "ram": old["ram"],
                    "availability_zone": source.availability_zone if source else row.availability_zone},
            "new": {"vcpus": new["vcpus"], "ram": new["ram"]}})

    # -- inside

    def _move(self, tx: Tx, context: Context, row: sa.Row, generation: int, kind: str, flavor: Mapping[str, Any],
              target: Target, more: Mapping[str, Any] = {}) -> None:
        mark, run = generation - GENERATIONS + 1, row.vm_state == ACTIVE
        self.note_migration(tx, context, row, target, kind, "migrating", new_flavor=flavor, mark=mark, ran=run)
        most = {"vcpus": max(row.vcpus, flavor["vcpus"]), "ram": max(row.ram, flavor["ram"])}  # what it counts for
        store.update_server(tx, row.id, **most)
        before = {name: getattr(row, name) for name in ("flavor", "vcpus", "ram", "availability_zone")}
        self.engine.begin(
            tx, GROW.kind, row.id, context=context, action="migrate" if kind == COLD else "resize", memory={
                "generation": generation, "host": row.host, "target": target.host, "mark": mark,
                "was": row.vm_state, "run": run, "graceful": True, "migration": target.migration,
                "image": image_of(row), "old": before, "placement": [target.why],
                "new": {"flavor": flavor, "availability_zone": target.zone, **most, **more}})


def image_of(row: sa.Row) -> dict[str, str] | None:
    """What a guest's own disk was once made from: by its name only, since the disk is what counts by now."""
    return None if root_volume(row) else {"id": row.image_id or "", "path": "", "format": "qcow2"}


def _check_flavors(old: Mapping[str, Any], new: Mapping[str, Any], *, own_disk: bool) -> None:
    if new["id"] == old["id"]:
        raise BadRequest("When resizing, instances must change flavor!")
    if not own_disk:
        return
    if not new["disk"] and old["disk"]:
        raise BadRequest("Resize to zero disk flavor is not allowed.")
    if new["disk"] < old["disk"]:
        raise BadRequest(f"Flavor {new['name']} has a disk of {new['disk']} GiB, and the server's has {old['disk']} "
                         "GiB: a disk cannot be made smaller.")
    if new["ephemeral"] < old["ephemeral"]:
        raise BadRequest(f"Flavor {new['name']} has {new['ephemeral']} GiB of ephemeral disk, and the server's has "
                         f"{old['ephemeral']} GiB: a disk cannot be made smaller.")
