"""What happened to a server: os-instance-actions."""

from __future__ import annotations

from typing import Any

from pilvi.compute import views, wire
from pilvi.compute.listing import moment
from pilvi.faults import BadRequest
from pilvi.http.pagination import limit_of, next_links
from pilvi.http.request import Request, Response


def actions(request: Request) -> Response:
    server_id, paged = request.params["server_id"], request.at_least(2, 58)
    limit = limit_of(request) if paged else None
    since, until = period(request) if paged else (None, None)
    rows = request.cloud.compute.server_actions(
        request.context, server_id, deleted=request.at_least(2, 21), limit=limit or None,
        marker=request.arg("marker") if paged else None, since=since, until=until)
    body: dict[str, Any] = {"instanceActions": [views.action(request, server_id, row) for row in rows]}
    if limit and (links := next_links(request, rows, limit, (rows[-1].request_id or "") if rows else "")):
        body["links"] = links
    return Response(200, body)


def period(request: Request) -> tuple[int | None, int | None]:
    """changes-since, and from 2.66 on changes-before. Raises BadRequest."""
    since, until = moment(request, "changes-since"), moment(request, "changes-before")
    if until is not None and not request.at_least(2, 66):
        raise wire.unexpected("query", "changes-before")
    if since is not None and until is not None and since > until:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    return since, until


def action(request: Request) -> Response:
    server_id = request.params["server_id"]
    operation, events = request.cloud.compute.server_action(
        request.context, server_id, request.params["request_id"], deleted=request.at_least(2, 21))
    body = views.action(request, server_id, operation)
    if request.context.is_admin or request.at_least(2, 51):
        body["events"] = [views.event(request, each, operation.project_id or "") for each in events]
    return Response(200, {"instanceAction": body})
