"""Ports: the verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound
from pilvi.network import addresses, dhcpoptions, store, store_addresses, store_forwardings, store_trunks, wire
from pilvi.network.nouns import NETWORK, PORT, SECURITY_GROUP
from pilvi.network.policy import NETWORK_OWNER_ATTRIBUTES
from pilvi.network.subnets import SubnetVerbs
from pilvi.network.tables import floatingips, port_forwardings
from pilvi.network.trunks import free_of_trunks
from pilvi.policy import Context

MAC_TRIES = 16
ROUTERS_OWN = (store.ROUTER_INTERFACE, store.ROUTER_GATEWAY, store.FLOATING_IP)


class PortVerbs(SubnetVerbs):
    def create_ports(self, context: Context, wanted: Sequence[wire.PortNew]) -> list[dict[str, Any]]:
        """Raises NotFound (network, security group), BadRequest, Conflict (address, MAC address, quota)."""
        with self._db.transaction() as tx:
            if len(wanted) > 1:  # in one order, whoever locks them
                for project in sorted({self._project(context, wire.given(one)) for one in wanted}):
                    self._take_quota(tx, PORT, project, 0)
                store.lock_network(tx, *(one.network_id for one in wanted))
            ids = [self._create_port(tx, context, one) for one in wanted]
            self._changed(tx, PORT, *ids)
            return self._fresh(tx, PORT, context, ids)

    def _create_port(self, tx: Tx, context: Context, wanted: wire.PortNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        self._take_quota(tx, PORT, project)
        store.lock_network(tx, wanted.network_id)
        network = self._get(tx, NETWORK, context, wanted.network_id)
        del values["network_id"]
        tags = values.pop("tags", ())
        if values.get("mac_address") is None:
            values.pop("mac_address", None)
        self._permit(context, PORT, values, {"host": "", "profile": {}})
        self._permit_on(tx, context, network, values)
        groups = self._groups(tx, context, project, network, values)
        self._check_policy(tx, context, values)
        fixed_ips = values.pop("fixed_ips", None)
        port_id = self._insert_port(tx, network, {**values, "project_id": project}, fixed_ips, groups)
        if tags:
            store.set_tags(tx, port_id, tags)
        return port_id

    def _permit_on(self, tx: Tx, context: Context, network: Any, values: dict[str, Any]) -> None:
        """On a network that another project shares, only plain ports. Raises Forbidden."""
        if context.is_admin:
            return
        if values.get("device_owner", "").startswith("network:"):
            raise Forbidden(
                "Policy doesn't allow to make a port of the network's own: it takes the role admin.",
                kind="PolicyNotAuthorized",
            )
        if network.project_id == context.project_id:
            return
        if not self._shares(tx, NETWORK, context, network.id):
            raise Forbidden(
                f"Network {network.id} is external: attach through a router and floating IPs.",
                kind="PolicyNotAuthorized",
            )
        refused = sorted(NETWORK_OWNER_ATTRIBUTES & set(values))
        if any(one.ip_address for one in values.get("fixed_ips") or ()):
            refused.append("fixed_ips:ip_address")
        if refused:
            raise Forbidden(
                f"Policy doesn't allow to set {', '.join(refused)} on network {network.id} of another project.",
                kind="PolicyNotAuthorized",
            )

    def _groups(self, tx: Tx, context: Context, project: str, network: Any, values: dict[str, Any]) -> list[str]:
        """The security groups of a new port. Raises BadRequest, NotFound."""
        secure = values.setdefault("port_security_enabled", network.port_security_enabled)
        wanted = values.pop("security_groups", None)
        if not secure:
            if wanted or values.get("allowed_address_pairs"):
                raise BadRequest(
                    "Port Security must be enabled in order to have security groups or allowed address pairs "
                    "on a port.",
                    kind="PortSecurityAndIPRequiredForSecurityGroups",
                )
            return []
        if wanted is None:
            if values.get("device_owner", "").startswith("network:"):
                return []
            return [self._default_group(tx, project)]
        return self._check_groups(tx, context, wanted)

    def _check_groups(self, tx: Tx, context: Context, wanted: Sequence[str]) -> list[str]:
        for group in wanted:
            self._get(tx, SECURITY_GROUP, context, group)
        return list(dict.fromkeys(wanted))

    def _insert_port(
        self,
        tx: Tx,
        network: Any,
        values: dict[str, Any],
        fixed_ips: Sequence[wire.FixedIp] | None,
        groups: Sequence[str],
    ) -> str:
        """Callers hold the network's lock, and have checked quota and policy."""
        values = {name: value for name, value in values.items() if name != "fixed_ips"}
        mac = values["mac_address"] = self._mac(tx, network.id, values.get("mac_address"))
        values["allowed_address_pairs"] = _pairs(values.get("allowed_address_pairs"), mac)
        values["extra_dhcp_opts"] = dhcpoptions.merged((), values.get("extra_dhcp_opts"))
        values["host"] = values.get("host") or ""
        values["profile"] = values.get("profile") or {}
        pairs = self._assign(tx, network.id, fixed_ips, mac, values.get("device_owner", ""))
        port_id = self._ids.uuid()
        store.insert(tx, PORT, {**values, "id": port_id, "network_id": network.id})
        store_addresses.add(tx, port_id, pairs)
        dhcpoptions.check(values["extra_dhcp_opts"], {6 if ":" in address else 4 for _, address in pairs})
        store.add_security_groups(tx, port_id, groups)
        return port_id

    def _mac(self, tx: Tx, network_id: str, wanted: str | None) -> str:
        if wanted is not None:
            wanted = wanted.lower()
            if int(wanted[:2], 16) & 1 or wanted == "00:00:00:00:00:00":
                raise BadRequest(
                    f"Invalid input for mac_address. Reason: '{wanted}' is not the address of one host.",
                    kind="HTTPBadRequest",
                )
            if store.mac_taken(tx, network_id, wanted):
                raise Conflict(
                    f"Unable to complete operation for network {network_id}. The mac address {wanted} is in use.",
                    kind="MacAddressInUse",
                )
            return wanted
        for _ in range(MAC_TRIES):
            if not store.mac_taken(tx, network_id, mac := self._ids.mac()):
                return mac
        raise Conflict(f"Unable to generate unique mac on network {network_id}.", kind="MacAddressGenerationFailure")

    def update_port(self, context: Context, port_id: str, change: wire.PortChange) -> dict[str, Any]:
        values = wire.given(change)
        with self._db.transaction() as tx:
            network_id = self._own(tx, PORT, context, port_id).network_id
            store.lock_network(tx, network_id)
            row, network = self._own(tx, PORT, context, port_id), store.get(tx, NETWORK, network_id)
            self._permit(context, PORT, values, {"host": row.host, "profile": row.profile})
            self._permit_change(tx, context, network, row, values)
            self._change_security(tx, context, row, values)
            self._check_port_policy(tx, context, row, values)
            fixed_ips = values.pop("fixed_ips", ...)
            mac = values.get("mac_address", row.mac_address)
            if mac is None or mac.lower() != row.mac_address:
                mac = self._mac(tx, network_id, mac)
            if "mac_address" in values:
                mac = values["mac_address"] = mac.lower()
            if "allowed_address_pairs" in values:
                values["allowed_address_pairs"] = _pairs(values["allowed_address_pairs"], mac)
            for name, empty in (("host", ""), ("profile", {})):
                if name in values:
                    values[name] = values[name] or empty
            if fixed_ips is not ... or mac != row.mac_address:
                self._readdress(tx, row, fixed_ips, mac)
            options = dhcpoptions.merged(row.extra_dhcp_opts, values.pop("extra_dhcp_opts", None))
            has = store_addresses.of_ports(tx, [port_id]).get(port_id, ())
            dhcpoptions.check(options, {6 if ":" in address else 4 for _, address in has})
            store.update(tx, PORT, port_id, **values, extra_dhcp_opts=options)
            if "host" in values:
                store_trunks.follow(tx, [port_id], values["host"])
            self._changed(tx, PORT, port_id)
            return self._fresh(tx, PORT, context, [port_id])[0]

    def _permit_change(
        self, tx: Tx, context: Context, network: Any, row: Any, values: dict[str, Any]
    ) -> None:
        changed = {
            name: value for name, value in values.items() if name != "fixed_ips" and value != getattr(row, name, ...)
        }
        if values.get("fixed_ips"):
            changed["fixed_ips"] = values["fixed_ips"]
        foreign = not context.is_admin and network.project_id != context.project_id
        if foreign and not self._shares(tx, NETWORK, context, network.id):
            changed = {
                name: value for name, value in changed.items() if name in NETWORK_OWNER_ATTRIBUTES | {"fixed_ips"}
            }
            if not changed:
                return
        self._permit_on(tx, context, network, changed)
        if row.device_owner in (*ROUTERS_OWN, store.METADATA, store_trunks.OWNER) and {
            "device_owner",
            "device_id",
            "mac_address",
        } & set(changed):
            raise Conflict(
                f"Port {row.id} belongs to the network itself ({row.device_owner}); its device and MAC address stay.",
                kind="ServicePortInUse",
            )
        if row.host and "mac_address" in changed:
            raise Conflict(
                f"Unable to complete operation on port {row.id}, port is already bound, host: {row.host}.",
                kind="PortBound",
            )

    def _check_port_policy(self, tx: Tx, context: Context, row: Any, values: dict[str, Any]) -> None:
        if values.get("qos_policy_id") is not None and row.device_owner in (store.ROUTER_GATEWAY, store.FLOATING_IP):
            raise Conflict(
                f"Port {row.id} belongs to the network itself ({row.device_owner}): give the policy to the router's "
                "gateway, or to the floating IP.",
                kind="ServicePortInUse",
            )
        self._check_policy(tx, context, values, row.qos_policy_id)

    def _change_security(self, tx: Tx, context: Context, row: Any, values: dict[str, Any]) -> None:
        wanted, pairs = (
            values.pop("security_groups", ...),
            values.get("allowed_address_pairs", row.allowed_address_pairs),
        )
        secure = values.get("port_security_enabled", row.port_security_enabled)
        has = store.security_groups_of(tx, [row.id]).get(row.id, []) if wanted is ... else wanted or []
        if not secure and has:
            raise BadRequest(
                "Port has security group associated. Cannot disable port security or IP address until security "
                "group is removed",
                kind="PortSecurityPortHasSecurityGroup",
            )
        if not secure and pairs:
            raise Conflict(
                "Port Security must be enabled in order to have allowed address pairs on a port.",
                kind="AddressPairAndPortSecurityRequired",
            )
        if wanted is not ...:
            store.set_security_groups(tx, row.id, self._check_groups(tx, context, wanted or []))

    def _readdress(self, tx: Tx, row: Any, fixed_ips: Any, mac: str) -> None:
        """Other addresses for a port; floating IPs that led to those it loses lead nowhere afterwards."""
        has = store_addresses.of_ports(tx, [row.id]).get(row.id, [])
        if row.device_owner in (store.ROUTER_GATEWAY, store.FLOATING_IP, store.METADATA):
            raise Conflict(
                f"Port {row.id} belongs to the network itself ({row.device_owner}); its addresses stay.",
                kind="ServicePortInUse",
            )
        subnets = {subnet.id: subnet for subnet in store.subnets_of(tx, row.network_id)}
        kept = [pair for pair in has if mac == row.mac_address or not addresses.is_automatic(subnets[pair[0]])]
        if fixed_ips is ...:
            fixed_ips = [wire.FixedIp(*pair) for pair in kept]
        wanted = self._assign(tx, row.network_id, fixed_ips or [], mac, row.device_owner, kept)
        gone = [pair for pair in has if pair not in wanted]
        store_addresses.remove(tx, row.id, gone)
        store_addresses.add(tx, row.id, [pair for pair in wanted if pair not in has])
        if gone:
            store.disassociate(
                tx,
                floatingips.c.port_id == row.id,
                floatingips.c.fixed_ip_address.in_([address for _, address in gone]),
            )
            store_forwardings.delete(
                tx,
                port_forwardings.c.internal_port_id == row.id,
                port_forwardings.c.internal_ip_address.in_([address for _, address in gone]),
            )

    def delete_port(self, context: Context, port_id: str) -> None:
        """Raises Conflict for ports that belong to a router or a floating IP. A network without a metadata port makes
        itself another one."""
        with self._db.transaction() as tx:
            row = self._own(tx, PORT, context, port_id)
            if row.device_owner == store.METADATA:
                store.lock_network(tx, row.network_id)
            if row.device_owner in ROUTERS_OWN:
                raise Conflict(
                    f"Port {port_id} cannot be deleted directly via the port API: has device owner {row.device_owner}.",
                    kind="ServicePortInUse",
                )
            free_of_trunks(tx, port_id)
            store.delete_ports(tx, [port_id])
            if row.device_owner == store.COMPUTE:
                for callback in self._card_gone:
                    callback(tx, row.device_id, port_id)
            self._changed(tx, PORT, port_id)
            if row.device_owner == store.METADATA:
                self._ensure_metadata_port(tx, store.get(tx, NETWORK, row.network_id))
                self._changed(tx, NETWORK, row.network_id)

    def port_for_router(self, tx: Tx, context: Context, port_id: str) -> Any:
        row = store.find(tx, PORT, context, port_id)
        if row is None:
            raise NotFound(f"Port {port_id} could not be found.", kind="PortNotFound")
        return row


def _pairs(wanted: Sequence[Any] | None, mac: str) -> list[dict[str, str]]:
    """Allowed address pairs as they are kept. Raises BadRequest."""
    found = []
    for pair in wanted or ():
        if "/" in pair.ip_address:
            address = str(addresses.parse_prefix(pair.ip_address, "allowed_address_pairs"))
        else:
            address = str(addresses.parse(pair.ip_address, "allowed_address_pairs"))
        kept = {"mac_address": (pair.mac_address or mac).lower(), "ip_address": address}
        if kept in found:
            raise BadRequest(
                f"Request contains duplicate address pair: mac_address {kept['mac_address']} ip_address {address}.",
                kind="DuplicateAddressPairInRequest",
            )
        found.append(kept)
    return found
