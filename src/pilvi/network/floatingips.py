"""Floating IPs: the verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound
from pilvi.network import addresses, store, store_addresses, store_forwardings, wire
from pilvi.network.nouns import FLOATING_IP, NETWORK, PORT, ROUTER, SUBNET
from pilvi.network.routers import RouterVerbs
from pilvi.network.tables import floatingips, port_forwardings
from pilvi.policy import Context


class FloatingIpVerbs(RouterVerbs):
    def create_floating_ips(self, context: Context, wanted: Sequence[wire.FloatingIpNew]) -> list[dict[str, Any]]:
        """Raises BadRequest, NotFound (network, port, no router in between), Conflict (addresses, quota)."""
        return self._each(context, FLOATING_IP, wanted, self._create_floating_ip)

    def _create_floating_ip(self, tx: Tx, context: Context, wanted: wire.FloatingIpNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        self._permit(context, FLOATING_IP, values)
        self._take_quota(tx, FLOATING_IP, project)
        self._check_policy(tx, context, values)
        store.lock_network(tx, wanted.floating_network_id)
        network = self._get(tx, NETWORK, context, wanted.floating_network_id)
        if not network.external:
            raise BadRequest(
                f"Bad floatingip request: Network {network.id} is not a valid external network.",
                kind="BadRequest",
            )
        floating_ip_id = self._ids.uuid()
        holder, address = self._hold_address(tx, network, floating_ip_id, wanted)
        store.insert(
            tx,
            FLOATING_IP,
            {
                "id": floating_ip_id,
                "project_id": project,
                "description": values.get("description", ""),
                "floating_network_id": network.id,
                "floating_ip_address": address,
                "floating_port_id": holder,
                "qos_policy_id": wanted.qos_policy_id,
                **self._target(tx, context, network.id, wanted.port_id, wanted.fixed_ip_address),
            },
        )
        return floating_ip_id

    def _hold_address(self, tx: Tx, network: Any, floating_ip_id: str, wanted: wire.FloatingIpNew) -> tuple[str, str]:
        """The port, of nobody's project, that holds the floating address; and that address."""
        subnets = [row for row in store.subnets_of(tx, network.id) if row.ip_version == 4]
        serving = [row for row in subnets if store.FLOATING_IP in row.service_types]
        serving += [row for row in subnets if not row.service_types]
        if not subnets:
            raise BadRequest(
                f"Bad floatingip request: Network {network.id} does not contain any IPv4 subnet.",
                kind="BadRequest",
            )
        fixed = wire.FixedIp(wanted.subnet_id, wanted.floating_ip_address)
        if wanted.subnet_id is None and wanted.floating_ip_address is None:
            free = ((row.id, address) for row in serving if (address := store_addresses.next_free(tx, row)))
            found = next(free, None)
            if found is None:
                raise Conflict(
                    f"No more IP addresses available on network {network.id}.",
                    kind="IpAddressGenerationFailure",
                )
            fixed = wire.FixedIp(*found)
        port_id = self._insert_port(
            tx,
            network,
            {
                "project_id": "",
                "device_id": floating_ip_id,
                "device_owner": store.FLOATING_IP,
                "status": "N/A",
                "port_security_enabled": False,
            },
            [fixed],
            [],
        )
        return port_id, store_addresses.of_ports(tx, [port_id])[port_id][0][1]

    def _target(
        self,
        tx: Tx,
        context: Context,
        external_id: str,
        port_id: str | None,
        fixed_ip: str | None,
        but: str | None = None,
    ) -> dict[str, Any]:
        """Where a floating IP (`but` is its id, when it is there already) leads: columns of its row."""
        if port_id is None:
            if fixed_ip is not None:
                raise BadRequest(
                    "Bad floatingip request: fixed_ip_address cannot be specified without a port_id.",
                    kind="BadRequest",
                )
            return {"port_id": None, "fixed_ip_address": None, "router_id": None, "status": "DOWN"}
        port = self._get(tx, PORT, context, port_id)
        if port.project_id != context.project_id and not context.is_admin:
            raise Forbidden(f"Port {port_id} belongs to another project.", kind="PolicyNotAuthorized")
        subnet_id, address = self._fixed(tx, port, fixed_ip)
        taken = store.floating_ips(
            tx,
            floatingips.c.port_id == port_id,
            floatingips.c.fixed_ip_address == address,
            floatingips.c.floating_network_id == external_id,
        )
        if any(row.id != but for row in taken):
            raise Conflict(
                f"Cannot associate floating IP with port {port_id} using fixed IP {address}, as that fixed IP "
                f"already has a floating IP on external network {external_id}.",
                kind="FloatingIPPortAlreadyAssociated",
            )
        return {
            "port_id": port_id,
            "fixed_ip_address": address,
            "router_id": self._router_between(tx, subnet_id, external_id, port_id),
            "status": "DOWN",
        }

    def _fixed(self, tx: Tx, port: Any, wanted: str | None) -> tuple[str, str]:
        pairs = [
            (subnet_id, address)
            for subnet_id, address in store_addresses.of_ports(tx, [port.id]).get(port.id, ())
            if "." in address
        ]
        if wanted is not None:
            wanted = str(addresses.parse(wanted, "fixed_ip_address"))
            for pair in pairs:
                if pair[1] == wanted:
                    return pair
            raise BadRequest(
                f"Bad floatingip request: Port {port.id} does not have fixed ip {wanted}.", kind="BadRequest"
            )
        if not pairs:
            raise BadRequest(
                f"Bad floatingip request: Cannot add floating IP to port {port.id} that has no fixed IPv4 addresses.",
                kind="BadRequest",
            )
        if len(pairs) > 1:
            raise BadRequest(
                f"Bad floatingip request: Port {port.id} has multiple fixed IPv4 addresses. Must provide a "
                "specific IPv4 address when assigning a floating IP.",
                kind="BadRequest",
            )
        return pairs[0]

    def _router_between(self, tx: Tx, subnet_id: str, external_id: str, port_id: str) -> str:
        """The router that leads from the subnet to the external network. Raises NotFound."""
        legs = store.router_of(tx, subnet_id)
        gateways = {
            port.id: port.network_id
            for port in store.by_ids(tx, PORT, [leg.gateway_port_id for leg in legs if leg.gateway_port_id])
        }
        for leg in legs:
            if gateways.get(leg.gateway_port_id) == external_id:
                tx.lock("router", leg.id)
                if store.get(tx, ROUTER, leg.id).gateway_port_id == leg.gateway_port_id:
                    return leg.id
        subnet = store.get(tx, SUBNET, subnet_id)
        raise NotFound(
            f"External network {external_id} is not reachable from subnet {subnet.id}. Therefore, cannot "
            f"associate Port {port_id} with a Floating IP.",
            kind="ExternalGatewayForFloatingIPNotFound",
        )

    def update_floating_ip(
        self, context: Context, floating_ip_id: str, change: wire.FloatingIpChange
    ) -> dict[str, Any]:
        """Leads it to another port, or nowhere; leaving the port out does neither, but for an address alone."""
        values = wire.given(change)
        with self._db.transaction() as tx:
            external_id = self._own(tx, FLOATING_IP, context, floating_ip_id).floating_network_id
            store.lock_network(tx, external_id)
            row = self._own(tx, FLOATING_IP, context, floating_ip_id)
            self._check_policy(tx, context, values, row.qos_policy_id)
            fixed_ip = values.pop("fixed_ip_address", None)
            if "port_id" in values or fixed_ip is not None:
                port_id = values.pop("port_id", row.port_id)
                self._not_forwarded(tx, row, port_id)
                target = self._target(tx, context, external_id, port_id, fixed_ip, row.id)
                if (target["port_id"], target["fixed_ip_address"]) == (row.port_id, row.fixed_ip_address):
                    del target["status"]
                if row.port_id is not None or port_id is not None:
                    values |= target
            self._changed(tx, FLOATING_IP, floating_ip_id)  # where it leads now, and where it will
            store.update(tx, FLOATING_IP, floating_ip_id, **values)
            self._changed(tx, FLOATING_IP, floating_ip_id)
            return self._fresh(tx, FLOATING_IP, context, [floating_ip_id])[0]

    def _not_forwarded(self, tx: Tx, row: Any, port_id: str | None) -> None:
        """A floating IP leads to a port as a whole, or its ports lead to several. Raises Conflict."""
        if port_id is not None and store_forwardings.of_floating_ips(tx, [row.id]):
            raise Conflict(
                f"Floating IP {row.id} in use by Port Forwarding resources: delete them first.",
                kind="FipInUseByPortForwarding",
            )

    def delete_floating_ip(self, context: Context, floating_ip_id: str) -> None:
        with self._db.transaction() as tx:
            row = self._own(tx, FLOATING_IP, context, floating_ip_id)
            store.lock_network(tx, row.floating_network_id)
            store_forwardings.delete(tx, port_forwardings.c.floatingip_id == row.id)
            self._changed(tx, FLOATING_IP, row.id)
            store.delete(tx, FLOATING_IP, row.id)
            store.delete_ports(tx, [row.floating_port_id])
