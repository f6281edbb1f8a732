"""What Compute answers, per microversion. Shapes: the Compute API reference."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Raw

from pilvi.compute.block_devices import ROOT_DEVICE
from pilvi.compute.devices import root_among
from pilvi.compute.states import PROGRESS, WITH_FAULT, status_of
from pilvi.engine.clock import micros_text, seconds_text
from pilvi.http.request import Request

PREFIX = "/compute"
NOTHING = (None, "null", "[]")  # of a JSON column, as text


def links(request: Request, kind: str, item_id: str) -> list[dict[str, str]]:
    base = request.base_url + PREFIX
    return [{"rel": "self", "href": f"{base}/v2.1/{kind}/{item_id}"},
            {"rel": "bookmark", "href": f"{base}/{kind}/{item_id}"}]


def bookmark(request: Request, kind: str, item_id: str) -> list[dict[str, str]]:
    return [{"rel": "bookmark", "href": f"{request.base_url}{PREFIX}/{kind}/{item_id}"}]


@functools.lru_cache(4096)
def host_id(project_id: str, host: str | None) -> str:
    """A name of the host that differs between projects, so that only administrators can tell hosts apart."""
    return hashlib.sha224((project_id + host).encode()).hexdigest() if host else ""


# -- servers


def server_brief(request: Request, server: tuple[str, str]) -> dict[str, Any]:
    """`server`: id and name."""
    server_id, name = server
    return {"id": server_id, "name": name, "links": links(request, "servers", server_id)}


def server_renderer(request: Request, hosts: Mapping[str, str] | None = None, *, single: bool = False,
                    after_update: bool = False) -> Callable[[Any, Sequence[Any]], dict[str, Any]]:
    """How to render servers (`store.Shown`) for this request: microversion and role are looked at once, not once
    a server.

    `hosts`: host name to its status (UP, DOWN, MAINTENANCE), for administrators from 2.16 on. `single`: one
    is shown, not a list. `after_update`: the shorter answer that PUT has before 2.75."""
    since, admin = request.at_least, request.context.is_admin
    extended = not after_update or since(2, 75)
    embedded, trusted, groups = since(2, 47), since(2, 63), since(2, 71) and (single or after_update)
    locked, described, tagged, reasoned = since(2, 9), since(2, 19), since(2, 26), since(2, 73)
    attributes, hostname, pinned = since(2, 3) and admin, since(2, 90), since(2, 96)
    properties, hinted = since(2, 98), since(2, 100)

    @functools.cache  # there are few flavors, and many servers of each
    def flavor_link(kept: str) -> dict[str, Any]:
        flavor_id = msgspec.json.decode(kept)["id"]
        return {"id": flavor_id, "links": bookmark(request, "flavors", flavor_id)}

    def render(row: Any, ports: Sequence[Any]) -> dict[str, Any]:
        status = status_of(row.vm_state, row.task_state)
        body: dict[str, Any] = {
            "id": row.id, "name": row.name, "status": status, "tenant_id": row.project_id,
            "user_id": row.user_id, "metadata": Raw(row.metadata), "hostId": host_id(row.project_id, row.host),
            "image": {"id": row.image_id, "links": bookmark(request, "images", row.image_id)} if row.image_id else "",
            "flavor": embedded_flavor(row.flavor) if embedded else flavor_link(row.flavor),
            "created": seconds_text(row.created_at), "updated": seconds_text(row.updated_at),
            "addresses": addresses(ports, extended), "accessIPv4": row.access_ip_v4 or "",
            "accessIPv6": row.access_ip_v6 or "", "links": links(request, "servers", row.id),
            "OS-DCF:diskConfig": row.disk_config,
        }
        if status in PROGRESS:
            body["progress"] = PROGRESS[status]
        if status in WITH_FAULT and row.fault not in NOTHING:
            body["fault"] = fault(msgspec.json.decode(row.fault), admin)
        if extended:
            extend(body, row, ports)
        if locked:
            body["locked"] = row.locked
        if described:
            body["description"] = row.description
        if tagged:
            body["tags"] = Raw(row.tags)
        if trusted:
            body["trusted_image_certificates"] = None
        if groups:
            body["server_groups"] = [row.server_group_id] if row.server_group_id else []
        if reasoned:
            body["locked_reason"] = row.locked_reason
        if pinned:
            body["pinned_availability_zone"] = row.pinned_availability_zone
        if properties and body["image"]:
            body["image"]["properties"] = {} if row.image_properties in NOTHING else Raw(row.image_properties)
        if hinted:
            body["scheduler_hints"] = {} if row.scheduler_hints in NOTHING else Raw(row.scheduler_hints)
        return body

    def extend(body: dict[str, Any], row: Any, ports: Sequence[Any]) -> None:
        body["OS-EXT-AZ:availability_zone"] = row.availability_zone or ""
        body["config_drive"] = "True" if row.config_drive else ""
        body["key_name"] = row.key_name
        body["OS-SRV-USG:launched_at"] = row.launched_at and micros_text(row.launched_at)
        body["OS-SRV-USG:terminated_at"] = row.terminated_at and micros_text(row.terminated_at)
        body["OS-EXT-STS:task_state"] = row.task_state
        body["OS-EXT-STS:vm_state"] = row.vm_state
        body["OS-EXT-STS:power_state"] = row.power_state
        volumes = () if row.volumes in NOTHING else msgspec.json.decode(row.volumes)
        body["os-extended-volumes:volumes_attached"] = [
            {"id": each["volume_id"], "delete_on_termination": each["delete_on_termination"]} if since(2, 3)
            else {"id": each["volume_id"]} for each in volumes]
        if names := dict.fromkeys(name for port in ports for name in port.security_groups):
            body["security_groups"] = [{"name": name} for name in names]
        if hosts is not None:
            body["host_status"] = hosts.get(row.host, "") if row.host else ""
        if admin:
            body["OS-EXT-SRV-ATTR:host"] = row.host
            body["OS-EXT-SRV-ATTR:hypervisor_hostname"] = row.host
            body["OS-EXT-SRV-ATTR:instance_name"] = "instance-" + row.id[:8]
        if attributes:
            body["OS-EXT-SRV-ATTR:reservation_id"] = row.reservation_id
            body["OS-EXT-SRV-ATTR:launch_index"] = row.launch_index
            body["OS-EXT-SRV-ATTR:kernel_id"] = body["OS-EXT-SRV-ATTR:ramdisk_id"] = ""
            body["OS-EXT-SRV-ATTR:root_device_name"] = (root_among(volumes) or {}).get("device", ROOT_DEVICE)
            body["OS-EXT-SRV-ATTR:user_data"] = row.user_data
        if attributes or hostname:
            body["OS-EXT-SRV-ATTR:hostname"] = row.hostname

    return render


@functools.lru_cache(1024)
def embedded_flavor(kept: str) -> dict[str, Any]:
    flavor = msgspec.json.decode(kept)
    return {"vcpus": flavor["vcpus"], "ram": flavor["ram"], "disk": flavor["disk"], "swap": flavor["swap"],
            "ephemeral": flavor["ephemeral"], "original_name": flavor["name"],
            "extra_specs": flavor["extra_specs"]}


def fault(row: Mapping[str, Any], admin: bool) -> dict[str, Any]:
    body = {"code": row["code"], "created": seconds_text(row["created"]), "message": row["message"]}
    if row.get("details") and (admin or row["code"] != 500):
        body["details"] = row["details"]
    return body


def addresses(ports: Sequence[Any], extended: bool) -> dict[str, list[dict[str, Any]]]:
    """By network: fixed addresses first, then the floating ones that lead to them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for port in ports:
        entries = found.setdefault(port.network_name, [])
        fixed = [(address, version, "fixed") for _, address, version in port.fixed_ips]
        floating = [(address, 4, "floating") for address, _ in port.floating_ips]
        for address, version, kind in fixed + floating:
            entry: dict[str, Any] = {"version": version, "addr": address}
            if extended:
                entry |= {"OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": port.mac}
            entries.append(entry)
    return found


