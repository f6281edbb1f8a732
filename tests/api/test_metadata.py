"""Metadata as guests read it: OpenStack's and EC2's shapes, only for the guest that asks, over HTTP."""

from __future__ import annotations

import base64
import http.client
import io
import json
import socket

import pycdlib
import pytest

from pilvi.compute.block_devices import BlockDevice
from pilvi.faces.inside import Inside
from pilvi.metadata import server as metadata_server
from pilvi.metadata.server import CONNECTIONS, MetadataServer
from pilvi.metadata.service import Metadata
from pilvi.network import routes as network_routes
from pilvi.network.service import NicRequest
from pilvi.volume.service import VolumeCreate
from tests.support.wait import eventually
from tests.support.world import World

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@here"
USER_DATA = b"#!/bin/sh\necho hello\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("metadata")
    world = World.copy(World.template(root / "template"), root / "state").start()
    yield world
    world.stop()


@pytest.fixture(scope="module")
def metadata(world):
    return Metadata(world.cloud.db, world.cloud.network, world.cloud.compute)


class Guest:
    def __init__(self, world: World, service: Metadata, **values):
        self.id = world.boot(**values)
        world.settle()
        self.row = world.row(self.id)
        self.service = service
        with world.cloud.db.read() as tx:
            (self.port,) = world.cloud.network.ports_of(tx, [self.id])[self.id]
        self.address = self.port.fixed_ips[0][1]

    def read(self, path: str) -> bytes | None:
        return self.service.answer(self.port.network_id, self.address, path)

    def lines(self, path: str) -> list[str]:
        return self.read(path).decode().split("\n")

    def write(self, path: str, body: bytes) -> int:
        return self.service.post(self.port.network_id, self.address, path, body)[0]

    def json(self, path: str):
        return json.loads(self.read(path))


@pytest.fixture(scope="module")
def guest(world, metadata):
    world.cloud.compute.create_keypair(world.context(), "key", KEY)
    return Guest(
        world,
        metadata,
        name="My Guest",
        key_name="key",
        user_data=base64.b64encode(USER_DATA).decode(),
        metadata={"colour": "red"},
        admin_password="secret",
    )


@pytest.fixture(scope="module")
def plain(world, metadata):
    return Guest(world, metadata, name="plain")


def test_versions_are_listed(guest):
    assert guest.lines("/")[-1] == guest.lines("/openstack")[-1] == "latest"
    assert {"1.0", "2009-04-04"} < set(guest.lines("/"))
    assert {"2012-08-10", "2018-08-27"} < set(guest.lines("/openstack/"))
    for version in guest.lines("/openstack"):
        assert guest.json(f"/openstack/{version}/meta_data.json")["uuid"] == guest.id
    for version in guest.lines("/"):
        assert guest.lines(f"/{version}/") == ["meta-data/", "user-data"]


def test_what_openstack_tells(guest):
    assert guest.lines("/openstack/latest/") == [
        "meta_data.json",
        "user_data",
        "password",
        "vendor_data.json",
        "network_data.json",
        "vendor_data2.json",
    ]
    assert guest.lines("/openstack/2012-08-10") == ["meta_data.json", "user_data"]
    told = guest.json("/openstack/2018-08-27/meta_data.json")
    assert told["public_keys"] == {"key": KEY}
    assert told["keys"] == [{"name": "key", "type": "ssh", "data": KEY}]
    assert (told["uuid"], told["name"], told["hostname"], told["launch_index"], told["meta"]) == (
        guest.id,
        "My Guest",
        "my-guest",
        0,
        {"colour": "red"},
    )
    assert (told["project_id"], told["availability_zone"], told["admin_pass"]) == (
        guest.row.project_id,
        "nova",
        "secret",
    )
    assert len(base64.b64decode(told["random_seed"])) == 512
    assert guest.read("/openstack/latest/user_data") == USER_DATA
    assert (
        guest.read("/openstack/latest/vendor_data.json")
        == guest.read("/openstack/latest/vendor_data2.json")
        == b"{}"
    )
    assert guest.read("/openstack/latest/password") == b""


