"""The password that a guest made up and gave to the metadata service, encrypted for the owner of its key pair."""

from __future__ import annotations

from pilvi.compute import store
from pilvi.compute.servers import Servers
from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict
from pilvi.policy import Context

MAX_BYTES = 1020


class GuestPasswords(Servers):
    def guest_password(self, context: Context, server_id: str) -> str:
        """Empty while the guest has said none. Raises NotFound."""
        return self.server(context, server_id).guest_password or ""

    def clear_guest_password(self, context: Context, server_id: str) -> None:
        """What is kept of it goes; the guest's stays as it is, and it may say another. Raises NotFound."""
        with self.changing(context, server_id) as (tx, _):
            store.update_server(tx, server_id, guest_password=None)

    def note_guest_password(self, tx: Tx, server_id: str, password: bytes) -> None:
        """Once: raises Conflict where one was said before, BadRequest for one that is too long or no text."""
        if len(password) > MAX_BYTES:
            raise BadRequest(f"The password is too long: at most {MAX_BYTES} bytes are kept.")
        try:
            text = password.decode()
        except UnicodeDecodeError:
            raise BadRequest("The password is no text: encrypt it, and encode that in base64.") from None
        if not store.note_guest_password(tx, server_id, text):
            raise Conflict("A password was said before: it has to be cleared first.")
