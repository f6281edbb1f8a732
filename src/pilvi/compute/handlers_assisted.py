"""os-assisted-volume-snapshots: for storage whose snapshots only a guest's hypervisor can take.

Here Block Storage takes them all and tells the hypervisor itself, so this is one more way to ask it for one: what the guest
writes to from then on is made and named by Block Storage, whatever `new_file` would have been called."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pilvi.compute import wire
from pilvi.faults import BadRequest
from pilvi.http.request import Request, Response


class CreateInfo(msgspec.Struct):
    snapshot_id: wire.Uuid
    type: Literal["qcow2"]
    new_file: Annotated[str, Meta(min_length=1, max_length=255)]
    id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class SnapshotNew(msgspec.Struct):
    volume_id: wire.Uuid
    create_info: CreateInfo


class SnapshotRequest(msgspec.Struct):
    snapshot: SnapshotNew


class DeleteInfo(msgspec.Struct):
    volume_id: Annotated[str, Meta(min_length=1, max_length=255)]


def create(request: Request) -> Response:
    """The guest writes elsewhere in a moment. Raises NotFound, BadRequest."""
    wanted = request.decode(SnapshotRequest).snapshot
    made = request.cloud.volume.assist(request.context, wanted.volume_id, wanted.create_info.snapshot_id)
    return Response(200, {"snapshot": {"id": wanted.create_info.id or made.id, "volumeId": made.volume_id}})


def delete(request: Request) -> Response:
    """Raises NotFound, BadRequest."""
    try:
        info = msgspec.json.decode(request.arg("delete_info", ""), type=DeleteInfo)
    except msgspec.DecodeError as error:
        raise BadRequest(f"Invalid input for query parameters delete_info. {error}") from None
    request.cloud.volume.end_assistance(request.context, info.volume_id, request.params["snapshot_id"])
    return Response(204)
