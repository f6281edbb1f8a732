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


def test_rows_outlive_the_migrations(db):
    """Also those that others refer to, of tables that SQLite has to make anew."""
    schema.migrate(db, "0001")
    old = sa.MetaData()
    with db.transaction() as tx:
        old.reflect(tx.connection)

        def add(name, **given):
            needed = [column for column in old.tables[name].columns if not column.nullable]
            values = {each.name: [] if isinstance(each.type, sa.JSON) else each.type.python_type() for each in needed}
            tx.execute(old.tables[name].insert().values({**values, **given}))

        add("networks", id="n")
        add("subnets", id="s", network_id="n")
        add("ports", id="p", network_id="n")
        add("port_addresses", subnet_id="s", port_id="p")
    schema.migrate(db)
    with db.read() as tx:
        for name in ("networks", "subnets", "ports", "port_addresses"):
            assert tx.scalar(sa.select(sa.func.count()).select_from(metadata.tables[name])) == 1
