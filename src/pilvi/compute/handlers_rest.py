"""Server actions about a guest as a whole: suspend, rescue, its password, a crash dump."""

from __future__ import annotations

from typing import Any

from pilvi.compute import wire_rest
from pilvi.compute.handlers_base import ACCEPTED, Action, argument, plainly
from pilvi.compute.handlers_servers import ADMIN_PASSWORD_LENGTH, set_or
from pilvi.http.request import Request, Response


def rescue(request: Request, server_id: str, value: Any) -> Response:
    body = argument("rescue", value, wire_rest.Rescue | None) or wire_rest.Rescue()
    password = set_or(body.adminPass) or request.cloud.ids.secret(ADMIN_PASSWORD_LENGTH)
    request.cloud.compute.rescue(request.context, server_id, password, set_or(body.rescue_image_ref),
                                 volume_too=request.at_least(2, 87))
    return Response(200, {"adminPass": password})


def change_password(request: Request, server_id: str, value: Any) -> Response:
    password = argument("changePassword", value, wire_rest.ChangePassword).adminPass
    request.cloud.compute.change_password(request.context, server_id, password)
    return ACCEPTED


ACTIONS = {
    "suspend": Action(plainly("suspend")),
    "resume": Action(plainly("resume")),
    "rescue": Action(rescue),
    "unrescue": Action(plainly("unrescue")),
    "changePassword": Action(change_password),
    "trigger_crash_dump": Action(plainly("crash_dump"), since=(2, 17)),
    "restore": Action(plainly("restore_server")),
}
