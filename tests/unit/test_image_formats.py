"""Which images are kept, by what their own headers say."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess

import pytest

from pilvi.image import formats

MIB = 1 << 20


def qcow2(
    version=3, backing=0, cluster_bits=16, disk=10 * MIB, crypt=0, features=0, extensions=b"", entries=1
):
    head = struct.pack(
        ">4sIQIIQIIQ", b"QFI\xfb", version, backing, 0, cluster_bits, disk, crypt, entries, 1 << 16
    )
    head = head.ljust(72, b"\0")
    if version == 3:
        head += struct.pack(">QQQII", features, 0, 0, 4, 104) + extensions
    return head.ljust((1 << 16) + 8, b"\0")


def check(data, disk_format="qcow2", container_format="bare"):
    return formats.virtual_size(io.BytesIO(data), disk_format, container_format, len(data))


@pytest.mark.parametrize(
    "data",
    [
        qcow2(),
        qcow2(version=2),
        qcow2(features=1),
        qcow2(features=8 | 16),
        qcow2(extensions=struct.pack(">II5s3xII", 0xE2792ACA, 5, b"qcow2", 0, 0)),
    ],
)
def test_a_qcow2_image_says_how_large_its_disk_is(data):
    assert check(data) == 10 * MIB


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "something else"),
        (bytes(MIB), "something else"),
        (qcow2()[:60], "cut off"),
        (qcow2()[:100], "cut off"),
        (qcow2(version=1), "version 1"),
        (qcow2(version=4), "version 4"),
        (qcow2(backing=104), "backing file"),
        (qcow2(crypt=1), "encrypted"),
        (qcow2(crypt=2), "encrypted"),
        (qcow2(cluster_bits=8), "cluster"),
        (qcow2(cluster_bits=22), "cluster"),
        (qcow2(disk=1 << 63), "beyond"),
        (qcow2(entries=2), "beyond"),
        (qcow2(features=2), "corrupt"),
        (qcow2(features=4), "external data file"),
        (qcow2(features=32), "unknown"),
        (
            qcow2(extensions=struct.pack(">II5s3xII", 0xE2792ACA, 5, b"qcow2", 0x44415441, 4) + b"file"),
            "external data file",
        ),
    ],
)
def test_a_qcow2_image_is_refused(data, reason):
    with pytest.raises(formats.ImageRefused, match=reason):
        check(data)


VMDK = struct.pack("<4sIIQ", b"KDMV", 1, 3, 2048).ljust(512, b"\0")
VDI = (bytes(64) + struct.pack("<I", 0xBEDA107F)).ljust(0x170, b"\0") + struct.pack("<Q", MIB)
VHD = b"conectix".ljust(48, b"\0") + struct.pack(">Q", MIB).ljust(464, b"\0")
ISO = bytes(32769) + b"CD001"
GPT = bytes(510) + b"\x55\xaaEFI PART"


@pytest.mark.parametrize(
    ("data", "disk_format", "size"),
    [
        (bytes(100), "raw", 100),
        (b"", "raw", 0),
        (ISO, "raw", len(ISO)),
        (GPT, "raw", len(GPT)),
        (GPT, "gpt", len(GPT)),
        (ISO, "iso", len(ISO)),
        (VMDK, "vmdk", MIB),
        (VDI, "vdi", MIB),
        (VHD, "vhd", MIB),
        (bytes(512) + VHD, "vhd", MIB),
        (b"vhdxfile", "vhdx", None),
        (b"anything", "ami", None),
        (b"anything", "ploop", None),
    ],
)
def test_other_formats_are_known_by_their_content(data, disk_format, size):
    assert check(data, disk_format) == size


@pytest.mark.parametrize(
    ("data", "disk_format"),
    [
        (qcow2(), "raw"),
        (VMDK, "raw"),
        (b"# Disk DescriptorFile\n", "raw"),
        (VDI, "raw"),
        (VHD, "raw"),
        (b"vhdxfile", "raw"),
        (b"QED\0", "raw"),
        (VMDK, "qcow2"),
        (qcow2(), "vmdk"),
        (bytes(100), "vmdk"),
        (b"# Disk DescriptorFile\n", "vmdk"),
        (VHD[:-1], "vhd"),
        (bytes(600), "vhd"),
        (bytes(100), "iso"),
        (ISO, "gpt"),
        (qcow2(), "iso"),
        (bytes(100), "vdi"),
        (bytes(100), "vhdx"),
    ],
)
def test_content_of_another_format_is_refused(data, disk_format):
    with pytest.raises(formats.ImageRefused):
        check(data, disk_format)


def test_an_archive_is_not_looked_into():
    assert check(b"PK", "vmdk", "ova") is None


def test_what_qemu_img_writes_is_understood(tmp_path):
    """Against the real tool, where it is installed."""
    tool = shutil.which("qemu-img")
    if tool is None:
        pytest.skip("qemu-img is not installed")
    for disk_format, options in (
        ("qcow2", []),
        ("qcow2", ["-o", "compat=0.10"]),
        ("vmdk", []),
        ("vdi", []),
        ("vpc", ["-o", "force_size"]),
    ):
        path = tmp_path / disk_format
        subprocess.run([tool, "create", "-q", "-f", disk_format, *options, path, "8M"], check=True)
        assert check(path.read_bytes(), "vhd" if disk_format == "vpc" else disk_format) == 8 * MIB
    base, over = tmp_path / "qcow2", tmp_path / "over"
    subprocess.run([tool, "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, over], check=True)
    with pytest.raises(formats.ImageRefused, match="backing file"):
        check(over.read_bytes())
    subprocess.run(
        [tool, "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", over, "8M"], check=True
    )
    with pytest.raises(formats.ImageRefused, match="external data file"):
        check(over.read_bytes())
