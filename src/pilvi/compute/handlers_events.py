"""POST /os-server-external-events."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from pilvi.compute.events import ExternalEvent
from pilvi.compute.wire import Body, Uuid, invalid
from pilvi.faults import NotFound
from pilvi.http.request import Request, Response, Version

NAMES: dict[str, Version] = {
    "network-changed": (2, 1), "network-vif-plugged": (2, 1), "network-vif-unplugged": (2, 1),
    "network-vif-deleted": (2, 1), "volume-extended": (2, 51), "power-update": (2, 76),
    "accelerator-request-bound": (2, 82), "volume-reimaged": (2, 93),
}


class Event(Body):
    server_uuid: Uuid
    name: str
    status: Annotated[str, Meta(pattern=r"^(failed|completed|in-progress)\Z")] = "completed"
    tag: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET


class Events(Body):
    events: Annotated[list[Event], Meta(min_length=1)]


def create(request: Request) -> Response:
    """200 where all are taken, 207 where some are. Raises NotFound where none is."""
    events = request.decode(Events).events
    for event in events:
        check_name(request, event)
    codes = request.cloud.compute.tell(request.context, [
        ExternalEvent(event.name, event.server_uuid, None if event.tag is UNSET else event.tag) for event in events])
    if 200 not in codes:
        raise NotFound("No instances found for any event")
    shown = [view(event, code) for event, code in zip(events, codes, strict=True)]
    return Response(200 if set(codes) == {200} else 207, {"events": shown})


def check_name(request: Request, event: Event) -> None:
    known = [name for name, since in NAMES.items() if request.version >= since]
    if event.name not in known:
        raise invalid("name", f"Value: {event.name}. '{event.name}' is not one of {known}")


def view(event: Event, code: int) -> dict[str, Any]:
    body: dict[str, Any] = {"server_uuid": event.server_uuid, "name": event.name, "status": event.status, "code": code}
    if event.tag is not UNSET:
        body["tag"] = event.tag
    return body
