"""What the migrations make is what the tables say, and a start on an older schema migrates it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pilvi import schema
from pilvi.db import Database, metadata
from pilvi.engine.clock import SystemClock


@pytest.fixture
def db(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'db'}", SystemClock())
    yield database
    database.close()


def differences(db):
    with db.engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), metadata)


def test_the_migrations_make_the_tables(db):
    schema.migrate(db)
    assert differences(db) == []


def test_a_first_start_needs_no_migration(db, monkeypatch):
    monkeypatch.setattr(schema, "migrate", lambda db: pytest.fail("nothing is older than this"))
    schema.ensure(db)
    schema.ensure(db)
    assert differences(db) == []


def test_an_older_schema_is_migrated(db, monkeypatch):
    schema.ensure(db)
    with db.transaction() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    migrated = []
    monkeypatch.setattr(schema, "migrate", migrated.append)
    schema.ensure(db)
    assert migrated == [db]
