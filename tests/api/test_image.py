"""The Image API v2, as its clients see it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import random
import resource
import socket

import pytest
from falcon import testing

from pilvi import quota
from pilvi.image.routes import API
from pilvi.image.service import Images
from tests.support.faces import SmallCloud, eventually, serving

ALICE, BOB, READER, ADMIN = "alice:a:member", "bob:b:member", "rita:a:reader", "root:admin:admin"
PATCH = "application/openstack-images-v2.1-json-patch"


class Client:
    def __init__(self, app):
        self._client = testing.TestClient(app)

    def __call__(self, method, path, token=ALICE, status=None, **options):
        headers = (
            {"X-Auth-Token": token, **options.pop("headers", {})} if token else options.pop("headers", {})
        )
        if "json" in options and "Content-Type" in headers:  # which the test client would override
            options["body"] = json.dumps(options.pop("json"))
        answer = self._client.simulate_request(method, "/image" + path, headers=headers, **options)
        if status is not None:
            assert answer.status_code == status, answer.text
        return answer

    def create(self, token=ALICE, **values):
        return self("POST", "/v2/images", token, 201, json=values).json

    def patch(self, image, *changes, token=ALICE, status=200):
        return self(
            "PATCH",
            f"/v2/images/{image['id']}",
            token,
            status,
            json=list(changes),
            headers={"Content-Type": PATCH},
        )

    def upload(self, image, data, token=ALICE, status=204):
        return self(
            "PUT",
            f"/v2/images/{image['id']}/file",
            token,
            status,
            body=data,
            headers={"Content-Type": "application/octet-stream"},
        )

    def active(self, data=b"data", token=ALICE, **values):
        image = self.create(token, disk_format="raw", container_format="bare", **values)
        self.upload(image, data, token)
        return self("GET", f"/v2/images/{image['id']}", token, 200).json

    def names(self, query="", token=ALICE):
        answer = self("GET", "/v2/images", token, 200, query_string=query).json
        return [image["name"] for image in answer["images"]]


@pytest.fixture
def cloud(tmp_path):
    cloud = SmallCloud(f"sqlite:///{tmp_path}/pilvi.db")
    cloud.image = Images(
        cloud.db, cloud.clock, cloud.ids, cloud.engine, cloud.settings, tmp_path / "images", cloud.identity
    )
    cloud.create_tables()
    yield cloud
    cloud.close()


@pytest.fixture
def client(cloud):
    return Client(cloud.app(API))


def test_an_image_is_created_filled_shown_and_deleted(client, cloud):
    image = client.create(
        name="cirros",
        disk_format="raw",
        container_format="bare",
        min_disk=1,
        tags=["b", "a"],
        hw_disk_bus="virtio",
    )
    assert (image["status"], image["visibility"], image["owner"]) == ("queued", "shared", "a")
    assert (image["tags"], image["hw_disk_bus"], image["size"]) == (["a", "b"], "virtio", None)
    assert client("GET", image["file"], status=204).content == b""

    client.upload(image, b"0123456789")
    shown = client("GET", image["self"], status=200).json
    assert (shown["status"], shown["size"], shown["virtual_size"]) == ("active", 10, 10)
    assert shown["checksum"] == "781e5e245d69b566979b86e28d23f2c7"
    assert shown["os_hash_algo"] == "sha512"
    assert len(shown["os_hash_value"]) == 128

    data = client("GET", image["file"], status=200)
    assert (data.content, data.headers["content-md5"]) == (b"0123456789", shown["checksum"])
    assert (data.headers["content-type"], data.headers["content-length"]) == (
        "application/octet-stream",
        "10",
    )

    client("DELETE", image["self"], status=204)
    client("GET", image["self"], status=404)
    client("DELETE", image["self"], status=404)
    assert cloud.image.files.names() == set()


def test_ids_of_kernels_are_ids(client):
    for name in ("kernel_id", "ramdisk_id"):
        client("POST", "/v2/images", status=400, json={name: "x"})
        client.create(**{name: "00000000-1111-2222-3333-444455556666"})


def test_versions_are_offered_without_a_token(client):
    for path, status in (("", 300), ("/", 300), ("/v2", 300), ("/v2/", 300), ("/versions", 200)):
        versions = client("GET", path, None, status).json["versions"]
        assert versions[0] == {
            "id": "v2.17",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": "http://falconframework.org/image/v2/"}],
        }


@pytest.mark.parametrize("name", ["image", "images", "member", "members"])
def test_schemas_describe_what_is_served(client, name):
    schema = client("GET", f"/v2/schemas/{name}", status=200).json
    assert schema["name"] == name
    if name == "image":
        properties = schema["properties"]
        optional = {"kernel_id", "ramdisk_id", "architecture", "instance_uuid", "os_distro", "os_version"}
        assert properties.keys() == client.create().keys() | optional | {"stores", "locations"}
    client("GET", "/v2/schemas/nothing", status=404)


def test_faults_are_pages_that_name_the_cause(client):
    answer = client("GET", "/v2/images/<nothing>", status=404)
    assert answer.headers["content-type"].startswith("text/html")
    assert "<title>404 Not Found</title>" in answer.text
    assert "No image found with ID &lt;nothing&gt;" in answer.text
    assert client("GET", "/v2/images", None, 401).headers["www-authenticate"]


def test_a_trailing_slash_is_an_empty_id(client):
    client("GET", "/v2/images/", status=404)
    client("DELETE", "/v2/images/", status=404)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "n" * 256}, 400),
        ({"name": 5}, 400),
        ({"min_disk": -1}, 400),
        ({"min_ram": 2**31}, 400),
        ({"min_ram": True}, 400),
        ({"disk_format": "floppy"}, 400),
        ({"container_format": "box"}, 400),
        ({"visibility": "secret"}, 400),
        ({"protected": "yes"}, 400),
        ({"tags": ["t" * 256]}, 400),
        ({"tags": [1]}, 400),
        ({"id": "1"}, 400),
        ({"prop": 1}, 400),
        ({"prop": None}, 400),
        ({"p" * 256: "v"}, 400),
        ({"": "v"}, 400),
        ({"name": "a\0b"}, 400),
        ({"prop": "a\0b"}, 400),
        ({"status": "active"}, 403),
        ({"size": 1}, 403),
        ({"os_glance_x": "y"}, 403),
        ({"location": "x"}, 403),
        ({"locations": []}, 403),
        ({"owner": "b"}, 403),
        ({"visibility": "public"}, 403),
        ({"tags": [str(number) for number in range(129)]}, 413),
        ({f"p{number}": "v" for number in range(129)}, 413),
        ([], 400),
        ("x", 400),
    ],
)
def test_creation_refuses(client, body, status):
    client("POST", "/v2/images", ALICE, status, json=body)
    assert client.names(token=ADMIN) == []


def test_creation_refuses_what_is_no_json(client):
    client("POST", "/v2/images", status=400, body=b"{", headers={"Content-Type": "application/json"})
    client("POST", "/v2/images", status=415, body=b"{}", headers={"Content-Type": "text/plain"})
    client("POST", "/v2/images", READER, 403, json={})


def test_an_id_can_be_chosen_once(client):
    image = client.create(id="7d9bd85c-4a5a-4d3c-8b2e-1f0d6c5b4a39")
    answer = client("POST", "/v2/images", BOB, 409, json={"id": image["id"].upper()})
    assert image["id"] in answer.text


def test_quotas_bound_number_and_bytes(client, cloud):
    with cloud.db.transaction() as tx:
        quota.set_limits(tx, "image", "a", {"image_count_total": 2, "image_size_total": 1})
    first, second = (client.create(disk_format="raw", container_format="bare") for _ in range(2))
    assert "image_count_total" in client("POST", "/v2/images", ALICE, 413, json={}).text
    client.upload(first, bytes((1 << 20) + 1))  # what comes is not counted, as in Glance
    assert "image_size_total" in client.upload(second, b"x", status=413).text
    assert client("GET", second["self"]).json["status"] == "queued"
    with cloud.db.transaction() as tx:
        quota.set_limits(tx, "image", "a", {"image_size_total": 2})
    client.upload(second, bytes(1 << 20))
    client.create(BOB)


# -- changes


def test_attributes_and_properties_are_patched(client):
    image = client.create(name="old", prop="x")
    changed = client.patch(
        image,
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "add", "path": "/a~1b~0c", "value": "1"},
        {"op": "replace", "path": "/prop", "value": "y"},
        {"op": "replace", "path": "/tags", "value": ["t"]},
        {"op": "replace", "path": "/min_ram", "value": 64},
        {"op": "add", "path": "/disk_format", "value": "raw"},
    ).json
    assert (changed["name"], changed["a/b~c"], changed["prop"]) == ("new", "1", "y")
    assert (changed["tags"], changed["min_ram"], changed["disk_format"]) == (["t"], 64, "raw")
    changed = client.patch(image, {"op": "remove", "path": "/prop"}).json
    assert "prop" not in changed
    old = client(
        "PATCH",
        image["self"],
        ALICE,
        200,
        json=[{"add": "/foo", "value": "bar"}],
        headers={"Content-Type": "application/openstack-images-v2.0-json-patch"},
    ).json
    assert old["foo"] == "bar"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"op": "replace", "path": "/status", "value": "active"}, 403),
        ({"op": "add", "path": "/os_glance_x", "value": "y"}, 403),
        ({"op": "replace", "path": "/id", "value": "7d9bd85c-4a5a-4d3c-8b2e-1f0d6c5b4a39"}, 403),
        ({"op": "remove", "path": "/name"}, 403),
        ({"op": "replace", "path": "/visibility", "value": "public"}, 403),
        ({"op": "replace", "path": "/owner", "value": "b"}, 403),
        ({"op": "replace", "path": "/disk_format", "value": "qcow2"}, 403),
        ({"op": "replace", "path": "/prop", "value": "y"}, 409),
        ({"op": "remove", "path": "/prop"}, 409),
        ({"op": "replace", "path": "/name", "value": 5}, 400),
        ({"op": "replace", "path": "/protected", "value": "maybe"}, 400),
        ({"op": "add", "path": "/prop", "value": 5}, 400),
        ({"op": "add", "path": "/prop"}, 400),
        ({"op": "move", "path": "/prop", "value": "y"}, 400),
        ({"op": "add", "path": "prop", "value": "y"}, 400),
        ({"op": "add", "path": "/a/b", "value": "y"}, 400),
        ({"op": "add", "path": "/a~b", "value": "y"}, 400),
        ({"op": "add", "path": "/", "value": "y"}, 400),
        ("add", 400),
    ],
)
def test_patches_are_refused_as_a_whole(client, change, status):
    image = client.active(name="old")
    client.patch(image, {"op": "replace", "path": "/name", "value": "new"}, change, status=status)
    assert client("GET", image["self"]).json == image


def test_a_patch_needs_its_media_type(client):
    image = client.create()
    answer = client("PATCH", image["self"], ALICE, 415, json=[], headers={"Content-Type": "application/json"})
    assert PATCH in answer.headers["accept-patch"]
    client("PATCH", image["self"], ALICE, 400, json={}, headers={"Content-Type": PATCH})


def test_a_protected_image_stays(client):
    image = client.create(protected=True)
    assert "protected" in client("DELETE", image["self"], status=403).text
    client.patch(image, {"op": "replace", "path": "/protected", "value": False})
    client("DELETE", image["self"], status=204)


def test_tags_come_and_go(client):
    image = client.create(tags=["a"])
    for _ in range(2):
        client("PUT", image["self"] + "/tags/b", status=204)
    assert client("GET", image["self"]).json["tags"] == ["a", "b"]
    client("DELETE", image["self"] + "/tags/a", status=204)
    client("DELETE", image["self"] + "/tags/a", status=404)
    client("PUT", image["self"] + "/tags/" + "t" * 256, status=400)
    client("PUT", "/v2/images/7d9bd85c-4a5a-4d3c-8b2e-1f0d6c5b4a39/tags/a", status=404)
    assert client("GET", image["self"]).json["tags"] == ["b"]


# -- whose images


def test_images_of_other_projects_are_not_there(client):
    image = client.active()
    for method, path, options in [
        ("GET", "", {}),
        ("DELETE", "", {}),
        ("GET", "/file", {}),
        ("GET", "/members", {}),
        ("PUT", "/tags/t", {}),
        ("PATCH", "", {"json": [], "headers": {"Content-Type": PATCH}}),
        ("POST", "/actions/deactivate", {}),
        ("PUT", "/file", {"body": b"x", "headers": {"Content-Type": "application/octet-stream"}}),
        ("POST", "/members", {"json": {"member": "c"}}),
    ]:
        client(method, image["self"] + path, BOB, 404, **options)
    assert client.names(token=BOB) == []
    client("GET", image["self"], ADMIN, 200)


def test_a_public_image_is_for_all_and_its_owners(client):
    image = client.active(token=ADMIN, name="public", visibility="public")
    assert client.names(token=BOB) == ["public"]
    assert client("GET", image["file"], BOB, 200).content == b"data"
    client.patch(image, {"op": "add", "path": "/x", "value": "y"}, token=BOB, status=403)
    client("DELETE", image["self"], BOB, 403)
    client.upload(image, b"evil", BOB, 403)


def test_a_community_image_is_shown_to_those_who_ask(client):
    image = client.create(name="c", visibility="community")
    client("GET", image["self"], BOB, 200)
    assert client.names(token=BOB) == []
    assert client.names("visibility=community", BOB) == ["c"]
    assert client.names("visibility=all", BOB) == ["c"]
    assert client.names() == ["c"]


def test_a_shared_image_is_offered_and_accepted(client):
    image = client.active(name="s")
    path = image["self"] + "/members"
    member = client("POST", path, ALICE, 200, json={"member": "b"}).json
    assert (member["member_id"], member["image_id"], member["status"]) == ("b", image["id"], "pending")
    client("POST", path, ALICE, 409, json={"member": "b"})
    client("POST", path, BOB, 403, json={"member": "c"})
    client("POST", path, ALICE, 400, json={"member": ""})

    client("GET", image["self"], BOB, 200)
    assert client.names(token=BOB) == []
    assert client.names("member_status=pending", BOB) == client.names("member_status=all", BOB) == ["s"]
    client("PUT", path + "/b", ALICE, 403, json={"status": "accepted"})
    client("PUT", path + "/b", BOB, 400, json={"status": "perhaps"})
    assert client("PUT", path + "/b", BOB, 200, json={"status": "accepted"}).json["status"] == "accepted"
    assert client.names(token=BOB) == client.names("visibility=shared", BOB) == ["s"]

    client("POST", path, ALICE, 200, json={"member": "c"})
    assert [m["member_id"] for m in client("GET", path, ALICE, 200).json["members"]] == ["b", "c"]
    assert [m["member_id"] for m in client("GET", path, BOB, 200).json["members"]] == ["b"]
    client("GET", path + "/c", BOB, 404)
    assert client("GET", path + "/c", ALICE, 200).json["schema"] == "/v2/schemas/member"

    client("DELETE", path + "/b", BOB, 403)
    client("DELETE", path + "/b", ALICE, 204)
    client("DELETE", path + "/b", ALICE, 404)
    client("GET", image["self"], BOB, 404)


def test_only_shared_images_have_members(client):
    image = client.create(visibility="private")
    client("POST", image["self"] + "/members", ALICE, 403, json={"member": "b"})
    client("GET", image["self"] + "/members", ALICE, 403)


def test_administrators_create_for_others(client):
    image = client.create(ADMIN, owner="b", name="given")
    assert client("GET", image["self"], BOB, 200).json["owner"] == "b"


# -- lists


@pytest.fixture
def shelf(client):
    client.active(b"1", name="one", tags=["x"], os="linux")
    client.active(b"22", name="two, too", tags=["x", "y"], protected=True)
    client.create(name="three", disk_format="qcow2", container_format="ovf", min_ram=3, visibility="private")
    client.create(name="hidden", os_hidden=True)
    return client


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["three", "two, too", "one"]),
        ("name=one", ["one"]),
        ("name=in:one,three", ["three", "one"]),
        ("name=in:%22two,%20too%22,one", ["two, too", "one"]),
        ("status=queued", ["three"]),
        ("status=in:queued,active", ["three", "two, too", "one"]),
        ("visibility=private", ["three"]),
        ("owner=a&name=one", ["one"]),
        ("owner=b", []),
        ("disk_format=qcow2", ["three"]),
        ("container_format=in:bare,ovf", ["three", "two, too", "one"]),
        ("size_min=2", ["two, too"]),
        ("size_max=1", ["one"]),
        ("size=2", ["two, too"]),
        ("min_ram=3", ["three"]),
        ("tag=x", ["two, too", "one"]),
        ("tag=x&tag=y", ["two, too"]),
        ("protected=true", ["two, too"]),
        ("protected=False", ["three", "one"]),
        ("os_hidden=true", ["hidden"]),
        ("os=linux", ["one"]),
        ("os=plan9", []),
        ("created_at=gt:2001-01-01T00:00:00Z", ["three", "two, too", "one"]),
        ("updated_at=lte:2001-01-01T00:00:00Z", []),
        ("sort=name:asc", ["one", "three", "two, too"]),
        ("sort=size,name:asc", ["two, too", "one", "three"]),
        ("sort_key=name&sort_dir=desc", ["two, too", "three", "one"]),
        ("sort_dir=asc", ["one", "two, too", "three"]),
        ("limit=2", ["three", "two, too"]),
        ("limit=0", []),
    ],
)
def test_lists_are_filtered_and_sorted(shelf, query, names):
    assert shelf.names(query) == names


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=many",
        "sort=colour",
        "sort=name:up",
        "sort_key=name&sort_dir=up",
        "sort=name&sort_key=name",
        "sort_key=name&sort_dir=asc&sort_dir=asc",
        "visibility=secret",
        "member_status=perhaps",
        "size_min=-1",
        "size_max=big",
        "protected=perhaps",
        "created_at=yesterday",
        "created_at=gt:",
        "name=in:%22a",
        "name=%00",
    ],
)
def test_lists_refuse(shelf, query):
    shelf("GET", "/v2/images", ALICE, 400, query_string=query)


@pytest.mark.parametrize(
    "sort", ["sort=name:asc", "sort=size:desc,name:asc", "sort=disk_format:asc", "sort_dir=asc"]
)
def test_pages_lead_to_one_another(shelf, sort):
    whole, seen, path = shelf.names(sort), [], f"/v2/images?limit=1&{sort}&owner=a"
    for _ in range(4):
        answer = shelf("GET", path, ALICE, 200).json
        seen += [image["name"] for image in answer["images"]]
        assert (answer["schema"], answer["first"].partition("?")[0]) == ("/v2/schemas/images", "/v2/images")
        if not (path := answer.get("next")):
            break
    assert seen == whole
    assert path is None
    shelf("GET", "/v2/images?marker=7d9bd85c-4a5a-4d3c-8b2e-1f0d6c5b4a39", ALICE, 400)


def test_a_list_takes_a_constant_number_of_queries(client, cloud):
    counts = []
    for _ in range(2):
        for number in range(5):
            client.create(name=str(number), tags=["t"], p="v")
        with cloud.db.counting() as seen:
            assert client.names()
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 4


# -- data


def test_an_upload_needs_formats_and_an_empty_place(client):
    image = client.create()
    assert "disk_format" in client.upload(image, b"x", status=400).text
    client("PUT", image["file"], ALICE, 415, body=b"x", headers={"Content-Type": "text/plain"})
    client.patch(
        image,
        *(
            {"op": "add", "path": f"/{name}", "value": value}
            for name, value in (("disk_format", "raw"), ("container_format", "bare"))
        ),
    )
    client.upload(image, b"x")
    assert "active" in client.upload(image, b"y", status=409).text
    assert client("GET", image["file"]).content == b"x"


def test_a_refused_upload_leaves_nothing(client, cloud):
    image = client.create(disk_format="qcow2", container_format="bare")
    assert "qcow2" in client.upload(image, b"not at all", status=415).text
    shown = client("GET", image["self"]).json
    assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)
    assert cloud.image.files.names() == set()


@pytest.mark.parametrize(
    ("header", "content", "content_range"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=8-", b"89", "bytes 8-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=5-99", b"56789", "bytes 5-9/10"),
    ],
)
def test_parts_are_downloaded(client, header, content, content_range):
    image = client.active(b"0123456789")
    answer = client("GET", image["file"], ALICE, 206, headers={"Range": header})
    assert (answer.content, answer.headers["content-range"]) == (content, content_range)
    assert "content-md5" not in answer.headers


@pytest.mark.parametrize(
    "header", ["bytes=10-", "bytes=5-4", "bytes=-", "bytes=-0", "lines=1-2", "bytes=0-1,3-4"]
)
def test_parts_that_are_not_there_are_refused(client, header):
    image = client.active(b"0123456789")
    answer = client("GET", image["file"], ALICE, 416, headers={"Range": header})
    assert answer.headers["content-range"] == "bytes */10"


def test_a_deactivated_image_gives_out_no_data(client):
    image = client.active()
    client("POST", image["self"] + "/actions/deactivate", status=204)
    client("POST", image["self"] + "/actions/deactivate", status=204)
    client("GET", image["file"], ALICE, 403)
    client("GET", image["file"], ADMIN, 200)
    assert client("GET", image["self"]).json["status"] == "deactivated"
    client("POST", image["self"] + "/actions/reactivate", status=204)
    client("GET", image["file"], ALICE, 200)
    client("POST", client.create()["self"] + "/actions/deactivate", status=403)


# -- over a real connection


OCTETS = "Content-Type: application/octet-stream\r\n"


@contextlib.contextmanager
def uploading(port, image, headers="Transfer-Encoding: chunked\r\n"):
    """The head of an upload is sent; gives the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(
            f"PUT {'/image' + image['file']} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {ALICE}\r\n"
            f"{OCTETS}{headers}\r\n".encode()
        )
        yield connection


