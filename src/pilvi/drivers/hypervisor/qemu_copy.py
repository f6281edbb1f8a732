"""Copies of a disk as it is at one moment, made by QEMU while the guest runs.

QEMU opens nothing by itself: the target is handed to it, open. The job is called after the target's inode, so
that a copy begun into a file which is gone since is not taken for one into the file of the same name.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from pilvi.drivers.hypervisor.base import HypervisorError
from pilvi.drivers.hypervisor.qemu_monitor import Monitor, MonitorError

PREFIX = "copy-"
CANCEL_SECONDS = 20.0


def copy(monitor: Monitor, source: str, target: str) -> bool:
    """Whether it is whole; begins it where it was not. Raises MonitorError, HypervisorError, OSError."""
    name = f"{PREFIX}{os.stat(target).st_ino}"
    jobs = {job["id"]: job for job in monitor.ask("query-jobs")}
    if (job := jobs.get(name)) is None:
        stop(monitor)
        _begin(monitor, name, source, target)
        return False
    if job["status"] != "concluded":
        return False
    _clear(monitor, name)
    if error := job.get("error"):
        raise HypervisorError(f"its disk cannot be copied: {error}")
    return True


def stop(monitor: Monitor) -> None:
    """Ends all that were begun."""
    for job in monitor.ask("query-jobs"):
        if job["id"].startswith(PREFIX):
            _cancel(monitor, job["id"])
            _clear(monitor, job["id"])
    for node in monitor.ask("query-named-block-nodes", {"flat": True}):
        if str(node.get("node-name", "")).startswith(PREFIX):
            _drop(monitor, node["node-name"])


def _begin(monitor: Monitor, name: str, source: str, target: str) -> None:
    node = _node(monitor, source)
    file = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        given = monitor.ask("add-fd", {"opaque": name}, file=file)
    finally:
        os.close(file)
    path = f"/dev/fdset/{given['fdset-id']}"
    try:
        monitor.ask("blockdev-add", {"node-name": name, "driver": "qcow2", "file": {
            "driver": "file", "filename": path}})
        monitor.ask("blockdev-backup", {"job-id": name, "device": node, "target": name, "sync": "full",
                                        "auto-dismiss": False})
    except MonitorError:
        with suppress(MonitorError):
            _drop(monitor, name)
        raise


def _node(monitor: Monitor, path: str) -> str:
    for node in monitor.ask("query-named-block-nodes", {"flat": True}):
        if node.get("file") == path and node["drv"] != "file":
            return node["node-name"]
    raise HypervisorError(f"it has no disk {path}")


def _cancel(monitor: Monitor, name: str) -> None:
    with suppress(MonitorError):  # it has ended just now
        monitor.ask("job-cancel", {"id": name})
    limit = time.monotonic() + CANCEL_SECONDS
    while (job := _job(monitor, name)) is not None and job["status"] != "concluded":
        if time.monotonic() > limit:
            raise HypervisorError(f"the copy of its disk does not end within {CANCEL_SECONDS:g} s")
        time.sleep(0.02)


def _job(monitor: Monitor, name: str) -> dict[str, Any] | None:
    return next((job for job in monitor.ask("query-jobs") if job["id"] == name), None)


def _clear(monitor: Monitor, name: str) -> None:
    """Lets go of the target; the job last, since it is what tells that there is something to let go of."""
    _drop(monitor, name)
    with suppress(MonitorError):
        monitor.ask("job-dismiss", {"id": name})


def _drop(monitor: Monitor, name: str) -> None:
    with suppress(MonitorError):  # there is none
        monitor.ask("blockdev-del", {"node-name": name})
    for given in monitor.ask("query-fdsets"):
        if any(each.get("opaque") == name for each in given["fds"]):
            monitor.ask("remove-fd", {"fdset-id": given["fdset-id"]})
