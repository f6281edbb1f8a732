"""Subnet pools: what they give to subnets, and what they refuse."""

from __future__ import annotations

import ipaddress

import pytest

from pilvi.network.subnetpools import first_free
from tests.api.test_network_edges import ADMIN, ALICE, BOB, UNKNOWN, Client, client, cloud  # noqa: F401


@pytest.fixture
def pool(client: Client) -> dict:  # noqa: F811
    return client.make("subnetpool", name="labs", prefixes=["10.2.0.0/16", "10.3.0.0/16"], min_prefixlen=20,
                       default_prefixlen=24, max_prefixlen=28)


def take(client, pool, token=ALICE, network=None, status=201, **fields):  # noqa: F811
    network = network or client.make("network", token)["id"]
    body = {"network_id": network, "ip_version": pool["ip_version"], "subnetpool_id": pool["id"], **fields}
    answer = client("POST", "/subnets", {"subnet": body}, token, status).json
    return answer["subnet"] if status == 201 else answer["NeutronError"]["type"]


def test_a_pool_says_what_it_is(client, pool):  # noqa: F811
    assert pool["prefixes"] == ["10.2.0.0/15"], "prefixes side by side are one"
    assert (pool["ip_version"], pool["shared"], pool["is_default"], pool["default_quota"]) == (4, False, False, None)
    six = client.make("subnetpool", name="six", prefixes=["fd00::/48"])
    assert (six["min_prefixlen"], six["default_prefixlen"], six["max_prefixlen"]) == (64, 64, 128)
    found = client.get("/subnetpools?ip_version=6&fields=id&fields=name")["subnetpools"]
    assert found == [{"id": six["id"], "name": "six"}]


def test_subnets_of_a_pool_do_not_overlap(client, pool):  # noqa: F811
    assert take(client, pool)["cidr"] == "10.2.0.0/24"
    assert take(client, pool, prefixlen=20)["cidr"] == "10.2.16.0/20"
    second = take(client, pool)
    assert (second["cidr"], second["subnetpool_id"], second["gateway_ip"]) == ("10.2.1.0/24", pool["id"], "10.2.1.1")
    assert take(client, pool, cidr="10.3.255.0/24")["cidr"] == "10.3.255.0/24"
    assert take(client, pool, status=409, cidr="10.2.0.0/23") == "SubnetAllocationError"
    client.delete(f"/subnets/{second['id']}")
    assert take(client, pool)["cidr"] == "10.2.1.0/24", "what was given back is given again"
    listed = client.get(f"/subnets?subnetpool_id={pool['id']}")["subnets"]
    assert len(listed) == 4


@pytest.mark.parametrize(("fields", "status", "kind"), [
    ({"prefixlen": 8}, 400, "MinPrefixSubnetAllocationError"), ({"prefixlen": 30}, 400, "MaxPrefixSubnetAllocationError"),
    ({"cidr": "10.9.0.0/24"}, 409, "SubnetAllocationError"), ({"ip_version": 6}, 400, "BadRequest"),
    ({"cidr": "10.2.0.0/24", "prefixlen": 24}, 400, "BadRequest"), ({"subnetpool_id": UNKNOWN}, 404, "SubnetPoolNotFound"),
    ({"allocation_pools": [{"start": "10.2.0.5", "end": "10.2.0.9"}]}, 400, "BadRequest"),
    ({"use_default_subnetpool": True}, 400, "BadRequest"), ({"subnetpool_id": None}, 400, "BadRequest"),
    ({"subnetpool_id": None, "use_default_subnetpool": True}, 404, "NoDefaultSubnetpool"),
])
def test_what_a_pool_does_not_give(client, pool, fields, status, kind):  # noqa: F811
    assert take(client, pool, status=status, **fields) == kind


def test_a_pool_runs_out(client):  # noqa: F811
    small = client.make("subnetpool", name="small", prefixes=["10.4.0.0/24"], min_prefixlen=25, default_prefixlen=25)
    assert [take(client, small)["cidr"] for _ in range(2)] == ["10.4.0.0/25", "10.4.0.128/25"]
    assert take(client, small, status=409) == "SubnetAllocationError"


def test_the_subnets_of_one_network_are_of_one_pool(client, pool):  # noqa: F811
    network, _ = client.lan("192.168.0.0/24")
    assert take(client, pool, network=network["id"], status=400) == "NetworkSubnetPoolAffinityError"


