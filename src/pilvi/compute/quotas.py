"""What a project may have of Compute, what it has, and what it used over a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from pilvi import quota
from pilvi.compute import store, store_catalog
from pilvi.compute.base import Base
from pilvi.db import Tx
from pilvi.faults import BadRequest, NotFound, OverLimit
from pilvi.policy import Context

RESOURCES = tuple(quota.DEFAULTS["compute"])


class Quotas(Base):
    def quota_limits(self, project_id: str) -> dict[str, int]:
        with self.db.read() as tx:
            return quota.limits(tx, "compute", project_id)

    def quota_defaults(self) -> dict[str, int]:
        return dict(quota.DEFAULTS["compute"])

    def quota_usage(self, project_id: str,
                    user_id: str | None = None) -> tuple[dict[str, int], dict[str, int]]:
        """(limits, what is in use); what is bounded per object and not per project counts as 0 used.

        `user_id`: whose key pairs are counted, since those are a user's."""
        with self.db.read() as tx:
            used = dict.fromkeys(RESOURCES, 0) | store.in_use(tx, project_id)
            if user_id is not None:
                used["key_pairs"] = store_catalog.count_keypairs(tx, user_id)
            return quota.limits(tx, "compute", project_id), used

    def set_quota(self, project_id: str, wanted: Mapping[str, int], *, force: bool = False) -> dict[str, int]:
        """All limits afterwards. Raises BadRequest for no project and, unless `force`, below the use."""
        with self.db.transaction() as tx:
            if not self.identity.project_exists(tx, project_id):
                raise BadRequest(f"Project ID {project_id} is not a valid project.")
            quota.lock(tx, project_id)
            used = store.in_use(tx, project_id)
            for resource, limit in wanted.items():
                if not force and limit != quota.UNLIMITED and limit < used.get(resource, 0):
                    raise BadRequest(f"Quota limit {limit} for {resource} must be greater than or equal to "
                                     f"already used and reserved {used[resource]}.")
            quota.set_limits(tx, "compute", project_id, wanted)
            return quota.limits(tx, "compute", project_id)

    def reset_quota(self, project_id: str) -> None:
        with self.db.transaction() as tx:
            quota.reset(tx, "compute", project_id)

    def fitting(self, tx: Tx, project_id: str, flavor: sa.Row, least: int, most: int) -> int:
        """How many servers of this flavor, of those wanted, the project's quota has room for.

        Takes the project's lock. Raises OverLimit where not even `least` fit."""
        quota.lock(tx, project_id)
        limits, used = quota.limits(tx, "compute", project_id), store.in_use(tx, project_id)
        each = {"instances": 1, "cores": flavor.vcpus, "ram": flavor.ram}
        room = {name: (limits[name] - used[name]) // amount for name, amount in each.items()
                if limits[name] != quota.UNLIMITED}
        count = min([most, *room.values()])
        if count >= least:
            return count
        over = sorted(name for name, free in room.items() if free < least)
        wanted = ", ".join(str(each[name] * least) for name in over)
        have = ", ".join(str(used[name]) for name in over)
        may = ", ".join(str(limits[name]) for name in over)
        names = ", ".join(over)
        raise OverLimit(f"Quota exceeded for {names}: Requested {wanted}, but already used {have} of {may} "
                        f"{names}")

    def growing(self, tx: Tx, project_id: str, **more: int) -> None:
        """Takes the project's lock. Raises OverLimit where the quota has no room for so much more."""
        quota.lock(tx, project_id)
        limits, used = quota.limits(tx, "compute", project_id), store.in_use(tx, project_id)
        for name, amount in more.items():
            if amount > 0 and limits[name] != quota.UNLIMITED and used[name] + amount > limits[name]:
                raise OverLimit(f"Quota exceeded for {name}: Requested {amount}, but already used {used[name]} "
                                f"of {limits[name]} {name}")

    def usage(self, context: Context, since: int, until: int, project_id: str | None) -> Sequence[sa.Row]:
        """Servers that were there for some of this time: of one project, or (None) of all.

        Raises NotFound for another's project."""
        if not context.is_admin and project_id != context.project_id:
            raise NotFound(f"Project {project_id} could not be found.")
        with self.db.read() as tx:
            return store.servers_alive_between(tx, since, until, project_id)
