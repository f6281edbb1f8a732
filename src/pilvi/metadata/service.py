"""The metadata service: tells a guest about itself, and nobody else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pilvi.compute import store as compute_store
from pilvi.db import Database
from pilvi.faults import Fault
from pilvi.metadata import tree

if TYPE_CHECKING:
    from pilvi.compute.service import Compute
    from pilvi.network.service import Networks


class Metadata:
    def __init__(self, db: Database, network: Networks, compute: Compute):
        self._db, self._network, self._compute = db, network, compute

    def answer(self, network_id: str, address: str, path: str) -> bytes | None:
        """What is at this path for the guest that asks from this address of this network; None: nothing
        is."""
        with self._db.read() as tx:
            server_id = self._network.server_at(tx, network_id, address)
            if server_id is None:
                return None
            server = compute_store.server(tx, server_id)
            if server is None:
                return None
            ports = self._network.ports_of(tx, [server_id]).get(server_id, [])
            network_data = self._network.network_data(tx, server_id)
        addresses = {}
        if path.endswith("meta_data.json") and tree.has_tags(server, ports):
            addresses = self._compute.device_addresses(server.host, server_id)
        disks = self._compute.local_devices(server)
        return tree.look_up(tree.tree_of(server, ports, network_data, addresses, disks), path)

    def post(self, network_id: str, address: str, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and the text for a guest that writes: its password, and that only once."""
        if not _PASSWORD.fullmatch(path):
            return 405, b"metadata is only read, but for the password"
        with self._db.transaction() as tx:
            server_id = self._network.server_at(tx, network_id, address)
            if server_id is None:
                return 404, b"there is no such metadata"
            try:
                self._compute.note_guest_password(tx, server_id, body)
            except Fault as fault:
                return fault.status, fault.message.encode()
        return 200, b""


_PASSWORD = re.compile(f"/openstack/({'|'.join(v for v in tree.OPENSTACK_VERSIONS if v >= tree.PASSWORD_SINCE)})/password")
