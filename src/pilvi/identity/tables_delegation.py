"""What Identity keeps of rights that are passed on, of passwords that were, and of tokens that ended."""

from __future__ import annotations

import sqlalchemy as sa

from pilvi.db import Time, metadata
from pilvi.identity.tables import projects, users


def _id(name: str = "id") -> sa.Column:
    return sa.Column(name, sa.String(64), primary_key=True)


def _of(name: str, column: sa.Column, **options) -> sa.Column:
    """Goes with what it refers to."""
    return sa.Column(name, sa.String(64), sa.ForeignKey(column, ondelete="CASCADE"), **options)


trusts = sa.Table(
    "identity_trusts",
    metadata,
    _id(),
    _of("trustor_id", users.c.id, nullable=False),
    _of("trustee_id", users.c.id, nullable=False),
    _of("origin_id", users.c.id, nullable=False),  # whose roles they are: the first trustor of a chain
    _of("project_id", projects.c.id),
    sa.Column("impersonation", sa.Boolean, nullable=False),
    sa.Column("role_ids", sa.JSON, nullable=False),
    sa.Column("expires_at", Time),
    sa.Column("remaining_uses", sa.Integer),
    sa.Column("redelegation_count", sa.Integer, nullable=False),
    sa.Column("parent_id", sa.String(64), sa.ForeignKey("identity_trusts.id", ondelete="CASCADE")),
    sa.Column("extra", sa.JSON, nullable=False),
    sa.Index("ix_identity_trusts_trustor_id", "trustor_id"),
    sa.Index("ix_identity_trusts_trustee_id", "trustee_id"),
)

access_rules = sa.Table(
    "identity_access_rules",
    metadata,
    _id(),
    _of("user_id", users.c.id, nullable=False),
    sa.Column("service", sa.String(64), nullable=False),
    sa.Column("method", sa.String(16), nullable=False),
    sa.Column("path", sa.String(128), nullable=False),
    sa.UniqueConstraint("user_id", "service", "method", "path"),
)

password_history = sa.Table(
    "identity_password_history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of("user_id", users.c.id, nullable=False),
    sa.Column("password_hash", sa.String(255), nullable=False),
    sa.Index("ix_identity_password_history_user_id", "user_id"),
)

consumers = sa.Table(
    "identity_consumers",
    metadata,
    _id(),
    sa.Column("description", sa.Text),
    sa.Column("secret", sa.Text, nullable=False),  # encrypted: signatures are made with it
    sa.Column("extra", sa.JSON, nullable=False),
)

request_tokens = sa.Table(
    "identity_request_tokens",
    metadata,
    _id(),
    _of("consumer_id", consumers.c.id, nullable=False),
    _of("project_id", projects.c.id, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    _of("user_id", users.c.id),  # who authorised it; None: nobody has
    sa.Column("role_ids", sa.JSON, nullable=False),
    sa.Column("verifier", sa.String(64)),
)

access_tokens = sa.Table(
    "identity_access_tokens",
    metadata,
    _id(),
    _of("consumer_id", consumers.c.id, nullable=False),
    _of("project_id", projects.c.id, nullable=False),
    _of("user_id", users.c.id, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("role_ids", sa.JSON, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Index("ix_identity_access_tokens_user_id", "user_id"),
)

# Signed requests that were answered: the same is not answered twice (RFC 5849, 3.3).
nonces = sa.Table(
    "identity_nonces",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),  # digest of who signed, when, and their nonce
    sa.Column("expires_at", Time, nullable=False),
    sa.Index("ix_identity_nonces_expires_at", "expires_at"),
)

# What ended tokens, for services that keep them validated for a while (OS-REVOKE). A column that is None
# says nothing about which tokens; all that was issued before `issued_before` and fits the others is over.
revocation_events = sa.Table(
    "identity_revocation_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("audit_id", sa.String(32)),
    sa.Column("user_id", sa.String(64)),
    sa.Column("project_id", sa.String(64)),
    sa.Column("domain_id", sa.String(64)),
    sa.Column("trust_id", sa.String(64)),
    sa.Column("consumer_id", sa.String(64)),
    sa.Column("access_token_id", sa.String(64)),
    sa.Column("issued_before", Time, nullable=False),
    sa.Column("revoked_at", Time, nullable=False),
    sa.Index("ix_identity_revocation_events_revoked_at", "revoked_at"),
)
