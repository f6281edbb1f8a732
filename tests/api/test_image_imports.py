"""Imports, stores, locations, tasks and the cache of the Image API, over HTTP."""

from __future__ import annotations

import hashlib
import struct

import pytest

from pilvi import quota
from tests.support import images
from tests.support.images import ADMIN, BOB, SERVICE, V20, Client
from tests.support.wait import eventually

SHA512 = hashlib.sha512(b"web").hexdigest()
QCOW2 = struct.pack(">4sIQIIQIIQ", b"QFI\xfb", 2, 0, 0, 16, 1 << 20, 0, 0, 0) + bytes(512)


@pytest.fixture
def web():
    with images.web() as server:
        server.pages["/web"] = b"web"
        yield server


@pytest.fixture
def cloud(tmp_path):
    with images.image_cloud(tmp_path, show_multiple_locations=True) as cloud:
        yield cloud


@pytest.fixture
def client(cloud):
    return Client(cloud)


def data(client, image):
    return client("GET", image["file"], status=200).content


def files(cloud):
    return {name: folder.names() for name, folder in cloud.image.stores.folders().items()}


# -- glance-direct, and several stores


def test_staged_data_is_imported(client):
    image = client.create()
    client.order(image, "glance-direct", status=409)
    client.put(image, b"staged", to="stage")
    assert client.show(image)["status"] == "uploading"
    client("GET", image["file"], status=204)
    client.order(image, "magic", status=400)
    client.order(image, "glance-direct", token=BOB, status=404)
    client.order(image, "glance-direct")
    task = client.task(image)
    assert (task["status"], task["type"], task["image_id"]) == ("success", "api_image_import", image["id"])
    assert task["input"]["import_req"]["method"]["name"] == "glance-direct"
    shown = client.show(image)
    assert (shown["status"], shown["stores"], shown["size"]) == ("active", "local", 6)
    assert (shown["os_glance_importing_to_stores"], shown["os_glance_failed_import"]) == ("", "")
    assert data(client, image) == b"staged"


@pytest.mark.parametrize(("wish", "stores"), [({"all_stores": True}, "local,second"), ({"stores": ["second"]}, "second")])
def test_data_goes_to_the_stores_that_are_named(client, cloud, wish, stores):
    image = client.create()
    client.put(image, b"staged", to="stage")
    client.order(image, "glance-direct", **wish)
    assert client.outcome(image) == ("success", "active")
    assert client.show(image)["stores"] == stores
    assert data(client, image) == b"staged"
    assert {name for name, found in files(cloud).items() if found} == set(stores.split(","))
    client("DELETE", image["self"], status=204)
    assert files(cloud) == {"local": set(), "second": set()}


def test_wishes_for_stores_must_make_sense(client):
    image = client.create()
    client.put(image, b"staged", to="stage")
    client.order(image, "glance-direct", stores=["local"], all_stores=True, status=400)
    client.order(image, "glance-direct", stores=["nowhere"], status=409)
    client.order(image, "glance-direct", stores=["web"], status=409)
    client.order(image, "glance-direct", stores=[], status=400)
    client.put(client.create(), b"x", store="nowhere", status=400)


def test_staged_data_of_another_format_is_refused_when_it_is_imported(client, cloud):
    image = client.create(disk_format="qcow2")
    client.put(image, b"nothing of the kind", to="stage")
    client.order(image, "glance-direct")
    assert client.outcome(image) == ("failure", "queued")
    assert "it is said to be qcow2" in client.task(image)["message"]
    shown = client.show(image)
    assert (shown["size"], shown["checksum"], shown["os_glance_failed_import"]) == (None, None, "local")
    assert files(cloud)["local"] == set()
    client.put(image, QCOW2)


def test_an_upload_goes_to_the_store_that_is_named(client, cloud):
    image = client.create()
    client.put(image, b"data", store="second")
    assert client.show(image)["stores"] == "second"
    assert data(client, image) == b"data"
    assert files(cloud)["local"] == set()


def test_of_several_copies_a_preferred_one_is_read(client, cloud, monkeypatch):
    image = client.active()
    client.order(image, "copy-image", stores=["second"])
    client.settle()
    for name, folder in cloud.image.stores.folders().items():
        (path,) = folder.root.iterdir()
        path.write_bytes(name[:4].encode())
    for query, content in (("", b"loca"), ("?prefer=second", b"seco"), ("?prefer=web,second", b"seco")):
        assert client("GET", image["file"] + query, status=200).content == content
    client("GET", image["file"] + "?prefer=nowhere", status=400)


