"""What Pilvi asks of a hypervisor: the interface that every hypervisor driver implements.

A driver runs guests on one host. Its verbs are synchronous, may be called from several threads at once
(the agent serialises the calls for one guest), and are idempotent: asking for what is already so changes
nothing. `tests/contracts/test_hypervisor.py` is the contract; every driver passes it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec


class PowerState(enum.StrEnum):
    """What a guest is doing, as the hypervisor sees it."""

    RUNNING = "running"
    PAUSED = "paused"
    OFF = "off"  # the guest switched itself off, and the driver saw it do so
    LOST = "lost"  # defined, but its process is gone and nobody saw it switch off (crash, SIGKILL, reboot)
    ABSENT = "absent"  # the driver does not know it


class Disk(msgspec.Struct, frozen=True):
    """One disk of a guest; `path` is on this host."""

    name: str  # unique within the guest: "root", "config"
    path: str
    format: str = "qcow2"  # qcow2 | raw
    bus: str = "virtio"  # virtio | cdrom
    serial: str = ""  # at most 20 characters, shown to the guest
    readonly: bool = False


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


class HypervisorError(Exception):
    """A verb failed; the message says which guest, what was tried and what the hypervisor answered."""


class UnknownGuest(HypervisorError):
    """The verb needs a guest that is defined, and there is none of this id."""


class Hypervisor(Protocol):
    """One host's guests."""

    def capabilities(self) -> Capabilities: ...

    def start(self, guest: Guest) -> None:
        """Defines and starts it, or leaves it as it is when it runs (or is paused) already.

        Defining replaces an earlier definition of the same id. Raises HypervisorError, with the
        hypervisor's own words, when it does not come up; nothing of it is left running then."""

    def shutdown(self, guest_id: str) -> None:
        """Asks the guest's operating system to switch itself off (ACPI); returns at once.

        A guest that does not run is left alone. Raises UnknownGuest."""

    def stop(self, guest_id: str) -> None:
        """Switches it off now and waits until its process is gone; it is OFF then. Raises UnknownGuest."""

    def reset(self, guest_id: str) -> None:
        """Presses a running guest's reset button. Raises UnknownGuest, HypervisorError when it is off."""

    def pause(self, guest_id: str) -> None:
        """Stops its processors; memory stays. Raises UnknownGuest, HypervisorError when it is off."""

    def resume(self, guest_id: str) -> None:
        """Lets a paused guest go on. Raises UnknownGuest, HypervisorError when it is off."""

    def state(self, guest_id: str) -> PowerState:
        """ABSENT for an id that it does not know; never raises for one guest's trouble."""

    def guests(self) -> dict[str, PowerState]:
        """Every defined guest, also those that an earlier process of Pilvi started."""

    def console_log(self, guest_id: str, last_bytes: int = 1 << 20) -> bytes:
        """The end of what the serial console has said since the guest was defined. Raises UnknownGuest."""

    def console_socket(self, guest_id: str) -> Path:
        """The unix socket of the live serial console (one client at a time). Raises UnknownGuest."""

    def vnc_socket(self, guest_id: str) -> Path:
        """The unix socket where its screen speaks RFB, without authentication. Raises UnknownGuest,
        HypervisorError when it is off."""

    def attach_nic(self, guest_id: str, nic: Nic) -> None:
        """Plugs a network card into a running guest; one with this port that is there stays as it is.

        Raises UnknownGuest, HypervisorError: when it is off, when it has no room; nothing is left of it then."""

    def detach_nic(self, guest_id: str, port_id: str) -> bool:
        """Asks a running guest to let go of a network card; True once it has, or where there is none.

        To be asked again until then: it is the guest's operating system that lets go. What the guest is
        started with next is another matter (`start`). Raises UnknownGuest, HypervisorError when it is off."""

    def addresses(self, guest_id: str) -> dict[str, str]:
        """Port -> where the running guest finds its card: a PCI address, "0000:03:00.0".

        Raises UnknownGuest, HypervisorError when it is off."""

    def use(self, guest_id: str) -> Use:
        """What it has used since it was started. Raises UnknownGuest, HypervisorError when it is off."""

    def undefine(self, guest_id: str) -> None:
        """Stops it if need be and forgets it, with its console log and sockets (never its disks)."""

    def listen(self, callback: Callable[[str, PowerState], None]) -> None:
        """Calls back, from a thread of the driver's, when a guest changes its state by itself."""

    def close(self) -> None:
        """Lets go of the guests, which run on, and releases threads and sockets."""
