"""How Volume's things are shown, per microversion."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.engine.clock import micros_text
from pilvi.http.request import Request
from pilvi.volume.service import Found

PREFIX = "/volume"


def moment(value: int | None) -> str | None:
    return None if value is None else micros_text(value)


def links(request: Request, collection: str, key: str) -> list[dict[str, str]]:
    project = request.context.project_id
    return [{"rel": "self", "href": f"{request.base_url}{PREFIX}/v3/{project}/{collection}/{key}"},
            {"rel": "bookmark", "href": f"{request.base_url}{PREFIX}/{project}/{collection}/{key}"}]


def brief(request: Request, row: sa.Row, collection: str) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "links": links(request, collection, row.id)}


def volumes(request: Request, found: Found) -> list[dict[str, Any]]:
    return [volume(request, found, row) for row in found.rows]


def one(request: Request, found: Found, *, full: bool = True) -> dict[str, Any]:
    return {"volume": volume(request, found, found.rows[0], full=full)}


def volume(request: Request, found: Found, row: sa.Row, *, full: bool = True) -> dict[str, Any]:
    """`full`: with what Cinder's extensions add, which a new volume is not shown with."""
    kind = found.types.get(row.type_id)
    metadata = dict(row.metadata)
    if row.readonly is not None:
        metadata["readonly"] = str(row.readonly)
    held = [each for each in found.attachments.get(row.id, ()) if each.status in ("attached", "detaching")]
    shown: dict[str, Any] = {
        "id": row.id, "status": row.status, "size": row.size, "availability_zone": row.availability_zone,
        "created_at": moment(row.created_at), "updated_at": moment(row.updated_at), "name": row.name,
        "description": row.description, "volume_type": kind and kind.name, "snapshot_id": row.snapshot_id,
        "source_volid": row.source_volid, "metadata": metadata, "user_id": row.user_id,
        "bootable": str(row.bootable).lower(), "encrypted": row.encryption_key_id is not None, "replication_status": None,
        "consistencygroup_id": None, "multiattach": row.multiattach, "links": links(request, "volumes", row.id),
        "attachments": [_used(request, each) for each in held],
    }
    if request.context.is_admin:
        shown["migration_status"] = row.migration_status
    _later(request, row, shown)
    if full:
        _full(request, row, shown)
    return shown


def _later(request: Request, row: sa.Row, shown: dict[str, Any]) -> None:
    if request.at_least(3, 13):
        shown["group_id"] = row.group_id
    if request.at_least(3, 21):
        shown["provider_id"] = None
    if request.at_least(3, 48):
        shown |= {"shared_targets": None if request.at_least(3, 69) else False, "service_uuid": None}
    if request.at_least(3, 61) and request.context.is_admin:
        shown["cluster_name"] = None
    if request.at_least(3, 63):
        shown["volume_type_id"] = row.type_id
    if request.at_least(3, 64) and row.encryption_key_id is not None:
        shown["encryption_key_id"] = row.encryption_key_id
    if request.at_least(3, 65):
        shown["consumes_quota"] = True


def _full(request: Request, row: sa.Row, shown: dict[str, Any]) -> None:
    shown["os-vol-tenant-attr:tenant_id"] = row.project_id
    if row.image_metadata:
        shown["volume_image_metadata"] = row.image_metadata
    if request.context.is_admin:
        shown |= {"os-vol-host-attr:host": row.host and f"{row.host}@{row.backend}#{row.backend}",
                  "os-vol-mig-status-attr:migstat": row.migration_status, "os-vol-mig-status-attr:name_id": None}


def _used(request: Request, row: sa.Row) -> dict[str, Any]:
    return {"id": row.volume_id, "attachment_id": row.id, "volume_id": row.volume_id, "server_id": row.server_id,
            "host_name": row.host_name if request.context.is_admin else None, "device": row.mountpoint,
            "attached_at": moment(row.attached_at)}


def snapshot_summary(row: sa.Row) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "description": row.description, "status": row.status, "size": row.size,
            "volume_id": row.volume_id, "metadata": row.metadata, "created_at": moment(row.created_at),
            "updated_at": moment(row.updated_at)}


def snapshot(request: Request, row: sa.Row, *, full: bool = False) -> dict[str, Any]:
    shown = snapshot_summary(row)
    if full:
        shown |= {"os-extended-snapshot-attributes:progress": row.progress,
                  "os-extended-snapshot-attributes:project_id": row.project_id}
    if full and request.at_least(3, 14):
        shown["group_snapshot_id"] = row.group_snapshot_id
    if request.at_least(3, 41):
        shown["user_id"] = row.user_id
    if request.at_least(3, 65):
        shown["consumes_quota"] = True
    return shown