def test_stores_are_told(client):
    stores = client("GET", "/v2/info/stores", status=200).json["stores"]
    assert [each["id"] for each in stores] == ["local", "second", "web"]
    assert (stores[0]["default"], stores[2]["read-only"]) == ("true", "true")
    client("GET", "/v2/info/stores/detail", status=403)
    detail = client("GET", "/v2/info/stores/detail", ADMIN, 200).json["stores"]
    assert [each["type"] for each in detail] == ["file", "file", "http"]
    created = client("POST", "/v2/images", status=201, json={})
    assert created.headers["openstack-image-store-ids"] == "local,second"


# -- copy-image, and out of a store again


def test_an_image_is_copied_and_taken_out_of_a_store(client, cloud):
    image = client.active()
    client.order(image, "copy-image", all_stores=True)
    assert client.outcome(image) == ("success", "active")
    shown = client.show(image)
    assert (shown["stores"], shown["os_glance_importing_to_stores"]) == ("local,second", "")
    client("DELETE", f"/v2/stores/local/{image['id']}", status=403)
    client("DELETE", f"/v2/stores/nowhere/{image['id']}", ADMIN, 404)
    client("DELETE", f"/v2/stores/local/{image['id']}", ADMIN, 204)
    client("DELETE", f"/v2/stores/local/{image['id']}", ADMIN, 404)
    client("DELETE", f"/v2/stores/second/{image['id']}", ADMIN, 403)
    assert client.show(image)["stores"] == "second"
    assert (data(client, image), files(cloud)["local"]) == (b"data", set())


def test_copies_need_an_active_image_of_ones_own(client):
    client.order(client.create(), "copy-image", status=409)
    image = client.active(visibility="community")
    client.order(image, "copy-image", token=BOB, stores=["second"], status=403)
    client.order(image, "copy-image", token=ADMIN, stores=["second"])
    assert client.outcome(image) == ("success", "active")


def test_a_store_that_cannot_be_written_fails_the_import_or_is_left_out(client, cloud, monkeypatch):
    broken = cloud.image.stores.folders()["second"]
    monkeypatch.setattr(broken, "adopt", lambda *_, **__: (_ for _ in ()).throw(OSError("the disk is broken")))
    for must_succeed, stores in ((True, None), (False, "local")):
        image = client.create()
        client.put(image, b"staged", to="stage")
        client.order(image, "glance-direct", all_stores=True, all_stores_must_succeed=must_succeed)
        task = client.task(image)
        assert task["status"] == ("failure" if must_succeed else "success")
        assert client.show(image).get("stores") == stores
    assert client.show(image)["os_glance_failed_import"] == "second"
    image = client.active()
    client.order(image, "copy-image", stores=["second"])
    assert client.outcome(image) == ("failure", "active")
    assert "the disk is broken" in client.task(image)["message"]
    assert client.show(image)["stores"] == "local"


# -- web-download


def test_an_image_is_downloaded(client, web):
    image = client.create()
    client.order(image, "web-download", method={"uri": web.url("/web")}, all_stores=True)
    assert client.outcome(image) == ("success", "active")
    shown = client.show(image)
    assert (shown["stores"], shown["os_hash_value"]) == ("local,second", SHA512)
    assert data(client, image) == b"web"


def test_a_download_that_fails_leaves_a_queued_image(client, cloud, web):
    web.pages["/away"] = (302, {"Location": "http://169.254.169.254/latest"}, b"")
    web.pages["/round"] = (302, {"Location": "/round"}, b"")
    web.pages["/lie"] = (200, {"Content-Length": "10"}, b"short")
    for path, reason in (("/none", "404"), ("/away", "does not pass filtering"), ("/round", "redirects more than"),
                         ("/lie", "5 of 10")):
        image = client.create()
        client.order(image, "web-download", method={"uri": web.url(path)})
        assert client.outcome(image) == ("failure", "queued"), path
        assert reason in client.task(image)["message"]
        assert client.show(image)["os_glance_failed_import"] == "local"
    assert files(cloud)["local"] == set()


