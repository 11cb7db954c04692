"""One call connects all listeners; what a process counted is there to be scraped after it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.events import (
    Announcer,
    GroundTruthRefused,
    HttpRequestFinished,
    HttpRequestStarted,
    InvalidOutputSeen,
    ModelKey,
    ModelRequestFinished,
    PredictionLogWritten,
    PredictionsServed,
)
from service.observability import metrics_dir, slots
from service.observability.label_values import LISTENERS
from service.observability.listener_errors import ListenerErrors
from service.observability.listeners import connect
from service.settings import Settings
from tests.service.observability.counted_bundles import BUNDLES, TABULAR, nonzero, scraped

ROOT = Path(__file__).resolve().parents[3]
WORKER = """
import sys
from pathlib import Path
import tests.service.observability.test_listeners as here
here.count_as_worker(Path(sys.argv[1]), int(sys.argv[2]), killed=sys.argv[3] == "killed")
"""


def settings(folder: Path) -> Settings:
    """Count in `folder`, beside one bundle that cannot be read."""
    broken = folder / "bundles" / "broken" / "4"
    broken.mkdir(parents=True, exist_ok=True)
    return Settings(
        metrics_dir=folder / "metrics",
        log_dir=folder / "log",
        bundle_dir=folder / "bundles",
        log_requests="none",
    )


def count_as_worker(folder: Path, slot: int, *, killed: bool) -> None:
    """Serve three rows in the way of a forked worker, then end."""
    metrics_dir._started = folder
    slots.bind(slot)
    errors = ListenerErrors()
    announcer = Announcer(errors)
    close = connect(announcer, BUNDLES, settings(folder), errors)
    for _ in range(3):
        announcer.announce(HttpRequestStarted())
        row = (30.0, "red", 1.0, True, 2)
        announcer.announce(
            PredictionsServed(
                TABULAR.key, [row], np.array([1]), None, np.array([0.7]), np.zeros(1, dtype=np.int8)
            )
        )
        announcer.announce(ModelRequestFinished(TABULAR.key, "ok", "single", 0.25))
        announcer.announce(PredictionLogWritten(1, "spooled"))
        announcer.announce(GroundTruthRefused(TABULAR.key, 2))
        announcer.announce(HttpRequestFinished("POST", "/v1/predict", 200, 0.25))
    if killed:
        os._exit(9)
    close()


def run_worker(folder: Path, slot: int, end: str) -> None:
    """Run a worker in a process of its own."""
    subprocess.run(
        [sys.executable, "-c", WORKER, str(folder), str(slot), end], cwd=ROOT, check=False, timeout=60
    )


def test_counts_of_all_processes_add_up(tmp_path: Path) -> None:
    """Two slots, one of them used again after a kill: every answer is counted once."""
    run_worker(tmp_path, 0, "killed")
    run_worker(tmp_path, 0, "closed")
    run_worker(tmp_path, 1, "closed")
    series = scraped(tmp_path)
    loans = "model_name=loans,model_version=7"
    assert series[f"ml_requests_total{{{loans},outcome=ok}}"] == 9
    assert series[f"ml_predictions_total{{{loans},predicted_class=true}}"] == 9
    assert series[f"ml_input_in_distribution_total{{{loans}}}"] == 9
    assert series[f"ml_confidence_bucket{{le=0.7,{loans}}}"] == 9
    assert series[f"ml_request_duration_seconds_sum{{kind=single,{loans}}}"] == 2.25
    assert series["http_requests_total{handler=/v1/predict,method=POST,status=200}"] == 9
    assert series["http_requests_in_progress{}"] == 0
    assert series["ml_prediction_log_records_total{result=spooled}"] == 9
    assert series[f"ml_ground_truth_total{{{loans},result=invalid}}"] == 18
    # The killed worker may take its last flush of bins with it, and nothing else.
    assert 6 <= series[f"ml_feature_bin_total{{bin=red,feature=colour,{loans}}}"] <= 9
    assert {path.name for path in tmp_path.glob("*.db")} == {
        f"{kind}_w{slot}.db" for kind in ("counter", "histogram", "gauge_livesum") for slot in (0, 1)
    }


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a process that no arbiter forked."""
    monkeypatch.setattr(metrics_dir, "_started", None)
    monkeypatch.setattr(metrics_dir, "_lock_descriptor", None)
    monkeypatch.setattr(slots, "_own", None)


@pytest.mark.usefixtures("alone")
def test_everything_is_at_zero_and_without_gunicorn_too(tmp_path: Path) -> None:
    """A development server starts a folder by itself; a bundle that cannot be read has its failures at 0."""
    errors = ListenerErrors()
    close = connect(Announcer(errors), BUNDLES, settings(tmp_path), errors)
    folder = metrics_dir.current(tmp_path / "metrics")
    assert folder is not None
    series = scraped(folder)
    close()
    assert set(series.values()) == {0.0}
    assert "ml_model_load_failures_total{model_name=broken,model_version=4,reason=hash}" in series
    assert {f"ml_listener_errors_total{{listener={name}}}" for name in LISTENERS} <= series.keys()
    assert (folder / "w0.pid").read_text().split()[0] == str(os.getpid())


@pytest.mark.usefixtures("alone")
def test_listener_that_fails_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    """An event of a version that nobody loaded breaks its listener, never the caller."""
    errors = ListenerErrors()
    announcer = Announcer(errors)
    close = connect(announcer, BUNDLES, settings(tmp_path), errors)
    announcer.announce(InvalidOutputSeen(ModelKey("nobody", "1"), "nan"))
    announcer.announce(InvalidOutputSeen(TABULAR.key, "nan"))
    close()
    assert nonzero(scraped(metrics_dir.folder()), "ml_listener", "ml_invalid") == {
        "ml_listener_errors_total{listener=predictions}": 1,
        "ml_invalid_outputs_total{model_name=loans,model_version=7,reason=nan}": 1,
    }
