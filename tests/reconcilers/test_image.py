"""Image's passes: from nothing, twice, and while things fail."""

from __future__ import annotations

import hashlib

import pytest

from pilvi.engine.clock import ManualClock
from pilvi.faults import Gone
from pilvi.image.data import UPLOAD_LEASE_SECONDS
from pilvi.image.reconcilers import Hashes, Leftovers
from pilvi.image.service import Images
from pilvi.policy import Context, with_implied
from tests.support.faces import SmallCloud

ALICE = Context(user_id="alice", project_id="a", roles=with_implied(frozenset({"member"})))


@pytest.fixture
def cloud(tmp_path):
    cloud = SmallCloud(f"sqlite:///{tmp_path}/pilvi.db", clock=ManualClock())
    cloud.image = Images(
        cloud.db, cloud.clock, cloud.ids, cloud.engine, cloud.settings, tmp_path / "images", cloud.identity
    )
    cloud.create_tables()
    yield cloud
    cloud.close()


@pytest.fixture
def leftovers(cloud):
    return Leftovers(cloud.image)


@pytest.fixture
def hashes(cloud):
    return Hashes(cloud.image)


def upload(images, data=b"data"):
    image = images.create(ALICE, {"disk_format": "raw", "container_format": "bare"}, {})
    under_way = images.begin_upload(ALICE, image["id"], len(data))
    under_way.writer.write([data])
    return image["id"], under_way


def status(cloud, image_id):
    return cloud.image.show(ALICE, image_id)["status"]


def test_from_nothing(leftovers, hashes):
    for _ in range(2):
        assert leftovers.reconcile() == "0 dead uploads reset, 0 files without an image removed"
        assert hashes.reconcile() == "0 images hashed"


def test_a_dead_upload_is_queued_again_and_its_data_removed(cloud, leftovers):
    image_id, under_way = upload(cloud.image)
    leftovers.reconcile()
    assert status(cloud, image_id) == "saving"
    assert cloud.image.files.names() == {under_way.id}

    cloud.clock.advance(UPLOAD_LEASE_SECONDS + 1)
    leftovers.reconcile()
    assert leftovers.reconcile() == "0 dead uploads reset, 0 files without an image removed"
    assert status(cloud, image_id) == "queued"
    assert cloud.image.files.names() == set()


def test_an_upload_that_is_renewed_is_left_alone(cloud, leftovers):
    image_id, under_way = upload(cloud.image)
    for _ in range(3):
        cloud.clock.advance(UPLOAD_LEASE_SECONDS - 1)
        assert cloud.image.renew_upload(under_way)
        leftovers.reconcile()
    cloud.image.finish_upload(under_way)
    leftovers.reconcile()
    assert status(cloud, image_id) == "active"
    assert cloud.image.files.names() == {under_way.id}


def test_an_upload_that_was_overtaken_does_no_harm(cloud, leftovers):
    image_id, slow = upload(cloud.image, b"slow")
    cloud.clock.advance(UPLOAD_LEASE_SECONDS + 1)
    quick = cloud.image.begin_upload(ALICE, image_id, 5)
    quick.writer.write([b"quick"])
    assert not cloud.image.renew_upload(slow)
    cloud.image.finish_upload(quick)
    with pytest.raises(Gone):
        cloud.image.finish_upload(slow)
    cloud.image.abandon_upload(slow)
    leftovers.reconcile()
    found = cloud.image.open_data(ALICE, image_id)
    with found.source.file:
        assert found.source.file.read() == b"quick"
    assert cloud.image.files.names() == {quick.id}


def test_giving_up_an_upload_that_has_succeeded_keeps_it(cloud):
    image_id, under_way = upload(cloud.image)
    cloud.image.finish_upload(under_way)
    cloud.image.abandon_upload(under_way)
    assert status(cloud, image_id) == "active"
    assert cloud.image.files.names() == {under_way.id}


def test_files_that_belong_to_no_image_are_removed(cloud, leftovers):
    _image_id, under_way = upload(cloud.image)
    cloud.image.finish_upload(under_way)
    for name in ("stray", "stray.part", "other.part"):
        (cloud.image.files.root / name).write_bytes(b"x")
    assert leftovers.reconcile() == "0 dead uploads reset, 2 files without an image removed"
    assert sorted(path.name for path in cloud.image.files.root.iterdir()) == [under_way.id]


def test_a_file_that_cannot_be_removed_is_left_to_the_next_pass(cloud, leftovers, monkeypatch):
    upload(cloud.image)
    stray = cloud.image.files.root / "stray"
    stray.mkdir()
    with pytest.raises(OSError, match="stray"):
        leftovers.reconcile()
    stray.rmdir()
    stray.write_bytes(b"x")
    assert leftovers.reconcile() == "0 dead uploads reset, 1 files without an image removed"


def test_what_was_not_hashed_is_hashed_once(cloud, hashes, monkeypatch):
    monkeypatch.setattr("pilvi.image.data.HASHED_AT_ONCE_BYTES", 3)
    (large, first), (small, second) = upload(cloud.image, b"data"), upload(cloud.image, b"abc")
    cloud.image.finish_upload(first)
    cloud.image.finish_upload(second)
    assert cloud.image.show(ALICE, large)["os_hash_algo"] is None
    assert cloud.image.show(ALICE, small)["checksum"] == hashlib.md5(b"abc").hexdigest()
    assert hashes.reconcile() == "1 images hashed"
    assert hashes.reconcile() == "0 images hashed"
    shown = cloud.image.show(ALICE, large)
    assert (shown["checksum"], shown["os_hash_value"]) == (
        hashlib.md5(b"data").hexdigest(),
        hashlib.sha512(b"data").hexdigest(),
    )


def test_data_that_is_gone_does_not_stop_the_hashing(cloud, hashes, monkeypatch):
    monkeypatch.setattr("pilvi.image.data.HASHED_AT_ONCE_BYTES", 0)
    (_, first), (kept, second) = upload(cloud.image), upload(cloud.image)
    cloud.image.finish_upload(first)
    cloud.image.finish_upload(second)
    cloud.image.files.remove(first.id)
    assert hashes.reconcile() == "1 images hashed"
    assert cloud.image.show(ALICE, kept)["checksum"]
