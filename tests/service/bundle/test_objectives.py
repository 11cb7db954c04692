"""Objectives: suggested so that chance does not break them, refused where it would."""

from __future__ import annotations

import numpy as np
import pytest

from service.bundle.objectives import (
    REQUEST_DURATION_BOUNDS,
    Measured,
    choose_objectives,
    measured_accuracy,
    measured_mae,
)
from service.errors import PackError
from service.observability.metric_names import ML_REQUEST_DURATION


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
    objectives = choose_objectives(Measured("binary", value, standard_error), {})
    assert objectives["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert objectives["error_rate"] == pytest.approx(error_rate, abs=1e-4)
    assert objectives["latency_p95_seconds"] == 0.5
    assert objectives["drift"] == 0.1
    assert "mae" not in objectives


@pytest.mark.parametrize(("value", "standard_error", "mae"), [(40.0, 0.5, 44.0), (40.0, 3.0, 49.0)])
def test_mae_is_suggested_above_the_score(value: float, standard_error: float, mae: float) -> None:
    """Three standard errors above, and at least 10 %."""
    objectives = choose_objectives(Measured("regression", value, standard_error), {})
    assert objectives["mae"] == pytest.approx(mae, rel=1e-3)
    assert set(objectives) == {"mae", "latency_p95_seconds", "drift"}


def test_given_objectives_replace_the_suggested_ones() -> None:
    """A given accuracy moves the suggested error rate with it."""
    given = {"accuracy": 0.7, "latency_p95_seconds": 0.025, "drift": 0.3}
    objectives = choose_objectives(Measured("binary", 0.97, 0.01), given)
    assert objectives == {"accuracy": 0.7, "error_rate": 0.35, "latency_p95_seconds": 0.025, "drift": 0.3}


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        ("binary", {"accuracy": 0.95}, "accuracy=0.95 is nearer than 3 standard errors.* at most 0.9400"),
        ("binary", {"error_rate": 0.05}, "error_rate=0.05 is nearer .* at least 0.0600"),
        ("regression", {"mae": 0.98}, "mae=0.98 is nearer .* at least 1.0000"),
        (
            "binary",
            {"latency_p95_seconds": 0.3},
            "latency_p95_seconds=0.3 is no bucket bound; take one of 0.0005",
        ),
        ("binary", {"mae": 3.0}, "no objective 'mae' for this task"),
        ("regression", {"accuracy": 0.5}, "no objective 'accuracy' for this task"),
        ("binary", {"speed": 1.0}, "no objective 'speed'"),
        ("binary", {"drift": 0.0}, "drift must be above 0"),
    ],
)
def test_objective_that_cannot_hold_is_refused(task: str, given: dict[str, float], message: str) -> None:
    """The line says what would do."""
    measured = Measured("binary", 0.97, 0.01) if task == "binary" else Measured("regression", 0.97, 0.01)
    with pytest.raises(PackError, match=message):
        choose_objectives(measured, given)


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
