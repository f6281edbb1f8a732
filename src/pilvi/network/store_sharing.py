"""SQL of RBAC policies: whom objects of one project are shared with.

They alone decide who sees what; a network's and a subnet pool's column `shared` says that one of them is for everybody.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.network.tables import rbac_policies

SHARED, EXTERNAL = "access_as_shared", "access_as_external"
EVERYBODY = "*"


def ids(kind: str, project_id: Any, *actions: str) -> sa.Select:
    """The objects of this type that are shared with the project (an id, None, or a parameter), in these ways or any."""
    columns = rbac_policies.c
    found = sa.select(columns.object_id).where(
        columns.object_type == kind, columns.target.in_([EVERYBODY, project_id])
    )
    return found.where(columns.action.in_(actions)) if actions else found


def shared_with(tx: Tx, kind: str, object_ids: Collection[str], project_id: str | None) -> set[str]:
    """Those of the objects that the project shares, its own among them."""
    found = tx.all(ids(kind, project_id, SHARED).where(rbac_policies.c.object_id.in_(list(object_ids))))
    return {row.object_id for row in found}


def targets(tx: Tx, kind: str, object_id: str, action: str, but: str = "") -> set[str]:
    """The projects, or "*", that the object is shared with; without what the policy `but` says."""
    columns = rbac_policies.c
    same = (columns.object_type == kind, columns.object_id == object_id, columns.action == action)
    return {row.target for row in tx.all(sa.select(columns.target).where(*same, columns.id != but))}


def insert(tx: Tx, policy_id: str, project_id: str, kind: str, object_id: str, action: str, target: str) -> None:
    tx.execute(
        rbac_policies.insert(),
        {
            "id": policy_id,
            "project_id": project_id,
            "object_type": kind,
            "object_id": object_id,
            "action": action,
            "target": target,
            "created_at": tx.now,
            "updated_at": tx.now,
        },
    )


def forget(tx: Tx, kind: str, object_ids: Collection[str], *where: Any) -> None:
    columns = rbac_policies.c
    named = (columns.object_type == kind, columns.object_id.in_(list(object_ids)))
    tx.execute(rbac_policies.delete().where(*named, *where))
