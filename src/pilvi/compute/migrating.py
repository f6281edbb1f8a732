"""Servers that go to another host: live migration, and what becomes of it; evacuation of a host that is gone."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from pilvi.compute import store, store_migrations
from pilvi.compute.creation import source_of
from pilvi.compute.devices import root_volume
from pilvi.compute.hosts import is_up
from pilvi.compute.local_disks import of_flavor
from pilvi.compute.migrations import Migrations, image_of
from pilvi.compute.operations_migrating import GENERATIONS
from pilvi.compute.orders import Change
from pilvi.compute.states import ACTIVE, ERROR, PAUSED, STOPPED
from pilvi.compute.store_migrations import EVACUATION, LIVE, LIVE_IN_PROGRESS
from pilvi.faults import BadRequest, NotFound
from pilvi.policy import Context

LIVELY = Change("os-migrateLive", "server.live_migrate", "migrating", (ACTIVE, PAUSED))
EVACUATE = Change("evacuate", "server.evacuate", "rebuilding", (ACTIVE, STOPPED, ERROR))


class Migrating(Migrations):
    def live_migrate(self, context: Context, server_id: str, host: str | None = None, *, disks: bool | None = None,
                     forced: bool = False) -> None:
        """To another host, running. `disks`: whether they go too; None: if it has any that the host keeps.

        `forced`: to this host, whatever the scheduler says. Raises BadRequest where no host will do, and where
        local disks would be left behind."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, LIVELY, generations=GENERATIONS)
            local = root_volume(row) is None or bool(of_flavor(row.flavor, row.local_disks))
            if disks is not None and disks != local:
                raise BadRequest(f"{row.host} is on shared storage: Block migration can not be used with shared storage."
                                 if disks else
                                 f"{row.host} is not on shared storage: Shared storage live-migration requires either "
                                 "shared storage or boot-from-volume with no local disks: ask for a block migration.")
            target = self.target(tx, row, row.flavor, host=host, forced=forced)
            self.note_migration(tx, context, row, target, LIVE, "preparing")
            self.engine.begin(tx, LIVELY.kind, row.id, context=context, memory={
                "generation": generation, "host": row.host, "target": target.host, "zone": target.zone,
                "was": row.vm_state, "migration": target.migration, "image": image_of(row), "placement": [target.why]})

    def evacuate(self, context: Context, server_id: str, host: str | None = None, *, forced: bool = False,
                 stopped: bool = False, password: str | None = None) -> None:
        """Made anew from its image on another host, with its ports, while its own host is down.

        `stopped`: it is not started there. Raises BadRequest where its host is up or no host will do, NotFound for
        an unknown host."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, EVACUATE)
            if host is not None and store.host(tx, host) is None:
                raise NotFound(f"Compute host {host} not found.")
            if host == row.host:
                raise BadRequest("The target host can't be the same one.")
            source = store.host(tx, row.host)
            if source is not None and is_up(source, tx.now):
                raise BadRequest(f"Compute service of {row.host} is still in use.")
            image = None if root_volume(row) else self.boot_image(tx, context, row.image_id)
            target = self.target(tx, row, row.flavor, host=host, forced=forced)
            run = row.vm_state != STOPPED and not stopped
            if password is not None:
                store.update_server(tx, row.id, admin_password=password)
            self.note_migration(tx, context, row, target, EVACUATION, "accepted", ran=run)
            self.engine.begin(tx, EVACUATE.kind, row.id, context=context, memory={
                "generation": generation, "host": target.host, "zone": target.zone, "was": row.vm_state, "run": run,
                "migration": target.migration, "placement": [target.why],
                "image": source_of(image)})

    # -- live migrations under way

    def live_migrations(self, context: Context, server_id: str) -> Sequence[sa.Row]:
        """Raises NotFound."""
        with self.db.read() as tx:
            self.owned(tx, context, server_id)
            return store_migrations.of_server(tx, server_id, LIVE_IN_PROGRESS, [LIVE])

    def live_migration(self, context: Context, server_id: str, number: int) -> sa.Row:
        """Raises NotFound, also for one that has ended or is of another kind."""
        with self.db.read() as tx:
            self.owned(tx, context, server_id)
            return self._under_way(store_migrations.numbered(tx, server_id, number), server_id, number)

    def wish(self, context: Context, server_id: str, number: int, wish: str, statuses: Sequence[str]) -> None:
        """Of a live migration: to "abort" it, or to "force" it to its end.

        Raises NotFound, and BadRequest where it is not in one of these statuses."""
        with self.db.transaction() as tx:
            self.check_lock(context, self.owned(tx, context, server_id))
            found = store_migrations.numbered(tx, server_id, number)
            if found is None:
                raise NotFound(f"Migration {number} for server {server_id} not found.")
            if found.type != LIVE or found.status not in statuses:
                raise BadRequest(f"Migration {number} state of instance {server_id} is {found.status}. Cannot {wish} "
                                 "while the migration is in this state.")
            store_migrations.update(tx, found.uuid, wish=wish)
            tx.after_commit(lambda: self.engine.wake(server_id))

    def _under_way(self, row: sa.Row | None, server_id: str, number: int) -> sa.Row:
        if row is None or row.type != LIVE or row.status not in LIVE_IN_PROGRESS:
            raise NotFound(f"In-progress live migration {number} is not found for server {server_id}.")
        return row
