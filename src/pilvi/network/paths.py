"""Why a packet passes, or where it is dropped: traced by the network itself, told in the Networking API's words."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, NoReturn

import msgspec

from pilvi.drivers.fabric.base import Gateway, Packet, Pipeline, Port, Router, Stage, Topology
from pilvi.network.neighbours import Neighbours

SEGMENTS = 16  # a packet is followed on at each router that does not know its next neighbour yet
OUTSIDER = "02:00:00:00:00:fe"  # the MAC address of a pretended sender outside
LEG = "lrp-"  # what a router's end of a leg is called before the port's id

_NAT = re.compile(r"ct_(dnat|snat)\w*\(([0-9a-f.:]+)\)|ct_lb\w*\(backends=([^;)]*)")
_OUTPUT = re.compile(r'/\* output to "([^"]*)", type "([^"]*)" \*/')
_NEXT_HOP = re.compile(r"(?:xx)?reg0 = ([0-9a-f.:]+|ip[46]\.dst);")
_OUTPORT = re.compile(r'outport = "([^"]*)";')
_DESTINATION = re.compile(r"ip[46]\.dst == ([0-9a-f.:]+(?:/\d+)?)")


class Step(msgspec.Struct, frozen=True):
    """`kind` and `id` name the object of the Networking API that this is about; "" where there is none."""

    passes: bool
    text: str
    kind: str
    id: str
    remedy: str = ""


class Question(NamedTuple):
    """The first packet of a connection. Asked of a guest's port, or of an external network for one from outside."""

    source_id: str
    address: str
    protocol: str
    port: int | None
    source: str | None  # another source address than the port's own


class _Over(Exception):
    """The last step is known."""


class Known(NamedTuple):
    """What is known of the network beside its traces."""

    topology: Topology
    up: Collection[str]  # ports that are plugged in somewhere
    floating: Mapping[str, str]  # floating addresses, wherever they lead, and their ids
    label: Callable[[str, str], str]  # how an object of this kind and id is called


def explain(known: Known, trace: Callable[[Packet], Sequence[Pipeline]], question: Question) -> list[Step]:
    """The steps in order; the packet passes if the last one does. Raises FabricError."""
    return _Walk(known, trace, question).steps


