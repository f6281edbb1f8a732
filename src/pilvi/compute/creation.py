"""Making servers: everything that can be refused is refused, and everything allotted, in one transaction."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.compute import states, store, store_catalog
from pilvi.compute.flavors import Flavors
from pilvi.compute.hosts import Hosts, is_up
from pilvi.compute.quotas import Quotas
from pilvi.compute.servers import Servers
from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound, OverLimit
from pilvi.policy import Context
from pilvi.quota import UNLIMITED, limits

GIB = 1 << 30


class ServerCreate(msgspec.Struct, kw_only=True):
    """What is asked for. `networks`: NicRequests, "auto", "none", or None: the project's only network."""

    name: str
    flavor_id: str
    image_id: str
    networks: list[Any] | str | None = None
    security_groups: list[str] = []
    key_name: str | None = None
    metadata: dict[str, str] = {}
    tags: list[str] = []
    user_data: str | None = None  # base64
    config_drive: bool = False
    min_count: int = 1
    max_count: int = 1
    availability_zone: str | None = None  # "zone", and for administrators "zone:host" too
    host: str | None = None  # for administrators
    same_hosts: list[str] = []  # servers: on one of their hosts
    other_hosts: list[str] = []  # servers: on none of their hosts
    admin_password: str | None = None
    description: str | None = None
    hostname: str | None = None  # None: made from the name
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    disk_config: str = "MANUAL"


