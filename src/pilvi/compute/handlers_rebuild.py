"""Server actions that replace a server's guest: rebuild, resize, and the word on that; cold migration."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pilvi.compute import views, wire, wire_migrations
from pilvi.compute.handlers_base import ACCEPTED, Action, argument, plainly
from pilvi.compute.handlers_servers import ADMIN_PASSWORD_LENGTH, host_statuses, set_or
from pilvi.compute.policy import RULES
from pilvi.compute.service import RebuildWanted
from pilvi.faults import BadRequest, Forbidden
from pilvi.http.request import Request, Response


def rebuild(request: Request, server_id: str, value: Any) -> Response:
    body = argument("rebuild", value, wire_migrations.Rebuild)
    wire.known(request, body, wire_migrations.REBUILD_FIELDS)
    password = set_or(body.adminPass) or request.cloud.ids.secret(ADMIN_PASSWORD_LENGTH)
    found = request.cloud.compute.rebuild_server(request.context, server_id, rebuild_wanted(request, body, password))
    render, row = views.server_renderer(request, host_statuses(request), after_update=True), found.rows[0]
    server = render(row, found.ports.get(row.id, ())) | {"adminPass": password}
    server.pop("OS-EXT-SRV-ATTR:user_data", None)  # which has another name here
    if request.at_least(2, 54):
        server["key_name"] = row.key_name
    if request.at_least(2, 57):
        server["user_data"] = row.user_data
    location = f"{request.base_url}{views.PREFIX}/v2.1/servers/{row.id}"
    return Response(202, {"server": server}, {"Location": location})


def rebuild_wanted(request: Request, body: wire_migrations.Rebuild, password: str) -> RebuildWanted:
    """Raises BadRequest for what is not served, and values that make no sense."""
    if body.trusted_image_certificates:
        raise BadRequest("Image signature certificate validation is not enabled.")
    values: dict[str, Any] = {"admin_password": password}
    for name in ("name", "description", "hostname", "metadata"):
        if (given := getattr(body, name)) is not UNSET:
            values[name] = given
    if body.personality:
        values |= {"personality": wire.personality(body.personality), "config_drive": True}
    if body.disk_config is not UNSET:
        values["disk_config"] = wire.disk_config(body.disk_config)
    if body.accessIPv4 is not UNSET:
        values["access_ip_v4"] = wire.address(body.accessIPv4, "accessIPv4", 4)
    if body.accessIPv6 is not UNSET:
        values["access_ip_v6"] = wire.address(body.accessIPv6, "accessIPv6", 6)
    if body.user_data is not UNSET:
        values["user_data"] = wire.user_data(UNSET if body.user_data is None else body.user_data)
    return RebuildWanted(image_id=body.imageRef, reimages=request.at_least(2, 93), values=values,
                         key_name=set_or(body.key_name), changes_key=body.key_name is not UNSET,
                         keep_ephemeral=wire.truth(body.preserve_ephemeral, "preserve_ephemeral"))


def resize(request: Request, server_id: str, value: Any) -> Response:
    body = argument("resize", value, wire_migrations.Resize)
    disk_config = None if body.disk_config is UNSET else wire.disk_config(body.disk_config)
    request.cloud.compute.resize_server(request.context, server_id, str(body.flavorRef).rsplit("/", 1)[-1], disk_config)
    return ACCEPTED


def confirm(request: Request, server_id: str, _: Any) -> Response:
    request.cloud.compute.confirm_resize(request.context, server_id)
    return Response(204)


def migrate(request: Request, server_id: str, value: Any) -> Response:
    """`host` is known from 2.56 on; before, whatever comes with it has no meaning."""
    body = argument("migrate", value, wire_migrations.Migrate | None) if request.at_least(2, 56) else None
    host = body.host if body else None
    if host is not None:
        allowed(request, "servers:migrate:host")
    request.cloud.compute.migrate_server(request.context, server_id, host)
    return ACCEPTED


def allowed(request: Request, rule: str) -> None:
    """Raises Forbidden."""
    if not request.context.permits(RULES[rule]):
        raise Forbidden(f"Policy doesn't allow {rule} to be performed: it takes the role {RULES[rule].value}.")


ACTIONS = {
    "rebuild": Action(rebuild),
    "resize": Action(resize),
    "confirmResize": Action(confirm),
    "revertResize": Action(plainly("revert_resize")),
    "migrate": Action(migrate, rule="servers:migrate"),
}