@pytest.mark.parametrize("uri", [
    "ftp://example.org/x", "file:///etc/passwd", "http://10.0.0.1/", "http://169.254.169.254/", "http://[::1]/",
    "http://[::ffff:10.0.0.1]/", "http://user@example.org/", "http://example.org:22/", "http://localhost/", "http:///x",
    "http://0x7f.1/", "http://2130706433/", "http://exa mple.org/", "http://[64:ff9b::a00:1]/", "http://example.org:x/",
])
def test_a_url_that_leads_inside_is_refused_at_once(client, uri):
    for method in ({"uri": uri}, {}):
        assert client.order(client.create(), "web-download", method=method, status=400)


def test_an_image_that_is_deleted_during_its_import_leaves_nothing(client, cloud, web, monkeypatch):
    monkeypatch.setattr("pilvi.image.operations.LOOK_BYTES", 1)
    image = client.create()
    real = cloud.image.fetcher.open

    def slow(url):
        client("DELETE", image["self"], status=204)
        return real(url)

    monkeypatch.setattr(cloud.image.fetcher, "open", slow)
    client.order(image, "web-download", method={"uri": web.url("/web")})
    client.settle()
    client("GET", image["self"], status=404)
    assert files(cloud)["local"] == set()


# -- glance-download


def test_an_image_of_this_region_is_taken_over(client):
    source = client.active(b"source", hw_disk_bus="scsi", os_distro="rhel", speed="88")
    image = client.create(disk_format="iso", container_format="ovf", os_distro="windows")
    wanted = {"glance_region": "RegionOne", "glance_image_id": source["id"]}
    client.order(image, "glance-download", method=wanted)
    assert client.outcome(image) == ("success", "active")
    shown = client.show(image)
    assert (shown["disk_format"], shown["container_format"], shown["os_distro"]) == ("raw", "bare", "rhel")
    assert (shown["hw_disk_bus"], shown.get("speed"), data(client, image)) == ("scsi", None, b"source")


def test_an_image_that_is_not_there_cannot_be_taken_over(client):
    hidden = client.create(BOB)
    for region, source in (("RegionOne", hidden["id"]), ("elsewhere", hidden["id"])):
        image = client.create(os_distro="windows")
        client.order(image, "glance-download", method={"glance_region": region, "glance_image_id": source})
        assert client.outcome(image) == ("failure", "queued")
        assert client.show(image)["os_distro"] == "windows"
    wanted = {"glance_region": "RegionOne", "glance_image_id": "foo"}
    assert "image id does not look like a UUID" in client.order(image, "glance-download", method=wanted, status=400).text
    client.order(image, "glance-download", status=400)


# -- tasks


def test_a_task_imports_an_image(client, web):
    form = {"import_from": web.url("/web"), "import_from_format": "raw", "image_properties": {"name": "n", "a": "b"}}
    client("POST", "/v2/tasks", status=403, json={"type": "import", "input": form})
    task = client("POST", "/v2/tasks", ADMIN, 201, json={"type": "import", "input": form}).json
    assert (task["status"], task["type"], task["input"]) == ("pending", "import", form)
    client.settle()
    task = client("GET", task["self"], ADMIN, 200).json
    assert task["status"] == "success"
    image = client("GET", "/v2/images/" + task["result"]["image_id"], ADMIN, 200).json
    assert (image["status"], image["name"], image["a"], image["disk_format"]) == ("active", "n", "b", "raw")
    client("GET", task["self"], status=403)


def test_a_task_that_fails_leaves_no_image(client, web):
    form = {"import_from": web.url("/none"), "import_from_format": "raw", "image_properties": {}}
    task = client("POST", "/v2/tasks", ADMIN, 201, json={"type": "import", "input": form}).json
    client.settle()
    task = client("GET", task["self"], ADMIN, 200).json
    assert (task["status"], "404" in task["message"]) == ("failure", True)
    client("GET", "/v2/images/" + task["image_id"], ADMIN, 404)
    client("POST", "/v2/tasks", ADMIN, 400, json={"type": "import", "input": {**form, "import_from": "http://10.0.0.1"}})
    client("POST", "/v2/tasks", ADMIN, 400, json={"type": "export", "input": form})


