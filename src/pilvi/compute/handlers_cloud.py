"""Versions, and the hosts as hypervisors, services and zones."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pilvi.compute import wire
from pilvi.compute.service import HostView
from pilvi.compute.views import PREFIX
from pilvi.engine.clock import micros_text
from pilvi.faults import BadRequest, NotFound
from pilvi.http.pagination import MAX_LIMIT, limit_of, next_links
from pilvi.http.request import Request, Response, integer

OLDEST, NEWEST = "2.1", "2.104"

# -- versions


def versions(request: Request) -> Response:
    return Response(200, {"versions": [version_20(request), version_21(request)]})


def version_20(request: Request) -> dict[str, Any]:
    return {"id": "v2.0", "status": "SUPPORTED", "updated": "2011-01-21T11:33:21Z", "version": "",
            "min_version": "", "links": [{"rel": "self", "href": f"{request.base_url}{PREFIX}/v2/"}]}


def version_21(request: Request) -> dict[str, Any]:
    return {"id": "v2.1", "status": "CURRENT", "updated": "2013-07-23T11:33:21Z", "version": NEWEST,
            "min_version": OLDEST, "links": [{"rel": "self", "href": f"{request.base_url}{PREFIX}/v2.1/"}]}


def version(request: Request) -> Response:
    return version_detail(version_21(request), "2.1")


def version_2(request: Request) -> Response:
    return version_detail(version_20(request), "2")


def named_version(request: Request) -> Response:
    """Raises NotFound for one that is not served."""
    served = {"v2.0": version_2, "v2.1": version}
    if request.params["version"] not in served:
        raise NotFound("The resource could not be found.")
    return served[request.params["version"]](request)


def version_detail(body: dict[str, Any], number: str) -> Response:
    body["links"].append({"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"})
    kind = f"application/vnd.openstack.compute+json;version={number}"
    body["media-types"] = [{"base": "application/json", "type": kind}]
    return Response(200, {"version": body})


# -- availability zones


def zones(request: Request) -> Response:
    return Response(200, {"availabilityZoneInfo": [
        {"zoneName": name, "zoneState": {"available": any(usable(host) for host in hosts)}, "hosts": None}
        for name, hosts in by_zone(request).items()]})


def zones_detail(request: Request) -> Response:
    return Response(200, {"availabilityZoneInfo": [
        {"zoneName": name, "zoneState": {"available": any(usable(host) for host in hosts)},
         "hosts": {host.row.name: {"nova-compute": {"active": not host.row.disabled, "available": host.up,
                                                    "updated_at": micros_text(host.row.seen_at)}}
                   for host in hosts}}
        for name, hosts in by_zone(request).items()]})


def usable(host: HostView) -> bool:
    return host.up and not host.row.disabled


def by_zone(request: Request) -> dict[str, list[HostView]]:
    found: dict[str, list[HostView]] = {}
    for host in request.cloud.compute.hosts():
        found.setdefault(host.row.availability_zone, []).append(host)
    return found


# -- hypervisors


def hypervisors(request: Request) -> Response:
    return hypervisor_page(request, hypervisor_brief)


def hypervisors_detail(request: Request) -> Response:
    return hypervisor_page(request, hypervisor_detail)


def hypervisor_page(request: Request, render: Any) -> Response:
    hosts, limit = request.cloud.compute.hosts(), MAX_LIMIT
    check_hypervisor_query(request)
    if request.at_least(2, 33):
        limit = limit_of(request)
        hosts = after_marker(request, hosts)
    if request.at_least(2, 53) and (pattern := request.arg("hypervisor_hostname_pattern")):
        hosts = [host for host in hosts if pattern in host.row.name]
        if not hosts:
            raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
    hosts = hosts[:limit]
    body: dict[str, Any] = {"hypervisors": [render(request, host) for host in hosts]}
    last = str(hypervisor_id(request, hosts[-1])) if hosts else ""
    if request.at_least(2, 33) and (links := next_links(request, hosts, limit, last)):
        body["hypervisors_links"] = links
    return Response(200, body)


def check_hypervisor_query(request: Request) -> None:
    """Raises BadRequest for parameters that there are not, or not together."""
    query = request.query
    if "hypervisor_hostname_pattern" in query and {"limit", "marker"} & query.keys():
        raise BadRequest("Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not "
                         "supported.")
    if request.at_least(2, 75):
        for name in query.keys() - {"limit", "marker", "hypervisor_hostname_pattern", "with_servers"}:
            raise wire.unexpected("query", name)


def after_marker(request: Request, hosts: list[HostView]) -> list[HostView]:
    marker = request.arg("marker")
    if marker is None:
        return hosts
    ids = [str(hypervisor_id(request, host)) for host in hosts]
    if marker not in ids:
        raise BadRequest(f"marker [{marker}] not found")
    return hosts[ids.index(marker) + 1:]


def hypervisor_id(request: Request, host: HostView) -> int | str:
    return host.row.id if request.at_least(2, 53) else host.row.number


def hypervisor_brief(request: Request, host: HostView) -> dict[str, Any]:
    body = {"id": hypervisor_id(request, host), "hypervisor_hostname": host.row.name,
            "state": "up" if host.up else "down", "status": "disabled" if host.row.disabled else "enabled"}
    return with_servers(request, host, body)


def with_servers(request: Request, host: HostView, body: dict[str, Any]) -> dict[str, Any]:
    wanted = request.at_least(2, 53) and request.flag("with_servers", False)
    if wanted and (host.servers or request.at_least(2, 75)):
        body["servers"] = [{"uuid": server_id, "name": name} for server_id, name in host.servers]
    return body


def hypervisor_detail(request: Request, host: HostView) -> dict[str, Any]:
    row = host.row
    body = hypervisor_brief(request, host) | {
        "hypervisor_type": row.hypervisor_type, "hypervisor_version": row.hypervisor_version,
        "host_ip": row.address, "service": {
            "id": row.service_id if request.at_least(2, 53) else row.number, "host": row.name,
            "disabled_reason": row.disabled_reason},
    }
    if request.at_least(2, 88):  # what Placement knows better is not shown any more
        return body | {"uptime": uptime_of(request, host)}
    return body | totals([host]) | {"cpu_info": {} if request.at_least(2, 28) else "{}"}


def uptime_of(request: Request, host: HostView) -> str | None:
    """None while the host does not answer."""
    try:
        return request.cloud.compute.host_uptime(host.row.name) if host.up else None
    except BadRequest:
        return None


def totals(hosts: list[HostView]) -> dict[str, Any]:
    def total(name: str) -> int:
        return sum(getattr(host, name) for host in hosts)

    return {
        "vcpus": total("vcpus"), "vcpus_used": total("vcpus_used"), "memory_mb": total("memory_mib"),
        "memory_mb_used": total("memory_mib_used"),
        "free_ram_mb": total("memory_mib") - total("memory_mib_used"),
        "local_gb": total("disk_gib"), "local_gb_used": total("disk_gib_used"),
        "free_disk_gb": total("disk_gib") - total("disk_gib_used"), "disk_available_least": None,
        "running_vms": sum(len(host.servers) for host in hosts), "current_workload": 0,
    }


def hypervisor(request: Request) -> Response:
    wanted = request.params["hypervisor_id"]
    if request.at_least(2, 53):
        wire.check(wanted, wire.Uuid, "id")
    for host in request.cloud.compute.hosts():
        if str(hypervisor_id(request, host)) == wanted:
            return Response(200, {"hypervisor": hypervisor_detail(request, host)})
    raise NotFound(f"Compute host {wanted} could not be found.")


def hypervisor_statistics(request: Request) -> Response:
    hosts = [host for host in request.cloud.compute.hosts() if not host.row.disabled]
    return Response(200, {"hypervisor_statistics": {"count": len(hosts), **totals(hosts)}})


# -- services


def services(request: Request) -> Response:
    if request.at_least(2, 75):
        for each in request.query.keys() - {"binary", "host"}:
            raise wire.unexpected("query", each)
    binary, name = request.arg("binary"), request.arg("host")
    hosts = request.cloud.compute.hosts() if binary in (None, "nova-compute") else []
    return Response(200, {"services": [service_view(request, host) for host in hosts
                                       if name in (None, host.row.name)]})


def service_view(request: Request, host: HostView) -> dict[str, Any]:
    row = host.row
    body = {
        "id": row.service_id if request.at_least(2, 53) else row.number,
        "binary": "nova-compute", "host": row.name, "zone": row.availability_zone,
        "status": "disabled" if row.disabled else "enabled",
        "state": "up" if host.up else "down", "updated_at": micros_text(row.seen_at),
        "disabled_reason": row.disabled_reason,
    }
    return body | {"forced_down": row.forced_down} if request.at_least(2, 11) else body


def update_service(request: Request) -> Response:
    """From 2.53 on, by the service's id."""
    changes = request.decode(wire.ServiceChanges)
    service_id = request.params["service_id"]
    for host in request.cloud.compute.hosts():
        if host.row.service_id == service_id:
            values = service_values(changes, host)
            changed = request.cloud.compute.change_host(host.row.name, **values)
            return Response(200, {"service": service_view(request, changed)})
    raise NotFound(f"Service {service_id} could not be found.")


