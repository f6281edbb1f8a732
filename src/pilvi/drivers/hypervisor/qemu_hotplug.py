"""What is plugged into a guest, and taken out of it, while it runs.

A device sits behind a root port of its own, and QEMU itself is asked which ports are free: nothing is noted.
What a device is called follows from what it is, so each verb can be repeated, also by a later Pilvi.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from pilvi.drivers.hypervisor.base import HypervisorError, Nic
from pilvi.drivers.hypervisor.qemu_command import SLOT, netdev_id, nic_device, nic_id
from pilvi.drivers.hypervisor.qemu_monitor import Monitor, MonitorError

PERIPHERAL = "/machine/peripheral"  # where QEMU's object tree has what we gave a name


def present(monitor: Monitor, device_id: str) -> bool:
    """Is a device of this id plugged in? One that the guest has yet to let go of is."""
    return device_id in _children(monitor, PERIPHERAL)


def free_slot(monitor: Monitor) -> str:
    """A root port with nothing behind it. Raises HypervisorError where there is none.

    The tree is asked and not `query-pci`, which sees only what the firmware has set up."""
    for name in _children(monitor, PERIPHERAL):
        if name.startswith(SLOT) and not any(
                child.startswith("child[") for child in _children(monitor, f"{PERIPHERAL}/{name}/{name}")):
            return name
    raise HypervisorError("all its slots are taken: what is to be plugged in has to wait until it is started anew")


def plug(monitor: Monitor, device: Mapping[str, Any]) -> None:
    """Puts a device (as `device_add` takes it, but for its bus) into a free slot, unless it is there already.

    Its backend is there by now. Raises HypervisorError, MonitorError."""
    if not present(monitor, device["id"]):
        monitor.ask("device_add", {**device, "bus": free_slot(monitor)})


def unplug(monitor: Monitor, device_id: str) -> bool:
    """Asks the guest to let go of a device; says whether it is gone by now. To be asked again until it is.

    A guest lets go when its operating system says so: it may take its time, and one that has none never does.
    Raises MonitorError."""
    if not present(monitor, device_id):
        return True
    try:
        monitor.ask("device_del", {"id": device_id})
    except MonitorError as error:  # it was asked before, or has let go of it just now
        if not error.refused:
            raise
    return not present(monitor, device_id)


def addresses(monitor: Monitor) -> dict[str, str]:
    """Device -> where the guest finds it on its PCI buses ("0000:03:00.0"), once its firmware has numbered them."""
    return {
        device["qdev_id"]: f"0000:{device['bus']:02x}:{device['slot']:02x}.{device['function']:x}"
        for device in _devices(monitor) if device.get("qdev_id")
    }


def plug_nic(monitor: Monitor, nic: Nic, open_tap: Callable[[], int], *, offloads: bool) -> None:
    """Raises HypervisorError, MonitorError, OSError; then its backend is gone as well."""
    if present(monitor, nic_id(nic.port_id)):
        return
    drop_netdev(monitor, nic.port_id)  # left over from an attempt that was cut short
    name = f"tap-{nic.port_id}"
    tap = open_tap()
    try:
        monitor.ask("getfd", {"fdname": name}, file=tap)
    finally:
        os.close(tap)
    try:
        monitor.ask("netdev_add", {"type": "tap", "id": netdev_id(nic.port_id), "fd": name})
        device = nic_device(nic, "", offloads=offloads)
        plug(monitor, device)
    except (MonitorError, HypervisorError):
        with suppress(MonitorError):
            drop_netdev(monitor, nic.port_id)
            monitor.ask("closefd", {"fdname": name})
        raise


def unplug_nic(monitor: Monitor, port_id: str) -> bool:
    """As `unplug`; the tap is let go of with the card."""
    gone = unplug(monitor, nic_id(port_id))
    if gone:
        drop_netdev(monitor, port_id)
    return gone


def nic_addresses(monitor: Monitor) -> dict[str, str]:
    """As `addresses`, of network cards, by their ports."""
    prefix = nic_id("")
    return {name.removeprefix(prefix): where for name, where in addresses(monitor).items() if name.startswith(prefix)}


def drop_netdev(monitor: Monitor, port_id: str) -> None:
    try:
        monitor.ask("netdev_del", {"id": netdev_id(port_id)})
    except MonitorError as error:  # there is none
        if not error.refused:
            raise


def _children(monitor: Monitor, path: str) -> list[str]:
    return [each["name"] for each in monitor.ask("qom-list", {"path": path})]


def _devices(monitor: Monitor) -> Iterator[dict[str, Any]]:
    for bus in monitor.ask("query-pci"):
        yield from _below(bus["devices"])


def _below(devices: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for device in devices:
        yield device
        yield from _below(device.get("pci_bridge", {}).get("devices", []))