def test_tasks_are_listed_in_pages(client, web):
    form = {"import_from": web.url("/none"), "import_from_format": "raw", "image_properties": {}}
    made = [client("POST", "/v2/tasks", ADMIN, 201, json={"type": "import", "input": form}).json["id"] for _ in "123"]
    client.settle()
    found, path = [], "/v2/tasks?limit=2&sort_dir=asc&status=failure"
    while path:
        answer = client("GET", path, ADMIN, 200).json
        found += [task["id"] for task in answer["tasks"]]
        path = answer.get("next")
    assert found == made
    assert client("GET", "/v2/tasks?type=export", ADMIN, 200).json["tasks"] == []
    for query, status in (("sort_key=x", 400), ("limit=x", 400), ("marker=x", 404)):
        client("GET", "/v2/tasks?" + query, ADMIN, status)
    client("GET", "/v2/tasks/x", ADMIN, 404)


# -- locations


def test_data_may_stay_where_it_is(client, web):
    image = client.create()
    hashes = {"os_hash_algo": "sha256", "os_hash_value": hashlib.sha256(b"web").hexdigest(),
              "checksum": hashlib.md5(b"web").hexdigest()}
    location = {"url": web.url("/web"), "validation_data": hashes}
    client("POST", image["self"] + "/locations", BOB, 404, json=location)
    client("POST", image["self"] + "/locations", status=202, json=location)
    assert client.outcome(image) == ("success", "active")
    shown = client.show(image)
    assert (shown["os_hash_algo"], shown["stores"], shown["size"]) == ("sha256", "web", 3)
    assert data(client, image) == b"web"
    part = client("GET", image["file"], status=206, headers={"Range": "bytes=1-1"})
    assert part.content == b"e"
    client("POST", image["self"] + "/locations", status=409, json=location)
    client("GET", image["self"] + "/locations", status=403)
    found = client("GET", image["self"] + "/locations", SERVICE, 200).json
    assert found == [{"url": web.url("/web"), "metadata": {"store": "web"}}]
    web.pages.clear()
    client("DELETE", image["self"], status=204)


def test_data_that_is_not_what_was_expected_is_not_used(client, web):
    image = client.create()
    wrong = {"os_hash_algo": "sha512", "os_hash_value": "beefdead" * 16}
    client("POST", image["self"] + "/locations", status=202, json={"url": web.url("/web"), "validation_data": wrong})
    assert client.outcome(image) == ("failure", "queued")
    shown = client.show(image)
    assert (shown["os_hash_algo"], shown["checksum"], shown["stores"]) == (None, None, "web")
    client("POST", image["self"] + "/locations", status=202, json={"url": web.url("/web")})
    assert client.outcome(image) == ("success", "active")
    assert client.show(image)["os_hash_value"] == SHA512


@pytest.mark.parametrize("wrong", [
    {"os_hash_algo": "sha512", "os_hash_value": "dbc9"}, {"os_hash_value": "0" * 128}, {"os_hash_algo": "sha512"},
    {"os_hash_algo": "sha123", "os_hash_value": "0" * 128}, {"os_hash_algo": "sha512", "os_hash_value": "0" * 64},
    {"os_hash_algo": "sha256", "os_hash_value": "0" * 64, "checksum": "1"}, {"more": "x"},
])
def test_hashes_that_cannot_be_are_refused(client, web, wrong):
    body = {"url": web.url("/web"), "validation_data": wrong}
    client("POST", client.create()["self"] + "/locations", status=400, json=body)


def test_locations_are_changed_by_patches(client, web):
    image = client.create()
    assert image["locations"] == []
    first, second = web.url("/web"), web.url("/web") + "#new"
    client.patch(image, {"add": "/locations/-", "value": {"url": first, "metadata": {"foo": "bar"}}}, kind=V20)
    eventually(lambda: client.show(image)["size"] == 3, what="the size that the server announces")
    shown = client.show(image)
    assert (shown["status"], shown["os_hash_algo"], shown["stores"]) == ("active", None, "web")
    assert data(client, image) == b"web"
    shown = client.patch(image, {"op": "add", "path": "/locations/-", "value": {"url": second, "metadata": {}}}).json
    assert [each["url"] for each in shown["locations"]] == [first, second]
    shown["locations"][0]["metadata"]["date"] = "today"
    client.patch(image, {"op": "replace", "path": "/locations", "value": shown["locations"]})
    assert client.show(image)["locations"] == shown["locations"]
    for value in (shown["locations"][:1], [{"url": first}, {"url": web.url("/x")}], "x", [{"uri": "x"}]):
        client.patch(image, {"op": "replace", "path": "/locations", "value": value}, status=400)
    client.patch(image, {"op": "remove", "path": "/locations/7"}, status=400)
    client.patch(image, {"op": "remove", "path": "/locations/0"})
    assert [each["url"] for each in client.show(image)["locations"]] == [second]
    client.patch(image, {"op": "remove", "path": "/locations/0"}, status=403)


