"""What builders of guest images share, and what each makes its image of."""

from __future__ import annotations

import subprocess

import pytest

from pilvi.images import debian, making, tiny

KERNEL = ("Package: linux-image-cloud-amd64\nVersion: 6.1.5\n"
          "Depends: linux-image-6.1.0-9-cloud-amd64 (= 6.1.5), x\n")
RECORDS = "\n".join(f"Package: {name}\nSource: s\nVersion: 1:{number}-1\n"
                    for number, name in enumerate(["linux-image-6.1.0-9-cloud-amd64", *tiny.PACKAGES]))


class Maker:
    """Makes a file, and counts how often."""

    def __init__(self, output):
        self.output, self.times, self.said = output, 0, []

    def __call__(self):
        self.times += 1
        self.output.write_text(f"made {self.times}")

    def once(self, *inputs):
        return making.once(self.output, inputs, self, self.said.append)


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path / "image")


def test_the_same_inputs_make_nothing_again(maker):
    assert maker.once("a=1", "b=2") == maker.once("a=1", "b=2") == maker.output
    assert maker.times == 1
    assert len(maker.said) == 1


def test_other_inputs_make_it_again(maker):
    maker.once("a=1")
    maker.once("a=2")
    assert maker.output.read_text() == "made 2"


def test_a_lost_image_is_made_again(maker):
    maker.once("a=1")
    maker.output.unlink()
    maker.once("a=1")
    assert maker.times == 2


def test_a_failure_is_not_remembered_as_made(maker):
    maker.once("a=1")

    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        making.once(maker.output, ["a=2"], fail, print)
    maker.once("a=1")
    assert maker.times == 2


def test_a_digest_tells_names_and_contents_apart(tmp_path):
    def folder(name, **files):
        (tmp_path / name / "in").mkdir(parents=True)
        for file, text in files.items():
            (tmp_path / name / "in" / file).write_text(text)
        return making.digest(tmp_path / name / "in")

    digests = [folder("a", x="1", y="2"), folder("b", x="12", y=""), folder("c", y="1", x="2"),
               folder("d", x="1")]
    assert len(set(digests)) == 4
    assert folder("e", y="2", x="1") == digests[0]


def test_progress_is_told_as_it_comes_and_the_last_words_when_it_fails():
    told = []
    script = "echo 'x: one'; echo noise; echo 'x: two'; echo it broke >&2; exit 3"
    with pytest.raises(RuntimeError, match=r"noise\nx: two\nit broke$"):
        making.run(["sh", "-c", script], told.append, marker="x: ")
    assert told == ["x: one", "x: two"]


def test_a_silent_failure_says_which_command():
    with pytest.raises(RuntimeError, match="false ended with status 1"):
        making.run(["false"], print)


def test_tiny_names_every_package_with_its_version():
    found = tiny.versions(KERNEL, lambda names: RECORDS)
    assert len(found) == len(tiny.PACKAGES) + 1
    assert "linux-image-6.1.0-9-cloud-amd64=1:0-1" in found
    assert "busybox-static=1:1-1" in found


@pytest.mark.parametrize(("kernel", "records", "said"), [
    ("", RECORDS, "apt knows no linux-image-cloud-amd64"),
    (KERNEL, RECORDS.replace("dropbear-bin", "other"), "apt does not know dropbear-bin"),
])
def test_tiny_says_what_apt_lacks(kernel, records, said):
    with pytest.raises(RuntimeError, match=said):
        tiny.versions(kernel, lambda names: records)


def test_debian_takes_the_hosts_sources(tmp_path):
    with pytest.raises(RuntimeError, match="names no package sources"):
        debian.apt_sources(tmp_path)
    (tmp_path / "sources.list").write_text("deb copy:/a bookworm main\n")
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "b.list").write_text("deb copy:/b bookworm main\n")
    assert debian.apt_sources(tmp_path) == "deb copy:/a bookworm main\n\ndeb copy:/b bookworm main\n"
    (tmp_path / "sources.list.d" / "c.sources").write_text("Types: deb\nURIs: copy:/c\n")
    assert debian.apt_sources(tmp_path) == "Types: deb\nURIs: copy:/c\n"


def test_every_script_is_one_that_its_shell_reads():
    files = [path for path in tiny.GUEST.rglob("*") if path.is_file()]
    shells = {"bash": [making.DISK, *making.DISK.parent.glob("*/build.sh")],
              "sh": [path for path in files if path.read_bytes().startswith(b"#!/bin/sh")]}
    assert all(len(found) >= 3 for found in shells.values())
    for shell, found in shells.items():
        for path in found:
            subprocess.run([shell, "-n", path], check=True)
