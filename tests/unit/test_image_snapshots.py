"""Images that operations fill: reserved in their transaction, filled from a file, done twice without harm."""

from __future__ import annotations

import os

import pytest

from pilvi import quota
from pilvi.faults import Gone, TooLarge, UnsupportedMediaType
from pilvi.image import store
from pilvi.image.reconcilers import Leftovers
from pilvi.image.service import Images
from pilvi.policy import Context, with_implied
from tests.support.faces import SmallCloud

ALICE = Context(user_id="alice", project_id="a", roles=with_implied(frozenset({"member"})))


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
def source(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"disk" * 100)
    return path


def reserve(cloud, **values):
    form = {"name": "snap", "properties": {"image_type": "snapshot"}, "disk_format": "raw", "min_disk_gib": 1}
    with cloud.db.transaction() as tx:
        return cloud.image.create_snapshot(tx, ALICE, **{**form, **values})


def show(cloud, image_id):
    return cloud.image.show(ALICE, image_id)


def test_a_snapshot_is_saving_and_then_active(cloud, source):
    image_id = reserve(cloud)
    image = show(cloud, image_id)
    assert (image["status"], image["owner"], image["visibility"]) == ("saving", "a", "private")
    assert (image["image_type"], image["min_disk"]) == ("snapshot", 1)
    for _again in range(2):
        cloud.image.store_snapshot(image_id, source)
    image = show(cloud, image_id)
    assert (image["status"], image["size"], image["virtual_size"]) == ("active", 400, 400)
    assert len(image["os_hash_value"]) == 128
    with cloud.image.open_data(ALICE, image_id).source.file as file:
        assert file.read() == source.read_bytes()


def test_a_snapshot_outlives_passes_and_a_crash_before_its_row(cloud, source):
    image_id = reserve(cloud)
    with cloud.db.read() as tx:
        name = store.any_image(tx, image_id).upload_id
    cloud.image.files.adopt(name, source, consume=True)  # killed after this
    Leftovers(cloud.image).reconcile()
    assert not source.exists()
    cloud.image.store_snapshot(image_id, source, consume=True)
    assert show(cloud, image_id)["size"] == 400


def test_holes_stay_holes(cloud, source):
    with source.open("wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
    image_id = reserve(cloud)
    cloud.image.store_snapshot(image_id, source)
    with cloud.image.open_data(ALICE, image_id).source.file as file:
        assert os.fstat(file.fileno()).st_blocks * 512 < 1 << 20
        assert os.pread(file.fileno(), 3, 64 << 20) == b"end"
        assert os.fstat(file.fileno()).st_size == (64 << 20) + 3


def test_content_of_another_format_is_refused(cloud, source):
    image_id = reserve(cloud, disk_format="qcow2")
    with pytest.raises(UnsupportedMediaType, match="it is said to be qcow2"):
        cloud.image.store_snapshot(image_id, source)


def test_a_failed_snapshot_says_why_and_leaves_no_file(cloud, source):
    image_id = reserve(cloud, disk_format="qcow2")
    with pytest.raises(UnsupportedMediaType):
        cloud.image.store_snapshot(image_id, source)
    with cloud.db.transaction() as tx:
        cloud.image.fail_snapshot(tx, image_id, "the host went away")
    image = show(cloud, image_id)
    assert (image["status"], image["os_glance_failure"]) == ("killed", "the host went away")
    assert cloud.image.files.names() == set()
    cloud.image.store_snapshot(image_id, source)
    assert show(cloud, image_id)["status"] == "killed"


def test_only_an_unfinished_snapshot_is_taken_back(cloud, source):
    done, undone = reserve(cloud), reserve(cloud)
    cloud.image.store_snapshot(done, source)
    for image_id in (done, undone, "gone"):
        with cloud.db.transaction() as tx:
            cloud.image.delete_snapshot_if_unfinished(tx, image_id)
            cloud.image.fail_snapshot(tx, image_id, "too late")
    assert show(cloud, done)["status"] == "active"
    with pytest.raises(Gone, match="was deleted"):
        cloud.image.store_snapshot(undone, source)


def test_a_snapshot_counts_against_the_quota(cloud):
    with cloud.db.transaction() as tx:
        quota.set_limits(tx, "image", "a", {"image_count_total": 1})
    reserve(cloud)
    with pytest.raises(TooLarge, match="image_count_total"):
        reserve(cloud)
