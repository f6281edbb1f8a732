"""A cloud of images only, with what works by itself behind it, and a web server to import from."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from falcon import testing

from pilvi.engine import store as engine_store
from pilvi.image.routes import API
from pilvi.image.service import Images
from pilvi.settings import ImageSettings, Settings, StoreSettings
from tests.support.faces import SmallCloud
from tests.support.wait import eventually

ALICE, BOB, ADMIN, SERVICE = "alice:a:member", "bob:b:member", "root:admin:admin", "nova:service:service"
V20, V21 = (f"application/openstack-images-v2.{minor}-json-patch" for minor in (0, 1))


class Client:
    def __init__(self, cloud: SmallCloud):
        self.cloud, self._client = cloud, testing.TestClient(cloud.app(API))

    def __call__(self, method: str, path: str, token: str = ALICE, status: int | None = None, **options: Any) -> Any:
        headers = {"X-Auth-Token": token, **options.pop("headers", {})}
        if "json" in options and "Content-Type" in headers:  # which the test client would override
            options["body"] = json.dumps(options.pop("json"))
        answer = self._client.simulate_request(method, "/image" + path, headers=headers, **options)
        if status is not None:
            assert answer.status_code == status, answer.text
        return answer

    def create(self, token: str = ALICE, **values: Any) -> Any:
        form = {"disk_format": "raw", "container_format": "bare", **values}
        return self("POST", "/v2/images", token, 201, json=form).json

    def show(self, image: Any, token: str = ALICE) -> Any:
        return self("GET", image["self"], token, 200).json

    def put(self, image: Any, data: bytes, *, to: str = "file", status: int = 204, store: str | None = None) -> None:
        headers = {"Content-Type": "application/octet-stream", **({"X-Image-Meta-Store": store} if store else {})}
        self("PUT", f"{image['self']}/{to}", status=status, body=data, headers=headers)

    def active(self, data: bytes = b"data", **values: Any) -> Any:
        image = self.create(**values)
        self.put(image, data)
        return self.show(image)

    def patch(self, image: Any, *changes: Any, token: str = ALICE, status: int = 200, kind: str = V21) -> Any:
        return self("PATCH", image["self"], token, status, json=list(changes), headers={"Content-Type": kind})

    def order(self, image: Any, name: str, *, token: str = ALICE, status: int = 202, method: Any = None,
              **more: Any) -> Any:
        """Begins an import."""
        body = {"method": {"name": name, **(method or {})}, **more}
        return self("POST", image["self"] + "/import", token, status, json=body)

    def settle(self) -> None:
        eventually(self._quiet, 20, "an end of all operations")

    def _quiet(self) -> bool:
        with self.cloud.db.read() as tx:
            return not engine_store.unfinished_objects(tx) and self.cloud.engine.idle()

    def task(self, image: Any) -> Any:
        """The last one, when all have ended."""
        self.settle()
        return self("GET", image["self"] + "/tasks", status=200).json["tasks"][-1]

    def outcome(self, image: Any) -> tuple[str, str]:
        return self.task(image)["status"], self.show(image)["status"]


class Web(http.server.ThreadingHTTPServer):
    """Serves what `pages` says: data, or (status, headers, data)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.pages: dict[str, Any] = {}
        self.asked: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Page(http.server.BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        page = self.server.pages.get(self.path, (404, {}, b""))
        status, headers, data = page if isinstance(page, tuple) else (200, {}, page)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def web() -> Iterator[Web]:
    server = Web()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@contextmanager
def image_cloud(folder: Path, **settings: Any) -> Iterator[SmallCloud]:
    """Two stores, "local" and "second", with the web as a third; `settings` are of ImageSettings."""
    chosen = {"import_allow": ("127.0.0.1",), "http_store": True, "stores": (
        StoreSettings("second", str(folder / "second")),), **settings}
    cloud = SmallCloud(f"sqlite:///{folder}/pilvi.db", Settings(image=ImageSettings(**chosen)))
    cloud.image = Images(cloud.db, cloud.clock, cloud.ids, cloud.engine, cloud.settings, folder / "images",
                         cloud.identity)
    cloud.create_tables()
    cloud.image.register(cloud.engine)
    cloud.engine.retry_seconds = 0.01
    cloud.engine.start()
    try:
        yield cloud
    finally:
        cloud.engine.stop()
        cloud.image.close()
        cloud.close()
