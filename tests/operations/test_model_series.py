"""The one query reads what the shipped rules record, on both lines of Prometheus and both clocks."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from operations.model_series import combined_query
from operations.model_status import ModelStatus, statuses
from operations.stack.layout import ROOT
from operations.stack.prometheus_api import Sample
from service.observability.metric_names import METRICS
from tests.prometheus.monitoring_binaries import LINES
from tests.prometheus.promtool_values import History, promtool_values

MINUTES = 150
ALWAYS = f"1x{MINUTES}"


def per_minute(growth: float) -> str:
    """Write a counter that grows evenly."""
    return f"0+{growth}x{MINUTES}"


def of(pair: str, series: dict[str, str]) -> dict[str, str]:
    """Give series the labels of a version; each is written as NAME or NAME{LABELS}."""
    return {
        f"{name.removesuffix('}')}{',' if '{' in name else '{'}{pair}}}": values
        for name, values in series.items()
    }


def version(model_name: str, instance: str = "a:9101") -> str:
    """Write the labels that every series of a version has."""
    return f'model_name="{model_name}",model_version="7",instance="{instance}"'


def history() -> History:
    """Write what five versions export, one of them on two replicas and with a change of role."""
    iris = {
        'ml_model_info{role="canary"}': "1x100 stale",
        'ml_model_info{role="stable"}': f"_x101 1x{MINUTES - 101}",
        "ml_model_loaded_timestamp_seconds": f"1785000017x{MINUTES}",
        'ml_objective{signal="accuracy"}': f"0.85x{MINUTES}",
        'ml_objective{signal="latency_p95_seconds"}': f"0.005x{MINUTES}",
        'ml_requests_total{outcome="failed"}': per_minute(6),
        'ml_requests_total{outcome="ok"}': per_minute(54),
        'ml_request_duration_seconds_bucket{kind="single",le="0.005"}': per_minute(90),
        'ml_request_duration_seconds_bucket{kind="single",le="0.01"}': per_minute(120),
        'ml_request_duration_seconds_bucket{kind="single",le="+Inf"}': per_minute(120),
        'ml_request_duration_seconds_count{kind="single"}': per_minute(120),
        'ml_predictions_total{predicted_class="a"}': per_minute(12),
        'ml_ground_truth_total{result="counted"}': per_minute(4),
        'ml_class_outcomes_total{class="a",aspect="actual"}': per_minute(4),
        'ml_class_outcomes_total{class="a",aspect="correct"}': per_minute(3.6),
        'ml_ground_truth_delay_seconds_bucket{le="60.0"}': per_minute(2),
        'ml_ground_truth_delay_seconds_bucket{le="300.0"}': per_minute(4),
        'ml_ground_truth_delay_seconds_bucket{le="+Inf"}': per_minute(4),
        "ml_input_in_distribution_total": per_minute(116),
        'ml_input_out_of_distribution_total{reason="range"}': per_minute(4),
        "ml_out_of_distribution_reference_ratio": f"0.01x{MINUTES}",
        "ml_out_of_distribution_reference_rows": f"1000x{MINUTES}",
    }
    replica = {
        'ml_model_info{role="none"}': ALWAYS,
        "ml_model_loaded_timestamp_seconds": f"1785000099x{MINUTES}",
        'ml_requests_total{outcome="ok"}': per_minute(60),
    }
    bike = {
        'ml_model_info{role="stable"}': ALWAYS,
        'ml_objective{signal="mae"}': f"40x{MINUTES}",
        'ml_ground_truth_total{result="counted"}': per_minute(6),
        "ml_overestimate_total": per_minute(1),
        "ml_underestimate_total": per_minute(2),
        "ml_squared_error_total": per_minute(3),
        "ml_target_reference_stddev": f"100x{MINUTES}",
    }
    rare = {
        'ml_model_info{role="shadow"}': ALWAYS,
        'ml_objective{signal="accuracy"}': f"0.85x{MINUTES}",
        'ml_ground_truth_total{result="counted"}': per_minute(0.5),
        'ml_class_outcomes_total{class="a",aspect="actual"}': per_minute(0.5),
        'ml_class_outcomes_total{class="a",aspect="correct"}': per_minute(0.4),
    }
    gone = {'ml_model_info{role="canary"}': "1x120 stale"}
    idle = {'ml_model_info{role="stable"}': ALWAYS, 'ml_ground_truth_total{result="counted"}': f"0x{MINUTES}"}
    series = of(version("iris"), iris) | of(version("iris", "b:9101"), replica)
    for name, exported in {"bike": bike, "rare": rare, "gone": gone, "idle": idle}.items():
        series |= of(version(name), exported)
    return History(series, "1m", "1m", f"{MINUTES}m")


@cache
def read(line: str, folder: Path) -> dict[str, ModelStatus]:
    """Evaluate rules and query, and judge what they give."""
    query = combined_query(1)
    found = promtool_values(line, folder, history(), [query])[query]
    samples = [Sample(dict(labels), value) for labels, value in found.items()]
    return {model.model_name: model for model in statuses(samples, [])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the whole module."""
    return tmp_path_factory.mktemp("promtool")


