"""A cloud of one domain, with an identity that is no database: for tests of one API at a time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn

from pilvi.db import Database, metadata
from pilvi.engine.clock import Ids, SystemClock
from pilvi.engine.engine import Engine
from pilvi.faults import Unauthorized
from pilvi.http.app import build_app
from pilvi.policy import Context, with_implied
from pilvi.settings import Settings


class FakeIdentity:
    """A token is "user:project:role"."""

    def authenticate(self, token: str, request_id: str) -> Context:
        user, _, rest = token.partition(":")
        project, _, role = rest.partition(":")
        if not role:
            raise Unauthorized("The token is not valid.")
        return Context(
            user_id=user,
            user_name=user,
            project_id=project or None,
            project_name=project or None,
            roles=with_implied(frozenset({role})),
            request_id=request_id,
        )


class SmallCloud:
    """What handlers reach through `request.cloud`; a test adds the services that it is about."""

    def __init__(self, url: str, settings: Settings | None = None, clock: Any = None):
        self.clock, self.ids, self.settings = clock or SystemClock(), Ids(), settings or Settings()
        self.db = Database(url, self.clock)
        self.engine = Engine(self.db, self.clock, self.ids, workers=2)
        self.identity = FakeIdentity()
        self.pool = ThreadPoolExecutor(4)

    def create_tables(self) -> None:
        metadata.create_all(self.db.engine)

    def app(self, *apis: Any) -> Any:
        return build_app(self, list(apis), self.pool)

    def close(self) -> None:
        self.engine.stop()
        self.pool.shutdown()
        self.db.close()


def eventually(condition: Callable[[], Any], seconds: float = 20, what: str = "the condition") -> None:
    """Returns once it is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {seconds} s"
        time.sleep(0.01)


@contextlib.contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serves an application on loopback meanwhile; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        assert not thread.is_alive()
