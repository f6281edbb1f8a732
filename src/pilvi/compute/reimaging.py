"""What a rebuild does to the volume that a server boots from: another image's content, or what it had before.

`memory["reimage"]` is what Volume said of it; without, the volume stays as it is. What it had is kept as a snapshot
that nobody else knows of, until it is certain that nobody wants it.
"""

from __future__ import annotations

from typing import Any

from pilvi.compute.operations_base import ServerOperation
from pilvi.db import Tx
from pilvi.engine.operations import Progress
from pilvi.node.messages import ImageSource
from pilvi.node.messages_volumes import Encryption, Sharing, SnapshotOrder, VolumeNew

COPY_SECONDS = 3600


def keep(operation: ServerOperation, progress: Progress) -> None:
    """Nobody has it open by now."""
    if reimage := progress.memory.get("reimage"):
        for verb in ("volume_begin_snapshot", "volume_end_snapshot"):
            operation.call(progress, verb, _kept(progress), host=reimage["host"])


def write(operation: ServerOperation, progress: Progress) -> None:
    if reimage := progress.memory.get("reimage"):
        way = Encryption(**reimage["encryption"]) if "encryption" in reimage else None
        order = VolumeNew(reimage["volume"], reimage["size"], ImageSource(**reimage["image"]), encryption=way)
        operation.call(progress, "volume_reimage", order, timeout=COPY_SECONDS, host=reimage["host"])
        _share(operation, progress)


def take_back(operation: ServerOperation, progress: Progress) -> None:
    if reimage := progress.memory.get("reimage"):
        operation.call(progress, "volume_take_back", _kept(progress), host=reimage["host"])
        _share(operation, progress)


def forget(operation: ServerOperation, progress: Progress) -> None:
    if reimage := progress.memory.get("reimage"):
        operation.call(progress, "volume_absent_snapshot", _kept(progress).snapshot_id, host=reimage["host"])


def settle(operation: ServerOperation, tx: Tx, progress: Progress, *, done: bool) -> None:
    if reimage := progress.memory.get("reimage"):
        operation.compute.volume.end_reimage(tx, reimage["volume"], reimage["values"] if done else {})


def _share(operation: ServerOperation, progress: Progress) -> None:
    """What was done to it ended that it is several servers'."""
    reimage = progress.memory["reimage"]
    if reimage["shared"]:
        operation.call(progress, "volume_share", Sharing(reimage["volume"], True), timeout=COPY_SECONDS,
                       host=reimage["host"])


def _kept(progress: Progress) -> SnapshotOrder:
    volume_id: Any = progress.memory["reimage"]["volume"]
    return SnapshotOrder(volume_id, f"rebuild-{progress.id}")