def delete_service(request: Request) -> Response:
    """A host that is no more. Raises NotFound, and Conflict while it has servers."""
    service_id, by_uuid = request.params["service_id"], request.at_least(2, 53)
    if by_uuid:
        wire.check(service_id, wire.Uuid, "id")
    for host in request.cloud.compute.hosts():
        if service_id == (host.row.service_id if by_uuid else str(host.row.number)):
            request.cloud.compute.delete_host(host.row.name)
            return Response(204)
    if not by_uuid:
        integer(service_id, "id")
    raise NotFound(f"Service {service_id} not found.")


def service_values(changes: wire.ServiceChanges, host: HostView) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if changes.disabled_reason is not UNSET and changes.status != "disabled":
        raise BadRequest("Specifying disabled_reason when status is 'enabled' is invalid.")
    if changes.status is not UNSET:
        values = {"disabled": changes.status == "disabled",
                  "disabled_reason": changes.disabled_reason or None}
    if changes.forced_down is not UNSET:
        values["forced_down"] = wire.truth(changes.forced_down, "forced_down")
    if not values:
        raise BadRequest("No updates were requested. Fields 'status' or 'forced_down' should be specified.")
    return values


def named_service(request: Request) -> Response:
    """PUT /os-services/enable, disable, disable-log-reason, force-down: before 2.53, by host and binary."""
    wanted, verb = request.decode(wire.ServiceNamed), request.params["service_id"]
    given = {"enable": {"disabled": False, "disabled_reason": None},
             "disable": {"disabled": True},
             "disable-log-reason": {"disabled": True, "disabled_reason": wanted.disabled_reason},
             "force-down": {"forced_down": wire.truth(wanted.forced_down, "forced_down")}}
    if verb not in given or (verb == "force-down" and not request.at_least(2, 11)):
        raise NotFound(f"Unknown action {verb} of a service.")
    if verb == "disable-log-reason" and wanted.disabled_reason is UNSET:
        raise BadRequest("Missing disabled reason field")
    if wanted.binary != "nova-compute":
        raise NotFound(f"Could not find binary {wanted.binary} on host {wanted.host}.")
    request.cloud.compute.change_host(wanted.host, **given[verb])
    body = {"host": wanted.host, "binary": wanted.binary}
    if verb == "force-down":
        return Response(200, {"service": body | given[verb]})
    body["status"] = "disabled" if given[verb]["disabled"] else "enabled"
    reason = {"disabled_reason": wanted.disabled_reason} if verb == "disable-log-reason" else {}
    return Response(200, {"service": body | reason})
