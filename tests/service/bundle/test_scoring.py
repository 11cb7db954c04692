"""One place calls the estimator, and judges what goes in and comes out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from service.bundle.loader import load_bundle
from service.bundle.reference import FeatureReference, Reference
from service.bundle.scoring import (
    OUTPUT_NOT_FINITE,
    OUTPUT_OK,
    OUTPUT_OUT_OF_BOUNDS,
    Scorer,
)
from service.bundle.signature import Feature, Signature
from service.events import IN_DISTRIBUTION, OUT_BY_CATEGORY, OUT_BY_RANGE
from tests.builders import MIXED, REGRESSION, TEXTS, VERSION, bundle_dir


class Says:
    """An estimator that says what it is told."""

    def __init__(self, predictions: Any = None, probabilities: Any = None) -> None:
        self._predictions = predictions
        self._probabilities = probabilities

    def predict(self, inputs: Any) -> Any:
        """Return the predictions."""
        return np.asarray(self._predictions)

    def predict_proba(self, inputs: Any) -> Any:
        """Return the probabilities."""
        return np.asarray(self._probabilities, dtype=float)


def scorer(output: Any, estimator: Any, **signature: Any) -> Scorer:
    """Make a scorer for two features, `x` with a reference and `y` without."""
    features = (Feature(name="x", type="number"), Feature(name="y", type="number", nullable=True))
    known = FeatureReference(kind="numeric", edges=(1.0,), counts=(3, 4, 0), minimum=-2.0, maximum=5.0)
    reference = Reference(rows=7, validation_rows=7, out_of_distribution_rows=0, features={"x": known})
    values: dict[str, Any] = {"task": "binary", "input": "tabular", "classes": (0, 1), "features": features}
    return Scorer(Signature(**(values | signature)), reference, estimator, "array", output)


def test_argmax_is_one_call() -> None:
    """The largest probability is the prediction and its confidence."""
    scores = scorer("argmax", Says(probabilities=[[0.75, 0.25], [0.375, 0.625]])).score([(0, 0), (1, 1)])
    assert scores.class_indices is not None
    assert scores.confidences is not None
    assert scores.class_indices.tolist() == [0, 1]
    assert scores.confidences.tolist() == [0.75, 0.625]


def test_prediction_that_is_not_the_largest_probability() -> None:
    """An estimator with a threshold of its own keeps its word; confidence is that of its prediction."""
    estimator = Says(predictions=[1], probabilities=[[0.75, 0.25]])
    scores = scorer("predict_and_probability", estimator).score([(0, 0)])
    assert scores.class_indices is not None
    assert scores.confidences is not None
    assert (scores.class_indices.tolist(), scores.confidences.tolist()) == ([1], [0.25])


def test_estimator_without_probabilities() -> None:
    """There is a prediction and no confidence."""
    scores = scorer("predict", Says(predictions=[1, 0])).score([(0, 0), (0, 0)])
    assert scores.class_indices is not None
    assert scores.class_indices.tolist() == [1, 0]
    assert scores.confidences is None
    assert scores.probabilities is None


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ([math.nan, 0.5], OUTPUT_NOT_FINITE),
        ([math.inf, 0.0], OUTPUT_NOT_FINITE),
        ([-0.5, 1.5], OUTPUT_OUT_OF_BOUNDS),
        ([0.9, 0.9], OUTPUT_OUT_OF_BOUNDS),
        ([0.5, 0.5], OUTPUT_OK),
    ],
)
def test_probabilities_are_judged(row: list[float], code: int) -> None:
    """What is no probability never leaves."""
    scores = scorer("argmax", Says(probabilities=[row, [0.25, 0.75]])).score([(0, 0), (0, 0)])
    assert scores.invalid.tolist() == [code, OUTPUT_OK]


@pytest.mark.parametrize(
    ("output", "estimator"),
    [
        ("argmax", Says(probabilities=[[1.0], [1.0]])),
        ("argmax", Says(probabilities=[[0.2, 0.3, 0.5]] * 2)),
        ("argmax", Says(probabilities=[[0.25, 0.75]] * 3)),
        ("predict_and_probability", Says(predictions=[1], probabilities=[[0.25, 0.75]] * 2)),
        ("predict", Says(predictions=[1])),
        ("predict", Says(predictions=[1, 0, 1])),
    ],
)
def test_output_of_another_shape_is_an_error(output: str, estimator: Says) -> None:
    """A number of rows or classes that is not the asked one is no answer, however probable it looks."""
    with pytest.raises(ValueError, match="shape"):
        scorer(output, estimator).score([(0, 0), (0, 0)])


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (math.nan, OUTPUT_NOT_FINITE),
        (10.5, OUTPUT_OUT_OF_BOUNDS),
        (-1.0, OUTPUT_OUT_OF_BOUNDS),
        (3.0, OUTPUT_OK),
    ],
)
def test_numbers_are_judged(value: float, code: int) -> None:
    """A predicted number must be finite and within the signature's bounds."""
    made = scorer(
        "predict",
        Says(predictions=[value]),
        task="regression",
        classes=None,
        output_minimum=0.0,
        output_maximum=10.0,
    )
    assert made.score([(0, 0)]).invalid.tolist() == [code]


