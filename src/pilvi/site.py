"""What depends on where the cloud runs: engines, drivers and node agents, real or simulated."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pilvi.drivers.fabric.base import Northbound
from pilvi.engine.reconcilers import Reconciler
from pilvi.node.agent import Agent
from pilvi.settings import Place, Settings

if TYPE_CHECKING:
    from pilvi.cloud import Cloud

EXTERNAL_BRIDGE = "br-ex"
PHYSICAL_NETWORK = "public"


class Site(Protocol):
    northbound: Northbound
    agents: list[Agent]

    def external_network(self) -> dict[str, Any]:
        """What `Networks.bootstrap` is told of the network around the cloud."""

    def start(self, cloud: Cloud) -> None:
        """Starts the agents; the services are there by now."""

    def processes(self) -> list[dict[str, Any]]:
        """The engines' processes: name and pid (None where one does not run)."""

    def stop(self) -> None: ...


def build_site(cloud: Cloud) -> Site:
    if cloud.settings.simulated:
        return SimulatedSite(cloud)
    return RealSite(cloud)


def external_network(settings: Settings) -> dict[str, Any]:
    network = ipaddress.ip_network(settings.network.external_cidr)
    return {"external_cidr": str(network), "gateway": str(network[1]), "dns": settings.network.dns_nameservers,
            "default_pool": settings.network.default_pool}


class SimulatedSite:
    """Hosts, guests and packets that are only pretended; everything else is the real thing."""

    def __init__(self, cloud: Cloud):
        from pilvi.drivers.disk.simulated import SimulatedDisks
        from pilvi.drivers.fabric.simulated import SimulatedFabric, SimulatedNorthbound
        from pilvi.drivers.hypervisor.simulated import SimulatedHypervisor
        from pilvi.drivers.volume.several import SeveralVolumes
        from pilvi.drivers.volume.simulated import SimulatedVolumes

        self._settings = settings = cloud.settings
        names = [f"simulated-{number}" for number in range(1, settings.simulated_hosts + 1)]
        roots = {name: cloud.place.node / name for name in names}
        fabrics = {name: SimulatedFabric(roots[name] / "fabric") for name in names}
        self.northbound = SimulatedNorthbound(tuple(fabrics.values()), names=tuple(names))
        stores = {"file": SimulatedVolumes(cloud.place / "volumes" / "simulated")} | {
            each.name: SimulatedVolumes(Path(each.path)) for each in settings.volume.backends}
        self.volumes = stores["file"]
        self.agents = [
            Agent(
                name, roots[name], cloud.bus, clock=cloud.clock, settings=settings, fabric=fabrics[name],
                hypervisor=SimulatedHypervisor(roots[name] / "guests", vcpus=settings.host.vcpus or 256,
                                               memory_mib=settings.host.memory_mib or 4 << 20),
                disks=SimulatedDisks(roots[name] / "disks", capacity_bytes=(settings.host.disk_gib or 100_000) << 30),
                volumes=SeveralVolumes(stores),
            )
            for name in names
        ]

    def external_network(self) -> dict[str, Any]:
        return external_network(self._settings)

    def start(self, cloud: Cloud) -> None:
        start_agents(cloud, self.agents)

    def processes(self) -> list[dict[str, Any]]:
        return []

    def stop(self) -> None:
        for agent in self.agents:
            agent.close()
        self.northbound.close()


def start_agents(cloud: Cloud, agents: list[Agent]) -> None:
    for agent in agents:
        agent.start(cloud)


class Names:
    """What one cloud's things on the host are called: told apart by its state folder."""

    def __init__(self, place: Place):
        tag = hashlib.blake2b(str(place.root).encode(), digest_size=4).hexdigest()
        self.namespace = f"pilvi-{tag}"
        self.outer = f"pilvi{tag}"  # the veth end where Pilvi runs; a device name has at most 15 characters
        self.inner = "uplink"


def build_stack(place: Place) -> Any:
    from pilvi.drivers.fabric.matches import DROP_GROUP
    from pilvi.supervise.ovn import OvnStack

    return OvnStack(place / "ovn", Names(place).namespace, system_id=socket.gethostname(),
                    bridge_mappings={PHYSICAL_NETWORK: EXTERNAL_BRIDGE}, northd_waits_for=DROP_GROUP)


