"""What the engine keeps: operations under way and done, their trail, reconcilers' status, leases."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Time, metadata

operations = sa.Table(
    "operations",
    metadata,
    sa.Column(
        "seq", sa.Integer, primary_key=True, autoincrement=True
    ),  # the order in which they were accepted
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("kind", sa.String(64), nullable=False),  # "server.boot"
    sa.Column("action", sa.String(64), nullable=False),  # as os-instance-actions names it: "create"
    sa.Column("object_id", sa.String(36), nullable=False),
    sa.Column("project_id", sa.String(64)),
    sa.Column("user_id", sa.String(64)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("state", sa.String(16), nullable=False),  # running | undoing | done | failed
    sa.Column("step", sa.Integer, nullable=False, default=0),  # the step under way
    sa.Column("memory", sa.JSON, nullable=False),  # what the steps need, and what they found out
    sa.Column("reason", sa.Text),  # why it failed
    sa.Column("cancelled", sa.Boolean, nullable=False, default=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),  # of the step under way
    sa.Column("not_before", Time, nullable=False, default=0),
    sa.Column("owner", sa.String(36)),  # the controller at work on it
    sa.Column("lease_until", Time, nullable=False, default=0),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Index("ix_operations_object", "object_id", "seq"),
    sa.Index(
        "ix_operations_unfinished",
        "seq",
        sqlite_where=sa.text("state IN ('running', 'undoing')"),
        postgresql_where=sa.text("state IN ('running', 'undoing')"),
    ),
)

events = sa.Table(
    "operation_events",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("operation_id", sa.String(36), nullable=False),
    sa.Column("name", sa.String(128), nullable=False),  # the step; "undo " before it when it was undone
    sa.Column("started_at", Time, nullable=False),
    sa.Column("finished_at", Time),
    sa.Column("result", sa.String(16)),  # Success | Error | Retry
    sa.Column("host", sa.String(255)),
    sa.Column("details", sa.Text),
    sa.Index("ix_operation_events_operation_id", "operation_id"),
)

reconcilers = sa.Table(
    "reconcilers",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("finished_at", Time, nullable=False),
    sa.Column("ok", sa.Boolean, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("passes", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),  # in a row
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(36), nullable=False),
    sa.Column("until", Time, nullable=False),
)
