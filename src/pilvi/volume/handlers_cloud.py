"""Versions, limits, quotas, zones, services and pools of Volume over the API."""

from __future__ import annotations

from typing import Any

from pilvi import __version__
from pilvi.engine.clock import micros_text, seconds_text
from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.http.request import Request, Response
from pilvi.volume import views, wire
from pilvi.volume.backends import ServiceView
from pilvi.volume.base import ZONE
from pilvi.volume.handlers_volumes import FILTERS
from pilvi.volume.types import CAPABILITIES, PROTOCOL, VENDOR

OLDEST, NEWEST = "3.0", "3.71"
GIB = 1 << 30

# -- versions


def version_view(request: Request) -> dict[str, Any]:
    return {
        "id": "v3.0", "status": "CURRENT", "version": NEWEST, "min_version": OLDEST, "updated": "2023-08-31T00:00:00Z",
        "links": [{"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
                  {"rel": "self", "href": f"{request.base_url}{views.PREFIX}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}]}


def versions(request: Request) -> Response:
    return Response(300, {"versions": [version_view(request)]})


def version(request: Request) -> Response:
    return Response(200, {"versions": [version_view(request)]})


EXTENSIONS = {  # name, description
    "os-admin-actions": ("AdminActions", "Resets states, and deletes by force."),
    "os-availability-zone": ("AvailabilityZones", "Lists availability zones."),
    "backups": ("Backups", "Backups of volumes."),
    "capabilities": ("Capabilities", "What backends can do."),
    "os-extended-snapshot-attributes": ("ExtendedSnapshotAttributes", "Progress and project of snapshots."),
    "os-hosts": ("Hosts", "What hosts keep."),
    "qos-specs": ("Qos_specs_manage", "Limits of throughput."),
    "os-quota-class-sets": ("QuotaClasses", "Default quotas."),
    "os-quota-sets": ("Quotas", "Quotas of projects."),
    "scheduler-stats": ("Scheduler_stats", "What backends have."),
    "os-services": ("Services", "The services of the cloud."),
    "os-snapshot-actions": ("SnapshotActions", "States of snapshots that others take."),
    "os-snapshot-manage": ("SnapshotManage", "Takes in snapshots that are there."),
    "os-snapshot-unmanage": ("SnapshotUnmanage", "Lets go of snapshots."),
    "os-types-extra-specs": ("TypesExtraSpecs", "Extra specs of volume types."),
    "os-types-manage": ("TypesManage", "Makes volume types."),
    "os-used-limits": ("UsedLimits", "What of the limits is in use."),
    "os-volume-actions": ("VolumeActions", "What volumes are told."),
    "os-vol-host-attr": ("VolumeHostAttribute", "The host of a volume."),
    "os-vol-image-meta": ("VolumeImageMetadata", "Of the image a volume was made from."),
    "os-volume-manage": ("VolumeManage", "Takes in volumes that are there."),
    "os-vol-mig-status-attr": ("VolumeMigStatusAttribute", "Where a volume moves to."),
    "os-vol-tenant-attr": ("VolumeTenantAttribute", "The project of a volume."),
    "os-volume-transfer": ("VolumeTransfer", "Volumes that go to another project."),
    "os-volume-type-access": ("VolumeTypeAccess", "Who may use private volume types."),
    "encryption": ("VolumeTypeEncryption", "Encryption of volume types."),
    "os-volume-unmanage": ("VolumeUnmanage", "Lets go of volumes."),
}


def extension(alias: str) -> dict[str, Any]:
    name, description = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": description, "links": [], "updated": "2017-01-01T00:00:00+00:00"}


def extensions(request: Request) -> Response:
    return Response(200, {"extensions": [extension(alias) for alias in EXTENSIONS]})


def show_extension(request: Request) -> Response:
    if request.params["alias"] not in EXTENSIONS:
        raise NotFound("The resource could not be found.")
    return Response(200, {"extension": extension(request.params["alias"])})


# -- limits and quotas


def limits(request: Request) -> Response:
    project = request.context.project_id or ""
    if request.context.is_admin and request.at_least(3, 39):
        project = request.arg("project_id") or request.arg("tenant_id") or project
    may, has = request.cloud.volume.quotas(project)
    absolute = {"maxTotalVolumeGigabytes": may["gigabytes"], "totalGigabytesUsed": has["gigabytes"],
                "maxTotalBackupGigabytes": may["backup_gigabytes"], "totalBackupGigabytesUsed": has["backup_gigabytes"]}
    for noun in ("volumes", "snapshots", "backups"):
        absolute |= {f"maxTotal{noun.title()}": may[noun], f"total{noun.title()}Used": has[noun]}
    return Response(200, {"limits": {"rate": [], "absolute": absolute}})


def _quota_project(request: Request) -> str:
    """Raises Forbidden for another's project."""
    project = request.params["target_id"]
    if not request.context.is_admin and project != request.context.project_id:
        raise Forbidden("Policy doesn't allow volume_extension:quotas:show to be performed.")
    return project


def show_quotas(request: Request) -> Response:
    project = _quota_project(request)
    may, has = request.cloud.volume.quotas(project)
    shown: dict[str, Any] = {"id": project, **may}
    if request.flag("usage", False):
        shown |= {name: {"limit": limit, "in_use": has[name], "reserved": 0} for name, limit in may.items()}
    return Response(200, {"quota_set": shown})


def default_quotas(request: Request) -> Response:
    project = _quota_project(request)
    return Response(200, {"quota_set": {"id": project, **request.cloud.volume.default_quotas()}})


def update_quotas(request: Request) -> Response:
    wanted = wire.limits(request.decode(wire.QuotaRequest).quota_set)
    return Response(200, {"quota_set": request.cloud.volume.set_quotas(request.params["target_id"], wanted)})


def delete_quotas(request: Request) -> Response:
    request.cloud.volume.reset_quotas(request.params["target_id"])
    return Response(200)


def _class(request: Request) -> str:
    if (name := request.params["name"]) != "default":
        raise NotFound(f"Quota class {name} could not be found: there is only default.")
    return name


def show_quota_class(request: Request) -> Response:
    return Response(200, {"quota_class_set": {"id": _class(request), **request.cloud.volume.default_quotas()}})


def update_quota_class(request: Request) -> Response:
    _class(request)
    wanted = wire.limits(request.decode(wire.QuotaClassRequest).quota_class_set)
    return Response(200, {"quota_class_set": request.cloud.volume.set_default_quotas(wanted)})


# -- zones, services, hosts


def zones(request: Request) -> Response:
    return Response(200, {"availabilityZoneInfo": [{"zoneName": ZONE, "zoneState": {"available": True}}]})


def service_view(request: Request, each: ServiceView) -> dict[str, Any]:
    shown = {"binary": each.binary, "host": each.host, "zone": each.zone, "status": _status(each.disabled),
             "state": "up" if each.up else "down", "updated_at": micros_text(request.cloud.clock.now()),
             "disabled_reason": each.disabled_reason}
    if each.binary == "cinder-volume":
        shown |= {"frozen": each.frozen, "replication_status": "disabled", "active_backend_id": None}
        if request.at_least(3, 49):
            shown["backend_state"] = "up" if each.up else "down"
    if request.at_least(3, 7):
        shown["cluster"] = None
    return shown


def _status(disabled: bool) -> str:
    return "disabled" if disabled else "enabled"


def services(request: Request) -> Response:
    found = request.cloud.volume.services(request.arg("host"), request.arg("binary"))
    return Response(200, {"services": [service_view(request, each) for each in found]})


def _service(request: Request, **values: Any) -> dict[str, Any]:
    body = request.decode(wire.Service)
    binary = body.binary or body.service
    if not binary:
        raise BadRequest("Missing required element 'binary' in request body.")
    found = request.cloud.volume.set_service(body.host, binary, **values)
    return {"host": found.host, "service": binary, "binary": binary, "disabled": found.disabled,
            "status": _status(found.disabled)}


def enable_service(request: Request) -> Response:
    return Response(200, {**_service(request, disabled=False, disabled_reason=None), "disabled_reason": None})


def disable_service(request: Request) -> Response:
    return Response(200, _service(request, disabled=True, disabled_reason=None))


def disable_with_reason(request: Request) -> Response:
    reason = request.decode(wire.Service).disabled_reason
    if not isinstance(reason, str):
        raise BadRequest("Disabled reason contains invalid characters or is too long: it has 1 to 255 characters.")
    return Response(200, {**_service(request, disabled=True, disabled_reason=reason), "disabled_reason": reason})


def freeze(request: Request) -> Response:
    request.cloud.volume.freeze(request.decode(wire.HostOnly).host, True)
    return Response(200)


def thaw(request: Request) -> Response:
    request.cloud.volume.freeze(request.decode(wire.HostOnly).host, False)
    return Response(200)


def failover(request: Request) -> Response:
    body = request.decode(wire.Failover)
    if not (host := body.host or body.cluster):
        raise BadRequest("Invalid input for field/attribute host. Name the host, or its cluster.")
    raise BadRequest(f"Invalid host: the backend of {host} has no replication target that it could fail over to.")


def hosts(request: Request) -> Response:
    now = seconds_text(request.cloud.clock.now()).rstrip("Z") + ".000000"
    shown = [{"host_name": each.host, "service": each.binary, "zone": each.zone, "last-update": now,
              "service-status": "available" if each.up else "unavailable", "service-state": _status(each.disabled)}
             for each in request.cloud.volume.services()]
    return Response(200, {"hosts": shown})


def show_host(request: Request) -> Response:
    host = request.params["host"]
    rows = request.cloud.volume.host_usage(host)
    total = ("(total)", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True))) if rows else (
        "(total)", 0, 0, 0, 0)
    names = ("project", "volume_count", "total_volume_gb", "snapshot_count", "total_snapshot_gb")
    return Response(200, {"host": [
        {"resource": {"host": host, **dict(zip(names, map(str, row), strict=True))}} for row in (total, *rows)]})


# -- pools and capabilities


def pools(request: Request) -> Response:
    service = request.cloud.volume
    if not request.flag("detail", False):
        return Response(200, {"pools": [{"name": service.pool_name(each)} for each in service.backends]})
    return Response(200, {"pools": [pool(request, each) for each in service.backends]})


def pool(request: Request, backend: str) -> dict[str, Any]:
    service = request.cloud.volume
    found, now = service.capacity(backend), micros_text(request.cloud.clock.now())
    return {"name": service.pool_name(backend), "capabilities": {
        "volume_backend_name": backend,
        **{name: value == "True" if value in ("True", "False") else value for name, value in CAPABILITIES.items()},
        "driver_version": __version__, "total_capacity_gb": round(found.total_bytes / GIB, 2),
        "free_capacity_gb": round(found.free_bytes / GIB, 2), "reserved_percentage": 0, "timestamp": now, "updated": now,
        "location_info": service.pool_name(backend), "max_over_subscription_ratio": "20.0"}}


PROPERTIES = {
    "thin_provisioning": ("Thin Provisioning", "Sets thin provisioning.", "boolean"),
    "qos": ("QoS", "Enables QoS.", "boolean"),
    "multiattach": ("Multiattach", "Lets several servers use a volume.", "boolean"),
}


def capabilities(request: Request) -> Response:
    host = request.params["host"]
    if (backend := request.cloud.volume.backend_at(host)) is None:
        raise NotFound(f"Service {host} could not be found.")
    properties = {name: {"title": title, "description": text, "type": kind}
                  for name, (title, text, kind) in PROPERTIES.items()}
    return Response(200, {
        "namespace": f"OS::Storage::Capabilities::{host}", "vendor_name": VENDOR, "volume_backend_name": backend,
        "pool_name": backend, "driver_version": __version__, "storage_protocol": PROTOCOL, "display_name": "Files",
        "description": "Volumes as chains of qcow2 files", "visibility": "public", "replication_targets": [],
        "properties": properties})


RESOURCE_FILTERS = {
    "volume": sorted(FILTERS), "snapshot": ["metadata", "name", "project_id", "status", "volume_id"],
    "backup": ["name", "snapshot_id", "status", "volume_id"], "attachment": ["attach_status", "instance_id", "status",
                                                                           "volume_id"],
    "group": ["name", "status"], "group_snapshot": ["group_id", "name", "status"], "volume_type": ["is_public"],
    "message": ["event_id", "message_level", "request_id", "resource_type", "resource_uuid"],
}


def resource_filters(request: Request) -> Response:
    wanted = request.arg("resource")
    return Response(200, {"resource_filters": [{"resource": name, "filters": filters}
                                               for name, filters in RESOURCE_FILTERS.items() if wanted in (None, name)]})


def clusters(request: Request) -> Response:
    """Services of one cluster share their work; here a host's backend stands for itself."""
    return Response(200, {"clusters": []})


def show_cluster(request: Request) -> Response:
    raise NotFound(f"Cluster {request.params['name']} could not be found.")


def set_cluster(request: Request) -> Response:
    """Raises NotFound: there are no clusters that could be switched on or off."""
    raise NotFound(f"Cluster {request.decode(wire.Cluster).name} could not be found.")


def log_levels(request: Request) -> Response:
    raise BadRequest("What is logged is decided for the whole cloud: its services have no levels of their own.")


def cleanup(request: Request) -> Response:
    """Nothing has to be cleaned up by hand: whatever was under way is taken up by whoever starts next."""
    return Response(202, {"cleaning": [], "unavailable": []})
