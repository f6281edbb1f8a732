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
)
from pilvi.compute.policy import RULES
from pilvi.faults import BadRequest, Forbidden, NotFound, NotImplementedHere
from pilvi.http.request import Request, Response


def act(request: Request) -> Response:
    """Raises BadRequest for an action that there is not, NotImplementedHere for one not served yet."""
    body = request.decode(dict[str, Any])
    name = next(iter(body), "")
    if len(body) != 1 or (name not in ACTIONS and name not in NOT_YET):
        raise BadRequest(f"There is no such action: {', '.join(body)}. It takes exactly one.")
    server_id = request.params["server_id"]
    if name in NOT_YET:
        request.cloud.compute.server(request.context, server_id)
        raise NotImplementedHere(f"The action {name} is not served yet: {NOT_YET[name]}.")
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
)
ACTIONS = {name: action for module in MODULES for name, action in module.ACTIONS.items()}

SLEEP = "pause the server, or stop it"
MOVE = "delete the server and make it anew"
NOT_YET = {
    "createImage": "upload an image instead",
    "createBackup": "upload an image instead",
    "rescue": MOVE,
    "unrescue": MOVE,
    "suspend": SLEEP,
    "resume": SLEEP,
    "shelve": SLEEP,
    "shelveOffload": SLEEP,
    "unshelve": SLEEP,
    "restore": "a deleted server is gone at once",
    "changePassword": "log in with a key pair",
    "trigger_crash_dump": "reboot it",
}
