"""A small memory that lasts: values by name, each a file that is written and renamed, whole or not at all.

Files outlive Pilvi however it ends; where they are to outlive the host's end as well they are synced, which takes a
few milliseconds.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path


class Notes:
    """Small values by name, kept in a folder where there is one."""

    def __init__(self, folder: Path | None, *, durable: bool = False) -> None:
        self._folder, self._durable = folder, durable
        self.values: dict[str, str] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.values = {
                file.name: file.read_text() for file in folder.iterdir() if not file.name.startswith(".")
            }

    def put(self, name: str, value: str) -> None:
        if self.values.get(name) == value:
            return
        if self._folder is not None:
            replace(self._folder / name, value.encode(), durable=self._durable)
        self.values[name] = value

    def drop(self, name: str) -> None:
        if self.values.pop(name, None) is not None and self._folder is not None:
            (self._folder / name).unlink(missing_ok=True)


def replace(file: Path, content: bytes, *, durable: bool = False) -> None:
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
