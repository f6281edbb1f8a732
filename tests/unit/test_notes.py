"""The memory that lasts: what was put is there again, whatever happened to the process or the disk."""

from __future__ import annotations

import os

import pytest

from pilvi import notes
from pilvi.notes import Notes


def test_values_are_there_again(tmp_path):
    first = Notes(tmp_path)
    first.put("a", "1")
    first.put("b", "two\nlines")
    first.put("a", "3")
    first.drop("b")
    first.drop("never there")
    first.put("c", "")
    assert Notes(tmp_path).values == first.values == {"a": "3", "c": ""}


def test_without_a_folder_they_last_as_long_as_the_process():
    memory = Notes(None)
    memory.put("a", "1")
    assert memory.values == {"a": "1"}


@pytest.mark.parametrize("durable", [False, True])
def test_a_line_that_was_cut_off_is_as_if_it_had_not_been_written(tmp_path, durable):
    Notes(tmp_path, durable=durable).put("a", "1")
    with (tmp_path / "notes").open("ab") as file:
        file.write(b'["a", "2')
    again = Notes(tmp_path, durable=durable)
    assert again.values == {"a": "1"}
    again.put("b", "2")
    assert Notes(tmp_path).values == {"a": "1", "b": "2"}


def test_a_full_disk_spoils_nothing(tmp_path, monkeypatch):
    memory, write = Notes(tmp_path), os.write
    memory.put("a", "1")
    monkeypatch.setattr(notes.os, "write", lambda descriptor, line: write(descriptor, line[:3]))
    with pytest.raises(OSError, match="No space left"):
        memory.put("a", "2")
    assert memory.values == {"a": "1"}
    monkeypatch.undo()
    memory.put("b", "2")
    assert Notes(tmp_path).values == {"a": "1", "b": "2"}


def test_the_file_does_not_grow_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(notes, "SLACK", 10)
    memory = Notes(tmp_path)
    for number in range(100):
        memory.put("a", str(number))
        memory.put("b", str(number))
    assert len((tmp_path / "notes").read_bytes().splitlines()) <= 2 * 2 + 10 + 1
    assert Notes(tmp_path).values == memory.values == {"a": "99", "b": "99"}
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