def status_becomes(client, image, status):
    eventually(lambda: client("GET", image["self"]).json["status"] == status, what=f"the status {status}")


@pytest.mark.parametrize(
    ("headers", "data"),
    [("Content-Length: 100\r\n", b"half"), ("Transfer-Encoding: chunked\r\n", b"4\r\nhalf\r\n")],
)
def test_a_client_that_goes_away_leaves_no_half_image(client, cloud, headers, data):
    image = client.create(disk_format="raw", container_format="bare")
    with serving(cloud.app(API)) as port:
        with uploading(port, image, headers) as connection:
            connection.sendall(data)
            status_becomes(client, image, "saving")
            client.upload(image, b"x", status=409)
        status_becomes(client, image, "queued")
        eventually(lambda: cloud.image.files.names() == set(), what="an empty folder")
    client.upload(image, b"whole")


def test_an_image_deleted_during_its_upload_is_gone(client, cloud):
    image = client.create(disk_format="raw", container_format="bare")
    with serving(cloud.app(API)) as port, uploading(port, image) as connection:
        connection.sendall(b"5\r\nearly\r\n")
        status_becomes(client, image, "saving")
        client("DELETE", image["self"], status=204)
        connection.sendall(b"4\r\nlate\r\n0\r\n\r\n")
        assert b" 410 Gone\r\n" in connection.recv(1000)
    assert cloud.image.files.names() == set()


