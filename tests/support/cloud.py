"""A whole simulated cloud for a test: served on a loopback port, and taken down at the end."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvicorn

from pilvi.cloud import Cloud
from pilvi.daemon import listen
from pilvi.settings import HostSettings, Place, Settings
from pilvi.site import Site
from tests.support.wait import eventually

PASSWORDS = {"admin": "admin-secret", "pilvi": "pilvi-secret", "oscloud": "oscloud-secret"}


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Session:
    """One user's plain HTTP session; a thread has a connection of its own."""

    def __init__(self, port: int, token: str = "", project_id: str = "", version: str = "2.96"):
        self.port, self.token, self.project_id, self.version = port, token, project_id, version
        self._local = threading.local()

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Accept": "application/json", "OpenStack-API-Version": f"compute {self.version}"}
        if self.token:
            sent["X-Auth-Token"] = self.token
        data = body
        if body is not None and not isinstance(body, bytes):
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            connection.request(method, path, data, {**sent, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer of a request that must succeed."""
        answer = self.request(method, path, body)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body[:500]!r}"
        return answer.json() if answer.body else None

    def get(self, path: str) -> Any:
        return self.ok("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self.ok("POST", path, body)


class Served:
    """A running cloud and how to talk to it."""

    def __init__(self, cloud: Cloud, port: int):
        self.cloud, self.port = cloud, port

    def login(self, user: str = "pilvi", password: str | None = None, project: str | None = None) -> Session:
        session = Session(self.port)
        answer = session.request("POST", "/identity/v3/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": user, "domain": {"id": "default"}, "password": password or PASSWORDS[user]}}},
            "scope": {"project": {"name": project or user, "domain": {"id": "default"}}}}})
        assert answer.status == 201, answer.body
        return Session(self.port, answer.headers["X-Subject-Token"], answer.json()["token"]["project"]["id"])

    def new_user(self, name: str) -> Session:
        """A member of a new project, both of this name."""
        admin, v3 = self.login("admin"), "/identity/v3"
        project = admin.post(f"{v3}/projects", {"project": {"name": name, "domain_id": "default"}})["project"]
        user = admin.post(f"{v3}/users", {"user": {"name": name, "domain_id": "default", "password": name}})["user"]
        role = admin.get(f"{v3}/roles?name=member")["roles"][0]
        admin.ok("PUT", f"{v3}/projects/{project['id']}/users/{user['id']}/roles/{role['id']}")
        return self.login(name, name, name)

    def settle(self, seconds: float = 30) -> None:
        """Waits until no operation is under way."""
        eventually(self.cloud.engine.idle, seconds, "an idle engine")

    def image(self, name: str = "image", size: int = 1 << 16) -> str:
        """The id of a public raw image of so many bytes."""
        admin = self.login("admin")
        image = admin.post("/image/v2/images", {"name": name, "disk_format": "raw", "container_format": "bare",
                                                "visibility": "public"})["id"]
        put = admin.request("PUT", f"/image/v2/images/{image}/file", bytes(size),
                            {"Content-Type": "application/octet-stream"})
        assert put.status == 204, put.body
        return image

    def network(self, session: Session, name: str = "net", cidr: str = "10.1.0.0/24") -> str:
        network = session.post("/network/v2.0/networks", {"network": {"name": name}})["network"]["id"]
        session.post("/network/v2.0/subnets", {"subnet": {"name": name, "network_id": network, "ip_version": 4,
                                                          "cidr": cidr}})
        return network


@contextmanager
def simulated_cloud(root: Path, *, database: str = "", hosts: int = 1, vcpus: int = 0, memory_mib: int = 0,
                    disk_gib: int = 0, make_site: Callable[[Cloud], Site] | None = None,
                    **settings: Any) -> Iterator[Served]:
    host = HostSettings(vcpus=vcpus, memory_mib=memory_mib, disk_gib=disk_gib, reserved_memory_mib=0)
    chosen = msgspec.structs.replace(Settings(simulated=True, simulated_hosts=hosts, database=database, host=host,
                                              shutdown_seconds=2), **settings)
    place = Place(root)
    place.root.mkdir(parents=True, exist_ok=True)
    cloud = Cloud(place, chosen, make_site=make_site)
    cloud.bootstrap(PASSWORDS)
    cloud.start()
    listener = listen("127.0.0.1:0")
    server = uvicorn.Server(uvicorn.Config(cloud.app(), http="httptools", lifespan="off", log_config=None,
                                           access_log=False, timeout_keep_alive=75, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, what="the HTTP server")
        yield Served(cloud, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)
        cloud.stop()
