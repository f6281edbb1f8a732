"""Routers: the verbs."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import UNSET

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound
from pilvi.network import addresses, store, store_addresses, wire
from pilvi.network.flavors import check_flavor
from pilvi.network.nouns import NETWORK, PORT, ROUTER, SUBNET
from pilvi.network.ports import PortVerbs
from pilvi.network.subnets import check_routes
from pilvi.network.tables import floatingips, port_forwardings
from pilvi.policy import Context


class RouterVerbs(PortVerbs):
    def create_routers(self, context: Context, wanted: Sequence[wire.RouterNew]) -> list[dict[str, Any]]:
        """Raises BadRequest, NotFound (external network), Conflict (quota, its addresses)."""
        return self._each(context, ROUTER, wanted, self._create_router)

    def _create_router(self, tx: Tx, context: Context, wanted: wire.RouterNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        self._zones(values)
        self._take_quota(tx, ROUTER, project)
        check_flavor(tx, values.get("flavor_id"))
        gateway = values.pop("external_gateway_info", None)
        router_id = self._ids.uuid()
        store.insert(tx, ROUTER, {**values, "id": router_id, "project_id": project})
        self._set_gateway(tx, context, store.get(tx, ROUTER, router_id), gateway)
        return router_id

    def update_router(self, context: Context, router_id: str, change: wire.RouterChange) -> dict[str, Any]:
        values = wire.given(change)

        def do(tx: Tx, router: Any) -> None:
            if "external_gateway_info" in values:
                self._set_gateway(tx, context, router, values.pop("external_gateway_info"))
            if "routes" in values:
                values["routes"] = self._check_routes(tx, router.id, values["routes"] or ())
            store.update(tx, ROUTER, router.id, **values)

        gateway = values.get("external_gateway_info")
        return self._with_router(context, router_id, do, gateway and gateway.network_id)

    def change_routes(
        self, context: Context, router_id: str, routes: Sequence[wire.HostRoute], add: bool
    ) -> dict[str, Any]:
        """Adds routes to a router's, or takes them away; those that are there, or not there, are left alone."""

        def do(tx: Tx, router: Any) -> None:
            named = check_routes(routes, "routes")
            kept = [route for route in router.routes if route not in named]
            if add:
                kept = self._check_routes(tx, router_id, [wire.HostRoute(**route) for route in kept + named])
            store.update(tx, ROUTER, router_id, routes=kept)

        return self._with_router(context, router_id, do)

    def _with_router(
        self, context: Context, router_id: str, do: Callable[[Tx, Any], None], network_id: str | None = None
    ) -> dict[str, Any]:
        """`network_id` is locked too: networks come before routers, everywhere."""
        with self._db.transaction() as tx:
            if network_id is not None:
                store.lock_network(tx, network_id)
            tx.lock("router", router_id)
            do(tx, self._own(tx, ROUTER, context, router_id))
            self._changed(tx, ROUTER, router_id)
            return self._fresh(tx, ROUTER, context, [router_id])[0]

    def delete_router(self, context: Context, router_id: str) -> None:
        """Raises Conflict where it still has interfaces."""
        with self._db.transaction() as tx:
            tx.lock("router", router_id)
            router = self._own(tx, ROUTER, context, router_id)
            if store.ports_of_devices(tx, [router_id], store.ROUTER_INTERFACE):
                raise Conflict(f"Router {router_id} still has ports: remove its interfaces first.", kind="RouterInUse")
            self._clear_gateway(tx, router)
            store.delete(tx, ROUTER, router_id)
            self._changed(tx, ROUTER, router_id)

    # -- the gateway

    def _set_gateway(self, tx: Tx, context: Context, router: Any, wanted: wire.Gateway | None) -> None:
        """Raises BadRequest, NotFound, Conflict (floating IPs go through the present one, addresses taken)."""
        if wanted is None or wanted.network_id is None:
            return self._clear_gateway(tx, router)
        snat = True if wanted.enable_snat is UNSET else wanted.enable_snat
        fixed_ips = None if wanted.external_fixed_ips is UNSET else wanted.external_fixed_ips or None
        if not context.is_admin and (fixed_ips is not None or not snat):
            raise Forbidden(
                "Policy doesn't allow to set external_fixed_ips or enable_snat of a router: it takes the role admin.",
                kind="PolicyNotAuthorized",
            )
        store.lock_network(tx, wanted.network_id)
        network = self._get(tx, NETWORK, context, wanted.network_id)
        if not network.external:
            raise BadRequest(f"Bad router request: Network {network.id} is not an external network.", kind="BadRequest")
        present = router.gateway_port_id and store.get(tx, PORT, router.gateway_port_id)
        if not (present and present.network_id == network.id and fixed_ips is None):
            self._check_clear_of(tx, router.id, network.id)
            if present and present.network_id == network.id:
                self._change_gateway_addresses(tx, present, fixed_ips)
            else:
                self._clear_gateway(tx, router)
                port_id = self._insert_port(
                    tx,
                    network,
                    {
                        "project_id": "",
                        "device_id": router.id,
                        "device_owner": store.ROUTER_GATEWAY,
                        "status": "ACTIVE",
                        "port_security_enabled": False,
                    },
                    fixed_ips,
                    [],
                )
                if not store_addresses.of_ports(tx, [port_id]).get(port_id):
                    raise BadRequest(
                        f"Bad router request: No IPs available for external network {network.id}.",
                        kind="BadRequest",
                    )
                store.update(tx, ROUTER, router.id, gateway_port_id=port_id)
        shaped = {} if wanted.qos_policy_id is UNSET else {"qos_policy_id": wanted.qos_policy_id}
        self._check_policy(tx, context, shaped, router.qos_policy_id)
        tx.execute(ROUTER.table.update().where(ROUTER.table.c.id == router.id).values(enable_snat=snat, **shaped))
        return None

    def _change_gateway_addresses(self, tx: Tx, port: Any, fixed_ips: Sequence[wire.FixedIp]) -> None:
        has = store_addresses.of_ports(tx, [port.id]).get(port.id, [])
        wanted = self._assign(tx, port.network_id, fixed_ips, port.mac_address, port.device_owner, has)
        store_addresses.remove(tx, port.id, [pair for pair in has if pair not in wanted])
        store_addresses.add(tx, port.id, [pair for pair in wanted if pair not in has])

    def _clear_gateway(self, tx: Tx, router: Any) -> None:
        if router.gateway_port_id is None:
            return
        if store.floating_ips(tx, floatingips.c.router_id == router.id):
            raise Conflict(
                f"Gateway cannot be updated for router {router.id}, since a gateway to external network is "
                "required by one or more floating IPs.",
                kind="RouterExternalGatewayInUseByFloatingIp",
            )
        store.update(tx, ROUTER, router.id, gateway_port_id=None, enable_snat=True, qos_policy_id=None)
        store.delete_ports(tx, [router.gateway_port_id])

    def _check_clear_of(self, tx: Tx, router_id: str, external_id: str) -> None:
        """The external network's subnets are not also on the router's other side. Raises BadRequest."""
        mine = [ipaddress.ip_network(row.cidr) for row in self._connected(tx, router_id)]
        for subnet in store.subnets_of(tx, external_id):
            for cidr in mine:
                if cidr.version == subnet.ip_version and cidr.overlaps(ipaddress.ip_network(subnet.cidr)):
                    raise BadRequest(
                        f"Bad router request: Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr "
                        f"{cidr} of an interface of the router.",
                        kind="BadRequest",
                    )

    def _connected(self, tx: Tx, router_id: str, gateway: bool = False) -> list[Any]:
        """The subnets that the router has a leg in."""
        ports = store.ports_of_devices(tx, [router_id], None if gateway else store.ROUTER_INTERFACE)
        pairs = store_addresses.of_ports(tx, [port.id for port in ports])
        return store.by_ids(tx, SUBNET, {subnet_id for found in pairs.values() for subnet_id, _ in found})

    def _check_routes(self, tx: Tx, router_id: str, wanted: Sequence[wire.HostRoute]) -> list[dict[str, str]]:
        """Raises BadRequest for a next hop that is on none of the router's subnets, or is the router itself."""
        routes = check_routes(wanted, "routes")
        cidrs = [ipaddress.ip_network(row.cidr) for row in self._connected(tx, router_id, gateway=True)]
        ports = store.ports_of_devices(tx, [router_id])
        own = {
            address
            for pairs in store_addresses.of_ports(tx, [port.id for port in ports]).values()
            for _, address in pairs
        }
        for route in routes:
            if not any(ipaddress.ip_address(route["nexthop"]) in cidr for cidr in cidrs):
                raise BadRequest(
                    f"Invalid format for routes: {routes}, the nexthop {route['nexthop']} is not connected with router",
                    kind="InvalidRoutes",
                )
            if route["nexthop"] in own:
                raise BadRequest(
                    f"Invalid format for routes: {routes}, the nexthop {route['nexthop']} is used by router",
                    kind="InvalidRoutes",
                )
        return routes

    # -- interfaces

    def add_interface(self, context: Context, router_id: str, wanted: wire.Interface) -> dict[str, Any]:
        """Raises BadRequest, NotFound, Conflict as Neutron's add_router_interface."""
        if (wanted.subnet_id is None) == (wanted.port_id is None):
            raise BadRequest(
                "Bad router request: Either subnet_id or port_id must be specified, and not both.",
                kind="BadRequest",
            )
        with self._db.transaction() as tx:
            if (subnet := wanted.subnet_id and store.get(tx, SUBNET, wanted.subnet_id)) is not None:
                store.lock_network(tx, subnet.network_id)
            tx.lock("router", router_id)
            router = self._own(tx, ROUTER, context, router_id)
            add = self._add_port if wanted.port_id else self._add_subnet
            port_id, subnets = add(tx, context, router, wanted.port_id or wanted.subnet_id)
            store.update(tx, ROUTER, router_id)
            self._changed(tx, PORT, port_id)
            self._changed(tx, ROUTER, router_id)
            return self._interface(router, store.get(tx, PORT, port_id), subnets)

    def _add_port(self, tx: Tx, context: Context, router: Any, port_id: str) -> tuple[str, list[str]]:
        port = self.port_for_router(tx, context, port_id)
        if port.device_id or port.device_owner:
            raise Conflict(
                f"Unable to complete operation on port {port.id} for network {port.network_id}. Port already "
                f"has an attached device {port.device_id}.",
                kind="PortInUse",
            )
        subnets = [subnet_id for subnet_id, _ in store_addresses.of_ports(tx, [port.id]).get(port.id, ())]
        if not subnets:
            raise BadRequest(
                "Bad router request: A port must have at least one fixed IP to be a router interface.",
                kind="BadRequest",
            )
        rows = store.by_ids(tx, SUBNET, subnets)
        if sum(row.ip_version == 4 for row in rows) > 1:
            raise BadRequest("Bad router request: Cannot have multiple IPv4 subnets on router port.", kind="BadRequest")
        for row in rows:
            self._check_subnet(tx, router, row)
        store.set_security_groups(tx, port.id, [])
        store.update(
            tx,
            PORT,
            port.id,
            device_id=router.id,
            device_owner=store.ROUTER_INTERFACE,
            status="ACTIVE",
            port_security_enabled=False,
            allowed_address_pairs=[],
        )
        return port.id, subnets

    def _add_subnet(self, tx: Tx, context: Context, router: Any, subnet_id: str) -> tuple[str, list[str]]:
        subnet = self._get(tx, SUBNET, context, subnet_id)
        network = store.get(tx, NETWORK, subnet.network_id)
        if subnet.gateway_ip is None:
            raise BadRequest(
                "Bad router request: Subnet for router interface must have a gateway IP.", kind="BadRequest"
            )
        if network.project_id != context.project_id and not (
            context.is_admin or self._shares(tx, NETWORK, context, network.id)
        ):
            raise Forbidden(
                f"Network {network.id} is external: it is a router's gateway, not its interface.",
                kind="PolicyNotAuthorized",
            )
        self._check_subnet(tx, router, subnet)
        pair = (subnet.id, subnet.gateway_ip)
        if (holder := store_addresses.holder(tx, *pair)) is not None:
            raise Conflict(
                f"IP address {subnet.gateway_ip} already allocated in subnet {subnet.id}: port {holder} has it.",
                kind="IpAddressAlreadyAllocated",
            )
        port_id = self._ipv6_port(tx, router, subnet)
        if port_id is None:
            self._take_quota(tx, PORT, router.project_id)
            port_id = self._insert_port(
                tx,
                network,
                {
                    "project_id": router.project_id,
                    "device_id": router.id,
                    "device_owner": store.ROUTER_INTERFACE,
                    "status": "ACTIVE",
                    "port_security_enabled": False,
                },
                [],
                [],
            )
        store_addresses.add(tx, port_id, [pair])
        return port_id, [subnet.id]

    def _ipv6_port(self, tx: Tx, router: Any, subnet: Any) -> str | None:
        """The router's port on this network that has IPv6 addresses only: one port serves all such subnets."""
        if subnet.ip_version == 4:
            return None
        for port in store.ports_of_devices(tx, [router.id], store.ROUTER_INTERFACE):
            pairs = store_addresses.of_ports(tx, [port.id]).get(port.id, [])
            if port.network_id == subnet.network_id and all(":" in address for _, address in pairs):
                return port.id
        return None

    def _check_subnet(self, tx: Tx, router: Any, subnet: Any) -> None:
        """Raises BadRequest where the router is there already, or has a subnet that overlaps."""
        prefix = ipaddress.ip_network(subnet.cidr)
        for other in self._connected(tx, router.id, gateway=True):
            if other.id == subnet.id:
                raise BadRequest(
                    f"Bad router request: Router already has a port on subnet {subnet.id}.", kind="BadRequest"
                )
            if other.ip_version == subnet.ip_version and prefix.overlaps(ipaddress.ip_network(other.cidr)):
                raise BadRequest(
                    f"Bad router request: Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr "
                    f"{other.cidr} of subnet {other.id}.",
                    kind="BadRequest",
                )

    def remove_interface(self, context: Context, router_id: str, wanted: wire.Interface) -> dict[str, Any]:
        """Raises BadRequest, NotFound, Conflict (floating IPs or routes go through it)."""
        if wanted.subnet_id is None and wanted.port_id is None:
            raise BadRequest("Bad router request: Either subnet_id or port_id must be specified.", kind="BadRequest")
        with self._db.transaction() as tx:
            tx.lock("router", router_id)
            router = self._own(tx, ROUTER, context, router_id)
            port, subnets = self._leg(tx, context, router, wanted)
            pairs = store_addresses.of_ports(tx, [port.id]).get(port.id, [])
            gone = [pair for pair in pairs if pair[0] in subnets]
            self._check_unused(tx, router, subnets)
            if len(gone) == len(pairs):
                store.delete_ports(tx, [port.id])
            else:
                store_addresses.remove(tx, port.id, gone)
            store.update(tx, ROUTER, router_id)
            self._changed(tx, ROUTER, router_id)
            return self._interface(router, port, subnets)

    def _leg(self, tx: Tx, context: Context, router: Any, wanted: wire.Interface) -> tuple[Any, list[str]]:
        ports = store.ports_of_devices(tx, [router.id], store.ROUTER_INTERFACE)
        pairs = store_addresses.of_ports(tx, [port.id for port in ports])
        for port in ports:
            subnets = [subnet_id for subnet_id, _ in pairs.get(port.id, ())]
            if wanted.port_id == port.id:
                if wanted.subnet_id not in (None, *subnets):
                    raise Conflict(
                        f"Subnet on port {port.id} does not match the requested subnet {wanted.subnet_id}.",
                        kind="SubnetMismatchForPort",
                    )
                return port, subnets
            if wanted.port_id is None and wanted.subnet_id in subnets:
                return port, [wanted.subnet_id]
        if wanted.port_id is not None:
            raise NotFound(
                f"Router {router.id} does not have an interface with id {wanted.port_id}",
                kind="RouterInterfaceNotFound",
            )
        self._get(tx, SUBNET, context, wanted.subnet_id)
        raise NotFound(
            f"Router {router.id} has no interface on subnet {wanted.subnet_id}",
            kind="RouterInterfaceNotFoundForSubnet",
        )

    def _check_unused(self, tx: Tx, router: Any, subnet_ids: Sequence[str]) -> None:
        through = tx.all(
            sa.select(floatingips.c.id)
            .join(
                store.addresses,
                sa.and_(
                    store.addresses.c.port_id == floatingips.c.port_id,
                    store.addresses.c.address == floatingips.c.fixed_ip_address,
                ),
            )
            .where(floatingips.c.router_id == router.id, store.addresses.c.subnet_id.in_(subnet_ids))
        )
        forwarded = tx.one(
            sa.select(port_forwardings.c.id)
            .join(floatingips, floatingips.c.id == port_forwardings.c.floatingip_id)
            .join(
                store.addresses,
                sa.and_(
                    store.addresses.c.port_id == port_forwardings.c.internal_port_id,
                    store.addresses.c.address == port_forwardings.c.internal_ip_address,
                ),
            )
            .where(floatingips.c.router_id == router.id, store.addresses.c.subnet_id.in_(subnet_ids))
            .limit(1)
        )
        if through or forwarded:
            raise Conflict(
                f"Router interface for subnet {subnet_ids[0]} on router {router.id} cannot be deleted, as it is "
                "required by one or more floating IPs.",
                kind="RouterInterfaceInUseByFloatingIP",
            )
        for subnet in store.by_ids(tx, SUBNET, subnet_ids):
            prefix = ipaddress.ip_network(subnet.cidr)
            if any(addresses.parse(route["nexthop"], "routes") in prefix for route in router.routes):
                raise Conflict(
                    f"Router interface for subnet {subnet.id} on router {router.id} cannot be deleted, as it is "
                    "required by one or more routes.",
                    kind="RouterInterfaceInUseByRoute",
                )

    def _interface(self, router: Any, port: Any, subnets: Sequence[str]) -> dict[str, Any]:
        return {
            "id": router.id,
            "tenant_id": router.project_id,
            "project_id": router.project_id,
            "port_id": port.id,
            "network_id": port.network_id,
            "subnet_id": subnets[0],
            "subnet_ids": list(subnets),
        }
