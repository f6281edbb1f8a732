"""What the operator's commands ask: `pilvi status` and `pilvi explain`. For administrators."""

from __future__ import annotations

from pilvi import __version__
from pilvi.engine import store
from pilvi.engine.clock import seconds_text
from pilvi.faults import NotFound
from pilvi.http.request import Request, Response
from pilvi.http.routing import Api, Route
from pilvi.policy import ADMIN


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
        owned = [*cloud.compute.kept_for_projects(), *cloud.network.kept_for_projects(), *cloud.image.kept_for_projects()]
        left_behind = cloud.identity.left_behind(tx, owned)
    return Response(200, {"version": __version__, "reconcilers": reconcilers, "hosts": hosts,
                          "processes": cloud.site.processes(), "left_behind": left_behind})


def explain_server(request: Request) -> Response:
    """The reason trail of one server, found by id or, where only one has it, by name."""
    trail = request.cloud.compute.explain(request.params["server"])
    if trail is None:
        raise NotFound(f"There is no server {request.params['server']}, nor was there one lately.")
    return Response(200, trail)


API = Api(
    "operator",
    "/pilvi/v1",
    (
        Route("GET", "/status", status, "status"),
        Route("GET", "/explain/servers/{server}", explain_server, "explain"),
    ),
    {"status": ADMIN, "explain": ADMIN},
)
