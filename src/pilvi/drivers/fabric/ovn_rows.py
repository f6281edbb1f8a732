"""Our rows in a replica of the northbound database: by what they are and by whose they are, so that nobody looks for
them among all the others; and whether somebody else has been at them."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from uuid import UUID

from ovs.db.idl import ROW_CREATE, ROW_DELETE, ROW_UPDATE, Row
from ovsdbapp.backend.ovs_idl.connection import OvsdbIdl

from pilvi.drivers.fabric.logical import OWNER, Ref

MARK = "pilvi"
PORTS = "Logical_Switch_Port"
REPORTED = frozenset({"up", "dynamic_addresses", "tag", "status", "ipv6_prefix"})  # what northd writes into our rows


class MarkedRows(OvsdbIdl):
    """Only the connection's thread, or who holds its lock, may look."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)
        self.disturbances = 0
        self.known: dict[UUID, tuple[Ref, str]] = {}  # of each of our rows: what it is, whose it is
        self._marked: dict[str, dict[str, list[Row]]] = defaultdict(dict)  # table -> key -> rows
        self._owned: dict[str, set[Ref]] = defaultdict(set)
        self._up: dict[UUID, str] = {}
        self._ports_up: frozenset[str] | None = None
        self._ours = False
        for table in self.tables.values():
            table.rows.indexes["marked"] = _OnClear(self._forget_all)

    @contextlib.contextmanager
    def ours(self) -> Iterator[None]:
        """Changes that come meanwhile are our own."""
        self._ours = True
        try:
            yield
        finally:
            self._ours = False

    def marked(self, table: str) -> dict[str, list[Row]]:
        """Our rows of a table by their keys; a key has several only where somebody made copies."""
        return self._marked[table]

    def rows(self, ref: Ref) -> list[Row]:
        return self._marked[ref.table].get(ref.key, [])

    def owned(self, owner: str) -> set[Ref]:
        return self._owned.get(owner, set())

    def ports_up(self) -> frozenset[str]:
        if self._ports_up is None:
            self._ports_up = frozenset(self._up.values())
        return self._ports_up

    def notify(self, event: str, row: Row, updates: Row | None = None) -> None:
        changed = updates._data.keys() if event == ROW_UPDATE else ()
        was = row.uuid in self.known
        if event == ROW_DELETE:
            self._forget(row.uuid)
        elif event == ROW_CREATE or "external_ids" in changed:
            self._forget(row.uuid)
            self._learn(row)
        if not self._ours and (was or row.uuid in self.known) and not (changed and changed <= REPORTED):
            self.disturbances += 1
        if row._table.name == PORTS:
            self._note_up(row, event)

    def _note_up(self, row: Row, event: str) -> None:
        values = row._data
        up = event != ROW_DELETE and row.uuid in self.known and True in values["up"].as_list()
        name = values["name"].as_scalar() if up and values["type"].as_scalar() == "" else None
        if self._up.get(row.uuid) != name:
            self._ports_up = None
            self._up.pop(row.uuid, None)
            if name is not None:
                self._up[row.uuid] = name

    def _learn(self, row: Row) -> None:
        marks = dict(row._data["external_ids"].as_list())
        if (key := marks.get(MARK)) is not None:
            ref, owner = Ref(row._table.name, key), marks.get(OWNER, "")
            self.known[row.uuid] = ref, owner
            self._marked[ref.table].setdefault(key, []).append(row)
            self._owned[owner].add(ref)

    def _forget(self, uuid: UUID) -> None:
        if (found := self.known.pop(uuid, None)) is None:
            return
        ref, owner = found
        left = [row for row in self._marked[ref.table].pop(ref.key) if row.uuid != uuid]
        if left:
            self._marked[ref.table][ref.key] = left
        if not any(self.known[row.uuid][1] == owner for row in left):
            self._owned[owner].discard(ref)
            if not self._owned[owner]:
                del self._owned[owner]

    def _forget_all(self) -> None:
        """The replica begins anew, after the server was away: it may have another database now."""
        self.disturbances += 1
        self._ports_up = None
        for kept in (self.known, self._marked, self._owned, self._up):
            kept.clear()


class _OnClear:
    """Poses as one of a table's indexes, of no column, to hear when the replica is emptied."""

    columns = ()

    def __init__(self, callback: Callable[[], None]) -> None:
        self.clear = callback

    def add(self, row: Row) -> None:
        """Of no interest: `notify` tells."""

    remove = add
