"""What Pilvi asks of a hypervisor: the interface that every hypervisor driver implements.

A driver runs guests on one host. Its verbs are synchronous, may be called from several threads at once
(the agent serialises the calls for one guest), and are idempotent: asking for what is already so changes
nothing. `tests/contracts/test_hypervisor.py` is the contract; every driver passes it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pilvi.drivers.hypervisor.attached import Attached
from pilvi.drivers.hypervisor.words import (
    LIMITS,
    AgentSilent,
    Capabilities,
    Disk,
    DiskUse,
    Guest,
    HypervisorError,
    Nic,
    Places,
    PowerState,
    Transfer,
    UnknownGuest,
    Use,
)

__all__ = ["LIMITS", "AgentSilent", "Capabilities", "Disk", "DiskUse", "Guest", "Hypervisor", "HypervisorError", "Nic",
           "Places", "PowerState", "Transfer", "UnknownGuest", "Use"]


class Hypervisor(Attached, Protocol):
    """One host's guests."""

    def capabilities(self) -> Capabilities: ...

    def start(self, guest: Guest) -> None:
        """Defines and starts it, or leaves it as it is when it runs (or is paused) already.

        Defining replaces an earlier definition of the same id. Raises HypervisorError, with the
        hypervisor's own words, when it does not come up; nothing of it is left running then."""

    def define(self, guest: Guest) -> None:
        """Notes it as one that is OFF; one that runs (or is paused) stays as it is.

        Defining replaces an earlier definition of the same id. Raises HypervisorError."""

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

    def save(self, guest_id: str) -> None:
        """Puts its memory on disk and ends its process; it is SAVED then. Raises UnknownGuest, HypervisorError."""

    def restore(self, guest: Guest) -> None:
        """A SAVED guest goes on where it was; one that runs stays as it is. Raises UnknownGuest, HypervisorError."""

    def interrupt(self, guest_id: str) -> None:
        """Sends it an NMI, on which operating systems dump their memory. Raises UnknownGuest, HypervisorError."""

    def set_password(self, guest_id: str, user: str, password: str) -> None:
        """Through its agent. Raises UnknownGuest, AgentSilent, HypervisorError: off, or its agent refuses."""

    def has_agent(self, guest_id: str) -> bool:
        """Whether the guest was given a channel for an agent. Raises UnknownGuest."""

    def copy_disk(self, guest_id: str, source: str, target: str) -> bool:
        """Copies what a disk of a running guest holds now into an empty qcow2 file as large; True once it is whole.

        It runs on. To be asked again until then. Raises UnknownGuest, HypervisorError: off, or the copy failed."""

    def stop_copying(self, guest_id: str) -> None:
        """Gives up what `copy_disk` has begun. A guest that is off or unknown copies nothing."""

    def state(self, guest_id: str) -> PowerState:
        """ABSENT for an id that it does not know; never raises for one guest's trouble."""

    def guests(self) -> dict[str, PowerState]:
        """Every defined guest, also those that an earlier process of Pilvi started."""

    def strays(self, *, end: bool = False) -> list[str]:
        """Processes of guests that none of the defined ones has ("pid 123"); `end`: they are killed."""

    def console_log(self, guest_id: str, last_bytes: int = 1 << 20) -> bytes:
        """The end of what the serial console has said since the guest was defined. Raises UnknownGuest."""

    def console_socket(self, guest_id: str) -> Path:
        """The unix socket of the live serial console (one client at a time). Raises UnknownGuest."""

    def vnc_socket(self, guest_id: str) -> Path:
        """Where its screen speaks RFB, without authentication. Raises UnknownGuest, HypervisorError when off."""

    def addresses(self, guest_id: str) -> dict[str, str]:
        """Port -> where the running guest finds its card: a PCI address, "0000:03:00.0".

        Raises UnknownGuest, HypervisorError when it is off."""

    def layout(self, cards: int) -> list[str]:
        """Where a guest that is started with so many cards finds them (as `addresses`), in their order."""

    def use(self, guest_id: str) -> Use:
        """What it has used since it was started. Raises UnknownGuest, HypervisorError when it is off."""

    def places(self, guest_id: str) -> Places:
        """Of a running or paused guest, for `expect`. Raises UnknownGuest, HypervisorError when it is off."""

    def expect(self, guest: Guest, places: Places) -> str:
        """Makes ready for a guest that runs on another host; says where that is to `send` it.

        Its local disks are here, of the right size and with nothing in them. It is LOST until `take_over`."""

    def send(self, guest_id: str, where: str, *, hurry: bool = False) -> Transfer:
        """Carries on with sending a running or paused guest, disks and all; to be asked again until it is done.

        It runs on meanwhile, and is at rest on both hosts once that is done. `hurry`: it is paused at once, so
        that it comes to an end. Raises UnknownGuest, HypervisorError when it is off."""

    def give_up(self, guest_id: str, *, paused: bool) -> None:
        """Ends sending it: it goes on here, or stays paused. One that is not being sent is fine."""

    def take_over(self, guest_id: str, *, paused: bool) -> None:
        """A guest that was expected and has arrived goes on here. Raises UnknownGuest, HypervisorError."""

    def undefine(self, guest_id: str) -> None:
        """Stops it if need be and forgets it, with its console log and sockets (never its disks)."""

    def listen(self, callback: Callable[[str, PowerState], None]) -> None:
        """Calls back, from a thread of the driver's, when a guest changes its state by itself."""

    def close(self) -> None:
        """Lets go of the guests, which run on, and releases threads and sockets."""
