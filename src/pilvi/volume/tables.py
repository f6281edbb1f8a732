"""The tables of Volume."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Time, metadata

ID = sa.String(36)
NAME = sa.String(255)

volumes = sa.Table(
    "volumes",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),  # the order in which they were made
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("name", NAME),
    sa.Column("description", sa.Text),
    sa.Column("size", sa.Integer, nullable=False),  # GiB
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("previous_status", sa.String(32)),  # which it goes back to, in a passing one
    sa.Column("type_id", ID, nullable=False),
    sa.Column("availability_zone", NAME, nullable=False),
    sa.Column("host", NAME),  # the agent that serves it
    sa.Column("backend", sa.String(63), nullable=False, server_default="file"),
    sa.Column("migration_status", sa.String(16)),  # migrating success error
    sa.Column("bootable", sa.Boolean, nullable=False),
    sa.Column("readonly", sa.Boolean),
    sa.Column("multiattach", sa.Boolean, nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("image_metadata", sa.JSON),  # of the image it was made from
    sa.Column("snapshot_id", ID),
    sa.Column("source_volid", ID),
    sa.Column("group_id", ID),
    sa.Column("encryption_key_id", ID),  # of `keys`; None: it is not encrypted
    sa.Column("attach_status", sa.String(16), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time),
    sa.Index("ix_volumes_project", "project_id", "seq"),
    sa.Index("ix_volumes_seq", "seq"),
    sa.Index("ix_volumes_group", "group_id"),
)

snapshots = sa.Table(
    "volume_snapshots",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("volume_id", sa.ForeignKey("volumes.id"), nullable=False),
    sa.Column("type_id", ID, nullable=False),
    sa.Column("name", NAME),
    sa.Column("description", sa.Text),
    sa.Column("size", sa.Integer, nullable=False),  # GiB
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("progress", sa.String(8), nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("group_snapshot_id", ID),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time),
    sa.Index("ix_volume_snapshots_project", "project_id", "seq"),
    sa.Index("ix_volume_snapshots_volume_id", "volume_id"),
)

attachments = sa.Table(
    "volume_attachments",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("volume_id", sa.ForeignKey("volumes.id"), nullable=False),
    sa.Column("server_id", ID),
    sa.Column("status", sa.String(16), nullable=False),  # reserved attaching attached detaching
    sa.Column("mode", sa.String(8), nullable=False),  # rw ro
    sa.Column("mountpoint", NAME),
    sa.Column("host_name", NAME),
    sa.Column("connector", sa.JSON),
    sa.Column("connection_info", sa.JSON),
    sa.Column("attached_at", Time),
    sa.Column("detached_at", Time),
    sa.Index("ix_volume_attachments_volume_id", "volume_id"),
    sa.Index("ix_volume_attachments_server_id", "server_id"),
)

types = sa.Table(
    "volume_types",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("name", NAME, nullable=False, unique=True),
    sa.Column("description", sa.Text),
    sa.Column("is_public", sa.Boolean, nullable=False),
    sa.Column("extra_specs", sa.JSON, nullable=False),
    sa.Column("qos_id", ID),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time),
)

encryptions = sa.Table(
    "volume_type_encryptions",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("type_id", sa.ForeignKey("volume_types.id", ondelete="CASCADE"), nullable=False, unique=True),
    sa.Column("provider", NAME, nullable=False),
    sa.Column("cipher", NAME),
    sa.Column("key_size", sa.Integer),
    sa.Column("control_location", sa.String(16), nullable=False),  # front-end back-end
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time),
)

keys = sa.Table(  # what volumes are encrypted with; a copy of a volume has its key
    "volume_keys",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("sealed", sa.Text, nullable=False),  # the passphrase, encrypted
    sa.Column("provider", NAME, nullable=False),
    sa.Column("cipher", NAME),
    sa.Column("key_size", sa.Integer),
    sa.Column("control_location", sa.String(16), nullable=False),
    sa.Column("exported", sa.Boolean, nullable=False),  # an image or a backup is encrypted with it as well
    sa.Column("created_at", Time, nullable=False),
)

type_access = sa.Table(
    "volume_type_access",
    metadata,
    sa.Column("type_id", sa.ForeignKey("volume_types.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("project_id", sa.String(64), primary_key=True),
)

default_types = sa.Table(
    "volume_default_types",
    metadata,
    sa.Column("project_id", sa.String(64), primary_key=True),
    sa.Column("type_id", sa.ForeignKey("volume_types.id", ondelete="CASCADE"), nullable=False),
)

qos_specs = sa.Table(
    "volume_qos_specs",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("name", NAME, nullable=False, unique=True),
    sa.Column("consumer", sa.String(16), nullable=False),  # front-end back-end both
    sa.Column("specs", sa.JSON, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

group_types = sa.Table(
    "volume_group_types",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("name", NAME, nullable=False, unique=True),
    sa.Column("description", sa.Text),
    sa.Column("is_public", sa.Boolean, nullable=False),
    sa.Column("group_specs", sa.JSON, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

groups = sa.Table(
    "volume_groups",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("name", NAME),
    sa.Column("description", sa.Text),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("group_type_id", ID, nullable=False),
    sa.Column("volume_types", sa.JSON, nullable=False),  # ids
    sa.Column("availability_zone", NAME, nullable=False),
    sa.Column("group_snapshot_id", ID),
    sa.Column("source_group_id", ID),
    sa.Column("created_at", Time, nullable=False),
    sa.Index("ix_volume_groups_project", "project_id", "seq"),
)

group_snapshots = sa.Table(
    "volume_group_snapshots",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("group_id", sa.ForeignKey("volume_groups.id"), nullable=False),
    sa.Column("group_type_id", ID, nullable=False),
    sa.Column("name", NAME),
    sa.Column("description", sa.Text),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Index("ix_volume_group_snapshots_project", "project_id", "seq"),
)

transfers = sa.Table(
    "volume_transfers",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("volume_id", sa.ForeignKey("volumes.id"), nullable=False),
    sa.Column("name", NAME),
    sa.Column("salt", sa.String(32), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # SHA-256 of salt and key
    sa.Column("no_snapshots", sa.Boolean, nullable=False),
    sa.Column("source_project_id", sa.String(64), nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

backups = sa.Table(
    "volume_backups",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("volume_id", ID, nullable=False),  # which may be gone
    sa.Column("snapshot_id", ID),
    sa.Column("parent_id", ID),
    sa.Column("file", sa.String(300), nullable=False),  # in the vault; an imported backup shares it with the exported one
    sa.Column("name", NAME),
    sa.Column("description", sa.Text),
    sa.Column("container", NAME),
    sa.Column("availability_zone", NAME),
    sa.Column("size", sa.Integer, nullable=False),  # GiB
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("fail_reason", sa.Text),
    sa.Column("object_count", sa.Integer, nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("volume_facts", sa.JSON, nullable=False),  # name, type, bootable, image metadata: for a restored volume
    sa.Column("host", NAME),
    sa.Column("data_timestamp", Time),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time),
    sa.Index("ix_volume_backups_project", "project_id", "seq"),
    sa.Index("ix_volume_backups_parent_id", "parent_id"),
)

messages = sa.Table(
    "volume_messages",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("request_id", NAME, nullable=False),
    sa.Column("resource_type", sa.String(32), nullable=False),
    sa.Column("resource_id", ID, nullable=False),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Index("ix_volume_messages_project", "project_id", "seq"),
)

services = sa.Table(  # what an administrator has set; what there is, the agents say
    "volume_services",
    metadata,
    sa.Column("host", NAME, primary_key=True),
    sa.Column("binary", sa.String(32), primary_key=True),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("disabled_reason", NAME),
    sa.Column("frozen", sa.Boolean, nullable=False),
)
