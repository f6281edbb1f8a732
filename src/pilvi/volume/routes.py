"""What Volume answers: the Block Storage API v3, with and without the project in the address."""

from __future__ import annotations

from functools import partial
from typing import Any

from pilvi.faults import BadRequest, Fault
from pilvi.http.request import Request, Response
from pilvi.http.routing import Api, Microversions, Route, plain_fault
from pilvi.volume import handlers_cloud as cloud
from pilvi.volume import handlers_metadata as metadata
from pilvi.volume import handlers_more as more
from pilvi.volume import handlers_snapshots as snapshots
from pilvi.volume import handlers_types as types
from pilvi.volume import handlers_volumes as volumes
from pilvi.volume import policy, views

FAULT_NAMES = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 405: "badMethod", 409: "conflictingRequest",
               413: "overLimit", 415: "badMediaType", 501: "notImplemented", 503: "serviceUnavailable"}


def fault(refused: Fault) -> dict[str, Any]:
    """Cinder's shape; a missing or bad token is answered as Identity's middleware answers it."""
    if refused.status == 401:
        return plain_fault(refused)
    return {FAULT_NAMES.get(refused.status, "computeFault"): {"code": refused.status, "message": refused.message}}


def in_project(handler: Any, request: Request) -> Response:
    """The older addresses name the project; another than the token's is a mistake. Raises BadRequest."""
    if request.params.pop("project_id") != request.context.project_id:
        raise BadRequest("Malformed request url")
    return handler(request)


READ, WRITE, ADMIN, INFO = "volume:read", "volume:write", "volume:admin", "volume:info"
_V, _S, _T, _A = "/volumes/{volume_id}", "/snapshots/{snapshot_id}", "/types/{type_id}", "/attachments/{attachment_id}"
_B, _G, _GT, _GS, _Q = ("/backups/{backup_id}", "/groups/{group_id}", "/group_types/{type_id}", "/group_snapshots/{key}",
                        "/qos-specs/{qos_id}")


def crud(*rows: tuple[str, str, Any, str], since: str | None = None) -> tuple[Route, ...]:
    return tuple(Route(*row, since=since) for row in rows)


def transfers(path: str, since: str | None = None) -> tuple[Route, ...]:
    return crud(
        ("GET", path, more.list_transfers, READ), ("POST", path, more.create_transfer, WRITE),
        ("GET", path + "/detail", more.list_transfers_detail, READ),
        ("GET", path + "/{transfer_id}", more.show_transfer, READ),
        ("DELETE", path + "/{transfer_id}", more.delete_transfer, WRITE),
        ("POST", path + "/{transfer_id}/accept", more.accept_transfer, WRITE), since=since)


