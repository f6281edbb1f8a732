"""Subnets: the verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.network import addresses, store, store_addresses, wire
from pilvi.network.nouns import NETWORK, PORT, SUBNET
from pilvi.network.subnetpools import SubnetPoolVerbs
from pilvi.policy import Context

DEVICE_OWNERS = ("network:", "compute:", "baremetal:", "neutron:", "trunk:")  # what they begin with


class SubnetVerbs(SubnetPoolVerbs):
    def create_subnets(self, context: Context, wanted: Sequence[wire.SubnetNew]) -> list[dict[str, Any]]:
        """Raises BadRequest for what does not fit together, NotFound (network, subnet pool), Conflict (pools, quota)."""
        return self._each(context, SUBNET, wanted, self._create_subnet)

    def _create_subnet(self, tx: Tx, context: Context, wanted: wire.SubnetNew) -> str:
        values = wire.given(wanted)
        project = self._project(context, values)
        self._take_quota(tx, SUBNET, project)
        store.lock_network(tx, wanted.network_id)
        network = self._own(tx, NETWORK, context, wanted.network_id)
        values["project_id"] = project
        self._take_cidr(tx, context, values)
        return self._insert_subnet(tx, network, values)

    def _insert_subnet(self, tx: Tx, network: Any, values: dict[str, Any]) -> str:
        prefix = self._prefix(tx, network.id, values)
        values["cidr"] = str(prefix)
        values["gateway_ip"] = self._gateway(prefix, values.get("gateway_ip", addresses.default_gateway(prefix)))
        _check_modes(values, prefix)
        _check_services(values)
        pools, gateway = values.get("allocation_pools"), values["gateway_ip"]
        values["allocation_pools"] = (
            addresses.default_pools(prefix, gateway) if pools is None else addresses.check_pools(pools, prefix, gateway)
        )
        _lists(values)
        subnet_id = self._ids.uuid()
        store.insert(tx, SUBNET, {**values, "id": subnet_id})
        subnet = store.get(tx, SUBNET, subnet_id)
        if subnet.enable_dhcp:
            self._ensure_metadata_port(tx, network)
        if addresses.is_automatic(subnet):
            self._give_automatic_addresses(tx, network.id, subnet)
        return subnet_id

    def _prefix(self, tx: Tx, network_id: str, values: dict[str, Any]) -> addresses.Prefix:
        prefix = addresses.parse_prefix(values["cidr"], "cidr")
        if prefix.version != values["ip_version"]:
            raise BadRequest(
                f"Invalid input for operation: cidr '{prefix}' does not match the ip_version '{values['ip_version']}'.",
                kind="InvalidInput",
            )
        if prefix.prefixlen == 0 or prefix.is_multicast or prefix.is_loopback or prefix.is_unspecified:
            raise BadRequest(
                f"Invalid input for operation: Invalid CIDR {prefix} given for a subnet.", kind="InvalidInput"
            )
        for other in store.subnets_of(tx, network_id):
            if other.ip_version == prefix.version and addresses.parse_prefix(other.cidr, "cidr").overlaps(prefix):
                raise BadRequest(
                    f"Invalid input for operation: Requested subnet with cidr: {prefix} for network: "
                    f"{network_id} overlaps with another subnet: {other.id} has {other.cidr}.",
                    kind="InvalidInput",
                )
        return prefix

    def _gateway(self, prefix: addresses.Prefix, text: str | None) -> str | None:
        if text is None:
            return None
        gateway = addresses.parse(text, "gateway_ip")
        if not (
            addresses.is_host(prefix, gateway) or (gateway.version == prefix.version == 6 and gateway.is_link_local)
        ):
            raise BadRequest(
                f"Invalid input for operation: gateway_ip {gateway} is not an address that a host in "
                f"{prefix} can have.",
                kind="InvalidInput",
            )
        return str(gateway)

    def _give_automatic_addresses(self, tx: Tx, network_id: str, subnet: Any) -> None:
        """The guests that are there make themselves addresses as soon as a router tells them of the subnet."""
        prefix = addresses.parse_prefix(subnet.cidr, "cidr")
        for port in store.ports_on(tx, network_id):
            if not port.device_owner.startswith("network:") and _serves(subnet, port.device_owner):
                store_addresses.add(tx, port.id, [(subnet.id, addresses.eui64(prefix, port.mac_address))])

    def update_subnet(self, context: Context, subnet_id: str, change: wire.SubnetChange) -> dict[str, Any]:
        values = wire.given(change)
        with self._db.transaction() as tx:
            network_id = self._own(tx, SUBNET, context, subnet_id).network_id
            store.lock_network(tx, network_id)
            row = self._own(tx, SUBNET, context, subnet_id)
            prefix = addresses.parse_prefix(row.cidr, "cidr")
            if values.get("allocation_pools", ...) is None:
                del values["allocation_pools"]
            if "gateway_ip" in values:
                values["gateway_ip"] = self._gateway(prefix, values["gateway_ip"])
                self._gateway_unused(tx, row, values["gateway_ip"])
            gateway = values.get("gateway_ip", row.gateway_ip)
            if "allocation_pools" in values:
                values["allocation_pools"] = addresses.check_pools(values["allocation_pools"], prefix, gateway)
            elif "gateway_ip" in values:
                addresses.check_gateway(row.allocation_pools, gateway)
            if not values.get("enable_dhcp", True) and (row.ipv6_ra_mode or row.ipv6_address_mode):
                raise BadRequest(
                    "Invalid input for operation: ipv6_ra_mode or ipv6_address_mode cannot be set when "
                    "enable_dhcp is set to False.",
                    kind="InvalidInput",
                )
            _check_services(values)
            _lists({**values, "ip_version": row.ip_version}, values)
            store.update(tx, SUBNET, subnet_id, **values)
            if "enable_dhcp" in values:
                self._ensure_metadata_port(tx, store.get(tx, NETWORK, network_id))
            self._changed(tx, NETWORK, network_id)
            return self._fresh(tx, SUBNET, context, [subnet_id])[0]

    def _gateway_unused(self, tx: Tx, row: Any, gateway: str | None) -> None:
        """A router that is the subnet's gateway stays it. Raises Conflict."""
        if row.gateway_ip is None or gateway == row.gateway_ip:
            return
        holder = store_addresses.holder(tx, row.id, row.gateway_ip)
        port = holder and store.get(tx, PORT, holder)
        if port and port.device_owner == store.ROUTER_INTERFACE:
            raise Conflict(
                f"Current gateway ip {row.gateway_ip} already in use by port {port.id}. Unable to update.",
                kind="GatewayIpInUse",
            )

    def delete_subnet(self, context: Context, subnet_id: str) -> None:
        """Raises Conflict where ports have addresses of it that they did not make themselves."""
        with self._db.transaction() as tx:
            network_id = self._own(tx, SUBNET, context, subnet_id).network_id
            store.lock_network(tx, network_id)
            row = self._own(tx, SUBNET, context, subnet_id)
            automatic = addresses.is_automatic(row)
            used = [
                port
                for port in store_addresses.in_subnet(tx, subnet_id)
                if port.device_owner != store.METADATA
                and not (automatic and not port.device_owner.startswith("network:router"))
            ]
            if used:
                raise Conflict(
                    f"Unable to complete operation on subnet {subnet_id}: One or more ports have an IP "
                    f"allocation from this subnet: {', '.join(port.id for port in used[:5])}.",
                    kind="SubnetInUse",
                )
            store_addresses.remove_subnet(tx, subnet_id)
            store.delete(tx, SUBNET, subnet_id)
            if row.enable_dhcp:
                self._ensure_metadata_port(tx, store.get(tx, NETWORK, network_id))
            self._changed(tx, NETWORK, network_id)

    # -- for other verbs

    def _assign(
        self,
        tx: Tx,
        network_id: str,
        wanted: Sequence[wire.FixedIp] | None,
        mac: str,
        owner: str = "",
        has: Sequence[tuple[str, str]] = (),
    ) -> list[tuple[str, str]]:
        """(subnet, address) for a port: what is wanted, or where that is None one of each IP version.

        Of what the port `has`, it keeps what fits. Raises BadRequest, Conflict where an address is taken or none
        is left. Nothing is written but the subnets' cursors; callers hold the network's lock."""
        subnets = {subnet.id: subnet for subnet in store.subnets_of(tx, network_id)}
        router = owner.startswith("network:router")
        if wanted is None:
            found = self._one_of_each(tx, network_id, list(subnets.values()), owner)
        else:
            spare, found = list(has), []
            for one in sorted(wanted, key=lambda one: one.ip_address is None):
                pair = self._wanted(tx, network_id, subnets, one, mac, router, spare, found)
                found.append(pair)
        if not owner.startswith("network:"):
            for subnet in subnets.values():
                if addresses.is_automatic(subnet) and subnet.id not in dict(found) and _serves(subnet, owner):
                    found.append((subnet.id, addresses.eui64(addresses.parse_prefix(subnet.cidr, "cidr"), mac)))
        return found

    def _one_of_each(self, tx: Tx, network_id: str, subnets: list[Any], owner: str) -> list[tuple[str, str]]:
        """Of the subnets that are there for ports of this owner, and else of those that are there for all."""
        found = []
        usable = [subnet for subnet in subnets if _serves(subnet, owner)]
        if subnets and not usable:
            raise Conflict(
                f"No valid service subnet for the given device owner, network {network_id}, service type {owner}.",
                kind="IpAddressGenerationFailureNoMatchingSubnet",
            )
        usable.sort(key=lambda subnet: not subnet.service_types)
        for version in (4, 6):
            candidates = [
                subnet for subnet in usable if subnet.ip_version == version and not addresses.is_automatic(subnet)
            ]
            for subnet in candidates:
                if (address := store_addresses.next_free(tx, subnet)) is not None:
                    found.append((subnet.id, address))
                    break
            else:
                if candidates:
                    raise no_addresses(network_id)
        return found

    def _wanted(
        self,
        tx: Tx,
        network_id: str,
        subnets: dict[str, Any],
        one: wire.FixedIp,
        mac: str,
        router: bool,
        spare: list[tuple[str, str]],
        found: list[tuple[str, str]],
    ) -> tuple[str, str]:
        if one.subnet_id is None and one.ip_address is None:
            raise BadRequest(
                "Invalid input for fixed_ips. Reason: each names a subnet_id, an ip_address, or both.",
                kind="HTTPBadRequest",
            )
        address = None if one.ip_address is None else addresses.parse(one.ip_address, "fixed_ips")
        subnet = self._subnet_for(network_id, subnets, one.subnet_id, address)
        prefix = addresses.parse_prefix(subnet.cidr, "cidr")
        automatic = addresses.is_automatic(subnet) and not router
        own = addresses.eui64(prefix, mac) if automatic else None
        if address is None and not automatic:
            return self._any_address(tx, network_id, subnet, spare)
        if automatic and address is not None and str(address) != own:
            raise BadRequest(
                f"IPv6 address {address} cannot be directly assigned to a port on subnet {subnet.id} as the "
                "subnet is configured for automatic addresses",
                kind="AllocationOnAutoAddressSubnet",
            )
        if address is not None and not addresses.is_host(prefix, address):
            raise BadRequest(
                f"IP address {address} is not a valid IP for the specified subnet.", kind="InvalidIpForSubnet"
            )
        pair = (subnet.id, own or str(address))
        if pair in found:
            raise BadRequest(
                f"Invalid input for fixed_ips. Reason: Duplicate IP address '{pair[1]}'.",
                kind="HTTPBadRequest",
            )
        if pair in spare:
            spare.remove(pair)
        elif store_addresses.is_taken(tx, subnet.id, addresses.number(pair[1])):
            raise Conflict(
                f"IP address {pair[1]} already allocated in subnet {subnet.id}",
                kind="IpAddressAlreadyAllocated",
            )
        return pair

    def _any_address(self, tx: Tx, network_id: str, subnet: Any, spare: list[tuple[str, str]]) -> tuple[str, str]:
        for pair in spare:
            if pair[0] == subnet.id:
                spare.remove(pair)
                return pair
        if (free := store_addresses.next_free(tx, subnet)) is None:
            raise no_addresses(network_id)
        return subnet.id, free

    def _subnet_for(
        self,
        network_id: str,
        subnets: dict[str, Any],
        subnet_id: str | None,
        address: addresses.Address | None,
    ) -> Any:
        if subnet_id is not None:
            if subnet_id not in subnets:
                raise BadRequest(
                    f"Invalid input for operation: Failed to create port on network {network_id}, because "
                    f"fixed_ips included invalid subnet {subnet_id}.",
                    kind="InvalidInput",
                )
            return subnets[subnet_id]
        for subnet in subnets.values():
            if address in addresses.parse_prefix(subnet.cidr, "cidr"):
                return subnet
        raise BadRequest(
            f"IP address {address} is not a valid IP for any of the subnets on the specified network.",
            kind="InvalidIpForNetwork",
        )

    def subnet_of(self, tx: Tx, context: Context, subnet_id: str) -> Any:
        row = store.get(tx, SUBNET, subnet_id)
        if row is None:
            raise NotFound(f"Subnet {subnet_id} could not be found.", kind="SubnetNotFound")
        return row


