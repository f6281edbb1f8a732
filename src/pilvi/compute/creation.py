"""Making servers: everything that can be refused is refused, and everything allotted, in one transaction."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.compute import states, store, store_catalog, store_running
from pilvi.compute.block_devices import BlockDevice
from pilvi.compute.devices import Devices
from pilvi.compute.flavors import Flavors, extra_gib
from pilvi.compute.hosts import Hosts
from pilvi.compute.quotas import Quotas
from pilvi.compute.scheduling import Asked, Schedule, Scheduling
from pilvi.compute.servers import Servers
from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.image.service import BootImage
from pilvi.placement.service import NoValidHost
from pilvi.policy import Context

GIB = 1 << 30


class ServerCreate(msgspec.Struct, kw_only=True):
    """What is asked for. `networks`: NicRequests, "auto", "none", or None: the project's only network."""

    name: str
    flavor_id: str
    image_id: str | None = None  # None: what it boots from is among its devices
    devices: Sequence[BlockDevice] = ()
    old_devices: bool = True  # they are in the notation that leaves it open which one is booted from
    multiattach: bool = True  # also volumes that may be several servers'
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
    host: str | None = None  # for administrators; unlike a zone's host it must fit the scheduler's rules
    personality: list[dict[str, str]] = []  # files for the guest, which a config drive carries: path, contents (base64)
    hints: dict[str, Any] = {}  # scheduler hints, as the API takes them
    keep_unplaced: bool = False  # where they find no host, they stay as errors that say why
    admin_password: str | None = None
    description: str | None = None
    hostname: str | None = None  # None: made from the name
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    disk_config: str = "MANUAL"


