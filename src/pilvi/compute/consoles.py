"""Consoles: a token opens a server's screen or serial line once, within a few minutes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from pilvi.bus.base import BusError, RemoteError
from pilvi.compute import store_consoles
from pilvi.compute.servers import Servers
from pilvi.faults import BadRequest, Conflict, NotFound, NotImplementedHere, Unauthorized, Unavailable
from pilvi.node.messages import Question
from pilvi.policy import Context

TOKEN_SECONDS = 600
TOKEN_LENGTH = 32
# Protocol and type, as the API names them, of those that are served, with the agent's verb for each.
SERVED = {("vnc", "novnc"): "vnc_socket", ("serial", "serial"): "console_socket"}
# Those that the API knows besides, and its answer where the hypervisor has none of the kind.
UNAVAILABLE = {("spice", "spice-html5"), ("spice", "spice-direct"), ("rdp", "rdp-html5")}
NOT_IMPLEMENTED = {("mks", "webmks")}


class OpenConsole(NamedTuple):
    protocol: str
    type: str
    token: str


class Consoles(Servers):
    def open_console(self, context: Context, server_id: str, protocol: str, kind: str) -> OpenConsole:
        """A new token. Raises NotFound, BadRequest or NotImplementedHere for a console that there is not,
        Conflict while the server does not run."""
        if (protocol, kind) in NOT_IMPLEMENTED:
            raise NotImplementedHere(f"Unable to get {protocol} console, functionality not implemented")
        if (protocol, kind) in UNAVAILABLE:
            raise BadRequest(f"Unavailable console type {kind}.")
        if (protocol, kind) not in SERVED:
            raise BadRequest(f"Invalid console type {kind}")
        token = self.ids.secret(TOKEN_LENGTH)
        with self.db.transaction() as tx:
            row = self.owned(tx, context, server_id)
            if row.host is None or row.launched_at is None:
                raise Conflict(f"Instance {server_id} is not ready")
            if row.power_state not in (1, 3):
                raise Conflict(f"Instance {server_id} is not running: its {protocol} console cannot be opened.")
            store_consoles.insert(tx, digest=digest(token), server_id=server_id, type=kind, verb=SERVED[protocol, kind],
                                  expires_at=tx.now + TOKEN_SECONDS * 1_000_000)
        return OpenConsole(protocol, kind, token)

    def console_of(self, token: str) -> tuple[sa.Row, str, Path]:
        """(the token's row, its server's host, the socket there). Raises NotFound for a token that is no more."""
        with self.db.read() as tx:
            row = store_consoles.valid(tx, digest(token))
            if row is None:
                raise NotFound("Token not found")
        return row, row.host, self._socket(row.host, row.verb, row.server_id)

    def redeem_console(self, token: str, verb: str) -> Path:
        """The socket that the token opens; it opens nothing any more then. Raises Unauthorized."""
        with self.db.transaction() as tx:
            row = store_consoles.redeem(tx, digest(token), verb)
        if row is None:
            raise Unauthorized("The token is invalid, has expired or was used before: ask for a new console.")
        return self._socket(row.host, verb, row.server_id)

    def _socket(self, host: str, verb: str, server_id: str) -> Path:
        try:
            return Path(self.bus.call(host, verb, Question(server_id), str))
        except BusError as error:
            raise Unavailable(f"Unable to get console: {error}") from None
        except RemoteError as error:
            raise Conflict(f"Unable to get console: {error}") from None


def digest(token: str) -> str:
    """What is kept of a token: who reads the database opens no console."""
    return hashlib.sha256(token.encode()).hexdigest()
