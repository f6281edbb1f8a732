"""A topology as rows of the northbound database."""

from __future__ import annotations

import msgspec

from pilvi.drivers.fabric.base import (
    AddressGroup,
    FixedIp,
    FloatingIp,
    Gateway,
    Network,
    Port,
    PortForwarding,
    Route,
    Router,
    RouterPort,
    Rule,
    SecurityGroup,
    Shaping,
    Subnet,
    Topology,
)
from pilvi.drivers.fabric.logical import Ref, rows_of

MAC = "0a:00:00:00:00:11"


def rows(*, networks=(), ports=(), routers=(), groups=(), chassis=("host-1",)):
    return rows_of(Topology(networks, ports, routers, groups), chassis, "cloud.test")


def net(*subnets: Subnet, **details: object) -> Network:
    return Network("n", "lan", 1442, subnets, **details)


def four(**details: object) -> Subnet:
    return Subnet("s4", "10.0.0.0/24", **{"gateway_ip": "10.0.0.1", **details})


def six(**details: object) -> Subnet:
    return Subnet("s6", "fd00::/64", 6, **{"gateway_ip": "fd00::1", **details})


def port(*addresses: str, **details: object) -> Port:
    fixed_ips = tuple(FixedIp("s6" if ":" in one else "s4", one) for one in addresses)
    return Port("p", "n", MAC, fixed_ips, **details)


def switch_port(*addresses: str, network: Network | None = None, **details: object) -> dict:
    network = network or net(four(), six(ipv6_ra_mode="dhcpv6-stateful"))
    return rows(networks=(network,), ports=(port(*addresses, **details),))[Ref("Logical_Switch_Port", "p")]


def dhcp(subnet: Subnet) -> dict[str, str]:
    return rows(networks=(net(subnet),))[Ref("DHCP_Options", subnet.id)]["options"]


def test_a_stateless_groups_rules_track_no_connections():
    rule = Rule("r", "ingress", "IPv4", "tcp", 80, 80)
    actions = [rows(groups=(SecurityGroup("g", (rule,), stateful=stateful),))[Ref("ACL", "r")]["action"]
               for stateful in (True, False)]
    assert actions == ["allow-related", "allow-stateless"]


def test_an_address_group_is_a_set_for_each_ip_version():
    group = AddressGroup("a-g", ("10.9.0.0/24", "192.0.2.7/32", "fd00::/64"))
    rules = tuple(Rule(f"r{ip}", "ingress", ip, remote_address_group_id="a-g") for ip in ("IPv4", "IPv6"))
    found = rows_of(Topology(security_groups=(SecurityGroup("g", rules),), address_groups=(group,)), (), "")
    sets = {columns["name"]: columns["addresses"] for ref, columns in found.items() if ref.table == "Address_Set"}
    assert sets == {"ag_a_g_ip4": ["10.9.0.0/24", "192.0.2.7/32"], "ag_a_g_ip6": ["fd00::/64"]}
    assert found[Ref("ACL", "rIPv4")]["match"] == "outport == @pg_g && ip4 && ip4.src == $ag_a_g_ip4"
    assert found[Ref("ACL", "rIPv6")]["match"] == "outport == @pg_g && ip6 && ip6.src == $ag_a_g_ip6"


class TestShaping:
    def row(self, *shaping: Shaping) -> dict:
        everything = rows(networks=(net(four()),), ports=(port("10.0.0.11", shaping=shaping),))
        refs = everything[Ref("Logical_Switch", "n")]["qos_rules"]
        assert len(refs) == len(shaping)
        return everything[refs[0]]

    def test_what_a_port_sends_is_limited_and_marked(self):
        row = self.row(Shaping("egress", 1000, 100, 26))
        assert (row["direction"], row["match"]) == ("from-lport", 'inport == "p"')
        assert (row["bandwidth"], row["action"]) == ({"rate": 1000, "burst": 100}, {"dscp": 26})

    def test_what_it_receives(self):
        row = self.row(Shaping("ingress", 1000))
        assert (row["direction"], row["match"]) == ("to-lport", 'outport == "p"')
        assert (row["bandwidth"], row["action"]) == ({"rate": 1000}, {})

    def test_a_mark_alone_limits_nothing(self):
        row = self.row(Shaping("egress", dscp=0))
        assert (row["bandwidth"], row["action"]) == ({}, {"dscp": 0})

    def test_a_floating_address_goes_before_its_gateway(self):
        both = Shaping("egress", 1000), Shaping("ingress", 1000)
        gateway = msgspec.structs.replace(TestRouters.GATEWAY, shaping=both)
        floating = FloatingIp("f", "192.0.2.50", "10.0.0.11", "p", both)
        everything = TestRouters().rows(gateway=gateway, floating_ips=(floating,))
        found = {row["match"]: row["priority"] for ref, row in everything.items() if ref.table == "QoS"}
        assert found == {
            'inport == "g"': 2001,
            'outport == "g"': 2001,
            'inport == "g" && ip4.src == 192.0.2.50': 2002,
            'outport == "g" && ip4.dst == 192.0.2.50': 2002,
        }
        assert len(everything[Ref("Logical_Switch", "x")]["qos_rules"]) == 4


