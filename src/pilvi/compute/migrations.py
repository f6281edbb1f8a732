"""Servers that change their flavor or their host: resize, confirm, revert, cold migration; and the list of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.compute import store, store_migrations
from pilvi.compute.creation import Creation, flavor_at_boot
from pilvi.compute.hosts import is_up
from pilvi.compute.operations_moving import GENERATIONS
from pilvi.compute.orders import Change, Orders
from pilvi.compute.states import ACTIVE, RESIZED, STOPPED
from pilvi.compute.store_migrations import COLD, RESIZE, MigrationQuery, UnknownMarker
from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict
from pilvi.policy import Context

GROW = Change("resize", "server.resize", "resize_prep", (ACTIVE, STOPPED))
MOVE = Change("migrate", "server.resize", "resize_prep", (ACTIVE, STOPPED))
CONFIRM = Change("confirmResize", "server.confirm_resize", "resize_confirming", (RESIZED,))
REVERT = Change("revertResize", "server.revert_resize", "resize_reverting", (RESIZED,))


class Migrations(Creation, Orders):
    def resize_server(self, context: Context, server_id: str, flavor_id: str,
                      disk_config: str | None = None) -> None:
        """To another flavor, on this host or another; it waits for a word then.

        Raises BadRequest for a flavor that there is not, that it has, or whose disk is smaller; OverLimit;
        BadRequest where no host has room."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, GROW, generations=GENERATIONS)
            flavor = flavor_at_boot(self._flavor(tx, context, flavor_id))
            _check_flavors(row.flavor, flavor)
            self.growing(tx, row.project_id, cores=flavor["vcpus"] - row.vcpus, ram=flavor["ram"] - row.ram)
            targets = self.targets(tx, row)
            if not self.settings.allow_resize_to_same_host and len(targets) > 1:
                targets.pop(row.host, None)
            self._move(tx, context, row, generation, RESIZE, flavor, targets,
                       {} if disk_config is None else {"disk_config": disk_config})

    def migrate_server(self, context: Context, server_id: str, host: str | None = None) -> None:
        """To another host, switched off meanwhile. Raises BadRequest where there is none with room."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, MOVE, generations=GENERATIONS)
            targets = self.targets(tx, row, host)
            if targets.pop(row.host, None) and host is not None:
                raise BadRequest(f"No valid host was found. Server {row.id} is on host {host} already.")
            self._move(tx, context, row, generation, COLD, row.flavor, targets)

    def confirm_resize(self, context: Context, server_id: str) -> None:
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, CONFIRM)
            self._decide(tx, context, row, generation, "confirming", CONFIRM)

    def revert_resize(self, context: Context, server_id: str) -> None:
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, REVERT, generations=GENERATIONS)
            self._decide(tx, context, row, generation, "reverting", REVERT)

    def migrations(self, context: Context, query: MigrationQuery) -> Sequence[sa.Row]:
        """Newest first: an administrator's are all, others see their project's. Raises BadRequest for an unknown marker."""
        if not context.is_admin:
            query = msgspec.structs.replace(query, project_id=context.project_id or "")
        with self.db.read() as tx:
            try:
                return store_migrations.select(tx, query)
            except UnknownMarker:
                raise BadRequest(f"Marker {query.marker} could not be found.") from None

    # -- where to

    def targets(self, tx: Tx, row: sa.Row, host: str | None = None) -> dict[str, str]:
        """Hosts that the server may move to, its own included, each with its zone.

        `host`: an administrator's choice, which goes before the zone that was asked for once. Raises BadRequest
        where that is none or does not answer."""
        rows = store.all_hosts(tx)
        if host is not None:
            found = next((each for each in rows if each.name == host), None)
            if found is None:
                raise BadRequest(f"Compute host {host} could not be found.")
            if not is_up(found, tx.now):
                raise BadRequest(f"Compute service of {host} is unavailable at this time.")
            return {host: found.availability_zone}
        return {each.name: each.availability_zone for each in rows
                if not each.disabled and is_up(each, tx.now)
                and row.pinned_availability_zone in (None, each.availability_zone)}

    def claim_at(self, tx: Tx, row: sa.Row, flavor: Mapping[str, Any], hosts: Mapping[str, str],
                 disk_gib: int) -> str:
        """The host with most room, which the server holds its share of now. Raises BadRequest."""
        try:
            return self.placement.claim(tx, row.id, vcpus=flavor["vcpus"], memory_mib=flavor["ram"],
                                        disk_gib=disk_gib, hosts=list(hosts))
        except Conflict as fault:
            raise BadRequest(fault.message) from None

    # -- inside

    def _move(self, tx: Tx, context: Context, row: sa.Row, generation: int, kind: str,
              flavor: Mapping[str, Any], targets: Mapping[str, str], more: Mapping[str, Any] = {}) -> None:
        """Both hosts' shares are held from now on: the new one by the server, the old one by the migration."""
        uuid, old = self.ids.uuid(), row.flavor
        held = self.placement.allocations(tx, row.id).get("resources", {}).get("DISK_GB", 0)
        root = held - old["ephemeral"] if not flavor["disk"] else flavor["disk"]
        self.placement.hand_over(tx, row.id, uuid)
        target = self.claim_at(tx, row, flavor, targets, root + flavor["ephemeral"])
        mark, run = generation - GENERATIONS + 1, row.vm_state == ACTIVE
        store_migrations.insert(
            tx, uuid=uuid, server_id=row.id, project_id=row.project_id, user_id=context.user_id, type=kind,
            status="migrating", source_host=row.host, dest_host=target, old_flavor=old, new_flavor=flavor,
            mark=mark, ran=run)
        most = {"vcpus": max(row.vcpus, flavor["vcpus"]), "ram": max(row.ram, flavor["ram"])}
        store.update_server(tx, row.id, **most)
        before = {"flavor": old, "vcpus": row.vcpus, "ram": row.ram, "availability_zone": row.availability_zone}
        self.engine.begin(
            tx, "server.resize", row.id, context=context, action="migrate" if kind == COLD else "resize", memory={
                "generation": generation, "host": row.host, "target": target, "mark": mark, "was": row.vm_state,
                "run": run, "graceful": True, "migration": uuid, "image": image_of(row), "old": before,
                "new": {"flavor": flavor, "availability_zone": targets[target], **most, **more},
                "placement": [f"{target} was chosen among {len(targets)} hosts"]})

    def _decide(self, tx: Tx, context: Context, row: sa.Row, generation: int, status: str,
                change: Change) -> None:
        """Raises BadRequest for a server that was not resized (an administrator said so and it was not)."""
        found = store_migrations.undecided(tx, row.id)
        if found is None or found.status != "finished":
            raise BadRequest("Instance has not been resized.")
        store_migrations.update(tx, found.uuid, status=status)
        old, new = found.old_flavor, found.new_flavor
        zone = next((each.availability_zone for each in store.all_hosts(tx) if each.name == found.source_host),
                    row.availability_zone)
        self.engine.begin(tx, change.kind, row.id, context=context, memory={
            "generation": generation, "host": found.source_host, "target": row.host, "mark": found.mark,
            "run": found.ran, "migration": found.uuid, "image": image_of(row),
            "old": {"flavor": old, "vcpus": old["vcpus"], "ram": old["ram"], "availability_zone": zone},
            "new": {"vcpus": new["vcpus"], "ram": new["ram"]}})


def image_of(row: sa.Row) -> dict[str, str]:
    """What a guest was once made from: by its name only, since its disk is what counts by now."""
    return {"id": row.image_id or "", "path": "", "format": "qcow2"}


def _check_flavors(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    if new["id"] == old["id"]:
        raise BadRequest("When resizing, instances must change flavor!")
    if not new["disk"] and old["disk"]:
        raise BadRequest("Resize to zero disk flavor is not allowed.")
    if new["disk"] < old["disk"]:
        raise BadRequest(f"Flavor {new['name']} has a disk of {new['disk']} GiB, and the server's has {old['disk']} GiB: "
                         "a disk cannot be made smaller.")