def test_a_location_must_pass_and_agree(client, web):
    image = client.create()
    for url in ("gopher://example.org", "http://10.0.0.1/"):
        client.patch(image, {"op": "add", "path": "/locations/-", "value": {"url": url}}, status=400)
    hashes = {"checksum": "1" * 32, "os_hash_algo": "sha512", "os_hash_value": "deadbeef" * 16}
    location = {"url": web.url("/web"), "validation_data": hashes}
    shown = client.patch(image, {"op": "add", "path": "/locations/-", "value": location}).json
    assert {name: shown[name] for name in hashes} == hashes
    for wrong in ({"checksum": "2" * 32}, {"os_hash_value": "beefdead" * 16}, {"os_hash_algo": "sha256"}):
        other = {"url": web.url("/web") + "#new", "validation_data": {**hashes, **wrong}}
        client.patch(image, {"op": "add", "path": "/locations/-", "value": other}, status=409)
    other["validation_data"] = hashes
    shown = client.patch(image, {"op": "add", "path": "/locations/-", "value": other}).json
    assert len(shown["locations"]) == 2


def test_an_upload_is_a_location(client, cloud):
    image = client.active()
    (location,) = image["locations"]
    assert location["url"].startswith("file:///")
    assert location["metadata"] == {"store": "local"}
    client.order(image, "copy-image", stores=["second"])
    client.settle()
    client.patch(image, {"op": "remove", "path": "/locations/0"})
    assert (client.show(image)["stores"], files(cloud)["local"]) == ("second", set())


def test_locations_are_neither_shown_nor_changed_unless_that_is_set(tmp_path, web):
    with images.image_cloud(tmp_path, http_store=False) as cloud:
        client = Client(cloud)
        image = client.create()
        assert "locations" not in image
        change = {"op": "add", "path": "/locations/-", "value": {"url": web.url("/web")}}
        client.patch(image, change, status=403)
        client("POST", image["self"] + "/locations", status=400, json={"url": web.url("/web")})
        assert [each["id"] for each in client("GET", "/v2/info/stores").json["stores"]] == ["local", "second"]


# -- the cache


def test_the_cache_keeps_copies(client, cloud, web):
    local, remote = client.active(), client.create()
    client("POST", remote["self"] + "/locations", status=202, json={"url": web.url("/web")})
    client.settle()
    client("GET", "/v2/cache", status=403)
    client("PUT", "/v2/cache/nothing", ADMIN, 404)
    client("PUT", f"/v2/cache/{client.create()['id']}", ADMIN, 400)
    for image in (local, remote):
        client("PUT", f"/v2/cache/{image['id']}", ADMIN, 202)
    eventually(lambda: len(client("GET", "/v2/cache", ADMIN, 200).json["cached_images"]) == 2, what="the copies")
    asked = len(web.asked)
    assert data(client, remote) == b"web"
    assert len(web.asked) == asked
    shown = client("GET", "/v2/cache", ADMIN, 200).json
    assert {each["image_id"]: (each["size"], each["hits"]) for each in shown["cached_images"]} == {
        local["id"]: (4, 0), remote["id"]: (3, 1)}
    client("DELETE", f"/v2/cache/{local['id']}", ADMIN, 204)
    client("DELETE", f"/v2/cache/{local['id']}", ADMIN, 404)
    assert cloud.image.cache.names() == {remote["id"]}
    client("DELETE", "/v2/cache", ADMIN, 400, headers={"x-image-cache-clear-target": "invalid"})
    client("DELETE", "/v2/cache", ADMIN, 204)
    assert client("GET", "/v2/cache", ADMIN, 200).json == {"cached_images": [], "queued_images": []}
    assert (cloud.image.cache.names(), data(client, remote)) == (set(), b"web")


