"""What a project may have of Compute, what it has, and what it used over a time."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from pilvi import quota
from pilvi.compute import store, store_aggregates, store_catalog
from pilvi.compute.base import Base
from pilvi.db import Tx
from pilvi.faults import BadRequest, NotFound, OverLimit
from pilvi.policy import Context

SERVICE = "compute"
RESOURCES = tuple(quota.DEFAULTS[SERVICE])



class Quotas(Base):
    def quota_limits(self, project_id: str, user_id: str | None = None) -> dict[str, int]:
        """Of a project, or of one user in it."""
        with self.db.read() as tx:
            return self.limits_of(tx, project_id, user_id)

    def limits_of(self, tx: Tx, project_id: str, user_id: str | None = None) -> dict[str, int]:
        found = quota.limits(tx, SERVICE, project_id)
        return found if user_id is None else found | quota.user_limits(tx, SERVICE, project_id, user_id)

    def quota_defaults(self, name: str = "default") -> dict[str, int]:
        """The limits of a quota class; those of "default" are every project's that has none of its own."""
        with self.db.read() as tx:
            return quota.limits(tx, SERVICE, quota.CLASS + name)

    def set_quota_class(self, name: str, wanted: Mapping[str, int]) -> dict[str, int]:
        with self.db.transaction() as tx:
            quota.set_limits(tx, SERVICE, quota.CLASS + name, wanted)
            return quota.limits(tx, SERVICE, quota.CLASS + name)

    def quota_usage(self, project_id: str, user_id: str | None = None) -> tuple[dict[str, int], dict[str, int]]:
        """(limits, what is in use) of a project, or of one user in it; what is bounded per object and not per
        project counts as 0 used, and so do a project's key pairs, since those are users'."""
        with self.db.read() as tx:
            return self.limits_of(tx, project_id, user_id), self._used(tx, project_id, user_id)

    def _used(self, tx: Tx, project_id: str, user_id: str | None = None) -> dict[str, int]:
        used = dict.fromkeys(RESOURCES, 0) | store.in_use(tx, project_id, user_id)
        used["server_groups"] = store_aggregates.count_groups(tx, project_id, user_id)
        if user_id is not None:
            used["key_pairs"] = store_catalog.count_keypairs(tx, user_id)
        return used

    def set_quota(self, project_id: str, wanted: Mapping[str, int], *, user_id: str | None = None,
                  force: bool = False) -> dict[str, int]:
        """All limits afterwards, of a project or of one user in it.

        Raises BadRequest for no project; below the use, unless `force`; and for a user's limit beyond the
        project's."""
        with self.db.transaction() as tx:
            if not self.identity.project_exists(tx, project_id):
                raise BadRequest(f"Project ID {project_id} is not a valid project.")
            quota.lock(tx, project_id)
            used, whole = self._used(tx, project_id, user_id), quota.limits(tx, SERVICE, project_id)
            for resource, limit in wanted.items():
                if not force and limit != quota.UNLIMITED and limit < used[resource]:
                    raise BadRequest(f"Quota limit {limit} for {resource} must be greater than or equal to "
                                     f"already used and reserved {used[resource]}.")
                if user_id is not None and exceeds(limit, whole[resource]):
                    raise BadRequest(f"Quota limit {limit} for {resource} must be less than or equal to "
                                     f"{whole[resource]}, which the project has.")
            if user_id is None:
                quota.set_limits(tx, SERVICE, project_id, wanted)
            else:
                quota.set_user_limits(tx, SERVICE, project_id, user_id, wanted)
            return self.limits_of(tx, project_id, user_id)

    def reset_quota(self, project_id: str, user_id: str | None = None) -> None:
        with self.db.transaction() as tx:
            if user_id is None:
                quota.reset(tx, SERVICE, project_id)
            else:
                quota.reset_user(tx, SERVICE, project_id, user_id)

    def fitting(self, tx: Tx, project_id: str, flavor: sa.Row, least: int, most: int,
                user_id: str | None = None) -> int:
        """How many servers of this flavor, of those wanted, the quota of the project and of the user has room for.

        Takes the project's lock. Raises OverLimit where not even `least` fit."""
        quota.lock(tx, project_id)
        each = {"instances": 1, "cores": flavor.vcpus, "ram": flavor.ram}
        count = _room(quota.limits(tx, SERVICE, project_id), store.in_use(tx, project_id), each, least, most)
        own = quota.user_limits(tx, SERVICE, project_id, user_id) if user_id is not None else {}
        if own.keys() & each.keys():
            count = _room(dict.fromkeys(each, quota.UNLIMITED) | own, store.in_use(tx, project_id, user_id), each,
                          least, count)
        return count

    def check_sizes(self, tx: Tx, project_id: str, metadata: Mapping[str, str] = {},
                    personality: Sequence[Mapping[str, str]] = ()) -> None:
        """Raises OverLimit where a server is to have more or longer things than one of the project may."""
        if not metadata and not personality:
            return
        allowed = quota.limits(tx, SERVICE, project_id)
        sizes = [("metadata_items", len(metadata), "Maximum number of metadata items exceeds"),
                 ("injected_files", len(personality), "Personality file limit exceeded:")]
        for file in personality:
            contents = base64.b64decode("".join(file["contents"].split()))
            sizes += [("injected_file_path_bytes", len(file["path"].encode()), "Personality file path exceeds, bytes:"),
                      ("injected_file_content_bytes", len(contents), "Personality file content exceeds, bytes:")]
        for name, size, words in sizes:
            if allowed[name] != quota.UNLIMITED and size > allowed[name]:
                raise OverLimit(f"{words} {allowed[name]}")

    def growing(self, tx: Tx, project_id: str, **more: int) -> None:
        """Takes the project's lock. Raises OverLimit where the quota has no room for so much more."""
        quota.lock(tx, project_id)
        limits, used = quota.limits(tx, "compute", project_id), store.in_use(tx, project_id)
        for name, amount in more.items():
            if amount > 0 and limits[name] != quota.UNLIMITED and used[name] + amount > limits[name]:
                raise OverLimit(f"Quota exceeded for {name}: Requested {amount}, but already used {used[name]} "
                                f"of {limits[name]} {name}")

    def usage(self, context: Context, since: int, until: int, project_id: str | None, *, marker: str | None = None,
              limit: int | None = None) -> Sequence[sa.Row]:
        """Servers that were there for some of this time: of one project, or (None) of all.

        Raises NotFound for another's project, BadRequest for a marker that is none."""
        if not context.is_admin and project_id != context.project_id:
            raise NotFound(f"Project {project_id} could not be found.")
        with self.db.read() as tx:
            after = None
            if marker is not None and (after := store.server(tx, marker, deleted=True)) is None:
                raise BadRequest(f"marker [{marker}] not found")
            return store.servers_alive_between(tx, since, until, project_id, after=after, limit=limit)


def exceeds(limit: int, other: int) -> bool:
    """Whether one limit allows more than another."""
    return other != quota.UNLIMITED and (limit == quota.UNLIMITED or limit > other)


def _room(limits: Mapping[str, int], used: Mapping[str, int], each: Mapping[str, int], least: int, most: int) -> int:
    """How many, of those wanted, there is room for. Raises OverLimit where not even `least` fit."""
    room = {name: (limits[name] - used[name]) // amount for name, amount in each.items()
            if limits[name] != quota.UNLIMITED and amount}
    count = min([most, *room.values()])
    if count >= least:
        return count
    over = sorted(name for name, free in room.items() if free < least)
    wanted = ", ".join(str(each[name] * least) for name in over)
    have = ", ".join(str(used[name]) for name in over)
    may = ", ".join(str(limits[name]) for name in over)
    names = ", ".join(over)
    raise OverLimit(f"Quota exceeded for {names}: Requested {wanted}, but already used {have} of {may} {names}")
