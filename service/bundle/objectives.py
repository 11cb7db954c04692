"""Suggests the objectives that travel with a model, and refuses those that chance alone would break."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, sqrt

import numpy as np
from numpy.typing import NDArray

from service.bundle.manifest import Signal
from service.bundle.signature import Task
from service.errors import PackError

REQUEST_DURATION_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bucket bounds of `ml_request_duration_seconds`; an objective between two cannot be judged."""

ACCURACY_CEILING = 0.85
ERROR_RATE_FLOOR = 0.20
LATENCY_SECONDS = 0.5
DRIFT = 0.1
STANDARD_ERRORS = 3


@dataclass(frozen=True)
class Measured:
    """A validation score with its standard error: accuracy, or mean absolute error for regression."""

    task: Task
    value: float
    standard_error: float


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


def choose_objectives(measured: Measured, given: Mapping[str, float]) -> dict[Signal, float]:
    """Suggest an objective per signal and let the given ones replace them.

    Raises:
        PackError: a given one is unknown, no bucket bound, or nearer than 3 standard errors to the score.
    """
    objectives = _suggested(measured, given)
    for signal in given:
        if signal not in _signals(measured.task):
            known = ", ".join(_signals(measured.task))
            raise PackError(f"there is no objective {signal!r} for this task; there are {known}")
    objectives.update({signal: given[signal] for signal in _signals(measured.task) if signal in given})
    latency = objectives["latency_p95_seconds"]
    if latency not in REQUEST_DURATION_BOUNDS:
        bounds = ", ".join(f"{bound:g}" for bound in REQUEST_DURATION_BOUNDS)
        raise PackError(
            f"the objective latency_p95_seconds={latency:g} is no bucket bound; take one of {bounds}"
        )
    if objectives["drift"] <= 0:
        raise PackError("the objective drift must be above 0")
    _refuse_what_chance_breaks(measured, objectives)
    return objectives


def _signals(task: Task) -> tuple[Signal, ...]:
    quality: tuple[Signal, ...] = ("mae",) if task == "regression" else ("accuracy", "error_rate")
    return (*quality, "latency_p95_seconds", "drift")


def _suggested(measured: Measured, given: Mapping[str, float]) -> dict[Signal, float]:
    margin = STANDARD_ERRORS * measured.standard_error
    always: dict[Signal, float] = {"latency_p95_seconds": LATENCY_SECONDS, "drift": DRIFT}
    if measured.task == "regression":
        return {"mae": _rounded_up(max(measured.value + margin, 1.1 * measured.value)), **always}
    accuracy = max(0.0, floor(min(ACCURACY_CEILING, measured.value - margin) * 10_000) / 10_000)
    accuracy = given.get("accuracy", accuracy)
    error_rate = min(1.0, round(max(ERROR_RATE_FLOOR, 1 - accuracy + 0.05), 4))
    return {"accuracy": accuracy, "error_rate": error_rate, **always}


def _refuse_what_chance_breaks(measured: Measured, objectives: Mapping[Signal, float]) -> None:
    margin = STANDARD_ERRORS * measured.standard_error
    if measured.task == "regression":
        limits = {"mae": (measured.value + margin, objectives["mae"])}
    else:
        limits = {
            "accuracy": (objectives["accuracy"], max(0.0, measured.value - margin)),
            "error_rate": (min(1.0, 1 - measured.value + margin), objectives["error_rate"]),
        }
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
