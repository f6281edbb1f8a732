"""The Image API v2, as its clients see it."""

from __future__ import annotations

import pytest
from falcon import testing

from pilvi.image.routes import API
from pilvi.image.service import Images
from tests.support.faces import SmallCloud

ALICE, BOB, READER, ADMIN = "alice:a:member", "bob:b:member", "rita:a:reader", "root:admin:admin"
PATCH = "application/openstack-images-v2.1-json-patch"


class Client:
    def __init__(self, app):
        self._client = testing.TestClient(app)

    def __call__(self, method, path, token=ALICE, status=None, **options):
        headers = {"X-Auth-Token": token, **options.pop("headers", {})} if token else options.pop("headers", {})
        answer = self._client.simulate_request(method, "/image" + path, headers=headers, **options)
        if status is not None:
            assert answer.status_code == status, answer.text
        return answer

    def create(self, token=ALICE, **values):
        return self("POST", "/v2/images", token, 201, json=values).json

    def patch(self, image, *changes, token=ALICE, status=200):
        return self("PATCH", f"/v2/images/{image['id']}", token, status, json=list(changes),
                    headers={"Content-Type": PATCH})

    def upload(self, image, data, token=ALICE, status=204):
        return self("PUT", f"/v2/images/{image['id']}/file", token, status, body=data,
                    headers={"Content-Type": "application/octet-stream"})

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
    cloud.image = Images(cloud.db, cloud.clock, cloud.ids, cloud.engine, cloud.settings, tmp_path / "images",
                         cloud.identity)
    cloud.create_tables()
    yield cloud
    cloud.close()


@pytest.fixture
def client(cloud):
    return Client(cloud.app(API))


def test_an_image_is_created_filled_shown_and_deleted(client, cloud):
    image = client.create(name="cirros", disk_format="raw", container_format="bare", min_disk=1, tags=["b", "a"],
                          hw_disk_bus="virtio")
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
    assert (data.headers["content-type"], data.headers["content-length"]) == ("application/octet-stream", "10")

    client("DELETE", image["self"], status=204)
    client("GET", image["self"], status=404)
    client("DELETE", image["self"], status=404)
    assert cloud.image.files.names() == set()
