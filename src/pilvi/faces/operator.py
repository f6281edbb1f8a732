"""What Pilvi's own commands ask: `pilvi status`, `explain` and `audit`, for administrators, and `pilvi network`."""

from __future__ import annotations

from typing import Any

import msgspec

from pilvi import __version__, audit
from pilvi.engine import store
from pilvi.engine.clock import seconds_text
from pilvi.faults import BadRequest, NotFound
from pilvi.http.request import Request, Response, integer
from pilvi.http.routing import Api, Route
from pilvi.policy import ADMIN, READER


def status(request: Request) -> Response:
    """Reconcilers with their last pass, hosts with what they have and what is used, the engines' processes, and
    what belongs to projects that are gone."""
    cloud = request.cloud
    with cloud.db.read() as tx:
        reconcilers = [
            {"name": row.name, "ok": row.ok, "summary": row.summary, "finished_at": seconds_text(row.finished_at),
             "passes": row.passes, "failures": row.failures}
            for row in store.statuses(tx)
        ]
        hosts = cloud.placement.usage(tx)
        services = (cloud.compute, cloud.network, cloud.image, cloud.volume)
        owned = [each for service in services for each in service.kept_for_projects()]
        left_behind = cloud.identity.left_behind(tx, owned)
    return Response(200, {"version": __version__, "reconcilers": reconcilers, "hosts": hosts,
                          "processes": cloud.site.processes(), "left_behind": left_behind})


def explain_server(request: Request) -> Response:
    """The reason trail of one server, found by id or, where only one has it, by name."""
    trail = request.cloud.compute.explain(request.params["server"])
    if trail is None:
        raise NotFound(f"There is no server {request.params['server']}, nor was there one lately.")
    return Response(200, trail)


class Repair(msgspec.Struct, forbid_unknown_fields=True):
    findings: list[audit.Key]  # as arrays, of what earlier looks have shown


def look(request: Request) -> Response:
    """Things that no row owns, and rows whose thing is missing, as they are at this moment."""
    return Response(200, {"findings": [_shown(finding) for finding in audit.look(request.cloud.auditors)]})


def repair(request: Request) -> Response:
    """Mends what the caller names and still is so."""
    wanted = request.decode(Repair).findings
    mended = audit.repair(request.cloud.auditors, wanted)
    return Response(200, {"findings": [_shown(each.finding) | {"mended": each.mended, "trouble": each.trouble}
                                       for each in mended]})


def _shown(finding: audit.Finding) -> dict[str, Any]:
    return {**finding.key._asdict(), "why": finding.why, "remedy": finding.remedy, "mendable": finding.mend is not None}


def network_path(request: Request) -> Response:
    """Why a packet passes, or where it is dropped; of the caller's own ports, unless an administrator asks."""
    source, address, number = request.arg("from"), request.arg("to"), request.arg("port")
    if not source or not address:
        raise BadRequest("'from' (a port or an external network) and 'to' (an address) are needed.")
    port = integer(number, "port") if number is not None else None
    protocol = request.arg("protocol") or ("icmp" if port is None else "tcp")
    return Response(200, request.cloud.network.path(request.context, source, address, protocol=protocol, port=port,
                                                    sender=request.arg("source")))


API = Api(
    "operator",
    "/pilvi/v1",
    (
        Route("GET", "/status", status, "status"),
        Route("GET", "/explain/servers/{server}", explain_server, "explain"),
        Route("GET", "/audit", look, "audit"),
        Route("POST", "/audit", repair, "audit"),
        Route("GET", "/network/path", network_path, "path"),
    ),
    {"status": ADMIN, "explain": ADMIN, "audit": ADMIN, "path": READER},
)
