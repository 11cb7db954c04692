"""The suites of the prediction log's database on a real PostgreSQL, and what only a server does: go away."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from operations.__main__ import main
from service.errors import StoreRefusedError, StoreSchemaError, StoreUnavailableError
from service.prediction_log.database import Database
from service.prediction_log.retention import prune
from service.prediction_log.store import Store
from tests.operations.log_suite import LogSuite
from tests.service.prediction_log.logged_rows import (
    DAY,
    NOON,
    SHELF,
    TREES,
    WRITER,
    counted,
    differences,
    log_predictions,
    many_ids,
    opened,
    post,
    prediction_id,
    reading,
    results,
    row,
    truth,
)
from tests.service.prediction_log.reader_suite import ReaderSuite
from tests.service.prediction_log.retention_suite import BY_AGE, RetentionSuite
from tests.service.prediction_log.statements_suite import StatementsSuite
from tests.service.prediction_log.store_suite import ConsistencySuite, StoreSuite
from tests.service.prediction_log.transaction_suite import TransactionSuite
from tests.stack.postgres import PostgresServer, running_postgres


@pytest.fixture
def target(postgres: PostgresServer) -> Path | str:
    """Make an empty database and give its address."""
    return postgres.create_database()


@pytest.fixture
def mortal() -> Iterator[PostgresServer]:
    """Run a server that a test may kill."""
    with running_postgres() as server:
        yield server


def run_together(acts: Sequence[Callable[[], None]]) -> None:
    """Run functions in threads of their own; raise what one of them raised."""
    with ThreadPoolExecutor(len(acts)) as threads:
        for each in [threads.submit(act) for act in acts]:
            each.result()


class TestTransaction(TransactionSuite):
    """On PostgreSQL."""


class TestStore(StoreSuite):
    """On PostgreSQL."""


class TestConsistency(ConsistencySuite):
    """On PostgreSQL."""


class TestRetention(RetentionSuite):
    """On PostgreSQL."""


class TestReader(ReaderSuite):
    """On PostgreSQL."""


class TestStatements(StatementsSuite):
    """On PostgreSQL."""


class TestLog(LogSuite):
    """The commands, on PostgreSQL."""


def test_commands_say_that_the_server_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the address, without the password."""
    (tmp_path / "dsn").write_text("postgresql://user:hunter2@127.0.0.1:9/log?connect_timeout=2")
    monkeypatch.setenv("PLUMBLINE_LOG_DSN_FILE", str(tmp_path / "dsn"))
    monkeypatch.setenv("PLUMBLINE_ID_KEY_FILE", str(tmp_path / "keys"))
    assert main(["log", "query"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("plumbline log: PostgreSQL at 127.0.0.1:9/log: ")
    assert "hunter2" not in message
    assert message.count("\n") == 1


def test_waits_have_an_end(target: str) -> None:
    """Statements end, commits are on disk even where the server's default says otherwise."""
    with psycopg.connect(target, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode())
    database = Database(target, read_only=False, timeout_seconds=0.2)
    with database.transaction() as transaction:
        assert transaction.scalar(text("SHOW synchronous_commit")) == "on"
        assert transaction.scalar(text("SHOW transaction_isolation")) == "read committed"
        assert transaction.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
    with (
        pytest.raises(StoreUnavailableError, match="statement timeout"),
        database.transaction() as transaction,
    ):
        transaction.execute(text("SELECT pg_sleep(20)"))
    with database.transaction() as transaction:
        assert transaction.scalar(text("SELECT 1")) == 1
    database.close()


def test_reader_sees_one_moment(target: str) -> None:
    """And cannot write."""
    with opened(target), reading(target) as reader:
        with reader.database.transaction() as transaction:
            assert transaction.scalar(text("SHOW transaction_isolation")) == "repeatable read"
        with (
            pytest.raises(StoreUnavailableError, match="read-only"),
            reader.database.transaction() as transaction,
        ):
            transaction.execute(text("DELETE FROM predictions"))


def test_tables_are_made_once_by_two_that_start_at_once(postgres: PostgresServer) -> None:
    """The second waits for the first."""
    barrier = threading.Barrier(4)

    def start(target: str) -> None:
        barrier.wait(30)
        Store.open(target).close()

    for _ in range(5):
        run_together([partial(start, postgres.create_database())] * 4)


def test_wrong_password_is_not_repeated(postgres: PostgresServer) -> None:
    """One line that names server and user."""
    wrong = postgres.dsn().replace(postgres.password, "wrong-hunter2")
    with pytest.raises(StoreUnavailableError, match="password authentication failed") as raised:
        Store.open(wrong)
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_values_of_a_refused_row_are_not_repeated(target: str) -> None:
    """The server would tell the whole row."""
    with opened(target) as store:
        with pytest.raises(StoreRefusedError) as raised, store.transaction() as transaction:
            transaction.insert_predictions([row(prediction_id(), features="secret", request_id=None)])
        assert str(raised.value).endswith("refuses a row: NotNullViolation 23502")
        with pytest.raises(StoreRefusedError) as raised, store.transaction() as transaction:
            transaction.insert_predictions([row(prediction_id(), features="secret \0")])
        assert "secret" not in str(raised.value)


def test_somebody_elses_database(target: str) -> None:
    """A missing table is no fault of a row."""
    with opened(target) as store:
        with psycopg.connect(target) as connection:
            connection.execute("DROP TABLE predictions")
        with pytest.raises(StoreUnavailableError, match="does not exist"):
            log_predictions(store, [row(prediction_id())])
    with psycopg.connect(target) as connection:
        connection.execute("DROP TABLE log_state")
    with pytest.raises(StoreSchemaError, match="holds no prediction log yet"), reading(target):
        pass


def test_two_writers_in_opposite_order_both_come_through(target: str) -> None:
    """A deadlock, if there is one, is told as a database that is away: the next try succeeds."""
    ids = many_ids(40)
    barrier = threading.Barrier(2)
    undone: list[str] = []

    def write(name: str, first: list[str], second: list[str]) -> None:
        with opened(target) as store:
            barrier.wait(30)
            while True:
                totals = store.load(name).totals
                try:
                    with store.transaction() as transaction:
                        for part in (first, second):
                            for judged in transaction.receive_truths([truth(one) for one in part], SHELF):
                                totals.add_truth(judged)
                        transaction.save_totals(name, totals.take_changed())
                    return
                except StoreUnavailableError as error:
                    undone.append(str(error))

    with opened(target):
        pass
    run_together(
        [partial(write, "writer-1", ids[:20], ids[20:]), partial(write, "writer-2", ids[20:], ids[:20])]
    )
    assert all("deadlock" in line for line in undone)
    assert differences(target) == []
    with opened(target) as store:
        assert sum(counted(store.load(name).totals) for name in ("writer-1", "writer-2")) == 40


def test_pruning_beside_writers(target: str) -> None:
    """Rows come in for the very days that go, truths come in again, two prune at once: the sums hold."""
    old = NOON - 500 * DAY
    ids = many_ids(300, at=old)
    ended = threading.Event()

    def write(name: str) -> None:
        generator = random.Random(name)
        with opened(target) as store:
            while not ended.is_set():
                batch = [truth(one, received=old + 60.0) for one in generator.sample(ids, 30)]
                post(store, batch, writer=name)
                log_predictions(
                    store, [row(one, predicted_timestamp=old) for one in generator.sample(ids, 30)]
                )

    def prune_all() -> None:
        with opened(target) as store:
            while not ended.is_set():
                for _ in prune(store, BY_AGE, NOON):
                    pass

    with opened(target):
        pass

    def look() -> None:
        try:
            for _ in range(20):
                assert differences(target) == []
                ended.wait(0.1)
        finally:
            ended.set()

    run_together([partial(write, "writer-1"), partial(write, "writer-2"), prune_all, prune_all, look])
    with opened(target) as store:
        for _ in prune(store, BY_AGE, NOON):
            pass
    assert differences(target) == []
    with reading(target) as reader:
        assert reader.stored_days() == []


@pytest.mark.parametrize("immediate", [True, False], ids=["killed", "stopped"])
def test_server_goes_away(mortal: PostgresServer, immediate: bool) -> None:
    """What was committed is there afterwards, the rest is not, and the same store goes on."""
    target = mortal.create_database()
    before, lost = many_ids(10), many_ids(10)
    with opened(target) as store:
        post(store, [truth(one) for one in before])
        with pytest.raises(StoreUnavailableError) as raised, store.transaction() as transaction:
            transaction.receive_truths([truth(one) for one in lost], SHELF)
            mortal.stop(immediate)
            transaction.save_offset(WRITER, "a", 1)
        assert mortal.password not in str(raised.value)
        with pytest.raises(StoreUnavailableError, match="refused"):
            store.load(WRITER)
        with pytest.raises(StoreUnavailableError, match="refused"):
            Store.open(target)
        mortal.start()
        state = store.load(WRITER)
        assert counted(state.totals) == 10
        assert state.offsets == {}
        assert (
            results(post(store, [truth(one) for one in [*before, *lost]]))
            == ["duplicate"] * 10 + ["counted"] * 10
        )
    assert differences(target) == []


def test_kills_at_random_moments(mortal: PostgresServer) -> None:
    """A writer that loads its state again after each failure counts each truth once."""
    target = mortal.create_database()
    ids: list[str] = []
    enough = threading.Event()

    def write_batch(store: Store) -> None:
        """Go on behind what is known to be there, with ids that are always the same at the same place."""
        state = store.load(WRITER)
        end = state.offsets.get("segment", 0) + 10
        ids.extend(many_ids(end - len(ids)))
        with store.transaction() as transaction:
            transaction.insert_predictions([row(one) for one in ids[end - 10 : end]])
            for judged in transaction.receive_truths([truth(one) for one in ids[end - 10 : end]], SHELF):
                state.totals.add_truth(judged)
            transaction.save_totals(WRITER, state.totals.take_changed())
            transaction.save_offset(WRITER, "segment", end)

    def write() -> None:
        while not enough.is_set():
            with contextlib.suppress(StoreUnavailableError), opened(target) as store:
                while not enough.is_set():
                    write_batch(store)

    thread = threading.Thread(target=write)
    thread.start()
    generator = random.Random(4)
    for _ in range(8):
        enough.wait(generator.uniform(0.02, 0.2))
        mortal.stop(immediate=True)
        mortal.start()
    enough.set()
    thread.join()
    with opened(target) as store:
        state = store.load(WRITER)
        with store.transaction() as transaction:
            rows = transaction.connection.scalar(text("SELECT count(*) FROM predictions"))
    assert rows == state.offsets["segment"] == counted(state.totals) >= 10
    assert ("ground_truth", "duplicate") not in state.totals.versions[TREES.key].cells
    assert differences(target) == []
