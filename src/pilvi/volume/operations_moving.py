"""Volumes that get another type, or go to another backend."""

from __future__ import annotations

from pilvi.db import Tx
from pilvi.engine.operations import Progress, Step, Waiting
from pilvi.faults import Fault
from pilvi.node.messages_volumes import Limiting, Sharing
from pilvi.node.messages_volumes import Moving as Order
from pilvi.volume import store
from pilvi.volume.operations_base import COPY_SECONDS, VolumeOperation
from pilvi.volume.tables import volumes

POLL_SECONDS = 0.5


class Retype(VolumeOperation):
    kind, action = "volume.retype", "retype"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("convert volume", self.convert, self.convert_back),
            Step("limit guests", self.limit, self.limit_as_before),
        )

    def convert(self, progress: Progress) -> None:
        self._share(progress, progress.memory["shared"])

    def convert_back(self, progress: Progress) -> None:
        self._share(progress, progress.memory["old_shared"])

    def _share(self, progress: Progress, shared: bool) -> None:
        memory = progress.memory
        if memory["shared"] != memory["old_shared"]:
            self.call(progress, "volume_share", Sharing(memory["volume"], shared), timeout=COPY_SECONDS)

    def limit(self, progress: Progress) -> None:
        self._limit(progress, progress.memory["type"])

    def limit_as_before(self, progress: Progress) -> None:
        self._limit(progress, progress.memory["old_type"])

    def _limit(self, progress: Progress, type_id: str) -> None:
        memory = progress.memory
        if memory["type"] == memory["old_type"]:
            return
        with self.service.db.read() as tx:
            row = store.get(tx, volumes, memory["volume"])
            limits = self.service.limits(tx, type_id, row.size) if row is not None else {}
            users = self.service.users(tx, memory["volume"])
        for host, server in users:
            self.call(progress, "limit_volume", Limiting(server, memory["volume"], limits), host=host)

    def finish(self, tx: Tx, progress: Progress) -> None:
        memory = progress.memory
        self.back(tx, progress, type_id=memory["type"], multiattach=memory["shared"])

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        self.back(tx, progress)
        self.tell(tx, progress, ("VOLUME", progress.memory["volume"]), "VOLUME_VOLUME_003_001", f"retype volume: {reason}")


class Migrate(Retype):
    """`memory`: also `target`, a backend, and `passing`, a file for what passes between the two."""

    kind, action = "volume.migrate", "migrate"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("copy volume", self.copy, self.give_up),
            Step("switch over", self.switch, certain=True),
            Step("limit guests", self.limit, certain=True),
        )

    def copy(self, progress: Progress) -> None:
        if not progress.wait(lambda: self._told(progress, "volume_move_copy"), COPY_SECONDS, POLL_SECONDS):
            raise Fault(f"the volume was not copied within {COPY_SECONDS} s: its guest writes faster than the other backend "
                        "takes it")

    def switch(self, progress: Progress) -> None:
        """Its guest may have been started anew, and be mirrored once more. No wait that a delete could break off."""
        if not self._told(progress, "volume_move_switch"):
            raise Waiting(POLL_SECONDS)

    def give_up(self, progress: Progress) -> None:
        host, order = self._order(progress)
        self.call(progress, "volume_move_give_up", order, host=host)

    def _told(self, progress: Progress, verb: str) -> bool:
        host, order = self._order(progress)
        return self.call(progress, verb, order, bool, timeout=COPY_SECONDS, host=host)

    def _order(self, progress: Progress) -> tuple[str, Order]:
        memory = progress.memory
        users = self.users(progress, memory["volume"])
        host, server = users[0] if users else (memory["host"], None)
        return host, Order(memory["volume"], memory["target"], memory["passing"], memory["shared"], server)

    def finish(self, tx: Tx, progress: Progress) -> None:
        memory = progress.memory
        self.back(tx, progress, type_id=memory["type"], multiattach=memory["shared"], backend=memory["target"],
                  migration_status="success")

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        self.back(tx, progress, migration_status="error")
        self.tell(tx, progress, ("VOLUME", progress.memory["volume"]), "VOLUME_VOLUME_005_001", f"migrate volume: {reason}")


OPERATIONS = (Retype, Migrate)
