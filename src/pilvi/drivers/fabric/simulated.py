"""The fabric without packets: remembers what it was told, and fails when it is told to.

A product of its own, for clouds that only answer their API, and so under the contract of the real drivers.
What it remembers lasts in a folder where it is given one: a file written and renamed per change, not synced.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from pilvi.drivers.fabric import consistency
from pilvi.drivers.fabric.base import Counters, FabricError, HostState, Packet, Pipeline, Scope, Topology
from pilvi.drivers.pretend import Faults
from pilvi.notes import Notes, replace


class SimulatedFabric(Faults):
    error = FabricError

    def __init__(self, root: Path | None = None) -> None:
        super().__init__()
        self._ports = Notes(root and root / "ports")
        self._metadata = Notes(root and root / "metadata")
        self._loose: set[str] = set()

    def plug(self, port_id: str, mac: str, mtu: int, owner_uid: int) -> str:
        self.strike("plug", f"port {port_id}")
        device = f"tap{port_id}"[:14]
        self._loose.discard(port_id)
        self._ports.put(port_id, device)
        return device

    def unplug(self, port_id: str) -> None:
        self.strike("unplug", f"port {port_id}")
        self._ports.drop(port_id)

    def plugged(self) -> dict[str, str]:
        return dict(self._ports.values)

    def joined(self) -> frozenset[str]:
        return frozenset(self._ports.values) - self._loose

    def forget(self) -> None:
        """The switch has lost its database: it knows none of the devices."""
        self._loose = set(self._ports.values)

    def counters(self) -> dict[str, Counters]:
        """Nothing goes through pretended ports."""
        return {port_id: Counters() for port_id in self._ports.values}

    def end_stale(self, floating: Mapping[str, str | None]) -> int:
        """Nobody is connected."""
        self.strike("end_stale", "connections")
        return 0

    def guard(self, trusted: Collection[str]) -> int:
        """Nobody says anything."""
        self.strike("guard", "the ports")
        return 0

    def namespace(self) -> str | None:
        return None

    def ensure_metadata(
        self, network_id: str, port_id: str, mac: str, addresses: tuple[str, ...]
    ) -> str | None:
        self.strike("ensure_metadata", f"network {network_id}")
        self._metadata.put(network_id, f"simulated-md-{network_id}")
        return None

    def absent_metadata(self, network_id: str) -> None:
        self.strike("absent_metadata", f"network {network_id}")
        self._metadata.drop(network_id)

    def metadata_networks(self) -> dict[str, str]:
        return dict(self._metadata.values)

    def close(self) -> None:
        """Nothing is held open."""


class SimulatedNorthbound(Faults):
    """`fabrics` are the hosts whose plugged ports are up, `names` what those are called."""

    error = FabricError

    def __init__(
        self, fabrics: tuple[SimulatedFabric, ...] = (), root: Path | None = None, names: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self._names = names
        self._fabrics = fabrics
        self._file = root / "topology" if root is not None else None
        self._syncing = threading.Lock()
        self._objects: Objects = {kind: {} for kind in KINDS}
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            if self._file.exists():
                self.topology = msgspec.msgpack.decode(self._file.read_bytes(), type=Topology)

    @property
    def topology(self) -> Topology:
        """What it was told to be."""
        with self._syncing:
            kept = self._objects
            return Topology(**{kind: tuple(kept[kind][key] for key in sorted(kept[kind])) for kind in KINDS})

    @topology.setter
    def topology(self, topology: Topology) -> None:
        with self._syncing:
            self._objects = _objects(topology)

    def sync(self, topology: Topology, scope: Scope | None = None) -> int:
        self.strike("sync", "the topology")
        consistency.check(topology)
        told = _objects(topology)
        with self._syncing:
            changed = 0
            for kind, kept in self._objects.items():
                chosen = kept.keys() | told[kind].keys() if scope is None else getattr(scope, kind, ())
                for key in chosen:
                    if (thing := told[kind].get(key)) != kept.get(key):
                        changed += 1
                        kept.pop(key, None) if thing is None else kept.update({key: thing})
        if changed and self._file is not None:
            replace(self._file, msgspec.msgpack.encode(self.topology))
        return changed

    def compare(self, topology: Topology) -> tuple[list[str], list[str]]:
        with self._syncing:
            have = {f"{kind} {key}" for kind, kept in self._objects.items() for key in kept}
        want = {f"{kind} {key}" for kind, things in _objects(topology).items() for key in things}
        return sorted(have - want), sorted(want - have)

    def disturbances(self) -> int:
        """Nobody else can."""
        return 0

    def hosts(self) -> tuple[HostState, ...]:
        self.strike("hosts", "the hosts")
        return tuple(HostState(name, name) for name in self._names)

    def ports_up(self) -> frozenset[str]:
        known = self._objects["ports"]
        up = {port for fabric in self._fabrics for port in fabric.plugged() if port in known}
        return frozenset(up.union(port.id for port in list(known.values()) if port.trunk and port.trunk[0] in up))

    def trace(self, packet: Packet) -> tuple[Pipeline, ...]:
        raise FabricError("no packet can be traced: this cloud's network is simulated and carries none")

    def close(self) -> None:
        """Nothing is held open."""


KINDS = Topology.__struct_fields__
Objects = dict[str, dict[str, object]]  # kind -> id -> thing


def _objects(topology: Topology) -> Objects:
    return {kind: {thing.id: thing for thing in getattr(topology, kind)} for kind in KINDS}
