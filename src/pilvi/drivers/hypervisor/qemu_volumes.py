"""Disks that come and go while a guest runs.

What a disk is called follows from its name, and QEMU itself is asked what it has: nothing is noted. A disk's content
is a node of QEMU's; a snapshot puts another over it, numbered one higher, and the guest writes to the highest.
"""

from __future__ import annotations

from contextlib import suppress

from pilvi.drivers.hypervisor.base import Disk, HypervisorError
from pilvi.drivers.hypervisor.qemu_command import VOLUME, blocks, volume_device, volume_node
from pilvi.drivers.hypervisor.qemu_hotplug import addresses as device_addresses
from pilvi.drivers.hypervisor.qemu_hotplug import plug as plug_device
from pilvi.drivers.hypervisor.qemu_hotplug import present
from pilvi.drivers.hypervisor.qemu_hotplug import unplug as unplug_device
from pilvi.drivers.hypervisor.qemu_monitor import Monitor, MonitorError


def plug(monitor: Monitor, disk: Disk) -> None:
    """Raises HypervisorError, MonitorError; then its content is closed as well."""
    if present(monitor, volume_device(disk.name)):
        return
    _close(monitor, disk.name)  # left over from an attempt that was cut short
    node = volume_node(disk.name)
    try:
        monitor.ask("blockdev-add", blocks(node, disk))
        plug_device(monitor, {"driver": "virtio-blk-pci", "id": volume_device(disk.name), "drive": node,
                              "serial": disk.serial})
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
    nodes = _nodes(monitor, name)
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
    nodes = _nodes(monitor, name)
    if not nodes:
        raise HypervisorError(f"it has no disk {name}")
    monitor.ask("block_resize", {"node-name": volume_node(name, nodes[-1][0]), "size": size_bytes})


def addresses(monitor: Monitor) -> dict[str, str]:
    prefix = volume_device("")
    return {name.removeprefix(prefix): where for name, where in device_addresses(monitor).items()
            if name.startswith(prefix + VOLUME)}


def _nodes(monitor: Monitor, name: str) -> list[tuple[int, str]]:
    """The number and the file of each node of this disk, the one that the guest writes to last."""
    prefix = volume_node(name).removesuffix("0")
    found = []
    for node in monitor.ask("query-named-block-nodes", {"flat": True}):
        if node["node-name"].startswith(prefix):
            found.append((int(node["node-name"].removeprefix(prefix)), node["file"]))
    return sorted(found)


def _close(monitor: Monitor, name: str) -> None:
    for number, _ in reversed(_nodes(monitor, name)):
        monitor.ask("blockdev-del", {"node-name": volume_node(name, number)})