def test_a_server_boots_from_remote_data_once_it_is_cached(client, cloud, web):
    from pilvi.faults import BadRequest
    from pilvi.policy import Context

    image = client.create()
    client("POST", image["self"] + "/locations", status=202, json={"url": web.url("/web")})
    client.settle()
    context = Context(user_id="alice", project_id="a")
    with cloud.db.read() as tx, pytest.raises(BadRequest, match="cached image queue"):
        cloud.image.for_boot(tx, context, image["id"])
    client("PUT", f"/v2/cache/{image['id']}", ADMIN, 202)
    eventually(lambda: client("GET", "/v2/cache", ADMIN, 200).json["cached_images"], what="the copy")
    with cloud.db.read() as tx:
        boot = cloud.image.for_boot(tx, context, image["id"])
    assert (boot.path.read_bytes(), boot.size_bytes, boot.virtual_size_bytes) == (b"web", 3, 3)


def test_the_cache_gives_up_what_nobody_reads(tmp_path):
    with images.image_cloud(tmp_path, cache_gib=0) as cloud:
        client = Client(cloud)
        client("PUT", f"/v2/cache/{client.active()['id']}", ADMIN, 202)
        eventually(lambda: client("GET", "/v2/cache", ADMIN).json == {"cached_images": [], "queued_images": []},
                   what="an empty cache")
        assert cloud.image.cache.names() == set()


# -- usage


def test_usage_is_told_beside_the_limits(client, cloud):
    image = client.active(bytes(1 << 20))
    client.order(image, "copy-image", stores=["second"])
    client.settle()
    client.put(client.create(), bytes((1 << 20) + 1), to="stage")
    usage = client("GET", "/v2/info/usage", status=200).json["usage"]
    assert {name: each["usage"] for name, each in usage.items()} == {
        "image_size_total": 2, "image_stage_total": 2, "image_count_total": 2, "image_count_uploading": 1}
    with cloud.db.transaction() as tx:
        quota.set_limits(tx, "image", "a", {"image_stage_total": 1, "image_count_uploading": 2})
    client.put(client.create(), b"x", to="stage", status=413)
    with cloud.db.transaction() as tx:
        quota.set_limits(tx, "image", "a", {"image_stage_total": -1, "image_count_uploading": 1})
    client.put(client.create(), b"x", status=413)
    client.order(client.create(), "web-download", method={"uri": "http://127.0.0.1/"}, status=413)


# -- content that is not what it is called


def test_content_of_another_format_may_be_allowed_but_not_booted(tmp_path):
    from pilvi.faults import BadRequest
    from pilvi.policy import Context

    with images.image_cloud(tmp_path, format_enforcement=False) as cloud:
        client = Client(cloud)
        image = client.create(disk_format="qcow2")
        client.put(image, b"nothing of the kind")
        assert (client.show(image)["status"], client.show(image)["virtual_size"]) == ("active", None)
        with cloud.db.read() as tx, pytest.raises(BadRequest, match="its content is not qcow2"):
            cloud.image.for_boot(tx, Context(user_id="alice", project_id="a"), image["id"])
        client.put(client.create(), QCOW2, status=415)  # a raw disk that names other files
        backed = struct.pack(">4sIQIIQIIQ", b"QFI\xfb", 2, 8, 8, 16, 1 << 20, 0, 0, 0) + bytes(512)
        client.put(client.create(disk_format="qcow2"), backed, status=415)


def test_slow_web_servers_do_not_keep_other_operations_waiting(client, cloud, web, monkeypatch):
    """More imports wait for their data than operations may be at work."""
    import threading

    gate, real = threading.Event(), cloud.image.fetcher.open
    monkeypatch.setattr(cloud.image.fetcher, "open", lambda url: gate.wait(20) and real(url))
    slow = [client.create() for _ in range(5)]
    for image in slow:
        client.order(image, "web-download", method={"uri": web.url("/web")})
    quick = client.create()
    client.put(quick, b"staged", to="stage")
    client.order(quick, "glance-direct", stores=["local"])
    eventually(lambda: client.show(quick)["status"] == "active", what="the import that waits for nobody")
    assert {client.show(image)["status"] for image in slow} == {"importing"}
    gate.set()
    assert {client.outcome(image) for image in slow} == {("success", "active")}
