"""A network of its own for a project that only wants one: with a subnet and a way out. The verbs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import Conflict, Forbidden
from pilvi.network import store, wire
from pilvi.network.nouns import NETWORK, ROUTER
from pilvi.network.routers import RouterVerbs
from pilvi.network.subnetpools import default_pool
from pilvi.network.tables import auto_topologies, networks
from pilvi.policy import Context

NAME = "auto_allocated_"  # of what is made


class AutoAllocationVerbs(RouterVerbs):
    def auto_topology(self, context: Context, project_id: str) -> dict[str, Any]:
        """The project's, made where there is none. Raises Conflict for a cloud without defaults to make it of."""
        project = _permitted(context, project_id)
        with self._db.transaction() as tx:
            network_id = self._auto_network(tx, context, project)
        return {"id": network_id, "tenant_id": project, "project_id": project}

    def check_auto_topology(self, context: Context, project_id: str) -> dict[str, Any]:
        """Could it be made? Raises Conflict."""
        project = _permitted(context, project_id)
        with self._db.read() as tx:
            _default_external(tx)
            _default_pools(tx)
        return {"id": "dry-run=pass", "tenant_id": project, "project_id": project}

    def delete_auto_topology(self, context: Context, project_id: str) -> None:
        """Raises Conflict where it is in use."""
        project = _permitted(context, project_id)
        with self._db.transaction() as tx:
            tx.lock("auto-allocated topology", project)
            kept = tx.one(sa.select(auto_topologies).where(auto_topologies.c.project_id == project))
            if kept is None:
                return
            if store.get(tx, NETWORK, kept.network_id) is not None:
                store.lock_network(tx, kept.network_id)
            if (router := store.get(tx, ROUTER, kept.router_id)) is not None:
                self._delete_auto_router(tx, router)
            if store.get(tx, NETWORK, kept.network_id) is not None:
                self._delete_network(tx, context, kept.network_id)
            _forget(tx, project)
            self._changed(tx, ROUTER, kept.router_id)

    def _delete_auto_router(self, tx: Tx, router: Any) -> None:
        tx.lock("router", router.id)
        legs = store.ports_of_devices(tx, [router.id], store.ROUTER_INTERFACE)
        self._check_unused(tx, router, [row.id for row in self._connected(tx, router.id)])
        store.delete_ports(tx, [leg.id for leg in legs])
        self._clear_gateway(tx, router)
        store.delete(tx, ROUTER, router.id)

    def _auto_network(self, tx: Tx, context: Context, project: str) -> str:
        """Its id; made where there is none. Raises Conflict."""
        tx.lock("auto-allocated topology", project)
        kept = tx.scalar(sa.select(auto_topologies.c.network_id).where(auto_topologies.c.project_id == project))
        if kept is not None and store.get(tx, NETWORK, kept) is not None:
            return kept
        external, pools = _default_external(tx), _default_pools(tx)
        _forget(tx, project)
        network_id = self._create_network(tx, context, wire.NetworkNew(name=f"{NAME}network", project_id=project))
        subnets = [self._auto_subnet(tx, context, project, network_id, pool) for pool in pools]
        router_id = self._create_router(
            tx,
            context,
            wire.RouterNew(
                name=f"{NAME}router", project_id=project, external_gateway_info=wire.Gateway(network_id=external)
            ),
        )
        for subnet_id in subnets:
            self._add_subnet(tx, context, store.get(tx, ROUTER, router_id), subnet_id)
        made = {"project_id": project, "network_id": network_id, "router_id": router_id}
        tx.execute(auto_topologies.insert(), made)
        self._changed(tx, NETWORK, network_id)
        self._changed(tx, ROUTER, router_id)
        return network_id

    def _auto_subnet(self, tx: Tx, context: Context, project: str, network_id: str, pool: Any) -> str:
        automatic = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"} if pool.ip_version == 6 else {}
        wanted = wire.SubnetNew(
            name=f"{NAME}subnet_v{pool.ip_version}",
            project_id=project,
            network_id=network_id,
            ip_version=pool.ip_version,
            subnetpool_id=pool.id,
            **automatic,
        )
        return self._create_subnet(tx, context, wanted)


def _permitted(context: Context, project_id: str) -> str:
    """The project that is meant: clients say "None" for their own. Raises Forbidden."""
    project = context.project_id or "" if project_id == "None" else project_id
    if project != context.project_id and not context.is_admin:
        raise Forbidden(
            "Policy doesn't allow to allocate another project's topology: it takes the role admin.",
            kind="PolicyNotAuthorized",
        )
    return project


def _default_external(tx: Tx) -> str:
    found = tx.scalar(sa.select(networks.c.id).where(networks.c.external, networks.c.is_default))
    if found is None:
        raise _cannot("No default router:external network")
    return found


def _default_pools(tx: Tx) -> list[Any]:
    found = [pool for version in (4, 6) if (pool := default_pool(tx, version)) is not None]
    if not found:
        raise _cannot("No default subnetpools defined")
    return found


def _forget(tx: Tx, project: str) -> None:
    tx.execute(auto_topologies.delete().where(auto_topologies.c.project_id == project))


def _cannot(reason: str) -> Conflict:
    return Conflict(f"Deployment error: {reason}.", kind="AutoAllocationFailure")
