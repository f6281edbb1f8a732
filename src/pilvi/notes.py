"""A small memory that lasts: values by name, kept in a file to which each change is a line that is appended.

The file is written anew, whole or not at all, when most of its lines are out of date. What it says outlives
Pilvi however that ends; where it is to outlive the host's end as well, each line is synced.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

SLACK = 1000  # lines out of date that are put up with


class Notes:
    """Small values by name, kept in a folder where there is one."""

    def __init__(self, folder: Path | None, *, durable: bool = False) -> None:
        self._file = folder and folder / "notes"
        self._durable = durable
        self._guard = threading.Lock()
        self.values: dict[str, str] = {}
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            if self._file.exists():
                self._read(self._file.read_bytes())
            self._write_anew()

    def put(self, name: str, value: str) -> None:
        with self._guard:
            if self.values.get(name) != value:
                self._append([name, value])
                self.values[name] = value

    def drop(self, name: str) -> None:
        with self._guard:
            if name in self.values:
                self._append([name])
                del self.values[name]

    def _read(self, content: bytes) -> None:
        for line in content.split(b"\n")[:-1]:  # what follows the last end of a line was not written whole
            name, *value = json.loads(line)
            if value:
                self.values[name] = value[0]
            else:
                self.values.pop(name, None)

    def _append(self, change: list[str]) -> None:
        if self._file is None:
            return
        if self._lines > 2 * len(self.values) + SLACK:
            self._write_anew()
        line = json.dumps(change).encode() + b"\n"
        if os.write(self._descriptor, line) != len(
            line
        ):  # the disk is full: half a line would spoil the next
            os.ftruncate(self._descriptor, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._file))
        self._lines, self._size = self._lines + 1, self._size + len(line)
        if self._durable:
            os.fsync(self._descriptor)

    def _write_anew(self) -> None:
        content = b"".join(json.dumps(item).encode() + b"\n" for item in self.values.items())
        replace(self._file, content, durable=self._durable)
        self._lines, self._size = len(self.values), len(content)
        if (old := getattr(self, "_descriptor", None)) is not None:
            os.close(old)
        self._descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def __del__(self) -> None:
        if (descriptor := getattr(self, "_descriptor", None)) is not None:
            os.close(descriptor)


def replace(file: Path, content: bytes, *, durable: bool = False) -> None:
    """Writes a file whole or not at all; `durable`: also if the host ends at once."""
    unfinished = file.with_name(f".{file.name}.{threading.get_ident()}")
    with unfinished.open("wb") as out:
        out.write(content)
        if durable:
            out.flush()
            os.fsync(out.fileno())
    os.replace(unfinished, file)
    if durable:
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
