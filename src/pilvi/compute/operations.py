"""Everything servers go through: each module of operations_*.py names its own in OPERATIONS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.compute import (
    operations_boot,
    operations_cards,
    operations_deferred,
    operations_migrating,
    operations_moving,
    operations_power,
    operations_rest,
    operations_shelve,
    operations_snapshot,
    operations_volume_images,
    operations_volumes,
)
from pilvi.engine.operations import Operation

if TYPE_CHECKING:
    from pilvi.compute.service import Compute

MODULES = (
    operations_boot,
    operations_cards,
    operations_deferred,
    operations_migrating,
    operations_moving,
    operations_power,
    operations_rest,
    operations_shelve,
    operations_snapshot,
    operations_volume_images,
    operations_volumes,
)


def operations(compute: Compute) -> tuple[Operation, ...]:
    return tuple(kind(compute) for module in MODULES for kind in module.OPERATIONS)
