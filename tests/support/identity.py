"""Identity on its own: its service on a database in a folder, and its API without a server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import falcon.testing

from pilvi.db import Database, metadata
from pilvi.engine.clock import Clock, Ids
from pilvi.http.app import build_app
from pilvi.identity import routes
from pilvi.identity.service import Identity
from pilvi.settings import Settings

PASSWORDS = {"admin": "admin-secret", "pilvi": "pilvi-secret", "oscloud": "oscloud-secret"}
V3 = "/identity/v3"


def identity_on(
    root: Path, clock: Clock, database: str = "", settings: Settings | None = None
) -> tuple[Database, Identity]:
    """Bootstrapped; a second one on the same root is a second controller."""
    db = Database(database or f"sqlite:///{root / 'pilvi.db'}", clock)
    metadata.create_all(db.engine)
    identity = Identity(db, clock, Ids(), settings or Settings(), keys=root / "identity")
    identity.bootstrap(PASSWORDS)
    return db, identity


class Api:
    """Identity's API. A session is a token."""

    def __init__(self, db: Database, identity: Identity, clock: Clock):
        self.db, self.identity = db, identity
        self._pool = ThreadPoolExecutor(2)
        cloud: Any = SimpleNamespace(identity=identity, ids=Ids(), db=db, clock=clock, settings=Settings())
        self._client = falcon.testing.TestClient(build_app(cloud, [routes.API], self._pool))

    def close(self) -> None:
        self._pool.shutdown()
        self.db.close()

    def call(self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> Any:
        """`path` is below /v3 unless it begins with /identity; headers are named like X_Subject_Token."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        host, _, port = sent.pop("Host", "cloud:80").partition(":")
        if token is not None:
            sent["X-Auth-Token"] = token
        if isinstance(body, (str, bytes)):
            sent["Content-Type"] = "application/json"
        kind = "body" if isinstance(body, (str, bytes)) else "json"
        return self._client.simulate_request(
            method, self._path(path), headers=sent, host=host, port=int(port), **{kind: body}
        )

    def login(self, user: str = "admin", password: str | None = None, scope: Any = None, **more: Any) -> Any:
        """The answer to a login in the default domain; the scope is the project named alike, unless given."""
        shown = {"name": user, "domain": {"id": "default"}, "password": password or PASSWORDS.get(user, user)}
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": shown}}}
        if scope is None:
            scope = {"project": {"name": user, "domain": {"name": "Default"}}}
        if scope != "none":
            auth["scope"] = scope
        return self.call("POST", "/auth/tokens", {"auth": auth}, **more)

    def token(self, user: str = "admin", password: str | None = None, scope: Any = None) -> str:
        answer = self.login(user, password, scope)
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def made(self, plural: str, token: str, **fields: Any) -> dict[str, Any]:
        """Makes one of these; the answer's object."""
        singular = plural[:-1]
        answer = self.call("POST", f"/{plural}", {singular: fields}, token)
        assert answer.status_code == 201, answer.text
        return answer.json[singular]

    def role(self, token: str, name: str) -> str:
        return self.call("GET", f"/roles?name={name}", token=token).json["roles"][0]["id"]

    def _path(self, path: str) -> str:
        return path if path.startswith("/identity") else V3 + path
