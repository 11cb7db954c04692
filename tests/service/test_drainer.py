"""The drainer process: one per folder, patient with its database, quick to end."""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from service import drainer
from service.drainer import Drainer
from service.errors import StoreUnavailableError
from service.prediction_log.drain import Drain
from service.settings import Settings
from tests.builders import bundle_dir


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A folder of its own."""
    return Settings(log_dir=tmp_path, bundle_dir=bundle_dir())


def test_runs_until_told_to_stop(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to do is no reason to end; the database is closed at the end."""
    monkeypatch.setattr(drainer, "IDLE_SECONDS", 0.001)
    stopping = threading.Event()
    steps = 0
    step = Drain.step

    def counted(self: Drain) -> bool:
        nonlocal steps
        steps += 1
        if steps == 5:
            stopping.set()
        return step(self)

    monkeypatch.setattr(Drain, "step", counted)
    Drainer(settings, stopping).run()
    assert steps == 5
    with sqlite3.connect(settings.log_dir / "predictions.db") as connection:
        assert connection.execute("SELECT count(*) FROM predictions").fetchone() == (0,)
    connection.close()


def test_database_that_is_down_is_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a wait, and one line in the log a minute."""
    monkeypatch.setattr(drainer, "RETRY_SECONDS", 0.001)
    stopping = threading.Event()
    tries = 0

    def refuse(self: Drain) -> bool:
        nonlocal tries
        tries += 1
        if tries == 7:
            stopping.set()
        raise StoreUnavailableError("PostgreSQL at db: refused")

    monkeypatch.setattr(Drain, "step", refuse)
    with caplog.at_level(logging.ERROR):
        Drainer(settings, stopping).run()
    assert tries == 7
    (record,) = caplog.records
    assert "PostgreSQL at db: refused" in record.getMessage()


def test_second_drainer_waits_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two writers of one spool would store it twice."""
    monkeypatch.setattr(drainer, "RETRY_SECONDS", 0.005)
    with (tmp_path / "drainer.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        got = threading.Event()
        thread = threading.Thread(target=lambda: (drainer._lock(tmp_path, threading.Event()), got.set()))
        thread.start()
        time.sleep(0.05)
        assert not got.is_set()
        fcntl.flock(held, fcntl.LOCK_UN)
        thread.join(5)
        assert got.is_set()
    assert len([record for record in caplog.records if "another drainer" in record.getMessage()]) == 1


def test_folder_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the status that tells a supervisor that trying again is no use."""
    # It would change the logging of all later tests.
    monkeypatch.setattr(drainer, "set_up_logs", lambda level: None)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLUMBLINE_LOG_DIR", str(tmp_path / "file" / "log"))
    assert drainer.main() == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert "prediction log" in line
