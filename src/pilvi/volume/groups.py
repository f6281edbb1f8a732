"""Groups of volumes, their types, and snapshots of whole groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.policy import Context
from pilvi.volume import store
from pilvi.volume.base import ZONE
from pilvi.volume.listing import Listing, page
from pilvi.volume.managing import Managing
from pilvi.volume.tables import group_snapshots, group_types, groups, snapshots, volumes
from pilvi.volume.volumes import READY, VolumeCreate

DEFAULT_CGSNAPSHOT = "default_cgsnapshot_type"


class Groups(Managing):
    # -- types

    def list_group_types(self, context: Context, listing: Listing) -> tuple[list[sa.Row], int]:
        with self.db.read() as tx:
            return page(tx, group_types, listing, [sa.true() if context.is_admin else group_types.c.is_public])

    def show_group_type(self, context: Context, type_id: str) -> sa.Row:
        with self.db.read() as tx:
            return self._group_type(tx, context, type_id)

    def default_group_type(self) -> sa.Row:
        with self.db.read() as tx:
            row = store.find(tx, group_types, name=DEFAULT_CGSNAPSHOT)
        if row is None:
            raise NotFound("Default group type can not be found.")
        return row

    def _group_type(self, tx: Tx, context: Context, name: str) -> sa.Row:
        """By id or name."""
        row = tx.one(sa.select(group_types).where(sa.or_(group_types.c.id == name, group_types.c.name == name)))
        if row is None or not (row.is_public or context.is_admin):
            raise NotFound(f"Group type {name} could not be found.")
        return row

    def bootstrap_groups(self) -> None:
        with self.db.transaction() as tx:
            tx.lock("volume", "bootstrap")
            if store.find(tx, group_types, name=DEFAULT_CGSNAPSHOT) is None:
                self._insert_group_type(tx, DEFAULT_CGSNAPSHOT, "Default group type for migrating cgsnapshot", True,
                                        {"consistent_group_snapshot_enabled": "<is> True"})

    def create_group_type(self, name: str, description: str | None, is_public: bool, specs: Mapping[str, str]) -> sa.Row:
        with self.db.transaction() as tx:
            tx.lock("volume group types")
            self._free_name(tx, name)
            return self._insert_group_type(tx, name, description, is_public, specs)

    def _insert_group_type(self, tx: Tx, name: str, description: str | None, is_public: bool,
                           specs: Mapping[str, str]) -> sa.Row:
        return store.insert(tx, group_types, {"id": self.ids.uuid(), "seq": tx.now, "name": name, "description": description,
                                              "is_public": is_public, "group_specs": dict(specs), "created_at": tx.now})

    def _free_name(self, tx: Tx, name: str) -> None:
        if store.find(tx, group_types, name=name) is not None:
            raise Conflict(f"Group Type {name} already exists.")

    def update_group_type(self, context: Context, type_id: str, **values: Any) -> sa.Row:
        with self.db.transaction() as tx:
            tx.lock("volume group types")
            row = self._group_type(tx, context, type_id)
            if values.get("name", row.name) != row.name:
                self._free_name(tx, values["name"])
            return store.update(tx, group_types, row.id, **values)

    def delete_group_type(self, context: Context, type_id: str) -> None:
        with self.db.transaction() as tx:
            row = self._group_type(tx, context, type_id)
            if store.count(tx, groups, groups.c.group_type_id == row.id):
                raise BadRequest(f"Group type {type_id} deletion is not allowed with groups present with the type.")
            store.delete(tx, group_types, row.id)

    def change_group_specs(self, context: Context, type_id: str, specs: Mapping[str, str | None]) -> dict[str, str]:
        with self.db.transaction() as tx:
            tx.lock("volume group types")
            row = self._group_type(tx, context, type_id)
            known = dict(row.group_specs)
            for name, value in specs.items():
                if value is not None:
                    known[name] = value
                elif known.pop(name, None) is None:
                    raise NotFound(f"Group Type {type_id} has no specs with key {name}.")
            store.update(tx, group_types, row.id, group_specs=known)
            return known

    # -- groups

    def list_groups(self, context: Context, listing: Listing) -> tuple[list[tuple[sa.Row, list[str]]], int]:
        """(a page, each with its volumes' ids; how many there are)."""
        with self.db.read() as tx:
            rows, count = page(tx, groups, listing, [store.owned(context, groups, listing.all_projects)])
            return self._with_volumes(tx, rows), count

    def show_group(self, context: Context, group_id: str) -> tuple[sa.Row, list[str]]:
        with self.db.read() as tx:
            return self._with_volumes(tx, [self._group(tx, context, group_id)])[0]

    def _with_volumes(self, tx: Tx, rows: Sequence[sa.Row]) -> list[tuple[sa.Row, list[str]]]:
        held: dict[str, list[str]] = {row.id: [] for row in rows}
        for volume in store.listing(tx, volumes, volumes.c.group_id.in_(held)) if held else ():
            held[volume.group_id].append(volume.id)
        return [(row, held[row.id]) for row in rows]

    def _group(self, tx: Tx, context: Context, group_id: str) -> sa.Row:
        return self.get(tx, context, groups, group_id, "Group")

    def create_group(self, context: Context, *, name: str | None, description: str | None, group_type: str,
                     volume_types: Sequence[str], availability_zone: str | None) -> sa.Row:
        """Raises NotFound, BadRequest, TooLarge."""
        with self.db.transaction() as tx:
            if availability_zone not in (None, ZONE):
                raise BadRequest(f"Availability zone '{availability_zone}' is invalid.")
            kinds = [self.wanted_type(tx, context, each).id for each in volume_types]
            return self._insert_group(tx, context, name, description, self._group_type(tx, context, group_type).id, kinds)

    def _insert_group(self, tx: Tx, context: Context, name: str | None, description: str | None, type_id: str,
                      kinds: Sequence[str], **values: Any) -> sa.Row:
        self.grow(tx, context.project_id or "", None, groups=1)
        return store.insert(tx, groups, self.fresh(
            tx, context, name=name, description=description, status="available", group_type_id=type_id,
            volume_types=list(kinds), availability_zone=ZONE,
            **{"group_snapshot_id": None, "source_group_id": None, **values}))

    def create_group_from(self, context: Context, *, name: str | None, description: str | None,
                          group_snapshot_id: str | None, source_group_id: str | None) -> sa.Row:
        """With a copy of each volume. Raises BadRequest unless there is one source, which is available."""
        if bool(group_snapshot_id) == bool(source_group_id):
            raise BadRequest("Either group_snapshot_id or source_group_id must be provided, and not both.")
        with self.db.transaction() as tx:
            if group_snapshot_id:
                source = self.get(tx, context, group_snapshots, group_snapshot_id, "GroupSnapshot")
                origin = self._group(tx, context, source.group_id)
                held = store.listing(tx, snapshots, snapshots.c.group_snapshot_id == source.id)
                wanted = [VolumeCreate(snapshot_id=each.id) for each in held]
            else:
                source = origin = self._group(tx, context, source_group_id or "")
                held = store.listing(tx, volumes, volumes.c.group_id == origin.id)
                wanted = [VolumeCreate(source_volid=each.id) for each in held]
            if source.status != "available" or not wanted:
                raise BadRequest("Invalid group: its source must be available and have volumes.")
            row = self._insert_group(tx, context, name, description, origin.group_type_id, origin.volume_types,
                                     group_snapshot_id=group_snapshot_id, source_group_id=source_group_id)
            for each in wanted:
                each.group_id = row.id
                self.new_volume(tx, context, each)
            return row

    def update_group(self, context: Context, group_id: str, add: Sequence[str], remove: Sequence[str],
                     **values: Any) -> None:
        with self.db.transaction() as tx:
            row = self._group(tx, context, group_id)
            if row.status != "available":
                raise BadRequest(f"Invalid group: Group {group_id} status must be available, but current status is: "
                                 f"{row.status}.")
            held = {each.id for each in store.listing(tx, volumes, volumes.c.group_id == group_id)}
            if missing := [each for each in remove if each not in held]:
                raise BadRequest(f"Cannot remove volume {missing[0]} from group {group_id}: it is not in it.")
            for volume_id in add:
                volume = self.volume(tx, context, volume_id)
                if volume.group_id is not None or volume.status not in READY:
                    raise BadRequest(f"Cannot add volume {volume_id} to group {group_id}: it is {volume.status}, in group "
                                     f"{volume.group_id}.")
                self.check_group(tx, context, group_id, volume.type_id)
                store.update(tx, volumes, volume_id, group_id=group_id)
            for volume_id in remove:
                store.update(tx, volumes, volume_id, group_id=None)
            store.update(tx, groups, group_id, **(values or {"name": row.name}))

    def delete_group(self, context: Context, group_id: str, *, with_volumes: bool) -> None:
        """Raises BadRequest where it has volumes that are to stay, and snapshots."""
        with self.db.transaction() as tx:
            row = self._group(tx, context, group_id)
            held = store.listing(tx, volumes, volumes.c.group_id == group_id)
            if held and not with_volumes:
                raise BadRequest(f"Invalid group: Group {group_id} still contains volumes. The delete-volumes flag is "
                                 "required to delete it.")
            if store.count(tx, group_snapshots, group_snapshots.c.group_id == group_id):
                raise BadRequest(f"Invalid group: Group {row.id} has group snapshots.")
            for volume in held:
                store.update(tx, volumes, volume.id, group_id=None)
                self.check_deletable(tx, store.get(tx, volumes, volume.id))
                if store.count(tx, snapshots, snapshots.c.volume_id == volume.id):
                    raise BadRequest(f"Invalid group: volume {volume.id} still has dependent snapshots.")
                self.begin_delete(tx, context, volume)
            store.delete(tx, groups, group_id)

    def reset_group(self, context: Context, table: sa.Table, key: str, status: str) -> None:
        with self.db.transaction() as tx:
            self.get(tx, context, table, key, "Group")
            store.update(tx, table, key, status=status)

    # -- snapshots of groups

    def list_group_snapshots(self, context: Context, listing: Listing) -> tuple[list[sa.Row], int]:
        with self.db.read() as tx:
            return page(tx, group_snapshots, listing, [store.owned(context, group_snapshots, listing.all_projects)])

    def show_group_snapshot(self, context: Context, key: str) -> sa.Row:
        with self.db.read() as tx:
            return self.get(tx, context, group_snapshots, key, "GroupSnapshot")

    def create_group_snapshot(self, context: Context, group_id: str, name: str | None, description: str | None) -> sa.Row:
        """A snapshot of each of its volumes. Raises BadRequest for a group without, or with one that is busy."""
        with self.db.transaction() as tx:
            group = self._group(tx, context, group_id)
            held = store.listing(tx, volumes, volumes.c.group_id == group_id)
            if not held or any(each.status not in READY for each in held):
                raise BadRequest(f"Invalid group: group {group_id} must have volumes, all of them available or in use.")
            row = store.insert(tx, group_snapshots, self.fresh(
                tx, context, group_id=group_id, group_type_id=group.group_type_id, name=name, description=description,
                status="creating"))
            for each in held:
                self.new_snapshot(tx, context, each, name=name, description=description, metadata={},
                                  group_snapshot_id=row.id)
            return row

    def delete_group_snapshot(self, context: Context, key: str) -> None:
        with self.db.transaction() as tx:
            row = self.get(tx, context, group_snapshots, key, "GroupSnapshot")
            if row.status not in ("available", "error"):
                raise BadRequest(f"Invalid group snapshot: its status must be available or error; it is {row.status}.")
            store.update(tx, group_snapshots, key, status="deleting")
            held = store.listing(tx, snapshots, snapshots.c.group_snapshot_id == key)
            for each in held:
                self.begin_snapshot_delete(tx, context, each)
            self.group_snapshot_emptied(tx, key)

    # -- what operations on the snapshots tell

    def group_snapshot_of(self, tx: Tx, snapshot_id: str) -> str | None:
        row = store.get(tx, snapshots, snapshot_id)
        return row and row.group_snapshot_id

    def group_snapshot_changed(self, tx: Tx, snapshot_id: str) -> None:
        if (key := self.group_snapshot_of(tx, snapshot_id)) is not None:
            tx.lock("volume group snapshot", key)
            states = {each.status for each in store.listing(tx, snapshots, snapshots.c.group_snapshot_id == key)}
            if "creating" not in states:
                store.switch(tx, group_snapshots, key, ("creating",), "error" if "error" in states else "available")

    def group_snapshot_emptied(self, tx: Tx, key: str | None) -> None:
        if key is not None:
            tx.lock("volume group snapshot", key)
            row = store.get(tx, group_snapshots, key)
            if row is not None and row.status == "deleting" and not store.count(
                    tx, snapshots, snapshots.c.group_snapshot_id == key):
                store.delete(tx, group_snapshots, key)
