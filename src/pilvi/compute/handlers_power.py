"""Server actions about power, locks, states and the console's log."""

from __future__ import annotations

from typing import Any

from pilvi.compute import wire
from pilvi.compute.handlers_base import ACCEPTED, Action, argument, plainly
from pilvi.http.request import Request, Response


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
