"""What Compute keeps."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Time, metadata

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),  # when it was accepted (microseconds), to sort by
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("hostname", sa.String(255), nullable=False),  # what the guest calls itself
    sa.Column("description", sa.String(255)),
    sa.Column("image_id", sa.String(36)),
    # As it was at boot: id, name, vcpus, ram (MiB), disk, ephemeral (GiB), swap (MiB), extra_specs.
    sa.Column("flavor", sa.JSON, nullable=False),
    sa.Column("vcpus", sa.Integer, nullable=False, default=0),  # the flavor's, for the quota
    sa.Column("ram", sa.Integer, nullable=False, default=0),  # MiB; the flavor's, for the quota
    sa.Column("key_name", sa.String(255)),
    sa.Column("key_public", sa.Text),  # the public key as it was at boot
    sa.Column("key_type", sa.String(16)),
    sa.Column("host", sa.String(255)),
    sa.Column("availability_zone", sa.String(255)),  # of its host
    sa.Column("pinned_availability_zone", sa.String(255)),  # that was asked for
    sa.Column("vm_state", sa.String(32), nullable=False),  # building active stopped paused error deleted ...
    sa.Column("task_state", sa.String(64)),  # scheduling spawning deleting rebooting powering-off ...
    # 0 none 1 running 3 paused 4 shut down 6 crashed
    sa.Column("power_state", sa.Integer, nullable=False, default=0),
    sa.Column("generation", sa.Integer, nullable=False, default=1),  # of the desired state, for the agent
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("user_data", sa.Text),  # base64, as the API takes it
    sa.Column("config_drive", sa.Boolean, nullable=False, default=False),
    sa.Column("admin_password", sa.Text),
    sa.Column("shelved", sa.JSON),  # {"image": its id, None of a volume-backed one; "at": microseconds}
    # {"at": microseconds, "was": the vm_state before, "vcpus", "ram": what it counted for}
    sa.Column("soft_deleted", sa.JSON),
    sa.Column("rescue", sa.JSON),  # {"image": its id, "password": the administrator's before}
    sa.Column("guest_password", sa.Text),  # as the guest said it: encrypted for the key pair's owner
    sa.Column("fault", sa.JSON),  # {"code", "message", "details", "created": microseconds}
    sa.Column("locked", sa.Boolean, nullable=False, default=False),
    sa.Column("locked_by", sa.String(8)),  # owner | admin: an administrator's only an administrator opens
    sa.Column("locked_reason", sa.String(255)),
    sa.Column("access_ip_v4", sa.String(39)),
    sa.Column("access_ip_v6", sa.String(39)),
    sa.Column("disk_config", sa.String(8), nullable=False, default="MANUAL"),
    sa.Column("reservation_id", sa.String(32), nullable=False),
    sa.Column("launch_index", sa.Integer, nullable=False, default=0),
    sa.Column("personality", sa.JSON),  # files for the guest: [{"path", "contents" in base64}]
    sa.Column("server_group_id", sa.String(36)),
    sa.Column("scheduler_hints", sa.JSON),  # as they were given, which microversion 2.100 shows
    sa.Column("volumes", sa.JSON),  # attachments: id, volume_id, device, tag, delete_on_termination, readonly
    sa.Column("local_disks", sa.JSON),  # its own disks, where they are not just its flavor's: name, size, tag
    sa.Column("image_properties", sa.JSON),  # of the image as it was when the disk was made from it
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("launched_at", Time),
    sa.Column("terminated_at", Time),
    sa.Column("deleted_at", Time),  # set: it is gone, and shown to administrators who ask for deleted ones
    sa.Index("ix_servers_project", "project_id", "deleted_at", "vcpus", "ram"),
    sa.Index("ix_servers_host", "host", "deleted_at"),
    sa.Index("ix_servers_seq", "seq"),
    sa.Index("ix_servers_group", "server_group_id", "deleted_at"),
)

migrations = sa.Table(  # a server's moves between hosts and flavors
    "migrations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("uuid", sa.String(36), nullable=False, unique=True),  # Placement's consumer of what the source holds
    sa.Column("server_id", sa.String(36), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("type", sa.String(32), nullable=False),  # resize migration live-migration evacuation
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("source_host", sa.String(255), nullable=False),
    sa.Column("dest_host", sa.String(255), nullable=False),
    sa.Column("old_flavor", sa.JSON, nullable=False),
    sa.Column("new_flavor", sa.JSON, nullable=False),
    sa.Column("mark", sa.Integer, nullable=False, default=0),  # under which the source keeps the old disks
    sa.Column("ran", sa.Boolean, nullable=False, default=True),  # the guest ran before
    sa.Column("wish", sa.String(16)),  # of a live migration under way: abort | force
    sa.Column("figures", sa.JSON),  # how far a live migration is, bytes: memory and disk, total, processed, remaining
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Index("ix_migrations_server", "server_id"),
    sa.Index("ix_migrations_updated", "updated_at"),
)

flavors = sa.Table(
    "flavors",
    metadata,
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("vcpus", sa.Integer, nullable=False),
    sa.Column("ram", sa.Integer, nullable=False),  # MiB
    sa.Column("disk", sa.Integer, nullable=False),  # GiB
    sa.Column("ephemeral", sa.Integer, nullable=False, default=0),  # GiB
    sa.Column("swap", sa.Integer, nullable=False, default=0),  # MiB
    sa.Column("rxtx_factor", sa.Float, nullable=False, default=1.0),
    sa.Column("is_public", sa.Boolean, nullable=False, default=True),
    sa.Column("disabled", sa.Boolean, nullable=False, default=False),
    sa.Column("description", sa.Text),
    sa.Column("extra_specs", sa.JSON, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

flavor_access = sa.Table(
    "flavor_access",
    metadata,
    sa.Column("flavor_id", sa.ForeignKey("flavors.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("project_id", sa.String(64), primary_key=True),
)

keypairs = sa.Table(
    "keypairs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("type", sa.String(16), nullable=False),  # ssh | x509
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(255), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.UniqueConstraint("user_id", "name", name="uq_keypairs_user_name"),
)

hosts = sa.Table(
    "hosts",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),  # its id before microversion 2.53
    sa.Column("id", sa.String(36), nullable=False, unique=True),  # of the hypervisor
    sa.Column("service_id", sa.String(36), nullable=False, unique=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("hypervisor_type", sa.String(32), nullable=False),
    sa.Column("hypervisor_version", sa.Integer, nullable=False),  # major * 1_000_000 + minor * 1_000 + micro
    sa.Column("address", sa.String(39), nullable=False),
    sa.Column("availability_zone", sa.String(255), nullable=False, default="nova"),
    sa.Column("disabled_reason", sa.String(255)),
    sa.Column("disabled", sa.Boolean, nullable=False, default=False),  # takes no new servers
    sa.Column("forced_down", sa.Boolean, nullable=False, default=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("seen_at", Time, nullable=False),  # when its agent last answered; capacity is Placement's
)

console_tokens = sa.Table(
    "console_tokens",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # SHA-256 of the token
    sa.Column("server_id", sa.String(36), nullable=False),
    sa.Column("type", sa.String(32), nullable=False),  # novnc | serial
    sa.Column("verb", sa.String(32), nullable=False),  # of the agent, which names the socket
    sa.Column("expires_at", Time, nullable=False),
    sa.Index("ix_console_tokens_expires_at", "expires_at"),
)
