"""The agent's passes, over metadata ports and connections: from nothing, twice, and while something fails."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import msgspec
import pytest

from pilvi.bus.local import LocalBus
from pilvi.db import Database
from pilvi.drivers.disk.simulated import SimulatedDisks
from pilvi.drivers.fabric.base import FabricError
from pilvi.drivers.fabric.simulated import SimulatedFabric
from pilvi.drivers.hypervisor.simulated import SimulatedHypervisor
from pilvi.drivers.volume.simulated import SimulatedVolumes
from pilvi.engine.clock import SystemClock
from pilvi.node import reconcilers
from pilvi.node.agent import Agent
from pilvi.node.messages import GuestSpec, ImageSource, Order, PortSpec
from pilvi.node.reconcilers import Cards, Connections, MetadataPorts
from pilvi.settings import Settings

RED = ("red", "port-red", "fa:16:3e:00:00:01", ["10.0.0.2/24"])
BLUE = ("blue", "port-blue", "fa:16:3e:00:00:02", ["10.0.1.2/24", "10.0.2.2/24"])


class Fabric(SimulatedFabric):
    """One that has namespaces, and counts what it is asked for."""

    def __init__(self):
        super().__init__()
        self.made = []

    def ensure_metadata(self, network_id, port_id, mac, addresses):
        super().ensure_metadata(network_id, port_id, mac, addresses)
        self.made.append((network_id, port_id, mac, addresses))
        return f"namespace-{network_id}"


class Server:
    def __init__(self):
        self.serving = {}

    def serve(self, network_id, *listeners):
        assert network_id not in self.serving
        self.serving[network_id] = listeners

    def stop_serving(self, network_id):
        for listener in self.serving.pop(network_id, ()):
            listener.close()


class Networks(list):
    def metadata_networks(self, tx):
        return self

    def metadata_served(self, host):
        self.heard = host


@pytest.fixture
def node(tmp_path, monkeypatch):
    asked = []

    def listen_in(namespace, address, port):
        asked.append((namespace, address, port))
        return socket.create_server(("127.0.0.1", 0))

    monkeypatch.setattr(reconcilers, "listen_in", listen_in)
    fabric, server, networks = Fabric(), Server(), Networks()
    cloud = SimpleNamespace(
        db=Database(f"sqlite:///{tmp_path / 'db'}", SystemClock()), network=networks, metadata_server=server
    )
    agent = SimpleNamespace(name="host", fabric=fabric)
    node = SimpleNamespace(
        fabric=fabric,
        server=server,
        networks=networks,
        asked=asked,
        again=lambda: MetadataPorts(agent, cloud),
    )
    node.ports = node.again()
    yield node
    for network_id in list(server.serving):
        server.stop_serving(network_id)
    cloud.db.close()


def test_from_nothing_and_twice(node):
    assert node.ports.reconcile() == "0 networks"
    node.networks[:] = [RED, BLUE]
    assert node.ports.reconcile() == node.ports.reconcile() == "2 networks"
    assert sorted(node.fabric.made) == [(*BLUE[:3], tuple(BLUE[3])), (*RED[:3], tuple(RED[3]))]
    assert sorted(node.asked) == [(f"namespace-{name}", address, 80) for name in ("blue", "red")
                                  for address in ("169.254.169.254", "fe80::a9fe:a9fe%eth0")]
    assert node.server.serving.keys() == {"red", "blue"}
    node.networks[:] = [BLUE]
    assert node.ports.reconcile() == "1 networks"
    assert node.server.serving.keys() == node.fabric.metadata_networks().keys() == {"blue"}


def test_an_address_that_changes_is_carried_over(node):
    node.networks[:] = [RED]
    node.ports.reconcile()
    node.networks[:] = [(*RED[:3], ["10.0.0.2/24", "10.9.0.2/24"])]
    node.ports.reconcile()
    assert node.fabric.made[-1][3] == ("10.0.0.2/24", "10.9.0.2/24")
    assert node.server.serving.keys() == {"red"}


def test_what_an_earlier_process_left_is_taken_over_or_away(node):
    node.networks[:] = [RED, BLUE]
    node.ports.reconcile()
    for network_id in ("red", "blue"):
        node.server.stop_serving(network_id)
    node.networks[:] = [RED]
    assert node.again().reconcile() == "1 networks"
    assert node.server.serving.keys() == node.fabric.metadata_networks().keys() == {"red"}


@pytest.mark.parametrize("broken", ["fabric", "socket"])
def test_the_trouble_of_one_network_is_its_own(node, monkeypatch, broken):
    node.networks[:] = [RED, BLUE]
    ensure, listen = node.fabric.ensure_metadata, reconcilers.listen_in

    def no_port(network_id, *rest):
        if network_id == "red":
            raise reconcilers.FabricError("no veth")
        return ensure(network_id, *rest)

    def no_socket(namespace, *rest):
        if namespace == "namespace-red":
            raise OSError("no socket")
        return listen(namespace, *rest)

    if broken == "fabric":
        node.fabric.ensure_metadata = no_port
    else:
        monkeypatch.setattr(reconcilers, "listen_in", no_socket)
    for _ in range(2):
        with pytest.raises(reconcilers.FabricError, match=r"^network red: no (veth|socket)$"):
            node.ports.reconcile()
        assert node.server.serving.keys() == {"blue"}
    node.fabric.ensure_metadata = ensure
    monkeypatch.setattr(reconcilers, "listen_in", listen)
    assert node.ports.reconcile() == "2 networks"
    assert node.server.serving.keys() == {"red", "blue"}


class Switch(SimulatedFabric):
    """One that ends a connection the first time that it is asked about an address."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def end_stale(self, floating):
        super().end_stale(floating)
        self.asked.append(dict(floating))
        return int(len(self.asked) == 1)