# -- instance actions


def action(request: Request, server_id: str, operation: sa.Row) -> dict[str, Any]:
    body = {
        "action": operation.action, "instance_uuid": server_id, "request_id": operation.request_id or "",
        "user_id": operation.user_id or "", "project_id": operation.project_id or "",
        "start_time": micros_text(operation.created_at),
        "message": "Error" if operation.state in ("undoing", "failed") else None,
    }
    if request.at_least(2, 58):
        body["updated_at"] = micros_text(operation.updated_at)
    return body


def event(request: Request, row: sa.Row, project_id: str) -> dict[str, Any]:
    body = {
        "event": row.name, "start_time": micros_text(row.started_at), "result": row.result,
        "finish_time": row.finished_at and micros_text(row.finished_at),
    }
    if request.at_least(2, 62):
        body["hostId"] = host_id(project_id, row.host)
    if request.context.is_admin:  # the rest tells of the cloud's inside
        body["traceback"] = row.details
        if request.at_least(2, 62) and row.host:
            body["host"] = row.host
        if request.at_least(2, 84):
            body["details"] = row.details
    return body


# -- flavors


def flavor_brief(request: Request, row: sa.Row) -> dict[str, Any]:
    body = {"id": row.id, "name": row.name, "links": links(request, "flavors", row.id)}
    if request.at_least(2, 55):
        body["description"] = row.description
    return body


def flavor(request: Request, row: sa.Row) -> dict[str, Any]:
    body = flavor_brief(request, row) | {
        "ram": row.ram, "disk": row.disk, "vcpus": row.vcpus,
        "swap": row.swap if row.swap or request.at_least(2, 75) else "",
        "OS-FLV-EXT-DATA:ephemeral": row.ephemeral, "os-flavor-access:is_public": row.is_public,
    }
    if not request.at_least(2, 102):
        body |= {"rxtx_factor": row.rxtx_factor, "OS-FLV-DISABLED:disabled": row.disabled}
    if request.at_least(2, 61):
        body["extra_specs"] = row.extra_specs
    return body


# -- key pairs


def keypair_brief(request: Request, row: sa.Row) -> dict[str, Any]:
    body = {"name": row.name, "public_key": row.public_key, "fingerprint": row.fingerprint}
    if request.at_least(2, 2):
        body["type"] = row.type
    return body


def keypair(request: Request, row: sa.Row) -> dict[str, Any]:
    return keypair_brief(request, row) | {
        "user_id": row.user_id, "id": row.id, "created_at": micros_text(row.created_at), "deleted": False,
        "deleted_at": None, "updated_at": None,
    }
