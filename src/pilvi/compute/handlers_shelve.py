"""Server actions about the shelf: shelve, offload, unshelve."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pilvi.compute import wire_rest
from pilvi.compute.handlers_base import ACCEPTED, Action, argument, plainly
from pilvi.compute.handlers_rebuild import allowed
from pilvi.compute.service import UnshelveWanted
from pilvi.compute.wire import invalid, unexpected
from pilvi.http.request import Request, Response


def unshelve(request: Request, server_id: str, value: Any) -> Response:
    request.cloud.compute.unshelve(request.context, server_id, unshelve_wanted(request, value))
    return ACCEPTED


def unshelve_wanted(request: Request, value: Any) -> UnshelveWanted:
    """Where to is known from 2.77 on, a host and no zone at all from 2.91 on. Raises BadRequest, Forbidden."""
    if not request.at_least(2, 77) or value is None:
        return UnshelveWanted()
    body = argument("unshelve", value, wire_rest.Unshelve)
    if not request.at_least(2, 91):
        if body.host is not UNSET:
            raise unexpected("unshelve", "host")
        if not body.availability_zone:
            raise invalid("unshelve", "'availability_zone' is a required property, and no null before 2.91.")
    if body.host is UNSET and body.availability_zone is UNSET:
        raise invalid("unshelve", "Give it an availability_zone, a host, or both; or null.")
    if body.host is not UNSET:
        allowed(request, "servers:unshelve:host")
    return UnshelveWanted(body.availability_zone, None if body.host is UNSET else body.host)


ACTIONS = {
    "shelve": Action(plainly("shelve")),
    "shelveOffload": Action(plainly("shelve_offload"), rule="servers:shelve_offload"),
    "unshelve": Action(unshelve),
}
