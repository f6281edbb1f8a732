"""What Image keeps; the data lies in files beside the database, named by `data`."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Time, metadata

images = sa.Table(
    "images",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("owner", sa.String(255)),
    sa.Column("name", sa.String(255)),
    sa.Column("status", sa.String(16), nullable=False),  # queued saving uploading active deactivated killed
    sa.Column("visibility", sa.String(16), nullable=False),  # public private shared community
    sa.Column("protected", sa.Boolean, nullable=False),
    sa.Column("os_hidden", sa.Boolean, nullable=False),
    sa.Column("disk_format", sa.String(16)),
    sa.Column("container_format", sa.String(16)),
    sa.Column("min_disk", sa.Integer, nullable=False),  # GiB
    sa.Column("min_ram", sa.Integer, nullable=False),  # MiB
    sa.Column("size", sa.BigInteger),  # of the file, bytes
    sa.Column("virtual_size", sa.BigInteger),  # of the disk that a guest sees, bytes
    sa.Column("checksum", sa.String(32)),  # MD5; with os_hash_value None until the data has been hashed
    sa.Column("os_hash_algo", sa.String(16)),
    sa.Column("os_hash_value", sa.String(128)),
    sa.Column("data", sa.String(36)),  # name of the file with the data, in every store that has it
    sa.Column("upload_id", sa.String(36)),  # the upload under way, and the name of its file
    sa.Column("upload_until", Time),  # when that upload counts as dead, unless renewed before
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Index("ix_images_owner", "owner"),
    sa.Index("ix_images_visibility", "visibility", "created_at"),
    sa.Index("ix_images_created_at", "created_at", "id"),
)

properties = sa.Table(
    "image_properties",
    metadata,
    sa.Column("image_id", sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

tags = sa.Table(
    "image_tags",
    metadata,
    sa.Column("image_id", sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("tag", sa.String(255), primary_key=True),
)

members = sa.Table(
    "image_members",
    metadata,
    sa.Column("image_id", sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("member_id", sa.String(64), primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),  # pending accepted rejected
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Index("ix_image_members_member_id", "member_id", "status"),
)

locations = sa.Table(
    "image_locations",
    metadata,
    sa.Column("image_id", sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # their order
    sa.Column("store", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),  # active, staged (to be imported), copying
    sa.Column("url", sa.Text),  # of data on a web server; None: in the store's file named by the image's `data`
    sa.Column("meta", sa.JSON, nullable=False),
)

tasks = sa.Table(
    "image_tasks",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("type", sa.String(32), nullable=False),  # import api_image_import location_import
    sa.Column("status", sa.String(16), nullable=False),  # pending processing success failure
    sa.Column("owner", sa.String(64)),
    sa.Column("user_id", sa.String(64)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("image_id", sa.String(36)),
    sa.Column("input", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("expires_at", Time),  # once it has ended
    sa.Index("ix_image_tasks_image_id", "image_id"),
    sa.Index("ix_image_tasks_created_at", "created_at", "id"),
)

cache = sa.Table(
    "image_cache",
    metadata,
    sa.Column("image_id", sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),  # queued cached
    sa.Column("size", sa.BigInteger),  # bytes
    sa.Column("hits", sa.Integer, nullable=False),
    sa.Column("queued_at", Time, nullable=False),
    sa.Column("modified_at", Time),
    sa.Column("accessed_at", Time),
)

namespaces = sa.Table(
    "metadef_namespaces",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("namespace", sa.String(80), nullable=False, unique=True),
    sa.Column("display_name", sa.String(80)),
    sa.Column("description", sa.Text),
    sa.Column("visibility", sa.String(16), nullable=False),  # public private
    sa.Column("protected", sa.Boolean, nullable=False),
    sa.Column("owner", sa.String(255)),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
)

definitions = sa.Table(
    "metadef_definitions",
    metadata,
    sa.Column("namespace_id", sa.ForeignKey("metadef_namespaces.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),  # object property tag resource_type
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("body", sa.JSON, nullable=False),  # what the API shows of it beside name and times
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
)

resource_types = sa.Table(
    "metadef_resource_types",
    metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
)
