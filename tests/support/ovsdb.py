"""A northbound database of OVN's alone: no root, no packets."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pilvi.drivers.fabric.ovn import OvnNorthbound
from pilvi.supervise.namespace import run
from pilvi.supervise.ovn import SCHEMAS
from pilvi.supervise.processes import Daemon


def missing() -> str | None:
    """Why there can be none here, None where there can."""
    if shutil.which("ovsdb-server") and shutil.which("ovn-nbctl") and SCHEMAS["nb"].exists():
        return None
    return "no OVN here: ovsdb-server, ovn-nbctl or the northbound schema is not installed"


class Database:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "nb.db"
        self.address = f"unix:{folder}/nb.sock"
        command = ("ovsdb-server", str(self.file), f"--remote=p{self.address}")
        self.daemon = Daemon("nb", command, folder)
        self.create()
        self.daemon.start()

    def create(self) -> None:
        run("ovsdb-tool", "create", str(self.file), str(SCHEMAS["nb"]))

    def ctl(self, *arguments: str) -> str:
        return run("ovn-nbctl", f"--db={self.address}", "--timeout=10", *arguments).strip()

    def northbound(self, **details: object) -> OvnNorthbound:
        return OvnNorthbound(self.address, ["host-1"], **details)


@contextlib.contextmanager
def northbound_database() -> Iterator[Database]:
    # A short path: the socket's must fit 107 bytes.
    with tempfile.TemporaryDirectory(prefix="nb") as folder:
        database = Database(Path(folder))
        try:
            yield database
        finally:
            database.daemon.stop()