class Creation(Devices, Flavors, Quotas, Hosts, Servers, Scheduling):
    def create_server(self, context: Context, wanted: ServerCreate) -> list[sa.Row]:
        """The new servers, as many as the quota has room for up to `max_count`.

        Raises BadRequest for what is not there or does not fit together; OverLimit when not even `min_count`
        fit the quota; NoValidHost (with each host's reason) when one of them has no host: then none is made,
        unless they are to be kept; Forbidden without a project, and where somebody else than an administrator
        names a host."""
        if context.project_id is None:
            raise Forbidden("A server belongs to a project: ask with a token that is scoped to one.")
        with self.db.transaction() as tx:
            flavor = self._flavor(tx, context, wanted.flavor_id)
            plan = self.plan_disks(tx, context, wanted.devices, wanted.image_id, flavor, old=wanted.old_devices,
                                   many=wanted.max_count > 1, multiattach=wanted.multiattach)
            self._check_size(flavor, plan.facts, own_disk=plan.image is not None)
            key = self._key(tx, context, wanted.key_name)
            hosts = store.all_hosts(tx)
            asked = self._asked(context, wanted, flavor, plan.facts, hosts)
            count = self.fitting(tx, context.project_id, flavor, wanted.min_count, wanted.max_count,
                                 context.user_id)
            if "group" in wanted.hints:
                asked.group = self.group_to_join(tx, context, wanted.hints["group"], count)
            self.check_sizes(tx, context.project_id, wanted.metadata, wanted.personality)
            shared = self._shared(tx, context, wanted, flavor, key, asked, plan.facts)
            rows = [self._row(shared, wanted, number, count, tx.now + number) for number in range(count)]
            disk = root_gib(flavor.disk, plan.image) + extra_gib(flavor_at_boot(flavor))
            try:
                trails = self._place(tx, rows, self.schedule(tx, asked, hosts), disk)
            except NoValidHost as fault:
                if not wanted.keep_unplaced:
                    raise
                return self._unplaced(tx, rows, fault)
            for row in rows:
                self.network.allocate(tx, context, row["id"], row["hostname"].partition(".")[0], wanted.networks,
                                      wanted.security_groups)
                self.network.bind(tx, row["id"], row["host"])
                row["volumes"] = self.give_volumes(tx, context, row, plan)
                row["local_disks"] = plan.local_disks
            store.insert_servers(tx, rows)
            for row, trail in zip(rows, trails, strict=True):
                self.engine.begin(tx, "server.boot", row["id"], context=context, memory={
                    "placement": [trail], "generation": row["generation"], "host": row["host"],
                    "image": source_of(plan.image), "volumes": bool(row["volumes"]),
                    "made": [each["volume_id"] for each in row["volumes"] if each["made"]]})
            return [store.server(tx, row["id"]) for row in rows]

    # -- hosts

    def _place(self, tx: Tx, rows: Sequence[dict[str, Any]], schedule: Schedule, disk_gib: int) -> list[str]:
        """Claims a host for each, and says why that one. Raises NoValidHost."""
        trails = []
        for row in rows:
            choices = schedule.choices()
            row["host"] = self.placement.claim(tx, row["id"], vcpus=row["vcpus"], memory_mib=row["ram"],
                                               disk_gib=disk_gib, hosts=list(choices), ranks=choices,
                                               project_id=row["project_id"], user_id=row["user_id"])
            row["availability_zone"] = schedule.placed(row["host"])
            trails.append(f"{row['host']} was chosen among {len(choices)} hosts: {row['vcpus']} vCPUs, "
                          f"{row['ram']} MiB of memory, {disk_gib} GiB of disk")
        return trails

    def _unplaced(self, tx: Tx, rows: Sequence[dict[str, Any]], fault: NoValidHost) -> list[sa.Row]:
        """The servers stay, hold nothing, and say why they run nowhere, as Nova's do."""
        for row in rows:
            self.placement.release(tx, row["id"])
            row.update(host=None, availability_zone=None, vm_state=states.ERROR, task_state=None,
                       fault=store_running.fault(tx, fault.message))
        store.insert_servers(tx, rows)
        return [store.server(tx, row["id"]) for row in rows]

    def _asked(self, context: Context, wanted: ServerCreate, flavor: sa.Row, image: Any,
               hosts: Sequence[sa.Row]) -> Asked:
        """What the scheduler is to heed. Raises BadRequest, and Forbidden where no administrator names a host."""
        zone, _, forced = (wanted.availability_zone or "").partition(":")
        forced = forced.partition(":")[0]
        host = wanted.host or forced or None
        if host and not context.is_admin:
            raise Forbidden("Policy doesn't allow os_compute_api:servers:create:forced_host to be performed.")
        if zone and not any(row.availability_zone == zone for row in hosts):
            raise BadRequest("The requested availability zone is not available")
        if host and not any(row.name == host for row in hosts):
            raise BadRequest(f"Compute host {host} could not be found.")
        return Asked(project_id=context.project_id or "", extra_specs=flavor.extra_specs, zone=zone or None, host=host,
                     forced=bool(forced), image_properties=image.properties, hints=wanted.hints)

    # -- what it takes, or why not

    def _flavor(self, tx: Tx, context: Context, flavor_id: str) -> sa.Row:
        try:
            flavor = self.flavor_for(tx, context, flavor_id)
        except NotFound as fault:
            raise BadRequest(fault.message) from None
        if flavor.disabled:
            raise BadRequest(f"Flavor {flavor_id} could not be found.")
        return flavor

    def _check_size(self, flavor: sa.Row, image: Any, *, own_disk: bool = True) -> None:
        if flavor.ram < image.min_ram_mib:
            raise BadRequest(f"Flavor's memory is too small for requested image: flavor {flavor.name} has "
                             f"{flavor.ram} MiB, image {image.id} needs {image.min_ram_mib} MiB.")
        if not own_disk:  # a volume is as large as it was asked for
            return
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

    # -- rows

    def _shared(self, tx: Tx, context: Context, wanted: ServerCreate, flavor: sa.Row, key: sa.Row | None,
                asked: Asked, image: Any) -> dict[str, Any]:
        """What the servers of one request have in common."""
        return {
            "project_id": context.project_id, "user_id": context.user_id, "description": wanted.description,
            "image_id": wanted.image_id, "flavor": flavor_at_boot(flavor), "vcpus": flavor.vcpus,
            "ram": flavor.ram, "key_name": key and key.name, "key_public": key and key.public_key,
            "key_type": key and key.type, "pinned_availability_zone": asked.zone, "vm_state": states.BUILDING,
            "task_state": "spawning", "power_state": 0, "generation": 1, "metadata": wanted.metadata,
            "tags": wanted.tags, "user_data": wanted.user_data, "personality": wanted.personality,
            "config_drive": wanted.config_drive or bool(wanted.personality),
            "admin_password": wanted.admin_password, "access_ip_v4": wanted.access_ip_v4,
            "access_ip_v6": wanted.access_ip_v6, "disk_config": wanted.disk_config,
            "server_group_id": asked.group and asked.group.id, "scheduler_hints": wanted.hints,
            "image_properties": image_facts(image),
            "reservation_id": "r-" + self.ids.hex()[:8], "created_at": tx.now, "updated_at": tx.now,
        }

    def _row(self, shared: dict[str, Any], wanted: ServerCreate, number: int, count: int,
             seq: int) -> dict[str, Any]:
        server_id = self.ids.uuid()
        suffix = f"-{number + 1}" if count > 1 else ""
        hostname = wanted.hostname or hostname_of(wanted.name) or f"server-{server_id}"
        longest = 255 if wanted.hostname else 63  # a name that is asked for may have a domain
        return {**shared, "id": server_id, "seq": seq, "name": wanted.name + suffix, "launch_index": number,
                "hostname": hostname[:longest - len(suffix)] + suffix}


def image_facts(image: Any) -> dict[str, str]:
    """What servers show of the image that they were made from (microversion 2.98): all as texts."""
    return {**{name: str(value) for name, value in image.properties.items()}, "base_image_ref": image.id,
            "container_format": "bare", "disk_format": image.disk_format, "min_disk": str(image.min_disk_gib),
            "min_ram": str(image.min_ram_mib)}


def root_gib(disk: int, image: BootImage | None) -> int:
    """GiB of a server's own first disk, by its flavor's, or else as large as its image; None: it boots from a volume."""
    return 0 if image is None else disk or -(-image.virtual_size_bytes // GIB)


def source_of(image: BootImage | None) -> dict[str, str] | None:
    """As operations remember it."""
    return image and {"id": image.id, "path": str(image.path), "format": image.disk_format}


def flavor_at_boot(flavor: sa.Row) -> dict[str, Any]:
    return {name: getattr(flavor, name) for name in (
        "id", "name", "vcpus", "ram", "disk", "ephemeral", "swap", "extra_specs")}


def hostname_of(name: str) -> str:
    """What a guest of this name calls itself: letters, digits and hyphens; "" where nothing is left."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9-]+", "", re.sub(r"[\s_.]+", "-", text))[:63].strip("-")
