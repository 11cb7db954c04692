"""Suggests the objectives that travel with a model, and refuses those that chance alone would break."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt

import numpy as np
from numpy.typing import NDArray

from service.bundle.manifest import Signal
from service.bundle.reference import ConfidenceBin
from service.bundle.signature import Task
from service.errors import PackError

REQUEST_DURATION_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bucket bounds of `ml_request_duration_seconds`; an objective between two cannot be judged."""

ACCURACY_CEILING = 0.85
ERROR_RATE_FLOOR = 0.20
CALIBRATION_ERROR_FLOOR = 0.05
LATENCY_SECONDS = 0.5
DRIFT = 0.1
STANDARD_ERRORS = 3
_ALWAYS: dict[Signal, float] = {"latency_p95_seconds": LATENCY_SECONDS, "drift": DRIFT}


@dataclass(frozen=True)
class MeasuredCalibration:
    """The expected calibration error on validation rows, with its standard deviation by chance."""

    value: float
    stddev: float


@dataclass(frozen=True)
class Measured:
    """A validation score with its standard error: accuracy, or mean absolute error for regression."""

    task: Task
    value: float
    standard_error: float
    calibration: MeasuredCalibration | None = None
    """Of a classification whose confidence is known."""


def measured_accuracy(task: Task, is_correct: NDArray[np.bool_]) -> Measured:
    """Measure accuracy on n validation rows, shape (n,)."""
    count = len(is_correct)
    # Of smoothed counts: without an error in a small sample the plain standard error would be 0.
    smoothed = (float(is_correct.sum()) + 0.5) / (count + 1)
    return Measured(task, float(is_correct.mean()), sqrt(smoothed * (1 - smoothed) / count))


def measured_mae(errors: NDArray[np.float64]) -> Measured:
    """Measure the mean absolute error on n validation rows, shape (n,)."""
    absolute = np.abs(errors)
    return Measured("regression", float(absolute.mean()), float(absolute.std() / sqrt(len(absolute))))


def measured_calibration(bins: Sequence[ConfidenceBin]) -> MeasuredCalibration:
    """Measure the expected calibration error as the rules do, of the bins of at least one row."""
    rows = sum(part.rows for part in bins)
    gaps = sum(abs(part.correct - part.confidence_sum) for part in bins)
    # How much the correct ones of a bin vary by chance; 0.6028 is the standard deviation of |z|.
    variances = [
        max(0.0, part.confidence_sum * (1 - part.confidence_sum / part.rows)) for part in bins if part.rows
    ]
    return MeasuredCalibration(gaps / rows, 0.6028 * sqrt(sum(variances)) / rows)


def choose_objectives(
    measured: Measured, given: Mapping[str, float], *, has_confidence: bool
) -> dict[Signal, float]:
    """Suggest an objective per signal and let the given ones replace them.

    Args:
        measured: what validation rows gave.
        given: by signal, from the user.
        has_confidence: predictions come with a confidence, whether or not it was measured.

    Raises:
        PackError: a given one is unknown, out of bounds, or nearer than 3 standard errors to the score.
    """
    signals = _signals(measured.task, has_confidence)
    objectives = _replaced(signals, _suggested(measured, given), given)
    _refuse_what_chance_breaks(measured, objectives)
    return objectives


def choose_unmeasured_objectives(task: Task, given: Mapping[str, float]) -> dict[Signal, float]:
    """Take the defaults where nothing was measured and let the given objectives replace them.

    Raises:
        PackError: a given one is unknown or out of bounds, or none is given for a mean absolute error.
    """
    if task == "regression" and "mae" not in given:
        raise PackError(
            "nothing tells how large an error is normal: give --prediction COLUMN, or --objective mae=VALUE"
        )
    is_regression = task == "regression"
    suggested = _ALWAYS if is_regression else _of_classes(ACCURACY_CEILING, None, given)
    return _replaced(_signals(task, has_confidence=not is_regression), suggested, given)


