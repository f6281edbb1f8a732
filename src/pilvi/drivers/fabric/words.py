"""The words that fabric drivers and their callers share: the logical network, and what goes wrong with it."""

from __future__ import annotations

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
    address_scope: str | None = None  # within one, no address is there twice


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
    vlan: int | None = None  # its id on the physical network; None: untagged there
    tunnel_key: int | None = None  # its id between hosts (Geneve's VNI); None: the fabric chooses
    vlan_transparent: bool = False  # guests' own VLAN tags pass
    dns_domain: str = ""  # of its ports' host names; empty: the fabric's


class FixedIp(msgspec.Struct, frozen=True):
    subnet_id: str
    ip_address: str


class Shaping(msgspec.Struct, frozen=True):
    """What becomes of packets in one direction: a limit, a mark or both."""

    direction: str  # ingress | egress, as the port's owner sees it
    max_kbps: int | None = None  # what goes beyond is dropped
    max_burst_kbits: int | None = None  # that may pass at once; None: the switch's choice
    dscp: int | None = None  # the mark that packets get (RFC 2474)


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
    dhcp_options: tuple[tuple[int, str, str], ...] = ()  # (IP version, Neutron's name, value), over its subnet's
    trunk: tuple[str, int] | None = None  # port id and VLAN: it is reached tagged, over that port's device
    shaping: tuple[Shaping, ...] = ()  # at most one for each direction


class RouterPort(msgspec.Struct, frozen=True):
    """A router's leg in a tenant network."""

    id: str
    network_id: str
    mac: str
    fixed_ips: tuple[FixedIp, ...]
    shaping: tuple[Shaping, ...] = ()


class Gateway(msgspec.Struct, frozen=True):
    """A router's leg in the external network."""

    port_id: str
    network_id: str
    mac: str
    fixed_ips: tuple[FixedIp, ...]
    enable_snat: bool = True
    shaping: tuple[Shaping, ...] = ()


class Route(msgspec.Struct, frozen=True):
    destination: str
    nexthop: str


class FloatingIp(msgspec.Struct, frozen=True):
    """An address of the external network that stands for one fixed address behind the router."""

    id: str
    floating_ip: str
    fixed_ip: str
    port_id: str
    shaping: tuple[Shaping, ...] = ()  # goes before its gateway's


class PortForwarding(msgspec.Struct, frozen=True):
    """One port of an address of the external network that stands for a port of a fixed address behind the router."""

    floating_ip: str
    protocol: str  # tcp | udp
    external_port: int
    fixed_ip: str
    internal_port: int


class Router(msgspec.Struct, frozen=True):
    id: str
    name: str
    ports: tuple[RouterPort, ...] = ()
    gateway: Gateway | None = None
    routes: tuple[Route, ...] = ()
    floating_ips: tuple[FloatingIp, ...] = ()
    admin_state_up: bool = True
    port_forwardings: tuple[PortForwarding, ...] = ()


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
    remote_address_group_id: str | None = None


class SecurityGroup(msgspec.Struct, frozen=True):
    id: str
    rules: tuple[Rule, ...] = ()
    stateful: bool = True  # else answers are let through by rules alone, and nothing tracks connections


class AddressGroup(msgspec.Struct, frozen=True):
    """What security group rules name together, of both IP versions."""

    id: str
    addresses: tuple[str, ...] = ()  # CIDRs


class Topology(msgspec.Struct, frozen=True):
    """The whole logical network that ought to be."""

    networks: tuple[Network, ...] = ()
    ports: tuple[Port, ...] = ()
    routers: tuple[Router, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    address_groups: tuple[AddressGroup, ...] = ()


class Scope(msgspec.Struct, frozen=True):
    """Which objects of a topology are to be made true; what else is in it is there to be referred to.

    One that is in the scope and not in the topology is to go. A network in scope comes with all its ports in
    scope, a group in scope with all its ports in the topology, `names` (networks) with all named ones."""

    networks: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()  # networks whose ports' host names are to be made true
    ports: frozenset[str] = frozenset()
    routers: frozenset[str] = frozenset()
    security_groups: frozenset[str] = frozenset()
    address_groups: frozenset[str] = frozenset()


class HostState(msgspec.Struct, frozen=True):
    """A host that carries the logical network, as its controller has told."""

    name: str  # as the fabric knows it
    hostname: str
    gateway: bool = True  # may carry routers' gateways
    silent_seconds: float | None = 0.0  # since it was heard last; None: never
    bridge_mappings: dict[str, str] = {}  # physical networks and their bridges


class Counters(msgspec.Struct, frozen=True):
    """What went through a guest's network card, as the guest sees it: what it received came in."""

    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0
