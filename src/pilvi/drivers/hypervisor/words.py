"""The words that hypervisor drivers and their callers share; the verbs are in `base`."""

from __future__ import annotations

import enum

import msgspec


class PowerState(enum.StrEnum):
    """What a guest is doing, as the hypervisor sees it."""

    RUNNING = "running"
    PAUSED = "paused"
    SAVED = "saved"  # at rest: its memory is on disk, and it takes none of the host's
    OFF = "off"  # the guest switched itself off, and the driver saw it do so
    LOST = "lost"  # defined, but its process is gone and nobody saw it switch off (crash, SIGKILL, reboot)
    ABSENT = "absent"  # the driver does not know it


# What a disk's throughput may be limited by, as Nova calls the limits of front ends: bytes and requests per second,
# for how much more than that in a burst, of how many seconds; and the bytes beyond which a request counts as several.
LIMITS = (*(f"{what}_{unit}_sec{more}" for unit in ("bytes", "iops") for what in ("total", "read", "write")
            for more in ("", "_max", "_max_length")), "size_iops_sec")


class Disk(msgspec.Struct, frozen=True):
    """One disk of a guest; `path` is on this host."""

    name: str  # unique within the guest: "root", "config"
    path: str
    format: str = "qcow2"  # qcow2 | raw
    bus: str = "virtio"  # virtio | scsi | ide | usb | cdrom (on the SCSI bus) | ide-cdrom
    serial: str = ""  # at most 20 characters, shown to the guest
    readonly: bool = False
    first: bool = False  # booted before those that come before it
    shared: bool = False  # other guests write to it as well
    limits: dict[str, int] = {}  # of its throughput: LIMITS, per second
    key: str = ""  # the sealed passphrase of the LUKS container that it is


class Nic(msgspec.Struct, frozen=True):
    """One network card of a guest; `device` is the tap that the fabric driver has plugged."""

    port_id: str
    mac: str
    device: str
    mtu: int = 1442


class Guest(msgspec.Struct, frozen=True):
    """Everything needed to start a guest. Disks are in boot order: the first one is booted."""

    id: str  # the server's UUID, shown to the guest as its SMBIOS system UUID
    name: str  # shown by the host's tools only
    vcpus: int
    memory_mib: int
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...] = ()
    agent: bool = False  # it has a channel for the QEMU guest agent


class Capabilities(msgspec.Struct, frozen=True):
    """What the host can run. `hypervisor_type` and `version` are what os-hypervisors shows."""

    hypervisor_type: str  # "QEMU", "fake"
    version: int  # major * 1_000_000 + minor * 1_000 + micro
    acceleration: str  # "kvm" | "tcg" | "none"
    vcpus: int
    memory_mib: int


class DiskUse(msgspec.Struct, frozen=True):
    """What a disk has read and written since its guest was started."""

    name: str
    read_bytes: int = 0
    read_requests: int = 0
    write_bytes: int = 0
    write_requests: int = 0
    errors: int = 0


class Use(msgspec.Struct, frozen=True):
    """What a running guest uses of its host; None: not known."""

    hypervisor: str  # "qemu" | "kvm" | "fake"
    uptime_seconds: int | None
    memory_mib: int  # what it may use
    memory_used_mib: int | None
    cpu_nanoseconds: tuple[int | None, ...] = ()  # each processor's
    disks: tuple[DiskUse, ...] = ()


class Transfer(msgspec.Struct, frozen=True):
    """How far a guest is on its way to another host. Figures are bytes; None: not known yet."""

    state: str  # running | done | failed
    reason: str = ""
    memory_total: int | None = None
    memory_processed: int | None = None
    memory_remaining: int | None = None
    disk_total: int | None = None
    disk_processed: int | None = None
    disk_remaining: int | None = None


class Places(msgspec.Struct, frozen=True):
    """Where a running guest's devices sit, as its driver calls places, and how many places there are. What was
    plugged in while it ran sits where a new process would not put it, and a guest finds its devices where they were."""

    devices: dict[str, str] = {}
    count: int = 0


class HypervisorError(Exception):
    """A verb failed; the message says which guest, what was tried and what the hypervisor answered."""


class AgentSilent(HypervisorError):
    """The guest's agent does not answer: it may not have started yet, and never does where there is none."""


class UnknownGuest(HypervisorError):
    """The verb needs a guest that is defined, and there is none of this id."""
