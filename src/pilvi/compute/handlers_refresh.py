"""Server actions about what the network knows of a server."""

from __future__ import annotations

from typing import Any

from pilvi.compute.handlers_base import ACCEPTED, Action
from pilvi.faults import Gone
from pilvi.http.request import Request, Response


def inject_network_info(request: Request, server_id: str, _: Any) -> Response:
    """Has the network given its ports anew, in case something else changed them there."""
    request.cloud.compute.server(request.context, server_id)
    request.cloud.network.refresh()
    return ACCEPTED


def reset_network(request: Request, server_id: str, _: Any) -> Response:
    """Raises Gone: there was one hypervisor only whose guests' networks could be reset."""
    request.cloud.compute.server(request.context, server_id)
    raise Gone("This resource is no longer available. No forwarding address is given.")


ACTIONS = {
    "injectNetworkInfo": Action(inject_network_info, rule="servers:reset_state"),
    "resetNetwork": Action(reset_network, rule="servers:reset_state"),
}
