"""What a running guest uses of its host: QEMU's own counters, and the kernel's of QEMU's threads."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from pilvi.drivers.hypervisor.base import DiskUse, Use
from pilvi.drivers.hypervisor.qemu_monitor import Monitor
from pilvi.drivers.hypervisor.qemu_process import Process


def use(monitor: Monitor, process: Process, hypervisor: str) -> Use:
    """Raises MonitorError, OSError when its process is just ending."""
    memory = monitor.ask("query-memory-size-summary")
    mib = (memory["base-memory"] + memory.get("plugged-memory", 0)) >> 20
    threads = [each["thread-id"] for each in monitor.ask("query-cpus-fast")]
    started = process.started / os.sysconf("SC_CLK_TCK")
    return Use(
        hypervisor, max(0, int(time.clock_gettime(time.CLOCK_BOOTTIME) - started)), mib,
        min(mib, _resident_mib(process.pid)),
        tuple(_on_processor(process.pid, thread) for thread in threads),
        tuple(_disk(each) for each in monitor.ask("query-blockstats") if each.get("qdev")),
    )


def _disk(told: dict[str, Any]) -> DiskUse:
    stats = told["stats"]
    errors = sum(stats[f"failed_{kind}_operations"] for kind in ("rd", "wr", "flush", "unmap"))
    name = next((part for part in reversed(told["qdev"].split("/")) if part.startswith("disk-")), told["qdev"])
    return DiskUse(name, stats["rd_bytes"], stats["rd_operations"], stats["wr_bytes"], stats["wr_operations"], errors)


def _resident_mib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def _on_processor(pid: int, thread: int) -> int | None:
    """Nanoseconds (proc_pid_schedstat(5)); None where the kernel does not count them."""
    try:
        return int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    except FileNotFoundError:
        return None
