"""The drainer dies at any step, waits for another one, hangs with its database: nothing is lost."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.stack.log_checks import assert_exact, read_content, wait_until_drained
from tests.stack.log_clients import describe_models, running_clients, wait_for
from tests.stack.log_dying_drainer import GO, IN_TRANSACTION, REACHED, STEPS
from tests.stack.log_watch import watched
from tests.stack.postgres import running_postgres
from tests.stack.predictor_process import (
    DRAINER,
    ROOT,
    STOP_SECONDS,
    RunningPredictor,
    environment_of,
    running_predictor,
)
from tests.stack.soak import DATABASES, predictor_on, write_dsn
from tests.stack.worker_process import wait_until

END_SECONDS = 20.0
"""Far below the waits that a drainer would sit out if it did not care."""
ROW = {"features": [5.1, 3.5, 1.4, 0.2]}


@pytest.mark.parametrize("database", DATABASES)
def test_drainer_killed_at_each_step(tmp_path: Path, database: str) -> None:
    """Each time the next one goes on where the last commit was."""
    with predictor_on(database, tmp_path, log_segment_bytes=4096) as (predictor, _, target):
        models = describe_models(predictor.url)
        predictor.drainer.terminate()
        predictor.drainer.wait(STOP_SECONDS)
        with watched([predictor], target) as watch, running_clients([predictor.port], models, 6) as ledger:
            for number, step in enumerate(STEPS):
                ledger.round = number
                wait_for(ledger, predictions=50, truths=20)
                dying = predictor.start("tests.stack.log_dying_drainer", step)
                assert dying.wait(STOP_SECONDS) == -signal.SIGKILL, step
            predictor.drainer = predictor.start(*DRAINER)
        assert_exact(ledger, target, [predictor], watch)
        assert not ledger.errors


def test_database_killed_within_a_transaction(tmp_path: Path) -> None:
    """The drainer lives on, and drains again what was not committed: rows and totals alike."""
    with predictor_on("postgresql", tmp_path) as (predictor, server, dsn):
        assert server is not None
        models = describe_models(predictor.url)
        with watched([predictor], dsn) as watch, running_clients([predictor.port], models, 8) as ledger:
            for number, step in enumerate(IN_TRANSACTION):
                ledger.round = number
                predictor.drainer.terminate()
                predictor.drainer.wait(STOP_SECONDS)
                wait_for(ledger, predictions=50, truths=20)
                folder = tmp_path / str(number)
                folder.mkdir()
                predictor.drainer = predictor.start("tests.stack.log_dying_drainer", step, str(folder))
                wait_until((folder / REACHED).exists, step)
                server.stop(immediate=True)
                server.start()
                (folder / GO).touch()
                before = stored(predictor)
                wait_until(lambda before=before: stored(predictor) > before, "a drainer that goes on")  # type: ignore[misc]  # bound now
        assert_exact(ledger, dsn, [predictor], watch)
        assert not ledger.errors


def test_second_drainer_takes_over(tmp_path: Path) -> None:
    """Two on one folder do not both drain; when the first is killed, the second is there at once."""
    with running_predictor(tmp_path) as predictor:
        second = predictor.start(*DRAINER)
        wait_until(lambda: "another drainer works in" in predictor.log.read_text(), "a drainer that waits")
        _, first_answer = predictor.post("/v1/predict", ROW)
        wait_until(lambda: stored(predictor) == 1, "a prediction stored by the first")
        assert second.poll() is None
        predictor.drainer.kill()
        predictor.drainer.wait(STOP_SECONDS)
        predictor.drainer = second
        _, second_answer = predictor.post("/v1/predict", ROW)
        wait_until(lambda: stored(predictor) == 2, "a prediction stored by the second")
        content = read_content(predictor.log_dir / "predictions.db")
    assert content.predictions.keys() == {first_answer["prediction_id"], second_answer["prediction_id"]}


def stored(predictor: RunningPredictor) -> float:
    """Read how many records are stored."""
    return predictor.total("ml_prediction_log_records_total", result="stored")


@contextlib.contextmanager
def drainer_alone(folder: Path, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a drainer without a predictor; at the end of the block it must end on SIGTERM."""
    values = {"log_dir": folder / "log", "bundle_dir": ROOT / "bundles", **settings}
    with (folder / "output").open("wb") as output:
        drainer = subprocess.Popen(
            [sys.executable, "-m", *DRAINER],
            cwd=ROOT,
            env=environment_of(values),
            stdout=output,
            stderr=output,
        )
    try:
        yield drainer
        assert drainer.poll() is None
        drainer.terminate()
        assert drainer.wait(END_SECONDS) == 0
    finally:
        drainer.kill()
        drainer.wait()


def test_terminated_while_its_database_never_answers(tmp_path: Path) -> None:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        hole.settimeout(END_SECONDS)
        port = hole.getsockname()[1]
        with drainer_alone(tmp_path, **write_dsn(tmp_path, f"postgresql://u:p@127.0.0.1:{port}/log")):
            connection, _ = hole.accept()
            assert connection.recv(100)
        connection.close()


def test_terminated_while_another_process_holds_the_file(tmp_path: Path) -> None:
    """A prune that takes long, or hangs."""
    (tmp_path / "log").mkdir()
    with (tmp_path / "log" / "predictions.db.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with drainer_alone(tmp_path) as drainer:
            wait_until(
                lambda: "predictions.db.lock" in open_files(drainer.pid), "a drainer that waits for the lock"
            )


def open_files(pid: int) -> set[str]:
    """Name the files that a process has open."""
    with contextlib.suppress(FileNotFoundError):
        return {one.readlink().name for one in Path(f"/proc/{pid}/fd").iterdir()}
    return set()


@contextlib.contextmanager
def frozen_sessions(dsn: str) -> Iterator[None]:
    """Stop every process of PostgreSQL that serves us: connections stay open, and nothing is answered."""
    with psycopg.connect(dsn) as connection:
        ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'plumbline'"
        pids = [row[0] for row in connection.execute(ours)]
    assert len(pids) > 1
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_terminated_while_its_session_hangs(tmp_path: Path) -> None:
    """Drainer and workers end in time though PostgreSQL has gone silent; what was acknowledged comes."""
    with running_postgres() as server:
        dsn = server.create_database()
        settings = write_dsn(tmp_path, dsn)
        with running_predictor(tmp_path, **settings) as predictor:
            _, answer = predictor.post("/v1/predict", ROW)
            truth = {"prediction_id": answer["prediction_id"], "ground_truth": "setosa"}
            posts: list[int] = []

            def tell() -> bool:
                posts.append(predictor.post("/v1/log-ground-truth", truth)[0])
                return posts[-1] == 200

            # A worker connects at its start, in the background, or when it is told a truth.
            wait_until(lambda: tell() and sessions(dsn) == 3, "drainer and workers connected")
            with frozen_sessions(dsn):
                assert all(tell() for _ in range(20))
                predictor.drainer.terminate()
                predictor.process.terminate()
                assert predictor.drainer.wait(END_SECONDS) == 0
                assert predictor.process.wait(END_SECONDS) == 0
        with running_predictor(tmp_path, **settings) as predictor:
            wait_until_drained(predictor)
        content = read_content(dsn)
    assert content.truths == {answer["prediction_id"]: ("iris", "setosa")}
    assert content.total("ground_truth", "duplicate") == len(posts) - 1
    assert not content.differences


def sessions(dsn: str) -> int:
    """Count our connections."""
    with psycopg.connect(dsn) as connection:
        ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'plumbline'"
        row = connection.execute(ours).fetchone()
        assert row is not None
        return int(row[0])
