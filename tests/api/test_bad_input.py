"""Bad input gets the fault that OpenStack gives, and nothing is half made."""

from __future__ import annotations

import socket

import pytest

LONG, NUL = "x" * 256, "a\0b"
UNKNOWN = "7d5c1b9e-0000-4000-8000-000000000000"

# What creates a thing of each kind, and the listing in which nothing new may show up afterwards.
SERVER = {"name": "s", "imageRef": UNKNOWN, "flavorRef": "42", "networks": "none"}
NETWORK = "/network/v2.0"
CREATIONS = {
    "server": ("/compute/v2.1/servers", "server", SERVER, "/compute/v2.1/servers"),
    "flavor": ("/compute/v2.1/flavors", "flavor", {"name": "f", "vcpus": 1, "ram": 64, "disk": 1}, "/compute/v2.1/flavors"),
    "keypair": ("/compute/v2.1/os-keypairs", "keypair", {"name": "k", "type": "ssh"}, "/compute/v2.1/os-keypairs"),
    "network": (f"{NETWORK}/networks", "network", {"name": "n"}, f"{NETWORK}/networks"),
    "router": (f"{NETWORK}/routers", "router", {"name": "r"}, f"{NETWORK}/routers"),
    "security_group": (f"{NETWORK}/security-groups", "security_group", {"name": "g"}, f"{NETWORK}/security-groups"),
    "image": ("/image/v2/images", None, {"name": "i", "disk_format": "raw", "container_format": "bare"},
              "/image/v2/images"),
    "project": ("/identity/v3/projects", "project", {"name": "p"}, "/identity/v3/projects"),
    "user": ("/identity/v3/users", "user", {"name": "u", "password": "p"}, "/identity/v3/users"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from tests.support.cloud import simulated_cloud

    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def admin(served):
    return served.login("admin")


def wrapped(key, body):
    return {key: body} if key else body


@pytest.mark.parametrize("kind", CREATIONS)
@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"x"', b"{}", b"\xff\xfe", b"", b'{"server": [], "network": 3}',
                                  b"[" * 100_000])
def test_malformed_bodies(admin, kind, body):
    if kind == "image" and body == b"{}":
        pytest.skip("an image needs nothing to be made: all its properties have defaults")
    path, _, _, listing = CREATIONS[kind]
    before = admin.get(listing)
    answer = admin.request("POST", path, body, {"Content-Type": "application/json"})
    assert answer.status == 400, answer
    assert admin.get(listing) == before


@pytest.mark.parametrize("kind", CREATIONS)
@pytest.mark.parametrize("name", [LONG, NUL, 5, ["x"], {"a": "b"}, True], ids=["long", "nul", "int", "list", "dict", "bool"])
def test_names(admin, kind, name):
    path, key, good, listing = CREATIONS[kind]
    before = admin.get(listing)
    answer = admin.request("POST", path, wrapped(key, {**good, "name": name}))
    assert answer.status == 400, answer
    assert admin.get(listing) == before


@pytest.mark.parametrize(("kind", "wrong"), [
    ("flavor", {"ram": -1}), ("flavor", {"ram": 0}), ("flavor", {"vcpus": -1}), ("flavor", {"vcpus": "many"}),
    ("flavor", {"disk": -1}), ("flavor", {"disk": 2**40}), ("flavor", {"ram": 1.5}),
    ("server", {"flavorRef": UNKNOWN}), ("server", {"imageRef": UNKNOWN}), ("server", {"imageRef": "\0"}),
    ("server", {"min_count": -1}), ("server", {"min_count": 3, "max_count": 2}), ("server", {"user_data": "%%%"}),
    ("server", {"networks": [{"uuid": UNKNOWN}]}), ("server", {"networks": [{"uuid": "x"}]}), ("server", {"networks": 3}),
    ("server", {"key_name": "nobody's"}), ("server", {"metadata": {"a": 1}}), ("server", {"metadata": {LONG: "x"}}),
    ("server", {"nonsense": 1}), ("network", {"nonsense": 1}), ("network", {"mtu": -5}),
    ("network", {"admin_state_up": "perhaps"}), ("router", {"external_gateway_info": {"network_id": "x"}}),
    ("router", {"external_gateway_info": 7}), ("image", {"min_disk": -1}), ("image", {"disk_format": "floppy"}),
    ("image", {"visibility": "secret"}), ("image", {"id": "not a uuid"}), ("keypair", {"public_key": "rubbish"}),
    ("keypair", {"type": "pgp"}), ("project", {"domain_id": 5}), ("user", {"enabled": "perhaps"}),
])
def test_wrong_values(admin, kind, wrong):
    path, key, good, listing = CREATIONS[kind]
    before = admin.get(listing)
    answer = admin.request("POST", path, wrapped(key, {**good, **wrong}))
    assert answer.status == 400, answer
    assert admin.get(listing) == before


@pytest.mark.parametrize(("wrong", "statuses"), [
    ({"cidr": "10.0.0.0/99"}, {400}), ({"cidr": "ten"}, {400}), ({"ip_version": 5}, {400}), ({"gateway_ip": "1.2.3"}, {400}),
    ({"network_id": UNKNOWN}, {404}), ({"allocation_pools": [{"start": "10.9.0.1", "end": "10.9.0.9"}]}, {400}),
    ({"allocation_pools": [{"start": "10.2.0.9", "end": "10.2.0.2"}]}, {400}), ({"dns_nameservers": ["x"]}, {400}),
])
def test_wrong_subnets(admin, wrong, statuses):
    network = admin.post(f"{NETWORK}/networks", {"network": {"name": "n"}})["network"]["id"]
    good = {"network_id": network, "ip_version": 4, "cidr": "10.2.0.0/24"}
    before = admin.get(f"{NETWORK}/subnets")
    answer = admin.request("POST", f"{NETWORK}/subnets", {"subnet": {**good, **wrong}})
    assert answer.status in statuses, answer
    assert admin.get(f"{NETWORK}/subnets") == before


