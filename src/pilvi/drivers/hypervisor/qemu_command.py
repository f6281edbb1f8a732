"""The command line of a guest's QEMU: what the guest is made of, and what its process is denied."""

from __future__ import annotations

import grp
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pilvi.drivers.hypervisor.base import Disk, Guest, Nic
from pilvi.drivers.hypervisor.qemu_process import FIRST_FILE
from pilvi.supervise.namespace import inside

PROGRAM = "qemu-system-x86_64"
KVM = Path("/dev/kvm")
SLOT = "rp"  # root ports are called rp0, rp1, ...
VOLUME = "vol-"  # with what the names of disks begin that may come and go
SPARE_SLOTS = 8  # for what is plugged in while the guest runs
SMALL_MIB = 512  # guests up to this size need little room for translated code
_CAPACITY_OF_CODE_MIB = {True: 32, False: 256}
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
# OVS's userspace datapath passes on neither unfinished checksums nor packets above the MTU.
_OFFLOADS = ("csum", "guest_csum", "gso", "guest_tso4", "guest_tso6", "guest_ufo", "host_tso4", "host_tso6",
             "host_ufo")


class Files(msgspec.Struct, frozen=True):
    """Where the process finds what was opened for it, by number, and the one folder it may write to."""

    writable: Path
    monitor: int = FIRST_FILE
    spare_monitor: int = FIRST_FILE + 1  # for whoever looks after the host; Pilvi keeps to the first
    console: int = FIRST_FILE + 2
    console_log: int = FIRST_FILE + 3

    def tap(self, number: int) -> int:
        return self.console_log + 1 + number

    def agent(self, guest: Guest) -> int:
        return self.tap(len(guest.nics))

    def keys(self, guest: Guest) -> list[int]:
        """Of the disks that have one, in their order."""
        first = self.agent(guest) + guest.agent
        return list(range(first, first + sum(bool(disk.key) for disk in guest.disks)))

    def memory(self, guest: Guest) -> int:
        return self.agent(guest) + guest.agent + len(self.keys(guest))


class Privileges(msgspec.Struct, frozen=True):
    """Whom the process runs as, and in which network namespace (None: where we are)."""

    uid: int
    gid: int
    namespace: str | None = None

    def command(self, command: Sequence[str]) -> tuple[str, ...]:
        group = _group_for_kvm(self.uid, self.gid)
        groups = "--clear-groups" if group is None else f"--groups={group}"
        return inside(
            self.namespace, "setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", groups, "--no-new-privs",
            "--inh-caps=-all", "--bounding-set=-all", *command,
        )


def accelerated(uid: int, gid: int) -> bool:
    """Whether a process of this user and group gets at KVM; the group "kvm" is lent to it if need be."""
    try:
        found = KVM.stat()
    except OSError:
        return False
    both = stat.S_IROTH | stat.S_IWOTH
    if found.st_uid == uid:
        both = stat.S_IRUSR | stat.S_IWUSR
    elif found.st_gid == gid or _group_for_kvm(uid, gid) is not None:
        both = stat.S_IRGRP | stat.S_IWGRP
    return found.st_mode & both == both and os.access(KVM, os.R_OK | os.W_OK)


def _group_for_kvm(uid: int, gid: int) -> int | None:
    """The group "kvm" where it may use the device and others may not: distributions differ in that."""
    try:
        found, group = KVM.stat(), grp.getgrnam("kvm").gr_gid
    except (OSError, KeyError):
        return None
    needed = found.st_uid != uid and found.st_gid == group != gid and not found.st_mode & stat.S_IROTH
    return group if needed and found.st_mode & stat.S_IWGRP else None


