"""Quotas and tags: verbs about the API's objects, whatever they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pilvi import quota
from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.network import store
from pilvi.network.base import Base
from pilvi.network.nouns import NOUNS, Noun
from pilvi.policy import Context

SERVICE = "network"
MOST_TAGS = 50
_COUNTED = {noun.name: noun for noun in NOUNS}


class QuotaVerbs(Base):
    def quota(self, context: Context, project_id: str) -> dict[str, int]:
        """A project's limits; -1 is no limit. Raises Forbidden for another project's."""
        self._permit_quota(context, project_id)
        with self._db.read() as tx:
            return quota.limits(tx, SERVICE, project_id)

    def quota_defaults(self, context: Context, project_id: str) -> dict[str, int]:
        self._permit_quota(context, project_id)
        with self._db.read() as tx:
            return quota.limits(tx, SERVICE, quota.DEFAULT_CLASS)

    def quota_details(self, context: Context, project_id: str) -> dict[str, dict[str, int]]:
        self._permit_quota(context, project_id)
        with self._db.read() as tx:
            limits = quota.limits(tx, SERVICE, project_id)
            return {
                name: {"limit": limit, "reserved": 0, "used": self._used(tx, name, project_id)}
                for name, limit in limits.items()
            }

    def _used(self, tx: Tx, name: str, project_id: str) -> int:
        return store.count(tx, _COUNTED[name], project_id) if name in _COUNTED else 0

    def quotas(self) -> list[dict[str, Any]]:
        """Of the projects whose limits are not the defaults."""
        with self._db.read() as tx:
            projects = tx.all(
                sa.select(quota.quotas.c.project_id)
                .where(quota.quotas.c.service == SERVICE, quota.quotas.c.project_id != quota.DEFAULT_CLASS)
                .distinct()
                .order_by(quota.quotas.c.project_id)
            )
            return [
                {
                    **quota.limits(tx, SERVICE, row.project_id),
                    "project_id": row.project_id,
                    "tenant_id": row.project_id,
                }
                for row in projects
            ]

    def set_quota(self, project_id: str, wanted: dict[str, int]) -> dict[str, int]:
        """Raises BadRequest for a resource that has no quota."""
        if unknown := sorted(set(wanted) - set(quota.DEFAULTS[SERVICE])):
            names = ", ".join(f"'{name}'" for name in unknown)
            raise BadRequest(f"Unrecognized attribute(s) {names}", kind="HTTPBadRequest")
        with self._db.transaction() as tx:
            quota.lock(tx, project_id)
            quota.set_limits(tx, SERVICE, project_id, wanted)
            return quota.limits(tx, SERVICE, project_id)

    def reset_quota(self, project_id: str) -> None:
        with self._db.transaction() as tx:
            own = tx.one(
                sa.select(quota.quotas.c.resource).where(
                    quota.quotas.c.project_id == project_id, quota.quotas.c.service == SERVICE
                )
            )
            if own is None:
                raise NotFound(f"Quota for tenant {project_id} could not be found.", kind="TenantQuotaNotFound")
            quota.reset(tx, SERVICE, project_id)

    def _permit_quota(self, context: Context, project_id: str) -> None:
        if project_id != context.project_id and not context.is_admin:
            raise Forbidden(
                "Policy doesn't allow to see another project's quota: it takes the role admin.",
                kind="PolicyNotAuthorized",
            )


class TagVerbs(Base):
    def tags(self, context: Context, noun: Noun, object_id: str) -> list[str]:
        with self._db.read() as tx:
            self._get(tx, noun, context, object_id)
            return store.tags_of(tx, [object_id]).get(object_id, [])

    def check_tag(self, context: Context, noun: Noun, object_id: str, tag: str) -> None:
        """Raises NotFound where the object has no such tag."""
        if tag not in self.tags(context, noun, object_id):
            raise _no_tag(tag)

    def set_tags(self, context: Context, noun: Noun, object_id: str, wanted: Sequence[str]) -> list[str]:
        return self._retag(context, noun, object_id, lambda _tags: wanted)

    def add_tags(self, context: Context, noun: Noun, object_id: str, wanted: Sequence[str]) -> list[str]:
        return self._retag(context, noun, object_id, lambda tags: [*tags, *wanted])

    def remove_tag(self, context: Context, noun: Noun, object_id: str, tag: str) -> None:
        def without(tags: Sequence[str]) -> list[str]:
            if tag not in tags:
                raise _no_tag(tag)
            return [one for one in tags if one != tag]

        self._retag(context, noun, object_id, without)

    def _retag(self, context: Context, noun: Noun, object_id: str, change: Any) -> list[str]:
        with self._db.transaction() as tx:
            tx.lock("tags", object_id)
            self._own(tx, noun, context, object_id)
            wanted = sorted(set(change(store.tags_of(tx, [object_id]).get(object_id, []))))
            if len(wanted) > MOST_TAGS:
                raise BadRequest(
                    f"Invalid input for operation: Requested number of tags is too high: an object has at most "
                    f"{MOST_TAGS}.",
                    kind="InvalidInput",
                )
            store.set_tags(tx, object_id, wanted)
            store.update(tx, noun, object_id)
            return wanted


def _no_tag(tag: str) -> NotFound:
    return NotFound(f"Tag {tag} could not be found.", kind="TagNotFound")
