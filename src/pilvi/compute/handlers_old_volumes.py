"""Volumes and their snapshots by Compute's old names (until 2.35), from the Volume service."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from pilvi.compute import wire
from pilvi.engine.clock import micros_text
from pilvi.faults import OverLimit, TooLarge
from pilvi.http.pagination import limit_of
from pilvi.http.request import Request, Response, integer
from pilvi.volume.service import Found, Listing, VolumeCreate


class VolumeNew(wire.Body):
    size: wire.Whole
    snapshot_id: str | UnsetType | None = UNSET
    display_name: wire.Text255 | UnsetType | None = UNSET
    display_description: wire.Text255 | UnsetType | None = UNSET
    volume_type: wire.Text255 | UnsetType | None = UNSET
    availability_zone: wire.Text255 | UnsetType | None = UNSET
    metadata: dict[str, wire.Text255] | UnsetType | None = UNSET


class CreateVolume(wire.Body):
    volume: VolumeNew


class SnapshotNew(wire.Body):
    volume_id: str
    force: wire.Flag | UnsetType = UNSET
    display_name: wire.Text255 | UnsetType | None = UNSET
    display_description: wire.Text255 | UnsetType | None = UNSET


class CreateSnapshot(wire.Body):
    snapshot: SnapshotNew


def listing(request: Request) -> Listing:
    everybody = request.context.is_admin and bool(request.flag("all_tenants", False))
    return Listing(limit=limit_of(request), offset=integer(request.arg("offset", "0"), "offset"),
                   all_projects=everybody)


# -- volumes


def volume_views(found: Found) -> list[dict[str, Any]]:
    return [{
        "id": row.id, "status": row.status, "size": row.size, "availabilityZone": row.availability_zone,
        "createdAt": micros_text(row.created_at), "displayName": row.name, "displayDescription": row.description,
        "volumeType": found.types[row.type_id].name if row.type_id in found.types else None,
        "snapshotId": row.snapshot_id, "metadata": row.metadata,
        "attachments": [attachment(each) for each in found.attachments.get(row.id, ())
                        if each.status in ("attached", "detaching")] or [{}],  # one of nothing, as it always was
    } for row in found.rows]


def attachment(row: Any) -> dict[str, Any]:
    body = {"id": row.volume_id, "volumeId": row.volume_id, "serverId": row.server_id}
    return body | {"device": row.mountpoint} if row.mountpoint else body


def volumes(request: Request) -> Response:
    found = request.cloud.volume.list_volumes(request.context, listing(request), True)
    return Response(200, {"volumes": volume_views(found)})


def volume(request: Request) -> Response:
    found = request.cloud.volume.show_volume(request.context, request.params["volume_id"])
    return Response(200, {"volume": volume_views(found)[0]})


def create_volume(request: Request) -> Response:
    new = request.decode(CreateVolume).volume
    wanted = VolumeCreate(
        size=wire.whole(new.size, "size", 1), name=new.display_name or None,
        description=new.display_description or None, volume_type=new.volume_type or None,
        availability_zone=new.availability_zone or None, metadata=new.metadata or {},
        snapshot_id=new.snapshot_id or None)
    try:
        made = volume_views(request.cloud.volume.create_volume(request.context, wanted))[0]
    except TooLarge as fault:
        raise OverLimit(fault.message) from None
    location = f"{request.base_url}{request.path}/{made['id']}"
    return Response(200, {"volume": made}, {"Location": location})


def delete_volume(request: Request) -> Response:
    request.cloud.volume.delete_volume(request.context, request.params["volume_id"])
    return Response(202)


# -- snapshots


def snapshot_view(row: Any) -> dict[str, Any]:
    return {"id": row.id, "volumeId": row.volume_id, "status": row.status, "size": row.size,
            "createdAt": micros_text(row.created_at), "displayName": row.name,
            "displayDescription": row.description}


def snapshots(request: Request) -> Response:
    rows, _ = request.cloud.volume.list_snapshots(request.context, listing(request))
    return Response(200, {"snapshots": [snapshot_view(row) for row in rows]})


def snapshot(request: Request) -> Response:
    row = request.cloud.volume.show_snapshot(request.context, request.params["snapshot_id"])
    return Response(200, {"snapshot": snapshot_view(row)})


def create_snapshot(request: Request) -> Response:
    new = request.decode(CreateSnapshot).snapshot
    try:
        row = request.cloud.volume.create_snapshot(
            request.context, new.volume_id, name=new.display_name or None,
            description=new.display_description or None, metadata={}, force=wire.truth(new.force, "force"))
    except TooLarge as fault:
        raise OverLimit(fault.message) from None
    return Response(200, {"snapshot": snapshot_view(row)})


def delete_snapshot(request: Request) -> Response:
    request.cloud.volume.delete_snapshot(request.context, request.params["snapshot_id"])
    return Response(202)
