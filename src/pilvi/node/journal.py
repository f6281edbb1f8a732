"""What an agent knows by itself: each guest's specification, and the last generation it was told of."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pilvi.engine.clock import Clock
from pilvi.node.messages import GuestSpec
from pilvi.notes import Notes

TOMBSTONE_SECONDS = 24 * 3600  # no message is on its way for so long


class StaleGeneration(Exception):
    """The order is older than what this agent has been told already."""


class Entry(msgspec.Struct):
    generation: int
    spec: (
        GuestSpec | None
    )  # None: it is absent, and what is not newer than `generation` may not bring it back
    buried_at: int = 0


class Journal:
    """`durable`: what it says also outlives a power failure, so that guests can be started again after
    one."""

    def __init__(self, folder: Path, clock: Clock, *, durable: bool = True):
        self._notes, self._clock = Notes(folder, durable=durable), clock
        self._entries = {
            name: msgspec.json.decode(text, type=Entry) for name, text in self._notes.values.items()
        }
        self.forget_old_tombstones()

    def guests(self) -> dict[str, Entry]:
        """Entries of the guests that ought to be here."""
        return {name: entry for name, entry in list(self._entries.items()) if entry.spec is not None}

    def get(self, server_id: str) -> Entry | None:
        return self._entries.get(server_id)

    def admit(self, server_id: str, generation: int) -> None:
        """Raises StaleGeneration where something later was said about this guest."""
        entry = self._entries.get(server_id)
        if entry is None:
            return
        if generation < entry.generation or (entry.spec is None and generation == entry.generation):
            what = "is gone since" if entry.spec is None else "is at"
            raise StaleGeneration(
                f"guest {server_id} {what} generation {entry.generation}: "
                f"an order of generation {generation} is too old"
            )

    def write(self, spec: GuestSpec) -> None:
        self._keep(spec.server_id, Entry(spec.generation, spec))

    def advance(self, server_id: str, generation: int) -> None:
        entry = self._entries.get(server_id)
        if entry is not None and entry.spec is not None and entry.generation < generation:
            self._keep(server_id, Entry(generation, entry.spec))

    def bury(self, server_id: str, generation: int) -> None:
        entry = self._entries.get(server_id)
        latest = max(generation, entry.generation if entry else 0)
        self._keep(server_id, Entry(latest, None, self._clock.now()))

    def forget_old_tombstones(self) -> None:
        oldest = self._clock.now() - TOMBSTONE_SECONDS * 1_000_000
        for name, entry in list(self._entries.items()):
            if entry.spec is None and entry.buried_at < oldest:
                del self._entries[name]
                self._notes.drop(name)

    def _keep(self, server_id: str, entry: Entry) -> None:
        self._notes.put(server_id, msgspec.json.encode(entry).decode())
        self._entries[server_id] = entry
