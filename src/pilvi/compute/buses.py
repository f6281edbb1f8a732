"""How disks are shown to guests: the API's device types and buses, and the hypervisors' names of them."""

from __future__ import annotations

from pilvi.faults import BadRequest

# device type and bus of the API to a hypervisor's bus
SERVED = {
    "disk": {"virtio": "virtio", "scsi": "scsi", "usb": "usb", "ide": "ide", "sata": "ide"},
    "cdrom": {"ide": "ide-cdrom", "sata": "ide-cdrom", "scsi": "cdrom"},
}
USUAL = {"disk": "virtio", "cdrom": "sata"}
LETTERS = {"virtio": "vd", "ide": "sd", "ide-cdrom": "sr", "cdrom": "sr"}  # what guests call them; else sd


def served(device_type: str | None, bus: str | None) -> str | None:
    """The hypervisor's bus, None where there is none for these."""
    device_type = device_type or "disk"
    return SERVED.get(device_type, {}).get(bus or USUAL.get(device_type, ""))


def words() -> str:
    return "; ".join(f"{device} on {', '.join(buses)}" for device, buses in SERVED.items())


def bus_of(device_type: str | None, bus: str | None) -> str:
    """Raises BadRequest for what is not served."""
    found = served(device_type, bus)
    if found is None:
        raise BadRequest(f"Block Device Mapping is Invalid: the device_type {device_type} with the disk_bus {bus} is not "
                         f"served: {words()}.")
    return found


def device_type_of(bus: str) -> tuple[str, str]:
    """A hypervisor's bus as the API's device type and bus."""
    for device_type, buses in SERVED.items():
        for name, found in buses.items():
            if found == bus:
                return device_type, name
    raise KeyError(bus)


def free_name(bus: str, taken: set[str]) -> str:
    """What a guest is going to call a disk on this bus, if it finds its disks in their order. Raises BadRequest."""
    prefix = "/dev/" + LETTERS.get(bus, "sd")
    numbers = [str(number) for number in range(32)] if prefix.endswith("sr") else list("abcdefghijklmnopqrstuvwxyz")
    for each in numbers:
        if prefix + each not in taken:
            return prefix + each
    raise BadRequest(f"All device names from {prefix}{numbers[0]} on are in use: name a device.")
