"""Addresses and quota are given out once, however many ask at once; and in few queries, however many have some."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from pilvi.db import metadata
from pilvi.drivers.fabric.simulated import SimulatedNorthbound
from pilvi.faults import Fault
from pilvi.network import tables, wire
from pilvi.network.service import Networks, NicRequest
from pilvi.policy import Context, with_implied
from tests.support.faces import SmallCloud
from tests.support.postgresql import postgresql

ALICE = Context(user_id="alice", project_id="a", roles=with_implied(frozenset({"member"})))
BOB = Context(user_id="bob", project_id="b", roles=with_implied(frozenset({"member"})))


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request, tmp_path_factory):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('network')}/pilvi.db"
    else:
        with postgresql() as url:
            yield url


@pytest.fixture
def networks(url):
    cloud = SmallCloud(url)
    cloud.create_tables()
    found = Networks(cloud.db, cloud.clock, cloud.ids, cloud.engine, cloud.settings, northbound=SimulatedNorthbound())
    found.db = cloud.db
    found.bootstrap("172.24.4.0/24", "172.24.4.1", (), "admin")
    for project in "ab":
        found.set_quota(project, {"port": -1, "floatingip": -1})
    yield found
    metadata.drop_all(cloud.db.engine)
    cloud.close()


def lan(networks, cidr, context=ALICE, **fields):
    network = networks.create_networks(context, [wire.NetworkNew(name="lan")])[0]["id"]
    networks.create_subnets(context, [wire.SubnetNew(network_id=network, ip_version=4, cidr=cidr, **fields)])
    return network


def new_port(networks, network, **fields):
    return networks.create_ports(ALICE, [wire.PortNew(network_id=network, **fields)])[0]


def at_once(verb, times, workers=12):
    """What each call gave: its result, or the kind of its fault."""
    def call(number):
        try:
            return verb(number)
        except Fault as fault:
            return fault.kind

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(call, range(times)))


def held(networks):
    with networks.db.read() as tx:
        return [row.address for row in tx.all(sa.select(tables.addresses.c.address))]


def test_addresses_are_given_out_once(networks):
    network = lan(networks, "10.0.0.0/26")  # 61 for ports, one of them the metadata port's
    answers = at_once(lambda _: new_port(networks, network)["fixed_ips"][0]["ip_address"], 80)
    given = [answer for answer in answers if answer.startswith("10.")]
    assert len(given) == len(set(given)) == 60
    assert Counter(answers)["IpAddressGenerationFailure"] == 20


def test_one_of_many_gets_a_chosen_address(networks):
    network = lan(networks, "10.0.0.0/24")
    wanted = [wire.FixedIp(ip_address="10.0.0.77")]
    answers = at_once(lambda _: new_port(networks, network, fixed_ips=wanted)["id"], 12)
    assert Counter(answers)["IpAddressAlreadyAllocated"] == 11


def test_one_of_many_gets_a_chosen_mac_address(networks):
    network = lan(networks, "10.0.0.0/24")
    answers = at_once(lambda _: new_port(networks, network, mac_address="02:00:00:00:00:01")["id"], 12)
    assert Counter(answers)["MacAddressInUse"] == 11


def test_a_quota_holds_for_many_at_once(networks):
    network = lan(networks, "10.0.0.0/24")
    networks.set_quota("a", {"port": 7})
    answers = at_once(lambda _: new_port(networks, network)["id"], 20)
    assert Counter(answers)["OverQuota"] == 14, "the metadata port counts as well"


def test_one_of_many_servers_gets_a_port(networks):
    port = new_port(networks, lan(networks, "10.0.0.0/24"))["id"]

    def allocate(number):
        with networks.db.transaction() as tx:
            return networks.allocate(tx, ALICE, f"server-{number}", "s", [NicRequest(port_id=port)], [])[0]

    answers = at_once(allocate, 12)
    assert Counter(answers) == {port: 1, "Conflict": 11}


def test_one_default_group_a_project(networks):
    at_once(lambda _: networks.ensure_default_group(BOB), 12)
    with networks.db.read() as tx:
        groups = tx.all(sa.select(tables.security_groups).where(tables.security_groups.c.project_id == "b"))
    assert [group.name for group in groups] == ["default"]


def test_subnets_made_at_once_do_not_overlap(networks):
    network = networks.create_networks(ALICE, [wire.NetworkNew()])[0]["id"]
    subnet = wire.SubnetNew(network_id=network, ip_version=4, cidr="10.0.0.0/24")
    answers = at_once(lambda _: networks.create_subnets(ALICE, [subnet])[0]["cidr"], 12)
    assert Counter(answers) == {"10.0.0.0/24": 1, "InvalidInput": 11}


def test_making_and_deleting_at_once_loses_and_leaks_nothing(networks):
    network = lan(networks, "10.0.0.0/24")

    def come_and_go(number):
        port = new_port(networks, network)["id"]
        if number % 2:
            networks.delete_port(ALICE, port)
        return port

    at_once(come_and_go, 60)
    with networks.db.read() as tx:
        ports = tx.scalar(sa.select(sa.func.count()).select_from(tables.ports))
    assert ports == 30 + 1
    assert len(held(networks)) == ports


def test_networks_deleted_while_ports_are_made(networks):
    """Either the port is there and the network stays, or neither is there."""
    found = [lan(networks, "10.0.0.0/24") for _ in range(8)]

    def race(number):
        network = found[number // 2]
        if number % 2:
            return networks.delete_network(ALICE, network) or "gone"
        return new_port(networks, network)["id"]

    answers = at_once(race, 16)
    for made, deleted in zip(answers[::2], answers[1::2], strict=True):
        assert (made, deleted) == ("NetworkNotFound", "gone") or (made != "NetworkNotFound" and deleted == "NetworkInUse")


def test_an_address_that_came_back_rests(networks):
    network = lan(networks, "10.0.0.0/29", allocation_pools=[wire.Pool("10.0.0.2", "10.0.0.5")], enable_dhcp=False)
    first = new_port(networks, network)
    networks.delete_port(ALICE, first["id"])
    given = [new_port(networks, network)["fixed_ips"][0]["ip_address"] for _ in range(4)]
    assert given == ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.2"]


def test_the_pools_are_gone_through_in_order(networks):
    pools = [wire.Pool("10.0.0.20", "10.0.0.21"), wire.Pool("10.0.0.5", "10.0.0.6")]
    network = lan(networks, "10.0.0.0/24", allocation_pools=pools, enable_dhcp=False)
    given = [new_port(networks, network)["fixed_ips"][0]["ip_address"] for _ in range(4)]
    assert given == ["10.0.0.5", "10.0.0.6", "10.0.0.20", "10.0.0.21"]
    with pytest.raises(Fault, match="No more IP addresses available"):
        new_port(networks, network)


def fill(networks, network, count):
    """Ports with the first `count` addresses after the metadata port's, without going through the verbs."""
    with networks.db.transaction() as tx:
        subnet = tx.one(sa.select(tables.subnets).where(tables.subnets.c.network_id == network))
        ports = [f"filler-{number}" for number in range(count)]
        tx.execute(tables.ports.insert(), [
            {"id": port, "project_id": "a", "network_id": network, "created_at": 1, "updated_at": 1,
             "mac_address": f"02:00:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"}
            for number, port in enumerate(ports)])
        tx.execute(tables.addresses.insert(), [
            {"port_id": port, "subnet_id": subnet.id, "address": f"10.0.{number // 256}.{number % 256}",
             "number": f"{(10 << 24) + number:032x}"} for number, port in enumerate(ports, 3)])


