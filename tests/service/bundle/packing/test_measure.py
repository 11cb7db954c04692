"""Scores for the manifest, and the reference's parts that come from validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.bundle.packing.measure import build_reference, build_unpredicted_reference, measure
from service.bundle.packing.table import Row
from service.bundle.packing.validation import Validation
from service.bundle.signature import Feature, Signature

FEATURES = (Feature(name="a", type="number"), Feature(name="b", type="integer"))
CLASSES = Signature(task="binary", input="tabular", features=FEATURES, classes=("no", "yes"))
NUMBER = Signature(task="regression", input="tabular", features=FEATURES)


def classified() -> Validation:
    """Four rows, three of them right."""
    return Validation(
        rows=[(1.0, 1)] * 4,
        targets=np.array([0, 1, 1, 1]),
        predictions=np.array([0, 1, 1, 0]),
        probabilities=np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]]),
        confidences=np.array([0.9, 0.8, 0.7, 0.6]),
        is_out=np.array([False, True, False, False]),
        text_novelty=None,
    )


def estimated() -> Validation:
    """Four numbers, each 2 or 4 off."""
    predictions = np.array([12.0, 16.0, 34.0, 38.0])
    return Validation(
        rows=[(1.0, 1)] * 4,
        targets=np.array([10.0, 20.0, 30.0, 40.0]),
        predictions=predictions,
        probabilities=None,
        confidences=None,
        is_out=np.zeros(4, dtype=bool),
        text_novelty=None,
    )


def test_classification_is_measured() -> None:
    """Accuracy, macro F1, log loss and calibration error."""
    measured, scores = measure(CLASSES, classified())
    assert measured.value == scores["accuracy"] == 0.75
    assert scores["f1_macro"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.7, 0.4]).mean())
    assert scores["calibration_error"] == pytest.approx((0.1 + 0.2 + 0.3 + 0.6) / 4)
    assert measured.calibration is not None
    assert measured.calibration.value == scores["calibration_error"]
    assert measured.calibration.stddev == pytest.approx(0.6028 * np.sqrt(0.09 + 0.16 + 0.21 + 0.24) / 4)


def test_without_confidences_there_is_no_calibration() -> None:
    """Neither a score nor what an objective is set by."""
    measured, scores = measure(CLASSES, replace(classified(), probabilities=None, confidences=None))
    assert measured.calibration is None
    assert set(scores) == {"accuracy", "f1_macro"}


def test_regression_is_measured() -> None:
    """Mean absolute error, root mean square and r2."""
    measured, scores = measure(NUMBER, estimated())
    assert measured.calibration is None
    assert measured.value == scores["mae"] == 3.0
    assert scores["rmse"] == pytest.approx(np.sqrt(10))
    assert scores["r2"] == pytest.approx(1 - 40 / 500)


def test_reference_of_a_classifier() -> None:
    """Class counts by prediction, confidence bins, rows out of distribution; unmonitored: no bins."""
    reference = build_reference(CLASSES, [(1.5, 3), (2.5, 4)], np.array([0, 1]), classified(), ("b",))
    assert list(reference.features) == ["a"]
    assert reference.rows == 2
    assert reference.class_counts == {"no": 2, "yes": 2}
    assert sum(part.rows for part in reference.confidence_bins) == 4
    assert sum(part.correct for part in reference.confidence_bins) == 3
    assert (reference.out_of_distribution_rows, reference.validation_rows) == (1, 4)
    assert reference.prediction is None


def test_reference_of_a_regression() -> None:
    """Bins of the prediction, spread of the training target."""
    reference = build_reference(NUMBER, [(1.5, 3), (2.5, 4)], np.array([10.0, 30.0]), estimated(), ())
    assert reference.prediction is not None
    assert sum(reference.prediction.counts) == 4
    assert reference.target_stddev == 10.0
    assert reference.class_counts == {}
    assert reference.confidence_bins == ()


@pytest.mark.parametrize(("signature", "spread"), [(CLASSES, None), (NUMBER, 10.0)])
def test_reference_without_a_prediction_says_nothing_of_outputs(
    signature: Signature, spread: float | None
) -> None:
    """Features, the spread of the target, and how many rows looked unlike the others."""
    rows: list[Row] = [(1.5, 3), (2.5, 4)]
    is_out = np.array([True, False, True])
    found = build_unpredicted_reference(signature, rows, np.array([10.0, 30.0]), is_out, ("b",))
    assert list(found.features) == ["a"]
    assert (found.rows, found.validation_rows, found.out_of_distribution_rows) == (2, 3, 2)
    assert (found.class_counts, found.prediction, found.confidence_bins) == ({}, None, ())
    assert found.target_stddev == spread
