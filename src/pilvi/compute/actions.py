"""What users tell a server to do about its power; deleting it; its console."""

from __future__ import annotations

from pilvi.bus.base import BusError, RemoteError
from pilvi.compute import store
from pilvi.compute.orders import Change, Orders
from pilvi.compute.states import ACTIVE, ERROR, PAUSED, REBOOTING, REBOOTING_HARD, STOPPED, SUSPENDED
from pilvi.faults import Conflict, NotFound, Unavailable
from pilvi.policy import Context

STOP = Change("stop", "server.stop", "powering-off", (ACTIVE, ERROR))
START = Change("start", "server.start", "powering-on", (STOPPED,))
PAUSE = Change("pause", "server.pause", "pausing", (ACTIVE,))
UNPAUSE = Change("unpause", "server.unpause", "unpausing", (PAUSED,))
SOFT_REBOOT = Change("reboot", "server.reboot", "rebooting", (ACTIVE,), memory={"type": "SOFT"})
HARD_REBOOT = Change("reboot", "server.reboot", "rebooting_hard", (ACTIVE, STOPPED, PAUSED, SUSPENDED, ERROR),
                     (None, *REBOOTING, *REBOOTING_HARD, "pausing", "unpausing", "suspending", "resuming"), {"type": "HARD"})


class Actions(Orders):
    def stop(self, context: Context, server_id: str) -> None:
        self.order(context, server_id, STOP)

    def start(self, context: Context, server_id: str) -> None:
        self.order(context, server_id, START)

    def pause(self, context: Context, server_id: str) -> None:
        self.order(context, server_id, PAUSE)

    def unpause(self, context: Context, server_id: str) -> None:
        self.order(context, server_id, UNPAUSE)

    def reboot(self, context: Context, server_id: str, *, hard: bool = False) -> None:
        self.order(context, server_id, HARD_REBOOT if hard else SOFT_REBOOT)

    def delete_server(self, context: Context, server_id: str) -> None:
        """Whatever it does, it goes; asked again while it goes, nothing more happens.

        Raises NotFound, and Conflict where it is locked."""
        with self.db.transaction() as tx:
            row = self.owned(tx, context, server_id)
            self.check_lock(context, row)
            if store.mark_deleting(tx, server_id):
                self.engine.begin(tx, "server.delete", server_id, context=context, wins=True)

    def reset_state(self, context: Context, server_id: str, state: str) -> None:
        """An administrator's word on what a server is (active | error); the guest is left alone."""
        with self.changing(context, server_id) as (tx, row):
            aside = row.soft_deleted
            back = {"vcpus": aside["vcpus"], "ram": aside["ram"], "soft_deleted": None} if aside else {}
            store.update_server(tx, server_id, vm_state=state, task_state=None, **back)

    def console_output(self, context: Context, server_id: str, lines: int | None = None) -> str:
        """The end of what the serial console said; the last line counts, also while there is nothing on it.

        Raises Conflict while there is no host, and Unavailable while that does not answer."""
        row = self.server(context, server_id)
        if row.host is None or row.launched_at is None:
            raise Conflict(f"Instance {server_id} is not ready: its console has not said anything yet.")
        try:
            said = self.bus.call(row.host, "console_log", {"server_id": server_id}, bytes)
        except BusError as error:
            raise Unavailable(f"Unable to get console: {error}") from None
        except RemoteError as error:
            raise NotFound(f"Unable to get console: {error}") from None
        text = said.decode("utf-8", "replace")
        return text if lines is None else "\n".join(text.split("\n")[-lines:] if lines else [])
