"""The verbs of hypervisors for cards and disks that come and go while a guest runs; a part of the interface in `base`."""

from __future__ import annotations

from typing import Protocol

from pilvi.drivers.hypervisor.words import Disk, Nic


class Attached(Protocol):
    def attach_nic(self, guest_id: str, nic: Nic) -> None:
        """Plugs a network card into a running guest; one with this port that is there stays as it is.

        Raises UnknownGuest, HypervisorError: when it is off, when it has no room; nothing is left of it then."""

    def detach_nic(self, guest_id: str, port_id: str) -> bool:
        """Asks a running guest to let go of a network card; True once it has, or where there is none. To be asked
        again until then: its operating system lets go. Raises UnknownGuest, HypervisorError when it is off."""

    def attach_disk(self, guest_id: str, disk: Disk) -> None:
        """Plugs a disk into a running guest; one of this name that is there stays as it is.

        Raises UnknownGuest, HypervisorError: when it is off, when it has no room; nothing is left of it then."""

    def detach_disk(self, guest_id: str, name: str) -> bool:
        """Asks a running guest to let go of a disk; True once it has, or where there is none.

        To be asked again until then. Raises UnknownGuest, HypervisorError when it is off."""

    def disk_addresses(self, guest_id: str) -> dict[str, str]:
        """Disk that may come and go -> its PCI address in the running guest; none for one on another kind of bus.

        Raises UnknownGuest, HypervisorError when it is off."""

    def redirect_disk(self, guest_id: str, name: str, path: str) -> None:
        """From now on it writes to this qcow2 file, which is based on what it wrote to: that never changes again.

        Done already is fine. Raises UnknownGuest, HypervisorError when it is off or has no such disk."""

    def resize_disk(self, guest_id: str, name: str, size_bytes: int) -> None:
        """What keeps the disk, and is no larger, is this large and the guest sees it.

        Raises UnknownGuest, HypervisorError when it is off or has no such disk."""

    def limit_disk(self, guest_id: str, name: str, limits: dict[str, int]) -> None:
        """From now on its throughput has these limits and no others.

        Raises UnknownGuest, HypervisorError when it is off or has no such disk."""

    def mirror_disk(self, guest_id: str, name: str, target: Disk) -> bool:
        """Whether all that is written to a disk of a running guest is written to an empty one as large as well, which has
        all that was written before; or the guest has it already. It runs on. To be asked again until then.

        Raises UnknownGuest, HypervisorError: off, no such disk, or it came to nothing."""

    def switch_disk(self, guest_id: str, name: str, path: str) -> None:
        """The guest has what its disk is mirrored to, and lets go of what it had. Done already is fine.

        Raises UnknownGuest, HypervisorError: off, or it is not mirrored."""

    def stop_mirroring(self, guest_id: str, name: str) -> None:
        """Gives up what `mirror_disk` has begun. A guest that is off or unknown mirrors nothing."""