def arguments(guest: Guest, files: Files, *, kvm: bool, offloads: bool, layout: Mapping[str, str] = {},
              ports: int = 0, incoming: str = "") -> list[str]:
    """QEMU's, for a guest that waits for `cont`.

    What goes on from another process comes from `incoming`, and has a `layout` where devices were plugged in
    meanwhile: which of them are behind which of so many root ports."""
    slots = _Slots(layout, ports)
    # Cards come first: where they are hangs on no other device (`layout`).
    devices = [*_nics(guest.nics, files, slots, offloads), *_display(slots), *_disks(guest, files, slots),
               *_agent(guest, files, slots)]
    return [
        PROGRAM, "-S", "-nodefaults", "-no-user-config", "-display", "none", "-no-shutdown",
        "-sandbox", _SANDBOX, "-name", f"guest={_escaped(guest.name)},debug-threads=on", "-uuid", guest.id,
        # cloud-init knows by the product's name that it is on OpenStack.
        "-smbios", "type=1,manufacturer=Pilvi,product=OpenStack Compute",
        "-machine", "q35", *_processors(guest, kvm), "-m", f"{guest.memory_mib}", "-rtc", "base=utc",
        "-boot", "strict=on",
        *_monitor("q0", files.monitor), *_monitor("q1", files.spare_monitor),
        "-add-fd", f"fd={files.console_log},set=1",
        "-chardev", f"socket,id=con,fd={files.console},server=on,wait=off,logfile=/dev/fdset/1,logappend=on",
        "-serial", "chardev:con", "-vnc", f"unix:{_escaped(str(files.writable / 'vnc'))}",
        *slots.ports(), *devices, *(("-incoming", incoming) if incoming else ()),
    ]


def layout(cards: int) -> list[str]:
    """The addresses of so many cards: the firmware numbers the buses behind the root ports in their order, from 1."""
    return [f"0000:{number + 1:02x}:00.0" for number in range(cards)]


class _Slots:
    """PCI Express slots, each a root port: only those can be plugged while the guest runs."""

    def __init__(self, known: Mapping[str, str], ports: int) -> None:
        self._known, self._ports, self._taken = known, ports, 0

    def take(self, device: str) -> str:
        """The device's own where it is known, else the next."""
        if device in self._known:
            return self._known[device]
        while (slot := f"{SLOT}{self._taken}") in self._known.values():
            self._taken += 1
        self._taken += 1
        return slot

    def ports(self) -> Iterator[str]:
        """Those that were taken by now, and the spare ones."""
        for number in range(self._ports or self._taken + SPARE_SLOTS):
            yield from ("-device", f"pcie-root-port,id={SLOT}{number},chassis={number + 1},io-reserve=0")


def _processors(guest: Guest, kvm: bool) -> Iterator[str]:
    if kvm:
        yield from ("-accel", "kvm")
    yield from ("-accel", f"tcg,thread=multi,tb-size={_CAPACITY_OF_CODE_MIB[guest.memory_mib <= SMALL_MIB]}")
    yield from ("-cpu", "host" if kvm else "max", "-smp", f"{guest.vcpus}")


def _monitor(name: str, file: int) -> Iterator[str]:
    yield from ("-chardev", f"socket,id={name},fd={file},server=on,wait=off")
    yield from ("-mon", f"chardev={name},mode=control")


def _display(slots: _Slots) -> Iterator[str]:
    yield from ("-device", "VGA,vgamem_mb=2", "-device", f"virtio-rng-pci,id=rng,bus={slots.take('rng')}")


def _disks(guest: Guest, files: Files, slots: _Slots) -> Iterator[str]:
    disks, keys = guest.disks, files.keys(guest)
    buses = {disk.bus for disk in disks}
    if buses & {"cdrom", "scsi"}:
        yield from ("-device", f"virtio-scsi-pci,id=scsi,bus={slots.take('scsi')}")
    if "usb" in buses:
        yield from ("-device", f"qemu-xhci,id=usb,bus={slots.take('usb')}")
    for number, disk in enumerate(disks):
        node, device = volume_node(disk.name) if disk.name.startswith(VOLUME) else f"d{number}", device_of(number, disk)
        yield from ("-blockdev", json.dumps(blocks(node, disk)))
        if disk.key:
            yield from ("-object", f"secret,id={secret_id(disk.name)},file=/dev/fd/{keys.pop(0)}")
            yield from ("-blockdev", json.dumps(opened(node, disk)))
            node = opened_node(disk.name)
        more = f"drive={node},id={device},bootindex={0 if disk.first else number + 1}{',share-rw=on' * disk.shared}"
        if disk.serial:
            more += f",serial={_escaped(disk.serial)}"
        place = _PLACES.get(disk.bus) or f"virtio-blk-pci,bus={slots.take(device)}"
        yield from ("-device", f"{place},{more}")


