"""os-assisted-volume-snapshots: for storage whose snapshots only a guest's hypervisor can take.

Here Block Storage takes them all, and tells the hypervisor itself: there is nobody who needs to be assisted."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pilvi.compute import wire
from pilvi.faults import BadRequest, NotFound
from pilvi.http.request import Request, Response


class CreateInfo(msgspec.Struct):
    snapshot_id: Annotated[str, Meta(min_length=1, max_length=255)]
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
    """Raises BadRequest for any."""
    wanted = request.decode(SnapshotRequest).snapshot
    raise BadRequest(f"Volume {wanted.volume_id} needs no assistance: Block Storage takes snapshots of volumes by itself, "
                     "also while servers write to them.")


def delete(request: Request) -> Response:
    """Raises NotFound for any."""
    try:
        info = msgspec.json.decode(request.arg("delete_info", ""), type=DeleteInfo)
    except msgspec.DecodeError as error:
        raise BadRequest(f"Invalid input for query parameters delete_info. {error}") from None
    raise NotFound(f"Snapshot {request.params['snapshot_id']} of volume {info.volume_id} could not be found: no snapshot is "
                   "taken with assistance here.")
