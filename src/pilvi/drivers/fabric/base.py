"""What Pilvi asks of the network: the interfaces of the fabric drivers, and the words they share.

Two halves. `Northbound` belongs to the controller: it makes the logical network (switches, routers, NAT,
access rules, DHCP) equal to a `Topology`. `HostFabric` belongs to a node agent: it makes the devices that
guests' network cards use, and joins them to the logical network. Contract: `tests/contracts/test_fabric.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from pilvi.drivers.fabric.tracing import Packet, Pipeline, Stage
from pilvi.drivers.fabric.words import (
    AddressGroup,
    Counters,
    FabricError,
    FixedIp,
    FloatingIp,
    Gateway,
    HostRoute,
    HostState,
    Network,
    Port,
    PortForwarding,
    Route,
    Router,
    RouterPort,
    Rule,
    Scope,
    SecurityGroup,
    Shaping,
    Subnet,
    Topology,
)

__all__ = [
    "AddressGroup",
    "Counters",
    "FabricError",
    "FixedIp",
    "FloatingIp",
    "Gateway",
    "HostFabric",
    "HostRoute",
    "HostState",
    "Network",
    "Northbound",
    "Packet",
    "Pipeline",
    "Port",
    "PortForwarding",
    "Route",
    "Router",
    "RouterPort",
    "Rule",
    "Scope",
    "SecurityGroup",
    "Shaping",
    "Stage",
    "Subnet",
    "Topology",
]


class Northbound(Protocol):
    """The controller's half."""

    def sync(self, topology: Topology, scope: Scope | None = None) -> int:
        """Makes the logical network equal to `topology` in one transaction; returns how many rows it changed.

        With a `scope`, what is outside of it is neither compared nor changed. Rows that are not Pilvi's are left
        alone. Raises FabricError; then nothing has changed."""

    def compare(self, topology: Topology) -> tuple[list[str], list[str]]:
        """What of ours is there and not in the topology, and what is missing, as the driver calls it. Changes nothing."""

    def disturbances(self) -> int:
        """Grows whenever somebody else may have changed what `sync` made: then all of it is to be compared."""

    def ports_up(self) -> frozenset[str]:
        """Ids of the ports that some host has joined to the network."""

    def trace(self, packet: Packet) -> tuple[Pipeline, ...]:
        """The switches' and routers' pipelines that the packet would go through, in order.

        They are named by the ids of networks and routers. Raises FabricError, also where the network is simulated."""

    def hosts(self) -> tuple[HostState, ...]:
        """The hosts that carry the network, those that have fallen silent among them. Raises FabricError."""

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

    def joined(self) -> frozenset[str]:
        """The plugged ports whose devices the switch knows; it may have lost its database. Raises FabricError."""

    def counters(self) -> dict[str, Counters]:
        """Port -> what has gone through its device on this host since that was made. Raises FabricError."""

    def end_stale(self, floating: Mapping[str, str | None]) -> int:
        """Ends connections over a floating address (IPv4) with a guest to which it does not lead, or no more.

        `floating`: address -> fixed address. The switch alone would let them go on. Returns how many pairs of
        addresses were cut off; what other addresses have is left alone. Raises FabricError."""

    def guard(self, trusted: Collection[str]) -> int:
        """Guests' router advertisements go nowhere, but for those from behind these ports.

        Returns for how many ports that was changed. The switch may forget it. Raises FabricError."""

    def namespace(self) -> str | None:
        """The network namespace that the devices are in; None for the host's own."""

    def ensure_metadata(
        self, network_id: str, port_id: str, mac: str, addresses: tuple[str, ...]
    ) -> str | None:
        """A namespace with the network's metadata port: `addresses` ("10.0.0.2/24"), 169.254.169.254 and fe80::a9fe:a9fe.

        Returns the namespace's name, where Pilvi then listens; None where the fabric carries no packets."""

    def absent_metadata(self, network_id: str) -> None: ...

    def metadata_networks(self) -> dict[str, str]:
        """Network ids and their metadata namespaces on this host."""

    def close(self) -> None: ...
