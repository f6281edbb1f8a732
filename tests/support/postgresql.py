"""A private PostgreSQL server for a test: its own folder, a unix socket, no TCP."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


@contextmanager
def postgresql() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database."""
    pytest.importorskip("psycopg")
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed: scripts/test installs it")
    # The server refuses to run as root, and its socket's path must be short.
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    drop = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="pilvi-pg-"))
    shutil.chown(folder, owner.pw_uid, owner.pw_gid)
    data, env = folder / "data", {**os.environ, "HOME": str(folder)}

    def run(*command: str) -> None:
        subprocess.run([*drop, *command], check=True, env=env, cwd=folder, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    try:
        run(str(programs / "initdb"), "-D", str(data), "-U", "pilvi", "-A", "trust", "--no-sync", "-E", "UTF8")
        control = (str(programs / "pg_ctl"), "-D", str(data), "-w", "-t", "30")
        run(*control, "-l", str(folder / "log"), "-o",
            f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=200", "start")
        try:
            run(str(programs / "createdb"), "-h", str(folder), "-U", "pilvi", "pilvi")
            yield f"postgresql+psycopg://pilvi@/pilvi?host={folder}"
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
