"""Snapshots and attachments over the API."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pilvi.faults import NotFound
from pilvi.http.request import Request, Response
from pilvi.policy import ADMIN
from pilvi.volume import listing, views, wire
from pilvi.volume.handlers_volumes import ACCEPTED, Action, run

FILTERS = frozenset({"name", "status", "volume_id", "metadata", "project_id", "availability_zone", "id"})
SORTABLE = frozenset({"id", "name", "display_name", "status", "size", "created_at", "updated_at"})
NAMES = {"display_name": "name"}


def _page(request: Request, full: bool) -> Response:
    asked = listing.parse(request, FILTERS - {"availability_zone"}, SORTABLE, NAMES)
    rows, count = request.cloud.volume.list_snapshots(request.context, asked)
    shown = [views.snapshot(request, row, full=True) if full else views.snapshot_summary(row) for row in rows]
    return Response(200, listing.links(request, "snapshots", shown, asked, count))


def list_snapshots(request: Request) -> Response:
    return _page(request, False)


def list_detail(request: Request) -> Response:
    return _page(request, True)


def create(request: Request) -> Response:
    body = request.decode(wire.NewSnapshotRequest).snapshot
    if body.volume_id is None:
        raise NotFound("Volume None could not be found.")
    row = request.cloud.volume.create_snapshot(
        request.context, body.volume_id, name=body.name or body.display_name,
        description=body.description or body.display_description, metadata=body.metadata or {},
        force=request.at_least(3, 66) or wire.flag(body.force, "force"))
    return Response(202, {"snapshot": views.snapshot(request, row)})


def show(request: Request) -> Response:
    row = request.cloud.volume.show_snapshot(request.context, request.params["snapshot_id"])
    return Response(200, {"snapshot": views.snapshot(request, row, full=True)})


def update(request: Request) -> Response:
    body = request.decode(wire.ChangedSnapshotRequest).snapshot
    row = request.cloud.volume.update_snapshot(request.context, request.params["snapshot_id"], **wire.renamed(body))
    return Response(200, {"snapshot": views.snapshot(request, row)})


def delete(request: Request) -> Response:
    request.cloud.volume.delete_snapshot(request.context, request.params["snapshot_id"])
    return ACCEPTED


def act(request: Request) -> Response:
    return run(request, ACTIONS, request.params["snapshot_id"])


def reset_status(request: Request, key: str, value: Any) -> None:
    request.cloud.volume.reset_snapshot(request.context, key, wire.argument("os-reset_status", value, wire.SnapshotStatus)
                                        .status)


def report(request: Request, key: str, value: Any) -> None:
    body = wire.argument("os-update_snapshot_status", value, wire.SnapshotStatus)
    request.cloud.volume.report_snapshot(request.context, key, body.status, body.progress)


def force_delete(request: Request, key: str, _: Any) -> None:
    request.cloud.volume.delete_snapshot(request.context, key, force=True)


def unmanage(request: Request, key: str, _: Any) -> None:
    request.cloud.volume.unmanage_snapshot(request.context, key)


ACTIONS = {
    "os-reset_status": Action(reset_status, ADMIN),
    "os-update_snapshot_status": Action(report),
    "os-force_delete": Action(force_delete, ADMIN),
    "os-unmanage": Action(unmanage, ADMIN),
}

# -- attachments, from 3.27 on

ATTACHMENT_FILTERS = frozenset({"volume_id", "status", "instance_id", "attach_status", "project_id"})
ATTACHMENT_NAMES = {"instance_id": "server_id", "attach_status": "status"}


def _attachments(request: Request, view: Any) -> Response:
    asked = listing.parse(request, ATTACHMENT_FILTERS, {"id", "created_at", "status"}, ATTACHMENT_NAMES)
    rows, count = request.cloud.volume.list_attachments(request.context, asked)
    return Response(200, listing.links(request, "attachments", [view(row) for row in rows], asked, count))


def list_attachments(request: Request) -> Response:
    return _attachments(request, views.attachment_brief)


def list_attachments_detail(request: Request) -> Response:
    return _attachments(request, views.attachment)


def create_attachment(request: Request) -> Response:
    body = request.decode(wire.NewAttachmentRequest).attachment
    if body.mode is not UNSET and not request.at_least(3, 54):
        raise wire.unexpected("mode")
    mode = None if body.mode is UNSET else body.mode
    row = request.cloud.volume.create_attachment(request.context, body.volume_uuid, body.instance_uuid, mode,
                                                 body.connector)
    return Response(200, {"attachment": views.attachment(row)})


def show_attachment(request: Request) -> Response:
    row = request.cloud.volume.show_attachment(request.context, request.params["attachment_id"])
    return Response(200, {"attachment": views.attachment(row)})


def update_attachment(request: Request) -> Response:
    connector = request.decode(wire.ChangedAttachmentRequest).attachment.connector
    row = request.cloud.volume.update_attachment(request.context, request.params["attachment_id"], connector)
    return Response(200, {"attachment": views.attachment(row)})


def delete_attachment(request: Request) -> Response:
    left = request.cloud.volume.delete_attachment(request.context, request.params["attachment_id"])
    return Response(200, {"attachments": [views.attachment_brief(row) for row in left]})


def act_attachment(request: Request) -> Response:
    return run(request, ATTACHMENT_ACTIONS, request.params["attachment_id"])


def complete(request: Request, key: str, _: Any) -> Response:
    request.cloud.volume.complete_attachment(request.context, key)
    return Response(204)


ATTACHMENT_ACTIONS = {"os-complete": Action(complete, since=(3, 44))}