def test_tagged_cards_are_devices(world, metadata):
    one = Guest(world, metadata, name="tagged")
    assert one.json("openstack/latest/meta_data.json")["devices"] == []
    compute, context = world.cloud.compute, world.context()
    card = compute.attach_interface(context, one.id, NicRequest(one.port.network_id, tag="second"))
    world.settle()
    expected = {"type": "nic", "bus": "pci", "address": "0000:02:00.0", "mac": card.mac, "tags": ["second"]}
    assert one.json("openstack/latest/meta_data.json")["devices"] == [expected]
    compute.stop(context, one.id)
    world.settle()
    unknown = {"bus": "none", "address": "none"}
    assert one.json("openstack/latest/meta_data.json")["devices"] == [expected | unknown]
    compute.detach_interface(context, one.id, card.id)
    world.settle()
    assert one.json("openstack/latest/meta_data.json")["devices"] == []


def test_tagged_volumes_are_devices(world, metadata):
    one = Guest(world, metadata, name="with volumes")
    compute, context = world.cloud.compute, world.context()
    made = [world.cloud.volume.create_volume(context, VolumeCreate(size=1)).rows[0].id for _ in range(2)]
    world.settle()
    for volume_id, tag in zip(made, ("data", None), strict=True):
        compute.attach_volume(context, one.id, volume_id, device=None, tag=tag, delete_on_termination=True)
        world.settle()
    (told,) = one.json("openstack/latest/meta_data.json")["devices"]
    where = told.pop("address")
    assert told == {"type": "disk", "bus": "pci", "serial": made[0][:20], "path": "/dev/vdb", "tags": ["data"]}
    assert where == world.agent.hypervisor.disk_addresses(one.id)[f"vol-{made[0]}"]
    assert one.lines("/latest/meta-data/block-device-mapping") == ["ami", "ebs0", "ebs1", "root"]
    assert one.read("/latest/meta-data/block-device-mapping/ebs1") == b"/dev/vdc"
    world.write(one.id, flavor={**world.row(one.id).flavor, "ephemeral": 1, "swap": 8})
    assert one.read("/latest/meta-data/block-device-mapping/ephemeral0") == b"/dev/vdb"
    assert one.read("/latest/meta-data/block-device-mapping/swap") == b"/dev/vdc"
    compute.stop(context, one.id)
    world.settle()
    (told,) = one.json("openstack/latest/meta_data.json")["devices"]
    assert (told["bus"], told["address"]) == ("none", "none")
    compute.delete_server(context, one.id)
    world.settle()


def test_a_tagged_disk_of_its_own_is_a_device(world, metadata):
    image = world.cloud.image.find(world.context(), "image")
    one = Guest(world, metadata, name="own", old_devices=False, devices=[
        BlockDevice(source="image", source_id=image, boot_index=0, tag="boot")])
    (told,) = one.json("openstack/latest/meta_data.json")["devices"]
    assert (told["type"], told["serial"], told["path"], told["tags"]) == ("disk", one.id[:20], "/dev/vda", ["boot"])
    world.cloud.compute.delete_server(world.context(), one.id)
    world.settle()


def test_the_network_is_described(guest):
    told = guest.json("/openstack/latest/network_data.json")
    (link,), (network,) = told["links"], told["networks"]
    assert (link["ethernet_mac_address"], link["mtu"], link["vif_id"]) == (
        guest.port.mac,
        guest.port.mtu,
        guest.port.id,
    )
    assert (network["type"], network["link"], network["network_id"]) == (
        "ipv4_dhcp",
        link["id"],
        guest.port.network_id,
    )


def test_what_ec2_tells(guest):
    root = "/2009-04-04/meta-data/"
    told = {name: guest.read(root + name) for name in guest.lines(root) if not name.endswith("/")}
    assert told["instance-id"] == b"i-" + guest.id[:8].encode()
    assert told["ami-id"] == b"ami-" + guest.row.image_id[:8].encode()
    assert told["hostname"] == told["local-hostname"] == told["public-hostname"] == b"my-guest"
    assert told["local-ipv4"] == guest.address.encode()
    assert told["public-ipv4"] == b""
    assert told["mac"] == guest.port.mac.encode()
    assert told["instance-type"] == b"m1.tiny"
    assert told["security-groups"] == b"default"
    assert told["reservation-id"] == guest.row.reservation_id.encode()
    assert guest.lines("/latest/meta-data/public-keys/") == ["0=key"]
    assert guest.lines("/latest/meta-data/public-keys/0/") == ["openssh-key"]
    assert guest.read("/latest/meta-data/public-keys/0/openssh-key") == KEY.encode()
    assert guest.read("/latest/meta-data/placement/availability-zone") == b"nova"
    assert guest.read("/latest/user-data") == USER_DATA


