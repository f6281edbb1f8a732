"""Verbs for volumes that go from one backend to another, whether a guest has them or not.

What is on its way is called `to-ID` in the other backend; `now-ID` from when all is there and the guest is about to
have it: after that it is what counts, should the guest end before the old one is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pilvi.drivers.hypervisor.base import Disk, HypervisorError, PowerState
from pilvi.drivers.volume.base import VolumeError, VolumeStore
from pilvi.node.messages import disk_name
from pilvi.node.messages_volumes import Moving

if TYPE_CHECKING:
    from pilvi.node.agent import Agent

ALIVE = (PowerState.RUNNING, PowerState.PAUSED)
ON_ITS_WAY, ARRIVED = "to-", "now-"


def copy(agent: Agent, order: Moving) -> bool:
    """Whether all is there, and stays so; to be asked until then. Of a guest that is off nothing is copied yet."""
    with _held(agent, order) as running:
        if running:
            return _mirrored(agent, order)
        if order.server_id is None:
            _copy(agent, order)
        return True


def switch(agent: Agent, order: Moving) -> bool:
    """The volume is in the other backend, and no longer in the old one. To be asked until it is so."""
    target = agent.volumes.at(order.target)
    with _held(agent, order) as running:
        arrived = target.info(ARRIVED + order.volume_id)
        if running and arrived is not None:
            try:
                agent.hypervisor.switch_disk(order.server_id or "", disk_name(order.volume_id), arrived.path)
            except HypervisorError:  # it was about to be, and was started anew since
                target.rename(ARRIVED + order.volume_id, ON_ITS_WAY + order.volume_id)
                arrived = None
        if arrived is None and target.info(order.volume_id) is None:
            if running:
                if not _mirrored(agent, order):
                    return False
                path = _known(target, ON_ITS_WAY + order.volume_id)
                target.rename(ON_ITS_WAY + order.volume_id, ARRIVED + order.volume_id)
                agent.hypervisor.switch_disk(order.server_id or "", disk_name(order.volume_id), path)
            else:
                if order.server_id is not None:
                    _copy(agent, order)
                target.rename(ON_ITS_WAY + order.volume_id, ARRIVED + order.volume_id)
        if target.info(order.volume_id) is None:
            agent.volumes.absent(order.volume_id)
            target.rename(ARRIVED + order.volume_id, order.volume_id)
        if order.shared and not running:
            target.share(order.volume_id, True)
    return True


def give_up(agent: Agent, order: Moving) -> None:
    with _held(agent, order) as running:
        if running:
            agent.hypervisor.stop_mirroring(order.server_id or "", disk_name(order.volume_id))
        agent.volumes.at(order.target).absent(ON_ITS_WAY + order.volume_id)
        Path(order.passing).unlink(missing_ok=True)


@contextmanager
def _held(agent: Agent, order: Moving) -> Iterator[bool]:
    """Whether a guest runs that has it; meanwhile it neither starts nor ends."""
    if order.server_id is None:
        yield False
        return
    with agent.locks.hold(order.server_id):
        yield agent.hypervisor.state(order.server_id) in ALIVE


def _mirrored(agent: Agent, order: Moving) -> bool:
    name, target = ON_ITS_WAY + order.volume_id, agent.volumes.at(order.target)
    if (there := target.info(name)) is None:
        source = agent.volumes.info(order.volume_id)
        if source is None:
            raise VolumeError(f"volume {order.volume_id} is not there")
        there = target.ensure_blank(name, source.size_bytes)
        if order.shared:
            there = target.share(name, True)
    disk = Disk(disk_name(order.volume_id), there.path, there.format)
    return agent.hypervisor.mirror_disk(order.server_id or "", disk.name, disk)


def _copy(agent: Agent, order: Moving) -> None:
    source, passing = agent.volumes.info(order.volume_id), Path(order.passing)
    if source is None:
        raise VolumeError(f"volume {order.volume_id} is not there")
    passing.parent.mkdir(parents=True, exist_ok=True)
    try:
        with suppress(FileNotFoundError):
            passing.unlink()
        agent.volumes.copy_out(order.volume_id, None, passing, "qcow2")
        agent.volumes.at(order.target).copy_in(ON_ITS_WAY + order.volume_id, passing, "qcow2", source.size_bytes)
    finally:
        passing.unlink(missing_ok=True)


def _known(store: VolumeStore, name: str) -> str:
    found = store.info(name)
    if found is None:
        raise VolumeError(f"volume {name} is not there")
    return found.path


VERBS = {
    "volume_move_copy": (copy, Moving),
    "volume_move_switch": (switch, Moving),
    "volume_move_give_up": (give_up, Moving),
}