class Creation(Flavors, Quotas, Hosts, Servers):
    def create_server(self, context: Context, wanted: ServerCreate) -> list[sa.Row]:
        """The new servers, as many as the quota has room for up to `max_count`.

        Raises BadRequest for what is not there or does not fit together; OverLimit when not even `min_count`
        fit the quota; Conflict when a server has no host (with each host's reason): then none is made;
        Forbidden without a project, and where somebody else than an administrator names a host."""
        if context.project_id is None:
            raise Forbidden("A server belongs to a project: ask with a token that is scoped to one.")
        with self.db.transaction() as tx:
            image = self._image(tx, context, wanted.image_id)
            flavor = self._flavor(tx, context, wanted.flavor_id)
            self._check_size(flavor, image)
            key = self._key(tx, context, wanted.key_name)
            zone, candidates = self._candidates(tx, context, wanted)
            count = self.fitting(tx, context.project_id, flavor, wanted.min_count, wanted.max_count)
            allowed = limits(tx, "compute", context.project_id)["metadata_items"]
            if allowed != UNLIMITED and len(wanted.metadata) > allowed:
                raise OverLimit(f"Maximum number of metadata items exceeds {allowed}")
            shared = self._shared(tx, context, wanted, flavor, key, zone)
            rows = [self._row(shared, wanted, number, count, tx.now + number) for number in range(count)]
            disk = flavor.disk or -(-image.virtual_size_bytes // GIB)
            for row in rows:
                row["host"] = self.placement.claim(
                    tx, row["id"], vcpus=flavor.vcpus, memory_mib=flavor.ram,
                    disk_gib=disk + flavor.ephemeral, hosts=list(candidates))
                row["availability_zone"] = candidates[row["host"]]
            for row in rows:
                self.network.allocate(tx, context, row["id"], row["hostname"], wanted.networks,
                                      wanted.security_groups)
                self.network.bind(tx, row["id"], row["host"])
            store.insert_servers(tx, rows)
            for row in rows:
                trail = [f"{row['host']} was chosen among {len(candidates)} hosts: {flavor.vcpus} vCPUs, "
                         f"{flavor.ram} MiB of memory, {disk + flavor.ephemeral} GiB of disk"]
                self.engine.begin(tx, "server.boot", row["id"], context=context, memory={
                    "placement": trail, "generation": row["generation"], "host": row["host"],
                    "image": {"id": image.id, "path": str(image.path), "format": image.disk_format}})
            return [store.server(tx, row["id"]) for row in rows]

    # -- what it takes, or why not

    def _image(self, tx: Tx, context: Context, image_id: str) -> Any:
        try:
            return self.image.for_boot(tx, context, image_id)
        except NotFound as fault:
            raise BadRequest(fault.message) from None

    def _flavor(self, tx: Tx, context: Context, flavor_id: str) -> sa.Row:
        try:
            flavor = self.flavor_for(tx, context, flavor_id)
        except NotFound as fault:
            raise BadRequest(fault.message) from None
        if flavor.disabled:
            raise BadRequest(f"Flavor {flavor_id} could not be found.")
        return flavor

    def _check_size(self, flavor: sa.Row, image: Any) -> None:
        if flavor.ram < image.min_ram_mib:
            raise BadRequest(f"Flavor's memory is too small for requested image: flavor {flavor.name} has "
                             f"{flavor.ram} MiB, image {image.id} needs {image.min_ram_mib} MiB.")
        if flavor.disk and flavor.disk < image.min_disk_gib:
            raise BadRequest("Flavor's disk is smaller than the minimum size specified in image metadata. "
                             f"Flavor disk is {flavor.disk * GIB} bytes, minimum size is "
                             f"{image.min_disk_gib * GIB} bytes.")
        if flavor.disk and flavor.disk * GIB < image.virtual_size_bytes:
            raise BadRequest("Flavor's disk is too small for requested image. Flavor disk is "
                             f"{flavor.disk * GIB} bytes, image is {image.virtual_size_bytes} bytes.")

    def _key(self, tx: Tx, context: Context, name: str | None) -> sa.Row | None:
        if name is None:
            return None
        key = store_catalog.keypair(tx, context.user_id, name)
        if key is None:
            raise BadRequest("Invalid key_name provided.")
        return key

    def _candidates(self, tx: Tx, context: Context,
                    wanted: ServerCreate) -> tuple[str | None, dict[str, str]]:
        """(the zone asked for, the hosts that may be taken with each one's zone)."""
        zone, _, host = (wanted.availability_zone or "").partition(":")
        host = wanted.host or host.partition(":")[0]
        if host and not context.is_admin:
            raise Forbidden("Policy doesn't allow os_compute_api:servers:create:forced_host to be performed.")
        rows = store.all_hosts(tx)
        if zone and not any(row.availability_zone == zone for row in rows):
            raise BadRequest("The requested availability zone is not available")
        if host and not any(row.name == host for row in rows):
            raise BadRequest(f"Compute host {host} could not be found.")
        near = {self.owned(tx, context, each).host for each in wanted.same_hosts}
        far = {self.owned(tx, context, each).host for each in wanted.other_hosts}
        usable = {row.name: row.availability_zone for row in rows
                  if (not zone or row.availability_zone == zone) and (not host or row.name == host)
                  and (host or (not row.disabled and is_up(row, tx.now)))
                  and (not wanted.same_hosts or row.name in near) and row.name not in far}
        if not usable:
            raise Conflict(f"No valid host was found. {_why_none(rows, zone, tx.now)}")
        return zone or None, usable

    # -- rows

    def _shared(self, tx: Tx, context: Context, wanted: ServerCreate, flavor: sa.Row, key: sa.Row | None,
                zone: str | None) -> dict[str, Any]:
        """What the servers of one request have in common."""
        return {
            "project_id": context.project_id, "user_id": context.user_id, "description": wanted.description,
            "image_id": wanted.image_id, "flavor": flavor_at_boot(flavor), "vcpus": flavor.vcpus,
            "ram": flavor.ram, "key_name": key and key.name, "key_public": key and key.public_key,
            "key_type": key and key.type, "pinned_availability_zone": zone, "vm_state": states.BUILDING,
            "task_state": "spawning", "power_state": 0, "generation": 1, "metadata": wanted.metadata,
            "tags": wanted.tags, "user_data": wanted.user_data, "config_drive": wanted.config_drive,
            "admin_password": wanted.admin_password, "access_ip_v4": wanted.access_ip_v4,
            "access_ip_v6": wanted.access_ip_v6, "disk_config": wanted.disk_config,
            "reservation_id": "r-" + self.ids.hex()[:8], "created_at": tx.now, "updated_at": tx.now,
        }

    def _row(self, shared: dict[str, Any], wanted: ServerCreate, number: int, count: int,
             seq: int) -> dict[str, Any]:
        server_id = self.ids.uuid()
        suffix = f"-{number + 1}" if count > 1 else ""
        hostname = wanted.hostname or hostname_of(wanted.name) or f"server-{server_id}"
        return {**shared, "id": server_id, "seq": seq, "name": wanted.name + suffix, "launch_index": number,
                "hostname": hostname[:63 - len(suffix)] + suffix}


def _why_none(rows: Sequence[sa.Row], zone: str, now: int) -> str:
    """One reason a host, in the words of Placement's refusals."""
    if not rows:
        return "There are no hosts: is an agent running?"
    reasons = []
    for row in rows:
        if not is_up(row, now):
            reasons.append(f"host {row.name}: its agent does not answer")
        elif row.disabled:
            reasons.append(f"host {row.name}: disabled ({row.disabled_reason or 'no reason given'})")
        elif zone and row.availability_zone != zone:
            reasons.append(f"host {row.name}: not in zone {zone}")
        else:
            reasons.append(f"host {row.name}: ruled out by a scheduler hint")
    return "; ".join(reasons)


def flavor_at_boot(flavor: sa.Row) -> dict[str, Any]:
    return {name: getattr(flavor, name) for name in (
        "id", "name", "vcpus", "ram", "disk", "ephemeral", "swap", "extra_specs")}


def hostname_of(name: str) -> str:
    """What a guest of this name calls itself: letters, digits and hyphens; "" where nothing is left."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9-]+", "", re.sub(r"[\s_.]+", "-", text))[:63].strip("-")
