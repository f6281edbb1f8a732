"""What the modules of server actions share: what an action is, and how its argument is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from pilvi.faults import BadRequest
from pilvi.http.request import Request, Response, Version, field_message

ACCEPTED = Response(202)


class Action(NamedTuple):
    do: Callable[[Request, str, Any], Response]
    since: Version = (2, 1)
    until: Version | None = None
    rule: str = "servers:action"


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
