"""A guest's memory on disk, and what a process needs to know to go on from there.

`memory` is there while the guest is saved: its process may still have to end, but will not run again. What was
plugged in while the guest ran sits where a new process would not put it, so `places.json` says which devices
are where.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from pilvi.drivers.hypervisor.base import HypervisorError, Places
from pilvi.drivers.hypervisor.qemu_command import SLOT
from pilvi.drivers.hypervisor.qemu_hotplug import PERIPHERAL
from pilvi.drivers.hypervisor.qemu_monitor import Monitor
from pilvi.notes import replace

SECONDS = 900.0  # for all of the memory to be written or read
POLL_SECONDS = 0.02
BANDWIDTH = 1 << 40  # bytes per second: none
AT_REST = "postmigrate"  # QEMU's run state once the memory is written


def saved(folder: Path) -> bool:
    return (folder / "memory").exists()


def forget(folder: Path) -> None:
    for name in ("memory", ".memory", "places.json"):
        (folder / name).unlink(missing_ok=True)


def noted_places(folder: Path) -> Places:
    return msgspec.json.decode((folder / "places.json").read_bytes(), type=Places)


def save(monitor: Monitor, folder: Path) -> None:
    """Writes it; the guest rests from now on. Raises MonitorError, HypervisorError; then it goes on."""
    if monitor.status == AT_REST:  # it was written and not noted
        monitor.execute("cont")
    monitor.execute("stop")
    replace(folder / "places.json", msgspec.json.encode(places(monitor)), durable=True)
    unfinished = folder / ".memory"
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        monitor.ask("migrate-set-capabilities", {"capabilities": [  # left over from a move to another host
            {"capability": "pause-before-switchover", "state": False}]})
        monitor.ask("migrate-set-parameters", {"max-bandwidth": BANDWIDTH})
        monitor.ask("getfd", {"fdname": "memory"}, file=file)
        monitor.ask("migrate", {"uri": "fd:memory"})
        _await(monitor)
        os.fsync(file)
        os.replace(unfinished, folder / "memory")
    except BaseException:
        with suppress(Exception):  # the first trouble is what counts
            monitor.execute("cont")
        raise
    finally:
        os.close(file)
        unfinished.unlink(missing_ok=True)


def _await(monitor: Monitor) -> None:
    limit = time.monotonic() + SECONDS
    while (found := monitor.ask("query-migrate")).get("status") != "completed":
        if found.get("status") in ("failed", "cancelled"):
            raise HypervisorError(f"its memory cannot be written: {found.get('error-desc', found['status'])}")
        if time.monotonic() > limit:
            monitor.ask("migrate_cancel")
            raise HypervisorError(f"its memory was not written within {SECONDS:g} s")
        time.sleep(POLL_SECONDS)


def places(monitor: Monitor) -> Places:
    names: list[Mapping[str, Any]] = monitor.ask("qom-list", {"path": PERIPHERAL})
    devices, count = {}, 0
    for name in (each["name"] for each in names if each["type"].startswith("child<")):
        if name.startswith(SLOT):
            count += 1
            continue
        bus = monitor.ask("qom-get", {"path": f"{PERIPHERAL}/{name}", "property": "parent_bus"})
        if (port := bus.rsplit("/", 1)[-1]).startswith(SLOT):
            devices[name] = port
    return Places(devices, count)
