"""What keeps servers' rows and the hosts' guests in step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from pilvi.bus.base import BusError, RemoteError
from pilvi.compute import states, store, store_migrations, store_running
from pilvi.compute.operations_base import PAUSED, RUNNING, SHUT_DOWN
from pilvi.compute.operations_boot import abandon_boot
from pilvi.compute.reconcilers_deferred import Reclaimed
from pilvi.compute.reconcilers_resizes import Resizes
from pilvi.compute.reconcilers_shelved import Shelved
from pilvi.db import Tx
from pilvi.engine import store as engine_store
from pilvi.engine.reconcilers import Reconciler
from pilvi.node.messages import Observed, Order, Resources

if TYPE_CHECKING:
    from pilvi.compute.service import Compute

log = structlog.get_logger()

KEEP_DAYS = 30  # deleted servers and the trails of operations
CRASHED = 6  # power_state


class PerHost(Reconciler):
    """A pass over all hosts: the trouble of one does not keep the others waiting."""

    def __init__(self, compute: Compute):
        self._compute = compute

    def reconcile(self) -> str:
        done, trouble = [], []
        for node in self._compute.bus.nodes():
            try:
                done.append(self.visit(node))
            except (BusError, RemoteError) as error:
                trouble.append(f"host {node}: {error}")
        summary = self.conclude(done)
        if trouble:
            raise BusError("; ".join(trouble))
        return summary

    def visit(self, node: str) -> Any:
        raise NotImplementedError

    def conclude(self, done: list[Any]) -> str:
        raise NotImplementedError


class Hosts(PerHost):
    """Asks each agent what its host has, and tells Placement; an agent that does not answer is not seen."""

    name = "hosts"
    period = 15.0

    def visit(self, node: str) -> str:
        compute, settings = self._compute, self._compute.settings.host
        found = compute.bus.call(node, "resources", None, Resources)
        with compute.db.transaction() as tx:
            compute.placement.ensure_host(
                tx,
                node,
                vcpus=found.vcpus,
                memory_mib=found.memory_mib,
                disk_gib=found.disk_gib,
                cpu_ratio=settings.cpu_ratio,
                memory_ratio=settings.memory_ratio,
                disk_ratio=settings.disk_ratio,
                reserved_memory_mib=settings.reserved_memory_mib,
            )
            store.save_host(
                tx,
                node,
                compute.ids,
                hypervisor_type=found.hypervisor_type,
                address="127.0.0.1",
                hypervisor_version=found.hypervisor_version,
                seen_at=tx.now,
            )
        return node

    def conclude(self, done: list[str]) -> str:
        return f"{len(done)} hosts"


class Guests(PerHost):
    """Compares what hosts run with what rows say, and mends whichever is wrong.

    What an operation is at work on is left to it. Guests of servers that are gone are removed; those that
    this database has never heard of are left alone: it may be the database that is the wrong one. A host that
    an administrator forced down is not asked before it is back: its servers may be about to leave it."""

    name = "guests"
    period = 10.0

    def visit(self, node: str) -> tuple[int, int]:
        """(how many were mended, how many nobody knows)."""
        compute = self._compute
        with (
            compute.db.read() as tx
        ):  # before looking: what rows say later, an operation may have made true later
            if (host := store.host(tx, node)) and host.forced_down:
                return 0, 0
            rows = {row.id: row for row in store_running.on_host(tx, node)}
            busy = engine_store.unfinished_objects(tx)
        observed = {
            guest.server_id: guest for guest in compute.bus.call(node, "observe", None, list[Observed])
        }
        mended = sum(
            self._mend(row, observed.get(row.id))
            for row in rows.values()
            if row.id not in busy and row.task_state is None and row.vm_state != states.BUILDING
        )
        removed, unknown = self._strangers(node, [observed[each] for each in observed.keys() - rows.keys()])
        self._end_evacuations(node, observed)
        return mended + removed, unknown

    def conclude(self, done: list[tuple[int, int]]) -> str:
        with self._compute.db.transaction() as tx:
            mended = sum(each for each, _ in done) + self._settle_abandoned(tx)
        unknown = sum(each for _, each in done)
        summary = f"mended {mended}" if mended else "all as it should be"
        return f"{summary}; {unknown} guests of another database are left alone" if unknown else summary

    def _mend(self, row: Any, guest: Observed | None) -> bool:
        """Whether the row was changed, or the guest is being started."""
        state = guest.state if guest else "absent"
        if row.vm_state == states.ACTIVE and guest and guest.restart and state in ("off", "lost"):
            return self._start_again(row)
        if (values := _truth(row.vm_state, state)) is None:
            return False
        vm_state, power_state, reason = values
        log.warning(
            "a guest changed by itself", server_id=row.id, was=row.vm_state, found=state, now=vm_state
        )
        with self._compute.db.transaction() as tx:
            fault = store_running.fault(tx, reason) if reason else None
            return store_running.settle(
                tx, row.id, row.generation, vm_state=vm_state, power_state=power_state, fault=fault
            )

    def _start_again(self, row: Any) -> bool:
        with self._compute.db.transaction() as tx:
            generation = store.transition(tx, row.id, [states.ACTIVE], [None], task_state="powering-on")
            if generation is None:
                return False
            self._compute.engine.begin(
                tx, "server.start", row.id, memory={"generation": generation, "host": row.host}
            )
        return True

    def _strangers(self, node: str, guests: Sequence[Observed]) -> tuple[int, int]:
        """(how many were removed, how many nobody knows) of guests that are on no server's host."""
        if not guests:
            return 0, 0
        with self._compute.db.read() as tx:  # after looking: a server is there before its guest
            known = store_running.owners(tx, [guest.server_id for guest in guests])
            busy = engine_store.unfinished_objects(tx)
        gone = [
            guest
            for guest in guests
            if guest.server_id not in busy
            and (row := known.get(guest.server_id))
            and (row.deleted_at is not None or row.host != node)  # it went, or was evacuated from here
        ]
        for guest in gone:
            log.warning("a guest whose server is gone is removed", host=node, server_id=guest.server_id)
            generation = max(guest.generation, known[guest.server_id].generation)
            self._compute.bus.call(node, "absent", Order(guest.server_id, generation))
        return len(gone), sum(guest.server_id not in known for guest in guests)

    def _end_evacuations(self, node: str, observed: Collection[str]) -> None:
        """This host is back, and has nothing of those who left it any more: what was held for them is free."""
        with self._compute.db.read() as tx:
            found = store_migrations.evacuated_from(tx, node)
        for move in found:
            if move.server_id in observed:
                continue
            with self._compute.db.transaction() as tx:
                self._compute.placement.release(tx, move.uuid)
                store_migrations.update(tx, move.uuid, status="completed")

    def _settle_abandoned(self, tx: Tx) -> int:
        """A transitional state that no operation stands behind ends: nobody is working on it."""
        settled, busy = 0, engine_store.unfinished_objects(tx)
        for row in store_running.with_task(tx):
            if row.id in busy:
                continue
            if row.task_state == states.DELETING:
                self._compute.engine.begin(tx, "server.delete", row.id, wins=True)
                settled += 1
            elif row.vm_state == states.BUILDING:
                settled += abandon_boot(
                    self._compute, tx, row.id, row.generation, "Nobody was working on the boot."
                )
            else:
                settled += store_running.settle(tx, row.id, row.generation, task_state=None)
        return settled


