"""SQL of floating IPs' port forwardings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.network import store_changes
from pilvi.network.tables import floatingips, port_forwardings


def of_floating_ips(tx: Tx, ids: Collection[str]) -> dict[str, list[sa.Row]]:
    found: dict[str, list[sa.Row]] = defaultdict(list)
    if ids:
        for row in tx.all(select().where(port_forwardings.c.floatingip_id.in_(ids))):
            found[row.floatingip_id].append(row)
    return found


def select() -> sa.Select:
    columns = port_forwardings.c
    return sa.select(port_forwardings).order_by(columns.external_port, columns.protocol, columns.id)


def addresses(tx: Tx) -> set[str]:
    """The floating addresses that have port forwardings."""
    joined = sa.select(floatingips.c.floating_ip_address).join(
        port_forwardings, port_forwardings.c.floatingip_id == floatingips.c.id
    )
    return {row.floating_ip_address for row in tx.all(joined.distinct())}


def delete(tx: Tx, *where: Any) -> None:
    """A floating IP whose last port forwarding it was is at no router any more."""
    led = sa.select(floatingips.c.router_id).join(
        port_forwardings, port_forwardings.c.floatingip_id == floatingips.c.id
    )
    left = tx.all(led.where(floatingips.c.router_id.is_not(None), *where))
    store_changes.note(tx, "routers", (row.router_id for row in left))
    tx.execute(port_forwardings.delete().where(*where))
    tx.execute(
        floatingips.update()
        .where(
            floatingips.c.router_id.is_not(None),
            floatingips.c.port_id.is_(None),
            floatingips.c.id.not_in(sa.select(port_forwardings.c.floatingip_id)),
        )
        .values(
            router_id=None, status="DOWN", revision_number=floatingips.c.revision_number + 1, updated_at=tx.now
        )
    )