# The machine has an IDE (SATA) controller of its own; what is there never takes part in a boot but as a rescue disk.
_PLACES = {"cdrom": "scsi-cd,bus=scsi.0", "scsi": "scsi-hd,bus=scsi.0", "usb": "usb-storage,bus=usb.0",
           "ide": "ide-hd,bus=ide.0", "ide-cdrom": "ide-cd,bus=ide.0"}


def _agent(guest: Guest, files: Files, slots: _Slots) -> Iterator[str]:
    if guest.agent:
        yield from ("-chardev", f"socket,id=agent,fd={files.agent(guest)},server=on,wait=off")
        yield from ("-device", f"virtio-serial-pci,id=serial,bus={slots.take('serial')}")
        yield from ("-device", "virtserialport,bus=serial.0,chardev=agent,name=org.qemu.guest_agent.0")


def volume_node(name: str, number: int = 0) -> str:
    """What QEMU calls the content of a disk that may come and go; a node's name has at most 31 characters."""
    return "v" + name.removeprefix(VOLUME).replace("-", "")[:26] + f"-{number}"


def volume_device(name: str) -> str:
    return f"disk-{name}"


def device_of(number: int, disk: Disk) -> str:
    return volume_device(disk.name) if disk.name.startswith(VOLUME) else f"disk-{number}"


def opened_node(name: str) -> str:
    """What QEMU calls the decrypted content of an encrypted disk: over all that keeps it."""
    return "t" + volume_node(name).removesuffix("-0")[1:]


def secret_id(name: str) -> str:
    return f"key-{name}"


def blocks(node: str, disk: Disk) -> dict[str, Any]:
    """The content of a disk as `-blockdev` and `blockdev-add` take it."""
    readonly = disk.readonly or disk.bus.endswith("cdrom")
    file = {"driver": "file", "filename": disk.path, "discard": "unmap", "read-only": readonly}
    return {"node-name": node, "driver": disk.format, "discard": "unmap", "read-only": readonly, "file": file}


def opened(node: str, disk: Disk) -> dict[str, Any]:
    """The decrypted content of a disk that is a LUKS container."""
    return {"node-name": opened_node(disk.name), "driver": "luks", "key-secret": secret_id(disk.name),
            "read-only": disk.readonly, "discard": "unmap", "file": node}


def _nics(nics: Sequence[Nic], files: Files, slots: _Slots, offloads: bool) -> Iterator[str]:
    for number, nic in enumerate(nics):
        yield from ("-netdev", f"tap,id={netdev_id(nic.port_id)},fd={files.tap(number)}")
        yield from ("-device", json.dumps(nic_device(nic, slots.take(nic_id(nic.port_id)), offloads=offloads)))


def netdev_id(port_id: str) -> str:
    return f"net-{port_id}"


def nic_id(port_id: str) -> str:
    return f"nic-{port_id}"


def nic_device(nic: Nic, bus: str, *, offloads: bool) -> dict[str, Any]:
    """A network card as `-device` and `device_add` take it."""
    plain = {} if offloads else dict.fromkeys(_OFFLOADS, False)
    return {"driver": "virtio-net-pci", "id": nic_id(nic.port_id), "netdev": netdev_id(nic.port_id), "bus": bus,
            "romfile": "", "mac": nic.mac, "host_mtu": nic.mtu, **plain}


def _escaped(value: str) -> str:
    """A comma ends a value, two are one; what cannot be printed has no place on a command line."""
    return "".join(letter for letter in value if letter.isprintable()).replace(",", ",,")
