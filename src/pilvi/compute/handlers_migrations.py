"""The list of migrations: /os-migrations."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.compute import views, wire
from pilvi.compute.listing import moment
from pilvi.compute.service import MigrationQuery
from pilvi.engine.clock import seconds_text
from pilvi.faults import BadRequest
from pilvi.http.pagination import limit_of, next_links
from pilvi.http.request import Request, Response, Version

IN_PROGRESS = ("queued", "preparing", "running", "post-migrating")
FILTERS: dict[str, tuple[Version, str | None]] = {  # since; the column that is to be equal
    "hidden": ((2, 1), None), "host": ((2, 1), None), "instance_uuid": ((2, 1), "server_id"),
    "source_compute": ((2, 1), "source_host"), "status": ((2, 1), "status"), "migration_type": ((2, 1), "type"),
    "limit": ((2, 59), None), "marker": ((2, 59), None), "changes-since": ((2, 59), None),
    "changes-before": ((2, 66), None), "user_id": ((2, 80), "user_id"), "project_id": ((2, 80), "project_id"),
}


def index(request: Request) -> Response:
    query = asked(request)
    rows = request.cloud.compute.migrations(request.context, query) if query is not None else []
    found = [migration(request, row) for row in rows]
    body: dict[str, Any] = {"migrations": found}
    if query is not None and query.limit and (
            links := next_links(request, rows, query.limit, rows[-1].uuid if rows else "")):
        body["migrations_links"] = links
    return Response(200, body)


def asked(request: Request) -> MigrationQuery | None:
    """None where nothing can match: no migration is hidden. Raises BadRequest."""
    strict = request.at_least(2, 59)
    for name in request.query:
        since = FILTERS.get(name, ((9, 9), None))[0]
        if request.version < since and (strict or (name in FILTERS and since > (2, 59))):
            raise BadRequest(f"Invalid input for query parameters {name}. Additional properties are not allowed "
                             f"('{name}' was unexpected)")
    known = {name: request.arg(name) for name, (since, _) in FILTERS.items()
             if request.version >= since and request.arg(name) is not None}
    if "instance_uuid" in known and strict:
        wire.check(known["instance_uuid"], wire.Uuid, "instance_uuid")
    since, until = (moment(request, name) if name in known else None for name in ("changes-since", "changes-before"))
    if since is not None and until is not None and since > until:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    if "hidden" in known and request.flag("hidden"):
        return None
    return MigrationQuery(
        equal={FILTERS[name][1]: value for name, value in known.items() if FILTERS[name][1]}, host=known.get("host"),
        since=since, until=until, marker=known.get("marker"), limit=limit_of(request) or None if strict else None)


def migration(request: Request, row: sa.Row) -> dict[str, Any]:
    body = hosts(request, row) | {
        "id": row.id, "status": row.status, "instance_uuid": row.server_id,
        "old_instance_type_id": number(row.old_flavor), "new_instance_type_id": number(row.new_flavor),
        "created_at": seconds_text(row.created_at), "updated_at": seconds_text(row.updated_at),
    }
    if request.at_least(2, 23):
        body["migration_type"] = row.type
        if row.type == "live-migration" and row.status in IN_PROGRESS:
            body["links"] = views.links(request, f"servers/{row.server_id}/migrations", str(row.id))
    return body | identity(request, row)


def identity(request: Request, row: sa.Row) -> dict[str, Any]:
    """What later microversions say of a migration."""
    body: dict[str, Any] = {}
    if request.at_least(2, 59):
        body["uuid"] = row.uuid
    if request.at_least(2, 80):
        body |= {"user_id": row.user_id, "project_id": row.project_id}
    return body


def hosts(request: Request, row: sa.Row) -> dict[str, Any]:
    """Which are an administrator's to know."""
    shown = request.context.is_admin
    source, destination = (row.source_host, row.dest_host) if shown else (None, None)
    return {"source_compute": source, "source_node": source, "dest_compute": destination,
            "dest_node": destination, "dest_host": destination}


def number(flavor: dict[str, Any]) -> int | None:
    """Nova shows its own number of a flavor's row, which means nothing to anyone: a flavor has it if its id is one."""
    return int(flavor["id"]) if flavor["id"].isdecimal() else None