def test_a_floating_ip_is_told(world, metadata):
    guest, api, context = (
        Guest(world, metadata, name="floats"),
        Inside(world.cloud, network_routes.API),
        world.context(),
    )
    public = api(context, "GET", "/v2.0/networks", name="public")["networks"][0]["id"]
    subnet = guest.port.fixed_ips[0][0]
    gateway = {"router": {"name": "r", "external_gateway_info": {"network_id": public}}}
    router = api(context, "POST", "/v2.0/routers", gateway)["router"]["id"]
    api(context, "PUT", f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
    floating = {"floatingip": {"floating_network_id": public, "port_id": guest.port.id}}
    address = api(context, "POST", "/v2.0/floatingips", floating)["floatingip"]["floating_ip_address"]
    assert guest.read("/latest/meta-data/public-ipv4") == address.encode()


def test_what_a_guest_has_not_is_not_there(plain):
    for path in (
        "/latest/user-data",
        "/openstack/latest/user_data",
        "/latest/meta-data/public-keys/",
        "/latest/meta-data/nothing",
        "/openstack/1999-01-01/meta_data.json",
        "/openstack/latest/meta_data.json/x",
        "/latest/meta-data/hostname/x",
    ):
        assert plain.read(path) is None, path
    assert plain.lines("/latest/") == ["meta-data/"]
    assert "public_keys" not in plain.json("/openstack/latest/meta_data.json")


def test_each_guest_reads_about_itself_and_strangers_nothing(world, guest, plain):
    assert plain.json("/openstack/latest/meta_data.json")["uuid"] == plain.id
    answer, network = guest.service.answer, guest.port.network_id
    assert answer(network, "10.0.0.250", "/latest/meta-data/instance-id") is None
    assert answer("another-network", guest.address, "/latest/meta-data/instance-id") is None
    assert answer(network, "no address", "/") is None


def test_a_guest_says_its_password_once(world, metadata):
    guest, compute = Guest(world, metadata, name="secretive"), world.cloud.compute
    path = "/openstack/latest/password"
    assert guest.read(path) == b""
    assert guest.write(path, b"x" * 1021) == guest.write(path, b"\xff") == 400
    assert guest.write("/openstack/latest/meta_data.json", b"x") == guest.write("/latest/password", b"x") == 405
    assert guest.write("/openstack/2013-10-17/password", b"sealed") == 200
    assert guest.write(path, b"another") == 409
    assert guest.read(path) == compute.guest_password(world.context(), guest.id).encode() == b"sealed"
    assert guest.service.post(guest.port.network_id, "10.0.0.250", path, b"x")[0] == 404
    compute.clear_guest_password(world.context(), guest.id)
    assert compute.guest_password(world.context(), guest.id) == ""
    assert guest.write(path, b"another") == 200


def test_a_guest_that_is_gone_reads_nothing(world, metadata):
    guest = Guest(world, metadata, name="short-lived")
    world.order("delete_server", guest.id)
    world.settle()
    assert guest.read("/latest/meta-data/instance-id") is None


def test_the_config_drive_holds_the_same(world, metadata, guest):
    kept = {}
    disks, make = world.agent.disks, world.agent.disks.ensure_file
    disks.ensure_file = lambda disk_id, content: kept.setdefault(disk_id, content) and make(disk_id, content)
    driven = Guest(
        world,
        metadata,
        name="driven",
        tag="first",
        config_drive=True,
        key_name="key",
        user_data=base64.b64encode(USER_DATA).decode(),
    )
    disks.ensure_file = make
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(kept[driven.id + ".config"]))

    def file(path):
        out = io.BytesIO()
        iso.get_file_from_iso_fp(out, rr_path=path)
        return out.getvalue()

    told = json.loads(file("/openstack/latest/meta_data.json"))
    assert (told["uuid"], told["public_keys"]) == (driven.id, {"key": KEY})
    assert told["devices"] == driven.json("openstack/latest/meta_data.json")["devices"]
    assert [(each["address"], each["tags"]) for each in told["devices"]] == [("0000:01:00.0", ["first"])]
    assert file("/openstack/latest/user_data") == file("/ec2/latest/user-data") == USER_DATA
    assert json.loads(file("/openstack/2018-08-27/network_data.json")) == driven.json(
        "/openstack/latest/network_data.json"
    )
    assert json.loads(file("/ec2/latest/meta-data.json"))["instance-id"] == "i-" + driven.id[:8]
    iso.close()


