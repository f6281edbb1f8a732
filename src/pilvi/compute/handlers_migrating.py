"""Live migration and what becomes of it, evacuation; what a server's network is told again."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pilvi.compute import wire, wire_migrations
from pilvi.compute.handlers_base import ACCEPTED, Action, argument, plainly
from pilvi.compute.handlers_migrations import hosts, identity
from pilvi.compute.handlers_rebuild import allowed
from pilvi.compute.handlers_servers import ADMIN_PASSWORD_LENGTH, set_or
from pilvi.engine.clock import seconds_text
from pilvi.faults import BadRequest, Gone, NotFound
from pilvi.http.request import Request, Response

FIGURES = ("memory_total", "memory_processed", "memory_remaining", "disk_total", "disk_processed", "disk_remaining")


def migrate_live(request: Request, server_id: str, value: Any) -> Response:
    body = argument("os-migrateLive", value, wire_migrations.MigrateLive)
    wire.known(request, body, wire_migrations.MIGRATE_LIVE_FIELDS)
    if not request.at_least(2, 25) and body.disk_over_commit is UNSET:
        raise wire.invalid("os-migrateLive", "'disk_over_commit' is a required property")
    automatic = body.block_migration == "auto" and request.at_least(2, 25)
    disks = None if automatic else wire.truth(body.block_migration, "block_migration")
    if body.host is not None:
        allowed(request, "servers:migrate:host")
    request.cloud.compute.live_migrate(request.context, server_id, body.host, disks=disks,
                                       forced=forced(body.force, body.host))
    return ACCEPTED


def forced(force: Any, host: str | None) -> bool:
    """Raises BadRequest where somebody forces and does not say where to."""
    if wire.truth(force, "force") and host is None:
        raise BadRequest("Can't force to a non-provided destination")
    return wire.truth(force, "force")


def evacuate(request: Request, server_id: str, value: Any) -> Response:
    body = argument("evacuate", value, wire_migrations.Evacuate)
    wire.known(request, body, wire_migrations.EVACUATE_FIELDS)
    if wire.truth(body.onSharedStorage, "onSharedStorage"):
        raise BadRequest("The hosts share no storage: evacuate without onSharedStorage.")
    if not request.at_least(2, 14) and body.onSharedStorage is UNSET:
        raise wire.invalid("evacuate", "'onSharedStorage' is a required property")
    host, old = set_or(body.host), not request.at_least(2, 14)
    password = set_or(body.adminPass) or (request.cloud.ids.secret(ADMIN_PASSWORD_LENGTH) if old else None)
    request.cloud.compute.evacuate(request.context, server_id, host, forced=forced(body.force, host),
                                   stopped=request.at_least(2, 95), password=password)
    return Response(200, {"adminPass": password} if old else None)


def reset_network(request: Request, server_id: str, _: Any) -> Response:
    """Raises Gone: it spoke to an agent inside of the guests of a hypervisor that OpenStack no longer runs on."""
    raise Gone("resetNetwork was removed in Nova 23.0.0: reboot the server.")


# -- live migrations under way


def index(request: Request) -> Response:
    rows = request.cloud.compute.live_migrations(request.context, request.params["server_id"])
    return Response(200, {"migrations": [under_way(request, row) for row in rows]})


def show(request: Request) -> Response:
    row = request.cloud.compute.live_migration(request.context, request.params["server_id"], number(request))
    return Response(200, {"migration": under_way(request, row)})


def force(request: Request) -> Response:
    request.decode(wire_migrations.ForceComplete)
    request.cloud.compute.wish(request.context, request.params["server_id"], number(request), "force", ["running"])
    return ACCEPTED


def abort(request: Request) -> Response:
    """Before 2.65 only one that runs, from then on one that is about to as well."""
    statuses = ["running", "queued", "preparing"] if request.at_least(2, 65) else ["running"]
    request.cloud.compute.wish(request.context, request.params["server_id"], number(request), "abort", statuses)
    return ACCEPTED


def number(request: Request) -> int:
    text = request.params["migration_id"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(f"Migration {text} for server {request.params['server_id']} not found.")
    return int(text)


def under_way(request: Request, row: Any) -> dict[str, Any]:
    figures = row.figures or {}
    return hosts(request, row) | {
        "id": row.id, "status": row.status, "server_uuid": row.server_id,
        "created_at": seconds_text(row.created_at), "updated_at": seconds_text(row.updated_at),
        **{f"{name}_bytes": figures.get(name) for name in FIGURES}} | identity(request, row)


ACTIONS = {
    "os-migrateLive": Action(migrate_live, rule="servers:migrate"),
    "evacuate": Action(evacuate, rule="servers:evacuate"),
    "injectNetworkInfo": Action(plainly("inject_network_info"), rule="servers:inject_network_info"),
    "resetNetwork": Action(reset_network, rule="servers:inject_network_info"),
}
