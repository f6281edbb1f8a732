"""What operators register: policies of services, limits, who gets which endpoints, configuration of domains,
and other clouds to trust."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import metadata
from pilvi.identity.tables import endpoints, projects, regions, services


def _id() -> sa.Column:
    return sa.Column("id", sa.String(64), primary_key=True)


def _reference(name: str, table: sa.Table, *, primary_key: bool = False, nullable: bool = False) -> sa.Column:
    key = sa.ForeignKey(table.c.id, ondelete="CASCADE")
    return sa.Column(
        name, sa.String(255 if table is regions else 64), key, primary_key=primary_key, nullable=nullable
    )


def _extra() -> sa.Column:
    return sa.Column("extra", sa.JSON, nullable=False)


# Policies, of which Keystone, too, only knows which is meant for which endpoints

policies = sa.Table(
    "identity_policies",
    metadata,
    _id(),
    sa.Column("type", sa.String(255), nullable=False),
    sa.Column("blob", sa.Text, nullable=False),
    _extra(),
)

policy_associations = sa.Table(
    "identity_policy_associations",
    metadata,
    sa.Column("place", sa.String(400), primary_key=True),  # what it is for: one policy for each
    _reference("policy_id", policies),
    _reference("endpoint_id", endpoints, nullable=True),
    _reference("service_id", services, nullable=True),
    _reference("region_id", regions, nullable=True),  # only together with a service
    sa.Index("ix_identity_policy_associations_policy_id", "policy_id"),
)

# Endpoints that only some projects see

endpoint_groups = sa.Table(
    "identity_endpoint_groups",
    metadata,
    _id(),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("filters", sa.JSON, nullable=False),  # columns of endpoints, with their values
)

project_endpoints = sa.Table(
    "identity_project_endpoints",
    metadata,
    _reference("project_id", projects, primary_key=True),
    _reference("endpoint_id", endpoints, primary_key=True),
)

project_endpoint_groups = sa.Table(
    "identity_project_endpoint_groups",
    metadata,
    _reference("project_id", projects, primary_key=True),
    _reference("endpoint_group_id", endpoint_groups, primary_key=True),
)

# Limits: what all projects may have of a resource, and what one may

registered_limits = sa.Table(
    "identity_registered_limits",
    metadata,
    _id(),
    _reference("service_id", services),
    _reference("region_id", regions, nullable=True),
    sa.Column("resource_name", sa.String(255), nullable=False),
    sa.Column("default_limit", sa.BigInteger, nullable=False),
    sa.Column("description", sa.Text),
    sa.Index("ix_identity_registered_limits_service_id", "service_id"),
)

limits = sa.Table(
    "identity_limits",
    metadata,
    _id(),
    _reference("registered_limit_id", registered_limits),
    _reference("project_id", projects, nullable=True),  # of one of these two
    _reference("domain_id", projects, nullable=True),
    sa.Column("resource_limit", sa.BigInteger, nullable=False),
    sa.Column("description", sa.Text),
    sa.Index("ix_identity_limits_registered_limit_id", "registered_limit_id"),
)

# Configuration of a domain

domain_options = sa.Table(
    "identity_domain_options",
    metadata,
    _reference("domain_id", projects, primary_key=True),
    sa.Column("group", sa.String(64), primary_key=True),
    sa.Column("option", sa.String(64), primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
)

# Federation: other clouds, and what their users are here

identity_providers = sa.Table(
    "identity_providers",
    metadata,
    _id(),
    _reference("domain_id", projects),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("remote_ids", sa.JSON, nullable=False),
    sa.Column("authorization_ttl", sa.Integer),  # minutes
    sa.Index("ix_identity_providers_domain_id", "domain_id"),
)

mappings = sa.Table(
    "identity_mappings",
    metadata,
    _id(),
    sa.Column("rules", sa.JSON, nullable=False),
    sa.Column("schema_version", sa.String(5), nullable=False),
)

protocols = sa.Table(
    "identity_protocols",
    metadata,
    _id(),
    _reference("idp_id", identity_providers, primary_key=True),
    sa.Column("mapping_id", sa.String(64), sa.ForeignKey(mappings.c.id), nullable=False),
    sa.Column("remote_id_attribute", sa.String(64)),
)

service_providers = sa.Table(
    "identity_service_providers",
    metadata,
    _id(),
    sa.Column("auth_url", sa.String(256), nullable=False),
    sa.Column("sp_url", sa.String(256), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("relay_state_prefix", sa.String(256), nullable=False),
)
