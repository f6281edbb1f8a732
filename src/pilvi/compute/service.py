"""Compute: servers, flavors, key pairs, quotas, hosts. What other domains import of it is here."""

from __future__ import annotations

import msgspec

from pilvi.compute.aggregates import Aggregates
from pilvi.compute.auditing import Auditing
from pilvi.compute.consoles import Consoles
from pilvi.compute.creation import Creation, ServerCreate
from pilvi.compute.deferred import Deferred
from pilvi.compute.diagnostics import Diagnostics
from pilvi.compute.events import ExternalEvents
from pilvi.compute.guest_passwords import GuestPasswords
from pilvi.compute.hosts import HostView
from pilvi.compute.keypairs import Keypairs
from pilvi.compute.migrating import Migrating
from pilvi.compute.operations import operations
from pilvi.compute.operations_cache import CacheImages
from pilvi.compute.rebuilding import Rebuilding, RebuildWanted
from pilvi.compute.reconcilers import reconcilers
from pilvi.compute.resting import Resting
from pilvi.compute.servers import Found
from pilvi.compute.shelving import Shelving, UnshelveWanted
from pilvi.compute.store import ServerQuery
from pilvi.compute.store_migrations import MigrationQuery
from pilvi.compute.tables import servers
from pilvi.compute.trail import Trail
from pilvi.compute.volumes import ServerVolumes
from pilvi.engine.engine import Engine
from pilvi.node.messages import EVENTS, Event
from pilvi.tenancy import Owned

__all__ = ["Compute", "Found", "HostView", "MigrationQuery", "RebuildWanted", "ServerCreate", "ServerQuery",
           "UnshelveWanted"]


class Compute(
    Migrating,
    Rebuilding,
    Resting,
    Shelving,
    Creation,
    Deferred,
    Consoles,
    ExternalEvents,
    ServerVolumes,
    Diagnostics,
    GuestPasswords,
    Trail,
    Keypairs,
    Aggregates,
    Auditing,
):
    """The verbs of all nouns; each noun has a module of its own."""

    def register(self, engine: Engine) -> None:
        engine.register(*operations(self), CacheImages(self))
        for reconciler in reconcilers(self):
            engine.add_reconciler(reconciler)
        self.network.on_change(engine.wake)
        self.network.on_card_gone(self.card_gone)
        self.volume.ask_compute, self.volume.ask_host = self.has_attachment, self.host_of
        self.volume.tell_extended = self.volume_extended
        self.bus.subscribe(EVENTS, self._guest_changed)

    def _guest_changed(self, message: bytes) -> None:
        """A guest did something by itself: an operation waits for that, or its row has to be mended."""
        if not self.engine.wake(msgspec.msgpack.decode(message, type=Event).server_id):
            self.engine.poke_reconciler("guests")

    def kept_for_projects(self) -> list[Owned]:
        return [Owned("servers", servers.c.project_id, (servers.c.deleted_at.is_(None),))]

    def bootstrap(self) -> None:
        """Makes what every cloud has; what is there stays as it is."""
        with self.db.transaction() as tx:
            self.bootstrap_flavors(tx)
