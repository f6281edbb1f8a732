"""The volumes of a server that is there: attached and detached; they are Volume's, and a server's row lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.compute import local_disks, store
from pilvi.compute.buses import free_name
from pilvi.compute.devices import root_device
from pilvi.compute.interfaces import Interfaces
from pilvi.compute.states import ACTIVE, PAUSED, RESIZED, SHELVED, SHELVED_OFFLOADED, STOPPED
from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound
from pilvi.node.messages import VolumeSpec
from pilvi.policy import Context

# Not a suspended server: its memory at rest knows which disks it has.
STATES = (ACTIVE, PAUSED, STOPPED, RESIZED, SHELVED, SHELVED_OFFLOADED)


class ServerVolumes(Interfaces):
    """An entry of a row's list: "id" (of the attachment), "volume_id", "device", "tag", "delete_on_termination"."""

    def volumes_of(self, context: Context, server_id: str) -> list[dict[str, Any]]:
        return self.server(context, server_id).volumes or []

    def volume_of(self, context: Context, server_id: str, volume_id: str) -> dict[str, Any]:
        return entry_of(self.server(context, server_id), volume_id)

    def attach_volume(self, context: Context, server_id: str, volume_id: str, *, device: str | None, tag: str | None,
                      delete_on_termination: bool, multiattach: bool = True) -> dict[str, Any]:
        """The guest has it in a moment. Raises NotFound, BadRequest for a volume or a device that is not free, or a
        multiattach volume where that is not wanted, Conflict where the server is busy."""
        with self._ready(context, server_id, "attach_volume", STATES) as (tx, row):
            tx.lock("server volumes", server_id)
            held = row.volumes or []
            entry = {"volume_id": volume_id, "device": self._device(row, device), "tag": tag,
                     "delete_on_termination": delete_on_termination}
            if self.volume.volume(tx, context, volume_id).multiattach:
                self._check_multiattach(row, volume_id, multiattach)
            made = self.volume.reserve(tx, context, volume_id, server_id, mountpoint=entry["device"])
            self.volume.connect(tx, made.id, {"host": row.host, "mountpoint": entry["device"]})
            entry |= {"id": made.id, "readonly": made.mode == "ro"}
            store.update_server(tx, server_id, volumes=[*held, entry])
            self._begin_volume(tx, context, row, "server.attach_volume", entry)
            return entry

    def _check_multiattach(self, row: sa.Row, volume_id: str, wanted: bool) -> None:
        if not wanted:
            raise BadRequest(f"Volume {volume_id} has 'multiattach' set, which is not supported for this instance: it "
                             "takes microversion 2.60.")
        if row.vm_state == SHELVED_OFFLOADED:
            raise BadRequest(f"Attaching multiattach volumes is not supported for shelved-offloaded instances: {row.id}.")

    def _device(self, row: sa.Row, wanted: str | None) -> str:
        taken = {root_device(row), *self.local_devices(row).values(), *(each["device"] for each in row.volumes or [])}
        if wanted in taken:
            raise BadRequest(f"The supplied device path ({wanted}) is in use.")
        return wanted or free_name("virtio", taken)

    def detach_volume(self, context: Context, server_id: str, volume_id: str) -> None:
        """Raises NotFound, Forbidden for what the server boots from, Conflict where it is busy."""
        with self._ready(context, server_id, "detach_volume", STATES) as (tx, row):
            entry = entry_of(row, volume_id)
            if entry.get("boot_index") == 0:
                raise Forbidden("Cannot detach a root device volume")
            self._begin_detach(tx, context, row, entry)

    def _begin_detach(self, tx: Tx, context: Context, row: sa.Row, entry: dict[str, Any]) -> None:
        self.volume.start_detaching(tx, entry["id"])
        self._begin_volume(tx, context, row, "server.detach_volume", entry)

    def update_volume(self, context: Context, server_id: str, volume_id: str, delete_on_termination: bool) -> None:
        with self.changing(context, server_id) as (tx, row):
            tx.lock("server volumes", server_id)
            entry = entry_of(row, volume_id)
            changed = {**entry, "delete_on_termination": delete_on_termination}
            store.update_server(tx, server_id, volumes=[changed if each is entry else each for each in row.volumes])

    def swap_volume(self, context: Context, server_id: str, volume_id: str, new_volume_id: str) -> None:
        """Volume moves the content of a volume by itself, also under a running server: nobody else does.

        Raises Conflict, as Nova does for a volume that is not being migrated; NotFound."""
        entry_of(self.server(context, server_id), volume_id)
        raise Conflict(f"Volume {volume_id} is not migrating: it is not exchanged for {new_volume_id}. Migrate or retype "
                       "the volume, or detach it and attach the other.")

    def volume_extended(self, tx: Tx, context: Any, server_id: str, volume_id: str | None) -> None:
        """The guest is to see the size that the volume has now; a server without this volume has nothing to see."""
        row = store.server(tx, server_id)
        if row is None or row.host is None:
            return
        for entry in row.volumes or []:
            if entry["volume_id"] == volume_id:
                self._begin_volume(tx, context, row, "server.extend_volume", entry)

    def has_attachment(self, tx: Tx, server_id: str, attachment_id: str) -> bool:
        """What Volume asks before somebody else ends an attachment."""
        row = store.server(tx, server_id)
        return row is not None and any(each["id"] == attachment_id for each in row.volumes or [])

    def host_of(self, tx: Tx, server_id: str) -> str | None:
        """What Volume asks before it tells the guests that have a volume open."""
        row = store.server(tx, server_id)
        return row and row.host

    def local_devices(self, row: sa.Row) -> dict[str, str]:
        """What Metadata asks: the disk of its host's -> device."""
        return local_disks.devices(row.flavor, root_device(row), row.local_disks)

    # -- within others' transactions

    def volume_specs(self, tx: Tx, entries: Sequence[dict[str, Any]]) -> tuple[VolumeSpec, ...]:
        """The volumes of a server's row, as the disks of its guest that they are now."""
        wired = self.volume.wiring(tx, [entry["volume_id"] for entry in entries])
        return tuple(VolumeSpec(entry["volume_id"], entry.get("readonly", False), entry.get("bus", "virtio"),
                                entry.get("boot_index") == 0, **wired.get(entry["volume_id"], {})) for entry in entries)

    def drop_volume(self, tx: Tx, server_id: str, attachment_id: str) -> None:
        """The server has it no more."""
        tx.lock("server volumes", server_id)
        row = store.server(tx, server_id)
        if row is not None:
            left = [each for each in row.volumes or [] if each["id"] != attachment_id]
            store.update_server(tx, server_id, volumes=left)
        self.volume.let_go(tx, attachment_id)

    def keep_volumes(self, tx: Tx, server_id: str) -> None:
        """Its guest has started, and has them: those that were made for it are like others now."""
        row = store.server(tx, server_id)
        if row is not None and row.volumes:
            for entry in row.volumes:
                self.volume.complete(tx, entry["id"])
            store.update_server(tx, server_id, volumes=[{**each, "made": False} for each in row.volumes])

    def release_volumes(self, tx: Tx, server_id: str, *, unused: bool = False) -> None:
        """What a server that is gone had; those that were to go with it do.

        `unused`: its guest never ran, so what was made for it goes too."""
        row = store.server(tx, server_id)
        for entry in row.volumes or [] if row is not None else []:
            volume_id = self.volume.let_go(tx, entry["id"])
            if volume_id is not None and unused and entry.get("made"):
                self.volume.discard(tx, volume_id)
            elif volume_id is not None and entry["delete_on_termination"] and not unused:
                self.volume.delete_if_free(tx, volume_id)
        if row is not None and row.volumes:
            store.update_server(tx, server_id, volumes=[])

    def _begin_volume(self, tx: Tx, context: Any, row: sa.Row, kind: str, entry: dict[str, Any]) -> None:
        self.engine.begin(tx, kind, row.id, context=context, memory={
            "generation": row.generation, "host": row.host, "attachment": entry["id"], "volume": entry["volume_id"],
            "readonly": entry.get("readonly", False), "bus": entry.get("bus", "virtio")})


def entry_of(row: sa.Row, volume_id: str) -> dict[str, Any]:
    """Raises NotFound."""
    for entry in row.volumes or []:
        if entry["volume_id"] == volume_id:
            return entry
    raise NotFound(f"Instance {row.id} is not attached to volume {volume_id}.")
