"""What Pilvi asks of the network: the interfaces of the fabric drivers, and the words they share.

Two halves. `Northbound` belongs to the controller: it makes the logical network (switches, routers, NAT,
access rules, DHCP) equal to a `Topology`. `HostFabric` belongs to a node agent: it makes the devices that
guests' network cards use, and joins them to the logical network. Contract: `tests/contracts/test_fabric.py`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class FabricError(Exception):
    """A verb failed; the message says for which object, what was tried and what was answered."""


class HostRoute(msgspec.Struct, frozen=True):
    destination: str  # CIDR
    nexthop: str


class Subnet(msgspec.Struct, frozen=True):
    id: str
    cidr: str
    ip_version: int = 4
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[HostRoute, ...] = ()
    metadata_ip: str | None = None  # address of the network's metadata port in this subnet
    ipv6_ra_mode: str | None = (
        "slaac"  # slaac | dhcpv6-stateful | dhcpv6-stateless; None: no router advertisements
    )


class Network(msgspec.Struct, frozen=True):
    id: str
    name: str
    mtu: int
    subnets: tuple[Subnet, ...] = ()
    physical_network: str | None = (
        None  # set: reaches the world through this bridge mapping (external network)
    )
    metadata_port_id: str | None = None  # port id of the metadata localport
    metadata_mac: str | None = None
    admin_state_up: bool = True


class FixedIp(msgspec.Struct, frozen=True):
    subnet_id: str
    ip_address: str


class Port(msgspec.Struct, frozen=True):
    """A port that a guest (or anything else that is not a router) uses."""

    id: str
    network_id: str
    mac: str
    fixed_ips: tuple[FixedIp, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    port_security: bool = True
    allowed_address_pairs: tuple[tuple[str, str], ...] = ()  # (mac, address or CIDR)
    admin_state_up: bool = True
    hostname: str = ""


class RouterPort(msgspec.Struct, frozen=True):
    """A router's leg in a tenant network."""

    id: str
    network_id: str
    mac: str
    fixed_ips: tuple[FixedIp, ...]


class Gateway(msgspec.Struct, frozen=True):
    """A router's leg in the external network."""

    port_id: str
    network_id: str
    mac: str
    fixed_ips: tuple[FixedIp, ...]
    enable_snat: bool = True


class Route(msgspec.Struct, frozen=True):
    destination: str
    nexthop: str


class FloatingIp(msgspec.Struct, frozen=True):
    """An address of the external network that stands for one fixed address behind the router."""

    id: str
    floating_ip: str
    fixed_ip: str
    port_id: str


class Router(msgspec.Struct, frozen=True):
    id: str
    name: str
    ports: tuple[RouterPort, ...] = ()
    gateway: Gateway | None = None
    routes: tuple[Route, ...] = ()
    floating_ips: tuple[FloatingIp, ...] = ()
    admin_state_up: bool = True


class Rule(msgspec.Struct, frozen=True):
    """One security group rule: what it matches is allowed, and so are the answers."""

    id: str
    direction: str  # ingress | egress
    ethertype: str  # IPv4 | IPv6
    protocol: str | None = None  # name or number; None is any
    port_range_min: int | None = None  # the ICMP type where the protocol is icmp
    port_range_max: int | None = None  # the ICMP code where the protocol is icmp
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None


class SecurityGroup(msgspec.Struct, frozen=True):
    id: str
    rules: tuple[Rule, ...] = ()


class Topology(msgspec.Struct, frozen=True):
    """The whole logical network that ought to be."""

    networks: tuple[Network, ...] = ()
    ports: tuple[Port, ...] = ()
    routers: tuple[Router, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()


class Northbound(Protocol):
    """The controller's half."""

    def sync(self, topology: Topology) -> int:
        """Makes the logical network equal to `topology` in one transaction; returns how many rows it changed.

        Rows that are not Pilvi's are left alone. Raises FabricError; then nothing has changed."""

    def ports_up(self) -> frozenset[str]:
        """Ids of the ports that some host has joined to the network."""

    def close(self) -> None: ...


class HostFabric(Protocol):
    """A node agent's half."""

    def plug(self, port_id: str, mac: str, mtu: int, owner_uid: int) -> str:
        """The tap device for this port, joined to the logical network; made if it is not there.

        Only `owner_uid` (a numeric user id) may open it. Raises FabricError."""

    def unplug(self, port_id: str) -> None:
        """Takes the port's device away; one that is not there is fine. Raises FabricError."""

    def plugged(self) -> dict[str, str]:
        """Port ids and their devices on this host; half-made ones too, so that what is left over is found."""

    def namespace(self) -> str | None:
        """The network namespace that the devices are in; None for the host's own."""

    def ensure_metadata(
        self, network_id: str, port_id: str, mac: str, addresses: tuple[str, ...]
    ) -> str | None:
        """A namespace with the network's metadata port: `addresses` ("10.0.0.2/24") and 169.254.169.254.

        Returns the namespace's name, where Pilvi then listens; None where the fabric carries no packets."""

    def absent_metadata(self, network_id: str) -> None: ...

    def metadata_networks(self) -> dict[str, str]:
        """Network ids and their metadata namespaces on this host."""

    def close(self) -> None: ...
