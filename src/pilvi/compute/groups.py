"""Server groups: which servers are to be on one host, and which on different ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi import quota
from pilvi.compute import store_aggregates as store
from pilvi.compute.base import Base
from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, NotFound, OverLimit
from pilvi.policy import Context


class Group(NamedTuple):
    row: Any
    members: Sequence[str]  # ids of its servers


class Groups(Base):
    def create_group(self, context: Context, name: str, policy: str, max_per_host: int | None = None) -> Group:
        """Raises Forbidden without a project, and OverLimit at the quota."""
        if context.project_id is None:
            raise Forbidden("A server group belongs to a project: ask with a token that is scoped to one.")
        group_id = self.ids.uuid()
        with self.db.transaction() as tx:
            quota.lock(tx, context.project_id)
            limits = quota.limits(tx, "compute", context.project_id)
            own = quota.user_limits(tx, "compute", context.project_id, context.user_id)
            for limit, user_id in ((limits["server_groups"], None), (own.get("server_groups", -1), context.user_id)):
                if limit != quota.UNLIMITED and store.count_groups(tx, context.project_id, user_id) >= limit:
                    raise OverLimit("Quota exceeded, too many server groups.")
            store.insert_group(tx, id=group_id, project_id=context.project_id, user_id=context.user_id, name=name,
                               policy=policy, max_server_per_host=max_per_host)
            return Group(store.group(tx, group_id), [])

    def groups(self, context: Context, *, all_projects: bool = False, offset: int = 0,
               limit: int | None = None) -> list[Group]:
        """The caller's project's; `all_projects` is heeded for administrators."""
        owner = None if all_projects and context.is_admin else context.project_id or ""
        with self.db.read() as tx:
            rows = store.select_groups(tx, owner, offset=offset, limit=limit)
            members = store.members(tx, [row.id for row in rows])
            return [Group(row, [each.id for each in members[row.id]]) for row in rows]

    def group(self, context: Context, group_id: str) -> Group:
        """Raises NotFound, also for another project's."""
        with self.db.read() as tx:
            row = self.group_for(tx, context, group_id)
            return Group(row, [each.id for each in store.members(tx, [group_id])[group_id]])

    def group_for(self, tx: Tx, context: Context, group_id: str) -> sa.Row:
        row = store.group(tx, group_id)
        if row is None or (row.project_id != context.project_id and not context.is_admin):
            raise NotFound(f"Instance group {group_id} could not be found.")
        return row

    def delete_group(self, context: Context, group_id: str) -> None:
        """Its servers stay. Raises NotFound."""
        with self.db.transaction() as tx:
            self.group_for(tx, context, group_id)
            store.delete_group(tx, group_id)

    def group_to_join(self, tx: Tx, context: Context, group_id: str, count: int) -> sa.Row:
        """The group that so many new servers of the caller's are to be in.

        Raises BadRequest where there is no such group, OverLimit where it has no room."""
        try:
            row = self.group_for(tx, context, group_id)
        except NotFound as fault:
            raise BadRequest(fault.message) from None
        limit = quota.limits(tx, "compute", row.project_id)["server_group_members"]
        own = sum(each.user_id == context.user_id for each in store.members(tx, [group_id])[group_id])
        if limit != quota.UNLIMITED and own + count > limit:
            raise OverLimit("Quota exceeded, too many servers in group")
        return row
