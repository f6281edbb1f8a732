"""What a project may have of Volume, and what it has; limits by type of volume among them."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from pilvi import quota
from pilvi.db import Tx
from pilvi.faults import BadRequest, TooLarge
from pilvi.volume import store
from pilvi.volume.base import Base
from pilvi.volume.tables import types

BASE = quota.DEFAULTS["volume"]
PER_TYPE = ("volumes", "gigabytes", "snapshots")


class Quotas(Base):
    def quota_limits(self, tx: Tx, project_id: str) -> dict[str, int]:
        known, found = self._per_type(tx), quota.limits(tx, "volume", project_id)
        return {**known, **{name: limit for name, limit in found.items() if name in known or name in BASE}}

    def quota_defaults(self, tx: Tx) -> dict[str, int]:
        return self.quota_limits(tx, quota.DEFAULT_CLASS)

    def _per_type(self, tx: Tx) -> dict[str, int]:
        names = [name for (name,) in tx.all(sa.select(types.c.name).order_by(types.c.seq))]
        return {f"{resource}_{name}": quota.UNLIMITED for name in names for resource in PER_TYPE}

    def quotas(self, project_id: str) -> tuple[dict[str, int], dict[str, int]]:
        """(limits, what is in use)."""
        with self.db.read() as tx:
            limits, used = self.quota_limits(tx, project_id), store.usage(tx, project_id)
            return limits, {name: used.get(name, 0) for name in limits}

    def default_quotas(self) -> dict[str, int]:
        with self.db.read() as tx:
            return self.quota_defaults(tx)

    def set_quotas(self, project_id: str, wanted: Mapping[str, int]) -> dict[str, int]:
        """All limits afterwards. Raises BadRequest for a resource that there is none of, and for no project."""
        with self.db.transaction() as tx:
            if not self.identity.project_exists(tx, project_id):
                raise BadRequest(f"Project {project_id} could not be found.")
            self._set(tx, project_id, wanted)
            return self.quota_limits(tx, project_id)

    def set_default_quotas(self, wanted: Mapping[str, int]) -> dict[str, int]:
        with self.db.transaction() as tx:
            self._set(tx, quota.DEFAULT_CLASS, wanted)
            return self.quota_defaults(tx)

    def _set(self, tx: Tx, project_id: str, wanted: Mapping[str, int]) -> None:
        unknown = sorted(set(wanted) - self.quota_defaults(tx).keys())
        if unknown:
            raise BadRequest(f"Bad key(s) in quota set: {', '.join(unknown)}")
        quota.lock(tx, project_id)
        quota.set_limits(tx, "volume", project_id, wanted)

    def reset_quotas(self, project_id: str) -> None:
        with self.db.transaction() as tx:
            quota.reset(tx, "volume", project_id)

    def grow(self, tx: Tx, project_id: str, type_name: str | None = None, **more: int) -> None:
        """Takes the project's lock. Raises TooLarge where the quota has no room for so much more."""
        quota.lock(tx, project_id)
        limits, used = self.quota_limits(tx, project_id), store.usage(tx, project_id)
        wanted = dict(more)
        if type_name is not None:
            wanted |= {f"{name}_{type_name}": amount for name, amount in more.items() if name in PER_TYPE}
        for name, amount in wanted.items():
            limit = limits.get(name, quota.UNLIMITED)
            if limit != quota.UNLIMITED and used.get(name, 0) + amount > limit:
                raise TooLarge(f"Requested resources exceed quota {name}: {amount} wanted, {used.get(name, 0)} of {limit} "
                               "are in use.")

    def check_volume_size(self, tx: Tx, project_id: str, size: int) -> None:
        limit = self.quota_limits(tx, project_id)["per_volume_gigabytes"]
        if limit != quota.UNLIMITED and size > limit:
            raise TooLarge(f"Requested volume size {size}G is larger than maximum allowed limit {limit}G.")