def no_addresses(network_id: str) -> Conflict:
    return Conflict(f"No more IP addresses available on network {network_id}.", kind="IpAddressGenerationFailure")


def _serves(subnet: Any, owner: str) -> bool:
    return not subnet.service_types or owner in subnet.service_types


def _check_services(values: dict[str, Any]) -> None:
    """Raises BadRequest for what no port's device owner is."""
    for kind in values.get("service_types", ()):
        if not kind.startswith(DEVICE_OWNERS):
            raise BadRequest(
                f"Subnet service type {kind} does not correspond to a valid device owner.",
                kind="InvalidSubnetServiceType",
            )


def _check_modes(values: dict[str, Any], prefix: addresses.Prefix) -> None:
    """Raises BadRequest for IPv6 modes that do not fit together."""
    advertised, addressed = values.get("ipv6_ra_mode"), values.get("ipv6_address_mode")
    problem = None
    if not (advertised or addressed):
        return
    if prefix.version == 4:
        problem = "ipv6_ra_mode and ipv6_address_mode are not valid when ip_version is 4"
    elif not values.get("enable_dhcp", True):
        problem = "ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False"
    elif advertised and addressed and advertised != addressed:
        problem = f"ipv6_ra_mode set to '{advertised}' with ipv6_address_mode set to '{addressed}' is not valid"
    elif {advertised, addressed} & set(addresses.AUTOMATIC) and prefix.prefixlen != 64:
        problem = (
            f"Invalid CIDR {prefix} for IPv6 address mode. OpenStack uses the EUI-64 address format, which "
            "requires the prefix to be /64"
        )
    if problem:
        raise BadRequest(f"Invalid input for operation: {problem}.", kind="InvalidInput")


