"""Suspending, rescuing, passwords and crash dumps: what users may tell a server about its guest as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from pilvi.bus.base import BusError, RemoteError
from pilvi.compute import buses, store
from pilvi.compute.creation import Creation, source_of
from pilvi.compute.devices import root_volume
from pilvi.compute.migrations import image_of
from pilvi.compute.orders import Change, Orders
from pilvi.compute.states import ACTIVE, ERROR, PAUSED, RESCUED, STOPPED, SUSPENDED
from pilvi.faults import BadRequest, Conflict, Unavailable
from pilvi.policy import Context

SUSPEND = Change("suspend", "server.suspend", "suspending", (ACTIVE,))
RESUME = Change("resume", "server.resume", "resuming", (SUSPENDED,))
RESCUE = Change("rescue", "server.rescue", "rescuing", (ACTIVE, STOPPED, ERROR))
UNRESCUE = Change("unrescue", "server.unrescue", "unrescuing", (RESCUED,))
PASSWORD = Change("changePassword", "server.change_password", "updating_password", (ACTIVE,), heeds_lock=False)
DUMP = Change("trigger_crash_dump", "server.crash_dump", None, (ACTIVE, PAUSED, RESCUED, ERROR))


class Resting(Creation, Orders):
    def suspend(self, context: Context, server_id: str) -> None:
        self.order(context, server_id, SUSPEND)

    def resume(self, context: Context, server_id: str) -> None:
        self.order(context, server_id, RESUME)

    def crash_dump(self, context: Context, server_id: str) -> None:
        self.order(context, server_id, DUMP)

    def rescue(self, context: Context, server_id: str, password: str, image_id: str | None = None, *,
               volume_too: bool = False) -> None:
        """Boots it from another image, its own unless told, with its disk beside that.

        `volume_too`: also one that boots from a volume, with an image that says which device it is to be. Raises
        BadRequest for an image that there is not or a device that is not served, Conflict where the server is
        locked or in no state for it."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, RESCUE)
            from_volume = root_volume(row) is not None
            if from_volume and not volume_too:
                raise BadRequest(f"Instance {row.id} cannot be rescued: Cannot rescue a volume-backed instance before "
                                 "microversion 2.87.")
            if not (chosen := image_id or row.image_id):
                raise BadRequest("The server was made from no image: name one to rescue it with.")
            image = self.boot_image(tx, context, chosen)
            bus = rescue_bus(image.properties)
            if from_volume and not bus:
                raise BadRequest(f"Instance {row.id} cannot be rescued: a volume-backed instance takes an image with the "
                                 "property hw_rescue_device or hw_rescue_bus.")
            old = {"admin_password": row.admin_password, "rescue": row.rescue}
            store.update_server(tx, row.id, admin_password=password,
                                rescue={"image": image.id, "password": row.admin_password})
            self.engine.begin(tx, RESCUE.kind, row.id, context=context, memory={
                "generation": generation, "host": row.host, "was": row.vm_state, "run": row.vm_state == ACTIVE,
                "image": image_of(row), "rescue": {"image": source_of(image), "bus": bus}, "old": old})

    def unrescue(self, context: Context, server_id: str) -> None:
        """Raises Conflict where the server is locked or in no state for it."""
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, UNRESCUE)
            store.update_server(tx, row.id, rescue=None, admin_password=(row.rescue or {}).get("password"))
            self.engine.begin(tx, UNRESCUE.kind, row.id, context=context, memory={
                "generation": generation, "host": row.host, "image": image_of(row)})

    def change_password(self, context: Context, server_id: str, password: str) -> None:
        """Of the guest's administrator, through its guest agent.

        Raises Conflict where it has none or is in no state for it, Unavailable where its host does not answer."""
        row = self.server(context, server_id)
        if row.vm_state == ACTIVE and not self._has_agent(row.host, row.id):
            raise Conflict(f"Failed to set admin password on {row.id} because QEMU guest agent is not enabled: it takes "
                           "an image with the property hw_qemu_guest_agent=yes, and the agent in it.")
        with self.db.transaction() as tx:
            row, generation = self.taken(tx, context, server_id, PASSWORD)
            store.update_server(tx, row.id, admin_password=password)
            self.engine.begin(tx, PASSWORD.kind, row.id, context=context,
                              memory={"generation": generation, "host": row.host})

    def _has_agent(self, host: str, server_id: str) -> bool:
        try:
            return self.bus.call(host, "has_agent", {"server_id": server_id}, bool)
        except RemoteError:
            return False
        except BusError as error:
            raise Unavailable(f"Unable to set a password: {error}") from None


def rescue_bus(properties: Mapping[str, str]) -> str:
    """"" where the image asks for no certain device. Raises BadRequest for one that is not served."""
    device, bus = properties.get("hw_rescue_device"), properties.get("hw_rescue_bus")
    if device is None and bus is None:
        return ""
    found = buses.served(device, bus)
    if found is None:
        raise BadRequest(f"The image's hw_rescue_device {device} and hw_rescue_bus {bus} are not served: {buses.words()}.")
    return found
