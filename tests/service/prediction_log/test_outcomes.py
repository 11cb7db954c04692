"""What a truth adds to which cell."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from service.prediction_log.ids import PredictionId
from service.prediction_log.outcomes import (
    DELAY_BOUNDS,
    SCORE_BOUNDS,
    TRUTH_RESULTS,
    Cells,
    counted_cells,
    zero_cells,
)
from service.prediction_log.truth_rules import read_stored_id
from service.prediction_log.versions import KnownVersion
from tests.service.prediction_log.logged_rows import LOANS, NOON, PRICES, TREES, known_version, prediction_id

MANY = known_version("many", tuple(f"class {index}" for index in range(21)))
NUMBERED = known_version("numbered", (7, 3), has_confidence=False)


def predicted(version: KnownVersion, outcome: float, **options: Any) -> PredictionId:
    """Make what an id says."""
    return read_stored_id(prediction_id(version, outcome, **options))


def cells_of(
    version: KnownVersion, outcome: float, truth: Any, delay: float = 700.0, **options: Any
) -> Cells:
    """Count one truth that must fit, `delay` seconds after its prediction."""
    cells = counted_cells(version, predicted(version, outcome, **options), truth, NOON + delay)
    assert cells is not None
    return cells


def test_right_class() -> None:
    """Actual, predicted and correct, and the diagonal of the matrix."""
    cells = cells_of(TREES, 1, "birch", confidence=0.84)
    assert {
        cell: value for cell, value in cells.items() if cell[0] in {"class", "outcome", "ground_truth"}
    } == {
        ("ground_truth", "counted"): 1,
        ("class", "birch", "actual"): 1,
        ("class", "birch", "predicted"): 1,
        ("class", "birch", "correct"): 1,
        ("outcome", "birch", "birch"): 1,
    }
    assert cells["calibration_predictions", "0.85"] == cells["calibration_correct", "0.85"] == 1
    assert cells["calibration_confidence", "0.85"] == pytest.approx(0.84, abs=2e-4)
    assert cells["squared_probability_error",] == pytest.approx(0.16**2, abs=2e-4)


def test_wrong_class() -> None:
    """Nothing is correct, and the matrix names predicted before actual."""
    cells = cells_of(TREES, 2, "ash", confidence=0.6)
    assert cells["outcome", "cedar", "ash"] == 1
    assert cells["class", "cedar", "predicted"] == cells["class", "ash", "actual"] == 1
    assert not [cell for cell in cells if "correct" in cell or cell[0] == "calibration_correct"]
    assert cells["squared_probability_error",] == pytest.approx(0.36, abs=4e-4)


def test_no_score_without_two_classes() -> None:
    """AUC is for binary models."""
    assert not [cell for cell in cells_of(TREES, 1, "ash") if cell[0].startswith("score")]


@pytest.mark.parametrize(
    ("outcome", "confidence", "truth", "side", "log_odds"),
    [
        (1, 0.9, True, "positive", math.log(9)),
        (1, 0.9, False, "negative", math.log(9)),
        (0, 0.8, False, "negative", -math.log(4)),
        (0, 0.8, True, "positive", -math.log(4)),
    ],
)
def test_score_is_of_the_second_class(
    outcome: int, confidence: float, truth: bool, side: str, log_odds: float
) -> None:
    """By the actual class, in the bucket whose upper bound is the first that is not below."""
    cells = cells_of(LOANS, outcome, truth, confidence=confidence)
    assert cells["score", side, str(bisect_left(SCORE_BOUNDS, log_odds))] == 1
    assert cells["score_sum", side] == pytest.approx(log_odds, abs=1e-3)
    assert len([cell for cell in cells if cell[0].startswith("score")]) == 2


@pytest.mark.parametrize(("outcome", "bucket", "log_odds"), [(0, "0", -16.0), (1, "101", 16.0)])
def test_certain_predictions_stay_finite(outcome: int, bucket: str, log_odds: float) -> None:
    """A probability of exactly 0 or 1 falls in the first or last bucket."""
    cells = cells_of(LOANS, outcome, True, confidence=1.0)
    assert cells["score", "positive", bucket] == 1
    assert cells["score_sum", "positive"] == log_odds
    assert cells["calibration_predictions", "1.0"] == 1


def test_buckets_give_the_area_under_the_curve() -> None:
    """The AUC from the histogram is that of the scores themselves."""
    generator = np.random.default_rng(3)
    actual = generator.random(3000) < 0.3
    probability = 1 / (1 + np.exp(-(generator.normal(0, 1.5, 3000) + 1.7 * actual - 1.2)))
    counts = {"positive": np.zeros(102), "negative": np.zeros(102)}
    for is_positive, share in zip(actual.tolist(), probability.tolist(), strict=True):
        outcome = int(share >= 0.5)
        cells = cells_of(LOANS, outcome, is_positive, confidence=share if outcome else 1 - share)
        (cell,) = [cell for cell in cells if cell[0] == "score"]
        counts[cell[1]][int(cell[2])] += 1
    positive, negative = counts["positive"], counts["negative"]
    below = np.cumsum(negative) - negative
    area = (positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum())
    assert area == pytest.approx(roc_auc_score(actual, probability), abs=0.001)


@pytest.mark.parametrize(
    ("confidence", "name"), [(0.0, "0.05"), (0.35, "0.35"), (0.351, "0.4"), (0.949, "0.95"), (1.0, "1.0")]
)
def test_calibration_bins_hold_their_upper_bound(confidence: float, name: str) -> None:
    """As `le` does."""
    exact = replace(predicted(TREES, 0), confidence=confidence)
    cells = counted_cells(TREES, exact, "ash", NOON)
    assert cells is not None
    assert [cell[1] for cell in cells if cell[0].startswith("calibration")] == [name] * 3


@pytest.mark.parametrize(("number", "over", "under"), [(14.0, 1.5, 0.0), (2.0, 0.0, 1.5), (8.0, 0.0, 0.0)])
def test_errors_are_in_units_of_the_target(number: float, over: float, under: float) -> None:
    """Four units are one standard deviation; each side has its sum."""
    cells = cells_of(PRICES, number, 8)
    assert cells["over",] == over
    assert cells["under",] == under
    assert cells["squared_error",] == (over + under) ** 2
    assert not [cell for cell in cells if cell[0] in {"class", "outcome", "calibration_predictions"}]


@pytest.mark.parametrize(
    ("delay", "bucket"),
    [(-3600.0, 0), (0.0, 0), (1.0, 0), (4.0, 1), (60.0, 3), (61.0, 4), (7_776_000.0, 16), (1e8, 17)],
)
def test_delay(delay: float, bucket: int) -> None:
    """A clock that was set back gives no negative delay."""
    cells = cells_of(PRICES, 1.0, 2.0, delay)
    assert cells["delay", str(bucket)] == 1
    assert cells["delay_sum",] == pytest.approx(max(delay, 0.0), abs=0.01)


def test_more_than_twenty_classes_have_no_matrix() -> None:
    """Their classes are counted all the same."""
    cells = cells_of(MANY, 20, "class 3")
    assert cells["class", "class 20", "predicted"] == 1
    assert not [cell for cell in [*cells, *zero_cells(MANY)] if cell[0] == "outcome"]


def test_without_confidence_there_is_no_calibration() -> None:
    """Neither for a model that has none, nor for a prediction that came without one."""
    lone = cells_of(NUMBERED, 1, 3)
    assert lone["class", "3", "correct"] == 1
    bare = counted_cells(TREES, predicted(TREES, 1, confidence=None), "birch", NOON)
    assert bare is not None
    for cells in (lone, bare, zero_cells(NUMBERED)):
        assert not [cell for cell in cells if cell[0].startswith(("calibration", "squared", "score"))]


@pytest.mark.parametrize(
    ("version", "outcome", "truth"),
    [
        (TREES, 3, "ash"),
        (TREES, 2**63, "ash"),
        (TREES, 0, "oak"),
        (LOANS, 0, 0),
        (PRICES, 1.0, "much"),
        (PRICES, 1.0, 1e31),
        (PRICES, math.inf, 1.0),
        (PRICES, math.nan, 1.0),
        (PRICES, 1e200, 1.0),
    ],
)
def test_what_does_not_fit_counts_nothing(version: KnownVersion, outcome: float, truth: Any) -> None:
    """A bundle may have been replaced by one with other classes, and no sum ever becomes infinite."""
    assert counted_cells(version, predicted(version, outcome), truth, NOON) is None


@pytest.mark.parametrize(
    "version", [TREES, LOANS, PRICES, MANY, NUMBERED], ids=lambda one: one.key.model_name
)
def test_every_cell_exists_from_the_start(version: KnownVersion) -> None:
    """What a truth may add to is there at 0 before."""
    zero = zero_cells(version)
    assert set(zero.values()) == {0}
    generator = np.random.default_rng(1)
    classes = version.signature.classes
    for delay in (0.0, *DELAY_BOUNDS, 1e9):
        outcome = generator.integers(len(classes)) if classes else generator.normal()
        truth = classes[generator.integers(len(classes))] if classes else generator.normal()
        cells = cells_of(version, float(outcome), truth, delay, confidence=float(generator.random()))
        assert cells.keys() <= zero.keys()


def test_truths_without_a_version_are_counted_by_result() -> None:
    """They have no other cells."""
    assert zero_cells(None) == {("ground_truth", result): 0 for result in TRUTH_RESULTS}
