"""SQL about trunks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.network.tables import ports, subports, trunks

CHUNK = 10_000  # values in one IN: databases bound them
OWNER = "trunk:subport"  # device_owner of ports that are reached over another one

_IN_TRUNKS = sa.select(
    subports, trunks.c.port_id.label("parent_id"), ports.c.mac_address.label("mac_address")
).join_from(subports, trunks, trunks.c.id == subports.c.trunk_id).join(ports, ports.c.id == subports.c.port_id)
# For the logical network: (port, its parent, the VLAN).
WIRES = sa.select(subports.c.port_id, trunks.c.port_id.label("parent_id"), subports.c.segmentation_id).join_from(
    subports, trunks, trunks.c.id == subports.c.trunk_id
)


def _in(tx: Tx, query: sa.Select, column: sa.Column, ids: Collection[str]) -> list[Any]:
    ids = list(ids)
    return [
        row
        for start in range(0, len(ids), CHUNK)
        for row in tx.all(query.where(column.in_(ids[start : start + CHUNK])))
    ]


def subports_of(tx: Tx, trunk_ids: Collection[str]) -> dict[str, list[Any]]:
    """Trunk -> its subports, with their MAC addresses, by VLAN."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in _in(tx, _IN_TRUNKS.order_by(subports.c.segmentation_id), subports.c.trunk_id, trunk_ids):
        found[row.trunk_id].append(row)
    return found


def trunks_of(tx: Tx, port_ids: Collection[str]) -> dict[str, Any]:
    """Port -> the trunk whose parent it is."""
    return {row.port_id: row for row in _in(tx, sa.select(trunks), trunks.c.port_id, port_ids)}


def trunk_over(tx: Tx, port_ids: Collection[str]) -> dict[str, str]:
    """Port -> the id of the trunk whose subport it is."""
    return {row.port_id: row.trunk_id for row in _in(tx, sa.select(subports), subports.c.port_id, port_ids)}


def statuses_of(tx: Tx, port_ids: Collection[str]) -> dict[str, str]:
    return {row.id: row.status for row in _in(tx, sa.select(ports.c.id, ports.c.status), ports.c.id, port_ids)}


def add_subport(tx: Tx, trunk: Any, port_id: str, kind: str, number: int, host: str) -> None:
    values = {"trunk_id": trunk.id, "port_id": port_id, "segmentation_type": kind, "segmentation_id": number}
    tx.execute(subports.insert(), values)
    _own(tx, [port_id], device_id=trunk.id, device_owner=OWNER, host=host)


def remove_subports(tx: Tx, port_ids: Collection[str]) -> None:
    tx.execute(subports.delete().where(subports.c.port_id.in_(list(port_ids))))
    _own(tx, port_ids, device_id="", device_owner="", host="", status="DOWN")


def _own(tx: Tx, port_ids: Collection[str], **values: Any) -> None:
    changed = {"revision_number": ports.c.revision_number + 1, "updated_at": tx.now}
    tx.execute(ports.update().where(ports.c.id.in_(list(port_ids))).values(**values, **changed))


def cards(server_id: str, owner: str) -> sa.Select:
    return sa.select(ports.c.id).where(ports.c.device_id == server_id, ports.c.device_owner == owner)


def follow(tx: Tx, parents: sa.Select | Collection[str], host: str) -> None:
    """Subports are on the host where their parent is."""
    below = sa.select(subports.c.port_id).join(trunks, trunks.c.id == subports.c.trunk_id)
    tx.execute(ports.update().where(ports.c.id.in_(below.where(trunks.c.port_id.in_(parents)))).values(host=host))
