"""Scores for the manifest, and the reference's parts that come from validation."""

from __future__ import annotations

import numpy as np
import pytest

from service.bundle.packing.measure import build_reference, measure
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
    """Accuracy, macro F1 and log loss."""
    measured, scores = measure(CLASSES, classified())
    assert measured.value == scores["accuracy"] == 0.75
    assert scores["f1_macro"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.7, 0.4]).mean())


def test_regression_is_measured() -> None:
    """Mean absolute error, root mean square and r2."""
    measured, scores = measure(NUMBER, estimated())
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
