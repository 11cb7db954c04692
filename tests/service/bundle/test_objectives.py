"""Objectives: suggested so that chance does not break them, refused where it would."""

from __future__ import annotations

import numpy as np
import pytest

from service.bundle.manifest import Signal
from service.bundle.objectives import (
    REQUEST_DURATION_BOUNDS,
    Measured,
    MeasuredCalibration,
    choose_objectives,
    choose_unmeasured_objectives,
    measured_accuracy,
    measured_calibration,
    measured_mae,
)
from service.bundle.reference import ConfidenceBin
from service.bundle.signature import Task
from service.errors import PackError
from service.observability.metric_names import ML_REQUEST_DURATION


def chosen(measured: Measured, given: dict[str, float]) -> dict[Signal, float]:
    """Choose for a model whose confidence is known, unless it is a regression."""
    return choose_objectives(measured, given, has_confidence=measured.task != "regression")


def test_latency_bounds_are_those_of_the_histogram() -> None:
    """An objective that is no bucket bound could not be judged."""
    assert ML_REQUEST_DURATION.bounds == REQUEST_DURATION_BOUNDS


@pytest.mark.parametrize(
    ("value", "standard_error", "accuracy", "error_rate"),
    [(0.97, 0.01, 0.85, 0.20), (0.87, 0.01, 0.84, 0.21), (0.60, 0.05, 0.45, 0.60), (0.30, 0.11, 0.0, 1.0)],
)
def test_accuracy_is_suggested_below_the_score(
    value: float, standard_error: float, accuracy: float, error_rate: float
) -> None:
    """The lower of 0.85 and three standard errors below; the error rate leaves 0.05 more."""
    objectives = chosen(Measured("binary", value, standard_error), {})
    assert objectives["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert objectives["error_rate"] == pytest.approx(error_rate, abs=1e-4)
    assert objectives["latency_p95_seconds"] == 0.5
    assert objectives["drift"] == 0.1
    assert "mae" not in objectives


@pytest.mark.parametrize(("value", "standard_error", "mae"), [(40.0, 0.5, 44.0), (40.0, 3.0, 49.0)])
def test_mae_is_suggested_above_the_score(value: float, standard_error: float, mae: float) -> None:
    """Three standard errors above, and at least 10 %."""
    objectives = chosen(Measured("regression", value, standard_error), {})
    assert objectives["mae"] == pytest.approx(mae, rel=1e-3)
    assert set(objectives) == {"mae", "latency_p95_seconds", "drift"}


def test_given_objectives_replace_the_suggested_ones() -> None:
    """A given accuracy moves the suggested error rate with it."""
    given = {"accuracy": 0.7, "calibration_error": 0.08, "latency_p95_seconds": 0.025, "drift": 0.3}
    objectives = chosen(Measured("binary", 0.97, 0.01), given)
    assert objectives == {**given, "error_rate": 0.35}


@pytest.mark.parametrize(
    ("calibration", "suggested"),
    [
        (MeasuredCalibration(0.02, 0.009), 0.05),
        (MeasuredCalibration(0.02, 0.0101), 0.0503),
        (MeasuredCalibration(0.13479, 0.0245), 0.2083),
        (MeasuredCalibration(0.9, 0.1), 1.0),
        (None, 0.05),
    ],
)
def test_calibration_error_is_suggested_above_the_measured_one(
    calibration: MeasuredCalibration | None, suggested: float
) -> None:
    """The higher of 0.05 and three standard deviations above, rounded up: a bad one may be packed."""
    assert chosen(Measured("binary", 0.97, 0.01, calibration), {})["calibration_error"] == suggested


def test_model_without_confidence_has_no_calibration_to_keep() -> None:
    """Nothing is suggested, and one that is given is refused."""
    measured = Measured("multiclass", 0.97, 0.01)
    assert "calibration_error" not in choose_objectives(measured, {}, has_confidence=False)
    with pytest.raises(
        PackError, match="no objective 'calibration_error' for this model; there are accuracy"
    ):
        choose_objectives(measured, {"calibration_error": 0.1}, has_confidence=False)


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        ("binary", {"accuracy": 0.95}, "accuracy=0.95 is nearer than 3 standard errors.* at most 0.9400"),
        ("binary", {"error_rate": 0.05}, "error_rate=0.05 is nearer .* at least 0.0600"),
        (
            "binary",
            {"calibration_error": 0.06},
            "calibration_error=0.06 is nearer than 3 .* score: .* at least 0.0700",
        ),
        ("binary", {"calibration_error": 0.0}, "calibration_error=0 must be above 0 and at most 1"),
        ("binary", {"calibration_error": 1.1}, "calibration_error=1.1 must be above 0 and at most 1"),
        ("regression", {"calibration_error": 0.1}, "no objective 'calibration_error' for this model"),
        ("regression", {"mae": 0.98}, "mae=0.98 is nearer .* at least 1.0000"),
        (
            "binary",
            {"latency_p95_seconds": 0.3},
            "latency_p95_seconds=0.3 is no bucket bound; take one of 0.0005",
        ),
        ("binary", {"mae": 3.0}, "no objective 'mae' for this model"),
        ("regression", {"accuracy": 0.5}, "no objective 'accuracy' for this model"),
        ("binary", {"speed": 1.0}, "no objective 'speed'"),
        ("binary", {"drift": 0.0}, "drift must be above 0"),
        ("binary", {"label_delay_seconds": 0.0}, "label_delay_seconds must be above 0"),
        ("binary", {"accuracy": -0.1}, "accuracy=-0.1 is no share between 0 and 1"),
        ("binary", {"error_rate": 20.0}, "error_rate=20 is no share between 0 and 1"),
    ],
)
def test_objective_that_cannot_hold_is_refused(task: str, given: dict[str, float], message: str) -> None:
    """The line says what would do."""
    calibration = MeasuredCalibration(0.04, 0.01)
    measured = {
        "binary": Measured("binary", 0.97, 0.01, calibration),
        "regression": Measured("regression", 0.97, 0.01),
    }
    with pytest.raises(PackError, match=message):
        chosen(measured[task], given)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_label_delay_is_taken_for_every_task_and_never_suggested(task: Task) -> None:
    """Only who waits for the truth knows how long that may take."""
    measured = Measured(task, 0.97, 0.01)
    assert "label_delay_seconds" not in chosen(measured, {})
    assert chosen(measured, {"label_delay_seconds": 172800.0})["label_delay_seconds"] == 172800


