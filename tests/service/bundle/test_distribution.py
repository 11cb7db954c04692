"""Rows are judged by the reference alone: no estimator is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.bundle.distribution import InputJudge, TextNoveltyScorer, known_word_share, words_of
from service.bundle.loader import load_bundle
from service.bundle.reference import FeatureReference, Reference, TextNovelty
from service.bundle.signature import Feature, Signature
from service.events import IN_DISTRIBUTION, OUT_BY_CATEGORY, OUT_BY_NOVELTY, OUT_BY_RANGE
from tests.builders import MIXED, NUMBERS, REGRESSION, TEXTS, VERSION, bundle_dir

NOVELTY = TextNovelty(
    vocabulary=("lost", "my", "saw"),
    confidence_mean=0.75,
    confidence_stddev=0.125,
    known_words_mean=0.75,
    known_words_stddev=0.25,
    threshold=-2.5,
)


def numeric(low: float, high: float) -> FeatureReference:
    """A feature whose reference reaches from `low` to `high`."""
    return FeatureReference(kind="numeric", edges=(low,), counts=(3, 4, 0), minimum=low, maximum=high)


def judge(*features: Feature, **known: FeatureReference) -> InputJudge:
    """Make a judge of these features."""
    reference = Reference(rows=7, validation_rows=7, out_of_distribution_rows=0, features=known)
    return InputJudge(Signature(task="binary", input="tabular", classes=(0, 1), features=features), reference)


def test_ranges_of_features_with_a_reference() -> None:
    """Ends belong to the range, a missing value is not outside, a feature without reference is not judged."""
    features = (Feature(name="x", type="number", nullable=True), Feature(name="y", type="number"))
    made = judge(*features, x=numeric(-2.0, 5.0))
    rows = [(-2.0, 1e9), (5.0, 0.0), (None, 0.0), (5.5, 0.0), (-2.5, 0.0)]
    assert made.verdicts(rows).tolist() == [IN_DISTRIBUTION] * 3 + [OUT_BY_RANGE] * 2
    assert made.verdicts(rows).dtype == np.int8
    assert [made.explain(row) for row in rows] == [[], [], [], [("x", "range")], [("x", "range")]]


def test_range_goes_before_category_and_both_are_named() -> None:
    """A closed category was checked by the parser, a missing one is not unknown."""
    features = (
        Feature(name="x", type="integer"),
        Feature(name="colour", type="category", categories=("red", "blue"), nullable=True),
        Feature(name="plan", type="category", categories=("basic",), closed=True),
    )
    known = FeatureReference(kind="categorical", categories=("red",), counts=(5, 1, 1))
    made = judge(*features, x=numeric(0.0, 9.0), colour=known, plan=known)
    rows = [(3, "blue", "basic"), (3, None, "basic"), (3, "mauve", "basic"), (10, "mauve", "gold")]
    codes = [IN_DISTRIBUTION, IN_DISTRIBUTION, OUT_BY_CATEGORY, OUT_BY_RANGE]
    assert made.verdicts(rows).tolist() == codes
    assert made.explain(rows[3]) == [("x", "range"), ("colour", "category")]


def test_text_is_judged_only_with_a_confidence() -> None:
    """Software that gives none gets no verdict on novelty."""
    signature = Signature(
        task="binary", input="text", classes=("a", "b"), features=(Feature(name="text", type="text"),)
    )
    reference = Reference(
        rows=7, validation_rows=7, out_of_distribution_rows=0, features={}, text_novelty=NOVELTY
    )
    made = InputJudge(signature, reference)
    rows = [("lost my saw",), ("lost quarks",)]
    assert made.verdicts(rows, np.array([0.75, 0.5])).tolist() == [IN_DISTRIBUTION, OUT_BY_NOVELTY]
    assert made.verdicts(rows).tolist() == [IN_DISTRIBUTION, IN_DISTRIBUTION]
    assert made.explain(rows[1]) == []


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (NUMBERS, [(3.0, 11.0, 1.0), (1e6, 11.0, 1.0)]),
        (MIXED, [(1500.0, 3, "red", "basic", True), (None, 9, "mauve", "plus", False)]),
        (REGRESSION, [(50.0, 2), (190.0, 70)]),
        (TEXTS, [("I lost my hammer and the saw",), ("quantum leptons",)]),
    ],
)
def test_verdicts_are_those_of_the_model_that_serves(name: str, rows: list[Any]) -> None:
    """With and without its estimator a bundle says the same of a row."""
    bundle = load_bundle(bundle_dir() / name / VERSION)
    scores = bundle.scorer.score(rows)
    made = InputJudge(bundle.signature, bundle.reference)
    assert made.verdicts(rows, scores.confidences).tolist() == scores.distribution.tolist()
    assert len(set(scores.distribution.tolist())) == 2
    assert [made.explain(row) for row in rows] == [bundle.scorer.explain(row) for row in rows]


def test_array_of_the_caller_is_used_where_it_holds_just_the_judged_columns() -> None:
    """The estimator's input spares the conversion of every row; with other columns in it, it cannot."""
    x, y = Feature(name="x", type="number"), Feature(name="y", type="number")
    rows, numbers = [(1.0, 1.0)], np.array([[1.0, 99.0]])
    both = judge(x, y, x=numeric(0.0, 2.0), y=numeric(0.0, 2.0))
    assert both.verdicts(rows, None, numbers).tolist() == [OUT_BY_RANGE]
    only_x = judge(x, y, x=numeric(0.0, 2.0))
    assert only_x.verdicts(rows, None, np.array([[99.0, 1.0]])).tolist() == [IN_DISTRIBUTION]


def test_text_novelty_adds_two_signs() -> None:
    """Doubt and unknown words add up; either alone may not be enough."""
    made = TextNoveltyScorer(NOVELTY)
    assert made.score(np.array([0.5]), np.array([0.5])).tolist() == [-3.0]
    confidences = np.array([0.75, 0.5, 0.5])
    assert made.is_novel(["lost my saw", "lost my saw", "lost quarks"], confidences).tolist() == [
        False,
        False,
        True,
    ]


def test_words() -> None:
    """Words are lower-cased runs of letters, digits and underscores; an empty text knows none."""
    assert words_of("It's 5 o'clock, Über_all!") == ["it", "s", "5", "o", "clock", "über_all"]
    assert known_word_share("?!", frozenset({"a"})) == 0.0
    assert known_word_share("a A b", frozenset({"a"})) == pytest.approx(2 / 3)
