"""What a server is doing, and what it may be told to do then."""

from __future__ import annotations

from collections.abc import Sequence

ACTIVE, BUILDING, STOPPED, PAUSED = "active", "building", "stopped", "paused"
ERROR, DELETED = "error", "deleted"
RESIZED = "resized"
SUSPENDED, RESCUED = "suspended", "rescued"
SHELVED, SHELVED_OFFLOADED = "shelved", "shelved_offloaded"
SOFT_DELETED = "soft-delete"

REBOOTING = ("rebooting", "reboot_pending", "reboot_started")
REBOOTING_HARD = ("rebooting_hard", "reboot_pending_hard", "reboot_started_hard")

REPLACING = {"resize_prep": "RESIZE", "resize_migrating": "RESIZE", "resize_migrated": "RESIZE",
             "resize_finish": "RESIZE", **dict.fromkeys(("rebuilding", "rebuild_block_device_mapping",
                                                         "rebuild_spawning"), "REBUILD")}

STATUSES: dict[str, dict[str | None, str]] = {
    ACTIVE: {None: "ACTIVE", **dict.fromkeys(REBOOTING, "REBOOT"),
             **dict.fromkeys(REBOOTING_HARD, "HARD_REBOOT"), "migrating": "MIGRATING", **REPLACING},
    BUILDING: {None: "BUILD"},
    STOPPED: {None: "SHUTOFF", **REPLACING},
    PAUSED: {None: "PAUSED", "migrating": "MIGRATING"},
    RESIZED: {None: "VERIFY_RESIZE", "resize_reverting": "REVERT_RESIZE"},
    SUSPENDED: {None: "SUSPENDED"},
    RESCUED: {None: "RESCUE"},
    SHELVED: {None: "SHELVED"},
    SHELVED_OFFLOADED: {None: "SHELVED_OFFLOADED"},
    SOFT_DELETED: {None: "SOFT_DELETED"},
    ERROR: {None: "ERROR", **REPLACING},
    DELETED: {None: "DELETED"},
}
# Shown in these statuses only: as a whole, since a boot takes moments.
PROGRESS = {"ACTIVE": 100, **dict.fromkeys(("BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"), 0)}
WITH_FAULT = frozenset({"ERROR", "DELETED"})


def status_of(vm_state: str, task_state: str | None) -> str:
    """The API's status of a server, as Nova derives it from its two states."""
    by_task = STATUSES.get(vm_state)
    if by_task is None:
        return "UNKNOWN"
    return by_task.get(task_state) or by_task[None]


def states_of(statuses: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """(vm_states, task_states) of servers in these statuses, which are taken in any case.

    task_states is None where a status does not depend on them. Names that mean nothing add nothing."""
    vm_states: dict[str, None] = {}
    task_states: dict[str | None, None] = {}
    wanted = {status.upper() for status in statuses}
    for vm_state, by_task in STATUSES.items():
        for task_state, status in by_task.items():
            if status in wanted:
                vm_states[vm_state] = None
                task_states[task_state] = None
    return list(vm_states), None if None in task_states else [state for state in task_states if state]


DELETING = "deleting"
