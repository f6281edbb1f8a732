"""Subnet pools change bit by bit: prefixes come and go, and subnets that were made without a pool join one."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from pilvi.db import Tx
from pilvi.faults import BadRequest, NotFound
from pilvi.network import addresses, store
from pilvi.network.nouns import NETWORK, SUBNET, SUBNET_POOL
from pilvi.network.subnetpools import collapsed, taken_from
from pilvi.network.subnets import SubnetVerbs
from pilvi.policy import Context


class OnboardingVerbs(SubnetVerbs):
    def add_prefixes(self, context: Context, pool_id: str, texts: Sequence[str]) -> list[str]:
        """All of the pool's then. Raises BadRequest, Conflict where its address scope has them elsewhere."""
        return self._change_prefixes(context, pool_id, lambda _tx, pool: collapsed([*pool.prefixes, *texts]))

    def remove_prefixes(self, context: Context, pool_id: str, texts: Sequence[str]) -> list[str]:
        """Those that are left. Raises BadRequest where subnets were taken from them, or none would be left."""

        def without(tx: Tx, pool: Any) -> list[str]:
            left = [ipaddress.ip_network(text) for text in pool.prefixes]
            for gone in (addresses.parse_prefix(text, "prefixes") for text in texts):
                for row in taken_from(tx, pool.id):
                    if ipaddress.ip_network(row.cidr).overlaps(gone):
                        raise _illegal(f"subnet {row.cidr} was taken from {gone}")
                left = [part for prefix in left for part in _less(prefix, gone)]
            return collapsed([str(prefix) for prefix in left])

        return self._change_prefixes(context, pool_id, without)

    def _change_prefixes(self, context: Context, pool_id: str, change: Callable[[Tx, Any], list[str]]) -> list[str]:
        with self._db.transaction() as tx:
            tx.lock("subnet pool", pool_id)
            pool = self._own(tx, SUBNET_POOL, context, pool_id)
            prefixes = change(tx, pool)
            self._set_prefixes(tx, context, pool, prefixes)
            return prefixes

    def _set_prefixes(self, tx: Tx, context: Context, pool: Any, prefixes: list[str]) -> None:
        if addresses.parse_prefix(prefixes[0], "prefixes").version != pool.ip_version:
            raise BadRequest("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", kind="PrefixVersionMismatch")
        self._check_scope(tx, context, pool.address_scope_id, pool.ip_version, prefixes, pool.id)
        store.update(tx, SUBNET_POOL, pool.id, prefixes=prefixes)

    def onboard(self, context: Context, pool_id: str, network_id: str) -> None:
        """The network's subnets of the pool's IP version belong to it from now on; their ranges are its prefixes too.

        Raises NotFound (no such subnets), BadRequest where they are another pool's, or overlap one of this pool's."""
        with self._db.transaction() as tx:
            store.lock_network(tx, network_id)
            tx.lock("subnet pool", pool_id)
            pool = self._own(tx, SUBNET_POOL, context, pool_id)
            self._own(tx, NETWORK, context, network_id)
            subnets = [row for row in store.subnets_of(tx, network_id) if row.ip_version == pool.ip_version]
            if not subnets:
                raise NotFound(f"Network {network_id} has no IPv{pool.ip_version} subnets.", kind="SubnetNotFound")
            if any(row.subnetpool_id not in (None, pool.id) for row in subnets):
                raise BadRequest(
                    "Subnets hosted on the same network must be allocated from the same subnet pool.",
                    kind="NetworkSubnetPoolAffinityError",
                )
            joining = [row for row in subnets if row.subnetpool_id is None]
            for other in taken_from(tx, pool.id):
                for row in joining:
                    if ipaddress.ip_network(row.cidr).overlaps(ipaddress.ip_network(other.cidr)):
                        raise _illegal(f"{other.cidr}, which overlaps {row.cidr}, was taken from the pool")
            self._set_prefixes(tx, context, pool, collapsed([*pool.prefixes, *(row.cidr for row in joining)]))
            for row in joining:
                store.update(tx, SUBNET, row.id, subnetpool_id=pool.id)
            self._changed(tx)


def _less(prefix: addresses.Prefix, gone: addresses.Prefix) -> list[addresses.Prefix]:
    if prefix.version != gone.version or not prefix.overlaps(gone):
        return [prefix]
    return list(prefix.address_exclude(gone)) if gone.subnet_of(prefix) else []


def _illegal(reason: str) -> BadRequest:
    return BadRequest(f"Illegal subnetpool update : {reason}.", kind="IllegalSubnetPoolUpdate")
