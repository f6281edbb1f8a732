"""A disk goes to another place while its guest runs: what is written is written to both, until the guest has the other.

QEMU itself is asked how far it is: nothing is noted, and a later Pilvi goes on where an earlier one was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pilvi.drivers.hypervisor.base import Disk, HypervisorError
from pilvi.drivers.hypervisor.qemu_command import blocks, volume_node
from pilvi.drivers.hypervisor.qemu_monitor import Monitor, MonitorError
from pilvi.drivers.hypervisor.qemu_volumes import nodes_of

CHANGE_SECONDS = 30.0  # for QEMU to take note of what it was told


def mirror(monitor: Monitor, target: Disk) -> bool:
    """Whether they are alike by now, or the guest has the target already. Raises MonitorError, HypervisorError."""
    job = _job(monitor, target.name)
    if job is not None and job["status"] != "concluded":
        return job["status"] == "ready"
    if job is not None and "error" not in job:
        return True
    if job is not None:
        stop(monitor, target.name)
        raise HypervisorError(f"its disk {target.name} cannot be mirrored: {job['error']}")
    nodes = nodes_of(monitor, target.name)
    if nodes and nodes[-1][1] == target.path and not _drop(monitor, volume_node(target.name, nodes.pop()[0])):
        return True
    if not nodes:
        raise HypervisorError(f"it has no disk {target.name}")
    source, over = (volume_node(target.name, nodes[-1][0] + more) for more in (0, 1))
    monitor.ask("blockdev-add", {**blocks(over, target), "read-only": False})
    try:
        monitor.ask("blockdev-mirror", {"job-id": _name(target.name), "device": source, "target": over, "sync": "full",
                                        "copy-mode": "write-blocking", "auto-dismiss": False})
    except MonitorError:
        _drop(monitor, over)
        raise
    return False


def switch(monitor: Monitor, name: str, path: str) -> None:
    """Raises MonitorError, HypervisorError."""
    if (job := _job(monitor, name)) is not None:
        if job["status"] == "ready":
            monitor.ask("job-complete", {"id": job["id"]})
        _await(lambda: _status(monitor, name) == "concluded", "the mirror does not end")
        job = _job(monitor, name)
        monitor.ask("job-dismiss", {"id": _name(name)})
        if job is not None and "error" in job:
            raise HypervisorError(f"its disk {name} was mirrored no longer: {job['error']}")
    *old, last = nodes_of(monitor, name) or [(0, "")]
    if last[1] != path or _drop(monitor, volume_node(name, last[0])):
        raise HypervisorError(f"its disk {name} is not mirrored to {path}")
    for number, _ in reversed(old):
        monitor.ask("blockdev-del", {"node-name": volume_node(name, number)})


def stop(monitor: Monitor, name: str) -> None:
    if (job := _job(monitor, name)) is None:
        return
    if job["status"] != "concluded":
        with suppress(MonitorError):  # it has ended just now
            monitor.ask("block-job-cancel", {"device": job["id"], "force": True})
        _await(lambda: _status(monitor, name) in (None, "concluded"), "the mirror does not end")
    with suppress(MonitorError):
        monitor.ask("job-dismiss", {"id": job["id"]})
    if nodes := nodes_of(monitor, name):
        _drop(monitor, volume_node(name, nodes[-1][0]))


def _drop(monitor: Monitor, node: str) -> bool:
    """False where the guest has it."""
    try:
        monitor.ask("blockdev-del", {"node-name": node})
    except MonitorError as error:
        if not error.refused:
            raise
        return False
    return True


def _name(name: str) -> str:
    return f"mirror-{name}"


def _job(monitor: Monitor, name: str) -> dict[str, Any] | None:
    return next((job for job in monitor.ask("query-jobs") if job["id"] == _name(name)), None)


def _status(monitor: Monitor, name: str) -> str | None:
    job = _job(monitor, name)
    return job and job["status"]


def _await(condition: Callable[[], bool], complaint: str) -> None:
    limit = time.monotonic() + CHANGE_SECONDS
    while not condition():
        if time.monotonic() > limit:
            raise HypervisorError(f"{complaint} within {CHANGE_SECONDS:g} s")
        time.sleep(0.02)
