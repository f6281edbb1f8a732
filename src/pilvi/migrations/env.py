"""Alembic's entry: runs on the connection that `pilvi.schema` hands over."""

from alembic import context

from pilvi import schema
from pilvi.db import metadata

assert schema

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
