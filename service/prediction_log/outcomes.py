"""What one counted truth adds to which counter: arithmetic on an id and a value, without a database.

A cell names one number of one model version:

- `("ground_truth", result)`: truths received, by what became of them;
- `("class", name, aspect)`: counted truths of a class, aspect `actual`, `predicted` or `correct`;
- `("outcome", predicted, actual)`: the confusion matrix of a model of up to 20 classes;
- `("over",)`, `("under",)`, `("squared_error",)`: error sums in reference standard deviations (regression);
- `("score", "positive" or "negative", bucket)`, `("score_sum", ...)`: log-odds of the second class (binary);
- `("calibration_predictions", bin)`, `("calibration_correct", bin)`, `("calibration_confidence", bin)`;
- `("squared_probability_error",)`;
- `("delay", bucket)`, `("delay_sum",)`: seconds from the prediction to its truth.

A bucket is the index of its upper bound, "0" first; the one after the last bound holds the rest. Buckets
are not cumulative. This module needs the standard library only: the metric definitions take their bounds
from it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from service.prediction_log.ids import PredictionId
    from service.prediction_log.versions import KnownVersion

Cell = tuple[str, ...]
Cells = dict[Cell, float]
TruthResult = Literal["counted", "duplicate", "conflict", "revised", "unknown_version", "invalid"]
TRUTH_RESULTS: tuple[TruthResult, ...] = get_args(TruthResult)

MATRIX_CLASSES = 20
"""Most classes of a model that has a confusion matrix."""
# A hundred bins of equal width in the log-odds; AUC from them is off by at most 0.004 in a window of 500.
SCORE_BOUNDS = tuple(round(0.24 * step - 12.0, 2) for step in range(101))
# Confidence bins of the calibration, the same as in a bundle's reference; `bin` is the upper bound.
CALIBRATION_BOUNDS = tuple(step / 20 for step in range(1, 21))
# From a second to a quarter of a year: labels come from clicks, from people, from courts.
DELAY_BOUNDS = (
    1.0,
    5.0,
    15.0,
    60.0,
    300.0,
    900.0,
    3600.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    345_600.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
    7_776_000.0,
)
# A sum that stays finite where a probability is 0 or 1; buckets end at 12.
_LOG_ODDS_LIMIT = 16.0


def zero_cells(version: KnownVersion | None) -> Cells:
    """Name every cell of a version, at 0, so that each series exists before its first truth.

    Args:
        version: the version; None for truths whose version is unknown.
    """
    names: list[Cell] = [("ground_truth", result) for result in TRUTH_RESULTS]
    if version is not None:
        names += [*_delay_cells(), *_task_cells(version)]
        if version.has_confidence:
            names += _confidence_cells(version)
    return dict.fromkeys(names, 0)


def counted_cells(
    version: KnownVersion, prediction: PredictionId, truth: Any, received_timestamp: float
) -> Cells | None:
    """Compute what one truth adds.

    Args:
        version: whose prediction it was.
        prediction: what the id says.
        truth: the JSON value that was posted.
        received_timestamp: when, Unix seconds.

    Returns:
        The increments, `("ground_truth", "counted")` among them; None if id or truth do not belong to this
        version (its bundle was replaced by one with other classes), or a sum would not stay finite.
    """
    if version.truth_problem(truth) is not None:
        return None
    if version.signature.classes is None:
        cells = _regression_increments(version, prediction.value, truth)
    elif prediction.class_index < len(version.signature.classes):
        cells = _classification_increments(version, prediction, version.class_index(truth))
    else:
        return None
    # The clocks of two hosts differ, and a clock may be set back.
    delay = max(received_timestamp - prediction.timestamp, 0.0)
    cells |= {
        ("ground_truth", "counted"): 1,
        ("delay", str(bisect_left(DELAY_BOUNDS, delay))): 1,
        ("delay_sum",): delay,
    }
    return cells if all(math.isfinite(value) for value in cells.values()) else None


def _regression_increments(version: KnownVersion, predicted: float, actual: float) -> Cells:
    error = (predicted - actual) / version.target_stddev
    # By multiplication: a power raises where a product is infinite.
    return {("over",): max(error, 0.0), ("under",): max(-error, 0.0), ("squared_error",): error * error}


def _classification_increments(version: KnownVersion, prediction: PredictionId, actual: int) -> Cells:
    names = version.signature.class_names
    predicted = prediction.class_index
    is_correct = predicted == actual
    cells: Cells = {
        ("class", names[actual], "actual"): 1,
        ("class", names[predicted], "predicted"): 1,
    }
    if is_correct:
        cells["class", names[actual], "correct"] = 1
    if len(names) <= MATRIX_CLASSES:
        cells["outcome", names[predicted], names[actual]] = 1
    confidence = prediction.confidence
    if version.has_confidence and confidence is not None:
        cells |= _calibration_increments(confidence, is_correct)
        if _is_binary(version):
            cells |= _score_increments(confidence if predicted == 1 else 1.0 - confidence, actual)
    return cells


def _calibration_increments(confidence: float, is_correct: bool) -> Cells:
    name = repr(CALIBRATION_BOUNDS[bisect_left(CALIBRATION_BOUNDS, confidence)])
    cells: Cells = {
        ("calibration_predictions", name): 1,
        ("calibration_confidence", name): confidence,
        ("squared_probability_error",): (confidence - is_correct) ** 2,
    }
    if is_correct:
        cells["calibration_correct", name] = 1
    return cells


def _score_increments(probability: float, actual: int) -> Cells:
    side = _side(actual)
    if 0.0 < probability < 1.0:
        log_odds = math.log(probability / (1.0 - probability))
        score = min(max(log_odds, -_LOG_ODDS_LIMIT), _LOG_ODDS_LIMIT)
    else:
        score = _LOG_ODDS_LIMIT if probability > 0.0 else -_LOG_ODDS_LIMIT
    return {("score", side, str(bisect_left(SCORE_BOUNDS, score))): 1, ("score_sum", side): score}


def _delay_cells() -> list[Cell]:
    return [*[("delay", str(index)) for index in range(len(DELAY_BOUNDS) + 1)], ("delay_sum",)]


def _task_cells(version: KnownVersion) -> list[Cell]:
    names = version.signature.class_names
    if not names:
        return [("over",), ("under",), ("squared_error",)]
    cells: list[Cell] = [
        ("class", name, aspect) for name in names for aspect in ("actual", "predicted", "correct")
    ]
    if len(names) <= MATRIX_CLASSES:
        cells += [("outcome", predicted, actual) for predicted in names for actual in names]
    return cells


def _confidence_cells(version: KnownVersion) -> list[Cell]:
    kinds = ("calibration_predictions", "calibration_correct", "calibration_confidence")
    cells: list[Cell] = [(kind, repr(bound)) for kind in kinds for bound in CALIBRATION_BOUNDS]
    cells.append(("squared_probability_error",))
    if _is_binary(version):
        for side in (_side(0), _side(1)):
            cells += [("score", side, str(index)) for index in range(len(SCORE_BOUNDS) + 1)]
            cells.append(("score_sum", side))
    return cells


def _is_binary(version: KnownVersion) -> bool:
    return len(version.signature.classes or ()) == 2


def _side(class_index: int) -> str:
    return "positive" if class_index == 1 else "negative"
