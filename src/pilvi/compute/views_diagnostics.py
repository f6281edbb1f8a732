"""A server's diagnostics: as every hypervisor shows them from 2.48 on, and as libvirt's driver did before."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.drivers.fabric.base import Counters
from pilvi.node.messages import UseReport

STATES = {1: "running", 3: "paused", 4: "shutdown", 6: "crashed", 7: "suspended"}
DRIVER = "libvirt"  # clients accept the names of Nova's drivers alone; this is the one that runs QEMU


def standard(row: sa.Row, report: UseReport) -> dict[str, Any]:
    guest = report.guest
    return {
        "state": STATES.get(row.power_state, "pending"), "driver": DRIVER, "hypervisor": guest.hypervisor,
        "hypervisor_os": "linux", "uptime": guest.uptime_seconds, "config_drive": row.config_drive,
        "num_cpus": len(guest.cpu_nanoseconds), "num_nics": len(report.cards), "num_disks": len(guest.disks),
        "memory_details": {"maximum": guest.memory_mib, "used": guest.memory_used_mib},
        "cpu_details": [{"id": number, "time": time, "utilisation": None}
                        for number, time in enumerate(guest.cpu_nanoseconds)],
        "nic_details": [{"mac_address": card.mac, **_nic(card.counters)} for card in report.cards],
        "disk_details": [{"read_bytes": disk.read_bytes, "read_requests": disk.read_requests,
                          "write_bytes": disk.write_bytes, "write_requests": disk.write_requests,
                          "errors_count": disk.errors} for disk in guest.disks],
    }


def _nic(counters: Counters | None) -> dict[str, int | None]:
    found = counters or Counters(*[None] * 8)
    return {
        "rx_octets": found.rx_bytes, "rx_errors": found.rx_errors, "rx_drop": found.rx_dropped,
        "rx_packets": found.rx_packets, "rx_rate": None, "tx_octets": found.tx_bytes, "tx_errors": found.tx_errors,
        "tx_drop": found.tx_dropped, "tx_packets": found.tx_packets, "tx_rate": None,
    }


def plain(_row: sa.Row, report: UseReport) -> dict[str, int | None]:
    """Memory is in KiB here."""
    guest = report.guest
    body: dict[str, int | None] = {
        f"cpu{number}_time": time for number, time in enumerate(guest.cpu_nanoseconds)}
    body["memory"] = guest.memory_mib << 10
    body["memory-rss"] = None if guest.memory_used_mib is None else guest.memory_used_mib << 10
    for number, disk in enumerate(guest.disks):
        name = f"vd{chr(ord('a') + number)}"
        body |= {f"{name}_read": disk.read_bytes, f"{name}_read_req": disk.read_requests,
                 f"{name}_write": disk.write_bytes, f"{name}_write_req": disk.write_requests,
                 f"{name}_errors": disk.errors}
    for card in report.cards:
        found, name = card.counters or Counters(*[None] * 8), f"tap{card.port_id}"[:14]
        body |= {f"{name}_rx": found.rx_bytes, f"{name}_rx_packets": found.rx_packets,
                 f"{name}_rx_errors": found.rx_errors, f"{name}_rx_drop": found.rx_dropped,
                 f"{name}_tx": found.tx_bytes, f"{name}_tx_packets": found.tx_packets,
                 f"{name}_tx_errors": found.tx_errors, f"{name}_tx_drop": found.tx_dropped}
    return body


def topology(_row: sa.Row) -> dict[str, Any]:
    """As of a server without a NUMA topology of its own: none has one here, its threads go where the host puts them."""
    return {"nodes": [], "pagesize_kb": None}
