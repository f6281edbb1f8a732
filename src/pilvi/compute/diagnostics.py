"""What a running server uses of its host, and how its processors and memory lie on it."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.bus.base import BusError, RemoteError
from pilvi.compute.servers import Servers
from pilvi.compute.states import status_of
from pilvi.faults import Conflict, Unavailable
from pilvi.node.messages import Question, UseReport
from pilvi.policy import Context


class Diagnostics(Servers):
    def device_addresses(self, host: str | None, server_id: str) -> dict[str, str]:
        """Port, or disk of a volume -> PCI address within the running guest; none while nobody can say."""
        if host is None:
            return {}
        try:
            return self.bus.call(host, "addresses", Question(server_id), dict[str, str])
        except (BusError, RemoteError):
            return {}

    def diagnostics(self, context: Context, server_id: str) -> tuple[sa.Row, UseReport]:
        """Raises NotFound, Conflict where it does not run, Unavailable while its host does not answer."""
        row = self.server(context, server_id)
        if row.host is None or row.power_state not in (1, 3):
            raise Conflict(f"Cannot 'get_diagnostics' instance {server_id} while it is in status "
                           f"{status_of(row.vm_state, row.task_state)}: it does not run.")
        try:
            return row, self.bus.call(row.host, "use", Question(server_id), UseReport)
        except BusError as error:
            raise Unavailable(f"Unable to get diagnostics: {error}") from None
        except RemoteError as error:
            raise Conflict(f"Unable to get diagnostics: {error}") from None
