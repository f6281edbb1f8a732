"""A simulated cloud without its HTTP face, which can be killed and started again on the same state."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from pilvi.cloud import Cloud
from pilvi.compute import store
from pilvi.compute.service import ServerCreate
from pilvi.compute.tables import servers
from pilvi.engine import store as engine_store
from pilvi.faces.inside import Inside
from pilvi.network import routes as network_routes
from pilvi.network.service import NicRequest
from pilvi.network.tables import networks, ports
from pilvi.placement.tables import allocations, inventories
from pilvi.policy import Context
from pilvi.settings import HostSettings, Place, Settings
from tests.support.cloud import PASSWORDS
from tests.support.wait import eventually

SETTINGS = Settings(
    simulated=True,
    shutdown_seconds=0.2,
    shelved_offload_seconds=-1,
    host=HostSettings(vcpus=8, memory_mib=8192, disk_gib=100, reserved_memory_mib=0),
)


class Holdings(NamedTuple):
    """Everything that servers hold, in rows and on hosts."""

    claims: tuple
    used: tuple
    ports: tuple
    guests: tuple
    disks: tuple
    taps: tuple
    journal: tuple


NOTHING = Holdings(*[()] * 7)


class Killed(BaseException):
    """The process ends here."""


class World:
    """`call` is how steps are called, from `start` on."""

    def __init__(self, root: Path, settings: Settings = SETTINGS):
        self.root, self.settings = root, settings
        self.cloud = Cloud(Place(root), settings)
        self.cloud.engine.retry_seconds = 0.01

    @classmethod
    def template(cls, root: Path, settings: Settings = SETTINGS) -> Any:
        """A state folder with an image, a network and a flavor in it: what `copy` starts from."""
        world = cls(root, settings)
        cloud = world.cloud
        cloud.bootstrap(PASSWORDS)
        context = world.context()
        form = {"name": "image", "disk_format": "raw", "container_format": "bare"}
        image = cloud.image.create(context, form, {})
        upload = cloud.image.begin_upload(context, image["id"], 4)
        upload.writer.write([b"data"])
        cloud.image.finish_upload(upload)
        network = Inside(cloud, network_routes.API)
        made = network(context, "POST", "/v2.0/networks", {"network": {"name": "net"}})["network"]
        network(
            context,
            "POST",
            "/v2.0/subnets",
            {"subnet": {"network_id": made["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}},
        )
        world.stop()
        return root

    @classmethod
    def copy(cls, template: Path, root: Path, settings: Settings = SETTINGS) -> World:
        shutil.copytree(template, root)
        return cls(root, settings)

    def context(self) -> Context:
        return self.cloud.identity.internal_context("pilvi", "pilvi", "req-1")

    def start(self, call: Any = None) -> World:
        if call is not None:
            self.cloud.engine.call = call
        self.cloud.start()
        return self

    def stop(self) -> None:
        if self.cloud is not None:
            self.cloud.stop()
            self.cloud = None

    def restart(self, call: Any = None) -> None:
        self.stop()
        self.cloud = Cloud(Place(self.root), self.settings)
        self.cloud.engine.retry_seconds = 0.01
        self.start(call)

    # -- what users do

    def boot(self, name: str = "server", *, tag: str | None = None, **values: Any) -> str:
        context, cloud = self.context(), self.cloud
        with cloud.db.read() as tx:
            network = tx.one(networks.select().where(networks.c.external.is_(False)))
        values.setdefault("image_id", cloud.image.find(context, "image"))
        wanted = ServerCreate(
            name=name,
            flavor_id=self.flavor("m1.tiny"),
            networks=[NicRequest(network.id, tag=tag)],
            **values,
        )
        return cloud.compute.create_server(context, wanted)[0].id

    def flavor(self, name: str) -> str:
        return next(row.id for row in self.cloud.compute.flavors(self.context()) if row.name == name)

    def settled_boot(self) -> str:
        server_id = self.boot()
        self.settle()
        assert self.row(server_id).vm_state == "active"
        return server_id

    def order(self, verb: str, server_id: str, **values: Any) -> None:
        getattr(self.cloud.compute, verb)(self.context(), server_id, **values)

    def settle(self) -> None:
        """Waits until nothing is left to do."""
        eventually(self.quiet, 20, "an end of all operations")

    def quiet(self) -> bool:
        with self.cloud.db.read() as tx:
            return not engine_store.unfinished_objects(tx) and self.cloud.engine.idle()

    # -- what is there

    def row(self, server_id: str) -> Any:
        with self.cloud.db.read() as tx:
            return store.server(tx, server_id, deleted=True)

    def write(self, server_id: str, **values: Any) -> None:
        with self.cloud.db.transaction() as tx:
            tx.execute(servers.update().where(servers.c.id == server_id).values(**values))

    def operations(self, server_id: str) -> list[tuple[str, str]]:
        """(kind, state), the oldest first."""
        with self.cloud.db.read() as tx:
            return [(row.kind, row.state) for row in reversed(engine_store.operations_of(tx, server_id))]

    def holdings(self) -> Holdings:
        by_class = (inventories.c.host, inventories.c.resource_class)
        with self.cloud.db.read() as tx:
            claims = tx.all(allocations.select().order_by(*allocations.primary_key))
            used = tx.all(inventories.select().where(inventories.c.used != 0).order_by(*by_class))
            owned = tx.all(ports.select().where(ports.c.device_owner == "compute:nova").order_by(ports.c.id))
        hosts = self.cloud.site.agents
        return Holdings(
            tuple((row.consumer_id, row.resource_class, row.used) for row in claims),
            tuple((row.host, row.resource_class, row.used) for row in used),
            tuple((row.id, row.device_id, row.host) for row in owned),
            *(
                tuple(sorted(name for host in hosts for name in found(host)))
                for found in (
                    lambda host: host.hypervisor.guests(),
                    lambda host: host.disks.disks(),
                    lambda host: host.fabric.plugged(),
                    lambda host: host.journal.guests(),
                )
            ),
        )

    @property
    def agent(self) -> Any:
        return self.cloud.site.agents[0]
