"""A `Topology` as rows of OVN's northbound database (ovn-nb(5)); pure, so that it can be looked at.

A row is known by its table and its key; the key is kept in the row's `external_ids:pilvi`. It belongs to one
object of the topology ("port <id>"), which is kept in `external_ids:pilvi:of`; see `owners`.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pilvi.drivers.fabric import consistency, matches
from pilvi.drivers.fabric.base import (
    FixedIp,
    Gateway,
    Network,
    Port,
    Router,
    RouterPort,
    Scope,
    Shaping,
    Subnet,
    Topology,
)
from pilvi.supervise.namespace import lasting_mac

OWNER = "pilvi:of"
BORDER_PRIORITY = 100
LEASE_SECONDS = 43200
METADATA_ADDRESS = "169.254.169.254/32"
ANY = {4: "0.0.0.0/0", 6: "::/0"}
RA_MODES = {"slaac": "slaac", "dhcpv6-stateful": "dhcpv6_stateful", "dhcpv6-stateless": "dhcpv6_stateless"}

DHCP_NAMES = {"server-ip-address": "tftp_server_address"}  # where OVN's name is not Neutron's with underscores
DHCP_TEXTS = frozenset({"bootfile-name", "domain-name", "domain-search", "path-prefix", "tftp-server", "wpad"})
DHCP_LISTS = frozenset({"dns-server", "ntp-server", "log-server"})

# Neighbours are learned when they are needed, not when they ask, and forgotten in time: they may change.
ROUTER_OPTIONS = {
    "always_learn_from_arp_request": "false",
    "dynamic_neigh_routers": "true",
    "mac_binding_age_threshold": "600",
}

# The drop group catches all IP; what a guest needs before it has an address gets through beneath it.
BASIC_RULES = {
    "dhcpv4": "ip4 && udp.src == 68 && udp.dst == 67",
    "dhcpv6": "ip6 && udp.src == 546 && udp.dst == 547",
}
# Above all groups: a guest with port security is no DHCP server, whatever its rules let out.
GUARDS = {
    "dhcpv4-server": "ip4 && udp.src == 67 && udp.dst == 68",
    "dhcpv6-server": "ip6 && udp.src == 547 && udp.dst == 546",
}


class Ref(NamedTuple):
    """A row, known by its table and key; as a value of a column: a reference to that row."""

    table: str
    key: str


Rows = dict[Ref, dict[str, object]]


def rows_of(topology: Topology, gateway_chassis: Sequence[str], dns_domain: str) -> Rows:
    """All rows that ought to be. `gateway_chassis` carry the routers' gateways, the first one by preference.

    Raises FabricError where the topology contradicts itself."""
    consistency.check(topology)
    return _Compiler(topology, gateway_chassis, dns_domain).compile()


def owners(scope: Scope) -> frozenset[str]:
    """What the rows of these objects have as their owner."""
    kinds = {
        "network": scope.networks,
        "names": scope.names,
        "port": scope.ports,
        "router": scope.routers,
        "group": scope.security_groups,
        "addresses": scope.address_groups,
    }
    return frozenset(f"{kind} {one}" for kind, ids in kinds.items() for one in ids)


class _Compiler:
    def __init__(self, topology: Topology, gateway_chassis: Sequence[str], dns_domain: str) -> None:
        self.topology = topology
        self.gateway_chassis = gateway_chassis
        self.dns_domain = dns_domain
        self.networks = {network.id: network for network in topology.networks}
        self.subnets = {subnet.id: subnet for network in topology.networks for subnet in network.subnets}
        self.ports_of: dict[str, list[Ref]] = defaultdict(list)  # by network id
        self.names_of: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self.forwardings_of: dict[str, dict[Ref, None]] = defaultdict(dict)
        self.shaping_of: dict[str, list[Ref]] = defaultdict(list)  # by network id
        self.rows: Rows = {}
        self.owner = ""

    def compile(self) -> Rows:
        for port in self.topology.ports:
            self.owner = f"port {port.id}"
            self._guest_port(port)
        for router in self.topology.routers:
            self.owner = f"router {router.id}"
            self._router(router)
        for network in self.topology.networks:
            self.owner = f"network {network.id}"
            self._network(network)
        self._security_groups()
        return self.rows

    def _put(self, table: str, key: str, **columns: object) -> Ref:
        ref = Ref(table, key)
        columns["external_ids"] = {**columns.get("external_ids", {}), OWNER: self.owner}
        self.rows[ref] = columns
        return ref

    # Networks and subnets

    def _network(self, network: Network) -> None:
        if network.metadata_port_id is not None:
            self._metadata_port(network)
        if network.physical_network is not None:
            self._switch_port(
                network.id,
                f"localnet-{network.id}",
                type="localnet",
                addresses=["unknown"],
                options={"network_name": network.physical_network},
                tag=_maybe(network.vlan),
            )
        for subnet in network.subnets:
            if subnet.enable_dhcp and network.admin_state_up:
                self._dhcp(network, subnet)
        passes = {"vlan-passthru": str(network.vlan_transparent).lower()}
        key = {"requested-tnl-key": str(network.tunnel_key)} if network.tunnel_key is not None else {}
        self._put(
            "Logical_Switch",
            network.id,
            name=network.id,
            external_ids={"pilvi:name": network.name},
            other_config={**passes, **key},
            ports=self.ports_of[network.id],
            qos_rules=self.shaping_of[network.id],
            dns_records=[Ref("DNS", network.id)] if self.names_of[network.id] else [],
            load_balancer=list(self.forwardings_of[network.id]),
        )
        self.owner = f"names {network.id}"
        self._dns(network)

    def _metadata_port(self, network: Network) -> None:
        addresses = [subnet.metadata_ip for subnet in network.subnets if subnet.metadata_ip]
        self._switch_port(
            network.id,
            network.metadata_port_id,
            type="localport",
            addresses=[" ".join([network.metadata_mac or "", *addresses]).strip()],
            enabled=[network.admin_state_up],
        )

    def _dhcp(self, network: Network, subnet: Subnet) -> None:
        options = self._dhcp_options(network, subnet)
        if options is not None:
            self._put("DHCP_Options", subnet.id, cidr=subnet.cidr, options=options)

    def _dhcp_options(self, network: Network, subnet: Subnet) -> dict[str, str] | None:
        if subnet.ip_version == 6:
            return _dhcpv6(subnet)
        return _dhcpv4(network, subnet, network.dns_domain or self.dns_domain)

    def _dns(self, network: Network) -> None:
        names = self.names_of[network.id]
        if not names:
            return
        records: dict[str, str] = {}
        for name, addresses in names.items():
            full = f"{name}.{network.dns_domain or self.dns_domain}".lower()
            records[name] = records[full] = " ".join(addresses)
            records.update((ipaddress.ip_address(one).reverse_pointer, full) for one in addresses)
        self._put("DNS", network.id, records=records)

    def _shape(
        self, network_id: str, port_id: str, wanted: Sequence[Shaping], address: str | None = None
    ) -> None:
        """`address`: of a router's gateway, only what has this floating address."""
        for one in wanted:
            limit = {"rate": one.max_kbps, "burst": one.max_burst_kbits}
            ref = self._put(
                "QoS",
                " ".join((port_id, one.direction, *([address] if address else ()))),
                direction="to-lport" if one.direction == "ingress" else "from-lport",
                priority=matches.PORT_PRIORITY if address is None else matches.ADDRESS_PRIORITY,
                match=matches.shaping_match(port_id, one.direction, address),
                action={} if one.dscp is None else {"dscp": one.dscp},
                bandwidth={name: value for name, value in limit.items() if one.max_kbps and value},
            )
            self.shaping_of[network_id].append(ref)

    # Ports

    def _switch_port(self, network_id: str, port_id: str, **columns: object) -> Ref:
        everything = {
            "name": port_id, "type": "", "addresses": [], "port_security": [], "options": {},
            "enabled": [], "dhcpv4_options": [], "dhcpv6_options": [], "parent_name": [], "tag": [], **columns,
        }  # fmt: skip
        ref = self._put("Logical_Switch_Port", port_id, **everything)
        self.ports_of[network_id].append(ref)
        return ref

    def _guest_port(self, port: Port) -> None:
        network = self.networks[port.network_id]
        own = " ".join([port.mac, *(one.ip_address for one in port.fixed_ips)])
        paired = _paired(port)
        if port.port_security:
            allowed = paired.pop(port.mac, [])
            security = [" ".join([own, *allowed]), *(" ".join([mac, *ips]) for mac, ips in paired.items())]
            addresses = [own, *paired]
        else:
            security, addresses = [], [own, "unknown"]
        if port.hostname:
            known = self.names_of[network.id][port.hostname.lower()]
            known.extend(one.ip_address for one in port.fixed_ips)
        self._switch_port(
            network.id,
            port.id,
            addresses=addresses,
            port_security=security,
            enabled=[port.admin_state_up and network.admin_state_up],
            dhcpv4_options=self._dhcp_row(network, port, 4),
            dhcpv6_options=self._dhcp_row(network, port, 6),
            parent_name=[port.trunk[0]] if port.trunk else [],
            tag=[port.trunk[1]] if port.trunk else [],
        )
        self._shape(network.id, port.id, port.shaping)

    def _dhcp_row(self, network: Network, port: Port, version: int) -> list[Ref]:
        for fixed_ip in port.fixed_ips:
            subnet = self.subnets[fixed_ip.subnet_id]
            if subnet.ip_version == version and subnet.enable_dhcp and network.admin_state_up:
                return self._dhcp_for(network, subnet, port)
        return []

    def _dhcp_for(self, network: Network, subnet: Subnet, port: Port) -> list[Ref]:
        """The subnet's row, or one of the port's own where it has options of its own."""
        options = self._dhcp_options(network, subnet)
        if options is None:
            return []
        own = dict(_own_option(name, value) for version, name, value in port.dhcp_options
                   if version == subnet.ip_version)  # fmt: skip
        if not own:
            return [Ref("DHCP_Options", subnet.id)]
        return [self._put("DHCP_Options", f"{subnet.id} {port.id}", cidr=subnet.cidr, options={**options, **own})]

    # Routers

    def _router(self, router: Router) -> None:
        legs = [self._leg(port, self._advertisements(port), self._leg_options(router, port)) for port in router.ports]
        routes = [self._route(router, route.destination, route.nexthop) for route in router.routes]
        nat: list[Ref] = []
        forwardings = list(self._forwardings(router))
        for port in router.ports:  # guests behind the router find the addresses too
            self.forwardings_of[port.network_id] |= dict.fromkeys(forwardings)
        if router.gateway is not None:
            chassis = list(self._gateway_chassis(router.gateway))
            legs.append(self._leg(router.gateway, {}, self._leg_options(router, router.gateway), chassis))
            routes += self._default_routes(router, router.gateway)
            nat += self._nat(router, router.gateway)
        self._put(
            "Logical_Router",
            router.id,
            name=router.id,
            external_ids={"pilvi:name": router.name},
            enabled=[router.admin_state_up],
            options=ROUTER_OPTIONS,
            ports=legs,
            static_routes=routes,
            nat=nat,
            load_balancer=forwardings,
            policies=list(self._borders(router)),
        )

    def _forwardings(self, router: Router) -> Iterator[Ref]:
        """One row for each protocol of a floating address: a row has one protocol."""
        found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for one in router.port_forwardings:
            entry = f"{one.floating_ip}:{one.external_port}"
            found[one.floating_ip, one.protocol][entry] = f"{one.fixed_ip}:{one.internal_port}"
        for (address, protocol), entries in found.items():
            key = f"{router.id} {address} {protocol}"
            yield self._put("Load_Balancer", key, name=key, protocol=[protocol], vips=entries)

    def _leg(
        self,
        port: RouterPort | Gateway,
        advertisements: dict[str, str],
        options: dict[str, str],
        chassis: Sequence[Ref] = (),
    ) -> Ref:
        outward = isinstance(port, Gateway)
        port_id = port.port_id if isinstance(port, Gateway) else port.id
        name = f"lrp-{port_id}"
        self._switch_port(
            port.network_id,
            port_id,
            type="router",
            addresses=["router"],
            options={"router-port": name, **({"nat-addresses": "router"} if outward else {})},
            enabled=[self.networks[port.network_id].admin_state_up],
        )
        self._shape(port.network_id, port_id, port.shaping)
        return self._put(
            "Logical_Router_Port",
            port_id,
            name=name,
            mac=port.mac,
            networks=[f"{one.ip_address}/{self._prefix(one)}" for one in port.fixed_ips],
            ipv6_ra_configs=advertisements,
            options=options,
            gateway_chassis=list(chassis),
        )

    def _leg_options(self, router: Router, leg: RouterPort | Gateway) -> dict[str, str]:
        """With a gateway, legs in physical networks are where that is, on one host alone; where a packet is too big for
        the network that it is to go into, its sender is told so."""
        network, options = self.networks[leg.network_id], {}
        if router.gateway not in (None, leg) and network.physical_network is not None:
            options["reside-on-redirect-chassis"] = "true"
        ends = (*router.ports, *filter(None, (router.gateway,)))
        if network.mtu < max(self.networks[end.network_id].mtu for end in ends):
            options["gateway_mtu"] = str(network.mtu)
        return options

    def _prefix(self, fixed_ip: FixedIp) -> str:
        return self.subnets[fixed_ip.subnet_id].cidr.rpartition("/")[2]

    def _advertisements(self, port: RouterPort) -> dict[str, str]:
        for fixed_ip in port.fixed_ips:
            subnet = self.subnets[fixed_ip.subnet_id]
            if subnet.ip_version == 6 and subnet.ipv6_ra_mode is not None:
                return {
                    "address_mode": RA_MODES[subnet.ipv6_ra_mode],
                    "send_periodic": "true",
                    "mtu": str(self.networks[port.network_id].mtu),
                }
        return {}

    def _gateway_chassis(self, gateway: Gateway) -> Iterator[Ref]:
        for rank, chassis in enumerate(self.gateway_chassis):
            name = f"lrp-{gateway.port_id}-{chassis}"
            priority = len(self.gateway_chassis) - rank
            yield self._put("Gateway_Chassis", name, name=name, chassis_name=chassis, priority=priority)

    def _default_routes(self, router: Router, gateway: Gateway) -> Iterator[Ref]:
        chosen = {route.destination for route in router.routes}
        for fixed_ip in gateway.fixed_ips:
            subnet = self.subnets[fixed_ip.subnet_id]
            everywhere = ANY[subnet.ip_version]
            if subnet.gateway_ip is not None and everywhere not in chosen:
                chosen.add(everywhere)
                yield self._route(router, everywhere, subnet.gateway_ip, f"lrp-{gateway.port_id}")

    def _route(self, router: Router, destination: str, nexthop: str, output: str | None = None) -> Ref:
        return self._put(
            "Logical_Router_Static_Route",
            f"{router.id} {destination} {nexthop}",
            ip_prefix=destination,
            nexthop=nexthop,
            output_port=[output] if output else [],
        )

    def _nat(self, router: Router, gateway: Gateway) -> Iterator[Ref]:
        for one in router.floating_ips:
            self._shape(gateway.network_id, gateway.port_id, one.shaping, one.floating_ip)
            yield self._put(
                "NAT", one.id, type="dnat_and_snat", external_ip=one.floating_ip, logical_ip=one.fixed_ip
            )
        outside = [one for one in gateway.fixed_ips if self.subnets[one.subnet_id].ip_version == 4]
        if not (gateway.enable_snat and outside):
            return
        scope = self.subnets[outside[0].subnet_id].address_scope
        for port in router.ports:
            for fixed_ip in port.fixed_ips:
                subnet = self.subnets[fixed_ip.subnet_id]
                if subnet.ip_version == 4 and (scope is None or subnet.address_scope != scope):
                    key, address = f"{router.id} {subnet.cidr}", outside[0].ip_address
                    yield self._put("NAT", key, type="snat", external_ip=address, logical_ip=subnet.cidr)

    def _borders(self, router: Router) -> Iterator[Ref]:
        """What keeps the router's networks apart whose addresses are of different scopes."""
        inside = [(port, self.subnets[one.subnet_id]) for port in router.ports for one in port.fixed_ips]
        for port, here in inside:
            for _, there in inside:
                if here.ip_version == there.ip_version and here.address_scope != there.address_scope:
                    match = f'inport == "lrp-{port.id}" && ip{there.ip_version}.dst == {there.cidr}'
                    yield self._put("Logical_Router_Policy", f"{router.id} {port.id} {there.cidr}",
                                    priority=BORDER_PRIORITY, match=match, action="drop")  # fmt: skip

    # Security groups

    def _security_groups(self) -> None:
        for group in self.topology.address_groups:
            self.owner = f"addresses {group.id}"
            for version in "46":
                inside = [one for one in group.addresses if (":" in one) == (version == "6")]
                name = matches.address_set(group.id, version)
                self._put("Address_Set", name, name=name, addresses=inside)
        members: dict[str, list[Ref]] = defaultdict(list)
        secured = [port for port in self.topology.ports if port.port_security]
        for port in secured:
            for group_id in port.security_group_ids:
                members[group_id].append(Ref("Logical_Switch_Port", port.id))
        for group in self.topology.security_groups:
            self.owner = f"group {group.id}"
            action = "allow-related" if group.stateful else "allow-stateless"
            acls = [
                self._acl(rule.id, rule.direction, matches.rule_match(group.id, rule), action)
                for rule in group.rules
            ]
            name = matches.port_group(group.id)
            self._put("Port_Group", group.id, name=name, ports=members[group.id], acls=acls)
        self.owner = "cloud"
        everyone = [Ref("Logical_Switch_Port", port.id) for port in secured]
        self._put("Port_Group", "drop", name=matches.DROP_GROUP, ports=everyone, acls=list(self._drop_acls()))

    def _drop_acls(self) -> Iterator[Ref]:
        inward, outward = f"outport == @{matches.DROP_GROUP}", f"inport == @{matches.DROP_GROUP}"
        yield self._acl("drop-ingress", "ingress", f"{inward} && ip", "drop")
        yield self._acl("drop-egress", "egress", f"{outward} && ip", "drop")
        for name, match in BASIC_RULES.items():
            yield self._acl(f"allow-{name}", "egress", f"{outward} && {match}", "allow")
        for name, match in GUARDS.items():
            yield self._acl(f"drop-{name}", "egress", f"{outward} && {match}", "drop", priority=matches.GUARD_PRIORITY)

    def _acl(self, key: str, direction: str, match: str, action: str, *, priority: int | None = None) -> Ref:
        usual = matches.DROP_PRIORITY if action == "drop" else matches.ALLOW_PRIORITY
        return self._put(
            "ACL",
            key,
            direction="to-lport" if direction == "ingress" else "from-lport",
            priority=priority or usual,
            match=match,
            action=action,
        )