# -- over HTTP


class Echo:
    def answer(self, network_id, address, path):
        if path == "/broken":
            raise ValueError("broken")
        return None if path == "/none" else f"{network_id} {address} {path}".encode()

    def post(self, network_id, address, path, body):
        return 200, f"{network_id} {path} {len(body)}".encode()


@pytest.fixture
def served():
    """Two networks' sockets."""
    server = MetadataServer(Echo())
    listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in ("red", "blue")}
    ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
    for name, listener in listeners.items():
        server.serve(name, listener)
    yield server, ports
    server.close()


def connect(port):
    return http.client.HTTPConnection("127.0.0.1", port, timeout=10)


def get(connection, path, method="GET", **values):
    connection.request(method, path, **values)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_requests_are_answered_for_the_network_that_they_come_from(served):
    _, ports = served
    for name, port in ports.items():
        connection = connect(port)
        for _ in range(3):  # on one connection
            assert get(connection, "/latest?x=1") == (200, f"{name} 127.0.0.1 /latest".encode())
        assert get(connection, "/none") == (404, b"there is no such metadata")
        assert get(connection, "/latest", "HEAD") == (200, b"")
        assert get(connection, "/latest", "PUT", body=b"x" * 100_000) == (405, b"metadata is only read")
        assert get(connection, "/latest", "POST", body=b"x" * 100_000) == (200, f"{name} /latest 4097".encode())
        assert (
            get(connection, "/latest", headers={"X-Forwarded-For": "10.0.0.9"})[1].split()[1] == b"127.0.0.1"
        )
        connection.close()


def test_a_network_that_goes_away_is_not_served_any_more(served):
    server, ports = served
    server.stop_serving("red")
    server.stop_serving("red")
    with pytest.raises(ConnectionRefusedError):
        get(connect(ports["red"]), "/")
    assert get(connect(ports["blue"]), "/")[0] == 200


@pytest.mark.parametrize(
    "nonsense", [b"\r\n\r\n\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"x" * 200_000]
)
def test_nonsense_ends_its_connection_only(served, nonsense):
    _, ports = served
    with socket.create_connection(("127.0.0.1", ports["red"]), timeout=10) as connection:
        try:
            connection.sendall(nonsense)
            while connection.recv(1 << 16):
                pass
        except ConnectionError:
            pass
    assert get(connect(ports["red"]), "/broken_not")[0] == 200


def test_what_goes_wrong_inside_is_told_to_nobody(served):
    _, ports = served
    connection = connect(ports["red"])
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        get(connection, "/broken")
    assert get(connect(ports["red"]), "/")[0] == 200


def test_one_guest_has_a_bounded_number_of_connections(served):
    server, ports = served
    address = ("127.0.0.1", ports["red"])
    held = [socket.create_connection(address, timeout=10) for _ in range(CONNECTIONS)]
    eventually(lambda: server._open["red", "127.0.0.1"] == CONNECTIONS, 10)
    with socket.create_connection(address, timeout=10) as more:
        assert more.recv(1) == b""
    assert get(connect(ports["blue"]), "/")[0] == 200
    for connection in held:
        connection.close()
    eventually(lambda: not server._open["red", "127.0.0.1"], 10)
    assert get(connect(ports["red"]), "/")[0] == 200


def test_a_silent_guest_is_let_go(served, monkeypatch):
    _, ports = served
    monkeypatch.setattr(metadata_server, "IDLE_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", ports["red"]), timeout=10) as connection:
        connection.sendall(b"GET / HT")
        assert connection.recv(1) == b""
