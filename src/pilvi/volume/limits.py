"""Limits of throughput, as QoS specs have them and as guests' disks are given them."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from pilvi.drivers.hypervisor.base import LIMITS
from pilvi.faults import BadRequest

GUESTS = ("front-end", "both")  # consumers: who limits is the host that runs the guest
MOST = (1 << 63) - 1
PER_GB, LEAST = "_per_gb", "_per_gb_min"


def check_limits(consumer: str, specs: Mapping[str, str]) -> None:
    """Raises BadRequest for limits that hosts cannot keep; what a backend is told is its own."""
    if consumer not in GUESTS:
        return
    for name, value in specs.items():
        known = name.removesuffix(LEAST).removesuffix(PER_GB)
        if known in LIMITS and not (value.isascii() and value.isdecimal() and 0 < int(value) <= MOST):
            raise BadRequest(f"Invalid qos specs: {name} must be a number from 1 to {MOST}, not {value!r}.")
    found = _sized(specs, 1)
    for unit in ("bytes", "iops"):
        for more in ("", "_max"):
            total, *parts = (f"{what}_{unit}_sec{more}" for what in ("total", "read", "write"))
            if total in found and found.keys() & set(parts):
                raise BadRequest(f"Invalid qos specs: {total} and a limit of reads or writes exclude each other.")
        for what in ("total", "read", "write"):
            name = f"{what}_{unit}_sec"
            if f"{name}_max" in found and found[f"{name}_max"] <= found.get(name, MOST):
                raise BadRequest(f"Invalid qos specs: {name}_max must be more than {name}, which has to be there.")
            if f"{name}_max_length" in found and f"{name}_max" not in found:
                raise BadRequest(f"Invalid qos specs: {name}_max_length is of {name}_max, which is not there.")


def limits_of(qos: sa.Row | None, gib: int) -> dict[str, int]:
    """Those that the host keeps of a volume of this size; those of the backend are nobody's here."""
    return _sized(qos.specs, gib) if qos is not None and qos.consumer in GUESTS else {}


def _sized(specs: Mapping[str, str], gib: int) -> dict[str, int]:
    found = {name: int(value) for name, value in specs.items() if name in LIMITS}
    for name in LIMITS:
        if name + PER_GB in specs:
            found[name] = max(int(specs[name + PER_GB]) * gib, int(specs.get(name + LEAST, 0)))
    return found
