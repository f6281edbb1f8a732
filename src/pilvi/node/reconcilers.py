"""An agent's own reconciler: the metadata ports of its host."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pilvi.engine.reconcilers import Reconciler
from pilvi.supervise.namespace import listen_in

if TYPE_CHECKING:
    from pilvi.cloud import Cloud
    from pilvi.node.agent import Agent

METADATA_ADDRESS, METADATA_PORT = "169.254.169.254", 80


class MetadataPorts(Reconciler):
    """Keeps a namespace with the metadata port for each network, and Pilvi listening inside it."""

    shared = False
    period = 20.0

    def __init__(self, agent: Agent, cloud: Cloud):
        self.name = f"metadata {agent.name}"
        self._fabric, self._cloud = agent.fabric, cloud
        self._listening: dict[str, tuple[tuple, socket.socket]] = {}

    def reconcile(self) -> str:
        with self._cloud.db.read() as tx:
            wanted = {network_id: (port_id, mac, tuple(addresses))
                      for network_id, port_id, mac, addresses in self._cloud.network.metadata_networks(tx)}
        present = self._fabric.metadata_networks()
        for network_id in set(present) | set(self._listening):
            if network_id not in wanted:
                self._stop_listening(network_id)
                self._fabric.absent_metadata(network_id)
        for network_id, (port_id, mac, addresses) in wanted.items():
            if network_id in present and self._listening.get(network_id, (None,))[0] == (port_id, mac, addresses):
                continue
            namespace = self._fabric.ensure_metadata(network_id, port_id, mac, addresses)
            if namespace is not None:
                self._stop_listening(network_id)
                listener = listen_in(namespace, METADATA_ADDRESS, METADATA_PORT)
                self._cloud.metadata_server.serve(network_id, listener)
                self._listening[network_id] = ((port_id, mac, addresses), listener)
        return f"{len(wanted)} networks"

    def _stop_listening(self, network_id: str) -> None:
        if network_id in self._listening:
            self._cloud.metadata_server.stop_serving(network_id)
            del self._listening[network_id]
