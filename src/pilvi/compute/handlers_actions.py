"""POST /servers/{id}/action: the one key of the body names what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from pilvi.compute import wire
from pilvi.compute.policy import RULES
from pilvi.faults import BadRequest, Forbidden, NotImplementedHere
from pilvi.http.request import Request, Response, Version, field_message

ACCEPTED = Response(202)


class Action(NamedTuple):
    do: Callable[[Request, str, Any], Response]
    since: Version = (2, 1)
    rule: str = "servers:action"


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
    if request.version < action.since:
        raise BadRequest(f"There is no such action: {name} in this microversion.")
    if not request.context.permits(RULES[action.rule]):
        raise Forbidden(f"Policy doesn't allow {action.rule} to be performed: it takes the role "
                        f"{RULES[action.rule].value}.")
    return action.do(request, server_id, body[name])


def argument(name: str, value: Any, shape: Any) -> Any:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise BadRequest(field_message(error).replace("attribute ", f"attribute {name}.", 1)) from None


def plainly(verb: str) -> Callable[[Request, str, Any], Response]:
    """An order without particulars: whatever comes with it has no meaning, and Nova allows anything there."""
    def do(request: Request, server_id: str, _: Any) -> Response:
        getattr(request.cloud.compute, verb)(request.context, server_id)
        return ACCEPTED
    return do


def reboot(request: Request, server_id: str, value: Any) -> Response:
    hard = argument("reboot", value, wire.Reboot).type.upper() == "HARD"
    request.cloud.compute.reboot(request.context, server_id, hard=hard)
    return ACCEPTED


def lock(request: Request, server_id: str, value: Any) -> Response:
    given = argument("lock", value, wire.Lock | None) if request.at_least(2, 73) else None
    reason = given.locked_reason if given and given.locked_reason else None
    request.cloud.compute.lock_server(request.context, server_id, reason)
    return ACCEPTED


def console_output(request: Request, server_id: str, value: Any) -> Response:
    length = argument("os-getConsoleOutput", value, wire.ConsoleOutput).length
    lines = None if length is None else wire.whole(length, "length", -1)
    lines = None if lines == -1 else lines
    return Response(200, {"output": request.cloud.compute.console_output(request.context, server_id, lines)})


def reset_state(request: Request, server_id: str, value: Any) -> Response:
    state = argument("os-resetState", value, wire.ResetState).state
    request.cloud.compute.reset_state(request.context, server_id, state)
    return ACCEPTED


ACTIONS = {
    "os-start": Action(plainly("start")),
    "os-stop": Action(plainly("stop")),
    "pause": Action(plainly("pause")),
    "unpause": Action(plainly("unpause")),
    "reboot": Action(reboot),
    "lock": Action(lock),
    "unlock": Action(plainly("unlock_server")),
    "forceDelete": Action(plainly("delete_server")),
    "os-getConsoleOutput": Action(console_output),
    "os-resetState": Action(reset_state, rule="servers:reset_state"),
}

GROUPS = "change the security groups of the server's ports through the network API"
SLEEP = "pause the server, or stop it"
MOVE = "delete the server and make it anew"
CONSOLE = "os-getConsoleOutput shows what the console said"
NOT_YET = {
    "addSecurityGroup": GROUPS, "removeSecurityGroup": GROUPS,
    "createImage": "upload an image instead", "createBackup": "upload an image instead",
    "rebuild": MOVE, "resize": MOVE, "confirmResize": MOVE, "revertResize": MOVE, "migrate": MOVE,
    "os-migrateLive": MOVE, "evacuate": MOVE, "rescue": MOVE, "unrescue": MOVE,
    "suspend": SLEEP, "resume": SLEEP, "shelve": SLEEP, "shelveOffload": SLEEP, "unshelve": SLEEP,
    "restore": "a deleted server is gone at once",
    "changePassword": "log in with a key pair", "addFixedIp": "make the server with the ports that it needs",
    "removeFixedIp": "make the server with the ports that it needs",
    "addFloatingIp": "associate floating IPs through the network API",
    "removeFloatingIp": "associate floating IPs through the network API",
    "os-getVNCConsole": CONSOLE, "os-getSPICEConsole": CONSOLE, "os-getRDPConsole": CONSOLE,
    "os-getSerialConsole": CONSOLE, "trigger_crash_dump": "reboot it", "injectNetworkInfo": "reboot it",
    "resetNetwork": "reboot it",
}
