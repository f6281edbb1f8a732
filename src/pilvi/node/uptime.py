"""How long a host has been up, in the words of uptime(1)."""

from __future__ import annotations

from pathlib import Path

UPTIME, LOAD = Path("/proc/uptime"), Path("/proc/loadavg")


def uptime(now: int, uptime: str, load: str) -> str:
    """`now` in microseconds; `uptime` and `load` as /proc has them."""
    seconds = int(float(uptime.split()[0]))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    clock = now // 1_000_000
    since = (f"{days} day{'s' * (days != 1)}, " if days else "") + f"{hours:2}:{minutes:02}"
    return (f" {clock // 3600 % 24:02}:{clock // 60 % 60:02}:{clock % 60:02} up {since},  "
            f"load average: {', '.join(load.split()[:3])}")
