"""Stand-ins for the domains around Compute, so that its API half is tested by itself."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import falcon.testing

from pilvi.bus.local import LocalBus
from pilvi.compute import store
from pilvi.compute.routes import API
from pilvi.compute.service import Compute
from pilvi.db import Database, Tx, metadata
from pilvi.engine.clock import Ids, SystemClock
from pilvi.engine.engine import Engine
from pilvi.engine.operations import Operation, Progress, Step
from pilvi.faults import BadRequest, NotFound, Unauthorized
from pilvi.http.app import build_app
from pilvi.placement.service import NoValidHost
from pilvi.policy import Context, with_implied
from pilvi.settings import Settings

GIB = 1 << 30


class FakeIdentity:
    """A token is "project/user/role"."""

    def authenticate(self, token: str, request_id: str) -> Context:
        if token.count("/") != 2:
            raise Unauthorized("The request you have made requires authentication.")
        project, user, role = token.split("/")
        return Context(user_id=user, user_name=user, project_id=project, project_name=project,
                       roles=with_implied(frozenset({role})), request_id=request_id)

    def project_exists(self, tx: Tx, project_id: str) -> bool:
        return not project_id.startswith("no-")


class FakeImages:
    def __init__(self) -> None:
        self.images: dict[str, Any] = {}

    def add(self, image_id: str, *, gib: int = 1, min_disk: int = 0, min_ram: int = 0) -> str:
        self.images[image_id] = SimpleNamespace(
            id=image_id, name="image", status="active", disk_format="qcow2", size_bytes=1 << 20,
            virtual_size_bytes=gib * GIB, min_disk_gib=min_disk, min_ram_mib=min_ram, properties={},
            path=Path("/nowhere"))
        return image_id

    def for_boot(self, tx: Tx, context: Context, image_id: str, *, described: bool = False) -> Any:
        if image_id not in self.images:
            raise NotFound(f"Image {image_id} could not be found.")
        return self.images[image_id]


class FakeNetworks:
    """Every server gets one port on the network "net", unless it asks for none."""

    def __init__(self) -> None:
        self.ports: dict[str, Any] = {}
        self.bound: dict[str, str] = {}

    def allocate(self, tx: Tx, context: Context, server_id: str, hostname: str, requests: Any,
                 security_groups: list[str]) -> list[str]:
        if "missing" in security_groups:
            raise BadRequest("Security group missing not found.")
        if requests == "none":
            return []
        number = len(self.ports) + 1
        self.ports[server_id] = SimpleNamespace(
            id=f"00000000-0000-4000-8000-{number:012x}", network_id="11111111-0000-4000-8000-000000000000",
            network_name="net", mac=f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}", mtu=1442, tag=None,
            fixed_ips=[("22222222-0000-4000-8000-000000000000", f"10.0.{number >> 8}.{number & 255}", 4)],
            floating_ips=[], security_groups=security_groups or ["default"], status="ACTIVE")
        return [self.ports[server_id].id]

    def bind(self, tx: Tx, server_id: str, host: str) -> None:
        self.bound[server_id] = host

    def ports_of(self, tx: Tx, server_ids: Any) -> dict[str, list[Any]]:
        return {server_id: [self.ports[server_id]] for server_id in server_ids if server_id in self.ports}


class FakePlacement:
    """Hosts with so much memory each (MiB), first come first served."""

    def __init__(self, memory_mib: int):
        self.memory_mib = memory_mib
        self.claims: dict[str, tuple[str, int]] = {}

    def claim(self, tx: Tx, consumer_id: str, *, vcpus: int, memory_mib: int, disk_gib: int,
              hosts: Any, ranks: Any = None, **owner: str) -> str:
        reasons = []
        for host in sorted(hosts, key=lambda host: (ranks or {}).get(host, 0)):
            free = self.memory_mib - sum(size for name, size in self.claims.values() if name == host)
            if free >= memory_mib:
                self.claims[consumer_id] = (host, memory_mib)
                return host
            reasons.append(f"host {host}: {memory_mib} MiB of memory wanted, {free} free")
        raise NoValidHost("No valid host was found. " + "; ".join(reasons))

    def remove_host(self, tx: Tx, host: str) -> None:
        assert host not in {name for name, _ in self.claims.values()}

    def release(self, tx: Tx, consumer_id: str) -> None:
        self.claims.pop(consumer_id, None)

    def usage(self, tx: Tx) -> list[dict[str, Any]]:
        names = {host for host, _ in self.claims.values()}
        return [{"host": name, "memory_mib": self.memory_mib,
                 "memory_mib_used": sum(size for host, size in self.claims.values() if host == name)}
                for name in sorted(names)]


class FakeOperation(Operation):
    """Does nothing but settle the rows."""

    def __init__(self, kind: str, action: str, forward_only: bool = False, **values: Any):
        self.kind, self.action, self.forward_only, self.values = kind, action, forward_only, values

    def steps(self) -> tuple[Step, ...]:
        return (Step("do it", lambda progress: None),)

    def finish(self, tx: Tx, progress: Progress) -> None:
        values = dict(self.values)
        for name in ("launched_at", "deleted_at", "terminated_at"):
            if name in values:
                values[name] = tx.now
        store.update_server(tx, progress.object_id, task_state=None, **values)


def operations() -> tuple[Operation, ...]:
    running = {"vm_state": "active", "power_state": 1}
    return (
        FakeOperation("server.boot", "create", launched_at=True, **running),
        FakeOperation("server.delete", "delete", forward_only=True, vm_state="deleted", deleted_at=True,
                      terminated_at=True),
        FakeOperation("server.stop", "stop", vm_state="stopped", power_state=4),
        FakeOperation("server.start", "start", **running),
        FakeOperation("server.reboot", "reboot", **running),
        FakeOperation("server.pause", "pause", vm_state="paused", power_state=3),
        FakeOperation("server.unpause", "unpause", **running),
    )


class FakeCloud:
    """Compute with everything around it made up; operations run when `settle` is called, not before."""

    def __init__(self, place: Path, *, memory_mib: int = 1 << 30, hosts: tuple[str, ...] = ("alpha", "beta"),
                 url: str | None = None):
        self.clock, self.ids, self.settings = SystemClock(), Ids(), Settings(simulated=True)
        self.db = Database(url or f"sqlite:///{place / 'pilvi.db'}", self.clock)
        metadata.create_all(self.db.engine)
        self.engine = Engine(self.db, self.clock, self.ids, workers=2)
        self.bus = LocalBus()
        self.identity, self.image = FakeIdentity(), FakeImages()
        self.network, self.placement = FakeNetworks(), FakePlacement(memory_mib)
        self.compute = Compute(self.db, self.clock, self.ids, self.engine, self.bus, self.settings,
                               identity=self.identity, image=self.image, network=self.network,
                               placement=self.placement, volume=None)
        self.engine.register(*operations())
        self.compute.bootstrap()
        with self.db.transaction() as tx:
            for name in hosts:
                store.save_host(tx, name, self.ids, hypervisor_type="fake", hypervisor_version=1_000_000,
                                address="127.0.0.1")
        self.requests = ThreadPoolExecutor(4)
        self.http = falcon.testing.TestClient(build_app(self, [API], self.requests))

    def settle(self) -> None:
        """Waits until no operation is under way."""
        deadline = time.monotonic() + 60
        while not self.engine.idle():
            assert time.monotonic() < deadline, "operations are still under way"
            time.sleep(0.002)

    def close(self) -> None:
        self.engine.stop()
        self.requests.shutdown()
        self.db.close()
