"""What projects used over a time."""

from __future__ import annotations

from typing import Any

from pilvi.compute import wire
from pilvi.engine.clock import micros_text, parse_time
from pilvi.faults import BadRequest
from pilvi.http.pagination import limit_of, next_links
from pilvi.http.request import Request, Response

PARAMETERS = {"start", "end", "detailed", "limit", "marker"}


def usage_list(request: Request) -> Response:
    since, until = usage_time(request)
    rows, further = page(request, since, until, None)
    by_project: dict[str, list[Any]] = {}
    for row in rows:
        by_project.setdefault(row.project_id, []).append(row)
    detailed = request.arg("detailed") == "1"
    usages = [usage_view(request, project_id, each, since, until, detailed) for project_id, each in by_project.items()]
    return Response(200, {"tenant_usages": usages} | ({"tenant_usages_links": further} if further else {}))


def usage(request: Request) -> Response:
    since, until = usage_time(request)
    project_id = request.params["project_id"]
    rows, further = page(request, since, until, project_id)
    body = usage_view(request, project_id, rows, since, until, True) if rows else {}
    return Response(200, {"tenant_usage": body} | ({"tenant_usage_links": further} if further else {}))


def page(request: Request, since: int, until: int, project_id: str | None) -> tuple[Any, list[dict[str, str]]]:
    """The servers that are counted here, and from 2.40 on the link to the next ones."""
    if request.at_least(2, 75):
        for name in request.query.keys() - PARAMETERS:
            raise wire.unexpected("query", name)
    compute = request.cloud.compute
    if not request.at_least(2, 40):
        return compute.usage(request.context, since, until, project_id), []
    limit = limit_of(request)
    rows = compute.usage(request.context, since, until, project_id, marker=request.arg("marker"), limit=limit)
    return rows, next_links(request, rows, limit, rows[-1].id if rows else "")


def usage_time(request: Request) -> tuple[int, int]:
    """From `start` (four weeks ago) to `end` (now). Raises BadRequest."""
    now = request.cloud.clock.now()
    try:
        until = parse_time(request.arg("end")) if request.arg("end") else now
        since = parse_time(request.arg("start")) if request.arg("start") else now - 28 * 86_400_000_000
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"Datetime is in invalid format: {error}") from None
    if since > until:
        raise BadRequest("Invalid start time. The start time cannot occur after the end time.")
    return since, min(until, now)


def usage_view(request: Request, project_id: str, rows: Any, since: int, until: int,
               detailed: bool) -> dict[str, Any]:
    servers, totals = [], dict.fromkeys(("hours", "local_gb_usage", "memory_mb_usage", "vcpus_usage"), 0.0)
    for row in rows:
        end = min(row.terminated_at or until, until)
        hours = max(end - max(row.launched_at, since), 0) / 3_600_000_000
        disk = row.flavor["disk"] + row.flavor["ephemeral"]
        totals = {"hours": totals["hours"] + hours, "local_gb_usage": totals["local_gb_usage"] + hours * disk,
                  "memory_mb_usage": totals["memory_mb_usage"] + hours * row.ram,
                  "vcpus_usage": totals["vcpus_usage"] + hours * row.vcpus}
        servers.append({
            "instance_id": row.id, "name": row.name, "tenant_id": project_id, "flavor": row.flavor["name"],
            "hours": hours, "vcpus": row.vcpus, "memory_mb": row.ram, "local_gb": disk,
            "started_at": micros_text(row.launched_at),
            "ended_at": row.terminated_at and micros_text(row.terminated_at),
            "state": "terminated" if row.terminated_at else row.vm_state,
            "uptime": ((row.terminated_at or request.cloud.clock.now()) - row.launched_at) // 1_000_000,
        })
    body = {"tenant_id": project_id, "start": micros_text(since), "stop": micros_text(until),
            **{f"total_{name}": total for name, total in totals.items()}}
    return body | {"server_usages": servers} if detailed else body
