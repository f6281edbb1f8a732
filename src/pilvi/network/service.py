"""Network: networks, subnets, ports, routers, floating IPs, security groups. What other domains import of it is here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from pilvi.engine.engine import Engine
from pilvi.network.cards import CardVerbs
from pilvi.network.ipavailability import AvailabilityVerbs
from pilvi.network.proxied import ProxiedVerbs
from pilvi.network.quotas import QuotaVerbs, TagVerbs
from pilvi.network.reconcilers import NetworkReconciler
from pilvi.network.servers import NicRequest, ServerPort

__all__ = ["Networks", "NicRequest", "ServerPort"]


class Networks(CardVerbs, ProxiedVerbs, QuotaVerbs, TagVerbs, AvailabilityVerbs):
    """The verbs of all nouns; each noun has a module of its own."""

    def __init__(self, *dependencies: Any, **named: Any):
        super().__init__(*dependencies, **named)
        self.reconciler = NetworkReconciler(self._db, self._clock, self._northbound)

    def register(self, engine: Engine) -> None:
        engine.add_reconciler(self.reconciler)

    def refresh(self) -> None:
        """Has the next pass compare everything with what the driver has, and mend that."""
        self._engine.poke_reconciler(self.reconciler.name)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Called after each pass that changed the logical network, or what is known of it."""
        self.reconciler.on_change(callback)

    def realised(self, port_ids: Collection[str]) -> bool:
        """Does the logical network, as the driver was given it, have these ports (or are they gone)?"""
        return self.reconciler.realised(port_ids)
