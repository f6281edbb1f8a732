"""Who has which address in a topology: what guests and routers learn by asking on the wire."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from pilvi.drivers.fabric.base import Gateway, Network, Port, Router, RouterPort, Subnet, Topology

METADATA = {4: "169.254.169.254", 6: "fe80::a9fe:a9fe"}


class Holder(NamedTuple):
    kind: str  # port | router | floatingip | metadata
    id: str
    mac: str


class Neighbours:
    def __init__(self, topology: Topology) -> None:
        self.networks: dict[str, Network] = {network.id: network for network in topology.networks}
        self.subnets: dict[str, Subnet] = {one.id: one for network in topology.networks for one in network.subnets}
        self.ports: dict[str, Port] = {port.id: port for port in topology.ports}
        self.routers: dict[str, Router] = {router.id: router for router in topology.routers}
        self.leading = {  # floating addresses that lead somewhere, and whether they do by their ports
            **{one.floating_ip: True for router in topology.routers for one in router.port_forwardings},
            **{one.floating_ip: False for router in topology.routers for one in router.floating_ips},
        }
        self.legs: dict[str, tuple[Router, RouterPort | Gateway]] = {  # by port id
            leg.port_id if isinstance(leg, Gateway) else leg.id: (router, leg)
            for router in topology.routers
            for leg in (*router.ports, *filter(None, (router.gateway,)))
        }

    def holder(self, network_id: str, address: str) -> Holder | None:
        """Who answers for the address on the network; None where nobody known does."""
        wanted = ipaddress.ip_address(address)
        return next((who for known, who in self._held(network_id) if wanted in known), None)

    def _held(self, network_id: str) -> Iterator[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, Holder]]:
        network = self.networks[network_id]
        for router, leg in self.legs.values():
            if leg.network_id == network_id:
                yield from ((_one(fixed.ip_address), Holder("router", router.id, leg.mac)) for fixed in leg.fixed_ips)
                if leg is router.gateway:
                    yield from ((_one(one.floating_ip), Holder("floatingip", one.id, leg.mac))
                                for one in router.floating_ips)  # fmt: skip
                    yield from ((_one(one.floating_ip), Holder("router", router.id, leg.mac))
                                for one in router.port_forwardings)  # fmt: skip
        if network.metadata_port_id is not None:
            metadata = Holder("metadata", network.metadata_port_id, network.metadata_mac or "")
            addresses = [METADATA[6], *(one.metadata_ip for one in network.subnets if one.metadata_ip)]
            yield from ((_one(address), metadata) for address in addresses)
        for port in self.ports.values():
            if port.network_id == network_id:
                who = Holder("port", port.id, port.mac)
                yield from ((_one(fixed.ip_address), who) for fixed in port.fixed_ips)
                yield from ((_one(address), Holder("port", port.id, mac or port.mac))
                            for mac, address in port.allowed_address_pairs)  # fmt: skip

    def strangers(self, network_id: str) -> bool:
        """Whether there may be addresses on the network that nobody here knows."""
        unsecured = (port for port in self.ports.values() if not port.port_security)
        return self.networks[network_id].physical_network is not None or any(
            port.network_id == network_id for port in unsecured
        )

    def source(self, port: Port, version: int) -> str | None:
        """The address with which a guest speaks."""
        return next((fixed.ip_address for fixed in port.fixed_ips
                     if self.subnets[fixed.subnet_id].ip_version == version), None)  # fmt: skip

    def next_hop(self, port: Port, address: str) -> str | None:
        """Whom a guest that took what DHCP and advertisements told it sends to; None where it has no route."""
        wanted = ipaddress.ip_address(address)
        if wanted.is_link_local and wanted.version == 6:
            return address
        best: tuple[int, str] | None = None
        for subnet in (self.subnets[fixed.subnet_id] for fixed in port.fixed_ips):
            if subnet.ip_version == wanted.version:
                for destination, hop in _routes(subnet, address):
                    reach = ipaddress.ip_network(destination)
                    if wanted in reach and (best is None or reach.prefixlen > best[0]):
                        best = reach.prefixlen, hop
        return best and best[1]

    def translated(self, router: Router, source: str) -> str:
        """The source address with which a packet leaves through the router's gateway."""
        floating = next((one.floating_ip for one in router.floating_ips if one.fixed_ip == source), None)
        if floating or router.gateway is None or not router.gateway.enable_snat:
            return floating or source
        inside = any(
            ipaddress.ip_address(source) in ipaddress.ip_network(self.subnets[fixed.subnet_id].cidr)
            for leg in router.ports for fixed in leg.fixed_ips
        )  # fmt: skip
        outward = [one.ip_address for one in router.gateway.fixed_ips
                   if self.subnets[one.subnet_id].ip_version == 4]  # fmt: skip
        return outward[0] if inside and outward and ":" not in source else source


def _one(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(address, strict=False)


def _routes(subnet: Subnet, address: str) -> Iterator[tuple[str, str]]:
    yield subnet.cidr, address
    yield from ((route.destination, route.nexthop) for route in subnet.host_routes)
    if subnet.ip_version == 4 and subnet.metadata_ip is not None:
        yield f"{METADATA[4]}/32", subnet.metadata_ip
    if subnet.gateway_ip is not None:
        yield "::/0" if subnet.ip_version == 6 else "0.0.0.0/0", subnet.gateway_ip
