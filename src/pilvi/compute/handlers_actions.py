"""POST /servers/{id}/action: the one key of the body names what to do.

Each module of handlers_*.py that has actions names them in its ACTIONS."""

from __future__ import annotations

from typing import Any

from pilvi.compute import (
    handlers_consoles,
    handlers_interfaces,
    handlers_migrating,
    handlers_power,
    handlers_rebuild,
    handlers_refresh,
    handlers_rest,
    handlers_shelve,
    handlers_snapshot,
)
from pilvi.compute.policy import RULES
from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.http.request import Request, Response


def act(request: Request) -> Response:
    """Raises BadRequest for an action that there is not, NotFound for one of another microversion, Forbidden."""
    body = request.decode(dict[str, Any])
    name = next(iter(body), "")
    if len(body) != 1 or name not in ACTIONS:
        raise BadRequest(f"There is no such action: {', '.join(body)}. It takes exactly one.")
    server_id = request.params["server_id"]
    action = ACTIONS[name]
    if not action.since <= request.version <= (action.until or request.version):
        raise NotFound(f"There is no action {name} in this microversion.")
    if not request.context.permits(RULES[action.rule]):
        raise Forbidden(f"Policy doesn't allow {action.rule} to be performed: it takes the role "
                        f"{RULES[action.rule].value}.")
    return action.do(request, server_id, body[name])


MODULES = (
    handlers_consoles,
    handlers_interfaces,
    handlers_migrating,
    handlers_power,
    handlers_rebuild,
    handlers_refresh,
    handlers_rest,
    handlers_shelve,
    handlers_snapshot,
)
ACTIONS = {name: action for module in MODULES for name, action in module.ACTIONS.items()}
