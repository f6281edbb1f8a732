"""Which hosts may take a server, in which order, and why the others may not.

Every rule is a function that gives the reason why a host is ruled out, or None. Capacity is not looked at here:
Placement claims it on the first of the hosts that has room.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pilvi.compute import requirements, store, store_aggregates
from pilvi.compute.groups import Groups
from pilvi.compute.hosts import is_up
from pilvi.db import Tx
from pilvi.placement.service import NoValidHost

AFFINITY, ANTI_AFFINITY = "affinity", "anti-affinity"
SOFT_AFFINITY, SOFT_ANTI_AFFINITY = "soft-affinity", "soft-anti-affinity"




class Asked(msgspec.Struct, kw_only=True):
    """What the servers of one request need of their hosts."""

    project_id: str
    extra_specs: Mapping[str, str] = {}  # of the flavor
    image_properties: Mapping[str, Any] = {}
    zone: str | None = None
    host: str | None = None  # only this one
    forced: bool = False  # an administrator's word, which rules do not overrule
    not_hosts: frozenset[str] = frozenset()  # where a server that is moved must not go
    hints: Mapping[str, Any] = {}
    group: Any = None  # the row of the server group that they join
    without_server: str | None = None  # a member that moves, and so is not counted


class Candidate(msgspec.Struct):
    """A host as the rules see it."""

    row: Any
    up: bool
    usage: Mapping[str, Any]
    aggregates: Sequence[Mapping[str, str]]
    members: int = 0  # servers of the group that are on it


class Schedule:
    """The hosts for the servers of one request: each one that is placed counts for the next."""

    def __init__(self, asked: Asked, candidates: Sequence[Candidate], near: set[str], far: set[str]):
        self.asked, self.candidates, self.near, self.far = asked, candidates, near, far

    def choices(self) -> dict[str, int]:
        """Hosts that may be taken, with a rank each: those of a lower one are to be tried first.

        Raises NoValidHost with each host's reason."""
        reasons = {each.row.name: self._against(each) for each in self.candidates}
        usable = {each.row.name: self._rank(each) for each in self.candidates if reasons[each.row.name] is None}
        if not usable:
            said = "; ".join(f"host {name}: {reason}" for name, reason in reasons.items())
            raise NoValidHost(f"No valid host was found. {said or 'There are no hosts: is an agent running?'}")
        return usable

    def placed(self, host: str) -> str:
        """Notes that a server goes to this host; returns its zone."""
        (candidate,) = (each for each in self.candidates if each.row.name == host)
        candidate.members += 1
        return candidate.row.availability_zone

    def _against(self, candidate: Candidate) -> str | None:
        asked, name = self.asked, candidate.row.name
        if asked.host is not None and name != asked.host:
            return f"not {asked.host}, which was asked for"
        if asked.forced:
            return None
        return next((reason for rule in RULES if (reason := rule(self, candidate)) is not None), None)

    def _rank(self, candidate: Candidate) -> int:
        policy = self.asked.group.policy if self.asked.group is not None else None
        return {SOFT_AFFINITY: -candidate.members, SOFT_ANTI_AFFINITY: candidate.members}.get(policy, 0)


def _serves(schedule: Schedule, candidate: Candidate) -> str | None:
    if not candidate.up:
        return "its agent does not answer"
    if candidate.row.disabled:
        return f"disabled ({candidate.row.disabled_reason or 'no reason given'})"
    return None


def _in_zone(schedule: Schedule, candidate: Candidate) -> str | None:
    zone = schedule.asked.zone
    return None if zone in (None, candidate.row.availability_zone) else f"not in zone {zone}"


def _allowed(schedule: Schedule, candidate: Candidate) -> str | None:
    """Aggregates with `filter_tenant_id` are for these projects only."""
    for metadata in candidate.aggregates:
        projects = {word.strip() for key, value in metadata.items() if key.startswith("filter_tenant_id")
                    for word in value.split(",")}
        if projects and schedule.asked.project_id not in projects:
            return "reserved for other projects"
    return None


def _elsewhere(schedule: Schedule, candidate: Candidate) -> str | None:
    return "the server must leave it" if candidate.row.name in schedule.asked.not_hosts else None


