"""Server actions that make images: createImage and createBackup."""

from __future__ import annotations

from typing import Any

from pilvi.compute import wire, wire_rest
from pilvi.compute.handlers_base import Action, argument
from pilvi.http.request import Request, Response


def create_image(request: Request, server_id: str, value: Any) -> Response:
    body = argument("createImage", value, wire_rest.CreateImage)
    image_id = request.cloud.compute.snapshot(request.context, server_id, body.name, body.metadata)
    return made(request, image_id)


def create_backup(request: Request, server_id: str, value: Any) -> Response:
    body = argument("createBackup", value, wire_rest.CreateBackup)
    rotation = wire.whole(body.rotation, "rotation", 0)
    image_id = request.cloud.compute.backup(request.context, server_id, body.name, body.backup_type, rotation,
                                            body.metadata)
    return made(request, image_id if rotation else None)


def made(request: Request, image_id: str | None) -> Response:
    """Before 2.45 a header says where the image is; of one that is not to be kept nothing is said."""
    if request.at_least(2, 45):
        return Response(202, {"image_id": image_id} if image_id else None)
    return Response(202, None, {"Location": f"{request.base_url}/image/v2/images/{image_id}"} if image_id else {})


ACTIONS = {
    "createImage": Action(create_image),
    "createBackup": Action(create_backup),
}
