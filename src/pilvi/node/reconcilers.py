"""An agent's own reconcilers: its metadata ports, cards and their guards, and connections that have lost their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.drivers.fabric.base import FabricError
from pilvi.engine.reconcilers import Reconciler
from pilvi.supervise.namespace import listen_in

if TYPE_CHECKING:
    from pilvi.cloud import Cloud
    from pilvi.node.agent import Agent

Port = tuple[str, str, tuple[str, ...]]  # of a network: id, MAC address, addresses with prefix

METADATA_ADDRESSES, METADATA_PORT = ("169.254.169.254", "fe80::a9fe:a9fe%eth0"), 80


class MetadataPorts(Reconciler):
    """Keeps a namespace with the metadata port for each network, and Pilvi listening inside it."""

    shared = False
    period = 20.0

    def __init__(self, agent: Agent, cloud: Cloud):
        self.name, self._host = f"metadata {agent.name}", agent.name
        self._fabric, self._cloud = agent.fabric, cloud
        self._listening: dict[str, Port] = {}
        self._doubtful: set[str] = set()  # networks whose ports may be joined to nothing

    def reconcile(self) -> str:
        with self._cloud.db.read() as tx:
            wanted = {
                network_id: (port_id, mac, tuple(addresses))
                for network_id, port_id, mac, addresses in self._cloud.network.metadata_networks(tx)
            }
        present, trouble = self._fabric.metadata_networks(), []
        for network_id in {*present, *self._listening, *wanted}:
            try:
                self._network(network_id, wanted.get(network_id), network_id in present)
            except (FabricError, OSError) as error:
                trouble.append(f"network {network_id}: {error}")
        if trouble:
            raise FabricError("; ".join(trouble))
        self._cloud.network.metadata_served(self._host)
        return f"{len(wanted)} networks"

    def _network(self, network_id: str, wanted: Port | None, present: bool) -> None:
        if wanted is None:
            self._stop_listening(network_id)
            self._fabric.absent_metadata(network_id)
        elif not present or self._listening.get(network_id) != wanted or network_id in self._doubtful:
            namespace = self._fabric.ensure_metadata(network_id, *wanted)
            self._stop_listening(network_id)
            if namespace is not None:
                listeners = [listen_in(namespace, address, METADATA_PORT) for address in METADATA_ADDRESSES]
                self._cloud.metadata_server.serve(network_id, *listeners)
            self._listening[network_id] = wanted
            self._doubtful.discard(network_id)

    def again(self) -> None:
        """The next pass makes all of them anew: the switch may have forgotten them."""
        self._doubtful.update(tuple(self._listening))

    def _stop_listening(self, network_id: str) -> None:
        if self._listening.pop(network_id, None) is not None:
            self._cloud.metadata_server.stop_serving(network_id)


class Cards(Reconciler):
    """Joins guests' cards to the switch again where it has lost its database."""

    shared = False
    period = 30.0

    def __init__(self, agent: Agent):
        self.name = f"cards {agent.name}"
        self._agent = agent

    def reconcile(self) -> str:
        joined = self._agent.fabric.joined()
        loose = [
            (server_id, port.id)
            for server_id, entry in self._agent.journal.guests().items()
            for port in entry.spec.ports
            if port.id not in joined
        ]
        count = sum(self._agent.rejoin(server_id, port_id) for server_id, port_id in loose)
        return f"{len(joined)} cards" + (f", {count} joined again" if count else "")


class Guards(Reconciler):
    """Keeps guests from saying that they are routers.

    The switch forgets it when it or its controller begins anew, and nobody tells: so it is asked often."""

    shared = False
    period = 3.0

    def __init__(self, agent: Agent, cloud: Cloud):
        self.name = f"guards {agent.name}"
        self._fabric, self._cloud = agent.fabric, cloud

    def reconcile(self) -> str:
        with self._cloud.db.read() as tx:
            trusted = self._cloud.network.trusted_ports(tx)
        changed = self._fabric.guard(trusted)
        return f"{changed} ports changed" if changed else "as they should be"


class Connections(Reconciler):
    """Ends connections over floating addresses that lead elsewhere since.

    The switch hears of a change a moment after us, and till then begins connections the old way: so it looks
    more than once after each change, and not at all while there is none."""

    shared = False
    period = 5.0
    looks = 3

    def __init__(self, agent: Agent, cloud: Cloud):
        self.name = f"connections {agent.name}"
        self._fabric, self._cloud = agent.fabric, cloud
        self._known: dict[str, str | None] = {}
        self._left = 0

    def reconcile(self) -> str:
        with self._cloud.db.read() as tx:
            floating = self._cloud.network.floating_targets(tx)
        if floating != self._known:
            self._left = self.looks
        ended = 0
        if self._left:
            ended = self._fabric.end_stale(floating)
            self._known, self._left = floating, self._left - 1
        return f"{len(floating)} floating addresses" + (f", ended {ended} connections" if ended else "")
