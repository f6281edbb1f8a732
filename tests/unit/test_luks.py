"""What is done where qemu-img cannot measure how fast it derives keys."""

from __future__ import annotations

import subprocess

import pytest

from pilvi.drivers.volume import luks


def refusing(monkeypatch, words: str, times: int) -> list[tuple[str, ...]]:
    calls = []

    def run(*command: str, **_) -> str:
        calls.append(command)
        if len(calls) <= times:
            raise subprocess.CalledProcessError(1, command, stderr=f"qemu-img: {words}")
        return ""

    monkeypatch.setattr(luks, "run", run)
    return calls


def test_it_is_tried_again(monkeypatch):
    calls = refusing(monkeypatch, luks.UNMEASURED, 3)
    luks._stretched("qemu-img", "create")
    assert calls == [("qemu-img", "create")] * 4


@pytest.mark.parametrize(("words", "calls"), [(luks.UNMEASURED, luks.ATTEMPTS), ("no space left", 1)])
def test_not_for_ever_and_not_for_other_reasons(monkeypatch, words, calls):
    seen = refusing(monkeypatch, words, 100)
    with pytest.raises(subprocess.CalledProcessError):
        luks._stretched("qemu-img", "create")
    assert len(seen) == calls