def test_ranges_of_features_with_a_reference() -> None:
    """Ends belong to the range, a missing value is not outside, a feature without reference is not judged."""
    rows = [(-2.0, 1e9), (5.0, None), (5.5, 0.0), (-2.5, 0.0)]
    made = scorer("predict", Says(predictions=[0] * 4))
    assert made.score(rows).distribution.tolist() == [IN_DISTRIBUTION] * 2 + [OUT_BY_RANGE] * 2
    assert made.explain(rows[2]) == [("x", "range")]
    assert made.explain(rows[1]) == []


def test_frame_with_categories_and_missing_values() -> None:
    """Range goes before category; both are named."""
    made = load_bundle(bundle_dir() / MIXED / VERSION).scorer
    good = (1500.0, 3, "red", "basic", True)
    missing = (None, 3, None, "basic", False)
    unknown = (1500.0, 3, "mauve", "basic", True)
    both = (1e6, 3, "mauve", "basic", True)
    scores = made.score([good, missing, unknown, both])
    assert scores.distribution.tolist() == [IN_DISTRIBUTION, IN_DISTRIBUTION, OUT_BY_CATEGORY, OUT_BY_RANGE]
    assert made.explain(both) == [("income", "range"), ("colour", "category")]


def test_one_row_scores_as_in_company() -> None:
    """A row's scores do not depend on the rows beside it."""
    cases: dict[str, list[Any]] = {
        MIXED: [(1500.0, 3, "red", "basic", True), (None, 9, "blue", "plus", False)],
        REGRESSION: [(50.0, 2), (190.0, 7)],
        TEXTS: [("I lost my hammer and the saw",), ("quantum leptons",)],
    }
    for name, rows in cases.items():
        made = load_bundle(bundle_dir() / name / VERSION).scorer
        together = made.score(rows)
        for index, row in enumerate(rows):
            alone, same = made.score([row]), together.part(index, index + 1)
            assert alone.distribution.tolist() == same.distribution.tolist()
            for one, other in ((alone.values, same.values), (alone.probabilities, same.probabilities)):
                assert (one is None) == (other is None)
                if one is not None and other is not None:
                    assert one == pytest.approx(other, abs=1e-12)


def test_fill_stands_in_for_a_missing_value() -> None:
    """The estimator sees the fill; the row keeps its missing value for those who count."""
    features = (Feature(name="x", type="number", nullable=True, fill=7.5), Feature(name="y", type="number"))
    reference = Reference(rows=7, validation_rows=7, out_of_distribution_rows=0, features={})
    signature = Signature(task="binary", input="tabular", classes=(0, 1), features=features)
    made = Scorer(signature, reference, Says(), "array", "argmax")
    assert made.prepare([(None, 1.0), (2.0, 3.0)]).tolist() == [[7.5, 1.0], [2.0, 3.0]]


def test_bin_labels_are_distinct() -> None:
    """A category that is called like a bin of ours gets a name of its own."""
    known = FeatureReference(
        kind="categorical", categories=("other", "other_", "missing", "a"), counts=(1,) * 6
    )
    assert known.labels == ("other__", "other_", "missing_", "a", "other", "missing")
