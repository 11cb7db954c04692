"""Connections to the prediction log's database: SQLite in a file, or PostgreSQL by a DSN.

SQLite: a journal beside the file (WAL), synced at each commit. Versions before 3.51.3 can damage the file
when two connections write or checkpoint at the same moment, so whoever writes holds a file lock: the
drainer, and a `plumbline log prune` beside it. Readers open the file read-only and never checkpoint.

PostgreSQL: every wait has an end, there are no prepared statements (a pooler may stand between), and a
commit is on disk when it returns.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    StatementError,
)

from service.errors import SettingsError, StoreError, StoreRefusedError, StoreUnavailableError, one_line
from service.prediction_log.write_lock import WriteLock

STATEMENT_SECONDS = 30.0
"""Longest statement on PostgreSQL, and longest wait for the other writer of an SQLite file."""
_BUSY_SECONDS = 5.0
# A writer that was stopped, or whose host is gone, holds up the others for no longer.
_IDLE_SECONDS = 60.0
# Beyond the statement's own limit, which a server that hangs does not keep.
_ANSWER_SECONDS = 5.0
_WAL_BYTES = 64 * 1024 * 1024
_POSTGRESQL_WAITS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "plumbline",
}
_ONE_CONNECTION: dict[str, Any] = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
# Not for the session: a pooler would hand it on.
_FOR_THIS_TRANSACTION = """
SELECT set_config('statement_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)
"""
_DSN_FORM = "postgresql://user:password@host:5432/database"


class Database:
    """One database, with at most one connection; for one thread.

    Args:
        target: path of an SQLite file, or the DSN of a PostgreSQL database.
        read_only: True: an SQLite file must exist, and nothing is written.
        timeout_seconds: longest statement.

    Raises:
        SettingsError: the DSN cannot be read; the text does not repeat it.
    """

    def __init__(
        self, target: Path | str, *, read_only: bool, timeout_seconds: float = STATEMENT_SECONDS
    ) -> None:
        self.is_sqlite = isinstance(target, Path)
        self._timeout_seconds = timeout_seconds
        self._lock: WriteLock | None = None
        self._secrets: list[str] = []
        if isinstance(target, Path):
            self.name = str(target)
            self._engine = _sqlite_engine(target, read_only, timeout_seconds)
            if not read_only:
                self._lock = WriteLock(target.with_name(f"{target.name}.lock"))
        else:
            url = postgresql_url(target)
            self.name = f"PostgreSQL at {_place(url)}"
            self._secrets = _secrets(url)
            self._engine = _postgresql_engine(url, read_only, timeout_seconds)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run one transaction; it is rolled back on any exception.

        Raises:
            StoreUnavailableError: the database does not answer.
            StoreRefusedError: it refuses what was written.
        """
        with self._errors(), self._write_lock(), self._engine.begin() as connection:
            if not self.is_sqlite:
                waits = (str(int(self._timeout_seconds * 1000)), str(int(_IDLE_SECONDS * 1000)))
                connection.exec_driver_sql(_FOR_THIS_TRANSACTION, waits)
            yield connection

    def cut_free_pages(self, pages: int) -> bool:
        """Make an SQLite file smaller, by at most so many pages; tell whether it had free ones.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        with self._errors(), self._write_lock():
            raw = self._engine.raw_connection()
            try:
                connection = raw.driver_connection
                assert isinstance(connection, sqlite3.Connection)
                if not connection.execute("PRAGMA freelist_count").fetchone()[0]:
                    return False
                # As a script: a single statement is run for its first row, which is one page.
                connection.executescript(f"PRAGMA incremental_vacuum({pages})")
                return True
            except sqlite3.Error as error:
                raise StoreUnavailableError(f"{self.name}: {one_line(error)}") from error
            finally:
                raw.close()

    def close(self) -> None:
        """Close the connection; the last one of an SQLite file moves its journal into the file."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(StoreUnavailableError):
                stack.enter_context(self._write_lock())
            self._engine.dispose()
        if self._lock is not None:
            self._lock.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # From None: the text of the cause may hold values of a row.
            raise self._translated(error) from None
        except StatementError as error:
            # SQLAlchemy's own complaint of a value, before the driver saw it.
            raise StoreRefusedError(f"{self.name} refuses a row: {type(error.orig).__name__}") from None

    def _translated(self, error: DBAPIError) -> StoreError:
        original = error.orig
        assert isinstance(original, Exception)
        if not error.connection_invalidated and _is_about_a_row(error, original):
            state = getattr(original, "sqlstate", None)
            # PostgreSQL's texts repeat values; the name of the error says what is wrong with them.
            detail = (
                f"{type(original).__name__} {state or ''}".strip() if not self.is_sqlite else str(original)
            )
            return StoreRefusedError(f"{self.name} refuses a row: {detail}")
        detail = one_line(original)
        for secret in self._secrets:
            detail = detail.replace(secret, "***")
        return StoreUnavailableError(f"{self.name}: {detail}")

    @contextlib.contextmanager
    def _write_lock(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        self._lock.acquire(STATEMENT_SECONDS)
        try:
            yield
        finally:
            self._lock.release()


def _sqlite_engine(path: Path, read_only: bool, timeout_seconds: float) -> Engine:
    address = f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rwc'}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            address,
            uri=True,
            timeout=min(timeout_seconds, _BUSY_SECONDS),
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if not read_only:
                # The first only counts before there is a table, the second before the journal.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, hide_parameters=True, **_ONE_CONNECTION)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def postgresql_url(dsn: str) -> URL:
    """Read a DSN.

    Raises:
        SettingsError: it is none; the text does not repeat it.
    """
    try:
        url = make_url(dsn.strip())
    except (ArgumentError, ValueError):
        url = None
    # A password with a bare @ in it: its end would be taken for the host, and be shown as such.
    is_cut = url is not None and "@" in (url.host or "")
    if url is None or is_cut or url.drivername not in {"postgresql", "postgres"}:
        raise SettingsError(f"the DSN of the prediction log cannot be read; its form is {_DSN_FORM}")
    return url.set(drivername="postgresql+psycopg")


def _postgresql_engine(url: URL, read_only: bool, timeout_seconds: float) -> Engine:
    from service.prediction_log.bounded_connection import BoundedConnection  # noqa: PLC0415 - see there

    waits: dict[str, Any] = {
        name: value for name, value in _POSTGRESQL_WAITS.items() if name not in url.query
    }
    if not read_only and "target_session_attrs" not in url.query:
        waits["target_session_attrs"] = "read-write"
    engine = create_engine(
        url,
        connect_args={**waits, "prepare_threshold": None},
        hide_parameters=True,
        **_ONE_CONNECTION,
    )

    @event.listens_for(engine, "do_connect")
    def connect(_: object, __: object, arguments: Any, options: Any) -> BoundedConnection:
        connection = BoundedConnection.connect(*arguments, **options)
        connection.answer_seconds = timeout_seconds + _ANSWER_SECONDS
        return connection

    # A reader sees one moment, whatever it asks.
    level = "REPEATABLE READ" if read_only else "READ COMMITTED"
    return engine.execution_options(isolation_level=level, postgresql_readonly=read_only)


def _place(url: URL) -> str:
    host = url.host or ",".join(url.normalized_query.get("host", ())) or "the local socket"
    return f"{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def _secrets(url: URL) -> list[str]:
    found = [
        url.password,
        *url.normalized_query.get("password", ()),
        *url.normalized_query.get("sslpassword", ()),
    ]
    return [str(secret) for secret in found if secret]


def _is_about_a_row(error: DBAPIError, original: Exception) -> bool:
    if error.statement is None:
        return False  # there is not even a connection
    if isinstance(error, DataError | IntegrityError):
        return True
    # The drivers' own complaint of a value that they cannot write; PostgreSQL's complaints have a state.
    is_binding = isinstance(error, ProgrammingError) and getattr(original, "sqlstate", None) is None
    return is_binding or "binding parameter" in str(original)