def test_a_pools_quota_is_each_projects(client):  # noqa: F811
    shared = client.make("subnetpool", ADMIN, name="all", prefixes=["10.4.0.0/16"], default_prefixlen=24, shared=True,
                         default_quota=300)
    take(client, shared)
    assert take(client, shared, status=409) == "SubnetPoolQuotaExceeded"
    assert take(client, shared, BOB)["cidr"] == "10.4.1.0/24"


def test_whose_pool_it_is(client, pool):  # noqa: F811
    assert client("GET", f"/subnetpools/{pool['id']}", token=BOB).status_code == 404
    assert take(client, pool, BOB, status=404) == "SubnetPoolNotFound"
    fields = {"name": "x", "prefixes": ["10.0.0.0/8"]}
    for flag in ("shared", "is_default"):
        refused = client.refused("POST", "/subnetpools", {"subnetpool": {**fields, flag: True}})
        assert refused == (403, "PolicyNotAuthorized")
    shared = client.make("subnetpool", ADMIN, **fields, shared=True)
    assert client.put("subnetpool", shared, status=403, name="mine") == "PolicyNotAuthorized"


def test_the_default_pool(client):  # noqa: F811
    client.make("subnetpool", ADMIN, name="std", prefixes=["10.8.0.0/16"], default_prefixlen=26, is_default=True,
                shared=True)
    other = client.make("subnetpool", ADMIN, name="other", prefixes=["10.9.0.0/16"])
    assert client.put("subnetpool", other, ADMIN, 400, is_default=True) == "InvalidInput"
    network = client.make("network")
    made = client.make("subnet", network_id=network["id"], ip_version=4, use_default_subnetpool=True)
    assert made["cidr"] == "10.8.0.0/26"


def test_a_pool_changes(client, pool):  # noqa: F811
    assert client.put("subnetpool", pool, status=400, prefixes=["10.2.0.0/16"]) == "IllegalSubnetPoolUpdate"
    assert client.put("subnetpool", pool, status=400, prefixes=["fd00::/48"]) == "PrefixVersionMismatch"
    assert client.put("subnetpool", pool, status=400, default_prefixlen=29) == "IllegalSubnetPoolPrefixBounds"
    assert client.put("subnetpool", pool, status=400, max_prefixlen=33) == "IllegalSubnetPoolPrefixBounds"
    changed = client.put("subnetpool", pool, name="new", prefixes=["10.0.0.0/8"], default_prefixlen=26)
    assert (changed["name"], changed["prefixes"], changed["min_prefixlen"]) == ("new", ["10.0.0.0/8"], 20)
    assert take(client, changed)["cidr"] == "10.0.0.0/26"


def test_a_pool_goes_when_nothing_is_of_it(client, pool):  # noqa: F811
    subnet = take(client, pool)
    assert client.refused("DELETE", f"/subnetpools/{pool['id']}") == (409, "SubnetPoolDeleteError")
    client.delete(f"/networks/{subnet['network_id']}")
    client.delete(f"/subnetpools/{pool['id']}")
    assert client("GET", f"/subnetpools/{pool['id']}").status_code == 404


@pytest.mark.parametrize(("prefixes", "kind"), [
    ([], "EmptySubnetPoolPrefixList"), (["10.0.0.0/8", "fd00::/48"], "PrefixVersionMismatch"), (["x"], "HTTPBadRequest"),
    (["10.0.0.1/8"], "HTTPBadRequest"),
])
def test_prefixes_that_are_none(client, prefixes, kind):  # noqa: F811
    assert client.refused("POST", "/subnetpools", {"subnetpool": {"name": "x", "prefixes": prefixes}}) == (400, kind)


@pytest.mark.parametrize(("used", "length", "found"), [
    ([], 24, "10.0.0.0/24"), (["10.0.0.0/25"], 24, "10.0.1.0/24"), (["10.0.0.0/25"], 25, "10.0.0.128/25"),
    (["10.0.2.0/24", "10.0.0.0/24"], 24, "10.0.1.0/24"), (["10.0.0.0/24", "10.0.1.0/24"], 23, "10.0.2.0/23"),
    (["10.0.0.0/23", "10.0.2.0/23"], 24, None), ([], 21, None), (["10.0.0.0/16"], 24, None),
])
def test_the_first_free_prefix(used, length, found):
    networks = [ipaddress.ip_network(text) for text in used]
    free = first_free(ipaddress.ip_network("10.0.0.0/22"), networks, length)
    assert (free and str(free)) == found
