"""Policies of quality of service as what becomes of packets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pilvi.db import Tx
from pilvi.drivers.fabric.base import Shaping
from pilvi.network import store_qos


class Policies:
    """What each policy does, and which ones these networks have."""

    def __init__(self, tx: Tx, networks: Sequence[Any]):
        self._of_networks = {row.id: row.qos_policy_id for row in networks}
        kept: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
        for row in store_qos.limits(tx):
            burst = row.max_burst_kbps or None
            kept[row.policy_id][row.direction] |= {"max_kbps": row.max_kbps, "max_burst_kbits": burst}
        for row in store_qos.marks(tx):
            kept[row.policy_id]["egress"] |= {"dscp": row.dscp_mark}
        self._shaping = {
            policy: tuple(Shaping(direction, **what) for direction, what in sorted(found.items()))
            for policy, found in kept.items()
        }

    def shaping(self, policy_id: str | None, network_id: str | None = None) -> tuple[Shaping, ...]:
        """By a policy of its own, or else by the network's where one is named."""
        return self._shaping.get(policy_id or self._of_networks.get(network_id), ())