def test_a_port_takes_as_many_queries_however_many_there_are(networks):
    counts = []
    for size in (0, 5000):
        network = lan(networks, "10.0.0.0/16")
        if size:
            fill(networks, network, size)
        new_port(networks, network)
        with networks.db.counting() as seen:
            new_port(networks, network)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 20, seen


def test_a_server_is_given_ports_that_its_release_takes_back(networks):
    network = lan(networks, "10.0.0.0/24")
    own = new_port(networks, network)["id"]
    before = sorted(held(networks))
    with networks.db.transaction() as tx:
        made = networks.allocate(tx, ALICE, "server", "host", [NicRequest(network), NicRequest(port_id=own)], [])
        networks.bind(tx, "server", "node")
    assert made[1] == own
    with networks.db.read() as tx:
        cards = networks.ports_of(tx, ["server", "another"])
        assert [card.id for card in cards["server"]] == made
        assert cards["server"][0].security_groups == ["default"]
        address = cards["server"][0].fixed_ips[0][1]
        assert networks.server_at(tx, network, address) == "server"
        data = networks.network_data(tx, "server")
    assert [one["type"] for one in data["networks"]] == ["ipv4_dhcp", "ipv4_dhcp"]
    with networks.db.transaction() as tx:
        networks.release(tx, "server")
    assert sorted(held(networks)) == before
    with networks.db.read() as tx:
        row = tx.one(sa.select(tables.ports).where(tables.ports.c.id == own))
    assert (row.device_id, row.device_owner, row.host) == ("", "", "")


@pytest.mark.parametrize(("requests", "groups", "status"), [
    ([NicRequest("7d5c1b9e-0000-4000-8000-000000000000")], [], 400),
    ([NicRequest(port_id="7d5c1b9e-0000-4000-8000-000000000000")], [], 404),
    ("auto", ["nonsense"], 400), ("auto", ["twice"], 409),
])
def test_what_a_server_cannot_have(networks, requests, groups, status):
    lan(networks, "10.0.0.0/24")
    networks.create_security_groups(ALICE, [wire.SecurityGroupNew(name="twice"), wire.SecurityGroupNew(name="twice")])
    before = held(networks)
    with pytest.raises(Fault) as refused, networks.db.transaction() as tx:
        networks.allocate(tx, ALICE, "server", "s", requests, groups)
    assert refused.value.status == status
    assert held(networks) == before


def test_the_networks_that_nobody_names(networks):
    def cards(requests):
        with networks.db.transaction() as tx:
            return len(networks.allocate(tx, BOB, "server", "s", requests, []))

    assert cards(None) == cards("none") == 0
    with pytest.raises(Fault, match="Unable to automatically allocate"):
        cards("auto")
    lan(networks, "10.0.0.0/24", BOB)
    assert cards(None) == cards("auto") == 1
    lan(networks, "10.0.1.0/24", BOB)
    with pytest.raises(Fault, match="Multiple possible networks"):
        cards(None)