BELOW = (
    *crud(
        ("GET", "/volumes", volumes.list_volumes, READ), ("POST", "/volumes", volumes.create, WRITE),
        ("GET", "/volumes/detail", volumes.list_detail, READ),
        ("GET", _V, volumes.show, READ), ("PUT", _V, volumes.update, WRITE), ("DELETE", _V, volumes.delete, WRITE),
        ("POST", _V + "/action", volumes.act, READ),
        ("GET", _V + "/encryption", volumes.show_encryption, READ),
        ("GET", _V + "/encryption/{key}", volumes.show_encryption_item, READ),
        ("GET", "/snapshots", snapshots.list_snapshots, READ), ("POST", "/snapshots", snapshots.create, WRITE),
        ("GET", "/snapshots/detail", snapshots.list_detail, READ),
        ("GET", _S, snapshots.show, READ), ("PUT", _S, snapshots.update, WRITE),
        ("DELETE", _S, snapshots.delete, WRITE),
        ("POST", _S + "/action", snapshots.act, WRITE),
        ("GET", "/types", types.list_types, READ), ("POST", "/types", types.create_type, ADMIN),
        ("GET", "/types/default", types.show_default, READ),
        ("GET", _T, types.show_type, READ), ("PUT", _T, types.update_type, ADMIN),
        ("DELETE", _T, types.delete_type, ADMIN),
        ("POST", _T + "/action", types.act_type, ADMIN),
        ("GET", _T + "/os-volume-type-access", types.list_access, ADMIN),
        ("GET", _T + "/extra_specs", types.list_specs, READ), ("POST", _T + "/extra_specs", types.create_specs, ADMIN),
        ("GET", _T + "/extra_specs/{key}", types.show_spec, READ),
        ("PUT", _T + "/extra_specs/{key}", types.update_spec, ADMIN),
        ("DELETE", _T + "/extra_specs/{key}", types.delete_spec, ADMIN),
        ("GET", _T + "/encryption", types.show_encryption, ADMIN),
        ("POST", _T + "/encryption", types.create_encryption, ADMIN),
        ("GET", _T + "/encryption/{key}", types.show_encryption_item, ADMIN),
        ("PUT", _T + "/encryption/{key}", types.update_encryption, ADMIN),
        ("DELETE", _T + "/encryption/{key}", types.delete_encryption, ADMIN),
        ("GET", "/qos-specs", types.list_qos, ADMIN), ("POST", "/qos-specs", types.create_qos, ADMIN),
        ("GET", _Q, types.show_qos, ADMIN), ("PUT", _Q, types.update_qos, ADMIN),
        ("DELETE", _Q, types.delete_qos, ADMIN),
        ("PUT", _Q + "/delete_keys", types.unset_qos, ADMIN), ("GET", _Q + "/associate", types.associate, ADMIN),
        ("GET", _Q + "/disassociate", types.disassociate, ADMIN),
        ("GET", _Q + "/disassociate_all", types.disassociate_all, ADMIN),
        ("GET", _Q + "/associations", types.associations, ADMIN),
        ("GET", "/backups", more.list_backups, READ), ("POST", "/backups", more.create_backup, WRITE),
        ("GET", "/backups/detail", more.list_backups_detail, READ),
        ("POST", "/backups/import_record", more.import_record, ADMIN),
        ("GET", _B, more.show_backup, READ), ("DELETE", _B, more.delete_backup, WRITE),
        ("POST", _B + "/restore", more.restore_backup, WRITE), ("POST", _B + "/action", more.act_backup, WRITE),
        ("GET", _B + "/export_record", more.export_record, ADMIN),
        ("GET", "/limits", cloud.limits, READ), ("GET", "/extensions", cloud.extensions, INFO),
        ("GET", "/extensions/{alias}", cloud.show_extension, INFO),
        ("GET", "/os-quota-sets/{target_id}", cloud.show_quotas, READ),
        ("PUT", "/os-quota-sets/{target_id}", cloud.update_quotas, ADMIN),
        ("DELETE", "/os-quota-sets/{target_id}", cloud.delete_quotas, ADMIN),
        ("GET", "/os-quota-sets/{target_id}/defaults", cloud.default_quotas, READ),
        ("GET", "/os-quota-class-sets/{name}", cloud.show_quota_class, ADMIN),
        ("PUT", "/os-quota-class-sets/{name}", cloud.update_quota_class, ADMIN),
        ("GET", "/os-availability-zone", cloud.zones, INFO), ("GET", "/os-services", cloud.services, ADMIN),
        ("PUT", "/os-services/enable", cloud.enable_service, ADMIN),
        ("PUT", "/os-services/disable", cloud.disable_service, ADMIN),
        ("PUT", "/os-services/disable-log-reason", cloud.disable_with_reason, ADMIN),
        ("PUT", "/os-services/freeze", cloud.freeze, ADMIN), ("PUT", "/os-services/thaw", cloud.thaw, ADMIN),
        ("PUT", "/os-services/failover_host", cloud.failover, ADMIN),
        ("GET", "/os-hosts", cloud.hosts, ADMIN), ("GET", "/os-hosts/{host}", cloud.show_host, ADMIN),
        ("GET", "/scheduler-stats/get_pools", cloud.pools, ADMIN),
        ("GET", "/capabilities/{host}", cloud.capabilities, ADMIN),
        ("POST", "/os-volume-manage", more.manage_volume, ADMIN),
        ("GET", "/os-volume-manage", more.manageable_volumes, ADMIN),
        ("GET", "/os-volume-manage/detail", more.manageable_volumes_detail, ADMIN),
        ("POST", "/os-snapshot-manage", more.manage_snapshot, ADMIN),
        ("GET", "/os-snapshot-manage", more.manageable_snapshots, ADMIN),
        ("GET", "/os-snapshot-manage/detail", more.manageable_snapshots_detail, ADMIN),
    ),
    *metadata.routes(_V), *metadata.routes(_S),
    *transfers("/os-volume-transfer"), *transfers("/volume-transfers", "3.55"),
    Route("GET", "/volumes/summary", volumes.summary, READ, "3.12"),
    Route("GET", "/messages", more.list_messages, READ, "3.3"),
    Route("GET", "/messages/{message_id}", more.show_message, READ, "3.3"),
    Route("DELETE", "/messages/{message_id}", more.delete_message, WRITE, "3.3"),
    Route("GET", "/clusters", cloud.clusters, ADMIN, "3.7"),
    Route("GET", "/clusters/detail", cloud.clusters, ADMIN, "3.7"),
    Route("GET", "/clusters/{name}", cloud.show_cluster, ADMIN, "3.7"),
    Route("PUT", "/clusters/enable", cloud.set_cluster, ADMIN, "3.7"),
    Route("PUT", "/clusters/disable", cloud.set_cluster, ADMIN, "3.7"),
    Route("PUT", "/os-services/failover", cloud.failover, ADMIN, "3.26"),
    Route("PUT", "/os-services/get-log", cloud.log_levels, ADMIN, "3.32"),
    Route("PUT", "/os-services/set-log", cloud.log_levels, ADMIN, "3.32"),
    Route("PUT", _B, more.update_backup, WRITE, "3.9"),
    *crud(
        ("GET", "/group_types", more.list_group_types, READ), ("POST", "/group_types", more.create_group_type, ADMIN),
        ("GET", "/group_types/default", more.default_group_type, READ), ("GET", _GT, more.show_group_type, READ),
        ("PUT", _GT, more.update_group_type, ADMIN), ("DELETE", _GT, more.delete_group_type, ADMIN),
        ("GET", _GT + "/group_specs", more.list_group_specs, ADMIN),
        ("POST", _GT + "/group_specs", more.create_group_specs, ADMIN),
        ("GET", _GT + "/group_specs/{key}", more.show_group_spec, ADMIN),
        ("PUT", _GT + "/group_specs/{key}", more.update_group_spec, ADMIN),
        ("DELETE", _GT + "/group_specs/{key}", more.delete_group_spec, ADMIN), since="3.11"),
    *crud(
        ("GET", "/groups", more.list_groups, READ), ("POST", "/groups", more.create_group, WRITE),
        ("GET", "/groups/detail", more.list_groups_detail, READ), ("GET", _G, more.show_group, READ),
        ("PUT", _G, more.update_group, WRITE), ("POST", _G + "/action", more.act_group, WRITE), since="3.13"),
    *crud(
        ("POST", "/groups/action", more.create_group_from, WRITE),
        ("GET", "/group_snapshots", more.list_group_snapshots, READ),
        ("POST", "/group_snapshots", more.create_group_snapshot, WRITE),
        ("GET", "/group_snapshots/detail", more.list_group_snapshots_detail, READ),
        ("GET", _GS, more.show_group_snapshot, READ), ("DELETE", _GS, more.delete_group_snapshot, WRITE),
        ("POST", _GS + "/action", more.act_group_snapshot, WRITE), since="3.14"),
    Route("POST", "/workers/cleanup", cloud.cleanup, ADMIN, "3.24"),
    *crud(
        ("GET", "/attachments", snapshots.list_attachments, READ),
        ("POST", "/attachments", snapshots.create_attachment, WRITE),
        ("GET", "/attachments/detail", snapshots.list_attachments_detail, READ),
        ("GET", _A, snapshots.show_attachment, READ), ("PUT", _A, snapshots.update_attachment, WRITE),
        ("DELETE", _A, snapshots.delete_attachment, WRITE), ("POST", _A + "/action", snapshots.act_attachment, WRITE),
        since="3.27"),
    Route("GET", "/resource_filters", cloud.resource_filters, READ, "3.33"),
    Route("GET", "/manageable_volumes", more.manageable_volumes, ADMIN, "3.8"),
    Route("POST", "/manageable_volumes", more.manage_volume, ADMIN, "3.8"),
    Route("GET", "/manageable_volumes/detail", more.manageable_volumes_detail, ADMIN, "3.8"),
    Route("GET", "/manageable_snapshots", more.manageable_snapshots, ADMIN, "3.8"),
    Route("POST", "/manageable_snapshots", more.manage_snapshot, ADMIN, "3.8"),
    Route("GET", "/manageable_snapshots/detail", more.manageable_snapshots_detail, ADMIN, "3.8"),
    *crud(
        ("GET", "/default-types", types.list_default_types, ADMIN),
        ("GET", "/default-types/{target_id}", types.show_default_type, ADMIN),
        ("PUT", "/default-types/{target_id}", types.set_default_type, ADMIN),
        ("DELETE", "/default-types/{target_id}", types.unset_default_type, ADMIN), since="3.62"),
)

ROUTES = (
    Route("GET", "", cloud.versions, None),
    Route("GET", "/v3", cloud.version, None),
    *(route._replace(path="/v3" + route.path) for route in BELOW),
    *(route._replace(path="/v3/{project_id}" + route.path, handler=partial(in_project, route.handler)) for route in BELOW),
)

API = Api("volume", views.PREFIX, ROUTES, policy.RULES, fault, Microversions("volume", cloud.OLDEST, cloud.NEWEST),
          lambda request_id: {"x-compute-request-id": request_id}, strict_slash=True)
