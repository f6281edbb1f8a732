"""What Compute keeps of aggregates and server groups."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Time, metadata

aggregates = sa.Table(
    "aggregates",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("uuid", sa.String(36), nullable=False, unique=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("metadata", sa.JSON, nullable=False),  # its `availability_zone` is that of its hosts
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time),
)

aggregate_hosts = sa.Table(
    "aggregate_hosts",
    metadata,
    sa.Column("aggregate_id", sa.ForeignKey("aggregates.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Index("ix_aggregate_hosts_host", "host"),
)

server_groups = sa.Table(
    "server_groups",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),  # when it was made (microseconds), to sort by
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("policy", sa.String(32), nullable=False),  # affinity anti-affinity soft-affinity soft-anti-affinity
    sa.Column("max_server_per_host", sa.Integer),  # of anti-affinity; None: 1
    sa.Index("ix_server_groups_project", "project_id"),
)