def _lists(values: dict[str, Any], into: dict[str, Any] | None = None) -> None:
    """Checks name servers and host routes, and writes them as they are kept."""
    into = values if into is None else into
    if "dns_nameservers" in values:
        servers = [str(addresses.parse(text, "dns_nameservers")) for text in values["dns_nameservers"] or ()]
        if len(set(servers)) != len(servers):
            raise BadRequest("Invalid input for dns_nameservers. Reason: Duplicate nameserver.", kind="HTTPBadRequest")
        into["dns_nameservers"] = servers
    if "host_routes" in values:
        into["host_routes"] = check_routes(values["host_routes"] or (), "host_routes", values["ip_version"])


def check_routes(routes: Sequence[wire.HostRoute], field: str, version: int | None = None) -> list[dict[str, str]]:
    """In canonical writing, as they are kept. Raises BadRequest."""
    found = []
    for route in routes:
        destination = addresses.parse_prefix(route.destination, field)
        nexthop = addresses.parse(route.nexthop, field)
        if destination.version != nexthop.version or version not in (None, nexthop.version):
            raise BadRequest(
                f"Invalid input for {field}. Reason: the route to {destination} by {nexthop} mixes IP versions.",
                kind="HTTPBadRequest",
            )
        route_kept = {"destination": str(destination), "nexthop": str(nexthop)}
        if route_kept in found:
            raise BadRequest(
                f"Invalid input for {field}. Reason: Duplicate route to {destination}.", kind="HTTPBadRequest"
            )
        found.append(route_kept)
    return found
