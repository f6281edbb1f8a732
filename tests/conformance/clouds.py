"""The throw-away clouds that the conformance suite runs on: a simulated one, and a real one in a network namespace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pilvi.cli.client import Client
from pilvi.lock import running_pid
from pilvi.settings import (
    BackendSettings,
    HostSettings,
    IdentitySettings,
    ImageSettings,
    Place,
    Settings,
    StoreSettings,
    VolumeSettings,
)
from tests.support.wait import eventually
from tests.system.lab import PORT, Lab

BIN = Path(sys.executable).parent


class Target(Protocol):
    """A running cloud, as the suite needs it."""

    place: Place
    listen: str
    enter: Sequence[str]  # the command before every command of a client, which takes it to where the cloud is
    real: bool

    def client(self) -> Any:
        """Pilvi's own small client, for the administrator."""


def settings(place: Place, **more: Any) -> Settings:
    """Every feature on that has to be switched on; the suite is told of the same (see configuration.options)."""
    return Settings(
        shutdown_seconds=2, **more,
        identity=IdentitySettings(lockout_attempts=2, lockout_seconds=5, unique_passwords=2),
        # The suite uploads random bytes and calls them by every format that there is.
        image=ImageSettings(format_enforcement=False, import_allow=("127.0.0.1",), http_store=True,
                            show_multiple_locations=True,
                            stores=(StoreSettings("second", str(place / "images-second"), weight=-1),)),
        volume=VolumeSettings((BackendSettings("second", str(place / "volumes-second")),)),
    )


class Simulated:
    real = False
    enter: Sequence[str] = ()

    def __init__(self, root: Path):
        self.place = Place(root)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.listen = f"127.0.0.1:{free.getsockname()[1]}"
        self.place.save(settings(self.place, simulated=True, simulated_hosts=2, listen=self.listen))

    def start(self) -> None:
        subprocess.run([BIN / "pilvi", "up", "--no-demo", "--state", self.place.root], check=True, stdout=subprocess.DEVNULL)

    def client(self) -> Client:
        return Client(self.place, "admin")

    def stop(self) -> None:
        if pid := running_pid(self.place):
            os.kill(pid, signal.SIGTERM)
            eventually(lambda: running_pid(self.place) is None, 20, "the end of the throw-away cloud")


class Real:
    real = True

    def __init__(self, lab: Lab):
        self.lab, self.place, self.listen = lab, lab.place, f"127.0.0.1:{PORT}"
        self.enter = ("nsenter", f"--net=/run/netns/{lab.namespace}")

    def client(self) -> Any:
        return self.lab.client("admin")


@contextmanager
def simulated() -> Iterator[Simulated]:
    with tempfile.TemporaryDirectory(prefix="plv-") as folder:
        cloud = Simulated(Path(folder) / "s")
        try:
            cloud.start()
            yield cloud
        finally:
            cloud.stop()


@contextmanager
def real(image: Path) -> Iterator[Real]:
    lab = Lab(image)
    # Many small guests at once: what they use is far less than what their flavors say.
    lab.place.save(settings(lab.place, host=HostSettings(memory_ratio=4.0)))
    try:
        lab.start()
        yield Real(lab)
    finally:
        lab.close()


def passwords(place: Place) -> dict[str, str]:
    return json.loads((place / "credentials.json").read_text())
