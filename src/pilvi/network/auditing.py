"""Rows of the logical network that nothing of ours accounts for, and those that it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pilvi.audit import MISSING, ORPHAN, Finding, Key
from pilvi.drivers.fabric.base import FabricError
from pilvi.faults import Conflict
from pilvi.network import topology
from pilvi.network.base import Base

KIND, WHERE = "row of the logical network", "northbound database"


class AuditVerbs(Base):
    refresh: Callable[[], None]

    def audit(self) -> Iterator[Finding]:
        """Raises Conflict where the network's database does not answer."""
        with self._db.read() as tx:
            wanted = topology.read(tx).topology
        try:
            surplus, missing = self._northbound.compare(wanted)
        except FabricError as error:
            raise Conflict(f"The logical network cannot be audited: {error}") from None
        for problem, names, why in ((ORPHAN, surplus, "no network, port or router accounts for it"),
                                    (MISSING, missing, "it should be there")):
            for name in names:
                yield Finding(Key(problem, KIND, name, WHERE), why, "the next pass compares everything", self.refresh)
