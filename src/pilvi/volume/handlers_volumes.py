"""Volumes over the API, and what users tell them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import UNSET

from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.http.request import Request, Response, Version
from pilvi.policy import ADMIN, MEMBER, READER, Rule
from pilvi.volume import listing, views, wire
from pilvi.volume.service import VolumeCreate
from pilvi.volume.tables import volumes
from pilvi.volume.volumes import READY

FILTERS = frozenset({"name", "status", "bootable", "availability_zone", "metadata", "size", "multiattach", "volume_type",
                     "group_id", "user_id", "description", "source_volid", "snapshot_id", "id", "glance_metadata"})
ADMIN_FILTERS = FILTERS | {"project_id", "host", "tenant_id"}
SORTABLE = frozenset({"id", "name", "display_name", "status", "size", "created_at", "updated_at", "availability_zone",
                      "bootable", "host"})
NAMES = {"display_name": "name", "glance_metadata": "image_metadata", "tenant_id": "project_id", "volume_type": "type_id"}
ACCEPTED = Response(202)


def wanted(request: Request) -> listing.Listing:
    filters = ADMIN_FILTERS if request.context.is_admin else FILTERS
    return listing.parse(request, filters, SORTABLE, NAMES)


def list_volumes(request: Request) -> Response:
    asked = wanted(request)
    found = request.cloud.volume.list_volumes(request.context, asked, False)
    shown = [views.brief(request, row, "volumes") for row in found.rows]
    return Response(200, listing.links(request, "volumes", shown, asked, found.count))


def list_detail(request: Request) -> Response:
    asked = wanted(request)
    found = request.cloud.volume.list_volumes(request.context, asked, True)
    return Response(200, listing.links(request, "volumes", views.volumes(request, found), asked, found.count))


def summary(request: Request) -> Response:
    everybody = bool(request.flag("all_tenants", False)) and request.context.is_admin
    count, size, metadata = request.cloud.volume.summary(request.context, everybody)
    shown: dict[str, Any] = {"total_count": count, "total_size": size}
    if request.at_least(3, 36):
        shown["metadata"] = metadata
    return Response(200, {"volume-summary": shown})


def create(request: Request) -> Response:
    body = request.decode(wire.NewVolumeRequest).volume
    for name, since in (("group_id", (3, 13)), ("backup_id", (3, 47))):
        if getattr(body, name) is not UNSET and not request.at_least(*since):
            raise wire.unexpected(name)
    found = request.cloud.volume.create_volume(request.context, volume_create(body))
    return Response(202, views.one(request, found, full=False))


def volume_create(body: wire.NewVolume) -> VolumeCreate:
    """Raises BadRequest for what is not to be had: consistency groups that are not groups."""
    if body.consistencygroup_id:
        raise BadRequest(f"Invalid input for field/attribute consistencygroup_id. There is no consistency group "
                         f"{body.consistencygroup_id}: use groups, from microversion 3.13 on.")
    return VolumeCreate(
        size=wire.size(body.size), name=body.name or body.display_name, description=body.description
        if body.description is not None else body.display_description, volume_type=body.volume_type or None,
        availability_zone=body.availability_zone or None, metadata=body.metadata or {},
        multiattach=wire.flag(body.multiattach, "multiattach"), image_id=body.imageRef or body.image_id or None,
        snapshot_id=body.snapshot_id or None, source_volid=body.source_volid or None,
        backup_id=None if body.backup_id is UNSET else body.backup_id,
        group_id=None if body.group_id is UNSET else body.group_id)


def show(request: Request) -> Response:
    found = request.cloud.volume.show_volume(request.context, request.params["volume_id"])
    return Response(200, views.one(request, found))


def show_encryption(request: Request) -> Response:
    return Response(200, request.cloud.volume.show_volume_encryption(request.context, request.params["volume_id"]))


def show_encryption_item(request: Request) -> Response:
    shown = request.cloud.volume.show_volume_encryption(request.context, request.params["volume_id"])
    if (key := request.params["key"]) not in shown:
        raise NotFound(f"Volume {request.params['volume_id']} has no encryption metadata {key}.")
    return Response(200, {key: shown[key]})


def update(request: Request) -> Response:
    body = request.decode(wire.ChangedVolumeRequest).volume
    values = wire.renamed(body) | wire.set_fields(body, "metadata")
    found = request.cloud.volume.update_volume(request.context, request.params["volume_id"], **values)
    return Response(200, views.one(request, found, full=False))


def delete(request: Request) -> Response:
    force = request.at_least(3, 23) and bool(request.flag("force", False))
    if force and not request.context.permits(ADMIN):
        raise Forbidden("Policy doesn't allow volume:force_delete to be performed.")
    request.cloud.volume.delete_volume(request.context, request.params["volume_id"],
                                       cascade=bool(request.flag("cascade", False)), force=force)
    return ACCEPTED


# -- actions


class Action(NamedTuple):
    do: Callable[[Request, str, Any], Response | None]
    rule: Rule = MEMBER
    since: Version = (3, 0)


def act(request: Request) -> Response:
    return run(request, ACTIONS, request.params["volume_id"])


def run(request: Request, actions: dict[str, Action], key: str) -> Response:
    """The one action that the body names. Raises BadRequest, Forbidden."""
    body = request.decode(dict[str, Any])
    if len(body) != 1 or (name := next(iter(body))) not in actions or request.version < actions[name].since:
        raise BadRequest(f"There is no such action: {', '.join(body) or 'none is named'}.")
    action = actions[name]
    if not request.context.permits(action.rule):
        raise Forbidden(f"Policy doesn't allow {name} to be performed: it takes the role {action.rule.value}.")
    return action.do(request, key, body[name]) or ACCEPTED


def extend(request: Request, key: str, value: Any) -> None:
    size = int(wire.argument("os-extend", value, wire.Extend).new_size)
    request.cloud.volume.extend(request.context, key, size, attached=request.at_least(3, 42))


def reimage(request: Request, key: str, value: Any) -> None:
    wanted = wire.argument("os-reimage", value, wire.Reimage)
    request.cloud.volume.reimage(request.context, key, wanted.image_id,
                                 reserved=wire.flag(wanted.reimage_reserved, "reimage_reserved"))


def force_delete(request: Request, key: str, _: Any) -> None:
    request.cloud.volume.delete_volume(request.context, key, force=True)


def set_bootable(request: Request, key: str, value: Any) -> Response:
    bootable = wire.flag(wire.argument("os-set_bootable", value, wire.Bootable).bootable, "bootable")
    request.cloud.volume.set_bootable(request.context, key, bootable)
    return Response(200)


def set_readonly(request: Request, key: str, value: Any) -> None:
    readonly = wire.flag(wire.argument("os-update_readonly_flag", value, wire.Readonly).readonly, "readonly")
    request.cloud.volume.set_readonly(request.context, key, readonly)


STATUSES = frozenset({"creating", "available", "deleting", "error", "error_deleting", "error_managing", "managing",
                      "attaching", "detaching", "in-use", "maintenance", "migrating", "error_extending", "reserved"})


def reset_status(request: Request, key: str, value: Any) -> None:
    body = wire.argument("os-reset_status", value, wire.Status)
    values = {name: each for name in ("status", "attach_status") if (each := getattr(body, name)) is not None}
    if body.status is not None and body.status not in STATUSES:
        raise BadRequest(f"Invalid input for field/attribute status. Value: {body.status}. It is none of "
                         f"{', '.join(sorted(STATUSES))}.")
    if body.migration_status is not None:
        values["migration_status"] = None if body.migration_status == "none" else body.migration_status
    if not values:
        raise BadRequest("Must specify 'status', 'attach_status', or 'migration_status' for update.")
    request.cloud.volume.reset_status(request.context, key, values)


def retype(request: Request, key: str, value: Any) -> None:
    body = wire.argument("os-retype", value, wire.Retype)
    request.cloud.volume.retype(request.context, key, body.new_type, move=body.migration_policy == "on-demand")


def migrate(request: Request, key: str, value: Any) -> None:
    """Every move copies, and nobody else gets at the volume meanwhile: `force_host_copy`, `lock_volume` are so anyway."""
    body = wire.argument("os-migrate_volume", value, wire.Migrate)
    for name in ("force_host_copy", "lock_volume"):
        wire.flag(getattr(body, name), name)
    request.cloud.volume.migrate(request.context, key, body.host)


def migrate_completion(request: Request, key: str, _: Any) -> None:
    request.cloud.volume.show_volume(request.context, key)
    raise BadRequest(f"Invalid volume: Volume {key} has no migration that somebody else could complete.")


def upload(request: Request, key: str, value: Any) -> Response:
    body = wire.argument("os-volume_upload_image", value, wire.Upload)
    for name in ("visibility", "protected"):
        if getattr(body, name) is not UNSET and not request.at_least(3, 1):
            raise wire.unexpected(name)
    visibility = "private" if body.visibility is UNSET else body.visibility
    found, image_id = request.cloud.volume.upload(
        request.context, key, force=wire.flag(body.force, "force"), name=body.image_name, disk_format=body.disk_format,
        container_format=body.container_format, visibility=visibility, protected=wire.flag(body.protected, "protected"))
    return Response(202, {"os-volume_upload_image": uploaded(request, found, body, image_id, visibility)})


def uploaded(request: Request, found: Any, body: wire.Upload, image_id: str, visibility: str) -> dict[str, Any]:
    row = found.rows[0]
    kind = found.types.get(row.type_id)
    shown = {"id": row.id, "updated_at": views.moment(row.updated_at), "status": row.status, "size": row.size,
             "display_description": row.description, "volume_type": kind and views.volume_type(request, kind),
             "image_id": image_id, "container_format": body.container_format, "disk_format": body.disk_format,
             "image_name": body.image_name}
    if request.at_least(3, 1):
        shown |= {"protected": wire.flag(body.protected, "protected"), "visibility": visibility}
    return shown


def revert(request: Request, key: str, value: Any) -> None:
    request.cloud.volume.revert(request.context, key, wire.argument("revert", value, wire.Revert).snapshot_id)


def unmanage(request: Request, key: str, _: Any) -> None:
    request.cloud.volume.unmanage_volume(request.context, key)


def set_image_metadata(request: Request, key: str, value: Any) -> Response:
    items = wire.argument("os-set_image_metadata", value, wire.ImageMetadata).metadata
    after = request.cloud.volume.change_metadata(request.context, volumes, key, "Volume", lambda old: {**old, **items},
                                                 "image_metadata")
    return Response(200, {"metadata": after})


def unset_image_metadata(request: Request, key: str, value: Any) -> Response:
    name = wire.argument("os-unset_image_metadata", value, wire.OneKey).key
    request.cloud.volume.change_metadata(request.context, volumes, key, "Volume", lambda old: without(old, name),
                                         "image_metadata")
    return Response(200)


def without(old: dict[str, str], name: str) -> dict[str, str]:
    if name not in old:
        raise NotFound(f"Metadata item {name} was not found.")
    return {key: value for key, value in old.items() if key != name}


def show_image_metadata(request: Request, key: str, _: Any) -> Response:
    found = request.cloud.volume.show_volume(request.context, key)
    return Response(200, {"metadata": found.rows[0].image_metadata or {}})


def attach(request: Request, key: str, value: Any) -> None:
    body = wire.argument("os-attach", value, wire.Attach)
    if bool(body.instance_uuid) == bool(body.host_name):
        raise BadRequest("Invalid request to attach volume to an instance and a host, or to none: name one of them.")
    request.cloud.volume.attach(request.context, key, body.instance_uuid, body.host_name, body.mountpoint, body.mode or "rw")


def detach(request: Request, key: str, value: Any) -> None:
    body = wire.argument("os-detach", value, wire.Detach)
    request.cloud.volume.detach(request.context, key, body.attachment_id)


def reserve(request: Request, key: str, _: Any) -> None:
    request.cloud.volume.mark(request.context, key, ("available",), "attaching")


def unreserve(request: Request, key: str, _: Any) -> None:
    request.cloud.volume.unmark(request.context, key, "attaching")


def begin_detaching(request: Request, key: str, _: Any) -> None:
    request.cloud.volume.mark(request.context, key, ("in-use",), "detaching")


def roll_detaching(request: Request, key: str, _: Any) -> None:
    request.cloud.volume.unmark(request.context, key, "detaching")


def initialize(request: Request, key: str, value: Any) -> Response:
    wire.argument("os-initialize_connection", value, wire.Connector)
    row = request.cloud.volume.show_volume(request.context, key).rows[0]
    if row.status not in (*READY, "attaching"):
        raise BadRequest(f"Invalid volume: its status is {row.status}.")
    data = {"volume_id": row.id, "access_mode": "ro" if row.readonly else "rw",
            "encrypted": row.encryption_key_id is not None}
    return Response(200, {"connection_info": {"driver_volume_type": "local", "data": data}})


def terminate(request: Request, key: str, value: Any) -> None:
    wire.argument("os-terminate_connection", value, wire.Connector)
    request.cloud.volume.show_volume(request.context, key)  # nothing is kept open for a connection


ACTIONS = {
    "os-extend": Action(extend),
    "os-reimage": Action(reimage, MEMBER, (3, 68)),
    "os-force_delete": Action(force_delete, ADMIN),
    "os-set_bootable": Action(set_bootable),
    "os-update_readonly_flag": Action(set_readonly),
    "os-reset_status": Action(reset_status, ADMIN),
    "os-retype": Action(retype),
    "os-migrate_volume": Action(migrate, ADMIN),
    "os-migrate_volume_completion": Action(migrate_completion, ADMIN),
    "os-volume_upload_image": Action(upload),
    "revert": Action(revert, MEMBER, (3, 40)),
    "os-unmanage": Action(unmanage, ADMIN),
    "os-set_image_metadata": Action(set_image_metadata),
    "os-unset_image_metadata": Action(unset_image_metadata),
    "os-show_image_metadata": Action(show_image_metadata, READER),
    "os-attach": Action(attach),
    "os-detach": Action(detach),
    "os-force_detach": Action(detach, ADMIN),
    "os-reserve": Action(reserve),
    "os-unreserve": Action(unreserve),
    "os-begin_detaching": Action(begin_detaching),
    "os-roll_detaching": Action(roll_detaching),
    "os-initialize_connection": Action(initialize),
    "os-terminate_connection": Action(terminate),
}
