"""What belongs to projects: each service says what it keeps for them, so that what outlives its project is found.

A project can be deleted while it has something, as in OpenStack: nobody but an administrator can reach it then.
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa


class Owned(NamedTuple):
    """Rows of a table that are projects'."""

    kind: str  # as users call them: "servers"
    project_id: sa.ColumnElement[str]
    only: tuple[sa.ColumnElement[bool], ...] = ()  # which of the rows


def left_behind(owned: list[Owned], projects: sa.Select) -> sa.CompoundSelect:
    """project_id, kind and count of all that belongs to no project there is; `projects` are ids."""
    return sa.union_all(*(
        sa.select(
            each.project_id.label("project_id"), sa.literal(each.kind).label("kind"), sa.func.count().label("count")
        )
        .where(each.project_id != "", each.project_id.not_in(projects), *each.only)
        .group_by(each.project_id)
        for each in owned
    ))  # fmt: skip
