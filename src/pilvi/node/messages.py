"""What the controller tells a node's agent, and what that answers."""

from __future__ import annotations

import msgspec

from pilvi.drivers.disk.base import DiskSource, Filling
from pilvi.drivers.fabric.base import Counters
from pilvi.drivers.hypervisor.base import Places, Use

EVENTS = "node.events"  # the topic on which agents say that a guest changed its state by itself


class ImageSource(msgspec.Struct, frozen=True):
    id: str
    path: str
    format: str  # qcow2 | raw


class PortSpec(msgspec.Struct, frozen=True):
    id: str
    mac: str
    mtu: int


def disk_name(volume_id: str) -> str:
    """What a guest's hypervisor calls the disk that a volume is to it."""
    return f"vol-{volume_id}"


def disk_serial(volume_id: str) -> str:
    """What the guest sees of it: no disk has a longer one."""
    return volume_id[:20]


class VolumeSpec(msgspec.Struct, frozen=True):
    """A volume as a disk of a guest."""

    volume_id: str
    readonly: bool = False
    bus: str = "virtio"  # as a hypervisor's Disk has it
    root: bool = False  # what the guest boots from
    shared: bool = False  # other guests write to it as well
    limits: dict[str, int] = {}  # of its throughput, as a hypervisor's Disk has them
    key: str = ""  # the sealed passphrase, where it is encrypted


class LocalDisk(msgspec.Struct, frozen=True):
    """A disk that a guest's host makes for it beside its root disk."""

    name: str  # "ephemeral0", "swap"
    size_bytes: int
    filling: Filling
    label: str = ""


class Rescue(msgspec.Struct, frozen=True):
    """The disk that a guest in trouble is booted from, beside its own."""

    image: ImageSource
    bus: str = ""  # as a hypervisor's Disk has it; "": in the place of the guest's own first disk


class GuestSpec(msgspec.Struct, frozen=True):
    """Everything a guest is, for the generation of its desired state."""

    server_id: str
    generation: int
    name: str
    vcpus: int
    memory_mib: int
    image: ImageSource | None  # None: it boots from a volume, and has no disk of its own
    disk_bytes: int
    ports: tuple[PortSpec, ...] = ()
    config_drive: bytes | None = None  # an ISO 9660 image
    agent: bool = False  # it has a QEMU guest agent
    rescue: Rescue | None = None
    volumes: tuple[VolumeSpec, ...] = ()
    local_disks: tuple[LocalDisk, ...] = ()


class Away(msgspec.Struct, frozen=True):
    """An order about the disks that a guest had before a change: set aside under a mark of their own."""

    server_id: str
    generation: int
    mark: int  # tells one change's from another's


class Back(msgspec.Struct, frozen=True):
    """The guest as it was before a change: its disks are taken from under the mark."""

    spec: GuestSpec
    mark: int


class Arrival(msgspec.Struct, frozen=True):
    """A guest whose disks are another's copies: those that are here by name ("root", "ephemeral0")."""

    spec: GuestSpec
    disks: dict[str, DiskSource]


class Expected(msgspec.Struct, frozen=True):
    """A guest that comes here while it runs, with disks of so many bytes, by name ("root", "swap")."""

    spec: GuestSpec
    disk_bytes: dict[str, int]
    places: Places


class Sending(msgspec.Struct, frozen=True):
    server_id: str
    generation: int
    where: str  # what the other host's `expect` said
    hurry: bool = False


class Rest(msgspec.Struct, frozen=True):
    """An order to a guest that is sent or has arrived: it goes on, or is paused."""

    server_id: str
    generation: int
    paused: bool


class Order(msgspec.Struct, frozen=True):
    """A verb for one guest. An agent that has seen a later generation refuses it with StaleGeneration."""

    server_id: str
    generation: int


class CopyOrder(msgspec.Struct, frozen=True):
    """An order about a copy of a guest's root disk."""

    server_id: str
    generation: int
    name: str  # tells one copy from another


class PasswordOrder(msgspec.Struct, frozen=True):
    server_id: str
    generation: int
    user: str
    password: str


class CardOrder(msgspec.Struct, frozen=True):
    """An order about one network card of a guest."""

    server_id: str
    generation: int
    port: PortSpec
    force: bool = False  # a card that is taken out: without waiting for the guest


class CardUse(msgspec.Struct, frozen=True):
    port_id: str
    mac: str
    counters: Counters | None  # None: it is not plugged in


class UseReport(msgspec.Struct, frozen=True):
    guest: Use
    cards: tuple[CardUse, ...]


class Question(msgspec.Struct, frozen=True):
    server_id: str


class Observed(msgspec.Struct, frozen=True):
    server_id: str
    state: str  # a PowerState
    generation: int
    restart: bool = False  # it was running when its host went down, and is to run again


class Resources(msgspec.Struct, frozen=True):
    """What a host has; capacity is for Placement, the rest for os-hypervisors."""

    hypervisor_type: str
    hypervisor_version: int
    vcpus: int
    memory_mib: int
    disk_gib: int


class Event(msgspec.Struct, frozen=True):
    host: str
    server_id: str
    state: str
