"""Fifty at once where forty fit: nothing is given twice, and who is refused is told why.

On SQLite and on PostgreSQL, where many write at the same time."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from pilvi import quota
from pilvi.compute.tables import servers
from pilvi.placement import tables as placement
from tests.support.cloud import Served, simulated_cloud
from tests.support.postgresql import postgresql
from tests.support.wait import eventually

ASKED, FIT = 50, 40
FLAVOR = {"name": "unit", "vcpus": 1, "ram": 64, "disk": 1, "id": "unit"}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request):
    with ExitStack() as stack:
        yield stack.enter_context(postgresql()) if request.param == "postgresql" else ""


def prepare(cloud: Served, cidr: str, pool: tuple[str, str] | None = None):
    admin, user = cloud.login("admin"), cloud.login()
    admin.post("/compute/v2.1/flavors", {"flavor": FLAVOR})
    with cloud.cloud.db.transaction() as tx:
        quota.set_limits(tx, "compute", user.project_id, {"instances": -1, "cores": -1, "ram": -1})
    image, network = cloud.image(), user.post("/network/v2.0/networks", {"network": {"name": "n"}})["network"]["id"]
    subnet = {"name": "s", "network_id": network, "ip_version": 4, "cidr": cidr}
    if pool:
        subnet["allocation_pools"] = [{"start": pool[0], "end": pool[1]}]
    user.post("/network/v2.0/subnets", {"subnet": subnet})
    return user, image, network


def create_all(user, image: str, network: str):
    def create(number: int):
        return user.request("POST", "/compute/v2.1/servers", {"server": {
            "name": f"s{number}", "imageRef": image, "flavorRef": "unit", "networks": [{"uuid": network}]}})

    with ThreadPoolExecutor(ASKED) as pool:
        return list(pool.map(create, range(ASKED)))


def check(cloud: Served, user, answers, reason: str) -> None:
    statuses = Counter(answer.status for answer in answers)
    assert statuses[202] == FIT, statuses
    refused = [answer for answer in answers if answer.status != 202]
    assert len(refused) == ASKED - FIT
    for answer in refused:
        assert 400 <= answer.status < 500, answer
        (fault,) = answer.json().values()
        assert reason in fault["message"], fault
    check_servers(cloud, user)


def check_servers(cloud: Served, user) -> None:
    """As many as fit are there, each with what it was given and nobody else has."""
    def states():
        return Counter(server["status"] for server in
                       user.get("/compute/v2.1/servers/detail")["servers"])

    eventually(lambda: states() == {"ACTIVE": FIT}, 60, f"{FIT} active servers")
    detail = user.get("/compute/v2.1/servers/detail")["servers"]
    addresses = [one["addr"] for server in detail for nics in server["addresses"].values() for one in nics]
    assert len(addresses) == len(set(addresses)) == FIT
    with cloud.cloud.db.read() as tx:
        used = tx.scalar(sa.select(sa.func.count()).select_from(placement.allocations)
                         .where(placement.allocations.c.resource_class == "VCPU"))
        assert used == FIT == tx.scalar(sa.select(sa.func.count()).select_from(servers)
                                        .where(servers.c.deleted_at.is_(None)))
        ports = tx.scalar(sa.text("SELECT count(*) FROM ports WHERE device_owner LIKE 'compute:%'"))
        assert ports == FIT


def test_capacity_is_given_once(tmp_path, database):
    with simulated_cloud(tmp_path, database=database, hosts=4, vcpus=100, memory_mib=64 * 10, disk_gib=1000) as cloud:
        user, image, network = prepare(cloud, "10.1.0.0/24")
        answers = create_all(user, image, network)
        assert {answer.status for answer in answers} == {202}
        unplaced = user.get("/compute/v2.1/servers/detail?status=ERROR")["servers"]
        assert len(unplaced) == ASKED - FIT
        for server in unplaced:
            for number in range(1, 5):
                assert f"host simulated-{number}: 64 MiB of memory wanted" in server["fault"]["message"]
            user.ok("DELETE", f"/compute/v2.1/servers/{server['id']}")
        check_servers(cloud, user)


def test_addresses_are_given_once(tmp_path, database):
    with simulated_cloud(tmp_path, database=database) as cloud:
        # 41: the network's metadata port takes one.
        user, image, network = prepare(cloud, "10.1.0.0/24", ("10.1.0.10", "10.1.0.50"))
        check(cloud, user, create_all(user, image, network), "No more IP addresses")
