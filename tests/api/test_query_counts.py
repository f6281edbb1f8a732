"""A list of a thousand takes as many queries as a list of ten."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from pilvi.compute import tables as compute
from pilvi.db import Tx
from pilvi.image import tables as image
from pilvi.network import tables as network
from tests.support.wait import eventually


def copy(tx: Tx, table: sa.Table, row: Any, **values: Any) -> str:
    """Another row like this one, with an id of its own."""
    new = str(uuid.uuid4())
    tx.execute(table.insert().values({**row._mapping, "id": new, **values}))
    return new


def multiply(served: Any, server_id: str, start: int, count: int) -> None:
    """So many more servers like this one, each with a port, an address and the same security groups."""
    with served.cloud.db.transaction() as tx:
        server = tx.one(sa.select(compute.servers).where(compute.servers.c.id == server_id))
        port = tx.one(sa.select(network.ports).where(network.ports.c.device_id == server_id))
        address = tx.one(sa.select(network.addresses).where(network.addresses.c.port_id == port.id))
        groups = tx.all(sa.select(network.port_groups).where(network.port_groups.c.port_id == port.id))
        picture = tx.one(sa.select(image.images))
        for number in range(start, start + count):
            copied = copy(tx, compute.servers, server, name=f"copy-{number}")
            mac = f"fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
            its_port = copy(tx, network.ports, port, device_id=copied, mac_address=mac)
            its_address = {"port_id": its_port, "address": f"10.1.200.{number}", "number": f"{number:032x}"}
            tx.execute(network.addresses.insert().values({**address._mapping, **its_address}))
            for group in groups:
                tx.execute(network.port_groups.insert().values({**group._mapping, "port_id": its_port}))
            copy(tx, image.images, picture, name=f"copy-{number}")


@pytest.fixture
def lists(served):
    """A function that makes so many more things, and says how long a list is then, and how many queries it takes."""
    user = served.login()
    server_id = user.post("/compute/v2.1/servers", {"server": {
        "name": "one", "imageRef": served.image(), "flavorRef": "42",
        "networks": [{"uuid": served.network(user, cidr="10.1.0.0/16")}]}})["server"]["id"]
    eventually(lambda: user.get(f"/compute/v2.1/servers/{server_id}")["server"]["status"] == "ACTIVE")

    def count(path: str, start: int, more: int) -> tuple[int, int]:
        """The second time: what is kept in memory is there by then. Nobody else asks meanwhile."""
        multiply(served, server_id, start, more)
        user.get(path)
        with served.cloud.db.counting("request") as seen:
            rows = user.get(path)[path.partition("?")[0].split("/")[3]]
        return len(rows), len(seen)

    return count


@pytest.mark.parametrize("path", [
    "/compute/v2.1/servers/detail?limit=1000", "/compute/v2.1/servers?limit=1000", "/network/v2.0/ports",
    "/image/v2/images?limit=1000"])
def test_a_thousand_take_as_many_queries_as_ten(lists, path):
    few, queries_of_few = lists(path, 1, 9)
    many, queries_of_many = lists(path, 10, 990)
    assert many >= 1000 > few >= 10
    assert queries_of_many == queries_of_few
