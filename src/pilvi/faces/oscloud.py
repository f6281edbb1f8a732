"""The OS Cloud API: a small API for courses, over the same services, without authentication.

It therefore answers only clients whose address is in the setting `oscloud_networks`. Its machines are the
servers of the project `oscloud`, under small numbers instead of ids.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import sqlalchemy as sa

from pilvi.compute.service import ServerCreate
from pilvi.db import Tx, metadata
from pilvi.faces.lan import Lan
from pilvi.faults import BadRequest, Conflict, Fault, Forbidden, NotFound, UnsupportedMediaType
from pilvi.http.request import Request, Response
from pilvi.http.routing import Api, Route
from pilvi.network.service import NicRequest
from pilvi.policy import Context

if TYPE_CHECKING:
    from pilvi.cloud import Cloud

T = TypeVar("T")

PROJECT = USER = "oscloud"
MIB, GIB = 1 << 20, 1 << 30
UNITS = {"": 1, "K": 1 << 10, "M": MIB, "G": GIB, "T": 1 << 40}

machines = sa.Table(
    "oscloud_machines",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # counted from 1, never used again
    sa.Column("server_id", sa.String(36), nullable=False, unique=True),
)

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Size = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,15} ?[KMGTkmgt]?[iI]?[bB]?\Z")]


class MachineNew(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    image: Name
    network: Name
    mem_size: Size
    disk_size: Size
    ssh_key: str | None = None


class MachineId(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


def size_bytes(text: str) -> int:
    """2147483648 of "2G"."""
    number, unit = re.match(r"([0-9]+) ?([KMGT]?)", text.upper()).groups()
    return int(number) * UNITS[unit]


class OsCloud:
    """The face's verbs. Each call works as the user `oscloud`, in its project."""

    def __init__(self, cloud: Cloud):
        self._cloud, self._lan = cloud, Lan(cloud)
        self._networks = tuple(map(ipaddress.ip_network, cloud.settings.oscloud_networks))

    def admits(self, address: str) -> bool:
        """May a client at this address use the face?"""
        try:
            client = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        client = getattr(client, "ipv4_mapped", None) or client
        return any(client in network for network in self._networks)

    def create(self, request_id: str, wanted: MachineNew) -> int:
        """The number of the new machine, which boots from here on. Raises the services' faults."""
        context = self._context(request_id)
        image_id = self._cloud.image.find(context, wanted.image)
        memory_mib, disk_gib = -(-size_bytes(wanted.mem_size) // MIB), -(-size_bytes(wanted.disk_size) // GIB)
        if not (1 <= memory_mib < 2**31 and 1 <= disk_gib < 2**31):
            raise BadRequest("mem_size and disk_size are at least one byte, and at most what fits a machine.")
        key_name = self._key(context, wanted.ssh_key)
        try:
            server = ServerCreate(
                name=wanted.name,
                flavor_id=self._flavor(context, memory_mib, disk_gib),
                image_id=image_id,
                networks=[NicRequest(network_id=self._lan.ensure(context, wanted.network))],
                key_name=key_name,
            )
            (row,) = self._cloud.compute.create_server(context, server)
        finally:
            if key_name is not None:  # the server keeps the key itself
                self._cloud.compute.delete_keypair(context, key_name)
        return self._numbers([row.id])[row.id]

    def list(self, request_id: str) -> list[dict[str, Any]]:
        found = self._cloud.compute.servers(self._context(request_id))
        return sorted(self._views(found.rows, found.ports), key=lambda machine: machine["id"])

    def info(self, request_id: str, number: int) -> dict[str, Any]:
        return self._on(
            request_id,
            number,
            lambda context, server_id: self._views(
                *self._cloud.compute.server_with_ports(context, server_id)[:2]
            ),
        )[0]

    def stop(self, request_id: str, number: int) -> None:
        self._on(request_id, number, self._cloud.compute.stop)

    def start(self, request_id: str, number: int) -> None:
        self._on(request_id, number, self._cloud.compute.start)

    def delete(self, request_id: str, number: int) -> None:
        self._on(request_id, number, self._cloud.compute.delete_server)

    # -- numbers

    def _on(self, request_id: str, number: int, verb: Callable[[Context, str], T]) -> T:
        """Calls the verb for the server of this number. Raises NotFound."""
        with self._cloud.db.read() as tx:
            server_id = tx.scalar(sa.select(machines.c.server_id).where(machines.c.id == number))
        try:
            if server_id is not None:
                return verb(self._context(request_id), server_id)
        except NotFound:
            pass
        raise NotFound(f"There is no machine {number}.")

    def _numbers(self, server_ids: list[str]) -> dict[str, int]:
        """The number of each of these servers; those that have none are given the next ones.

        So a server whose request was killed before it had its number is given one at the next listing."""
        with self._cloud.db.read() as tx:
            found = _known(tx, server_ids)
        if len(found) == len(server_ids):
            return found
        with self._cloud.db.transaction() as tx:
            tx.lock(machines.name)
            found = _known(tx, server_ids)
            last = tx.scalar(sa.select(sa.func.coalesce(sa.func.max(machines.c.id), 0)))
            new = {
                server_id: last + number
                for number, server_id in enumerate((each for each in server_ids if each not in found), 1)
            }
            if new:
                tx.execute(
                    machines.insert(), [{"id": number, "server_id": each} for each, number in new.items()]
                )
        return found | new

    # -- what a machine takes

    def _context(self, request_id: str) -> Context:
        return self._cloud.identity.internal_context(PROJECT, USER, request_id)

    def _flavor(self, context: Context, memory_mib: int, disk_gib: int) -> str:
        """The id of the private flavor of this size, which is made when there is none yet."""
        compute, flavor_id = self._cloud.compute, f"oscloud-{memory_mib}M-{disk_gib}G"
        try:
            return compute.flavor(context, flavor_id).id
        except NotFound:
            pass
        for make in (
            lambda: compute.create_flavor(
                id=flavor_id, name=flavor_id, vcpus=1, ram=memory_mib, disk=disk_gib, is_public=False
            ),
            lambda: compute.add_flavor_access(flavor_id, context.project_id),
        ):
            try:
                make()
            except Conflict:  # another request, or one that was killed, has done it
                continue
        return flavor_id

    def _key(self, context: Context, public_key: str | None) -> str | None:
        """The name of a key pair with this key, for the moment of the boot."""
        if public_key is None:
            return None
        name = "oscloud-" + self._cloud.ids.hex()
        self._cloud.compute.create_keypair(context, name, public_key)
        return name

    def _views(self, rows: Any, ports: Any) -> list[dict[str, Any]]:
        with self._cloud.db.read() as tx:
            images = self._cloud.image.names(tx, list({row.image_id for row in rows}))
        numbers = self._numbers([row.id for row in rows])
        return [_view(numbers[row.id], row, ports.get(row.id, ()), images.get(row.image_id)) for row in rows]


def _known(tx: Tx, server_ids: list[str]) -> dict[str, int]:
    return {
        row.server_id: row.id
        for row in tx.all(sa.select(machines).where(machines.c.server_id.in_(server_ids)))
    }


def _view(number: int, row: Any, ports: Any, image: str | None) -> dict[str, Any]:
    addresses = [address for port in ports for _, address, version in port.fixed_ips if version == 4]
    flavor = msgspec.json.decode(row.flavor)
    return {
        "id": number,
        "name": row.name,
        "os": image or row.image_id,
        "state": "RUNNING" if row.vm_state == "active" else "STOPPED",
        "mem_size": flavor["ram"] * MIB,
        "disk_size": flavor["disk"] * GIB,
        "network": ports[0].network_name if ports else None,
        "ip": addresses[0] if addresses else None,
    }


# -- over HTTP


def fault(problem: Fault) -> Response:
    status = problem.status if 400 <= problem.status < 500 else 400
    return Response(status, {"status": "error", "reason": problem.message})


def _face(request: Request) -> OsCloud:
    """Raises Forbidden for a client from elsewhere."""
    face = request.cloud.oscloud
    if not face.admits(request.client):
        raise Forbidden(
            f"The OS Cloud API has no authentication and does not answer clients at {request.client}; "
            "the setting oscloud_networks says which it answers."
        )
    return face


def _decode(request: Request, shape: type[T]) -> T:
    """A page of elsewhere can make a browser on this machine send anything but JSON, so that is asked for."""
    if "json" not in request.headers.get("content-type", ""):
        raise UnsupportedMediaType("Send JSON, with the header Content-Type: application/json.")
    return request.decode(shape)


def welcome(request: Request) -> Response:
    _face(request)
    return Response(200, b"Welcome to OS Cloud!\n", content_type="text/plain; charset=utf-8")


def vm_create(request: Request) -> Response:
    number = _face(request).create(request.id, _decode(request, MachineNew))
    return Response(200, {"id": number, "status": "ok"})


def vm_list(request: Request) -> Response:
    return Response(200, _face(request).list(request.id))


def vm_info(request: Request) -> Response:
    return Response(200, _face(request).info(request.id, _decode(request, MachineId).id))


def _order(verb: str) -> Callable[[Request], Response]:
    def handler(request: Request) -> Response:
        getattr(_face(request), verb)(request.id, _decode(request, MachineId).id)
        return Response(200, {"status": "ok"})

    return handler


ROUTES = (
    Route("GET", "", welcome, None),
    Route("POST", "/vm_create", vm_create, None),
    Route("GET", "/vm_list", vm_list, None),
    Route("POST", "/vm_info", vm_info, None),
    Route("POST", "/vm_stop", _order("stop"), None),
    Route("POST", "/vm_start", _order("start"), None),
    Route("POST", "/vm_delete", _order("delete"), None),
)

API = Api("oscloud", "", ROUTES, {}, fault)
