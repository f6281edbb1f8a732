"""Hosts by their old name (until 2.42), what hypervisors were asked until 2.52, and the usage audit log."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from pilvi.compute import wire
from pilvi.compute.handlers_cloud import hypervisor_brief, hypervisor_id
from pilvi.compute.service import HostView
from pilvi.engine.clock import parse_time
from pilvi.faults import BadRequest, NotFound, NotImplementedHere
from pilvi.http.request import Request, Response


def named(request: Request, name: str) -> HostView:
    for host in request.cloud.compute.hosts():
        if host.row.name == name:
            return host
    raise NotFound(f"Compute host {name} could not be found.")


def hosts(request: Request) -> Response:
    zone, service = request.arg("zone"), request.arg("service", "compute")
    return Response(200, {"hosts": [
        {"host_name": host.row.name, "service": "compute", "zone": host.row.availability_zone}
        for host in request.cloud.compute.hosts()
        if zone in (None, "", host.row.availability_zone) and service == "compute"]})


def host(request: Request) -> Response:
    """What it has, what of that is used, by servers and by each project."""
    found = named(request, request.params["host"])
    by_project = request.cloud.compute.used_on(found.row.name)
    disk = sum(each["disk_gb"] for each in by_project.values())
    rows = [("(total)", found.vcpus, found.memory_mib, found.disk_gib),
            ("(used_now)", found.vcpus_used, found.memory_mib_used, found.disk_gib_used),
            ("(used_max)", found.vcpus_used, found.memory_mib_used, disk)]
    rows += [(project, each["cpu"], each["memory_mb"], each["disk_gb"]) for project, each in by_project.items()]
    return Response(200, {"host": [
        {"resource": {"host": found.row.name, "project": project, "cpu": cpu, "memory_mb": memory, "disk_gb": gib}}
        for project, cpu, memory, gib in rows]})


Switch = Annotated[str, Meta(pattern=r"^(?i:enable|disable)\Z")]


class HostChanges(wire.Body):
    status: Switch | UnsetType = UNSET
    maintenance_mode: Switch | UnsetType = UNSET


def update_host(request: Request) -> Response:
    """Raises NotImplementedHere for maintenance mode: disable the host, and migrate its servers."""
    changes = request.decode(HostChanges)
    if changes.status is UNSET and changes.maintenance_mode is UNSET:
        raise wire.invalid("host", "Give it a status or a maintenance_mode.")
    name = named(request, request.params["host"]).row.name
    if changes.maintenance_mode is not UNSET:
        raise NotImplementedHere("Hosts have no maintenance mode: set the status to disable, and migrate the servers.")
    disabled = changes.status.lower() == "disable"
    request.cloud.compute.change_host(name, disabled=disabled, disabled_reason=None)
    return Response(200, {"host": name, "status": "disabled" if disabled else "enabled"})


def host_power(request: Request) -> Response:
    """Raises NotFound, NotImplementedHere: a host is not switched through what runs on it."""
    named(request, request.params["host"])
    raise NotImplementedHere("Hosts are not started, stopped or rebooted through this API.")


# -- hypervisors, until 2.52


def matching(request: Request) -> list[HostView]:
    pattern = request.params["hypervisor_id"]
    found = [host for host in request.cloud.compute.hosts() if pattern in host.row.name]
    if not found:
        raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
    return found


def search(request: Request) -> Response:
    return Response(200, {"hypervisors": [hypervisor_brief(request, each) for each in matching(request)]})


def hypervisor_servers(request: Request) -> Response:
    found = []
    for each in matching(request):
        body = hypervisor_brief(request, each)
        if each.servers:
            body["servers"] = [{"uuid": server_id, "name": name} for server_id, name in each.servers]
        found.append(body)
    return Response(200, {"hypervisors": found})


def uptime(request: Request) -> Response:
    """Until 2.87. Raises BadRequest while the host does not answer."""
    wanted = request.params["hypervisor_id"]
    for each in request.cloud.compute.hosts():
        if str(hypervisor_id(request, each)) == wanted:
            said = request.cloud.compute.host_uptime(each.row.name)
            return Response(200, {"hypervisor": {**hypervisor_brief(request, each), "uptime": said}})
    raise NotFound(f"Compute host {wanted} could not be found.")


# -- the usage audit log


def audit_log(request: Request) -> Response:
    return Response(200, {"instance_usage_audit_logs": audit(request, request.cloud.clock.now())})


def audit_log_before(request: Request) -> Response:
    try:
        before = parse_time(request.params["before"])
    except (ValueError, OverflowError):
        raise BadRequest(f"Invalid timestamp for date {request.params['before']}") from None
    return Response(200, {"instance_usage_audit_log": audit(request, before)})


def audit(request: Request, before: int) -> dict[str, Any]:
    """The last whole month before a time. Usage is read from the servers' rows whenever it is asked for, so no host
    has a run of its own to report, and none is ever behind."""
    begin, end = request.cloud.compute.audit_period(before)
    names = [each.row.name for each in request.cloud.compute.hosts()]
    return {"period_beginning": begin, "period_ending": end, "num_hosts": len(names), "num_hosts_done": 0,
            "num_hosts_running": 0, "num_hosts_not_run": len(names), "hosts_not_run": names, "total_instances": 0,
            "total_errors": 0, "overall_status": f"0 of {len(names)} hosts done. 0 errors.", "log": {}}
