"""What Compute and the metadata service ask of networks; verbs that take `tx` are part of the caller's transaction."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Fault, Forbidden, NotFound
from pilvi.network import addresses, store, store_addresses, store_trunks, wire
from pilvi.network.autoallocation import AutoAllocationVerbs
from pilvi.network.floatingips import FloatingIpVerbs
from pilvi.network.nouns import NETWORK, PORT, SUBNET
from pilvi.policy import Context

OWNER = store.COMPUTE


class NicRequest(msgspec.Struct, frozen=True):
    """One network card of a server to be: on a network, or on a port that is there."""

    network_id: str | None = None
    port_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


class ServerPort(msgspec.Struct, frozen=True, gc=False):
    """A server's network card."""

    id: str
    network_id: str
    network_name: str
    mac: str
    mtu: int
    fixed_ips: list[tuple[str, str, int]]  # subnet, address, IP version
    floating_ips: list[tuple[str, str]]  # floating, fixed
    security_groups: list[str]  # names
    status: str
    tag: str | None
    server_id: str


class ServerVerbs(FloatingIpVerbs, AutoAllocationVerbs):
    def allocate(
        self,
        tx: Tx,
        context: Context,
        server_id: str,
        hostname: str,
        requests: Sequence[NicRequest] | str | None,
        security_groups: Sequence[str] = (),
    ) -> list[str]:
        """The ids of the server's ports, in the order of the requests.

        `requests`: "none" for no network card; None or "auto" for one on the project's only network, which
        "auto" makes where there is none. Raises the
        faults that Compute answers: BadRequest for what is not there, Conflict for what is taken, Forbidden for
        the quota and for external networks."""
        nics = self._nics(tx, context, requests)
        return self._add_cards(tx, context, server_id, hostname, nics, security_groups) if nics else []

    def _add_cards(
        self,
        tx: Tx,
        context: Context,
        server_id: str,
        hostname: str,
        nics: Sequence[NicRequest],
        security_groups: Sequence[str],
        first: int = 0,
    ) -> list[str]:
        try:
            groups = self._groups_named(tx, context, security_groups)
        except NotFound as fault:
            raise BadRequest(fault.message) from None
        new = [nic for nic in nics if nic.port_id is None]
        if new:
            self._server_quota(tx, context, len(new))
        store.lock_network(tx, *(nic.network_id for nic in new))
        found = []
        for number, nic in enumerate(nics, first):
            values = {"device_id": server_id, "device_owner": OWNER, "nic": number, "nic_tag": nic.tag}
            if nic.port_id is not None:
                found.append(self._take_port(tx, context, nic, {**values, "dns_name": hostname}))
            else:
                found.append(self._make_port(tx, context, nic, {**values, "dns_name": hostname}, groups))
        self._changed(tx, PORT, *found)
        return found

    def _nics(self, tx: Tx, context: Context, requests: Sequence[NicRequest] | str | None) -> list[NicRequest]:
        if requests == "none":
            return []
        if requests is not None and requests != "auto":
            return list(requests)
        usable = store.usable_networks(tx, context.project_id)
        if len(usable) > 1:
            raise Conflict("Multiple possible networks found, use a Network ID to be more specific.")
        if not usable and requests == "auto":
            return [NicRequest(self._auto_allocated(tx, context))]
        return [NicRequest(row.id) for row in usable if store.subnets_of(tx, row.id)]

    def _auto_allocated(self, tx: Tx, context: Context) -> str:
        try:
            return self._auto_network(tx, context, context.project_id)
        except Conflict as fault:
            raise BadRequest(
                f"Unable to automatically allocate a network for project {context.project_id}: {fault.message}"
            ) from None

    def _server_quota(self, tx: Tx, context: Context, wanted: int) -> None:
        try:
            self._take_quota(tx, PORT, context.project_id, wanted)
        except Conflict as fault:
            raise Forbidden(f"Maximum number of ports exceeded: {fault.message}") from None

    def _take_port(self, tx: Tx, context: Context, nic: NicRequest, values: dict[str, Any]) -> str:
        port = store.find(tx, PORT, context, nic.port_id)
        if port is None or (port.project_id != context.project_id and not context.is_admin):
            raise NotFound(f"Port id {nic.port_id} could not be found.")
        if not store_addresses.of_ports(tx, [port.id]) and store.subnets_of(tx, port.network_id):
            raise BadRequest(f"Port {port.id} requires a FixedIP in order to be used.")
        if port.dns_name:
            values["dns_name"] = port.dns_name
        taken = tx.execute(
            PORT.table.update()
            .where(PORT.table.c.id == port.id, PORT.table.c.device_id == "", PORT.table.c.device_owner == "")
            .values(revision_number=PORT.table.c.revision_number + 1, updated_at=tx.now, **values)
        ).rowcount
        if not taken:
            raise Conflict(f"Port {port.id} is still in use by {port.device_id or port.device_owner}.")
        return port.id

    def _make_port(self, tx: Tx, context: Context, nic: NicRequest, values: dict[str, Any], groups: list[str]) -> str:
        network = store.find(tx, NETWORK, context, nic.network_id)
        if network is None:
            raise BadRequest(f"Network {nic.network_id} could not be found.")
        if network.external and not context.is_admin and not self._shares(tx, NETWORK, context, network.id):
            raise Forbidden(f"It is not allowed to create an interface on external network {network.id}")
        if not store.subnets_of(tx, network.id):
            raise BadRequest(f"Network {network.id} requires a subnet in order to boot instances on.")
        fixed = None if nic.fixed_ip is None else [wire.FixedIp(ip_address=nic.fixed_ip)]
        secure = network.port_security_enabled
        try:
            return self._insert_port(
                tx,
                network,
                {
                    **values,
                    "project_id": context.project_id,
                    "made_for_server": True,
                    "port_security_enabled": secure,
                },
                fixed,
                groups if secure else [],
            )
        except Fault as fault:
            if fault.kind == "IpAddressAlreadyAllocated":
                raise BadRequest(
                    f"Fixed IP address {nic.fixed_ip} is already in use on network {network.id}.",
                    kind="FixedIpAlreadyInUse",
                ) from None
            if fault.kind == "IpAddressGenerationFailure":
                raise BadRequest(fault.message) from None
            raise

    def bind(self, tx: Tx, server_id: str, host: str) -> None:
        store.bind(tx, server_id, OWNER, host)
        store_trunks.follow(tx, store_trunks.cards(server_id, OWNER), host)

    def release(self, tx: Tx, server_id: str) -> None:
        """Deletes the ports that were made for the server, and gives the user's own back."""
        self._release(tx, store.ports_of_devices(tx, [server_id], OWNER))

    def _release(self, tx: Tx, ports: Sequence[Any]) -> None:
        if not ports:
            return
        trunks = store_trunks.trunks_of(tx, [port.id for port in ports])  # whose parents stay
        store.delete_ports(tx, [port.id for port in ports if port.made_for_server and port.id not in trunks])
        store_trunks.follow(tx, list(trunks), "")
        for port in ports:
            if not port.made_for_server or port.id in trunks:
                store.update(
                    tx,
                    PORT,
                    port.id,
                    device_id="",
                    device_owner="",
                    host="",
                    nic=0,
                    nic_tag=None,
                    made_for_server=False,
                    dns_name="",
                    status="DOWN",
                )
        self._changed(tx, PORT, *(port.id for port in ports))

    def cards_of(self, tx: Tx, server_id: str) -> list[tuple[str, str, int]]:
        """(port, MAC address, MTU in bytes) of the server's network cards: what its guest needs of them."""
        return store.cards_of(tx, server_id, OWNER)

    def ports_of(self, tx: Tx, server_ids: Sequence[str]) -> dict[str, list[ServerPort]]:
        """Server -> its network cards in their order; a constant number of queries."""
        cards = store.shown_cards_of(tx, server_ids, OWNER)
        if not cards:
            return {}
        ids = [card[0] for card in cards]
        fixed, groups = store_addresses.of_ports(tx, ids), store.security_group_names_of(tx, ids)
        floating: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for port_id, *pair in store.floating_ips_of(tx, ids):
            floating[port_id].append(tuple(pair))
        found: dict[str, list[ServerPort]] = defaultdict(list)
        for port_id, server_id, network_id, network_name, mac, mtu, status, tag in cards:
            found[server_id].append(
                ServerPort(
                    port_id,
                    network_id,
                    network_name,
                    mac,
                    mtu,
                    [(subnet_id, address, 6 if ":" in address else 4) for subnet_id, address in fixed.get(port_id, ())],
                    floating.get(port_id, []),
                    groups.get(port_id, []),
                    status,
                    tag,
                    server_id,
                )
            )
        return found

    def network_data(self, tx: Tx, server_id: str) -> dict[str, Any]:
        """The server's network cards as `network_data.json` of OpenStack's metadata describes them."""
        ports = self.ports_of(tx, [server_id]).get(server_id, [])
        subnets = {
            row.id: row for row in store.by_ids(tx, SUBNET, {one[0] for port in ports for one in port.fixed_ips})
        }
        links, networks, services = [], [], []
        for port in ports:
            link = f"tap{port.id[:11]}"
            links.append(
                {
                    "id": link,
                    "vif_id": port.id,
                    "type": "ovs",
                    "mtu": port.mtu,
                    "ethernet_mac_address": port.mac,
                }
            )
            for subnet_id, address, _ in port.fixed_ips:
                entry = _guest_network(subnets[subnet_id], address)
                networks.append({"id": f"network{len(networks)}", "link": link, "network_id": port.network_id, **entry})
                services += [{"type": "dns", "address": server} for server in subnets[subnet_id].dns_nameservers]
        unique = list({service["address"]: service for service in services}.values())
        return {"links": links, "networks": networks, "services": unique}

    def server_at(self, tx: Tx, network_id: str, address: str) -> str | None:
        """The id of the server that has this address on this network; a link-local one is known by its MAC address."""
        try:
            wanted = ipaddress.ip_address(address)
        except ValueError:
            return None
        if wanted.version == 6 and wanted.is_link_local:
            mac = addresses.mac_of(wanted)
            return mac and store_addresses.server_with(tx, network_id, mac)
        return store_addresses.server_at(tx, network_id, str(wanted))

    def devices_of(self, tx: Tx, port_ids: Collection[str]) -> dict[str, str]:
        """Port -> what has it: a server, a router. Ports that are not there, or that nothing has, are not named."""
        return {row.id: row.device_id for row in store.by_ids(tx, PORT, port_ids) if row.device_id}

    def metadata_networks(self, tx: Tx) -> list[tuple[str, str, str, list[str]]]:
        """(network, its metadata port, MAC address, addresses with prefix) of each network that has one."""
        found: dict[str, tuple[str, str, str, list[str]]] = {}
        for network_id, port_id, mac, address, cidr in store_addresses.metadata_ports(tx):
            entry = found.setdefault(network_id, (network_id, port_id, mac, []))
            if address is not None:
                entry[3].append(f"{address}/{cidr.partition('/')[2]}")
        return list(found.values())


def _guest_network(subnet: Any, address: str) -> dict[str, Any]:
    """How a guest comes by this address, or what it is where the guest has to be told."""
    if addresses.is_automatic(subnet):
        return {"type": f"ipv6_{subnet.ipv6_address_mode}"}
    if subnet.enable_dhcp:
        return {"type": "ipv6_dhcpv6-stateful" if subnet.ip_version == 6 else "ipv4_dhcp"}
    prefix = ipaddress.ip_network(subnet.cidr)
    hops = [(route["destination"], route["nexthop"]) for route in subnet.host_routes]
    if subnet.gateway_ip is not None:
        hops.insert(0, ("0.0.0.0/0" if subnet.ip_version == 4 else "::/0", subnet.gateway_ip))
    routes = [
        {"network": str(network.network_address), "netmask": str(network.netmask), "gateway": nexthop}
        for network, nexthop in ((ipaddress.ip_network(to), by) for to, by in hops)
    ]
    return {
        "type": f"ipv{subnet.ip_version}",
        "ip_address": address,
        "netmask": str(prefix.netmask),
        "routes": routes,
        "services": [{"type": "dns", "address": server} for server in subnet.dns_nameservers],
    }