@pytest.mark.parametrize(
    ("given", "accuracy", "error_rate"),
    [
        ({}, 0.85, 0.20),
        ({"accuracy": 0.7}, 0.7, 0.35),
        ({"accuracy": 0.97}, 0.97, 0.20),
        ({"error_rate": 0.1}, 0.85, 0.1),
    ],
)
def test_without_a_measurement_the_defaults_hold(
    given: dict[str, float], accuracy: float, error_rate: float
) -> None:
    """A given accuracy moves the error rate with it, as elsewhere; no chance is known to refuse it."""
    assert choose_unmeasured_objectives("binary", given) == {
        "accuracy": accuracy,
        "error_rate": error_rate,
        "calibration_error": 0.05,
        "latency_p95_seconds": 0.5,
        "drift": 0.1,
    }


def test_without_a_measurement_any_calibration_error_may_be_given() -> None:
    """Predictions that are logged may have a confidence."""
    assert choose_unmeasured_objectives("binary", {"calibration_error": 0.01})["calibration_error"] == 0.01


def test_without_a_measurement_a_mean_absolute_error_must_be_given() -> None:
    """No default fits every unit."""
    with pytest.raises(PackError, match="give --prediction COLUMN, or --objective mae=VALUE"):
        choose_unmeasured_objectives("regression", {"drift": 0.3})
    assert choose_unmeasured_objectives("regression", {"mae": 2.5, "label_delay_seconds": 60.0}) == {
        "mae": 2.5,
        "latency_p95_seconds": 0.5,
        "drift": 0.1,
        "label_delay_seconds": 60.0,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mae": 3.0}, "no objective 'mae' for this model"),
        ({"latency_p95_seconds": 0.3}, "is no bucket bound"),
        ({"accuracy": 1.5}, "is no share"),
    ],
)
def test_unmeasured_objectives_are_checked_as_well(given: dict[str, float], message: str) -> None:
    """The same lines."""
    with pytest.raises(PackError, match=message):
        choose_unmeasured_objectives("binary", given)


def test_standard_error_of_a_perfect_score_is_not_zero() -> None:
    """Twenty right of twenty do not prove an accuracy of 1."""
    measured = measured_accuracy("binary", np.ones(20, dtype=bool))
    assert measured.value == 1.0
    assert 0.03 < measured.standard_error < 0.05


def test_accuracy_and_its_standard_error() -> None:
    """Seven right of ten."""
    measured = measured_accuracy("multiclass", np.array([True] * 70 + [False] * 30))
    assert measured.value == pytest.approx(0.7)
    assert measured.standard_error == pytest.approx((0.7 * 0.3 / 100) ** 0.5, rel=0.01)


def test_mae_and_its_standard_error() -> None:
    """Errors count without their sign."""
    measured = measured_mae(np.array([1.0, -3.0, 1.0, -3.0]))
    assert measured.value == pytest.approx(2.0)
    assert measured.standard_error == pytest.approx(0.5)


def test_calibration_error_is_that_of_the_rules() -> None:
    """The gaps of all bins, and 0.6028 * sqrt(sum of C * (1 - C/n)), over the rows; an empty bin is none."""
    bins = (
        ConfidenceBin(lower=0.5, upper=0.55, rows=0, correct=0, confidence_sum=0.0),
        ConfidenceBin(lower=0.75, upper=0.8, rows=40, correct=36, confidence_sum=32.0),
        ConfidenceBin(lower=0.95, upper=1.0, rows=60, correct=54, confidence_sum=60.0),
    )
    measured = measured_calibration(bins)
    assert measured.value == pytest.approx((4 + 6) / 100)
    assert measured.stddev == pytest.approx(0.6028 * (32 * 0.2) ** 0.5 / 100)
