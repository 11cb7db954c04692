"""The database is down, the spool reaches its cap: predictions go on, and what is lost is counted."""

from __future__ import annotations

import contextlib
import http.client
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack.log_checks import assert_exact, backlog_of, read_content, wait_until_drained
from tests.stack.log_clients import BATCH, PREDICT, TRUTHS, describe_models, running_clients, wait_for
from tests.stack.log_watch import watched
from tests.stack.predictor_process import DRAINER, STOP_SECONDS, RunningPredictor, running_predictor
from tests.stack.soak import DATABASES, predictor_on
from tests.stack.worker_process import wait_until

CAP_BYTES = 1_048_576
ROW = {"features": [5.1, 3.5, 1.4, 0.2]}


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Let nobody write to an SQLite file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("database", DATABASES)
def test_database_that_is_down_costs_no_request(tmp_path: Path, database: str) -> None:
    """Predictions and truths are answered all the while, the backlog is seen, then everything is stored."""
    with predictor_on(database, tmp_path) as (predictor, server, target):
        models = describe_models(predictor.url)
        with watched([predictor], target) as watch, running_clients([predictor.port], models, 1) as ledger:
            wait_for(ledger, predictions=100, truths=50)
            with contextlib.ExitStack() as outage:
                if server is None:
                    assert isinstance(target, Path)
                    outage.enter_context(held(target))
                else:
                    server.stop()
                    outage.callback(server.start)
                before = backlog_of(predictor)
                wait_for(ledger, predictions=500, truths=100)
                wait_until(
                    lambda: predictor.total("ml_prediction_log_drain_lag_seconds") > 2.0, "a lag that is seen"
                )
                assert backlog_of(predictor) > before + 50_000
            wait_for(ledger, predictions=50, truths=20)
        assert_exact(ledger, target, [predictor], watch)
        assert not ledger.errors
        assert not ledger.cuts
        assert predictor.total("ml_prediction_log_records_total", result="dropped") == 0
        assert predictor.total("ml_prediction_log_drain_lag_seconds") == 0


def assert_refused(predictor: RunningPredictor, path: str, posted: object) -> None:
    """Expect 503 that says why, and when to come again."""
    connection = http.client.HTTPConnection("127.0.0.1", predictor.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(posted), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["error"]["code"]) == (503, "prediction_log_full")
        assert int(response.headers["Retry-After"]) >= 5


@contextlib.contextmanager
def without_drainer(predictor: RunningPredictor) -> Iterator[None]:
    """Stop the drainer while the block runs."""
    predictor.drainer.terminate()
    predictor.drainer.wait(STOP_SECONDS)
    yield
    predictor.drainer = predictor.start(*DRAINER)


def records(predictor: RunningPredictor, result: str) -> Callable[[], float]:
    """Read the counter of records, by what became of them."""
    return lambda: predictor.total("ml_prediction_log_records_total", result=result)


def wait_until_full(turned_away: Callable[[], float]) -> None:
    """Wait, with the drainer stopped, until no worker has room: each looks several times a second."""
    # Some were turned away before, while the drainer still made room.
    enough = turned_away() + 100
    wait_until(lambda: turned_away() > enough, "records that find no room")
    time.sleep(1.0)


def test_full_spool_serves_and_counts_what_is_missing(tmp_path: Path) -> None:
    """The counter is what clients hold and the database does not; truths are never dropped."""
    with running_predictor(tmp_path, log_spool_max_bytes=CAP_BYTES) as predictor:
        models = describe_models(predictor.url)
        dropped = records(predictor, "dropped")
        with running_clients([predictor.port], models, 2) as ledger:
            wait_for(ledger, predictions=100, truths=50)
            with without_drainer(predictor):
                wait_until_full(dropped)
                # What was drained before of files that are still written to fills the spool, too.
                assert backlog_of(predictor) > CAP_BYTES / 2
                assert predictor.total("ml_prediction_log_capacity_bytes") == CAP_BYTES
                status, answer = predictor.post("/v1/predict", ROW)
                assert status == 200
                truth = {"prediction_id": answer["prediction_id"], "ground_truth": "setosa"}
                for posted in (truth, {"batch": [truth] * 3}):
                    assert_refused(predictor, TRUTHS, posted)
            # A truth that is accepted tells that there is room again.
            wait_for(ledger, predictions=50, truths=50)
        wait_until_drained(predictor)
        content = read_content(predictor.log_dir / "predictions.db")
        missing = ledger.predictions.keys() - content.predictions.keys()
        # One more than the clients know of: the prediction above.
        assert dropped() == len(missing) + 1
        assert not content.predictions.keys() - ledger.predictions.keys()
        assert {route for route, _ in ledger.errors} <= {TRUTHS}
        assert {status for _, status in ledger.errors} == {503}
        assert answer["prediction_id"] not in content.truths
        assert content.truths.keys() == ledger.truths.keys()
        assert content.total("ground_truth", "counted") == len(ledger.truths)
        assert not content.differences


def test_full_spool_refuses_if_that_is_the_policy(tmp_path: Path) -> None:
    """Nobody gets a prediction that is not kept, and nothing is missing."""
    settings = {"log_spool_max_bytes": CAP_BYTES, "log_full_policy": "refuse"}
    with running_predictor(tmp_path, **settings) as predictor:
        models = describe_models(predictor.url)
        refused, target = records(predictor, "refused"), predictor.log_dir / "predictions.db"
        with watched([predictor], target) as watch, running_clients([predictor.port], models, 3) as ledger:
            wait_for(ledger, predictions=100, truths=50)
            with without_drainer(predictor):
                wait_until_full(refused)
                for path, posted in (("/v1/predict", ROW), ("/v1/predict/batch", {"batch": [[1, 2, 3, 4]]})):
                    assert_refused(predictor, path, posted)
            wait_for(ledger, predictions=50, truths=50)
        content = assert_exact(ledger, target, [predictor], watch)
        assert {(PREDICT, 503), (BATCH, 503), (TRUTHS, 503)} <= ledger.errors.keys()
        assert {status for _, status in ledger.errors} == {503}
        # Nothing of what was refused is there.
        assert not content.predictions.keys() - ledger.predictions.keys()
        assert content.truths.keys() == ledger.truths.keys()
        assert records(predictor, "dropped")() == 0
