"""Subnet pools: prefixes that subnets' CIDRs are taken from, so that none overlap."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.network import addresses, store, wire
from pilvi.network.addressscopes import AddressScopeVerbs
from pilvi.network.networks import NetworkVerbs
from pilvi.network.nouns import SUBNET_POOL
from pilvi.network.tables import subnetpools, subnets
from pilvi.policy import Context

SHORTEST = {4: 8, 6: 64}  # prefix lengths, where the pool does not say otherwise
LONGEST = {4: 32, 6: 128}
QUOTA_PREFIXLEN = {4: 32, 6: 64}  # a pool's quota counts IPv4 addresses, and IPv6 networks of 64 bits
DEFAULTS = {"shared": False, "is_default": False}


class SubnetPoolVerbs(NetworkVerbs, AddressScopeVerbs):
    def create_subnetpools(self, context: Context, wanted: Sequence[wire.SubnetPoolNew]) -> list[dict[str, Any]]:
        """Raises BadRequest for prefixes and lengths that do not fit together, Forbidden, Conflict (quota)."""
        return self._each(context, SUBNET_POOL, wanted, self._create_subnetpool)

    def _create_subnetpool(self, tx: Tx, context: Context, wanted: wire.SubnetPoolNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        self._permit(context, SUBNET_POOL, values, DEFAULTS)
        self._take_quota(tx, SUBNET_POOL, project)
        prefixes = _prefixes(wanted.prefixes)
        version = prefixes[0].version
        shortest = values.setdefault("min_prefixlen", SHORTEST[version])
        values.setdefault("default_prefixlen", shortest)
        values.setdefault("max_prefixlen", LONGEST[version])
        _check_lengths(version, values)
        self._only_default(tx, version, values.get("is_default", False))
        pool_id = self._ids.uuid()
        values |= {"ip_version": version, "prefixes": [str(prefix) for prefix in prefixes]}
        self._check_scope(tx, context, values.get("address_scope_id"), version, values["prefixes"])
        store.insert(tx, SUBNET_POOL, {**values, "id": pool_id, "project_id": project})
        self._share_with_all(tx, SUBNET_POOL, pool_id, project, values)
        return pool_id

    def _only_default(self, tx: Tx, version: int, wanted: bool, but: str = "") -> None:
        """Raises BadRequest where another pool is what subnets of this IP version are taken from by default."""
        if not wanted:
            return
        tx.lock("default subnet pool", str(version))
        other = default_pool(tx, version)
        if other is not None and other.id != but:
            raise BadRequest(
                f"Invalid input for operation: is_default: subnet pool {other.id} is the default for IPv{version} "
                "already, and only one can be.",
                kind="InvalidInput",
            )

    def update_subnetpool(self, context: Context, pool_id: str, change: wire.SubnetPoolChange) -> dict[str, Any]:
        """Prefixes may be added and not taken away. Raises BadRequest."""
        values = wire.given(change)
        with self._db.transaction() as tx:
            tx.lock("subnet pool", pool_id)
            row = self._own(tx, SUBNET_POOL, context, pool_id)
            self._permit(context, SUBNET_POOL, values, {"is_default": row.is_default})
            if "prefixes" in values:
                values["prefixes"] = _more_prefixes(row, values["prefixes"])
            _check_lengths(row.ip_version, {**row._mapping, **values})
            self._only_default(tx, row.ip_version, values.get("is_default", False), pool_id)
            scope_id = values.get("address_scope_id", row.address_scope_id)
            prefixes = values.get("prefixes", row.prefixes)
            if scope_id != row.address_scope_id or prefixes != row.prefixes:
                self._check_scope(tx, context, scope_id, row.ip_version, prefixes, pool_id)
            if scope_id != row.address_scope_id:
                self._changed(tx)
            store.update(tx, SUBNET_POOL, pool_id, **values)
            return self._fresh(tx, SUBNET_POOL, context, [pool_id])[0]

    def delete_subnetpool(self, context: Context, pool_id: str) -> None:
        """Raises Conflict where subnets were taken from it."""
        with self._db.transaction() as tx:
            tx.lock("subnet pool", pool_id)
            self._own(tx, SUBNET_POOL, context, pool_id)
            if taken_from(tx, pool_id):
                raise Conflict(
                    "Unable to delete subnet pool: Subnet pool has existing allocations.", kind="SubnetPoolDeleteError"
                )
            store.delete(tx, SUBNET_POOL, pool_id)

    # -- for subnets

    def _take_cidr(self, tx: Tx, context: Context, values: dict[str, Any]) -> None:
        """Gives a new subnet that names a pool its CIDR from there; `values` are the subnet's.

        Raises BadRequest, NotFound (pool), Conflict where the pool has no such prefix free or its quota is used."""
        pool = self._pool_named(tx, context, values)
        length = values.pop("prefixlen", None)
        cidr = values.get("cidr")
        if cidr is not None and length is not None:
            raise _bad_subnet("cidr and prefixlen must not be supplied together")
        if pool is None:
            if cidr is None:
                raise _bad_subnet("a subnetpool must be specified in the absence of a cidr")
            return
        if cidr is None and values.get("allocation_pools") is not None:
            raise _bad_subnet("allocation_pools allowed only for specific subnet requests")
        if pool.ip_version != values["ip_version"]:
            raise _bad_subnet(f"Cannot allocate IPv{values['ip_version']} subnet from IPv{pool.ip_version} subnet pool")
        self._same_pool(tx, values["network_id"], pool)
        tx.lock("subnet pool", pool.id)
        pool = self._get(tx, SUBNET_POOL, context, pool.id)
        taken = taken_from(tx, pool.id)
        prefix = _choose(pool, taken, cidr, length)
        _within_quota(pool, [row for row in taken if row.project_id == values["project_id"]], prefix)
        values.update(cidr=str(prefix), subnetpool_id=pool.id)

    def _pool_named(self, tx: Tx, context: Context, values: dict[str, Any]) -> Any:
        pool_id, use_default = values.pop("subnetpool_id", None), values.pop("use_default_subnetpool", False)
        if pool_id is not None and use_default:
            raise _bad_subnet("subnetpool_id and use_default_subnetpool cannot both be specified")
        if pool_id is not None:
            return self._get(tx, SUBNET_POOL, context, pool_id)
        if not use_default:
            return None
        if (pool := default_pool(tx, values["ip_version"])) is None:
            raise NotFound(f"No default subnetpool found for IPv{values['ip_version']}.", kind="NoDefaultSubnetpool")
        return self._get(tx, SUBNET_POOL, context, pool.id)

    def _same_pool(self, tx: Tx, network_id: str, pool: Any) -> None:
        others = (row for row in store.subnets_of(tx, network_id) if row.ip_version == pool.ip_version)
        if any(row.subnetpool_id != pool.id for row in others):
            raise BadRequest(
                "Subnets hosted on the same network must be allocated from the same subnet pool.",
                kind="NetworkSubnetPoolAffinityError",
            )


def default_pool(tx: Tx, version: int) -> sa.Row | None:
    return tx.one(sa.select(subnetpools).where(subnetpools.c.is_default, subnetpools.c.ip_version == version))


def taken_from(tx: Tx, pool_id: str) -> Sequence[sa.Row]:
    return tx.all(sa.select(subnets.c.cidr, subnets.c.project_id).where(subnets.c.subnetpool_id == pool_id))


def collapsed(texts: Iterable[str]) -> list[str]:
    """As few prefixes as say the same, in order. Raises BadRequest."""
    return [str(prefix) for prefix in _prefixes(texts)]


def _prefixes(texts: Iterable[str]) -> list[addresses.Prefix]:
    """As few as say the same, in order. Raises BadRequest."""
    found = [addresses.parse_prefix(text, "prefixes") for text in texts]
    if not found:
        raise BadRequest("Empty subnet pool prefix list.", kind="EmptySubnetPoolPrefixList")
    if len({prefix.version for prefix in found}) > 1:
        raise BadRequest("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", kind="PrefixVersionMismatch")
    return list(ipaddress.collapse_addresses(found))


def _more_prefixes(row: Any, texts: Sequence[str]) -> list[str]:
    prefixes = _prefixes(texts)
    if prefixes[0].version != row.ip_version:
        raise BadRequest("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", kind="PrefixVersionMismatch")
    for old in (ipaddress.ip_network(text) for text in row.prefixes):
        if not any(old.subnet_of(prefix) for prefix in prefixes):
            raise BadRequest(
                f"Illegal subnetpool update : existing prefixes must be a subset of the new prefixes: {old} is not.",
                kind="IllegalSubnetPoolUpdate",
            )
    return [str(prefix) for prefix in prefixes]


def _check_lengths(version: int, pool: Mapping[str, Any]) -> None:
    """Raises BadRequest for prefix lengths out of order."""
    low, default, high = pool["min_prefixlen"], pool["default_prefixlen"], pool["max_prefixlen"]
    if not low <= default <= high <= LONGEST[version]:
        raise BadRequest(
            f"Illegal prefix bounds: min_prefixlen={low}, default_prefixlen={default}, max_prefixlen={high}: each is "
            f"at most the next, and all at most {LONGEST[version]}.",
            kind="IllegalSubnetPoolPrefixBounds",
        )


def _choose(pool: Any, taken: Sequence[sa.Row], cidr: str | None, length: int | None) -> addresses.Prefix:
    wanted = None if cidr is None else addresses.parse_prefix(cidr, "cidr")
    length = wanted.prefixlen if wanted else pool.default_prefixlen if length is None else length
    if not pool.min_prefixlen <= length <= pool.max_prefixlen:
        raise BadRequest(
            f"Unable to allocate subnet with prefix length {length}: the pool allows from {pool.min_prefixlen} "
            f"to {pool.max_prefixlen}.",
            kind=f"{'Min' if length < pool.min_prefixlen else 'Max'}PrefixSubnetAllocationError",
        )
    spaces = [ipaddress.ip_network(text) for text in pool.prefixes]
    used = [ipaddress.ip_network(row.cidr) for row in taken]
    if wanted is None:
        found = next((free for space in spaces if (free := first_free(space, used, length))), None)
        if found is None:
            raise _cannot_take(f"Insufficient prefix space to allocate subnet size /{length}")
        return found
    if not any(wanted.version == space.version and wanted.subnet_of(space) for space in spaces) or any(
        wanted.overlaps(other) for other in used
    ):
        raise _cannot_take(f"Cannot allocate requested subnet {wanted} from the available set of prefixes")
    return wanted


def first_free(space: addresses.Prefix, used: Iterable[addresses.Prefix], length: int) -> addresses.Prefix | None:
    """The first prefix of this length within `space` that overlaps none of the used ones."""
    if length < space.prefixlen:
        return None
    size = 1 << (space.max_prefixlen - length)
    start = int(space.network_address)
    for other in sorted(used):
        if other.overlaps(space) and int(other.network_address) < start + size:
            start = max(start, -(-(int(other.broadcast_address) + 1) // size) * size)
    if start + size - 1 > int(space.broadcast_address):
        return None
    return type(space)((start, length))


def _within_quota(pool: Any, taken: Sequence[sa.Row], prefix: addresses.Prefix) -> None:
    """Raises Conflict where the project would have more of the pool than the pool gives to one."""
    if pool.default_quota is None:
        return
    unit = QUOTA_PREFIXLEN[pool.ip_version]
    have = sum(2 ** (unit - ipaddress.ip_network(row.cidr).prefixlen) for row in taken)
    if have + 2 ** (unit - prefix.prefixlen) > pool.default_quota:
        raise Conflict(
            f"Per-tenant subnet pool prefix quota exceeded: the pool {pool.id} gives each project "
            f"{pool.default_quota}, counted in prefixes of /{unit}.",
            kind="SubnetPoolQuotaExceeded",
        )


def _cannot_take(reason: str) -> Conflict:
    return Conflict(f"Failed to allocate subnet: {reason}.", kind="SubnetAllocationError")


def _bad_subnet(reason: str) -> BadRequest:
    return BadRequest(f"Bad subnets request: {reason}.", kind="BadRequest")