@pytest.mark.parametrize("line", LINES)
def test_a_classifier_on_two_replicas(line: str, folder: Path) -> None:
    """Traffic adds up, the present role counts, and the hour is judged."""
    iris = read(line, folder)["iris"]
    assert (iris.roles, iris.is_scraped) == (["stable"], True)
    assert iris.loaded_timestamp_seconds == 1785000017
    assert iris.traffic.requests_per_second == pytest.approx(2, rel=0.03)
    assert iris.traffic.rows_per_second == pytest.approx(0.2, rel=0.03)
    assert iris.traffic.error_ratio == pytest.approx(0.05)
    assert iris.traffic.latency_p95_seconds == pytest.approx(0.009)
    assert iris.traffic.latency_verdict == "missed"
    assert (iris.quality.signal, iris.quality.window, iris.quality.verdict) == ("accuracy", "1h", "met")
    assert iris.quality.value == pytest.approx(0.9)
    assert iris.quality.standard_error == pytest.approx(0.0194, abs=0.0005)
    assert iris.quality.label_count == pytest.approx(240, abs=5)
    assert (iris.quality.objective, iris.labels.count_total) == (0.85, 600)
    assert iris.labels.count_1d == pytest.approx(600, rel=0.05)
    assert iris.labels.coverage_ratio_7d == pytest.approx(1 / 3, rel=0.03)
    assert iris.labels.delay_p50_seconds_1d == pytest.approx(60, rel=0.01)
    assert iris.labels.delay_p90_seconds_1d == pytest.approx(252, rel=0.01)
    assert iris.input.out_of_distribution_ratio_1h == pytest.approx(1 / 30)
    assert iris.input.out_of_distribution_verdict == "missed"


@pytest.mark.parametrize("line", LINES)
def test_a_regression(line: str, folder: Path) -> None:
    """The error is in the target's unit, and beyond its objective by more than chance."""
    bike = read(line, folder)["bike"]
    assert (bike.quality.signal, bike.quality.window, bike.quality.verdict) == ("mae", "1h", "missed")
    assert bike.quality.value == pytest.approx(50)
    assert bike.quality.standard_error == pytest.approx(2.635, rel=0.02)
    assert bike.quality.objective == 40
    assert bike.traffic.requests_per_second is None


@pytest.mark.parametrize("line", LINES)
def test_a_version_with_few_truths(line: str, folder: Path) -> None:
    """The day has enough of them where the hour has not."""
    rare = read(line, folder)["rare"]
    assert rare.labels.count_1h == pytest.approx(30, abs=1)
    assert (rare.quality.window, rare.quality.verdict) == ("1d", "missed_within_chance")
    assert rare.quality.value == pytest.approx(0.8)
    assert rare.quality.label_count == pytest.approx(75, abs=4)


@pytest.mark.parametrize("line", LINES)
def test_versions_that_are_gone_or_idle(line: str, folder: Path) -> None:
    """A dead target's version keeps its last role for an hour; one without truths has 0 of them, not none."""
    found = read(line, folder)
    assert found.keys() == {"iris", "bike", "rare", "gone", "idle"}
    assert (found["gone"].roles, found["gone"].is_scraped) == (["canary"], False)
    assert (found["idle"].labels.count_total, found["idle"].labels.count_1h) == (0, 0)
    assert found["idle"].quality.value is None


def test_every_series_is_recorded_or_exported() -> None:
    """A rule that is renamed takes its column along."""
    recorded = {
        rule["record"]
        for path in (ROOT / "prometheus/rules").glob("*.recording.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    }
    asked = set(re.findall(r"[a-z_]+:ml_[a-z0-9_]+:[a-z0-9_]+|\bml_[a-z_]+", combined_query(1)))
    assert len(asked) > 30
    assert asked <= recorded | {series for metric in METRICS.values() for series in metric.series}


def test_what_the_query_looks_back_runs_on_the_clock() -> None:
    """An hour of the rules is a minute on the demo clock."""
    assert set(re.findall(r"\[(\w+)\]", combined_query(1))) == {"3600s", "600s"}
    assert set(re.findall(r"\[(\w+)\]", combined_query(60))) == {"60s", "10s"}