def _maybe(value: int | None) -> list[int]:
    """A column that may have no value."""
    return [] if value is None else [value]


def _own_option(name: str, value: str) -> tuple[str, str]:
    """Neutron's name and value as OVN's: texts are quoted, lists are in braces."""
    if name in DHCP_TEXTS:
        value = f'"{value}"'
    elif name in DHCP_LISTS:
        value = f"{{{', '.join(part.strip() for part in value.split(','))}}}"
    return DHCP_NAMES.get(name, name.replace("-", "_")), value


def _paired(port: Port) -> dict[str, list[str]]:
    """The allowed address pairs by MAC address."""
    pairs: dict[str, list[str]] = defaultdict(list)
    for mac, address in port.allowed_address_pairs:
        pairs[mac or port.mac].append(address)
    return dict(pairs)


def _server_address(subnet: Subnet) -> str:
    """Whom the DHCP server's messages come from: OVN itself answers, for an address that the subnet has."""
    return subnet.gateway_ip or subnet.metadata_ip or str(ipaddress.ip_network(subnet.cidr)[1])


def _dhcpv4(network: Network, subnet: Subnet, dns_domain: str) -> dict[str, str]:
    server = _server_address(subnet)
    # A subnet without name servers gets the server's address: there OVN answers for the guests' names.
    names = ", ".join(subnet.dns_nameservers) or server
    options = {
        "server_id": server,
        "server_mac": lasting_mac(subnet.id),
        "lease_time": str(LEASE_SECONDS),
        "mtu": str(network.mtu),
        "dns_server": f"{{{names}}}",
        "domain_name": f'"{dns_domain}"',
    }
    routes = [(one.destination, one.nexthop) for one in subnet.host_routes]
    if subnet.metadata_ip is not None:
        routes.insert(0, (METADATA_ADDRESS, subnet.metadata_ip))
    if subnet.gateway_ip is not None:
        options["router"] = subnet.gateway_ip
        if ANY[4] not in dict(routes):
            routes.append(
                (ANY[4], subnet.gateway_ip)
            )  # RFC 3442: a client that takes routes ignores the router
    if routes:
        options["classless_static_route"] = f"{{{', '.join(f'{to},{by}' for to, by in routes)}}}"
    return options


def _dhcpv6(subnet: Subnet) -> dict[str, str] | None:
    """None where the guests make their addresses from router advertisements alone."""
    if subnet.ipv6_ra_mode == "slaac":
        return None
    options = {"server_id": lasting_mac(subnet.id)}
    if subnet.dns_nameservers:
        options["dns_server"] = f"{{{', '.join(subnet.dns_nameservers)}}}"
    if subnet.ipv6_ra_mode == "dhcpv6-stateless":
        options["dhcpv6_stateless"] = "true"
    return options