def _truth(vm_state: str, state: str) -> tuple[str, int, str | None] | None:
    """(vm_state, power_state, what went wrong) of a server whose guest is in `state`; None: all is well."""
    match vm_state, state:
        case (states.ACTIVE | states.PAUSED, "off"):
            return states.STOPPED, SHUT_DOWN, None
        case (states.ACTIVE | states.PAUSED, "lost"):
            return (
                states.STOPPED,
                CRASHED,
                "The guest's process ended, and it was not the guest that ended it.",
            )
        case (states.ACTIVE | states.PAUSED | states.STOPPED | states.SUSPENDED | states.RESCUED, "absent"):
            return states.ERROR, 0, "The guest is no longer on its host."
        case (states.ACTIVE, "paused"):
            return states.PAUSED, PAUSED, None
        case (states.ACTIVE | states.STOPPED, "saved"):
            return states.SUSPENDED, SHUT_DOWN, None
        case (states.SUSPENDED, "off" | "lost"):
            return states.STOPPED, SHUT_DOWN, None
        case (states.STOPPED | states.PAUSED | states.SUSPENDED, "running"):
            return states.ACTIVE, RUNNING, None
    return None


class Expiry(PerHost):
    """Forgets servers that were deleted long ago, trails of old operations, and cached images nobody uses."""

    name = "expiry"
    period = 3600.0

    def visit(self, node: str) -> list[str]:
        return self._compute.bus.call(node, "prune", None, list[str])

    def conclude(self, done: list[list[str]]) -> str:
        with self._compute.db.transaction() as tx:
            before = tx.now - KEEP_DAYS * 86_400_000_000
            servers = store_running.forget_deleted(tx, before)
            store_migrations.forget(tx, before)
            trails = engine_store.forget_finished(tx, before)
        return f"forgot {servers} servers, {trails} operations, {sum(map(len, done))} cached images"


def reconcilers(compute: Compute) -> tuple[Reconciler, ...]:
    return Hosts(compute), Guests(compute), Expiry(compute), Resizes(compute), Shelved(compute), Reclaimed(compute)