class _Walk:
    def __init__(self, known: Known, trace: Callable[[Packet], Sequence[Pipeline]], question: Question) -> None:
        self.world, self.known, self.label = Neighbours(known.topology), known, known.label
        self.trace, self.question = trace, question
        self.version, self.bits = (6, 128) if ":" in question.address else (4, 32)
        self.steps: list[Step] = []
        self.source, self.destination, self.number = question.source or "", question.address, question.port
        self.hop = self.outport = ""  # the next hop and the leg to it, as the router that has the packet knows them
        try:
            self._follow(self._from_port() if question.source_id in self.world.ports else self._from_outside())
        except _Over:
            return

    # -- what is told

    def _ok(self, kind: str, object_id: str, text: str) -> None:
        self.steps.append(Step(True, text, kind, object_id))

    def _end(self, passes: bool, kind: str, object_id: str, text: str, remedy: str = "") -> NoReturn:
        self.steps.append(Step(passes, text, kind, object_id, remedy))
        raise _Over

    def _drop(self, kind: str, object_id: str, text: str, remedy: str = "") -> NoReturn:
        self._end(False, kind, object_id, text, remedy)

    @property
    def _what(self) -> str:
        return self.question.protocol + (f" {self.number}" if self.number is not None else "")

    # -- how it starts

    def _from_port(self) -> Packet:
        port, called = self.world.ports[self.question.source_id], self.label("port", self.question.source_id)
        own = self.world.source(port, self.version)
        self.source = self.source or own or ""
        if not self.source:
            self._drop("port", port.id, f"{called} has no IPv{self.version} address to speak with")
        self._joined(port)
        hop = self.world.next_hop(port, self.destination)
        if hop is None:
            self._drop("port", port.id, f"no route: the subnets of {called} have no gateway, and {self.destination} "
                       "is in none of them", "openstack subnet set --gateway ADDRESS SUBNET")
        return Packet(port.id, port.mac, self._asked(port.network_id, hop, called), self.source, self.destination,
                      self.question.protocol, self.question.port)

    def _joined(self, port: Port) -> None:
        called, network = self.label("port", port.id), self.world.networks[port.network_id]
        if not port.admin_state_up:
            self._drop("port", port.id, f"{called} is administratively down", f"openstack port set --enable {port.id}")
        if not network.admin_state_up:
            self._drop("network", network.id, f"{self.label('network', network.id)} is administratively down",
                       f"openstack network set --enable {network.id}")
        if port.id not in self.known.up:
            self._drop("port", port.id, f"{called} is DOWN: no running server is plugged in it on any host")

    def _asked(self, network_id: str, address: str, called: str) -> str:
        """The MAC address that `called` learns of an address on its network."""
        if held := self.world.holder(network_id, address):
            return held.mac
        network, on = self.world.networks[network_id], self.label("network", network_id)
        if self.world.strangers(network_id):
            return OUTSIDER
        gateways = {subnet.gateway_ip: subnet for subnet in network.subnets}
        if address in gateways and address != self.destination:
            self._drop("subnet", gateways[address].id, f"no route: {called} sends to {on}'s gateway {address}, which "
                       "no router has", f"openstack router add subnet ROUTER {gateways[address].id}")
        self._drop("network", network_id, f"nobody on {on} has the address {address}")

    def _from_outside(self) -> Packet:
        network = self.world.networks[self.question.source_id]
        called = self.label("network", network.id)
        gateway = next((one.gateway_ip for one in network.subnets
                        if one.ip_version == self.version and one.gateway_ip), "")  # fmt: skip
        self.source = self.source or gateway
        if not self.source:
            self._drop("network", network.id, f"{called} has no IPv{self.version} gateway to speak for the outside")
        held = self.world.holder(network.id, self.destination)
        if held is None:
            self._idle()
            self._drop("network", network.id, f"nobody on {called} has the address {self.destination}: from outside, "
                       "a server is reached by a floating IP", f"openstack floating ip create --port PORT {network.id}")
        return Packet(f"localnet-{network.id}", OUTSIDER, held.mac, self.source, self.destination,
                      self.question.protocol, self.question.port)

    # -- how it goes on

    def _follow(self, packet: Packet) -> None:
        for _ in range(SEGMENTS):
            for pipeline in self.trace(packet):
                leg = next(filter(None, (self._stage(pipeline, stage) for stage in pipeline.stages)), None)
                if leg is not None:
                    packet = self._on(packet, leg)
                    break
            else:
                self._idle()
                self._drop("", "", "it goes nowhere: the network may be changing right now, ask again")
        self._drop("", "", f"it goes round and round: routers sent it to each other {SEGMENTS} times")

    def _on(self, packet: Packet, port_id: str) -> Packet:
        """Past a router that has yet to ask for its next neighbour's MAC address: as if it had been answered."""
        router, leg = self.world.legs[port_id]
        called = self.label("router", router.id)
        hop = self.destination if self.hop.endswith(".dst") else self.hop
        if isinstance(leg, Gateway) and (source := self.world.translated(router, self.source)) != self.source:
            self._source_becomes(router, source)
        return msgspec.structs.replace(packet, inport=port_id, eth_src=leg.mac, ip_src=self.source,
                                       ip_dst=self.destination, eth_dst=self._asked(leg.network_id, hop, called))

    def _stage(self, pipeline: Pipeline, stage: Stage) -> str | None:
        """Tells what this stage is to the packet. The leg's port id where the router would ask for a neighbour."""
        table, text = stage.table, " ".join(stage.actions)
        if table in ("ls_in_acl", "ls_out_acl"):
            self._access(pipeline, stage)
        elif table == "ls_in_apply_port_sec" and "drop;" in stage.actions:
            self._spoofed(pipeline.inport)
        elif table == "lr_in_ip_input":
            self._for_router(pipeline, stage)
        elif table == "lr_in_ip_routing":
            self._routed(pipeline, stage)
        elif table == "lr_in_arp_request" and ("arp {" in text or "nd_ns {" in text):
            return self.outport
        self._nat(pipeline, text)
        if stage.match is None or "drop;" in stage.actions:
            self._refused(pipeline, stage)
        for port_id, kind in _OUTPUT.findall(text):
            self._output(pipeline, port_id, kind)
        return None

    def _access(self, pipeline: Pipeline, stage: Stage) -> None:
        inward = stage.table == "ls_out_acl"
        port = self.world.ports.get(pipeline.outport if inward else pipeline.inport)
        if port is None:
            return
        called = self.label("port", port.id)
        if not port.port_security:
            self._ok("port", port.id, f"{called} has no port security: nothing is filtered")
        elif "drop;" in stage.actions:
            self._no_rule(port, inward)
        elif group := self._group(stage.rule):
            self._ok("security_group_rule", stage.rule or "", f"{self.label('security_group_rule', stage.rule or '')} of "
                     f"{self.label('security_group', group)} lets it {'into' if inward else 'out of'} {called}")

    def _group(self, rule_id: str | None) -> str | None:
        groups = self.known.topology.security_groups
        return next((group.id for group in groups for rule in group.rules if rule.id == rule_id), None)

    def _no_rule(self, port: Port, inward: bool) -> None:
        way, peer = ("ingress", f"from {self.source}") if inward else ("egress", f"to {self.destination}")
        groups = [self.label("security_group", group_id) for group_id in port.security_group_ids]
        called, remedy = self.label("port", port.id), ""
        if not groups:
            self._drop("port", port.id, f"{called} has no security group: nothing is let {'in' if inward else 'out'}",
                       f"openstack port set --security-group GROUP {port.id}")
        flags = [f"--{way}", f"--ethertype IPv{self.version}", f"--protocol {self._protocol}"]
        flags += [f"--dst-port {self.number}"] if self.number is not None else []
        flags += [f"--remote-ip {self.source if inward else self.destination}/{self.bits}"]
        remedy = f"openstack security group rule create {' '.join(flags)} {port.security_group_ids[0]}"
        self._drop("port", port.id, f"no {way} rule for {self._what} {peer} in {', '.join(groups)} of {called}", remedy)

    @property
    def _protocol(self) -> str:
        return "ipv6-icmp" if self.version == 6 and self.question.protocol == "icmp" else self.question.protocol

    def _spoofed(self, port_id: str) -> None:
        port = self.world.ports[port_id]
        self._drop("port", port_id, f"anti-spoofing: {self.source} with {port.mac} is neither a fixed IP nor an allowed "
                   f"address pair of {self.label('port', port_id)}",
                   f"openstack port set --allowed-address ip-address={self.source} {port_id}")

    def _for_router(self, pipeline: Pipeline, stage: Stage) -> None:
        called = self.label("router", pipeline.datapath)
        if any(".dst <-> ip" in action for action in stage.actions):
            self._end(True, "router", pipeline.datapath, f"{called} has {self.destination} itself, and answers")
        if "drop;" in stage.actions:
            self._drop("router", pipeline.datapath, f"{called} has {self.destination} itself, and answers nothing but "
                       "pings")

    def _routed(self, pipeline: Pipeline, stage: Stage) -> None:
        router, text = self.world.routers[pipeline.datapath], " ".join(stage.actions)
        called = self.label("router", router.id)
        if "drop;" in stage.actions:
            without = "" if router.gateway else ", and no external gateway"
            self._drop("router", router.id, f"{called} has no route to {self.destination}{without}",
                       self._way(router))
        self.hop = (_NEXT_HOP.search(text) or [None, ""])[1]
        self.outport = (_OUTPORT.search(text) or [None, ""])[1].removeprefix(LEG)
        if self.outport not in self.world.legs:
            return
        leg = self.world.legs[self.outport][1]
        reach = (_DESTINATION.search(stage.match or "") or [None, "?"])[1]
        if self.hop.endswith(".dst"):
            via = f"{reach} is on {self.label('network', leg.network_id)}"
        else:
            via = f"its {self._route_kind(router, reach)} {reach} via {self.hop}"
        self._ok("router", router.id, f"{called} routes it: {via}")

    def _way(self, router: Router) -> str:
        if router.gateway is None and ipaddress.ip_address(self.destination).is_global:
            return f"openstack router set --external-gateway NETWORK {router.id}"
        return f"openstack router add route --route destination={self.destination}/{self.bits},gateway=NEXTHOP {router.id}"

    def _route_kind(self, router: Router, reach: str) -> str:
        chosen = {(route.destination, route.nexthop) for route in router.routes}
        return "extra route" if (reach, self.hop) in chosen else "default route"

    def _nat(self, pipeline: Pipeline, text: str) -> None:
        router = self.world.routers.get(pipeline.datapath)
        for kind, address, backend in _NAT.findall(text):
            if backend:
                fixed, _, number = backend.rpartition(":")
                self._leads(fixed.strip("[]"), f"forwards {self._what} to {backend}")
                self.number = int(number)
            elif router and kind == "dnat":
                self._leads(address, f"leads to {address}")
            elif router and address != self.source:
                self._source_becomes(router, address)

    def _leads(self, fixed: str, text: str) -> None:
        floating = self.known.floating.get(self.destination, "")
        self._ok("floatingip", floating, f"{self.label('floatingip', floating)} {text}")
        self.destination = fixed

    def _source_becomes(self, router: Router, address: str) -> None:
        floating = next((one for one in router.floating_ips if one.floating_ip == address), None)
        kind, object_id = ("floatingip", floating.id) if floating else ("router", router.id)
        by = "stands for the port" if floating else "does SNAT"
        self._ok(kind, object_id, f"{self.label(kind, object_id)} {by}: the source {self.source} becomes {address}")
        self.source = address

    def _refused(self, pipeline: Pipeline, stage: Stage) -> None:
        self._idle()
        router = self.world.routers.get(pipeline.datapath)
        if router is not None and not router.admin_state_up:
            self._drop("router", router.id, f"{self.label('router', router.id)} is administratively down",
                       f"openstack router set --enable {router.id}")
        kind = "router" if router else "network"
        held = None if router else self.world.holder(pipeline.datapath, self.destination)
        if held and held.kind == "port":
            self._joined(self.world.ports[held.id])
        self._drop(kind, pipeline.datapath, f"{self.label(kind, pipeline.datapath)} drops it "
                   f"(OVN's table {stage.table}: {stage.match or 'no flow fits'})")

    # -- how it ends

    def _output(self, pipeline: Pipeline, port_id: str, kind: str) -> None:
        network = self.world.networks.get(pipeline.datapath)
        if network is None or kind == "patch":
            return
        if kind == "localnet":
            self._outside(network.id, pipeline.inport)
        if kind == "localport":
            self._end(True, "network", network.id, f"it reaches the metadata service of {self.label('network', network.id)}")
        if port := self.world.ports.get(port_id):
            self._joined(port)
            known = self.world.holder(network.id, self.destination)
            may = "" if known else f", which may have any address: nobody else has {self.destination}"
            self._end(True, "port", port.id, f"it reaches {self.label('port', port.id)}{may}")

    def _outside(self, network_id: str, port_id: str) -> None:
        self._idle()
        router, _ = self.world.legs.get(port_id, (None, None))
        if router and self.version == 4 and self.source not in self._outward(router):
            self._ok("router", router.id, f"{self.label('router', router.id)} leaves the source {self.source} as it is "
                     "(no SNAT): answers come back only if the outside has a route to it")
        self._end(True, "network", network_id, f"it leaves through {self.label('network', network_id)} to the outside")

    def _idle(self) -> None:
        """A floating IP that nobody leads on."""
        if (floating := self.known.floating.get(self.destination)) is None:
            return
        called = self.label("floatingip", floating)
        if self.world.leading.get(self.destination):
            self._drop("floatingip", floating, f"{called} forwards other ports, and not {self._what}")
        self._drop("floatingip", floating, f"{called} is not associated with a port behind a router",
                   f"openstack floating ip set --port PORT {self.destination}")

    def _outward(self, router: Router) -> set[str]:
        own = router.gateway.fixed_ips if router.gateway else ()
        return {*(one.ip_address for one in own), *(one.floating_ip for one in router.floating_ips)}


__all__ = ["Known", "Question", "Step", "explain"]
