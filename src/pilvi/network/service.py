"""Network: networks, subnets, ports, routers, floating IPs, security groups. What other domains import of it is here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from pilvi.engine.engine import Engine
from pilvi.network.addressgroups import AddressGroupVerbs
from pilvi.network.agents import AgentsReconciler, AgentVerbs
from pilvi.network.auditing import AuditVerbs
from pilvi.network.cards import CardVerbs
from pilvi.network.flavors import FlavorVerbs
from pilvi.network.forwardings import ForwardingVerbs
from pilvi.network.founding import FoundingVerbs
from pilvi.network.ipavailability import AvailabilityVerbs
from pilvi.network.nouns import (
    ADDRESS_GROUP,
    ADDRESS_SCOPE,
    FLOATING_IP,
    NETWORK,
    PORT,
    QOS_POLICY,
    ROUTER,
    SECURITY_GROUP,
    SUBNET_POOL,
    TRUNK,
)
from pilvi.network.onboarding import OnboardingVerbs
from pilvi.network.pathverbs import PathVerbs
from pilvi.network.proxied import ProxiedVerbs
from pilvi.network.qos import QosVerbs
from pilvi.network.quotas import QuotaVerbs, TagVerbs
from pilvi.network.reconcilers import NetworkReconciler
from pilvi.network.servers import NicRequest, ServerPort
from pilvi.network.trunks import TrunkVerbs
from pilvi.tenancy import Owned

__all__ = ["Networks", "NicRequest", "ServerPort"]


class Networks(
    AgentVerbs,
    CardVerbs,
    FlavorVerbs,
    ForwardingVerbs,
    FoundingVerbs,
    AddressGroupVerbs,
    OnboardingVerbs,
    ProxiedVerbs,
    QosVerbs,
    QuotaVerbs,
    TagVerbs,
    TrunkVerbs,
    AvailabilityVerbs,
    PathVerbs,
    AuditVerbs,
):
    """The verbs of all nouns; each noun has a module of its own."""

    def __init__(self, *dependencies: Any, **named: Any):
        super().__init__(*dependencies, **named)
        self.reconciler = NetworkReconciler(self._db, self._clock, self._northbound)

    def register(self, engine: Engine) -> None:
        engine.add_reconciler(self.reconciler)
        engine.add_reconciler(AgentsReconciler(self._db, self._ids, self._northbound))

    def refresh(self) -> None:
        """Has the next pass compare everything with what the driver has, and mend that."""
        self.reconciler.compare_all()
        self._engine.poke_reconciler(self.reconciler.name)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Called after each pass that changed the logical network, or what is known of it."""
        self.reconciler.on_change(callback)

    def kept_for_projects(self) -> list[Owned]:
        """But for the default security group that every project gets, and what goes with servers and routers."""
        kept = (NETWORK, SUBNET_POOL, ADDRESS_SCOPE, ADDRESS_GROUP, ROUTER, FLOATING_IP)
        plain = [Owned(noun.plural, noun.table.c.project_id) for noun in kept]
        plain += [Owned("qos_policies", QOS_POLICY.table.c.project_id), Owned("trunks", TRUNK.table.c.project_id)]
        ports, groups = PORT.table.c, SECURITY_GROUP.table.c
        return [
            *plain,
            Owned("ports", ports.project_id, (ports.device_owner == "",)),
            Owned("security_groups", groups.project_id, (groups.name != "default",)),
        ]

    def realised(self, port_ids: Collection[str]) -> bool:
        """Does the logical network, as the driver was given it, have these ports (or are they gone)?"""
        return self.reconciler.realised(port_ids)