def volume_type(request: Request, row: sa.Row, *, full: bool = True) -> dict[str, Any]:
    shown = {"id": row.id, "name": row.name, "description": row.description, "is_public": row.is_public}
    if full:
        shown["os-volume-type-access:is_public"] = row.is_public
    if request.context.is_admin:
        shown["extra_specs"] = row.extra_specs
        if full:
            shown["qos_specs_id"] = row.qos_id
    return shown


def attachment(row: sa.Row) -> dict[str, Any]:
    return {"id": row.id, "volume_id": row.volume_id, "instance": row.server_id, "status": row.status,
            "attached_at": moment(row.attached_at) or "", "detached_at": moment(row.detached_at) or "",
            "attach_mode": row.mode, "connection_info": row.connection_info or {}}


def attachment_brief(row: sa.Row) -> dict[str, Any]:
    return {"id": row.id, "volume_id": row.volume_id, "instance": row.server_id, "status": row.status}


def backup(request: Request, row: sa.Row, based_on: bool) -> dict[str, Any]:
    shown = {"id": row.id, "name": row.name, "description": row.description, "status": row.status, "size": row.size,
             "volume_id": row.volume_id, "snapshot_id": row.snapshot_id, "container": row.container,
             "object_count": row.object_count, "availability_zone": row.availability_zone,
             "created_at": moment(row.created_at), "updated_at": moment(row.updated_at), "fail_reason": row.fail_reason,
             "links": links(request, "backups", row.id), "is_incremental": row.parent_id is not None,
             "has_dependent_backups": based_on, "data_timestamp": moment(row.data_timestamp)}
    if request.at_least(3, 18) and request.context.is_admin:
        shown["os-backup-project-attr:project_id"] = row.project_id
    if request.at_least(3, 43):
        shown["metadata"] = row.metadata
    if request.at_least(3, 56):
        shown["user_id"] = row.user_id
    if request.at_least(3, 64) and row.volume_facts.get("encryption_key_id"):
        shown["encryption_key_id"] = row.volume_facts["encryption_key_id"]
    return shown


def transfer(request: Request, row: sa.Row, *, full: bool = True, key: str | None = None, accepted: bool = False,
             destination: str | None = None) -> dict[str, Any]:
    collection = "volume-transfers" if "volume-transfers" in request.path else "os-volume-transfer"
    shown = {"id": row.id, "name": row.name, "volume_id": row.volume_id, "links": links(request, collection, row.id)}
    if not full:
        return shown
    shown["created_at"] = moment(row.created_at)
    if key is not None:
        shown["auth_key"] = key
    if request.at_least(3, 55):
        shown["no_snapshots"] = row.no_snapshots
    if request.at_least(3, 57):
        shown |= {"source_project_id": row.source_project_id, "destination_project_id": destination, "accepted": accepted}
    return shown


def group_type(request: Request, row: sa.Row) -> dict[str, Any]:
    shown = {"id": row.id, "name": row.name, "description": row.description, "is_public": row.is_public}
    if request.context.is_admin:
        shown["group_specs"] = row.group_specs
    return shown


def group(request: Request, row: sa.Row, held: list[str], with_volumes: bool) -> dict[str, Any]:
    shown = {"id": row.id, "name": row.name or "", "description": row.description, "status": row.status,
             "availability_zone": row.availability_zone, "created_at": moment(row.created_at),
             "group_type": row.group_type_id, "volume_types": row.volume_types}
    if request.at_least(3, 14):
        shown |= {"group_snapshot_id": row.group_snapshot_id, "source_group_id": row.source_group_id}
    if request.at_least(3, 25) and with_volumes:
        shown["volumes"] = held
    if request.at_least(3, 38):
        shown["replication_status"] = None
    return shown


def group_snapshot(row: sa.Row) -> dict[str, Any]:
    return {"id": row.id, "name": row.name or "", "description": row.description, "status": row.status,
            "created_at": moment(row.created_at), "group_id": row.group_id, "group_type_id": row.group_type_id}


def message(request: Request, row: sa.Row) -> dict[str, Any]:
    return {"id": row.id, "event_id": row.event_id, "user_message": row.text, "message_level": "ERROR",
            "created_at": moment(row.created_at), "guaranteed_until": moment(row.expires_at),
            "request_id": row.request_id, "links": links(request, "messages", row.id),
            "resource_type": row.resource_type, "resource_uuid": row.resource_id}
