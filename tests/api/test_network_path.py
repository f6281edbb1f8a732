"""Whose paths one may ask for, and what of other projects is told on the way."""

from __future__ import annotations

import pytest
from falcon import testing

from pilvi.drivers.fabric.base import Packet, Pipeline, Stage
from pilvi.drivers.fabric.simulated import SimulatedNorthbound
from pilvi.faces import operator
from pilvi.network import store, tables, wire
from pilvi.network.routes import API
from pilvi.network.service import Networks
from tests.support.faces import SmallCloud

ALICE, BOB, ADMIN = "alice:a:member", "bob:b:member", "root:admin:admin"


class Traced(SimulatedNorthbound):
    """Lets everything out, and nothing in."""

    def trace(self, packet: Packet) -> tuple[Pipeline, ...]:
        network = next(port.network_id for port in self.topology.ports if port.id == packet.inport)
        target = next(port for port in self.topology.ports for one in port.fixed_ips if one.ip_address == packet.ip_dst)
        return (
            Pipeline("ingress", network, packet.inport, "", (Stage("ls_in_l2_lkup", "1", ("output;",)),)),
            Pipeline("egress", network, packet.inport, target.id,
                     (Stage("ls_out_acl", "outport == @pilvi_drop && ip", ("drop;",)),)),
        )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    cloud = SmallCloud(f"sqlite:///{tmp_path_factory.mktemp('path')}/pilvi.db")
    cloud.northbound = Traced()
    cloud.network = Networks(cloud.db, cloud.clock, cloud.ids, cloud.engine, cloud.settings, northbound=cloud.northbound)
    cloud.create_tables()
    cloud.network.bootstrap("172.24.4.0/24", "172.24.4.1", (), "admin")
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def ports(cloud):
    """Alice's and Bob's on one network that Alice's project has and shares."""
    client = testing.TestClient(cloud.app(API))

    def make(noun, token, **fields):
        answer = client.simulate_post(f"/network/v2.0/{noun}s", json={noun: fields}, headers={"X-Auth-Token": token})
        assert answer.status_code == 201, answer.text
        return answer.json[noun]

    network = make("network", ADMIN, name="common", shared=True)
    make("subnet", ADMIN, network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    found = {name: make("port", token, name=name, network_id=network["id"]) for name, token in (
        ("hers", ALICE), ("his", BOB))}  # fmt: skip
    cloud.network.reconciler.reconcile()
    with cloud.db.transaction() as tx:
        store.set_statuses(tx, tables.ports, "ACTIVE", [port["id"] for port in found.values()])
    return found


@pytest.fixture
def ask(cloud):
    client = testing.TestClient(cloud.app(operator.API))

    def ask(token=ALICE, status=200, **query):
        query = {name.rstrip("_"): value for name, value in query.items()}
        answer = client.simulate_get("/pilvi/v1/network/path", params=query, headers={"X-Auth-Token": token})
        assert answer.status_code == status, answer.text
        return answer.json

    return ask


def address(port):
    return port["fixed_ips"][0]["ip_address"]


def test_the_administrator_sees_what_drops_it_and_how_to_open_it(ask, ports):
    found = ask(ADMIN, from_=ports["hers"]["id"], to=address(ports["his"]), protocol="tcp", port=22)
    assert found["passes"] is False
    (step,) = found["steps"]
    assert (step["kind"], step["id"]) == ("port", ports["his"]["id"])
    assert "no ingress rule for tcp 22" in step["text"]
    assert "--dst-port 22" in step["remedy"]


def test_a_project_asks_of_its_own_ports_by_name_and_sees_nothing_of_others(ask, ports):
    (step,) = ask(from_="hers", to=address(ports["his"]), protocol="tcp", port=22)["steps"]
    assert step == {"passes": False, "kind": "port", "id": "", "remedy": "", "text": "another project's port drops it"}
    (own,) = ask(BOB, from_="his", to=address(ports["hers"]), port=22)["steps"]
    assert own["text"] == "another project's port drops it"
    ask(status=404, from_="his", to="10.0.0.1")
    ask(status=404, from_=ports["his"]["id"], to="10.0.0.1")


def test_questions_that_make_no_sense_are_refused_with_the_field(ask, ports):
    for query, field in (
        ({"to": "10.0.0.1"}, "'from'"), ({"from_": "hers"}, "'to'"), ({"from_": "hers", "to": "nowhere"}, "'to'"),
        ({"from_": "hers", "to": "224.0.0.1"}, "'to'"),
        ({"from_": "hers", "to": "10.0.0.1", "protocol": "smtp"}, "'protocol'"),
        ({"from_": "hers", "to": "10.0.0.1", "protocol": "tcp"}, "'port'"),
        ({"from_": "hers", "to": "10.0.0.1", "protocol": "icmp", "port": "1"}, "'port'"),
        ({"from_": "hers", "to": "10.0.0.1", "port": "x"}, "port"),
        ({"from_": "hers", "to": "10.0.0.1", "source": "fd00::1"}, "'source'"),
    ):  # fmt: skip
        assert field in str(ask(status=400, **query)), query


def test_a_name_that_two_ports_have_says_nothing(ask, cloud, ports):
    context = cloud.identity.authenticate(ALICE, "")
    for _ in range(2):
        cloud.network.create_ports(context, [wire.PortNew(network_id=ports["hers"]["network_id"], name="twin")])
    assert "by its id" in str(ask(status=409, from_="twin", to="10.0.0.1"))


def test_a_simulated_network_says_that_it_carries_no_packets(ask, ports, monkeypatch):
    monkeypatch.setattr(Traced, "trace", SimulatedNorthbound.trace)
    assert "simulated" in str(ask(status=503, from_="hers", to=address(ports["his"])))
