"""The database's schema: made at the first start, migrated (Alembic) when a newer Pilvi finds an older one."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from pilvi.db import Database, metadata
from pilvi.faults import ConfigurationError

# Importing a domain's tables puts them into the metadata.
from pilvi.compute import tables as _compute  # noqa: F401  isort: skip
from pilvi.compute import tables_aggregates as _aggregates  # noqa: F401  isort: skip
from pilvi.engine import tables as _engine  # noqa: F401  isort: skip
from pilvi.faces import oscloud as _oscloud  # noqa: F401  isort: skip
from pilvi.identity import tables as _identity  # noqa: F401  isort: skip
from pilvi.identity import tables_delegation as _delegation  # noqa: F401  isort: skip
from pilvi.identity import tables_registry as _registry  # noqa: F401  isort: skip
from pilvi.image import tables as _image  # noqa: F401  isort: skip
from pilvi.network import tables as _network  # noqa: F401  isort: skip
from pilvi.placement import tables as _placement  # noqa: F401  isort: skip
from pilvi.volume import tables as _volume  # noqa: F401  isort: skip

MIGRATIONS = Path(__file__).with_name("migrations")


def newest() -> str:
    """The revision that this Pilvi's tables are at: versions are files named by number."""
    return max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def ensure(db: Database) -> None:
    """Brings the database to this Pilvi's schema. Alembic is loaded only when there is something to migrate."""
    with db.transaction() as tx:
        tx.lock("schema")
        if not sa.inspect(tx.connection).has_table("alembic_version"):
            metadata.create_all(tx.connection)
            tx.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
            tx.execute(sa.text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": newest()})
            return
        found = tx.scalar(sa.text("SELECT version_num FROM alembic_version"))
    if found != newest():
        migrate(db)


def migrate(db: Database, revision: str = "head") -> None:
    """Raises ConfigurationError where rows would refer to nothing afterwards; then nothing is changed."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    # SQLite changes a table by making it anew, which those that refer to it must not hinder: an engine of its own,
    # on which SQLite does not hold them to it before the end.
    engine = db.engine if db.postgresql else sa.create_engine(db.engine.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if not db.postgresql and (broken := connection.execute(sa.text("PRAGMA foreign_key_check")).all()):
            raise ConfigurationError(f"The database's migration would leave rows that refer to nothing: {broken[:5]}.")