def _hinted(schedule: Schedule, candidate: Candidate) -> str | None:
    hints, name = schedule.asked.hints, candidate.row.name
    if "same_host" in hints and name not in schedule.near:
        return "ruled out by the scheduler hint same_host"
    if name in schedule.far:
        return "ruled out by the scheduler hint different_host"
    if "build_near_host_ip" in hints:
        network = ipaddress.ip_network(hints["build_near_host_ip"] + hints.get("cidr", "/24"), strict=False)
        if ipaddress.ip_address(candidate.row.address) not in network:
            return f"its address is not in {network}"
    if "query" in hints and not requirements.holds(hints["query"], facts(candidate)):
        return "ruled out by the scheduler hint query"
    return None


def _with_group(schedule: Schedule, candidate: Candidate) -> str | None:
    group = schedule.asked.group
    if group is None:
        return None
    if group.policy == ANTI_AFFINITY and candidate.members >= (group.max_server_per_host or 1):
        return f"it has {candidate.members} servers of the anti-affinity group {group.id}"
    if group.policy == AFFINITY and not candidate.members and any(each.members for each in schedule.candidates):
        return f"the servers of the affinity group {group.id} are elsewhere"
    return None


def _capable(schedule: Schedule, candidate: Candidate) -> str | None:
    """The flavor's extra specs and the image's properties that are about the host."""
    return (requirements.against_flavor(schedule.asked.extra_specs, facts(candidate), candidate.aggregates)
            or requirements.against_image(schedule.asked.image_properties, facts(candidate)))


RULES: tuple[Callable[[Schedule, Candidate], str | None], ...] = (
    _serves, _in_zone, _elsewhere, _allowed, _hinted, _with_group, _capable)


def facts(candidate: Candidate) -> dict[str, Any]:
    """A host's state under the names that queries and capabilities use."""
    row, usage = candidate.row, candidate.usage
    total, used = usage.get("memory_mib", 0), usage.get("memory_mib_used", 0)
    return {
        "host": row.name, "hypervisor_hostname": row.name, "hypervisor_type": row.hypervisor_type,
        "hypervisor_version": row.hypervisor_version, "host_ip": row.address, "vcpus_total": usage.get("vcpus", 0),
        "vcpus_used": usage.get("vcpus_used", 0), "total_usable_ram_mb": total, "free_ram_mb": total - used,
        "total_usable_disk_gb": usage.get("disk_gib", 0),
        "free_disk_mb": (usage.get("disk_gib", 0) - usage.get("disk_gib_used", 0)) * 1024,
    }


class Scheduling(Groups):
    def schedule(self, tx: Tx, asked: Asked, hosts: Sequence[sa.Row] | None = None) -> Schedule:
        """Takes the group's lock, so that two requests do not both count the same members. `hosts`: all of them,
        where the caller has read them already."""
        metadata = store_aggregates.metadata_by_host(tx)
        usage = {each["host"]: each for each in self.placement.usage(tx)} if asks_for_facts(asked) else {}
        candidates = [Candidate(row, is_up(row, tx.now), usage.get(row.name, {}), metadata.get(row.name, ()))
                      for row in (store.all_hosts(tx) if hosts is None else hosts)]
        if asked.group is not None:
            tx.lock("server_group", asked.group.id)
            by_name = {each.row.name: each for each in candidates}
            for member in store_aggregates.members(tx, [asked.group.id])[asked.group.id]:
                if member.host in by_name and member.id != asked.without_server:
                    by_name[member.host].members += 1
        near, far = (store_aggregates.hosts_of_servers(tx, listed(asked.hints.get(name)), asked.project_id)
                     if name in asked.hints else set() for name in ("same_host", "different_host"))
        return Schedule(asked, candidates, near, far)

    def schedule_again(self, tx: Tx, server: sa.Row, flavor: Mapping[str, Any], *, host: str | None = None,
                       forced: bool = False, elsewhere: bool = False) -> Schedule:
        """For a server that is there and is to be moved or resized to `flavor` (as servers keep it), under the
        rules that it was made with. `elsewhere`: not to the host that it is on."""
        group = store_aggregates.group(tx, server.server_group_id) if server.server_group_id else None
        return self.schedule(tx, Asked(
            project_id=server.project_id, extra_specs=flavor["extra_specs"], host=host, forced=forced,
            image_properties=server.image_properties or {}, zone=server.pinned_availability_zone,
            hints=server.scheduler_hints or {}, group=group, without_server=server.id,
            not_hosts=frozenset({server.host} - {None}) if elsewhere else frozenset()))


def asks_for_facts(asked: Asked) -> bool:
    """Whether what hosts have and how full they are matters to the rules."""
    return "query" in asked.hints or any(name.startswith("capabilities:") for name in asked.extra_specs)


def listed(value: str | Sequence[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
