"""What Identity keeps."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Time, metadata

ROOT = ""  # the domain of what is in none (domains, global roles): NULLs would escape unique constraints


def _id(name: str = "id", **options) -> sa.Column:
    return sa.Column(name, sa.String(64), primary_key=True, **options)


def _extra() -> sa.Column:
    return sa.Column("extra", sa.JSON, nullable=False)  # fields of the client's own, kept and given back


# A domain is a project too, as in OpenStack: whatever names a project or a domain names a row of one table.
projects = sa.Table(
    "identity_projects",
    metadata,
    _id(),
    sa.Column("domain_id", sa.String(64), nullable=False),  # ROOT for a domain
    sa.Column("parent_id", sa.String(64), sa.ForeignKey("identity_projects.id")),  # None for a domain
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("is_domain", sa.Boolean, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False, default=0),  # raised to end all tokens of the project
    _extra(),
    sa.UniqueConstraint("domain_id", "name"),
    sa.Index("ix_identity_projects_parent_id", "parent_id"),
)

users = sa.Table(
    "identity_users",
    metadata,
    _id(),
    sa.Column("domain_id", sa.String(64), sa.ForeignKey("identity_projects.id"), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("default_project_id", sa.String(64)),
    sa.Column("password_hash", sa.String(255)),  # argon2id; None: cannot log in by password
    sa.Column("password_created_at", Time),
    sa.Column("password_expires_at", Time),
    sa.Column("failed_count", sa.Integer, nullable=False, default=0, server_default="0"),  # logins, in a row
    sa.Column("failed_at", Time),
    sa.Column("last_active_at", Time),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False, default=0),  # raised to end all tokens of the user
    _extra(),
    sa.UniqueConstraint("domain_id", "name"),
)

groups = sa.Table(
    "identity_groups",
    metadata,
    _id(),
    sa.Column("domain_id", sa.String(64), sa.ForeignKey("identity_projects.id"), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    _extra(),
    sa.UniqueConstraint("domain_id", "name"),
)

members = sa.Table(
    "identity_group_members",
    metadata,
    sa.Column("user_id", sa.String(64), sa.ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("group_id", sa.String(64), sa.ForeignKey(groups.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Index("ix_identity_group_members_group_id", "group_id"),
)

roles = sa.Table(
    "identity_roles",
    metadata,
    _id(),
    sa.Column("domain_id", sa.String(64), nullable=False),  # ROOT: of the whole cloud
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("options", sa.JSON, nullable=False),
    _extra(),
    sa.UniqueConstraint("domain_id", "name"),
)

implied = sa.Table(
    "identity_implied_roles",
    metadata,
    sa.Column("prior_id", sa.String(64), sa.ForeignKey(roles.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("implied_id", sa.String(64), sa.ForeignKey(roles.c.id, ondelete="CASCADE"), primary_key=True),
)

# Roles that hold in all projects below a project or domain, and not in it itself.
inherited_assignments = sa.Table(
    "identity_inherited_assignments",
    metadata,
    sa.Column("actor_type", sa.String(8), primary_key=True),  # user | group
    sa.Column("actor_id", sa.String(64), primary_key=True),
    sa.Column("target_type", sa.String(8), primary_key=True),  # project | domain
    sa.Column("target_id", sa.String(64), primary_key=True),
    sa.Column("role_id", sa.String(64), sa.ForeignKey(roles.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Index("ix_identity_inherited_assignments_target_id", "target_id"),
)

assignments = sa.Table(
    "identity_assignments",
    metadata,
    sa.Column("actor_type", sa.String(8), primary_key=True),  # user | group
    sa.Column("actor_id", sa.String(64), primary_key=True),
    sa.Column("target_type", sa.String(8), primary_key=True),  # project | domain | system
    sa.Column("target_id", sa.String(64), primary_key=True),  # "all" for the system
    sa.Column("role_id", sa.String(64), sa.ForeignKey(roles.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Index("ix_identity_assignments_target", "target_type", "target_id"),
)

services = sa.Table(
    "identity_services",
    metadata,
    _id(),
    sa.Column("type", sa.String(255), nullable=False),
    sa.Column("name", sa.String(255)),
    sa.Column("description", sa.Text),
    sa.Column("enabled", sa.Boolean, nullable=False),
    _extra(),
)

regions = sa.Table(
    "identity_regions",
    metadata,
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("parent_region_id", sa.String(255), sa.ForeignKey("identity_regions.id")),
    _extra(),
)

endpoints = sa.Table(
    "identity_endpoints",
    metadata,
    _id(),
    sa.Column("service_id", sa.String(64), sa.ForeignKey(services.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("region_id", sa.String(255), sa.ForeignKey(regions.c.id)),
    sa.Column("interface", sa.String(8), nullable=False),  # public | internal | admin
    sa.Column("url", sa.Text, nullable=False),  # a template: $(base_url)s, $(project_id)s
    sa.Column("enabled", sa.Boolean, nullable=False),
    _extra(),
    sa.Index("ix_identity_endpoints_service_id", "service_id"),
)

application_credentials = sa.Table(
    "identity_application_credentials",
    metadata,
    _id(),
    sa.Column("user_id", sa.String(64), sa.ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("project_id", sa.String(64), sa.ForeignKey(projects.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("secret_hash", sa.String(255), nullable=False),
    sa.Column("role_ids", sa.JSON, nullable=False),
    sa.Column("expires_at", Time),
    sa.Column("unrestricted", sa.Boolean, nullable=False),  # may it make further credentials?
    sa.Column("access_rule_ids", sa.JSON(none_as_null=True)),  # None: for every request
    sa.UniqueConstraint("user_id", "name"),
    sa.Index("ix_identity_application_credentials_project_id", "project_id"),
)

credentials = sa.Table(
    "identity_credentials",
    metadata,
    _id(),
    sa.Column("user_id", sa.String(64), sa.ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("project_id", sa.String(64)),
    sa.Column("type", sa.String(255), nullable=False),
    sa.Column("blob", sa.Text, nullable=False),  # encrypted
    sa.Column("access_digest", sa.String(64)),  # of an EC2 key, by which it is found
    _extra(),
    sa.UniqueConstraint("access_digest"),
    sa.Index("ix_identity_credentials_user_id", "user_id"),
)

revocations = sa.Table(
    "identity_revocations",
    metadata,
    sa.Column("audit_id", sa.String(32), primary_key=True),
    sa.Column("expires_at", Time, nullable=False),  # of the token: afterwards the row is needless
    sa.Index("ix_identity_revocations_expires_at", "expires_at"),
)

# One row, counted up on all controllers by whatever may change what a token means: what was found out about a
# token holds as long as the count stands still.
changes = sa.Table(
    "identity_changes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
)
