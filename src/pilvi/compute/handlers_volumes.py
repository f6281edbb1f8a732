"""Servers' volumes over the API: os-volume_attachments."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from pilvi.compute import wire
from pilvi.compute.wire import Body, Tag, Uuid
from pilvi.faults import BadRequest, Forbidden
from pilvi.http.request import Request, Response
from pilvi.policy import SERVICE

Device = Annotated[str, Meta(pattern=r"^(/dev/)?[a-zA-Z0-9]{1,64}\Z")]


class Attachment(Body):
    volumeId: Uuid
    device: Device | UnsetType | None = UNSET
    tag: Tag | UnsetType = UNSET  # from 2.49 on
    delete_on_termination: bool | UnsetType = UNSET  # from 2.79 on
    serverId: Uuid | UnsetType = UNSET
    id: Uuid | UnsetType = UNSET


class AttachmentRequest(Body):
    volumeAttachment: Attachment


def view(request: Request, entry: dict[str, Any], *, listed: bool = True) -> dict[str, Any]:
    shown = {"volumeId": entry["volume_id"], "serverId": request.params["server_id"], "device": entry["device"]}
    if not (listed and request.at_least(2, 89)):
        shown["id"] = entry["volume_id"]
    if request.at_least(2, 70):
        shown["tag"] = entry["tag"]
    if request.at_least(2, 79):
        shown["delete_on_termination"] = entry["delete_on_termination"]
    if listed and request.at_least(2, 89):
        shown |= {"attachment_id": entry["id"], "bdm_uuid": entry["id"]}
    return shown


def index(request: Request) -> Response:
    found = request.cloud.compute.volumes_of(request.context, request.params["server_id"])
    offset = wire.integer(request.arg("offset", "0"), "offset")
    limit = wire.integer(request.arg("limit", "1000"), "limit")
    return Response(200, {"volumeAttachments": [view(request, entry) for entry in found[offset:offset + limit]]})


def show(request: Request) -> Response:
    entry = request.cloud.compute.volume_of(request.context, request.params["server_id"], request.params["volume_id"])
    return Response(200, {"volumeAttachment": view(request, entry)})


def attach(request: Request) -> Response:
    wanted = request.decode(AttachmentRequest).volumeAttachment
    for name, since in (("tag", (2, 49)), ("delete_on_termination", (2, 79))):
        if getattr(wanted, name) is not UNSET and not request.at_least(*since):
            raise wire.unexpected("volumeAttachment", name)
    device = None if wanted.device in (UNSET, None) else "/dev/" + wanted.device.removeprefix("/dev/")
    entry = request.cloud.compute.attach_volume(
        request.context, request.params["server_id"], wanted.volumeId, device=device,
        tag=None if wanted.tag is UNSET else wanted.tag, delete_on_termination=wanted.delete_on_termination is True,
        multiattach=request.at_least(2, 60))
    return Response(200, {"volumeAttachment": view(request, entry, listed=False)})


def update(request: Request) -> Response:
    wanted, params = request.decode(AttachmentRequest).volumeAttachment, request.params
    if wanted.volumeId != params["volume_id"]:
        if not request.context.permits(SERVICE):
            raise Forbidden("Policy doesn't allow os_compute_api:os-volumes-attachments:swap to be performed.")
        request.cloud.compute.swap_volume(request.context, params["server_id"], params["volume_id"], wanted.volumeId)
    if not request.at_least(2, 85) or wanted.delete_on_termination is UNSET:
        raise BadRequest("Invalid input for field/attribute volumeAttachment. Only delete_on_termination changes, from "
                         "microversion 2.85 on.")
    request.cloud.compute.update_volume(request.context, params["server_id"], params["volume_id"],
                                        wanted.delete_on_termination)
    return Response(202)


def detach(request: Request) -> Response:
    request.cloud.compute.detach_volume(request.context, request.params["server_id"], request.params["volume_id"])
    return Response(202)
