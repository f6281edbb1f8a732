"""The database: one transaction a request, named locks, and after-commit calls.

SQLite (WAL) in the embedded cloud, PostgreSQL in a cluster. Nothing may rest on SQLite's single writer:
whatever must not happen twice is kept apart by a constraint, a conditional UPDATE, or `Tx.lock`.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles

from pilvi.engine.clock import Clock

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Time = sa.BigInteger  # microseconds since 1970, UTC


def on_constraint(error: sa.exc.IntegrityError, name: str, *columns: str) -> bool:
    """Was it this unique constraint? PostgreSQL names the constraint, SQLite its columns ("table.column")."""
    text = str(error.orig)
    return name in text or (bool(columns) and all(column in text for column in columns))


class _Texts(sa.types.TypeDecorator):
    """A list of texts as one parameter."""

    impl, cache_ok = sa.Text, True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return dialect.type_descriptor(postgresql.ARRAY(sa.Text) if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return list(value) if dialect.name == "postgresql" else msgspec.json.encode(list(value)).decode()


class one_of(sa.sql.functions.FunctionElement):
    """`one_of(column, "ids")`: the column is one of the texts in the parameter `ids`, however many these are.

    Unlike IN it is one parameter, so the statement's text stays the same: it is built and parsed once, and no
    database bounds the number of values."""

    type = sa.types.NullType()  # not Boolean, which SQLite would be asked to compare with 1: without an index
    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any], name: str):
        super().__init__(column, sa.bindparam(name, type_=_Texts()))


@compiles(one_of, "sqlite")
def _one_of_sqlite(element: one_of, compiler: Any, **options: Any) -> str:
    column, texts = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({texts}))"


@compiles(one_of, "postgresql")
def _one_of_postgresql(element: one_of, compiler: Any, **options: Any) -> str:
    column, texts = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} = ANY ({texts})"


def plain(name: str, columns: Iterable[sa.ColumnElement[Any]]) -> type:
    """A class for rows of these columns whose attributes are found ten times as fast as those of SQLAlchemy's rows,
    which a long list is asked for tens of thousands of times: `plain("Port", table.c)(*row)`."""
    return msgspec.defstruct(name, [str(column.name) for column in columns], gc=False)


def as_text(column: sa.Column[Any]) -> sa.ColumnElement[str | None]:
    """A JSON column as the text that is kept, for answers that show it as it is: nothing is decoded to be encoded."""
    return sa.cast(column, sa.Text).label(column.name)


class Tx:
    """One transaction. `now` is its moment: every time it writes."""

    __slots__ = ("_after", "_postgresql", "connection", "now")

    def __init__(self, connection: sa.Connection, now: int, postgresql: bool):
        self.connection = connection
        self.now = now
        self._postgresql = postgresql
        self._after: list[Callable[[], None]] = []

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult:
        return self.connection.execute(statement, parameters)

    def one(self, statement: sa.Executable, parameters: Any = None) -> sa.Row | None:
        """The first row, or None."""
        return self.connection.execute(statement, parameters).first()

    def all(self, statement: sa.Executable, parameters: Any = None) -> Sequence[sa.Row]:
        return self.connection.execute(statement, parameters).fetchall()

    def scalar(self, statement: sa.Executable, parameters: Any = None) -> Any:
        return self.connection.execute(statement, parameters).scalar()

    def lock(self, *name: str) -> None:
        """Waits until no other transaction holds this name; held until the end of this transaction.

        SQLite's write transactions exclude each other as it is. Take names in one order everywhere:
        quota, then placement, then network."""
        if self._postgresql:
            digest = hashlib.blake2b("/".join(name).encode(), digest_size=8).digest()
            self.connection.execute(
                sa.select(sa.func.pg_advisory_xact_lock(int.from_bytes(digest, "big", signed=True)))
            )

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Called once the transaction is durable; not called when it is rolled back."""
        self._after.append(callback)

    def committed(self) -> None:
        for callback in self._after:
            callback()


class Database:
    """`url` is SQLAlchemy's: sqlite:////path/to/pilvi.db, postgresql+psycopg://user@host/name."""

    def __init__(self, url: str, clock: Clock, connections: int = 48):
        self.url, self._clock = url, clock
        self.postgresql = url.startswith("postgresql")
        options: dict[str, Any] = {
            "pool_size": connections,
            "max_overflow": 0,
            "json_deserializer": msgspec.json.decode,
        }
        if not self.postgresql:
            options["connect_args"] = {"timeout": 30, "check_same_thread": False}
        self.engine = sa.create_engine(url, **options)
        # Writers of one process queue here, in order, instead of polling SQLite's file lock.
        self._writer: contextlib.AbstractContextManager = (
            contextlib.nullcontext() if self.postgresql else threading.Lock()
        )
        if not self.postgresql:
            event.listen(self.engine, "connect", _sqlite_connect)
        # Connections between two transactions, None for one not opened yet. Taking one out of SQLAlchemy's pool and
        # putting it back costs more than a query; the one used last comes first, since its caches are warm.
        self._free: queue.LifoQueue[sa.Connection | None] = queue.LifoQueue()
        for _ in range(connections):
            self._free.put(None)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Tx]:
        """A transaction that writes; commits at the end, rolls back when an exception leaves it."""
        with self._writer, self._connection("READ COMMITTED", "BEGIN IMMEDIATE") as connection:
            tx = Tx(connection, self._clock.now(), self.postgresql)
            yield tx
            connection.commit()
        tx.committed()

    @contextlib.contextmanager
    def read(self) -> Iterator[Tx]:
        """A transaction that only reads: one consistent view, and no writer waits for it."""
        # PostgreSQL's own way is a new view for each statement.
        with self._connection("REPEATABLE READ", "BEGIN") as connection:
            yield Tx(connection, self._clock.now(), self.postgresql)

    @contextlib.contextmanager
    def _connection(self, isolation: str, begin: str) -> Iterator[sa.Connection]:
        """A connection in a transaction, which is rolled back unless it was committed.

        `isolation` is PostgreSQL's, `begin` SQLite's statement."""
        connection = self._free.get()
        try:
            if connection is None:
                connection = self.engine.connect()
            if self.postgresql:
                connection.execution_options(isolation_level=isolation)
            connection.begin()
            try:
                if not self.postgresql:
                    connection.connection.dbapi_connection.execute(begin)
                yield connection
            finally:
                connection.rollback()
        except sa.exc.SQLAlchemyError as error:
            if connection is not None:  # it may be broken, which SQLAlchemy's pool finds out
                connection.close()
                connection = None
            if getattr(error, "connection_invalidated", False):  # and so are the others
                self._close_free()
            raise
        finally:
            self._free.put(connection)

    def _close_free(self) -> None:
        taken = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._free.get_nowait())
        for connection in taken:
            if connection is not None:
                connection.close()
            self._free.put(None)

    @contextlib.contextmanager
    def counting(self, threads: str = "") -> Iterator[list[str]]:
        """Collects the statements that are executed meanwhile, for tests that bound them.

        `threads`: only by those whose names begin so."""
        seen: list[str] = []

        def note(_connection, _cursor, statement, *_rest):
            ours = threading.current_thread().name.startswith(threads)
            if ours and not statement.startswith(("BEGIN", "PRAGMA")):
                seen.append(statement)

        event.listen(self.engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(self.engine, "before_cursor_execute", note)

    def close(self) -> None:
        self._close_free()
        self.engine.dispose()


def _sqlite_connect(connection, _record) -> None:
    connection.isolation_level = None  # transactions are begun by us
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-8000")
    cursor.close()
