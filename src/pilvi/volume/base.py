"""What all parts of the Volume service share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pilvi.bus.base import Bus
from pilvi.db import Database, Tx
from pilvi.engine.clock import Clock, Ids
from pilvi.engine.engine import Engine
from pilvi.faults import NotFound
from pilvi.keys import Keys
from pilvi.policy import Context
from pilvi.settings import Settings
from pilvi.volume import store
from pilvi.volume.tables import messages

if TYPE_CHECKING:
    from pilvi.identity.service import Identity
    from pilvi.image.service import Images

ZONE = "nova"
BACKEND = "file"  # in the state folder; pools and services are named by their backend, after their host
MESSAGE_SECONDS = 30 * 24 * 3600


class Base:
    """The service's dependencies, for its operations as well."""

    def __init__(self, db: Database, clock: Clock, ids: Ids, engine: Engine, bus: Bus, settings: Settings, *,
                 identity: Identity, image: Images, hosts: Callable[[], Sequence[str]], keys: Keys):
        """`hosts`: the agents that reach the place where volumes are kept; the first one looks after it.

        `keys` seal the passphrases of volumes."""
        self.keys = keys
        self.db, self.clock, self.ids = db, clock, ids
        self.engine, self.bus, self.settings = engine, bus, settings
        self.identity, self.image, self.hosts = identity, image, hosts

    @property
    def keeper(self) -> str:
        """The host whose agent makes and deletes volumes."""
        return self.hosts()[0]

    @property
    def backends(self) -> list[str]:
        return self.settings.volume.names

    def service_host(self, backend: str = BACKEND) -> str:
        return f"{self.keeper}@{backend}"

    def pool_name(self, backend: str = BACKEND) -> str:
        return f"{self.keeper}@{backend}#{backend}"

    def backend_at(self, host: str) -> str | None:
        """The backend that this names, with its pool or without."""
        return next((each for each in self.backends if host in (self.service_host(each), self.pool_name(each))), None)

    def get(self, tx: Tx, context: Context, table: sa.Table, key: str, what: str) -> sa.Row:
        """Raises NotFound, also for another project's."""
        row = store.get(tx, table, key, store.owned(context, table))
        if row is None:
            raise NotFound(f"{what} {key} could not be found.")
        return row

    def fresh(self, tx: Tx, context: Context, **values: Any) -> dict[str, Any]:
        """What every new thing of a project has."""
        return {"id": self.ids.uuid(), "seq": tx.now, "project_id": context.project_id, "user_id": context.user_id,
                "created_at": tx.now, **values}

    def tell(self, tx: Tx, project_id: str | None, request_id: str | None, resource: tuple[str, str], event: str,
             text: str) -> None:
        """Leaves the project a message on what failed and why; `resource` is its type and id."""
        tx.execute(messages.insert(), {
            "id": self.ids.uuid(), "seq": tx.now, "project_id": project_id or "", "request_id": request_id or "",
            "resource_type": resource[0], "resource_id": resource[1], "event_id": event, "text": text,
            "created_at": tx.now, "expires_at": tx.now + MESSAGE_SECONDS * 1_000_000})
