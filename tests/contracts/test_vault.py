"""The contract of what keeps backups, for a folder and for a bucket of a real S3 server (Ceph's)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pilvi.faults import ConfigurationError
from pilvi.settings import S3Settings, VolumeSettings
from pilvi.volume.vaults import Bucket, Folder, VaultError, vault
from tests.support.ceph import ceph
from tests.support.cloud import simulated_cloud


@pytest.fixture(scope="module")
def s3():
    pytest.importorskip("minio")
    with ceph() as running:
        yield S3Settings(**running.s3()._asdict())


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.ceph)])
def kept(request, tmp_path):
    if request.param == "folder":
        return Folder(tmp_path / "backups")
    return Bucket(tmp_path / "backups", request.getfixturevalue("s3"))


def write(kept, name: str, content: bytes) -> None:
    kept.path(name).parent.mkdir(parents=True, exist_ok=True)
    kept.path(name).write_bytes(content)
    kept.keep(name)
    kept.keep(name)  # an operation that was killed does it again


def test_what_is_kept_can_be_held_and_removed(kept):
    write(kept, "one", b"first" * 1000)
    write(kept, "mine/two", b"second")
    assert kept.names() == {"one", "mine/two"}
    with kept.held(["mine/two", "one"]), kept.held(["one"]):
        assert kept.path("one").read_bytes() == b"first" * 1000
        assert kept.path("mine/two").read_bytes() == b"second"
    for name in ("one", "mine/two", "mine/two"):
        kept.remove(name)
    assert (kept.names(), kept.exists("one")) == (set(), False)


def test_what_is_gone_is_told(kept):
    with pytest.raises(VaultError, match=r"gone|NoSuchKey"), kept.held(["none"]):
        pass
    assert not kept.exists("none")


@pytest.mark.ceph
def test_a_bucket_leaves_nothing_on_this_host_but_while_it_is_held(s3, tmp_path):
    kept = Bucket(tmp_path, s3)
    write(kept, "large", bytes(3 << 20))
    assert not kept.path("large").exists()
    with kept.held(["large"]):
        with kept.held(["large"]):
            pass
        assert kept.path("large").stat().st_size == 3 << 20
    assert not kept.path("large").exists()
    kept.remove("large")


@pytest.mark.ceph
def test_what_is_neither_written_nor_kept_is_an_error(s3, tmp_path):
    with pytest.raises(VaultError, match="neither"):
        Bucket(tmp_path, s3).keep("never")


def test_a_server_that_is_not_there_is_told_within_a_bounded_time(tmp_path):
    pytest.importorskip("minio")
    nowhere = S3Settings("http://127.0.0.1:9", "backups", "a", "s")  # the port "discard", which nothing listens on
    with pytest.raises(VaultError, match=r"127\.0\.0\.1:9/backups cannot list backups"):
        Bucket(tmp_path, nowhere).names()


def test_an_endpoint_is_an_address_and_a_bucket_has_a_name(tmp_path):
    pytest.importorskip("minio")
    settings = S3Settings("127.0.0.1:9000", "backups", "a", "s")
    for wrong in ("127.0.0.1:9000", "ftp://there", "http://there/path"):
        with pytest.raises(ConfigurationError, match="endpoint"):
            vault(tmp_path, msgspec.structs.replace(settings, endpoint=wrong))
    with pytest.raises(ConfigurationError, match="bucket"):
        vault(tmp_path, S3Settings("http://there", "No Bucket", "a", "s"))


@pytest.mark.ceph
def test_the_cloud_keeps_its_backups_there(s3, tmp_path):
    with simulated_cloud(tmp_path / "cloud", volume=VolumeSettings(backup_s3=s3)) as cloud:
        user = cloud.login()

        def made(noun: str, **values: Any) -> str:
            found = user.post(f"/volume/v3/{noun}s", {noun: values})[noun]["id"]
            cloud.settle()
            assert user.get(f"/volume/v3/{noun}s/{found}")[noun]["status"] == "available"
            return found

        volume = made("volume", size=1)
        backups = [made("backup", volume_id=volume, container="mine", incremental=again) for again in (False, True)]
        assert cloud.cloud.volume.vault.names() == {f"mine/{backup}" for backup in backups}
        restored = user.post(f"/volume/v3/backups/{backups[1]}/restore", {"restore": {}})["restore"]["volume_id"]
        cloud.settle()
        assert user.get(f"/volume/v3/volumes/{restored}")["volume"]["status"] == "available"
        assert not list((tmp_path / "cloud" / "volumes" / "backups").rglob("*.qcow2"))
        for backup in reversed(backups):
            assert user.request("DELETE", f"/volume/v3/backups/{backup}").status == 202
            cloud.settle()
        assert cloud.cloud.volume.vault.names() == set()
