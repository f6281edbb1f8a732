"""Disks that come and go while a guest runs.

What a disk is called follows from its name, and QEMU itself is asked what it has: nothing is noted. A disk's content
is a node of QEMU's; a snapshot puts another over it, numbered one higher, and the guest writes to the highest. Over
those of an encrypted disk lies one more, which encrypts: so snapshots and copies of it are as encrypted as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from pilvi.drivers.hypervisor.base import Disk, HypervisorError
from pilvi.drivers.hypervisor.qemu_command import (
    VOLUME,
    blocks,
    device_of,
    opened,
    opened_node,
    secret_id,
    volume_device,
    volume_node,
)
from pilvi.drivers.hypervisor.qemu_hotplug import addresses as device_addresses
from pilvi.drivers.hypervisor.qemu_hotplug import plug as plug_device
from pilvi.drivers.hypervisor.qemu_hotplug import present
from pilvi.drivers.hypervisor.qemu_hotplug import unplug as unplug_device
from pilvi.drivers.hypervisor.qemu_monitor import Monitor, MonitorError


def plug(monitor: Monitor, disk: Disk, passphrase: str = "") -> None:
    """`passphrase`: of an encrypted one. Raises HypervisorError, MonitorError; then its content is closed as well."""
    if not present(monitor, volume_device(disk.name)):
        _close(monitor, disk.name)  # left over from an attempt that was cut short
        _plug(monitor, disk, passphrase)
    if disk.limits:
        limit(monitor, volume_device(disk.name), disk.limits)


def _plug(monitor: Monitor, disk: Disk, passphrase: str) -> None:
    node = volume_node(disk.name)
    try:
        monitor.ask("blockdev-add", blocks(node, disk))
        if passphrase:
            monitor.ask("object-add", {"qom-type": "secret", "id": secret_id(disk.name), "data": passphrase})
            monitor.ask("blockdev-add", opened(node, disk))
        plug_device(monitor, {"driver": "virtio-blk-pci", "id": volume_device(disk.name), "serial": disk.serial,
                              "drive": opened_node(disk.name) if passphrase else node, "share-rw": disk.shared})
    except (MonitorError, HypervisorError):
        with suppress(MonitorError):
            _close(monitor, disk.name)
        raise


def unplug(monitor: Monitor, name: str) -> bool:
    """Whether the guest has let go of it; its content is closed with it."""
    gone = unplug_device(monitor, volume_device(name))
    if gone:
        _close(monitor, name)
    return gone


def redirect(monitor: Monitor, name: str, path: str) -> None:
    """Raises HypervisorError where there is no such disk."""
    nodes = nodes_of(monitor, name)
    if not nodes:
        raise HypervisorError(f"it has no disk {name}")
    if nodes[-1][1] == path:
        return
    over = volume_node(name, nodes[-1][0] + 1)
    with suppress(MonitorError):  # left over, and not in use
        monitor.ask("blockdev-del", {"node-name": over})
    monitor.ask("blockdev-add", {**blocks(over, Disk(name, path)), "backing": None})
    monitor.ask("blockdev-snapshot", {"node": volume_node(name, nodes[-1][0]), "overlay": over})


def resize(monitor: Monitor, name: str, size_bytes: int) -> None:
    """Raises HypervisorError where there is no such disk."""
    nodes = nodes_of(monitor, name)
    if not nodes:
        raise HypervisorError(f"it has no disk {name}")
    header = _header(monitor, name)
    node = volume_node(name, nodes[-1][0]) if header is None else opened_node(name)
    monitor.ask("block_resize", {"node-name": node, "size": size_bytes - (header or 0)})


def limit(monitor: Monitor, device: str, limits: Mapping[str, int]) -> None:
    """Raises HypervisorError where there is no such device."""
    for found in monitor.ask("query-block"):
        if device in (path := found.get("qdev", "")).split("/"):
            monitor.ask("block_set_io_throttle", {"id": path, **throttle(limits)})
            return
    raise HypervisorError(f"it has no {device}")


def limit_all(monitor: Monitor, disks: Sequence[Disk]) -> None:
    for number, disk in enumerate(disks):
        if disk.limits:
            limit(monitor, device_of(number, disk), disk.limits)


def throttle(limits: Mapping[str, int]) -> dict[str, int]:
    """Limits as QEMU calls them; what is not limited is 0."""
    found = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
    for name, value in limits.items():
        if name == "size_iops_sec":
            found["iops_size"] = value
            continue
        what, unit, _, *more = name.split("_")
        found["_".join(("bps" if unit == "bytes" else "iops", *_SHORT[what], *more))] = value
    return found


_SHORT: dict[str, tuple[str, ...]] = {"total": (), "read": ("rd",), "write": ("wr",)}


def _header(monitor: Monitor, name: str) -> int | None:
    """How many bytes of what keeps an encrypted disk are not the guest's; None: it is not encrypted."""
    for node in monitor.ask("query-named-block-nodes", {"flat": True}):
        if node["node-name"] == opened_node(name):
            return node["image"]["format-specific"]["data"]["payload-offset"]
    return None


def addresses(monitor: Monitor) -> dict[str, str]:
    prefix = volume_device("")
    return {name.removeprefix(prefix): where for name, where in device_addresses(monitor).items()
            if name.startswith(prefix + VOLUME)}


def nodes_of(monitor: Monitor, name: str) -> list[tuple[int, str]]:
    """The number and the file of each node of this disk, the one that the guest writes to last."""
    prefix = volume_node(name).removesuffix("0")
    found = []
    for node in monitor.ask("query-named-block-nodes", {"flat": True}):
        if node["node-name"].startswith(prefix):
            found.append((int(node["node-name"].removeprefix(prefix)), node["file"]))
    return sorted(found)


def _close(monitor: Monitor, name: str) -> None:
    if _header(monitor, name) is not None:
        monitor.ask("blockdev-del", {"node-name": opened_node(name)})
    for number, _ in reversed(nodes_of(monitor, name)):
        monitor.ask("blockdev-del", {"node-name": volume_node(name, number)})
    if any(each["name"] == secret_id(name) for each in monitor.ask("qom-list", {"path": "/objects"})):
        monitor.ask("object-del", {"id": secret_id(name)})