ITEMS = ["/compute/v2.1/servers/{}", "/compute/v2.1/flavors/{}", "/compute/v2.1/os-keypairs/{}", "/network/v2.0/networks/{}",
         "/network/v2.0/subnets/{}", "/network/v2.0/ports/{}", "/network/v2.0/routers/{}", "/network/v2.0/floatingips/{}",
         "/network/v2.0/security-groups/{}", "/network/v2.0/security-group-rules/{}", "/image/v2/images/{}",
         "/identity/v3/projects/{}", "/identity/v3/users/{}", "/identity/v3/roles/{}", "/identity/v3/domains/{}"]


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("name", [UNKNOWN, "x", "%00", "a%00b", LONG, "%F0%9F%98%80",
                                  "';%20DROP%20TABLE%20servers;%20--"])
def test_unknown_ids(admin, item, name):
    for method in ("GET", "DELETE"):
        answer = admin.request(method, item.format(name))
        assert answer.status in (400, 404), (method, answer)


def test_unknown_paths_and_methods(admin):
    assert admin.request("GET", "/compute/v2.1/nonsense").status == 404
    assert admin.request("GET", "/nowhere").status == 404
    assert admin.request("PUT", "/compute/v2.1/servers", {}).status == 405


def test_another_tenants_things_are_not_there(served, admin):
    owner, other = served.new_user("owner"), served.new_user("other")
    image, network = served.image(), served.network(owner, "theirs")
    server = owner.post("/compute/v2.1/servers", {"server": {
        "name": "s", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": network}]}})["server"]["id"]
    served.settle()
    port = owner.get(f"{NETWORK}/ports?device_id={server}")["ports"][0]["id"]
    subnet = owner.get(f"{NETWORK}/subnets")["subnets"][0]["id"]
    private = owner.post("/image/v2/images", {"name": "mine", "disk_format": "raw", "container_format": "bare"})["id"]
    for path in (f"/compute/v2.1/servers/{server}", f"{NETWORK}/networks/{network}", f"{NETWORK}/ports/{port}",
                 f"{NETWORK}/subnets/{subnet}", f"/image/v2/images/{private}", f"/image/v2/images/{private}/file",
                 f"/compute/v2.1/servers/{server}/os-instance-actions", f"/compute/v2.1/servers/{server}/ips"):
        assert other.request("GET", path).status == 404, path
    for path in (f"/compute/v2.1/servers/{server}", f"{NETWORK}/networks/{network}", f"{NETWORK}/ports/{port}",
                 f"/image/v2/images/{private}"):
        assert other.request("DELETE", path).status == 404, path
    for action in ({"os-stop": None}, {"reboot": {"type": "HARD"}}, {"os-getConsoleOutput": {}}):
        assert other.request("POST", f"/compute/v2.1/servers/{server}/action", action).status == 404, action
    answer = other.request("POST", "/compute/v2.1/servers", {"server": {
        "name": "thief", "imageRef": image, "flavorRef": "42", "networks": [{"port": port}]}})
    assert answer.status in (400, 404), answer
    answer = other.request("POST", f"{NETWORK}/ports", {"port": {"network_id": network}})
    assert answer.status == 404, answer
    assert other.get("/compute/v2.1/servers")["servers"] == []
    assert owner.get(f"/compute/v2.1/servers/{server}")["server"]["status"] == "ACTIVE"


def test_tokens(served, admin):
    from tests.support.cloud import Session

    for token in ("", "x", "gAAAAA" + "x" * 180, "\u00e9".encode().decode("latin-1"), "x" * 5000):
        assert Session(served.port, token).request("GET", "/compute/v2.1/servers").status == 401, token
    assert served.login().request("POST", "/identity/v3/projects", {"project": {"name": "p"}}).status == 403


@pytest.mark.parametrize("path", ["/compute/v2.1/servers", "/network/v2.0/networks", "/identity/v3/auth/tokens",
                                  "/image/v2/images"])
def test_five_gigabytes_are_refused_unread(served, admin, path):
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {admin.token}\r\n"
                           f"Content-Type: application/json\r\nContent-Length: {5 << 30}\r\n\r\n".encode())
        connection.sendall(b'{"server": {' + b" " * 4096)
        assert connection.recv(64).startswith(b"HTTP/1.1 413"), "answered before the body came"


def test_microversions(admin):
    for text, status in (("2.1", 200), ("latest", 200), ("2.9999", 406), ("3.0", 406), ("x", 400), ("2", 400), ("2.x", 400)):
        answer = admin.request("GET", "/compute/v2.1/servers", headers={"OpenStack-API-Version": f"compute {text}"})
        assert answer.status == status, (text, answer)
        assert "OpenStack-API-Version" in (answer.headers["Vary"] or "")


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "marker=" + UNKNOWN, "sort_key=nonsense", "sort_dir=sideways"])
def test_bad_pages(admin, query):
    for path in ("/compute/v2.1/servers", "/image/v2/images"):
        assert admin.request("GET", f"{path}?{query}").status == 400, (path, query)



def test_a_nul_in_a_path_names_nothing(served, admin):
    image = served.image()
    for method, path in (("PUT", f"/image/v2/images/{image}/tags/a%00b"), ("GET", "/image/v2/metadefs/namespaces/%00"),
                         ("GET", "/compute/v2.1/servers/%00"), ("GET", "/identity/v3/users/%00"),
                         ("DELETE", "/network/v2.0/ports/%00")):
        assert admin.request(method, path).status == 404, path