class RealSite:
    """One host: OVN and Open vSwitch in a namespace of Pilvi's, QEMU guests on it."""

    def __init__(self, cloud: Cloud):
        from pilvi.drivers.fabric.ovn import OvnNorthbound

        self._settings = cloud.settings
        self.names = Names(cloud.place)
        self.stack = build_stack(cloud.place)
        self.stack.start()
        self.join_world()
        self.northbound = OvnNorthbound(self.stack.sockets.nb, (socket.gethostname(),),
                                        southbound=self.stack.sockets.sb)
        self.agents: list[Agent] = []

    def join_world(self) -> None:
        """The external network's way out, joined to its bridge. Raises HostError."""
        outside = self.external_network()
        prefix = ipaddress.ip_network(outside["external_cidr"]).prefixlen
        self.stack.ensure_way_out(EXTERNAL_BRIDGE, self.names.inner, self.names.outer,
                                  [f"{outside['gateway']}/{prefix}"])
        if self._settings.network.uplink:
            self.stack.ensure_uplink(EXTERNAL_BRIDGE, self._settings.network.uplink)

    def external_network(self) -> dict[str, Any]:
        return external_network(self._settings)

    def start(self, cloud: Cloud) -> None:
        from pilvi.drivers.disk.file import FileDisks
        from pilvi.drivers.fabric.ovs import OvsFabric
        from pilvi.drivers.volume.file import FileVolumes
        from pilvi.drivers.volume.luks import Luks
        from pilvi.drivers.volume.several import SeveralVolumes

        uid, root = cloud.settings.host.guest_uid, cloud.place.node
        self.agents.append(Agent(
            cloud.settings.host.name or socket.gethostname(), root, cloud.bus, clock=cloud.clock,
            settings=cloud.settings,
            hypervisor=build_hypervisor(cloud.place, cloud.settings, userspace=self.stack.userspace,
                                        unseal=cloud.volume_keys.decrypt),
            disks=FileDisks(root / "disks", uid=uid, gid=uid),
            fabric=OvsFabric(self.stack.sockets.ovsdb, self.names.namespace, userspace=self.stack.userspace),
            volumes=SeveralVolumes({"file": FileVolumes(cloud.place / "volumes", uid=uid, gid=uid)} | {
                each.name: FileVolumes(Path(each.path), uid=uid, gid=uid) for each in cloud.settings.volume.backends}),
            luks=Luks(cloud.place / "volumes" / "luks", cloud.volume_keys.decrypt),
        ))
        engines = EngineDaemons(self)
        cloud.engine.add_reconciler(engines)
        cloud.network.on_change(lambda: cloud.engine.poke_reconciler(engines.name))
        start_agents(cloud, self.agents)

    def processes(self) -> list[dict[str, Any]]:
        return [{"name": name, "pid": pid} for name, pid in self.stack.status().items()]

    def stop(self) -> None:
        for agent in self.agents:
            agent.close()
        self.northbound.close()


def build_hypervisor(place: Place, settings: Settings, *, userspace: bool,
                     unseal: Callable[[str], bytes] = str.encode) -> Any:
    """`unseal`: the key of an encrypted disk -> its passphrase; who starts no guests needs none."""
    from pilvi.drivers.hypervisor.qemu import QemuHypervisor

    uid = settings.host.guest_uid
    return QemuHypervisor(place.node / "guests", namespace=Names(place).namespace, uid=uid, gid=uid,
                          userspace_datapath=userspace, unseal=unseal)


def guests_have_kvm(uid: int) -> bool:
    """Whether guests that run as this user are accelerated on this host."""
    from pilvi.drivers.hypervisor.qemu_command import accelerated

    return accelerated(uid, uid)


class EngineDaemons(Reconciler):
    """Keeps the databases, northd, the switch and its controller running."""

    name = "engines"
    period = 0.5
    shared = False

    def __init__(self, site: RealSite):
        self._site = site

    def reconcile(self) -> str:
        restarted = self._site.stack.check()
        if "conf-db" in restarted:  # it may have begun anew, and know no devices
            self._site.join_world()
            for agent in self._site.agents:
                agent.switch_restarted()
        if self._site.stack.northd_waits():
            return "northd waits for the northbound database to be filled"
        return "restarted " + ", ".join(restarted) if restarted else "all run"


def tear_down(place: Place) -> None:
    """Ends the engines and takes the namespaces away, when no guest needs them any more."""
    from pilvi.drivers.fabric.ovs import OvsFabric
    from pilvi.supervise import namespace

    names, stack = Names(place), build_stack(place)
    if namespace.exists(names.namespace):
        if stack.status()["switch"]:
            fabric = OvsFabric(stack.sockets.ovsdb, names.namespace, userspace=stack.userspace)
            for network in fabric.metadata_networks():
                fabric.absent_metadata(network)
            fabric.close()
        stack.stop()
        namespace.absent_link(None, names.outer)
        namespace.absent_namespace(names.namespace)
