"""Connections: settings, waits, errors. What needs a PostgreSQL is in tests/stack."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import bindparam, text, update

from service.errors import SettingsError, StoreRefusedError, StoreUnavailableError
from service.prediction_log import database as module
from service.prediction_log.database import Database
from service.prediction_log.schema import stored_days
from tests.service.prediction_log.logged_rows import log_predictions, opened, prediction_id, row


def pragma(database: Database, name: str) -> object:
    """Read a setting of the connection."""
    with database.transaction() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_file_survives_a_power_loss_and_can_shrink(tmp_path: Path) -> None:
    """Journal, sync at each commit, space given back: decided before the first table."""
    database = Database(tmp_path / "new" / "folder" / "log?#%.db", read_only=False)
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2
    assert pragma(database, "auto_vacuum") == 2
    assert pragma(database, "busy_timeout") == 5000
    database.close()
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {"log?#%.db", "log?#%.db.lock"}


def test_reader_cannot_write(tmp_path: Path) -> None:
    """Nor make a file, nor move the journal into it."""
    path = tmp_path / "predictions.db"
    with (
        pytest.raises(StoreUnavailableError, match="unable to open"),
        Database(path, read_only=True).transaction(),
    ):
        pass
    assert not list(tmp_path.iterdir())
    with opened(path) as store:
        log_predictions(store, [row(prediction_id())])
        reader = Database(path, read_only=True)
        with reader.transaction() as connection:
            assert connection.scalar(text("SELECT count(*) FROM predictions")) == 1
        with pytest.raises(StoreUnavailableError, match="readonly"), reader.transaction() as connection:
            connection.execute(text("DELETE FROM predictions"))
        journal = path.with_name("predictions.db-wal").stat().st_size
        reader.close()
        assert path.with_name("predictions.db-wal").stat().st_size == journal > 0


def test_file_can_be_read_after_its_writer_was_killed(tmp_path: Path) -> None:
    """The journal is still there, and what it holds is read."""
    path = tmp_path / "predictions.db"
    with opened(path) as store:
        log_predictions(store, [row(prediction_id())])
        copies = {name: (tmp_path / name).read_bytes() for name in ("predictions.db", "predictions.db-wal")}
    killed = tmp_path / "killed"
    killed.mkdir()
    for name, content in copies.items():
        (killed / name).write_bytes(content)
    reader = Database(killed / "predictions.db", read_only=True)
    with reader.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM predictions")) == 1
    reader.close()


def test_one_process_writes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits; if that takes too long, it says who is in the way."""
    path = tmp_path / "predictions.db"
    with opened(path) as first, opened(path) as second:
        order: list[str] = []

        def write() -> None:
            with second.transaction():
                order.append("second")

        thread = threading.Thread(target=write)
        with first.transaction() as transaction:
            thread.start()
            transaction.insert_predictions([row(prediction_id())])
            thread.join(0.1)
            order.append("first")
        thread.join()
        assert order == ["first", "second"]
        monkeypatch.setattr(module, "STATEMENT_SECONDS", 0.05)
        with (
            first.transaction(),
            pytest.raises(StoreUnavailableError, match=r"predictions\.db\.lock: another process writes"),
            second.transaction(),
        ):
            pass
        with second.transaction():
            pass


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
def test_damaged_file_is_unavailable(tmp_path: Path, content: bytes) -> None:
    """No row is to blame, so none may be refused."""
    path = tmp_path / "predictions.db"
    path.write_bytes(content)
    with pytest.raises(StoreUnavailableError, match=r"predictions\.db: ") as raised, opened(path):
        pass
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["folder", "file/predictions.db"])
def test_path_that_is_no_file_is_unavailable(tmp_path: Path, name: str) -> None:
    """A folder in its place, or a file in place of its folder."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError, match=name.partition("/")[0]), opened(tmp_path / name):
        pass


def test_full_database_is_unavailable(tmp_path: Path) -> None:
    """It is tried again; what the transaction wrote is undone."""
    with opened(tmp_path / "predictions.db") as store:
        with pytest.raises(StoreUnavailableError, match="full"), store.transaction() as transaction:
            transaction.connection.exec_driver_sql("PRAGMA max_page_count = 20")
            transaction.insert_predictions([row(prediction_id(), features="x" * 4000) for _ in range(50)])
        with store.transaction() as transaction:
            assert not transaction.connection.scalar(text("SELECT count(*) FROM predictions"))


def test_broken_rule_of_a_table_is_a_refusal(tmp_path: Path) -> None:
    """Its text names the column, not the value."""
    with opened(tmp_path / "predictions.db") as store:
        with pytest.raises(StoreRefusedError) as raised, store.transaction() as transaction:
            transaction.connection.execute(
                text("INSERT INTO log_state (name, value) VALUES ('schema_version', 'secret')")
            )
        assert str(raised.value).endswith("refuses a row: UNIQUE constraint failed: log_state.name")


def test_value_that_sqlalchemy_refuses_is_a_refusal(tmp_path: Path) -> None:
    """Before the driver sees it."""
    with opened(tmp_path / "predictions.db") as store:
        with pytest.raises(StoreRefusedError) as raised, store.transaction() as transaction:
            transaction.connection.execute(update(stored_days).values(day=bindparam("missing")), {})
        assert str(raised.value).startswith(f"{tmp_path / 'predictions.db'} refuses a row: ")


def test_cause_is_not_shown(tmp_path: Path) -> None:
    """A traceback would hold the statement with its values."""
    with opened(tmp_path / "predictions.db") as store:
        with pytest.raises(StoreUnavailableError) as raised, store.transaction() as transaction:
            transaction.connection.execute(text("SELECT :value FROM nowhere"), {"value": "secret"})
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "predictions.db",
        "mysql://user:hunter2@host/database",
        "postgresql+asyncpg://user:hunter2@host/database",
        "postgresql://user:hunter2@host:port/database",
        "postgresql//user:hunter2@host/database",
        "host=db user=user password=hunter2",
        "postgresql://user:with@hunter2@host/database",
    ],
)
def test_wrong_dsn_is_not_repeated(dsn: str) -> None:
    """It may hold a password; the text shows the form."""
    with pytest.raises(SettingsError) as raised:
        Database(dsn, read_only=False)
    assert "hunter2" not in str(raised.value)
    assert "postgresql://user:password@host:5432/database" in str(raised.value)


@pytest.mark.parametrize(
    ("dsn", "name"),
    [
        (
            "postgresql://user:hunter2@db.example:6432/log?sslmode=require",
            "PostgreSQL at db.example:6432/log",
        ),
        ("postgres://user@db.example/log\n", "PostgreSQL at db.example/log"),
        ("postgresql://user@/log?host=/run/postgresql", "PostgreSQL at /run/postgresql/log"),
        ("postgresql://user@/log?host=a:1&host=b:2", "PostgreSQL at a:1,b:2/log"),
        ("postgresql:///log", "PostgreSQL at the local socket/log"),
    ],
)
def test_database_is_named_without_its_password(dsn: str, name: str) -> None:
    """Host and database are what a person needs."""
    database = Database(dsn, read_only=True)
    assert database.name == name
    database.close()


def test_wrong_option_of_an_address_is_no_refused_row() -> None:
    """The driver complains before there is a connection: the text says of what."""
    database = Database("postgresql://user:hunter2@127.0.0.1:1/log?sslmod=require", read_only=False)
    with pytest.raises(StoreUnavailableError, match="sslmod") as raised, database.transaction():
        pass
    assert "hunter2" not in str(raised.value)
    database.close()


def test_nobody_at_the_address() -> None:
    """Unavailable, in one line, without the password."""
    database = Database("postgresql://user:hunter2@127.0.0.1:9/log?connect_timeout=2", read_only=False)
    message = r"PostgreSQL at 127\.0\.0\.1:9/log: .*refused"
    with pytest.raises(StoreUnavailableError, match=message) as raised, database.transaction():
        pass
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)
    database.close()


def test_library_is_new_enough() -> None:
    """`RETURNING`, which pruning uses, came with 3.35."""
    assert sqlite3.sqlite_version_info >= (3, 35)
