"""The exposition is one whole, and answers whatever is missing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from service.observability import metrics_dir
from service.observability.exposition import Exposition, render_exposition
from service.observability.metric_names import METRICS, ML_GROUND_TRUTH, ML_REQUESTS
from service.observability.truth_metrics import TruthMetrics
from service.observability.value_files import ValueFiles
from service.prediction_log.backlog import Drained, write_drained
from service.prediction_log.outcomes import Cells
from service.prediction_log.spool import SPOOL_FOLDER
from service.prediction_log.totals import VersionTotals
from service.settings import Settings
from tests.service.observability.counted_bundles import BUNDLES, TABULAR, parsed, write_bundle

RESULTS = ("counted", "invalid")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Write bundles; no predictor has started yet."""
    monkeypatch.setattr(metrics_dir, "_started", None)
    monkeypatch.setattr(metrics_dir, "_lock_descriptor", None)
    for bundle in BUNDLES:
        write_bundle(tmp_path / "bundles", bundle)
    return Settings(
        metrics_dir=tmp_path / "metrics", log_dir=tmp_path / "log", bundle_dir=tmp_path / "bundles", workers=3
    )


def scrape(exposition: Exposition) -> dict[str, float]:
    """Render and read."""
    return parsed(exposition.render().decode())


def test_without_predictor_there_are_constants_and_no_workers(settings: Settings) -> None:
    """The alert that no worker lives has something to compare with."""
    series = scrape(Exposition(settings))
    assert series["plumbline_workers{}"] == 0
    assert series["plumbline_workers_configured{}"] == 3
    assert series["plumbline_exposition_files{}"] == 0
    assert "ml_reference_rows{model_name=loans,model_version=7}" in series


def test_without_anything_it_still_answers(tmp_path: Path) -> None:
    """Neither bundles nor a metrics folder are there."""
    nowhere = Settings(
        metrics_dir=tmp_path / "a", log_dir=tmp_path / "log", bundle_dir=tmp_path / "b", workers=1
    )
    assert scrape(Exposition(nowhere))["plumbline_workers{}"] == 0


def test_counters_of_the_running_predictor_are_shown(settings: Settings) -> None:
    """After a new start the counters are those of the new folder, and bad files are counted on."""
    exposition = Exposition(settings)
    name = "ml_requests_total{model_name=loans,model_version=7,outcome=ok}"
    for expected in (5, 2):
        metrics_dir.start(settings.metrics_dir)
        metrics_dir.write_pid_file(0)
        ValueFiles(metrics_dir.folder(), 0).value(ML_REQUESTS, *TABULAR.key, "ok").add(expected)
        (metrics_dir.folder() / "counter_w9.db").touch()
        series = scrape(exposition)
        assert series[name] == expected
        assert series["plumbline_workers{}"] == 1
        assert series["plumbline_exposition_files{}"] == 1
    assert series["plumbline_exposition_bad_files_total{}"] == 2
    assert series["plumbline_exposition_duration_seconds{}"] > 0


def test_backlog_and_capacity_of_the_log_are_shown(settings: Settings) -> None:
    """Read from the files, so that they are there whoever lives; a log that is not there has no backlog."""
    exposition = Exposition(settings)
    series = scrape(exposition)
    assert series["ml_prediction_log_backlog_bytes{}"] == 0
    assert series["ml_prediction_log_drain_lag_seconds{}"] == 0
    assert series["ml_prediction_log_capacity_bytes{}"] == settings.log_spool_max_bytes
    begun = time.time() - 500
    spool = settings.log_dir / SPOOL_FOLDER
    spool.mkdir(parents=True)
    name = f"{int(begun * 1e9):020d}-abc.spool"
    (spool / name).write_bytes(bytes(77))
    series = scrape(exposition)
    assert series["ml_prediction_log_backlog_bytes{}"] == 77
    assert 500 <= series["ml_prediction_log_drain_lag_seconds{}"] < 600
    write_drained(settings.log_dir, {name: Drained(77, begun)})
    series = scrape(exposition)
    assert series["ml_prediction_log_backlog_bytes{}"] == 0
    assert series["ml_prediction_log_drain_lag_seconds{}"] == 0


def test_totals_of_the_log_are_shown_beside_the_counters(settings: Settings) -> None:
    """The drainer's numbers and the workers' are one whole, and the drainer's stand without any predictor."""
    name = "ml_ground_truth_total{model_name=loans,model_version=7,result="
    exposition = Exposition(settings)
    cells: Cells = {("ground_truth", "counted"): 5, ("ground_truth", "invalid"): 2}
    TruthMetrics(settings.log_dir).show({TABULAR.key: VersionTotals(cells, last_counted=1_790_000_123.5)})
    series = scrape(exposition)
    assert [series[f"{name}{result}}}"] for result in RESULTS] == [5, 2]
    metrics_dir.start(settings.metrics_dir)
    metrics_dir.write_pid_file(0)
    ValueFiles(metrics_dir.folder(), 0).value(ML_GROUND_TRUTH, *TABULAR.key, "invalid").add(40)
    series = scrape(exposition)
    assert [series[f"{name}{result}}}"] for result in RESULTS] == [5, 42]
    last = "ml_ground_truth_last_timestamp_seconds{model_name=loans,model_version=7}"
    assert series[last] == 1_790_000_123.5


def test_every_sample_is_declared(settings: Settings) -> None:
    """Nothing is exported that the closed list does not know."""
    names = {name for metric in METRICS.values() for name in metric.series}
    assert {name.split("{")[0] for name in scrape(Exposition(settings))} <= names


def test_predictor_renders_the_same(settings: Settings) -> None:
    """What people see on the predictor's own route is what Prometheus scrapes."""
    theirs, ours = parsed(render_exposition(settings).decode()), scrape(Exposition(settings))
    assert theirs.keys() == ours.keys()
