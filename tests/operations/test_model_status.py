"""A version is judged by the numbers that the rules recorded, as the alerts judge them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from operations.model_status import (
    EXPECTED_NEEDED,
    LABELS_NEEDED,
    REQUESTS_NEEDED,
    STANDARD_ERRORS,
    ModelStatus,
    Quality,
    read_models,
)
from operations.stack.layout import ROOT
from operations.stack.prometheus_api import Alert, Prometheus
from tests.operations.stub_prometheus import StubPrometheus, serving

IRIS = ("iris", "7")
ACCURATE = {
    "accuracy_objective": 0.85,
    "accuracy_1h": 0.91,
    "accuracy_stderr_1h": 0.02,
    "accuracy_bound_1h": 0.95,
    "labels_1h": 211.7,
    "labels_1d": 3050.2,
    "labels_total": 9000.0,
}


def read(stub: StubPrometheus, alerts: list[Alert] | None = None) -> list[ModelStatus]:
    """Read the versions that a stub knows."""
    with serving(stub) as url:
        return read_models(Prometheus(url), 1, alerts or [])


def model(values: Mapping[str, float | str]) -> ModelStatus:
    """Read one version with these values."""
    (found,) = read(StubPrometheus(values={IRIS: values}, roles={IRIS: ("stable",)}))
    return found


def quality(**changed: float) -> Quality:
    """Read the quality of an accurate model with changes."""
    return model(ACCURATE | changed).quality


def test_everything_known_of_a_version_is_told() -> None:
    """Each number lands in its place, counts as whole numbers rounded down."""
    found = model(
        ACCURATE
        | {
            "is_scraped": 1,
            "loaded_timestamp_seconds": 1785000000.5,
            "requests_per_second": 4.25,
            "rows_per_second": 17.5,
            "error_ratio": 0.015,
            "latency_p95_seconds": 0.012,
            "latency_objective_seconds": 0.5,
            "label_coverage_ratio": 0.34,
            "label_delay_p50_seconds": 130.0,
            "label_delay_p90_seconds": 7000.0,
            "input_rows": 1200.9,
            "out_of_distribution_ratio": 0.02,
            "out_of_distribution_reference_ratio": 0.01,
            "out_of_distribution_z": 2.9,
        }
    )
    assert (found.model_name, found.model_version, found.roles) == ("iris", "7", ["stable"])
    assert found.is_scraped
    assert found.loaded_timestamp_seconds == 1785000000.5
    assert (found.traffic.requests_per_second, found.traffic.rows_per_second) == (4.25, 17.5)
    assert (found.traffic.error_ratio, found.traffic.latency_p95_seconds) == (0.015, 0.012)
    assert (found.traffic.latency_p95_objective_seconds, found.traffic.latency_verdict) == (0.5, "met")
    assert found.quality == Quality("accuracy", 0.91, 0.02, "1h", 211, 50, 0.85, "met")
    assert (found.labels.count_1h, found.labels.count_1d, found.labels.count_total) == (211, 3050, 9000)
    assert found.labels.coverage_ratio_7d == 0.34
    assert (found.labels.delay_p50_seconds_1d, found.labels.delay_p90_seconds_1d) == (130.0, 7000.0)
    assert (found.input.rows_1h, found.input.drift_1h) == (1200, None)
    assert (found.input.out_of_distribution_ratio_1h, found.input.out_of_distribution_z_1h) == (0.02, 2.9)
    assert (found.input.out_of_distribution_reference_ratio, found.input.out_of_distribution_verdict) == (
        0.01,
        "met",
    )


def test_an_external_version_that_nobody_asks_has_no_number_but_is_told() -> None:
    """Nothing that is missing, or not a number, becomes 0."""
    found = model({"error_ratio": "NaN", "latency_p95_seconds": "+Inf", "labels_total": 0})
    assert found.traffic.error_ratio is None
    assert found.traffic.latency_p95_seconds is None
    assert found.traffic.latency_verdict is None
    assert found.quality == Quality(None, None, None, None, None, 50, None, None)
    assert found.labels.count_total == 0
    assert found.input.out_of_distribution_verdict is None
    assert not found.is_scraped


@pytest.mark.parametrize(
    ("value", "bound", "verdict"),
    [(0.85, 0.9, "met"), (0.84, 0.86, "missed_within_chance"), (0.84, 0.8499, "missed")],
)
def test_accuracy_is_missed_when_even_its_upper_bound_is(value: float, bound: float, verdict: str) -> None:
    """The bound is the one that ModelAccuracyLow judges."""
    assert quality(accuracy_1h=value, accuracy_bound_1h=bound).verdict == verdict


@pytest.mark.parametrize(
    ("value", "bound", "verdict"),
    [(54.0, 50.0, "met"), (55.0, 53.0, "missed_within_chance"), (60.0, 54.5, "missed")],
)
def test_an_error_is_missed_when_even_its_lower_bound_is(value: float, bound: float, verdict: str) -> None:
    """A regression is judged by its mean absolute error."""
    values = {"mae_objective": 54.4, "mae_1h": value, "mae_stderr_1h": 1.5, "mae_bound_1h": bound}
    found = model({**values, "labels_1h": 70}).quality
    assert (found.signal, found.value, found.standard_error, found.verdict) == ("mae", value, 1.5, verdict)


def test_a_day_stands_in_for_an_hour_with_too_few_truths() -> None:
    """Value, error, sample and bound are all of the same window."""
    hour = {name: ACCURATE[name] for name in ("accuracy_objective", "labels_1h", "labels_1d")}
    day = {"accuracy_1d": 0.7, "accuracy_stderr_1d": 0.03, "accuracy_bound_1d": 0.8}
    found = model({**hour, **day, "labels_1h": 49.9}).quality
    assert found == Quality("accuracy", 0.7, 0.03, "1d", 3050, 50, 0.85, "missed")


@pytest.mark.parametrize(("hour", "day", "count"), [(49.9, 12.0, 49), (3.0, 20.6, 20), (0.0, 0.0, 0)])
def test_too_few_truths_are_counted_over_the_window_that_has_more(
    hour: float, day: float, count: int
) -> None:
    """There is no value, and no verdict, but the objective stands."""
    found = model({"accuracy_objective": 0.85, "labels_1h": hour, "labels_1d": day}).quality
    assert found == Quality("accuracy", None, None, None, count, 50, 0.85, None)


@pytest.mark.parametrize(
    ("p95", "requests", "verdict"),
    [(0.5, 900, "met"), (0.51, 20, "missed"), (0.51, 19, "missed_within_chance")],
)
def test_latency_is_judged_from_so_many_requests_on(p95: float, requests: float, verdict: str) -> None:
    """As PredictorLatencyHigh does."""
    values = {"latency_p95_seconds": p95, "latency_objective_seconds": 0.5, "latency_requests": requests}
    assert model(values).traffic.latency_verdict == verdict


@pytest.mark.parametrize(("z", "rows", "verdict"), [(3.1, 500, "missed"), (3.0, 500, "met"), (9, 490, "met")])
def test_out_of_distribution_is_judged_as_its_alert_judges_it(z: float, rows: float, verdict: str) -> None:
    """By standard errors above the reference, where that makes five rows expected."""
    reference = {"out_of_distribution_reference_ratio": 0.0101, "out_of_distribution_ratio": 0.5}
    found = model({**reference, "out_of_distribution_z": z, "input_rows": rows}).input
    assert found.out_of_distribution_verdict == verdict


def test_limits_are_those_of_the_rules() -> None:
    """What the command calls too few, the rules do not record and the alerts do not judge."""
    rules = {path.name: path.read_text() for path in (ROOT / "prometheus/rules").glob("*.yml")}
    needed = re.findall(r"\bmodel:ml_\w+:increase1h >= (\d+)", rules["quality_1h.recording.yml"])
    assert set(needed) == {str(LABELS_NEEDED)}
    assert f"seconds_count:increase5m >= {REQUESTS_NEEDED}" in rules["predictor.alerts.yml"]
    assert f"ml_out_of_distribution_per_input:z1h > {STANDARD_ERRORS}" in rules["model.alerts.yml"]
    assert f"reference_ratio:last1h >= {EXPECTED_NEEDED}" in rules["model.alerts.yml"]


def test_versions_stand_by_name_with_the_stable_one_first() -> None:
    """Whoever has no role stands last; replicas that differ show both roles, and `none` only alone."""
    roles = {
        ("b", "1"): ("none",),
        ("b", "2"): ("stable", "none"),
        ("b", "0"): ("shadow", "canary"),
        ("a", "9"): ("none",),
    }
    found = read(StubPrometheus(roles=roles))
    assert [(each.model_name, each.model_version, each.roles) for each in found] == [
        ("a", "9", ["none"]),
        ("b", "2", ["stable"]),
        ("b", "0", ["canary", "shadow"]),
        ("b", "1", ["none"]),
    ]


def test_requests_for_models_that_do_not_exist_are_no_version() -> None:
    """But a model may really be called so."""
    other = {("other", "other"): {"requests_per_second": 3.0}}
    assert read(StubPrometheus(values=other)) == []
    assert len(read(StubPrometheus(values=other, roles={("other", "other"): ("stable",)}))) == 1


def test_alerts_of_a_version_stand_with_it() -> None:
    """Each name once; a version that only an alert knows is told too."""
    alerts = [
        Alert("ModelInvalidOutputs", "critical", "nan", "iris", "7"),
        Alert("ModelInvalidOutputs", "critical", "bounds", "iris", "7"),
        Alert("ModelAccuracyLow", "critical", "", "iris", "7"),
        Alert("ModelLoadFailed", "critical", "", "iris", "8"),
        Alert("PredictorDown", "critical", "", None, None),
    ]
    found = read(StubPrometheus(roles={IRIS: ("stable",)}), alerts)
    assert [(each.model_version, each.roles, each.alerts) for each in found] == [
        ("7", ["stable"], ["ModelAccuracyLow", "ModelInvalidOutputs"]),
        ("8", [], ["ModelLoadFailed"]),
    ]


def test_one_request_reads_everything() -> None:
    """All numbers are of one moment."""
    stub = StubPrometheus(roles={IRIS: ("stable",)})
    read(stub)
    assert [path for path, _ in stub.questions] == ["/api/v1/query"]
