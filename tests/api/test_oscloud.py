"""The OS Cloud API on a simulated cloud."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

from pilvi.compute import store
from pilvi.faces import oscloud
from tests.support.cloud import Session, simulated_cloud
from tests.support.wait import eventually

KEY = (
    "ssh-ed25519 "
    + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))).decode()
    + " me@here"
)


class Face:
    def __init__(self, cloud):
        self.cloud, self._session = cloud, Session(cloud.port)

    def __call__(self, method, path, body=None, status=200):
        answer = self._session.request(method, path, body)
        assert answer.status == status, answer.body
        return answer.json()

    def create(self, name="vm", status=200, **values):
        return self(
            "POST",
            "/vm_create",
            {"name": name, "image": "tiny", "network": "lab", "mem_size": "1G", "disk_size": "2G", **values},
            status,
        )

    def info(self, number, status=200):
        return self("POST", "/vm_info", {"id": number}, status)

    def becomes(self, number, state):
        eventually(lambda: self.info(number)["state"] == state, what=f"machine {number} in state {state}")


@pytest.fixture
def face(served):
    served.image("tiny")
    return Face(served)


def test_it_welcomes(served):
    answer = Session(served.port).request("GET", "/")
    assert (answer.status, answer.body.strip()) == (200, b"Welcome to OS Cloud!")
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_machine_lives_from_creation_to_deletion(face):
    assert face("GET", "/vm_list") == []
    assert face.create() == {"id": 1, "status": "ok"}
    face.becomes(1, "RUNNING")
    info = face.info(1)
    assert info.pop("ip").startswith("10.200.0.")
    assert info == {
        "id": 1,
        "name": "vm",
        "os": "tiny",
        "network": "lab",
        "state": "RUNNING",
        "mem_size": 1 << 30,
        "disk_size": 2 << 30,
    }
    assert face.create("second")["id"] == 2
    assert [machine["id"] for machine in face("GET", "/vm_list")] == [1, 2]

    assert face("POST", "/vm_stop", {"id": 1}) == {"status": "ok"}
    face.becomes(1, "STOPPED")
    assert face("POST", "/vm_start", {"id": 1}) == {"status": "ok"}
    face.becomes(1, "RUNNING")

    assert face("POST", "/vm_delete", {"id": 2}) == {"status": "ok"}
    eventually(lambda: len(face("GET", "/vm_list")) == 1, what="one machine")
    assert face.info(2, 404) == {"status": "error", "reason": "There is no machine 2."}
    assert face.create("third")["id"] == 3


def test_a_network_is_made_once_with_a_way_out(face):
    for name, network in (("a", "lab"), ("b", "lab"), ("c", "other")):
        face.create(name, network=network)
    session = face.cloud.login("oscloud")
    networks = {
        each["name"]: each["id"]
        for each in session.get("/network/v2.0/networks?router:external=False")["networks"]
    }
    assert networks.keys() == {"lab", "other"}
    subnets = session.get("/network/v2.0/subnets?ip_version=4")["subnets"]
    assert sorted(each["cidr"] for each in subnets if each["network_id"] in networks.values()) == [
        "10.200.0.0/24",
        "10.200.1.0/24",
    ]
    (router,) = session.get("/network/v2.0/routers")["routers"]
    assert router["external_gateway_info"]["enable_snat"]
    interfaces = session.get("/network/v2.0/ports?device_owner=network:router_interface")["ports"]
    assert {port["network_id"] for port in interfaces} == set(networks.values())


def test_a_network_of_the_project_is_used_as_it_is(face):
    session = face.cloud.login("oscloud")
    network = face.cloud.network(session, "mine", "10.77.0.0/24")
    face.create(network="mine")
    face.create("second", network=network)
    assert all(face.info(number)["ip"].startswith("10.77.0.") for number in (1, 2))
    assert session.get("/network/v2.0/routers")["routers"] == []


def test_a_key_reaches_the_machine_and_is_not_kept(face):
    face.create(ssh_key=KEY)
    session = face.cloud.login("oscloud")
    (server,) = session.get("/compute/v2.1/servers/detail")["servers"]
    assert server["key_name"].startswith("oscloud-")
    assert session.get("/compute/v2.1/os-keypairs")["keypairs"] == []
    with face.cloud.cloud.db.read() as tx:
        assert store.server(tx, server["id"]).key_public == KEY


@pytest.mark.parametrize(
    ("values", "status", "reason"),
    [
        ({"image": "nothing"}, 404, "nothing"),
        ({"mem_size": "much"}, 400, "mem_size"),
        ({"mem_size": "0"}, 400, "mem_size"),
        ({"disk_size": "-1G"}, 400, "disk_size"),
        ({"disk_size": "9999999T"}, 400, "disk_size"),
        ({"name": ""}, 400, "name"),
        ({"name": "n" * 256}, 400, "name"),
        ({"network": 5}, 400, "network"),
        ({"ssh_key": "no key"}, 400, "key"),
        ({"colour": "red"}, 400, "colour"),
        ({"mem_size": "900G"}, 403, "RAM"),
    ],
)
def test_creation_refuses(face, values, status, reason):
    answer = face.create(status=status, **values)
    assert answer.keys() == {"status", "reason"}
    assert answer["status"] == "error"
    assert reason.lower() in answer["reason"].lower()
    assert face("GET", "/vm_list") == []


def test_other_requests_are_refused(face):
    face("POST", "/vm_info", {"id": 1}, 404)
    face("POST", "/vm_info", {"id": 0}, 400)
    face("POST", "/vm_info", {"id": "1"}, 400)
    face("POST", "/vm_delete", {}, 400)
    face("GET", "/vm_create", status=405)
    session = Session(face.cloud.port)
    assert session.request("POST", "/vm_info", b'{"id": 1}').status == 415
    assert session.request("POST", "/vm_info", b"{", {"Content-Type": "application/json"}).status == 400


def test_clients_from_elsewhere_are_refused(tmp_path):
    with simulated_cloud(tmp_path / "cloud", oscloud_networks=("192.0.2.0/24",)) as served:
        face = Face(served)
        for method, path in (
            ("GET", "/"),
            ("GET", "/vm_list"),
            ("POST", "/vm_create"),
            ("POST", "/vm_delete"),
        ):
            assert "oscloud_networks" in face(method, path, status=403)["reason"]


def test_numbers_are_given_once(face):
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda number: Face(face.cloud).create(f"vm{number}")["id"], range(8)))
    assert sorted(numbers) == list(range(1, 9))
    assert len({face.info(number)["name"] for number in numbers}) == 8


def test_a_machine_without_a_number_is_given_one(face):
    face.create()
    with face.cloud.cloud.db.transaction() as tx:
        tx.execute(oscloud.machines.delete())
    assert [machine["id"] for machine in face("GET", "/vm_list")] == [1]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        ("1k", 1024),
        ("2G", 2 << 30),
        ("3 MiB", 3 << 20),
        ("1tb", 1 << 40),
    ],
)
def test_sizes_are_read(text, size):
    assert oscloud.size_bytes(text) == size


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.9", True),
        ("10.0.0.1", False),
        ("", False),
        ("fe80::1%eth0", False),
    ],
)
def test_addresses_are_told_apart(served, address, admitted):
    assert served.cloud.oscloud.admits(address) is admitted
