"""Backups, transfers, groups, messages, and what is taken in, over the API."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pilvi.faults import BadRequest, NotFound
from pilvi.http.request import Request, Response
from pilvi.policy import ADMIN
from pilvi.volume import listing, views, wire
from pilvi.volume.base import ZONE
from pilvi.volume.handlers_volumes import ACCEPTED, Action, run
from pilvi.volume.tables import group_snapshots, groups, snapshots, volumes

SORTABLE = frozenset({"id", "name", "status", "created_at"})

# -- backups


def _backups(request: Request, full: bool) -> Response:
    asked = listing.parse(request, {"name", "status", "volume_id", "snapshot_id", "project_id"},
                          SORTABLE | {"size", "updated_at"})
    rows, based_on, count = request.cloud.volume.list_backups(request.context, asked)
    shown = [views.backup(request, row, row.id in based_on) if full else views.brief(request, row, "backups")
             for row in rows]
    return Response(200, listing.links(request, "backups", shown, asked, count))


def list_backups(request: Request) -> Response:
    return _backups(request, False)


def list_backups_detail(request: Request) -> Response:
    return _backups(request, True)


def create_backup(request: Request) -> Response:
    body = request.decode(wire.NewBackupRequest).backup
    for name, since in (("metadata", (3, 43)), ("availability_zone", (3, 51))):
        if getattr(body, name) is not UNSET and not request.at_least(*since):
            raise wire.unexpected(name)
    if body.availability_zone not in (UNSET, None, ZONE):
        raise BadRequest(f"Availability zone '{body.availability_zone}' is invalid.")
    metadata = {} if body.metadata in (UNSET, None) else body.metadata
    row = request.cloud.volume.create_backup(
        request.context, body.volume_id, name=body.name, description=body.description, container=body.container,
        incremental=wire.flag(body.incremental, "incremental"), force=wire.flag(body.force, "force"),
        snapshot_id=body.snapshot_id, metadata=metadata)
    return Response(202, {"backup": backup_brief(request, row)})


def backup_brief(request: Request, row: Any) -> dict[str, Any]:
    shown = views.brief(request, row, "backups")
    if request.at_least(3, 43):
        shown["metadata"] = row.metadata
    return shown


def show_backup(request: Request) -> Response:
    row, based_on = request.cloud.volume.show_backup(request.context, request.params["backup_id"])
    return Response(200, {"backup": views.backup(request, row, based_on)})


def update_backup(request: Request) -> Response:
    body = request.decode(wire.ChangedBackupRequest).backup
    if body.metadata is not UNSET and not request.at_least(3, 43):
        raise wire.unexpected("metadata")
    values = wire.set_fields(body, "name", "description", "metadata")
    if not values:
        raise BadRequest("Missing updated parameters in request body.")
    row = request.cloud.volume.update_backup(request.context, request.params["backup_id"], **values)
    return Response(200, {"backup": backup_brief(request, row)})


def delete_backup(request: Request) -> Response:
    request.cloud.volume.delete_backup(request.context, request.params["backup_id"])
    return ACCEPTED


def restore_backup(request: Request) -> Response:
    body, backup_id = request.decode(wire.RestoreRequest).restore, request.params["backup_id"]
    volume_id, name = request.cloud.volume.restore(request.context, backup_id, body.volume_id, body.name)
    return Response(202, {"restore": {"backup_id": backup_id, "volume_id": volume_id, "volume_name": name}})


def export_record(request: Request) -> Response:
    url = request.cloud.volume.export_record(request.context, request.params["backup_id"])
    return Response(200, {"backup-record": {"backup_service": request.cloud.volume.vault.kind, "backup_url": url}})


def import_record(request: Request) -> Response:
    body = request.decode(wire.RecordRequest).record
    row = request.cloud.volume.import_record(request.context, body.backup_service, body.backup_url)
    return Response(201, {"backup": views.brief(request, row, "backups")})


def act_backup(request: Request) -> Response:
    return run(request, BACKUP_ACTIONS, request.params["backup_id"])


def reset_backup(request: Request, key: str, value: Any) -> None:
    status = wire.argument("os-reset_status", value, wire.Status).status
    if status not in ("available", "error"):
        raise BadRequest("Invalid input for field/attribute status. A backup's is reset to available or error.")
    request.cloud.volume.reset_backup(request.context, key, status)


def force_delete_backup(request: Request, key: str, _: Any) -> None:
    request.cloud.volume.delete_backup(request.context, key, force=True)


BACKUP_ACTIONS = {"os-reset_status": Action(reset_backup, ADMIN), "os-force_delete": Action(force_delete_backup, ADMIN)}

# -- transfers


def _transfers(request: Request, full: bool) -> Response:
    asked = listing.parse(request, {"name", "volume_id"}, {"id", "name", "created_at"})
    rows, count = request.cloud.volume.list_transfers(request.context, asked)
    shown = [views.transfer(request, row, full=full) for row in rows]
    return Response(200, listing.links(request, "transfers", shown, asked, count))


def list_transfers(request: Request) -> Response:
    return _transfers(request, False)


def list_transfers_detail(request: Request) -> Response:
    return _transfers(request, True)


def create_transfer(request: Request) -> Response:
    body = request.decode(wire.NewTransferRequest).transfer
    if body.no_snapshots is not UNSET and not request.at_least(3, 55):
        raise wire.unexpected("no_snapshots")
    row, key = request.cloud.volume.create_transfer(request.context, body.volume_id, body.name,
                                                    wire.flag(body.no_snapshots, "no_snapshots"),
                                                    encrypted=request.at_least(3, 70))
    return Response(202, {"transfer": views.transfer(request, row, key=key)})


def show_transfer(request: Request) -> Response:
    row = request.cloud.volume.show_transfer(request.context, request.params["transfer_id"])
    return Response(200, {"transfer": views.transfer(request, row)})


def delete_transfer(request: Request) -> Response:
    request.cloud.volume.delete_transfer(request.context, request.params["transfer_id"])
    return ACCEPTED


def accept_transfer(request: Request) -> Response:
    key = request.decode(wire.AcceptRequest).accept.auth_key
    row = request.cloud.volume.accept_transfer(request.context, request.params["transfer_id"], key)
    return Response(202, {"transfer": views.transfer(request, row, full=False)})


# -- what is taken in


def manage_volume(request: Request) -> Response:
    body = request.decode(wire.ManageVolumeRequest).volume
    if body.host is UNSET:
        raise BadRequest("Invalid input for field/attribute host. Name the host that keeps the volume.")
    if body.availability_zone not in (None, ZONE):
        raise BadRequest(f"Availability zone '{body.availability_zone}' is invalid.")
    row = request.cloud.volume.manage_volume(
        request.context, host=body.host, reference=body.ref, volume_type=body.volume_type, name=body.name,
        description=body.description, metadata=body.metadata or {}, bootable=wire.flag(body.bootable, "bootable"))
    return Response(202, views.one(request, request.cloud.volume.show_volume(request.context, row.id), full=False))


def manage_snapshot(request: Request) -> Response:
    body = request.decode(wire.ManageSnapshotRequest).snapshot
    reference = body.ref if isinstance(body.ref, dict) else {"source-name": body.ref}
    row = request.cloud.volume.manage_snapshot(
        request.context, volume_id=body.volume_id, reference=reference, name=body.name, description=body.description,
        metadata=body.metadata or {})
    return Response(202, {"snapshot": views.snapshot(request, row)})


def _manageable(request: Request, table: Any, key: str, full: bool) -> Response:
    shown = []
    for kept, row in request.cloud.volume.manageable(request.arg("host", ""), table):
        each: dict[str, Any] = {"reference": {"source-name": kept.name}, "size": -(-kept.size_bytes // (1 << 30)),
                                "safe_to_manage": row is None}
        if full:
            each |= {"reason_not_safe": None if row is None else "already managed", "cinder_id": row and row.id,
                     "extra_info": None}
        shown.append(each)
    return Response(200, {key: shown})


def manageable_volumes(request: Request) -> Response:
    return _manageable(request, volumes, "manageable-volumes", False)


def manageable_volumes_detail(request: Request) -> Response:
    return _manageable(request, volumes, "manageable-volumes", True)


def manageable_snapshots(request: Request) -> Response:
    return _manageable(request, snapshots, "manageable-snapshots", False)


def manageable_snapshots_detail(request: Request) -> Response:
    return _manageable(request, snapshots, "manageable-snapshots", True)


# -- messages


def list_messages(request: Request) -> Response:
    names = {"resource_uuid": "resource_id"}
    asked = listing.parse(request, {"event_id", "request_id", "resource_type", "resource_uuid"},
                          {"id", "created_at", "event_id", "resource_type", "request_id"}, names)
    rows, count = request.cloud.volume.list_messages(request.context, asked)
    shown = [views.message(request, row) for row in rows]
    return Response(200, listing.links(request, "messages", shown, asked, count))


def show_message(request: Request) -> Response:
    row = request.cloud.volume.show_message(request.context, request.params["message_id"])
    return Response(200, {"message": views.message(request, row)})


def delete_message(request: Request) -> Response:
    request.cloud.volume.delete_message(request.context, request.params["message_id"])
    return Response(204)


# -- types of groups


def list_group_types(request: Request) -> Response:
    query = request.query
    if (query.get("is_public") or [""])[-1].lower() == "none":
        query.pop("is_public")
    asked = listing.parse(request, {"is_public"}, SORTABLE - {"status"})
    rows, count = request.cloud.volume.list_group_types(request.context, asked)
    shown = [views.group_type(request, row) for row in rows]
    return Response(200, listing.links(request, "group_types", shown, asked, count))


def show_group_type(request: Request) -> Response:
    row = request.cloud.volume.show_group_type(request.context, request.params["type_id"])
    return Response(200, {"group_type": views.group_type(request, row)})


def default_group_type(request: Request) -> Response:
    return Response(200, {"group_type": views.group_type(request, request.cloud.volume.default_group_type())})


def create_group_type(request: Request) -> Response:
    body = request.decode(wire.NewGroupTypeRequest).group_type
    row = request.cloud.volume.create_group_type(body.name.strip(), body.description,
                                                 wire.flag(body.is_public, "is_public"), body.group_specs or {})
    return Response(202, {"group_type": views.group_type(request, row)})


def update_group_type(request: Request) -> Response:
    body = request.decode(wire.ChangedGroupTypeRequest).group_type
    values = {name: value for name, value in wire.set_fields(body, "name", "description", "is_public").items()
              if value is not None or name == "description"}
    if "is_public" in values:
        values["is_public"] = wire.flag(values["is_public"], "is_public")
    if not values:
        raise BadRequest("Specify group type name, description or a combination thereof.")
    row = request.cloud.volume.update_group_type(request.context, request.params["type_id"], **values)
    return Response(200, {"group_type": views.group_type(request, row)})


def delete_group_type(request: Request) -> Response:
    request.cloud.volume.delete_group_type(request.context, request.params["type_id"])
    return ACCEPTED


def list_group_specs(request: Request) -> Response:
    row = request.cloud.volume.show_group_type(request.context, request.params["type_id"])
    return Response(200, {"group_specs": row.group_specs})


def create_group_specs(request: Request) -> Response:
    specs = request.decode(wire.GroupSpecsRequest).group_specs
    request.cloud.volume.change_group_specs(request.context, request.params["type_id"], specs)
    return Response(202, {"group_specs": specs})


def show_group_spec(request: Request) -> Response:
    key = request.params["key"]
    row = request.cloud.volume.show_group_type(request.context, request.params["type_id"])
    if key not in row.group_specs:
        raise NotFound(f"Group Type {row.id} has no specs with key {key}.")
    return Response(200, {key: row.group_specs[key]})


def update_group_spec(request: Request) -> Response:
    specs = wire.spec_of_address(request)
    request.cloud.volume.change_group_specs(request.context, request.params["type_id"], specs)
    return Response(200, specs)


def delete_group_spec(request: Request) -> Response:
    request.cloud.volume.change_group_specs(request.context, request.params["type_id"], {request.params["key"]: None})
    return ACCEPTED


# -- groups


def _groups(request: Request, full: bool) -> Response:
    query = request.query
    with_volumes = request.at_least(3, 25) and bool(request.flag("list_volume", False))
    query.pop("list_volume", None)
    asked = listing.parse(request, {"name", "status"}, SORTABLE)
    rows, count = request.cloud.volume.list_groups(request.context, asked)
    shown = [views.group(request, row, held, with_volumes) if full else {"id": row.id, "name": row.name or ""}
             for row, held in rows]
    return Response(200, listing.links(request, "groups", shown, asked, count))


def list_groups(request: Request) -> Response:
    return _groups(request, False)


def list_groups_detail(request: Request) -> Response:
    return _groups(request, True)


def create_group(request: Request) -> Response:
    body = request.decode(wire.NewGroupRequest).group
    row = request.cloud.volume.create_group(
        request.context, name=body.name, description=body.description, group_type=body.group_type,
        volume_types=body.volume_types, availability_zone=body.availability_zone)
    return Response(202, {"group": {"id": row.id, "name": row.name or ""}})


def create_group_from(request: Request) -> Response:
    body = request.decode(wire.GroupFromRequest).source
    row = request.cloud.volume.create_group_from(
        request.context, name=body.name, description=body.description, group_snapshot_id=body.group_snapshot_id,
        source_group_id=body.source_group_id)
    return Response(202, {"group": {"id": row.id, "name": row.name or ""}})


def show_group(request: Request) -> Response:
    row, held = request.cloud.volume.show_group(request.context, request.params["group_id"])
    with_volumes = bool(request.flag("list_volume", False))
    return Response(200, {"group": views.group(request, row, held, with_volumes)})


def update_group(request: Request) -> Response:
    body = request.decode(wire.ChangedGroupRequest).group
    add, remove = ([each for each in (text or "").split(",") if each] for text in (body.add_volumes, body.remove_volumes))
    values = wire.set_fields(body, "name", "description")
    if not (add or remove or values):
        raise BadRequest("At least one of the following keys must be in the update: name, description, add_volumes, "
                         "remove_volumes.")
    request.cloud.volume.update_group(request.context, request.params["group_id"], add, remove, **values)
    return ACCEPTED


def act_group(request: Request) -> Response:
    return run(request, GROUP_ACTIONS, request.params["group_id"])


def delete_group(request: Request, key: str, value: Any) -> None:
    with_volumes = wire.flag(wire.argument("delete", value, wire.DeleteGroup).delete_volumes, "delete-volumes")
    request.cloud.volume.delete_group(request.context, key, with_volumes=with_volumes)


def _status(value: Any) -> str:
    status = wire.argument("reset_status", value, wire.Status).status
    if status is None:
        raise BadRequest("Invalid input for field/attribute status. It is needed.")
    return status


def reset_group(request: Request, key: str, value: Any) -> None:
    request.cloud.volume.reset_group(request.context, groups, key, _status(value))


def no_replication(request: Request, key: str, value: Any) -> None:
    """Raises BadRequest; NotFound for a group that is not there."""
    request.cloud.volume.show_group(request.context, key)
    raise BadRequest(f"Invalid group: the volumes of group {key} are of types without replication.")


GROUP_ACTIONS = {"delete": Action(delete_group), "reset_status": Action(reset_group, ADMIN, (3, 20)), **{
    f"{verb}_replication{what}": Action(no_replication, ADMIN, (3, 38))
    for verb, what in (("enable", ""), ("disable", ""), ("failover", ""), ("list", "_targets"))}}

# -- snapshots of groups


def _group_snapshots(request: Request, full: bool) -> Response:
    asked = listing.parse(request, {"name", "status", "group_id"}, SORTABLE)
    rows, count = request.cloud.volume.list_group_snapshots(request.context, asked)
    shown = [views.group_snapshot(row) if full else {"id": row.id, "name": row.name or ""} for row in rows]
    return Response(200, listing.links(request, "group_snapshots", shown, asked, count))


def list_group_snapshots(request: Request) -> Response:
    return _group_snapshots(request, False)


def list_group_snapshots_detail(request: Request) -> Response:
    return _group_snapshots(request, True)


def create_group_snapshot(request: Request) -> Response:
    body = request.decode(wire.NewGroupSnapshotRequest).group_snapshot
    row = request.cloud.volume.create_group_snapshot(request.context, body.group_id, body.name, body.description)
    return Response(202, {"group_snapshot": {"id": row.id, "name": row.name or "", "group_type_id": row.group_type_id}})


def show_group_snapshot(request: Request) -> Response:
    row = request.cloud.volume.show_group_snapshot(request.context, request.params["key"])
    return Response(200, {"group_snapshot": views.group_snapshot(row)})


def delete_group_snapshot(request: Request) -> Response:
    request.cloud.volume.delete_group_snapshot(request.context, request.params["key"])
    return ACCEPTED


def act_group_snapshot(request: Request) -> Response:
    return run(request, GROUP_SNAPSHOT_ACTIONS, request.params["key"])


def reset_group_snapshot(request: Request, key: str, value: Any) -> None:
    request.cloud.volume.reset_group(request.context, group_snapshots, key, _status(value))


GROUP_SNAPSHOT_ACTIONS = {"reset_status": Action(reset_group_snapshot, ADMIN, (3, 19))}