def test_a_subport_is_a_vlan_of_its_parent():
    ports = port(), Port("q", "n", MAC, (), trunk=("p", 100))
    row = rows(networks=(net(),), ports=ports)[Ref("Logical_Switch_Port", "q")]
    assert (row["parent_name"], row["tag"]) == (["p"], [100])
    assert (switch_port()["parent_name"], switch_port()["tag"]) == ([], [])


def test_a_networks_vlan_key_and_transparency():
    found = rows(networks=(Network("n", "lan", 1500, (), "public", vlan=42, tunnel_key=70_000, vlan_transparent=True),))
    assert found[Ref("Logical_Switch_Port", "localnet-n")]["tag"] == [42]
    assert found[Ref("Logical_Switch", "n")]["other_config"] == {"requested-tnl-key": "70000", "vlan-passthru": "true"}
    assert rows(networks=(net(),))[Ref("Logical_Switch", "n")]["other_config"] == {"vlan-passthru": "false"}


class TestPorts:
    def test_it_may_use_its_own_addresses(self):
        row = switch_port("10.0.0.11", "fd00::11")
        assert row["addresses"] == row["port_security"] == [f"{MAC} 10.0.0.11 fd00::11"]
        assert row["dhcpv4_options"] == [Ref("DHCP_Options", "s4")]
        assert row["dhcpv6_options"] == [Ref("DHCP_Options", "s6")]

    def test_without_addresses_it_is_its_mac_address(self):
        row = switch_port()
        assert row["addresses"] == row["port_security"] == [MAC]
        assert row["dhcpv4_options"] == row["dhcpv6_options"] == []

    def test_pairs_of_its_own_mac_widen_what_it_may_send(self):
        row = switch_port("10.0.0.11", allowed_address_pairs=((MAC, "10.0.0.99"), ("", "10.1.0.0/16")))
        assert row["addresses"] == [f"{MAC} 10.0.0.11"]
        assert row["port_security"] == [f"{MAC} 10.0.0.11 10.0.0.99 10.1.0.0/16"]

    def test_pairs_of_another_mac_also_receive(self):
        other = "0a:00:00:00:00:99"
        row = switch_port("10.0.0.11", allowed_address_pairs=((other, "10.0.0.99"),))
        assert row["addresses"] == [f"{MAC} 10.0.0.11", other]
        assert row["port_security"] == [f"{MAC} 10.0.0.11", f"{other} 10.0.0.99"]

    def test_without_port_security_it_may_be_anyone_and_no_rule_holds(self):
        everything = rows(
            networks=(net(four()),),
            ports=(port("10.0.0.11", port_security=False, security_group_ids=("g",)),),
            groups=(SecurityGroup("g"),),
        )
        row = everything[Ref("Logical_Switch_Port", "p")]
        assert row["addresses"] == [f"{MAC} 10.0.0.11", "unknown"]
        assert row["port_security"] == []
        assert everything[Ref("Port_Group", "g")]["ports"] == []
        assert everything[Ref("Port_Group", "drop")]["ports"] == []

    def test_it_is_down_with_its_network(self):
        assert switch_port("10.0.0.11")["enabled"] == [True]
        assert switch_port("10.0.0.11", admin_state_up=False)["enabled"] == [False]
        down = switch_port("10.0.0.11", network=net(four(), admin_state_up=False))
        assert down["enabled"] == [False]
        assert down["dhcpv4_options"] == []

    def test_a_secured_port_is_dropped_beneath_its_groups(self):
        everything = rows(networks=(net(four()),), ports=(port("10.0.0.11"),))
        drop = everything[Ref("Port_Group", "drop")]
        assert drop["ports"] == [Ref("Logical_Switch_Port", "p")]
        acls = [everything[acl] for acl in drop["acls"]]
        assert {(acl["direction"], acl["match"]) for acl in acls if acl["action"] == "drop"} == {
            ("to-lport", "outport == @pilvi_drop && ip"),
            ("from-lport", "inport == @pilvi_drop && ip"),
            ("from-lport", "inport == @pilvi_drop && ip4 && udp.src == 67 && udp.dst == 68"),
            ("from-lport", "inport == @pilvi_drop && ip6 && udp.src == 547 && udp.dst == 546"),
        }
        allowing = {acl["priority"] for acl in acls if acl["action"] == "allow"}
        everything_else = {acl["priority"] for acl in acls if acl["match"].endswith("&& ip")}
        assert max(everything_else) < min(allowing), "groups are asked first"
        assert max(allowing) < min({acl["priority"] for acl in acls} - allowing - everything_else)