def test_connections_are_looked_at_a_few_times_after_each_change(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'db'}", SystemClock())
    floating = {"172.24.4.5": "10.0.0.3"}
    networks = SimpleNamespace(floating_targets=lambda tx: dict(floating))
    switch = Switch()
    task = Connections(SimpleNamespace(name="one", fabric=switch), SimpleNamespace(db=db, network=networks))
    assert task.reconcile() == "1 floating addresses, ended 1 connections"
    for _ in range(5):
        assert task.reconcile() == "1 floating addresses"
    assert switch.asked == [floating] * 3
    floating["172.24.4.5"] = None
    switch.fail("end_stale", "the switch is away")
    with pytest.raises(FabricError):
        task.reconcile()
    for _ in range(5):
        task.reconcile()
    assert switch.asked[3:] == [{"172.24.4.5": None}] * 3
    db.close()


GUEST = GuestSpec("", 1, "guest", 1, 128, None, 1 << 30)


class TestCards:
    """Guests' cards that the switch knows no more."""

    @pytest.fixture
    def agent(self, tmp_path):
        agent = Agent("one", tmp_path, LocalBus(), clock=SystemClock(), settings=Settings(),
                      hypervisor=SimulatedHypervisor(tmp_path / "guests", vcpus=4, memory_mib=4096),
                      disks=SimulatedDisks(tmp_path / "disks", capacity_bytes=1 << 40), fabric=SimulatedFabric(),
                      volumes=SimulatedVolumes(tmp_path / "volumes"))
        yield agent
        agent.close()

    def guest(self, agent, tmp_path, name, alive=True):
        port = PortSpec(f"port-{name}", "fa:16:3e:00:00:09", 1442)
        image = tmp_path / "image"
        image.write_bytes(b"image")
        source = ImageSource("image", str(image), "raw")
        agent.prepare(msgspec.structs.replace(GUEST, server_id=name, ports=(port,), image=source))
        if alive:
            agent.start_guest(Order(name, 1))
        return port.id

    def test_are_joined_again(self, agent, tmp_path):
        alive = self.guest(agent, tmp_path, "alive")
        self.guest(agent, tmp_path, "off", alive=False)
        cards = Cards(agent)
        assert cards.reconcile() == "1 cards"
        agent.fabric.forget()
        assert cards.reconcile() == "0 cards, 1 joined again"
        assert agent.fabric.joined() == {alive}
        assert cards.reconcile() == "1 cards"

    def test_while_the_switch_is_away(self, agent, tmp_path):
        alive, other = self.guest(agent, tmp_path, "alive"), self.guest(agent, tmp_path, "other")
        agent.fabric.forget()
        agent.fabric.fail("plug", "no switch")
        with pytest.raises(FabricError, match="no switch"):
            Cards(agent).reconcile()
        Cards(agent).reconcile()
        assert agent.fabric.joined() == {alive, other}


def test_metadata_ports_are_made_again_when_the_switch_may_have_forgotten_them(node):
    node.networks[:] = [RED]
    node.ports.reconcile()
    node.ports.reconcile()
    assert len(node.fabric.made) == 1
    node.ports.again()
    node.ports.reconcile()
    assert len(node.fabric.made) == 2
    assert node.server.serving.keys() == {"red"}
