"""Servers: made, listed, shown, changed and deleted; their metadata, tags, addresses and trail."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pilvi.compute import views, wire, wire_devices
from pilvi.compute.listing import ServerList, server_list
from pilvi.compute.service import Found, ServerCreate
from pilvi.faults import BadRequest, NotFound
from pilvi.http.pagination import next_links
from pilvi.http.request import Request, Response
from pilvi.network.service import NicRequest

ADMIN_PASSWORD_LENGTH = 12

# -- making


def create(request: Request) -> Response:
    body = request.decode(wire.CreateServer)
    wanted = server_create(request, body)
    rows = request.cloud.compute.create_server(request.context, wanted)
    location = f"{request.base_url}{views.PREFIX}/v2.1/servers/{rows[0].id}"
    if wire.truth(body.server.return_reservation_id, "return_reservation_id"):
        return Response(202, {"reservation_id": rows[0].reservation_id}, {"Location": location})
    groups = dict.fromkeys(wanted.security_groups or ["default"])
    return Response(202, {"server": {
        "id": rows[0].id, "links": views.links(request, "servers", rows[0].id),
        "security_groups": [{"name": name} for name in groups], "adminPass": wanted.admin_password,
        "OS-DCF:diskConfig": wanted.disk_config,
    }}, {"Location": location})


def server_create(request: Request, body: wire.CreateServer) -> ServerCreate:
    """Raises BadRequest for what this microversion or Pilvi does not know, and values that make no sense."""
    new = body.server
    wire.known(request, new, wire.SERVER_FIELDS)
    if new.trusted_image_certificates:
        raise BadRequest("Image signature certificate validation is not enabled.")
    least, most = counts(new)
    devices = wire_devices.devices(request, new.block_device_mapping_v2, new.block_device_mapping)
    if not (set_or(new.imageRef) or devices):
        raise BadRequest("Missing imageRef attribute: give an image, or block devices to boot from.")
    return ServerCreate(
        name=new.name, flavor_id=str(new.flavorRef).rsplit("/", 1)[-1], image_id=set_or(new.imageRef) or None,
        devices=devices, old_devices=not set_or(new.block_device_mapping_v2), multiattach=request.at_least(2, 60),
        networks=networks_of(request, new, most), hostname=set_or(new.hostname),
        security_groups=[group.name for group in set_or(new.security_groups, [])],
        key_name=set_or(new.key_name), metadata=set_or(new.metadata, {}),
        tags=list(dict.fromkeys(set_or(new.tags, []))),
        user_data=wire.user_data(new.user_data), config_drive=wire.truth(new.config_drive, "config_drive"),
        min_count=least, max_count=most, availability_zone=set_or(new.availability_zone),
        host=forced_host(new), hints=wire.scheduler_hints(body), keep_unplaced=True,
        personality=wire.personality(new.personality),
        admin_password=set_or(new.adminPass) or request.cloud.ids.secret(ADMIN_PASSWORD_LENGTH),
        description=described(request, new), disk_config=wire.disk_config(new.disk_config),
        access_ip_v4=wire.address(new.accessIPv4, "accessIPv4", 4),
        access_ip_v6=wire.address(new.accessIPv6, "accessIPv6", 6))


def set_or(value: Any, default: Any = None) -> Any:
    return default if value is UNSET else value


def described(request: Request, new: wire.ServerNew) -> str | None:
    """Before 2.19 a server is described by its name."""
    return set_or(new.description) if request.at_least(2, 19) else new.name


def counts(new: wire.ServerNew) -> tuple[int, int]:
    least = wire.whole(new.min_count, "min_count", 1, default=1)
    most = wire.whole(new.max_count, "max_count", 1, default=least)
    if least > most:
        raise BadRequest("min_count must be <= max_count")
    return least, most


def networks_of(request: Request, new: wire.ServerNew, most: int) -> list[NicRequest] | str | None:
    wanted = new.networks
    if wanted is UNSET:
        if request.at_least(2, 37):
            raise wire.invalid("server", "'networks' is a required property")
        return None
    if isinstance(wanted, str):
        if not request.at_least(2, 37) or wanted not in ("auto", "none"):
            raise wire.invalid("networks", f"Value: {wanted}. It must be a list, or from microversion 2.37 "
                                           "on 'auto' or 'none'.")
        return wanted
    if most > 1 and any(nic.port or nic.fixed_ip for nic in wanted):
        raise BadRequest("Unable to launch multiple instances with a single configured port ID or fixed IP. "
                         "Please launch your instances one by one with different ones.")
    return [nic_request(request, nic) for nic in wanted] or None


def nic_request(request: Request, nic: wire.Nic) -> NicRequest:
    if nic.tag is not UNSET and not ((2, 32) <= request.version <= (2, 36) or request.at_least(2, 42)):
        raise wire.unexpected("networks", "tag")
    port = set_or(nic.port)
    if port is None and nic.uuid is UNSET:
        raise wire.invalid("networks", "Give each of them a uuid or a port.")
    if port is not None and nic.fixed_ip is not UNSET:
        raise BadRequest(f"Specified Fixed IP '{nic.fixed_ip}' cannot be used with port '{port}': the two "
                         "cannot be specified together.")
    network = None if port is not None else nic.uuid
    return NicRequest(network, port, set_or(nic.fixed_ip), set_or(nic.tag))


def forced_host(new: wire.ServerNew) -> str | None:
    host, hypervisor = set_or(new.host), set_or(new.hypervisor_hostname)
    if host and hypervisor and host != hypervisor:
        raise BadRequest(f"No valid host was found: hypervisor {hypervisor} is not on host {host}.")
    return host or hypervisor


# -- reading


def index(request: Request) -> Response:
    listing, found = listed(request, with_ports=False)
    servers = [views.server_brief(request, row) for row in found.rows]
    return page(request, servers, listing.limit)


def detail(request: Request) -> Response:
    listing, found = listed(request)
    render = views.server_renderer(request, host_statuses(request))
    return page(request, [render(row, found.ports.get(row.id, ())) for row in found.rows], listing.limit)


def listed(request: Request, *, with_ports: bool = True) -> tuple[ServerList, Found]:
    listing = server_list(request)
    if listing.nothing:
        return listing, Found((), {})
    return listing, request.cloud.compute.servers(
        request.context, listing.query, all_projects=listing.all_projects, addresses=listing.addresses,
        with_ports=with_ports)


def page(request: Request, servers: list[dict[str, Any]], limit: int) -> Response:
    body = {"servers": servers}
    if links := next_links(request, servers, limit, servers[-1]["id"] if servers else ""):
        body["servers_links"] = links
    return Response(200, body)


def show(request: Request) -> Response:
    found = request.cloud.compute.server_with_ports(request.context, request.params["server_id"])
    return one(request, found, single=True)


def one(request: Request, found: Found, **how: bool) -> Response:
    render, row = views.server_renderer(request, host_statuses(request), **how), found.rows[0]
    return Response(200, {"server": render(row, found.ports.get(row.id, ()))})


def host_statuses(request: Request) -> dict[str, str] | None:
    """For administrators, from 2.16 on."""
    if not request.context.is_admin or not request.at_least(2, 16):
        return None
    return request.cloud.compute.host_statuses()


# -- changing and deleting


def update(request: Request) -> Response:
    changes = request.decode(wire.UpdateServer).server
    wire.known(request, changes, wire.SERVER_FIELDS)
    plain = ("name", "description", "hostname", "pinned_availability_zone")
    values: dict[str, Any] = {name: getattr(changes, name) for name in plain
                              if getattr(changes, name) is not UNSET}
    if changes.accessIPv4 is not UNSET:
        values["access_ip_v4"] = wire.address(changes.accessIPv4, "accessIPv4", 4)
    if changes.accessIPv6 is not UNSET:
        values["access_ip_v6"] = wire.address(changes.accessIPv6, "accessIPv6", 6)
    if changes.disk_config is not UNSET:
        values["disk_config"] = wire.disk_config(changes.disk_config)
    found = request.cloud.compute.update_server(request.context, request.params["server_id"], **values)
    return one(request, found, after_update=True)


def delete(request: Request) -> Response:
    request.cloud.compute.remove_server(request.context, request.params["server_id"])
    return Response(204)


# -- metadata


def metadata(request: Request) -> Response:
    row = request.cloud.compute.server(request.context, request.params["server_id"])
    return Response(200, {"metadata": row.metadata})


def merge_metadata(request: Request) -> Response:
    new = request.decode(wire.MetadataBody).metadata
    return changed_metadata(request, lambda old: {**old, **new})


def replace_metadata(request: Request) -> Response:
    new = request.decode(wire.MetadataBody).metadata
    return changed_metadata(request, lambda _: new)


def changed_metadata(request: Request, change: Any) -> Response:
    changed = request.cloud.compute.change_metadata(request.context, request.params["server_id"], change)
    return Response(200, {"metadata": changed})


def metadata_item(request: Request) -> Response:
    row = request.cloud.compute.server(request.context, request.params["server_id"])
    key = request.params["key"]
    if key not in row.metadata:
        raise NotFound("Metadata item was not found")
    return Response(200, {"meta": {key: row.metadata[key]}})


def set_metadata_item(request: Request) -> Response:
    new, key = request.decode(wire.MetadataItem).meta, request.params["key"]
    if key not in new:
        raise BadRequest("Request body and URI mismatch")
    changed_metadata(request, lambda old: {**old, **new})
    return Response(200, {"meta": new})


def delete_metadata_item(request: Request) -> Response:
    key = request.params["key"]

    def without(old: dict[str, str]) -> dict[str, str]:
        if key not in old:
            raise NotFound("Metadata item was not found")
        return {name: value for name, value in old.items() if name != key}

    changed_metadata(request, without)
    return Response(204)


# -- tags


def tags(request: Request) -> Response:
    row = request.cloud.compute.server(request.context, request.params["server_id"])
    return Response(200, {"tags": row.tags})


def replace_tags(request: Request) -> Response:
    new = request.decode(wire.TagsBody).tags
    changed = request.cloud.compute.change_tags(request.context, request.params["server_id"], lambda _: new)
    return Response(200, {"tags": changed})


def delete_tags(request: Request) -> Response:
    request.cloud.compute.change_tags(request.context, request.params["server_id"], lambda _: [])
    return Response(204)


def tag(request: Request) -> Response:
    server_id, name = request.params["server_id"], request.params["tag"]
    if name not in request.cloud.compute.server(request.context, server_id).tags:
        raise NotFound(f"Server {server_id} has no tag '{name}'")
    return Response(204)


def add_tag(request: Request) -> Response:
    server_id, name = request.params["server_id"], request.params["tag"]
    wire.check(name, wire.Tag, "tag")
    had: list[str] = []

    def with_it(old: list[str]) -> list[str]:
        had.extend(old)
        return [*old, name]

    request.cloud.compute.change_tags(request.context, server_id, with_it)
    location = f"{request.base_url}{views.PREFIX}/v2.1/servers/{server_id}/tags/{name}"
    return Response(204 if name in had else 201, None, {"Location": location})


def delete_tag(request: Request) -> Response:
    server_id, name = request.params["server_id"], request.params["tag"]

    def without(old: list[str]) -> list[str]:
        if name not in old:
            raise NotFound(f"Server {server_id} has no tag '{name}'")
        return [each for each in old if each != name]

    request.cloud.compute.change_tags(request.context, server_id, without)
    return Response(204)
