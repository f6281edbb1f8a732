"""A running guest goes from one QEMU to another: its disks by mirrors over NBD, then its memory.

QEMU itself is asked how far it is, nothing is noted: so each verb can be repeated, also by a later Pilvi. Both
processes are reached by sockets in the folder of the one that is expected, which the two of them have in common.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pilvi.drivers.hypervisor.base import Disk, HypervisorError, Transfer
from pilvi.drivers.hypervisor.qemu_command import VOLUME
from pilvi.drivers.hypervisor.qemu_monitor import Monitor, MonitorError

CHANGE_SECONDS = 30.0  # for QEMU to take note of what it was told
_NOT_BEGUN = (None, "none", "cancelled", "failed")
_ENDED = (*_NOT_BEGUN, "completed")


def mirrored(disks: Sequence[Disk]) -> list[str]:
    """The nodes of disks that are sent: what nobody writes to is there already, and so are volumes."""
    return [f"d{number}" for number, disk in enumerate(disks)
            if not disk.readonly and disk.bus != "cdrom" and not disk.name.startswith(VOLUME)]


def listen(monitor: Monitor, folder: Path, nodes: Sequence[str]) -> None:
    """From now on a guest may be sent to this QEMU, which was started to be sent one."""
    monitor.ask("nbd-server-start", {"addr": {"type": "unix", "data": {"path": str(folder / "nbd")}}})
    for node in nodes:
        monitor.ask("block-export-add", {"type": "nbd", "id": f"x-{node}", "node-name": node, "name": node,
                                         "writable": True})
    monitor.ask("migrate-incoming", {"uri": f"unix:{folder / 'mig'}"})


def send(monitor: Monitor, folder: Path, nodes: Sequence[str], *, hurry: bool) -> Transfer:
    """One step further, if the last one is done, and how far it is. `folder` is the other's."""
    state = monitor.ask("query-migrate")
    status, jobs = state.get("status"), _jobs(monitor)
    if hurry and monitor.status == "running":
        monitor.execute("stop")
    if status == "completed":
        return _told("done", state, jobs)
    if status == "failed" and _targets(monitor) and not jobs:
        return _told("failed", state, jobs)
    if status in _NOT_BEGUN:
        _mirror(monitor, folder, nodes, jobs)
        jobs = _jobs(monitor)
        if all(_target(node) in jobs and jobs[_target(node)]["ready"] for node in nodes):
            monitor.ask("migrate-set-capabilities", {"capabilities": [
                {"capability": "pause-before-switchover", "state": True}]})
            monitor.ask("migrate", {"uri": f"unix:{folder / 'mig'}"})
    elif status == "pre-switchover":
        _switch_over(monitor, jobs)
        return send(monitor, folder, nodes, hurry=False)
    return _told("running", state, jobs)


def give_up(monitor: Monitor, *, paused: bool) -> None:
    """The guest is this QEMU's alone again. Raises HypervisorError, MonitorError."""
    status = monitor.ask("query-migrate").get("status")
    if status not in _ENDED:
        monitor.ask("migrate_cancel")
        _await(lambda: monitor.ask("query-migrate").get("status") in _ENDED, "the migration does not end")
    for job in _jobs(monitor):
        with suppress(MonitorError):  # it has just ended
            monitor.ask("block-job-cancel", {"device": job, "force": True})
    _await(lambda: not _jobs(monitor), "the mirrors do not end")
    for node in _targets(monitor):
        monitor.ask("blockdev-del", {"node-name": node})
    monitor.execute("stop" if paused else "cont")


def take_over(monitor: Monitor, *, paused: bool) -> None:
    """The guest that has arrived goes on. Raises HypervisorError, MonitorError."""
    try:
        monitor.ask("nbd-server-stop")
    except MonitorError as error:  # it was stopped before
        if not error.refused:
            raise
    _await(lambda: monitor.ask("query-status")["status"] != "inmigrate", "the guest has not arrived")
    monitor.execute("stop" if paused else "cont")


def _switch_over(monitor: Monitor, jobs: Mapping[str, Any]) -> None:
    """The guest is at rest, so that what the mirrors have is all there is: in one go, since nobody is served meanwhile."""
    for job in jobs:
        monitor.ask("block-job-cancel", {"device": job})
    _await(lambda: not _jobs(monitor), "the mirrors do not end")
    monitor.ask("migrate-continue", {"state": "pre-switchover"})
    _await(lambda: monitor.ask("query-migrate").get("status") in _ENDED, "the migration does not end")


def _mirror(monitor: Monitor, folder: Path, nodes: Sequence[str], jobs: Mapping[str, Any]) -> None:
    there = _targets(monitor)
    for node in nodes:
        target = _target(node)
        if target not in there:
            monitor.ask("blockdev-add", {"driver": "nbd", "node-name": target, "export": node,
                                         "server": {"type": "unix", "path": str(folder / "nbd")}})
        if target not in jobs:
            monitor.ask("blockdev-mirror", {"job-id": target, "device": node, "target": target, "sync": "full",
                                            "copy-mode": "write-blocking", "auto-dismiss": True})


def _target(node: str) -> str:
    return f"to-{node}"


def _targets(monitor: Monitor) -> list[str]:
    nodes = monitor.ask("query-named-block-nodes", {"flat": True})
    return [node["node-name"] for node in nodes if node["node-name"].startswith(_target("d"))]


def _jobs(monitor: Monitor) -> dict[str, Any]:
    return {job["device"]: job for job in monitor.ask("query-block-jobs")}


def _told(state: str, migration: Mapping[str, Any], jobs: Mapping[str, Any]) -> Transfer:
    memory = migration.get("ram", {})
    total, done = (sum(job[name] for job in jobs.values()) for name in ("len", "offset"))
    return Transfer(state, migration.get("error-desc", ""), memory.get("total"), memory.get("transferred"),
                    memory.get("remaining"), total, done, total - done)


def _await(condition: Callable[[], bool], complaint: str) -> None:
    limit = time.monotonic() + CHANGE_SECONDS
    while not condition():
        if time.monotonic() > limit:
            raise HypervisorError(f"{complaint} within {CHANGE_SECONDS:g} s")
        time.sleep(0.02)