def test_chunked_data_has_the_announced_size(client, cloud):
    image = client.create(disk_format="raw", container_format="bare")
    with serving(cloud.app(API)) as port:
        for announced, answer in ((5, b" 400 "), (4, b" 204 ")):
            headers = f"Transfer-Encoding: chunked\r\nX-Openstack-Image-Size: {announced}\r\n"
            with uploading(port, image, headers) as connection:
                connection.sendall(b"4\r\ndata\r\n0\r\n\r\n")
                assert answer in connection.recv(1000)


def test_large_data_passes_through_little_memory(client, cloud):
    image = client.create(disk_format="raw", container_format="bare")
    cloud.image.register(cloud.engine)
    block, count = random.Random(1).randbytes(1 << 20), 96
    with serving(cloud.app(API)) as port:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with uploading(port, image, f"Content-Length: {count << 20}\r\n") as connection:
            for _ in range(count):
                connection.sendall(block)
            assert b" 204 " in connection.recv(1000)
        shown = client("GET", image["self"]).json
        assert (shown["status"], shown["size"], shown["checksum"]) == ("active", count << 20, None)
        cloud.engine.reconcilers["image hashes"].run_once()
        wanted = hashlib.md5(block * 1, usedforsecurity=False)
        for _ in range(count - 1):
            wanted.update(block)
        assert client("GET", image["self"]).json["checksum"] == wanted.hexdigest()

        fetched = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        fetched.request("GET", "/image" + image["file"], headers={"X-Auth-Token": ALICE})
        answer, got = fetched.getresponse(), hashlib.md5(usedforsecurity=False)
        while part := answer.read(1 << 20):
            got.update(part)
        fetched.close()
        assert got.digest() == wanted.digest()
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 64 << 10
