"""What keeps servers' rows and the hosts' guests in step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from pilvi.bus.base import BusError
from pilvi.compute import states, store, store_running
from pilvi.db import Tx
from pilvi.engine import store as engine_store
from pilvi.engine.reconcilers import Reconciler
from pilvi.node.messages import Observed, Order, Resources

if TYPE_CHECKING:
    from pilvi.compute.service import Compute

log = structlog.get_logger()

KEEP_DAYS = 30  # deleted servers and the trails of operations
CRASHED = 6  # power_state


class Hosts(Reconciler):
    """Asks each agent what its host has, and tells Placement; an agent that does not answer is not seen."""

    name = "hosts"
    period = 15.0

    def __init__(self, compute: Compute):
        self._compute = compute

    def reconcile(self) -> str:
        compute, settings, silent = self._compute, self._compute.settings.host, []
        nodes = compute.bus.nodes()
        for node in nodes:
            try:
                found = compute.bus.call(node, "resources", None, Resources)
            except BusError:
                silent.append(node)
                continue
            with compute.db.transaction() as tx:
                compute.placement.ensure_host(
                    tx, node, vcpus=found.vcpus, memory_mib=found.memory_mib, disk_gib=found.disk_gib,
                    cpu_ratio=settings.cpu_ratio, memory_ratio=settings.memory_ratio,
                    disk_ratio=settings.disk_ratio, reserved_memory_mib=settings.reserved_memory_mib)
                store.save_host(tx, node, compute.ids, hypervisor_type=found.hypervisor_type, address="127.0.0.1",
                                hypervisor_version=found.hypervisor_version, seen_at=tx.now)
        if silent:
            raise BusError(f"no answer from {', '.join(silent)}")
        return f"{len(nodes)} hosts"


class Guests(Reconciler):
    """Compares what hosts run with what rows say, and mends whichever is wrong."""

    name = "guests"
    period = 10.0

    def __init__(self, compute: Compute):
        self._compute = compute

    def reconcile(self) -> str:
        mended = 0
        for node in self._compute.bus.nodes():
            observed = self._compute.bus.call(node, "observe", None, list[Observed])
            with self._compute.db.transaction() as tx:
                rows = {row.id: row for row in store_running.on_host(tx, node)}
                strangers = [guest for guest in observed
                             if guest.server_id not in rows and not engine_store.unfinished(tx, guest.server_id)]
                known = {guest.server_id: guest for guest in observed}
                for server_id, row in rows.items():
                    mended += self._mend(tx, row, known.get(server_id))
            for guest in strangers:
                log.warning("a guest that no server owns is removed", host=node, server_id=guest.server_id)
                self._compute.bus.call(node, "absent", Order(guest.server_id, guest.generation))
            mended += len(strangers)
        with self._compute.db.transaction() as tx:
            mended += self._settle_abandoned(tx)
        return f"mended {mended}" if mended else "all as it should be"

    def _mend(self, tx: Tx, row: Any, guest: Observed | None) -> bool:
        """Whether the row was changed (or the guest is being started)."""
        if row.task_state is not None or row.vm_state == states.BUILDING or engine_store.unfinished(tx, row.id):
            return False
        state = guest.state if guest else "absent"
        if row.vm_state == states.ACTIVE and guest and guest.restart and state in ("off", "lost"):
            generation = store.transition(tx, row.id, [states.ACTIVE], [None], task_state="powering-on")
            self._compute.engine.begin(tx, "server.start", row.id,
                                       memory={"generation": generation, "host": self._host(tx, row.id)})
            return True
        values = self._truth(row.vm_state, state, tx)
        return bool(values) and store_running.settle(tx, row.id, row.generation, **values)

    def _truth(self, vm_state: str, state: str, tx: Tx) -> dict[str, Any]:
        match vm_state, state:
            case (states.ACTIVE | states.PAUSED, "off"):
                return {"vm_state": states.STOPPED, "power_state": 4}
            case (states.ACTIVE | states.PAUSED, "lost"):
                return {"vm_state": states.STOPPED, "power_state": CRASHED}
            case (states.ACTIVE | states.PAUSED | states.STOPPED, "absent"):
                fault = {"code": 500, "message": "The guest is no longer on its host.", "details": "",
                         "created": tx.now}
                return {"vm_state": states.ERROR, "power_state": 0, "fault": fault}
            case (states.ACTIVE, "paused"):
                return {"vm_state": states.PAUSED, "power_state": 3}
            case (states.STOPPED | states.PAUSED, "running"):
                return {"vm_state": states.ACTIVE, "power_state": 1}
        return {}

    def _host(self, tx: Tx, server_id: str) -> str:
        return store_running.for_spec(tx, server_id).host

    def _settle_abandoned(self, tx: Tx) -> int:
        """A transitional state that no operation stands behind ends: nobody is working on it."""
        settled = 0
        for row in store_running.with_task(tx):
            if engine_store.unfinished(tx, row.id):
                continue
            values: dict[str, Any] = {"task_state": None}
            if row.vm_state == states.BUILDING:
                values |= {"vm_state": states.ERROR, "fault": {
                    "code": 500, "message": "The boot was abandoned.", "details": "", "created": tx.now}}
            settled += store_running.settle(tx, row.id, row.generation, **values)
        return settled


class Expiry(Reconciler):
    """Forgets servers that were deleted long ago, trails of old operations, and cached images nobody uses."""

    name = "expiry"
    period = 3600.0

    def __init__(self, compute: Compute):
        self._compute = compute

    def reconcile(self) -> str:
        with self._compute.db.transaction() as tx:
            before = tx.now - KEEP_DAYS * 86_400_000_000
            servers = store_running.forget_deleted(tx, before)
            trails = engine_store.forget_finished(tx, before)
        images = sum(len(self._compute.bus.call(node, "prune", None, list[str])) for node in self._compute.bus.nodes())
        return f"forgot {servers} servers, {trails} operations, {images} cached images"


def reconcilers(compute: Compute) -> tuple[Reconciler, ...]:
    return Hosts(compute), Guests(compute), Expiry(compute)
