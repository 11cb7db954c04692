"""What a worker knows of the prediction log is counted, from two threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from service.events import (
    OTHER_MODEL,
    Announcer,
    GroundTruthRefused,
    ModelKey,
    PredictionLogWritten,
    SpoolResult,
)
from service.observability.prediction_log_metrics import PredictionLogMetrics
from tests.service.observability.counted_bundles import TABULAR, TEXT, fresh_files, nonzero, scraped

LOANS = "model_name=loans,model_version=7"
OTHER = "model_name=other,model_version=other"


def fail(listener: str, error: Exception) -> None:
    """Let no error pass."""
    raise error


@pytest.fixture
def announce(tmp_path: Path) -> Callable[[object], None]:
    """Connect the metrics of two models."""
    announcer = Announcer(fail)
    PredictionLogMetrics(fresh_files(tmp_path), [TABULAR.key, TEXT.key]).subscribe(announcer)
    return announcer.announce


@pytest.mark.usefixtures("announce")
def test_everything_exists_at_zero(tmp_path: Path) -> None:
    """Before the first record; a refused truth has a place for each model and for none."""
    assert scraped(tmp_path) == {
        "ml_prediction_log_records_total{result=spooled}": 0,
        "ml_prediction_log_records_total{result=dropped}": 0,
        "ml_prediction_log_records_total{result=refused}": 0,
        f"ml_ground_truth_total{{{LOANS},result=invalid}}": 0,
        "ml_ground_truth_total{model_name=mails,model_version=2.1,result=invalid}": 0,
        f"ml_ground_truth_total{{{OTHER},result=invalid}}": 0,
    }


@pytest.mark.parametrize("result", ["spooled", "dropped", "refused"])
def test_rows_are_counted_by_what_became_of_them(
    tmp_path: Path, announce: Callable[[object], None], result: SpoolResult
) -> None:
    """A record of a hundred rows counts a hundred."""
    announce(PredictionLogWritten(100, result))
    announce(PredictionLogWritten(1, result))
    assert nonzero(scraped(tmp_path), "ml_") == {f"ml_prediction_log_records_total{{result={result}}}": 101}


def test_refused_truths_are_counted_by_model(tmp_path: Path, announce: Callable[[object], None]) -> None:
    """A version that is on disk and not loaded makes no series of its own."""
    before = scraped(tmp_path).keys()
    announce(GroundTruthRefused(TABULAR.key, 3))
    announce(GroundTruthRefused(OTHER_MODEL, 5))
    announce(GroundTruthRefused(ModelKey("loans", "6"), 2))
    assert nonzero(scraped(tmp_path), "ml_") == {
        f"ml_ground_truth_total{{{LOANS},result=invalid}}": 3,
        f"ml_ground_truth_total{{{OTHER},result=invalid}}": 7,
    }
    assert scraped(tmp_path).keys() == before


def test_two_threads_lose_no_count(tmp_path: Path, announce: Callable[[object], None]) -> None:
    """Predictions come from the inference thread, truths from the event loop."""
    barrier = threading.Barrier(4)

    def count() -> None:
        barrier.wait()
        for _ in range(5000):
            announce(PredictionLogWritten(1, "spooled"))
            announce(GroundTruthRefused(TABULAR.key, 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert nonzero(scraped(tmp_path), "ml_") == {
        "ml_prediction_log_records_total{result=spooled}": 20_000,
        f"ml_ground_truth_total{{{LOANS},result=invalid}}": 20_000,
    }
