"""Agents, as clients of OVN's clouds know them: the controllers on the hosts, and who answers for metadata there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Database, Tx
from pilvi.drivers.fabric.base import FabricError, HostState, Northbound
from pilvi.engine.clock import Ids, seconds_text
from pilvi.engine.reconcilers import Reconciler
from pilvi.faults import BadRequest, Conflict
from pilvi.network import store, wire
from pilvi.network.base import Base
from pilvi.network.nouns import AGENT
from pilvi.network.tables import agents
from pilvi.network.views import ZONE, shows
from pilvi.network.wire_agents import AgentChange
from pilvi.policy import Context

CONTROLLER, GATEWAY, METADATA = "OVN Controller agent", "OVN Controller Gateway agent", "OVN Metadata agent"
BINARIES = {CONTROLLER: "ovn-controller", GATEWAY: "ovn-controller", METADATA: "pilvi"}
SILENCE = 75  # seconds after which an agent counts as dead


@shows(AGENT)
def _agents(_tx: Tx, _context: Context, rows: Sequence[Any], _labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "agent_type": row.agent_type,
            "binary": row.binary,
            "host": row.host,
            "topic": None,
            "availability_zone": ZONE,
            "alive": row.alive,
            "admin_state_up": True,
            "created_at": _text(row.created_at),
            "started_at": _text(row.started_at),
            "heartbeat_timestamp": _text(row.heartbeat_at),
            "configurations": row.configurations,
            "description": row.description,
            "resources_synced": None,
        }
        for row in rows
    ]


def _text(moment: int) -> str:
    """As agents alone show times: 2026-01-31 12:00:00, in UTC."""
    return seconds_text(moment).replace("T", " ").removesuffix("Z")


class AgentVerbs(Base):
    def update_agent(self, context: Context, agent_id: str, change: AgentChange) -> dict[str, Any]:
        """Raises NotFound, BadRequest for a state that OVN's controllers do not have."""
        values = wire.given(change)
        with self._db.transaction() as tx:
            self._get(tx, AGENT, context, agent_id)
            if not values.pop("admin_state_up", True):
                raise BadRequest("Invalid input for admin_state_up. Reason: OVN's controllers are not told to rest.",
                                 kind="HTTPBadRequest")
            store.update(tx, AGENT, agent_id, **values)
            return self._fresh(tx, AGENT, context, [agent_id])[0]

    def delete_agent(self, context: Context, agent_id: str) -> None:
        """Until it is heard of again. Raises Conflict for one that is alive."""
        with self._db.transaction() as tx:
            row = self._get(tx, AGENT, context, agent_id)
            if row.alive:
                raise Conflict(f"Agent {agent_id} on host {row.host} is alive.", kind="AgentInUse")
            store.delete(tx, AGENT, agent_id)

    def metadata_served(self, host: str) -> None:
        """This host's agent has done its part for metadata."""
        with self._db.transaction() as tx:
            note(tx, self._ids, METADATA, host, tx.now, {})


def note(tx: Tx, ids: Ids, kind: str, host: str, heard_at: int, configurations: dict[str, Any]) -> None:
    """The agent was heard at this moment. One that was silent for long has started anew; one that nobody knows is
    nobody as long as it is silent, so that who was deleted does not come back."""
    tx.lock("agent", f"{kind} {host}")
    where = (agents.c.agent_type == kind, agents.c.host == host)
    present = tx.one(sa.select(agents).where(*where))
    alive = heard_at > tx.now - SILENCE * 1_000_000
    if present is None and not alive:
        return
    if present is None:
        named = {"id": ids.uuid(), "agent_type": kind, "host": host, "binary": BINARIES[kind], "project_id": ""}
        store.insert(tx, AGENT, {
            **named, "alive": alive, "started_at": heard_at, "heartbeat_at": heard_at, "configurations": configurations,
        })  # fmt: skip
    elif heard_at > present.heartbeat_at:
        values = {"alive": alive, "heartbeat_at": heard_at, "configurations": configurations}
        if alive and not present.alive:
            values["started_at"] = heard_at
        tx.execute(agents.update().where(*where).values(**values))


class AgentsReconciler(Reconciler):
    """Keeps what is known of the agents as it is."""

    name = "network agents"
    period = 30.0

    def __init__(self, db: Database, ids: Ids, northbound: Northbound):
        self._db, self._ids, self._northbound = db, ids, northbound

    def reconcile(self) -> str:
        try:
            hosts: Sequence[HostState] = self._northbound.hosts()
        except FabricError:
            self._note(())
            raise
        self._note(hosts)
        return f"{len(hosts)} hosts"

    def _note(self, hosts: Sequence[HostState]) -> None:
        with self._db.transaction() as tx:
            for host in hosts:
                silent = SILENCE if host.silent_seconds is None else host.silent_seconds
                configurations = {"bridge-mappings": host.bridge_mappings, "chassis_name": host.name}
                kind = GATEWAY if host.gateway else CONTROLLER
                note(tx, self._ids, kind, host.hostname, tx.now - int(silent * 1_000_000), configurations)
            tx.execute(agents.update()
                       .where(agents.c.alive, agents.c.heartbeat_at <= tx.now - SILENCE * 1_000_000)
                       .values(alive=False))  # fmt: skip