def _replaced(
    signals: Sequence[Signal], suggested: Mapping[Signal, float], given: Mapping[str, float]
) -> dict[Signal, float]:
    """Let the given objectives replace the suggested ones, in the order of the signals."""
    for signal in given:
        if signal not in signals:
            known = ", ".join(signals)
            raise PackError(f"there is no objective {signal!r} for this model; there are {known}")
    chosen = ((signal, given.get(signal, suggested.get(signal))) for signal in signals)
    objectives = {signal: value for signal, value in chosen if value is not None}
    _refuse_out_of_bounds(objectives)
    return objectives


def _refuse_out_of_bounds(objectives: Mapping[Signal, float]) -> None:
    latency = objectives["latency_p95_seconds"]
    if latency not in REQUEST_DURATION_BOUNDS:
        bounds = ", ".join(f"{bound:g}" for bound in REQUEST_DURATION_BOUNDS)
        raise PackError(
            f"the objective latency_p95_seconds={latency:g} is no bucket bound; take one of {bounds}"
        )
    for signal, value in objectives.items():
        if signal in {"accuracy", "error_rate"} and not 0 <= value <= 1:
            raise PackError(f"the objective {signal}={value:g} is no share between 0 and 1")
        if signal == "calibration_error" and not 0 < value <= 1:
            raise PackError(f"the objective {signal}={value:g} must be above 0 and at most 1")
        if signal in {"mae", "drift", "label_delay_seconds"} and value <= 0:
            raise PackError(f"the objective {signal} must be above 0")


def _signals(task: Task, has_confidence: bool) -> tuple[Signal, ...]:
    quality: tuple[Signal, ...] = ("mae",) if task == "regression" else ("accuracy", "error_rate")
    calibration: tuple[Signal, ...] = ("calibration_error",) if has_confidence else ()
    return (*quality, *calibration, "latency_p95_seconds", "drift", "label_delay_seconds")


def _suggested(measured: Measured, given: Mapping[str, float]) -> dict[Signal, float]:
    margin = STANDARD_ERRORS * measured.standard_error
    if measured.task == "regression":
        return {"mae": _rounded_up(max(measured.value + margin, 1.1 * measured.value)), **_ALWAYS}
    accuracy = max(0.0, floor(min(ACCURACY_CEILING, measured.value - margin) * 10_000) / 10_000)
    return _of_classes(accuracy, measured.calibration, given)


def _of_classes(
    suggested: float, calibration: MeasuredCalibration | None, given: Mapping[str, float]
) -> dict[Signal, float]:
    accuracy = given.get("accuracy", suggested)
    error_rate = min(1.0, round(max(ERROR_RATE_FLOOR, 1 - accuracy + 0.05), 4))
    measured = 0.0 if calibration is None else ceil(_calibration_limit(calibration) * 10_000) / 10_000
    return {
        "accuracy": accuracy,
        "error_rate": error_rate,
        "calibration_error": max(CALIBRATION_ERROR_FLOOR, measured),
        **_ALWAYS,
    }


def _calibration_limit(calibration: MeasuredCalibration) -> float:
    return min(1.0, calibration.value + STANDARD_ERRORS * calibration.stddev)


def _refuse_what_chance_breaks(measured: Measured, objectives: Mapping[Signal, float]) -> None:
    margin = STANDARD_ERRORS * measured.standard_error
    if measured.task == "regression":
        limits = {"mae": (measured.value + margin, objectives["mae"])}
    else:
        limits = {
            "accuracy": (objectives["accuracy"], max(0.0, measured.value - margin)),
            "error_rate": (min(1.0, 1 - measured.value + margin), objectives["error_rate"]),
        }
        if measured.calibration is not None:
            limit = _calibration_limit(measured.calibration)
            limits["calibration_error"] = (limit, objectives["calibration_error"])
    for signal, (smaller, larger) in limits.items():
        if smaller > larger + 1e-12:
            is_floor = signal == "accuracy"
            given, side, limit = (smaller, "at most", larger) if is_floor else (larger, "at least", smaller)
            raise PackError(
                f"the objective {signal}={given:g} is nearer than {STANDARD_ERRORS} standard errors to the "
                f"validation score: chance alone would break it; take {side} {limit:.4f}"
            )


def _rounded_up(value: float) -> float:
    """Round up to four significant digits."""
    digits = 3 - int(np.floor(np.log10(value))) if value > 0 else 4
    return round(value + 0.5 * 10.0**-digits, digits)