class TestSubnets:
    def test_dhcp_says_who_routes_and_where_metadata_is(self):
        options = dhcp(four(metadata_ip="10.0.0.2"))
        assert options["router"] == options["server_id"] == "10.0.0.1"
        assert options["classless_static_route"] == "{169.254.169.254/32,10.0.0.2, 0.0.0.0/0,10.0.0.1}"
        assert options["mtu"] == "1442"
        assert options["domain_name"] == '"cloud.test"'

    def test_a_subnet_without_a_gateway_has_no_router_and_is_served_by_another_address(self):
        options = dhcp(four(gateway_ip=None, metadata_ip="10.0.0.2"))
        assert "router" not in options
        assert options["server_id"] == "10.0.0.2"
        assert options["classless_static_route"] == "{169.254.169.254/32,10.0.0.2}"
        assert dhcp(four(gateway_ip=None))["server_id"] == "10.0.0.1"
        assert "classless_static_route" not in dhcp(four(gateway_ip=None))

    def test_name_servers_are_the_subnets_or_ovn_itself(self):
        assert (
            dhcp(four(dns_nameservers=("192.0.2.1", "192.0.2.2")))["dns_server"] == "{192.0.2.1, 192.0.2.2}"
        )
        assert dhcp(four())["dns_server"] == "{10.0.0.1}"

    def test_the_server_keeps_its_mac_address(self):
        assert dhcp(four())["server_mac"] == dhcp(four(dns_nameservers=("192.0.2.1",)))["server_mac"]
        assert int(dhcp(four())["server_mac"][:2], 16) & 3 == 2, "unicast and locally administered"

    def test_a_port_with_options_of_its_own_has_a_row_of_its_own(self):
        own = (4, "tftp-server", "boot"), (4, "dns-server", "192.0.2.1,192.0.2.2"), (4, "server-ip-address", "192.0.2.9")
        found = rows(networks=(net(four()),), ports=(port("10.0.0.11", dhcp_options=own),))
        (ref,) = found[Ref("Logical_Switch_Port", "p")]["dhcpv4_options"]
        assert found[ref]["cidr"] == "10.0.0.0/24"
        assert found[ref]["options"] == {**dhcp(four()), "tftp_server": '"boot"', "dns_server": "{192.0.2.1, 192.0.2.2}",
                                         "tftp_server_address": "192.0.2.9"}
        assert found[Ref("DHCP_Options", "s4")]["options"] == dhcp(four()), "the subnet's is as it was"

    def test_options_of_the_other_ip_version_change_nothing(self):
        found = rows(networks=(net(four()),), ports=(port("10.0.0.11", dhcp_options=((6, "domain-search", "x"),)),))
        assert found[Ref("Logical_Switch_Port", "p")]["dhcpv4_options"] == [Ref("DHCP_Options", "s4")]

    def test_a_subnet_without_dhcp_has_no_row(self):
        assert Ref("DHCP_Options", "s4") not in rows(networks=(net(four(enable_dhcp=False)),))

    def test_slaac_needs_no_dhcp_and_the_other_modes_do(self):
        slaac = rows(networks=(net(six()),), ports=(port("fd00::11"),))
        assert Ref("DHCP_Options", "s6") not in slaac
        assert slaac[Ref("Logical_Switch_Port", "p")]["dhcpv6_options"] == []
        assert dhcp(six(ipv6_ra_mode="dhcpv6-stateless"))["dhcpv6_stateless"] == "true"
        assert "dhcpv6_stateless" not in dhcp(six(ipv6_ra_mode="dhcpv6-stateful"))

    def test_names_go_both_ways_and_collect_their_addresses(self):
        one = port("10.0.0.11", "fd00::11", hostname="Web")
        two = Port("q", "n", "0a:00:00:00:00:12", (FixedIp("s4", "10.0.0.12"),), hostname="web")
        everything = rows(networks=(net(four(), six()),), ports=(one, two))
        records = everything[Ref("DNS", "n")]["records"]
        assert records["web"] == records["web.cloud.test"] == "10.0.0.11 fd00::11 10.0.0.12"
        assert records["11.0.0.10.in-addr.arpa"] == "web.cloud.test"
        assert everything[Ref("Logical_Switch", "n")]["dns_records"] == [Ref("DNS", "n")]


