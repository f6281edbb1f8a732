"""The agent's verbs for volumes: those of the place where they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pilvi.drivers.disk.base import Image
from pilvi.drivers.volume.base import Capacity, Containers, VolumeInfo
from pilvi.node.messages_volumes import (
    CopyIn,
    CopyOut,
    Encryption,
    Inventory,
    Kept,
    NewName,
    Sharing,
    SnapshotOrder,
    VolumeNew,
    VolumeSize,
)

if TYPE_CHECKING:
    from pilvi.node.agent import Agent


def create(agent: Agent, wanted: VolumeNew) -> VolumeInfo:
    if wanted.encryption is not None and agent.luks is not None:
        return _create_encrypted(agent, agent.luks, wanted, wanted.encryption)
    store = agent.volumes.at(wanted.backend)
    if wanted.image is not None:
        image = Image(wanted.image.id, wanted.image.path, wanted.image.format)
        return store.ensure_from_image(wanted.volume_id, image, wanted.size_bytes)
    if wanted.snapshot_id is not None:
        return store.ensure_from_snapshot(wanted.volume_id, wanted.snapshot_id, wanted.size_bytes)
    return store.ensure_blank(wanted.volume_id, wanted.size_bytes)


def _create_encrypted(agent: Agent, luks: Containers, wanted: VolumeNew, encryption: Encryption) -> VolumeInfo:
    """The container first, and the volume of it: so volumes of every kind can be encrypted."""
    if (found := agent.volumes.info(wanted.volume_id)) is not None:
        return found
    with luks.container(wanted.volume_id, encryption, wanted.image) as container:
        return agent.volumes.at(wanted.backend).copy_in(wanted.volume_id, container, "raw", wanted.size_bytes)


def share(agent: Agent, order: Sharing) -> None:
    agent.volumes.share(order.volume_id, order.shared)


def absent(agent: Agent, volume_id: str) -> None:
    agent.volumes.absent(volume_id)


def begin_snapshot(agent: Agent, order: SnapshotOrder) -> VolumeInfo:
    return agent.volumes.begin_snapshot(order.volume_id, order.snapshot_id)


def end_snapshot(agent: Agent, order: SnapshotOrder) -> None:
    agent.volumes.end_snapshot(order.volume_id, order.snapshot_id)


def absent_snapshot(agent: Agent, snapshot_id: str) -> None:
    agent.volumes.absent_snapshot(snapshot_id)


def revert(agent: Agent, order: SnapshotOrder) -> None:
    agent.volumes.revert(order.volume_id, order.snapshot_id)


def reimage(agent: Agent, wanted: VolumeNew) -> VolumeInfo:
    if wanted.encryption is not None and agent.luks is not None:
        with agent.luks.container(wanted.volume_id, wanted.encryption, wanted.image) as container:
            return agent.volumes.copy_in(wanted.volume_id, container, "raw", wanted.size_bytes)
    return agent.volumes.reimage(wanted.volume_id, Image(wanted.image.id, wanted.image.path, wanted.image.format))


def take_back(agent: Agent, order: SnapshotOrder) -> None:
    """It has what it had at this snapshot, which is gone then; done already, or never begun, is fine."""
    if agent.volumes.snapshot(order.snapshot_id) is not None:
        agent.volumes.revert(order.volume_id, order.snapshot_id)
    agent.volumes.absent_snapshot(order.snapshot_id)


def extend(agent: Agent, wanted: VolumeSize) -> None:
    agent.volumes.extend(wanted.volume_id, wanted.size_bytes)


def copy_out(agent: Agent, order: CopyOut) -> int:
    """How many bytes the file takes. What an attempt that was cut short has left is written anew."""
    target = Path(order.target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}")
    partial.unlink(missing_ok=True)
    base = Path(order.base) if order.base else None
    agent.volumes.copy_out(order.volume_id, order.snapshot_id, partial, order.format, base)
    partial.replace(target)
    return target.stat().st_blocks * 512


def copy_in(agent: Agent, order: CopyIn) -> VolumeInfo:
    there = agent.volumes.info(order.volume_id) is not None
    store = agent.volumes if there else agent.volumes.at(order.backend)
    return store.copy_in(order.volume_id, Path(order.source), order.format, order.size_bytes)


def rename(agent: Agent, order: NewName) -> None:
    agent.volumes.rename(order.name, order.new_name)


def inventory(agent: Agent, backend: str) -> Inventory:
    """What this backend keeps; "": all of them."""
    kept = agent.volumes.at(backend) if backend else agent.volumes
    return Inventory(
        tuple(Kept(name, found.size_bytes) for name in kept.volumes() if (found := kept.info(name)) is not None),
        tuple(Kept(name, found.size_bytes) for name in kept.snapshots() if (found := kept.snapshot(name)) is not None))


def capacity(agent: Agent, backend: str) -> Capacity:
    return agent.volumes.at(backend).capacity()


VERBS = {
    "volume_create": (create, VolumeNew),
    "volume_absent": (absent, str),
    "volume_begin_snapshot": (begin_snapshot, SnapshotOrder),
    "volume_end_snapshot": (end_snapshot, SnapshotOrder),
    "volume_absent_snapshot": (absent_snapshot, str),
    "volume_reimage": (reimage, VolumeNew),
    "volume_take_back": (take_back, SnapshotOrder),
    "volume_revert": (revert, SnapshotOrder),
    "volume_extend": (extend, VolumeSize),
    "volume_copy_out": (copy_out, CopyOut),
    "volume_copy_in": (copy_in, CopyIn),
    "volume_share": (share, Sharing),
    "volume_rename": (rename, NewName),
    "volume_inventory": (inventory, str),
    "volume_capacity": (capacity, str),
}
