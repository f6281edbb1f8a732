"""What Placement keeps: what each host has, and who holds how much of it."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Time, metadata

providers = sa.Table(
    "resource_providers",
    metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("uuid", sa.String(36), nullable=False, unique=True),
    sa.Column("generation", sa.Integer, nullable=False, default=0),
    sa.Column("created_at", Time, nullable=False),
)

inventories = sa.Table(
    "inventories",
    metadata,
    sa.Column("host", sa.ForeignKey("resource_providers.host", ondelete="CASCADE"), primary_key=True),
    sa.Column("resource_class", sa.String(32), primary_key=True),  # VCPU | MEMORY_MB | DISK_GB
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False, default=0),
    sa.Column("ratio", sa.Float, nullable=False, default=1.0),
    sa.Column("used", sa.BigInteger, nullable=False, default=0),  # the sum of its allocations
)

allocations = sa.Table(
    "allocations",
    metadata,
    sa.Column("consumer_id", sa.String(36), primary_key=True),
    sa.Column("resource_class", sa.String(32), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, server_default=""),  # whose consumer it is
    sa.Column("user_id", sa.String(64), nullable=False, server_default=""),
    sa.Column("generation", sa.Integer, nullable=False, server_default="1"),  # of the consumer
    sa.Index("ix_allocations_host", "host"),
    sa.Index("ix_allocations_project", "project_id", "user_id"),
)
