"""Shelving servers, taking them off their hosts, and bringing them back, on whichever host has room then."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pilvi.compute import store
from pilvi.compute.creation import Creation, root_gib, source_of
from pilvi.compute.devices import root_volume
from pilvi.compute.flavors import extra_gib
from pilvi.compute.orders import Change
from pilvi.compute.snapshots import IMAGED, Snapshots
from pilvi.compute.states import SHELVED, SHELVED_OFFLOADED
from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.placement.service import NoValidHost
from pilvi.policy import Context

SHELVE = Change("shelve", "server.shelve", "shelving", IMAGED)
OFFLOAD = Change("shelveOffload", "server.shelve_offload", "shelving_offloading", (SHELVED,))
UNSHELVE = Change("unshelve", "server.unshelve", "unshelving", (SHELVED, SHELVED_OFFLOADED))


class UnshelveWanted(msgspec.Struct):
    """Where a server is to come back. Zone: None unpins it; unset, it goes where it was pinned to before."""

    zone: str | UnsetType | None = UNSET
    host: str | None = None


class Shelving(Creation, Snapshots):
    def shelve(self, context: Context, server_id: str) -> None:
        """Raises Conflict where the server is locked or in no state for it."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, SHELVE)
            if root_volume(row) is not None:  # its volume keeps what it has: nothing holds it on its host
                store.update_server(tx, row.id, task_state=OFFLOAD.task_state)
                self.engine.begin(tx, "server.shelve_away", row.id, context=context, memory={
                    "generation": generation, "host": row.host, "was": row.vm_state, "image_id": None})
                return
            image_id = self.new_image(tx, context, row, f"{row.name[:247]}-shelved", {"image_type": "snapshot"})
            self.engine.begin(tx, SHELVE.kind, row.id, context=context, memory={
                "generation": generation, "host": row.host, "was": row.vm_state, "image_id": image_id})

    def shelve_offload(self, context: Context, server_id: str) -> None:
        """Raises Conflict where the server is locked or not shelved."""
        self.order(context, server_id, OFFLOAD)

    def offload(self, tx: Tx, row: sa.Row) -> bool:
        """By itself, of a shelved server; False where that is none by now."""
        generation = store.transition(tx, row.id, OFFLOAD.vm_states, OFFLOAD.task_states,
                                      task_state=OFFLOAD.task_state)
        if generation is not None:
            self.engine.begin(tx, OFFLOAD.kind, row.id, memory={"generation": generation, "host": row.host})
        return generation is not None

    def unshelve(self, context: Context, server_id: str, wanted: UnshelveWanted | None = None) -> None:
        """Raises BadRequest for a zone or host that there is not; Conflict where the server is locked or in no state
        for it, no host has room, or its image is gone."""
        wanted = wanted or UnshelveWanted()
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, UNSHELVE, hosted=False)
            memory: dict[str, Any] = {"generation": generation, "host": row.host, "was": row.vm_state,
                                      "offloaded": row.vm_state == SHELVED_OFFLOADED, "shelved": row.shelved["image"]}
            if memory["offloaded"]:
                memory |= self._place_again(tx, context, row, wanted)
            elif wanted != UnshelveWanted():
                raise Conflict(f"Unshelving instance {row.id} to a zone or host is not allowed while it is in vm_state "
                               f"{row.vm_state}: its guest is still on its host. Offload it first.")
            self.engine.begin(tx, UNSHELVE.kind, row.id, context=context, memory=memory)

    def _place_again(self, tx: Tx, context: Context, row: sa.Row, wanted: UnshelveWanted) -> dict[str, Any]:
        """Claims a host, and says what the operation needs to know of it."""
        try:
            image = self.image.for_boot(tx, context, row.shelved["image"]) if row.shelved["image"] else None
        except (NotFound, BadRequest) as fault:
            raise Conflict(f"Instance {row.id} cannot be unshelved: {fault.message}") from None
        self._pin(tx, row, wanted)
        schedule = self.schedule_again(tx, store.server(tx, row.id), row.flavor, host=wanted.host)
        disk = root_gib(row.flavor["disk"], image) + extra_gib(row.flavor)
        try:
            choices = schedule.choices()
            host = self.placement.claim(tx, row.id, vcpus=row.vcpus, memory_mib=row.ram, disk_gib=disk,
                                        hosts=list(choices), ranks=choices)
        except NoValidHost as fault:
            raise Conflict(fault.message) from None
        self.network.bind(tx, row.id, host)
        store.update_server(tx, row.id, host=host, availability_zone=schedule.placed(host))
        return {"host": host, "placement": [f"{host} was chosen among {len(choices)} hosts"],
                "image": source_of(image)}

    def _pin(self, tx: Tx, row: sa.Row, wanted: UnshelveWanted) -> None:
        hosts = {each.name: each for each in store.all_hosts(tx)}
        if wanted.zone and all(each.availability_zone != wanted.zone for each in hosts.values()):
            raise BadRequest("The requested availability zone is not available")
        if wanted.host is not None:
            if wanted.host not in hosts:
                raise BadRequest(f"Compute host {wanted.host} could not be found.")
            zone = row.pinned_availability_zone if wanted.zone is UNSET else wanted.zone
            if zone and hosts[wanted.host].availability_zone != zone:
                raise Conflict(f"Host \"{wanted.host}\" is not in the availability zone \"{zone}\".")
        if wanted.zone is not UNSET:
            store.update_server(tx, row.id, pinned_availability_zone=wanted.zone)
