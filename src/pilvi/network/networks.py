"""Networks: the verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict
from pilvi.network import provider, store, store_addresses, store_qos, store_sharing, wire
from pilvi.network.nouns import FLOATING_IP, NETWORK, PORT, SUBNET
from pilvi.network.sharing import SharingVerbs
from pilvi.network.store_sharing import SHARED
from pilvi.policy import Context

SMALLEST_MTU = 68  # RFC 791
DEFAULTS = {"shared": False, "external": False, "is_default": False}


class NetworkVerbs(SharingVerbs):
    def create_networks(self, context: Context, wanted: Sequence[wire.NetworkNew]) -> list[dict[str, Any]]:
        """Raises BadRequest, Forbidden, and Conflict for the quota or a physical network that is taken."""
        return self._each(context, NETWORK, wanted, self._create_network)

    def _create_network(self, tx: Tx, context: Context, wanted: wire.NetworkNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        values["vlan_transparent"] = bool(values.get("vlan_transparent"))
        self._permit(context, NETWORK, values, DEFAULTS)
        self._zones(values)
        self._take_quota(tx, NETWORK, project)
        self._default_group(tx, project)
        if "qos_policy_id" in values:
            self._check_policy(tx, context, values)
        else:
            values["qos_policy_id"] = store_qos.default_of(tx, project)
        self._only_default_network(tx, values.get("is_default", False))
        return self._insert_network(tx, {**values, "project_id": project})

    def _insert_network(self, tx: Tx, values: dict[str, Any]) -> str:
        provider.settle(tx, values, self._settings.network.geneve_ids)
        values["mtu"] = self._mtu(values.get("mtu", 0), self._widest(values["physical_network"]))
        network_id = self._ids.uuid()
        store.insert(tx, NETWORK, {**values, "id": network_id})
        self._share_with_all(tx, NETWORK, network_id, values["project_id"], values)
        return network_id

    def _widest(self, physical_network: str | None) -> int:
        return provider.PHYSICAL_MTU if physical_network else self._settings.network.mtu

    def _mtu(self, wanted: int, most: int) -> int:
        if wanted and not SMALLEST_MTU <= wanted <= most:
            raise BadRequest(
                f"Invalid input for operation: Requested MTU is out of range: it must be from {SMALLEST_MTU} "
                f"to {most}.",
                kind="InvalidInput",
            )
        return wanted or most

    def update_network(self, context: Context, network_id: str, change: wire.NetworkChange) -> dict[str, Any]:
        values = wire.given(change)
        with self._db.transaction() as tx:
            store.lock_network(tx, network_id)
            row = self._own(tx, NETWORK, context, network_id)
            self._permit(
                context,
                NETWORK,
                {name: value for name, value in values.items() if value != getattr(row, name)},
                {"shared": row.shared, "external": row.external, "is_default": row.is_default},
            )
            if "mtu" in values:
                values["mtu"] = self._mtu(values["mtu"], self._widest(row.physical_network))
            self._still_used(tx, row, values)
            self._check_policy(tx, context, values, row.qos_policy_id)
            self._only_default_network(tx, values.get("is_default", False), network_id)
            store.update(tx, NETWORK, network_id, **values)
            self._share_with_all(tx, NETWORK, network_id, row.project_id, values)
            self._changed(tx, NETWORK, network_id)
            return self._fresh(tx, NETWORK, context, [network_id])[0]

    def _only_default_network(self, tx: Tx, wanted: bool, but: str = "") -> None:
        """Raises Conflict where another network is the default way out."""
        if not wanted:
            return
        tx.lock("default external network")
        columns = NETWORK.table.c
        other = tx.scalar(sa.select(columns.id).where(columns.is_default, columns.external, columns.id != but))
        if other is not None:
            raise Conflict(
                f"A default external network already exists: {other}.", kind="DefaultExternalNetworkExists"
            )

    def _still_used(self, tx: Tx, row: Any, values: dict[str, Any]) -> None:
        if row.shared and not values.get("shared", True):
            own_policies = store_sharing.targets(tx, "network", row.id, SHARED) - {store_sharing.EVERYBODY}
            if self._users_but(tx, NETWORK, row.id, SHARED, own_policies):
                raise Conflict(
                    f"Unable to reconfigure sharing settings for network {row.id}. Multiple tenants are using it.",
                    kind="InvalidSharedSetting",
                )
        ports = store.ports_on(tx, row.id) if row.external and not values.get("external", True) else ()
        if any(port.device_owner in (store.ROUTER_GATEWAY, store.FLOATING_IP) for port in ports):
            raise Conflict(
                f"External network {row.id} cannot be updated to be made non-external, since it has existing "
                "gateway ports.",
                kind="ExternalNetworkInUse",
            )

    def delete_network(self, context: Context, network_id: str) -> None:
        """With its floating IPs that lead nowhere. Raises Conflict where other ports are left on it."""
        with self._db.transaction() as tx:
            self._delete_network(tx, context, network_id)

    def _delete_network(self, tx: Tx, context: Context, network_id: str) -> None:
        store.lock_network(tx, network_id)
        self._own(tx, NETWORK, context, network_id)
        ports = store.ports_on(tx, network_id)
        idle = store.idle_floating_ips(tx, network_id)
        unused = {row.floating_port_id for row in idle}
        used = [port.id for port in ports if port.device_owner != store.METADATA and port.id not in unused]
        if used:
            raise Conflict(
                f"Unable to complete operation on network {network_id}. There are one or more ports still "
                f"in use on the network, id for these ports are: {', '.join(used[:5])}.",
                kind="NetworkInUse",
            )
        store.delete(tx, FLOATING_IP, *(row.id for row in idle))
        store.delete_ports(tx, [port.id for port in ports])
        subnets = [subnet.id for subnet in store.subnets_of(tx, network_id)]
        for subnet_id in subnets:
            store_addresses.remove_subnet(tx, subnet_id)
        store.delete(tx, SUBNET, *subnets)
        store.delete(tx, NETWORK, network_id)
        self._changed(tx, NETWORK, network_id)

    # -- the metadata port

    def _ensure_metadata_port(self, tx: Tx, network: Any) -> None:
        """The network's metadata port has an address in each IPv4 subnet with DHCP; there is none without any DHCP.

        Over IPv6 metadata has the same address on every link. A subnet that has no address left gets along without
        one."""
        served = [subnet for subnet in store.subnets_of(tx, network.id) if subnet.enable_dhcp]
        wanted = [subnet for subnet in served if subnet.ip_version == 4]
        port = store.metadata_port(tx, network.id)
        if not served:
            if port is not None:
                store.delete_ports(tx, [port.id])
            return
        if port is None:
            port_id = self._insert_port(
                tx,
                network,
                {
                    "project_id": network.project_id,
                    "device_owner": store.METADATA,
                    "device_id": f"ovnmeta-{network.id}",
                    "port_security_enabled": False,
                    "status": "ACTIVE",
                },
                [],
                [],
            )
            port = store.get(tx, PORT, port_id)
        has = dict(store_addresses.of_ports(tx, [port.id]).get(port.id, ()))
        kept = {subnet.id for subnet in wanted}
        store_addresses.remove(tx, port.id, [pair for pair in has.items() if pair[0] not in kept])
        for subnet in wanted:
            if subnet.id not in has and (address := store_addresses.next_free(tx, subnet)) is not None:
                store_addresses.add(tx, port.id, [(subnet.id, address)])