BOTH = (four(), six())


class TestRouters:
    WORLD = Network(
        "x",
        "public",
        1500,
        (Subnet("s-x", "192.0.2.0/24", gateway_ip="192.0.2.1", enable_dhcp=False),),
        "physnet",
    )
    GATEWAY = Gateway("g", "x", "0a:00:00:00:01:01", (FixedIp("s-x", "192.0.2.9"),))

    def rows(self, gateway: Gateway | None = GATEWAY, subnets=BOTH, chassis=("h1",), **details):
        addresses = tuple(FixedIp(subnet.id, subnet.gateway_ip) for subnet in subnets)
        leg = RouterPort("l", "n", "0a:00:00:00:00:01", addresses)
        router = Router("r", "router", (leg,), gateway, **details)
        return rows(networks=(net(*subnets), self.WORLD), routers=(router,), chassis=chassis)

    def table(self, name: str, **details: object) -> list[dict]:
        return [columns for ref, columns in self.rows(**details).items() if ref.table == name]

    def test_a_leg_is_two_ports_that_name_each_other(self):
        everything = self.rows()
        leg = everything[Ref("Logical_Router_Port", "l")]
        assert leg["networks"] == ["10.0.0.1/24", "fd00::1/64"]
        assert everything[Ref("Logical_Switch_Port", "l")]["options"] == {"router-port": leg["name"]}
        assert leg["ipv6_ra_configs"]["address_mode"] == "slaac"
        assert everything[Ref("Logical_Router_Port", "g")]["ipv6_ra_configs"] == {}

    def test_a_subnet_may_go_without_advertisements(self):
        assert (
            self.table("Logical_Router_Port", subnets=(six(ipv6_ra_mode=None),))[0]["ipv6_ra_configs"] == {}
        )

    def test_the_external_network_is_reached_through_its_mapping(self):
        ports = self.table("Logical_Switch_Port")
        assert [one["options"] for one in ports if one["type"] == "localnet"] == [{"network_name": "physnet"}]

    def test_a_leg_in_a_physical_network_is_where_the_gateway_is(self):
        there = Network("n", "lan", 1500, BOTH, "physnet", vlan=42)
        leg = RouterPort("l", "n", "0a:00:00:00:00:01", (FixedIp("s4", "10.0.0.1"),))

        def options(gateway: Gateway | None) -> dict:
            found = rows(networks=(there, self.WORLD), routers=(Router("r", "router", (leg,), gateway),))
            return found[Ref("Logical_Router_Port", "l")]["options"]

        assert options(self.GATEWAY) == {"reside-on-redirect-chassis": "true"}
        assert options(None) == {}
        assert "reside-on-redirect-chassis" not in self.rows()[Ref("Logical_Router_Port", "l")]["options"]

    def test_a_leg_in_a_network_of_smaller_packets_says_so(self):
        found = self.rows()
        assert found[Ref("Logical_Router_Port", "l")]["options"] == {"gateway_mtu": "1442"}
        assert found[Ref("Logical_Router_Port", "g")]["options"] == {}

    def test_the_first_chassis_is_preferred(self):
        chassis = self.table("Gateway_Chassis", chassis=("h1", "h2"))
        ranked = sorted(chassis, key=lambda row: -row["priority"])
        assert [row["chassis_name"] for row in ranked] == ["h1", "h2"]
        assert self.table("Gateway_Chassis", gateway=None) == []

    def test_the_rest_of_the_world_is_behind_the_external_gateway(self):
        (route,) = self.table("Logical_Router_Static_Route")
        assert (route["ip_prefix"], route["nexthop"], route["output_port"]) == (
            "0.0.0.0/0",
            "192.0.2.1",
            ["lrp-g"],
        )

    def test_a_default_route_of_the_users_own_replaces_it(self):
        (route,) = self.table("Logical_Router_Static_Route", routes=(Route("0.0.0.0/0", "10.0.0.9"),))
        assert route["nexthop"] == "10.0.0.9"

    def test_only_ipv4_is_translated(self):
        (nat,) = self.table("NAT")
        assert (nat["type"], nat["external_ip"], nat["logical_ip"]) == ("snat", "192.0.2.9", "10.0.0.0/24")

    def test_without_snat_floating_ips_stay(self):
        quiet = Gateway("g", "x", "0a:00:00:00:01:01", self.GATEWAY.fixed_ips, enable_snat=False)
        floating = FloatingIp("f", "192.0.2.50", "10.0.0.11", "p")
        (nat,) = self.table("NAT", gateway=quiet, floating_ips=(floating,))
        assert (nat["type"], nat["external_ip"], nat["logical_ip"]) == (
            "dnat_and_snat",
            "192.0.2.50",
            "10.0.0.11",
        )

    def scoped(self, inside: str | None, outside: str | None) -> list[dict]:
        world = Network("x", "public", 1500, (Subnet("s-x", "192.0.2.0/24", address_scope=outside),), "physnet")
        leg = RouterPort("l", "n", "0a:00:00:00:00:01", (FixedIp("s4", "10.0.0.1"),))
        found = rows(networks=(net(four(address_scope=inside)), world), routers=(Router("r", "", (leg,), self.GATEWAY),))
        return [columns for ref, columns in found.items() if ref.table == "NAT"]

    def test_addresses_of_the_worlds_own_scope_are_not_translated(self):
        assert self.scoped("one", "one") == []
        assert len(self.scoped("one", "other")) == len(self.scoped("one", None)) == len(self.scoped(None, None)) == 1

    def test_networks_of_different_scopes_are_kept_apart(self):
        def policies(*scopes: str | None) -> list[dict]:
            nets = [Network(f"n{one}", "", 1442, (Subnet(f"s{one}", f"10.0.{one}.0/24", address_scope=scope),))
                    for one, scope in enumerate(scopes)]  # fmt: skip
            legs = [RouterPort(f"l{one}", f"n{one}", f"0a:00:00:00:00:0{one}", (FixedIp(f"s{one}", f"10.0.{one}.1"),))
                    for one, _ in enumerate(scopes)]  # fmt: skip
            found = rows(networks=tuple(nets), routers=(Router("r", "", tuple(legs)),))
            return [columns for ref, columns in found.items() if ref.table == "Logical_Router_Policy"]

        assert policies(None, None) == policies("one", "one") == []
        assert sorted(one["match"] for one in policies("one", "one", "other")) == [
            'inport == "lrp-l0" && ip4.dst == 10.0.2.0/24', 'inport == "lrp-l1" && ip4.dst == 10.0.2.0/24',
            'inport == "lrp-l2" && ip4.dst == 10.0.0.0/24', 'inport == "lrp-l2" && ip4.dst == 10.0.1.0/24']
        assert {one["action"] for one in policies("one", None)} == {"drop"}

    def test_forwarded_ports_are_a_row_for_each_address_and_protocol(self):
        ports = [("tcp", 2201, "10.0.0.11", 22), ("tcp", 2202, "10.0.0.12", 22), ("udp", 53, "10.0.0.11", 53)]
        everything = self.rows(port_forwardings=tuple(PortForwarding("192.0.2.50", *one) for one in ports))
        tcp, udp = Ref("Load_Balancer", "r 192.0.2.50 tcp"), Ref("Load_Balancer", "r 192.0.2.50 udp")
        assert everything[tcp]["vips"] == {"192.0.2.50:2201": "10.0.0.11:22", "192.0.2.50:2202": "10.0.0.12:22"}
        assert everything[udp]["vips"] == {"192.0.2.50:53": "10.0.0.11:53"}
        assert (everything[tcp]["protocol"], everything[udp]["protocol"]) == (["tcp"], ["udp"])
        assert everything[Ref("Logical_Router", "r")]["load_balancer"] == [tcp, udp]
        assert everything[Ref("Logical_Switch", "n")]["load_balancer"] == [tcp, udp], "for those on the inside"
        assert everything[Ref("Logical_Switch", "x")]["load_balancer"] == []

    def test_no_gateway_no_translation(self):
        assert self.table("NAT", gateway=None) == []
