"""A config drive can be read by all three kinds of names that an ISO 9660 image has."""

from __future__ import annotations

import io

import pycdlib
import pytest

from pilvi.images import configdrive

FILES = {
    "openstack/latest/meta_data.json": b'{"uuid": "a"}',
    "openstack/latest/user_data": b"#!/bin/sh\n" * 5000,
    "openstack/2018-08-27/meta_data.json": b'{"uuid": "b"}',
    "ec2/latest/a-name-longer-than-plain-iso-9660-would-have-it.json": b"",
    "at the root": "Grüße".encode(),
}


@pytest.fixture(scope="module")
def drive() -> bytes:
    return configdrive.build(FILES)


def opened(drive: bytes) -> pycdlib.PyCdlib:
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(drive))
    return iso


def files(iso: pycdlib.PyCdlib, kind: str) -> dict[str, bytes]:
    found = {}
    for folder, _, names in iso.walk(**{kind: "/"}):
        for name in names:
            content = io.BytesIO()
            path = f"{folder.rstrip('/')}/{name}"
            iso.get_file_from_iso_fp(content, **{kind: path})
            found[path.lstrip("/")] = content.getvalue()
    return found


def test_its_label(drive: bytes) -> None:
    assert opened(drive).pvd.volume_identifier.rstrip() == b"config-2"
    assert drive[16 * 2048 + 40 : 16 * 2048 + 72].rstrip() == b"config-2", "where blkid reads it"


@pytest.mark.parametrize("kind", ["rr_path", "joliet_path"])
def test_every_file_by_its_name(drive: bytes, kind: str) -> None:
    assert files(opened(drive), kind) == FILES


def test_plain_names_are_plain(drive: bytes) -> None:
    found = files(opened(drive), "iso_path")
    assert sorted(found.values()) == sorted(FILES.values())
    assert all(len(part) <= 8 for name in found for part in name.split("/"))


def test_a_drive_without_files() -> None:
    assert files(opened(configdrive.build({})), "rr_path") == {}


def test_it_is_whole_sectors(drive: bytes) -> None:
    assert len(drive) % 2048 == 0
