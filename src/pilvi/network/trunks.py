"""Trunks: ports that are reached over the card of another one, each as a VLAN. The verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.network import store, store_trunks, wire
from pilvi.network.base import Base
from pilvi.network.nouns import NETWORK, PORT, TRUNK
from pilvi.network.views import shows, standard
from pilvi.network.wire_trunks import SubPort, SubPortGone, TrunkChange, TrunkNew
from pilvi.policy import Context


@shows(TRUNK)
def _trunks(tx: Tx, _context: Context, rows: Sequence[Any], labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    below = store_trunks.subports_of(tx, [row.id for row in rows])
    statuses = store_trunks.statuses_of(tx, [row.port_id for row in rows])
    return [
        {
            **standard(row, labels),
            "admin_state_up": row.admin_state_up,
            "port_id": row.port_id,
            "status": statuses[row.port_id],
            "sub_ports": [_subport(one) for one in below.get(row.id, ())],
        }
        for row in rows
    ]


def _subport(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("port_id", "segmentation_type", "segmentation_id")}


class TrunkVerbs(Base):
    def create_trunks(self, context: Context, wanted: Sequence[TrunkNew]) -> list[dict[str, Any]]:
        """Raises BadRequest, NotFound (port), Conflict (quota, a port that is something else already)."""
        with self._db.transaction() as tx:
            ids = [self._create_trunk(tx, context, one) for one in wanted]
            return self._fresh(tx, TRUNK, context, ids)

    def _create_trunk(self, tx: Tx, context: Context, wanted: TrunkNew) -> str:
        values = wire.given(wanted)
        project, below = self._project(context, values), values.pop("sub_ports")
        self._take_quota(tx, TRUNK, project)
        self._lock_ports(tx, context, [wanted.port_id, *(one.port_id for one in below)])
        parent = self._own(tx, PORT, context, wanted.port_id)
        free_of_trunks(tx, parent.id)
        if parent.device_owner.startswith("network:"):
            raise Conflict(f"Port {parent.id} is in use: it has device owner {parent.device_owner}.", kind="PortInUse")
        trunk_id = self._ids.uuid()
        store.insert(tx, TRUNK, {**values, "id": trunk_id, "project_id": project})
        self._add(tx, context, store.get(tx, TRUNK, trunk_id), below)
        return trunk_id

    def update_trunk(self, context: Context, trunk_id: str, change: TrunkChange) -> dict[str, Any]:
        with self._db.transaction() as tx:
            self._own(tx, TRUNK, context, trunk_id)
            store.update(tx, TRUNK, trunk_id, **wire.given(change))
            return self._fresh(tx, TRUNK, context, [trunk_id])[0]

    def delete_trunk(self, context: Context, trunk_id: str) -> None:
        """Its ports stay; the subports are no server's then. Raises Conflict where its administrator has closed it."""
        with self._db.transaction() as tx:
            trunk = self._open(tx, context, trunk_id)
            self._remove(tx, [row.port_id for row in store_trunks.subports_of(tx, [trunk.id]).get(trunk.id, ())])
            store.delete(tx, TRUNK, trunk_id)

    # -- subports

    def subports(self, context: Context, trunk_id: str) -> list[dict[str, Any]]:
        return self.show(context, TRUNK, trunk_id)["sub_ports"]

    def add_subports(self, context: Context, trunk_id: str, wanted: Sequence[SubPort]) -> dict[str, Any]:
        """Raises BadRequest, NotFound (port), Conflict (a VLAN or a port that is taken, a trunk that is closed)."""
        with self._db.transaction() as tx:
            self._lock_ports(tx, context, [one.port_id for one in wanted])
            self._add(tx, context, self._open(tx, context, trunk_id), wanted)
            store.update(tx, TRUNK, trunk_id)
            return self._fresh(tx, TRUNK, context, [trunk_id])[0]

    def remove_subports(self, context: Context, trunk_id: str, wanted: Sequence[SubPortGone]) -> dict[str, Any]:
        """Raises NotFound for a port that is not of this trunk."""
        with self._db.transaction() as tx:
            trunk = self._open(tx, context, trunk_id)
            there = {row.port_id for row in store_trunks.subports_of(tx, [trunk.id]).get(trunk.id, ())}
            gone = list(dict.fromkeys(one.port_id for one in wanted))
            for port_id in gone:
                if port_id not in there:
                    raise NotFound(
                        f"SubPort on trunk {trunk_id} with parent port {port_id} could not be found.",
                        kind="SubPortNotFound",
                    )
            self._remove(tx, gone)
            store.update(tx, TRUNK, trunk_id)
            return self._fresh(tx, TRUNK, context, [trunk_id])[0]

    def _open(self, tx: Tx, context: Context, trunk_id: str) -> Any:
        tx.lock("trunk", trunk_id)
        trunk = self._own(tx, TRUNK, context, trunk_id)
        if not trunk.admin_state_up:
            raise Conflict(f"Trunk {trunk_id} is currently disabled: set its admin state up.", kind="TrunkDisabled")
        return trunk

    def _lock_ports(self, tx: Tx, context: Context, port_ids: Sequence[str]) -> None:
        """Raises NotFound, Forbidden."""
        store.lock_network(tx, *(self._own(tx, PORT, context, port_id).network_id for port_id in port_ids))

    def _add(self, tx: Tx, context: Context, trunk: Any, wanted: Sequence[SubPort]) -> None:
        parent = store.get(tx, PORT, trunk.port_id)
        widest = store.get(tx, NETWORK, parent.network_id).mtu
        taken = {row.segmentation_id for row in store_trunks.subports_of(tx, [trunk.id]).get(trunk.id, ())}
        for one in wanted:
            port = self._own(tx, PORT, context, one.port_id)
            network = store.get(tx, NETWORK, port.network_id)
            free_of_trunks(tx, port.id)
            if port.device_id or port.device_owner:
                raise Conflict(f"Port {port.id} is in use by {port.device_id or port.device_owner}.", kind="PortInUse")
            if network.mtu > widest:
                raise Conflict(
                    f"MTU {network.mtu} of subport {port.id} cannot be greater than MTU {widest} of parent port "
                    f"{parent.id}.",
                    kind="SubPortMtuGreaterThanTrunkPortMtu",
                )
            number = _vlan(one, network)
            if number in taken:
                raise Conflict(
                    f"segmentation_type vlan and segmentation_id {number} already in use on trunk {trunk.id}.",
                    kind="DuplicateSubPort",
                )
            taken.add(number)
            store_trunks.add_subport(tx, trunk, port.id, "vlan", number, parent.host)
        self._changed(tx, PORT, *(one.port_id for one in wanted))

    def _remove(self, tx: Tx, port_ids: Sequence[str]) -> None:
        store_trunks.remove_subports(tx, port_ids)
        self._changed(tx, PORT, *port_ids)


def free_of_trunks(tx: Tx, port_id: str) -> None:
    """Raises Conflict for a port that is a trunk's."""
    for trunk in store_trunks.trunks_of(tx, [port_id]).values():
        raise Conflict(
            f"Port {port_id} is currently a parent port for trunk {trunk.id}.", kind="PortInUseAsTrunkParent"
        )
    for trunk_id in store_trunks.trunk_over(tx, [port_id]).values():
        raise Conflict(f"Port {port_id} is currently a subport for trunk {trunk_id}.", kind="PortInUseAsSubPort")


def _vlan(wanted: SubPort, network: Any) -> int:
    """Raises BadRequest."""
    if wanted.segmentation_type == "inherit":
        if network.network_type != "vlan":
            raise BadRequest(
                f"Invalid input for operation: network {network.id} of port {wanted.port_id} is no VLAN to inherit.",
                kind="InvalidInput",
            )
        return network.segmentation_id
    if wanted.segmentation_type is None or wanted.segmentation_id is None:
        raise BadRequest(
            "Invalid input for operation: a subport has a segmentation_type, which is vlan, and a segmentation_id.",
            kind="InvalidInput",
        )
    return wanted.segmentation_id
