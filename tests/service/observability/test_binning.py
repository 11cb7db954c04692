"""Rows fall in exactly the bins that the reference describes."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from service.bundle.reference import MISSING_BIN, OTHER_BIN, UPPER_BIN, number_label
from service.observability.binning import FeatureBinner
from tests.service.observability.counted_bundles import REGRESSION, TABULAR, TEXT, CountedBundle

EDGES = {"age": (20.5, 41.0), "visits": (1.0, 3.0, 9.0)}


def random_row(generator: random.Random) -> tuple[object, ...]:
    """Draw a row of the tabular bundle, edges and missing values among its values."""
    return (
        generator.choice([None, 17.9, 18.0, 20.5, 20.500001, 41.0, 60.0, 77.0, 77.1]),
        generator.choice([None, "red", "blue", "other", "missing", "pink", "True"]),
        generator.uniform(-1, 1),
        generator.choice([True, False]),
        generator.choice([-1, 0, 1, 2, 3, 4, 9, 10, 12, 13]),
    )


def naive_bin(name: str, value: object) -> str:
    """Find the bin of one value, spelled out."""
    if value is None:
        return MISSING_BIN
    if name in EDGES:
        assert isinstance(value, int | float)
        return next((number_label(edge) for edge in EDGES[name] if value <= edge), UPPER_BIN)
    if name == "member":
        return "true" if value else "false"
    return {"red": "red", "other": "other_"}.get(str(value), OTHER_BIN)


def named(binner: FeatureBinner, rows: list[tuple[object, ...]]) -> dict[tuple[str, str], int]:
    """Count rows; give the bins that are not empty."""
    counts = binner.count(rows).bins.tolist()
    return {labels: count for labels, count in zip(binner.bins, counts, strict=True) if count}


@pytest.mark.parametrize("rows", [1, 7, 511, 512, 513, 1500])
def test_counts_equal_those_of_one_value_at_a_time(rows: int) -> None:
    """Counting in arrays gives what spelling out gives, for any number of rows."""
    generator = random.Random(rows)
    drawn = [random_row(generator) for _ in range(rows)]
    columns = {"age": 0, "colour": 1, "member": 3, "visits": 4}
    expected = Counter(
        (name, naive_bin(name, row[place])) for row in drawn for name, place in columns.items()
    )
    assert named(FeatureBinner(TABULAR.signature, TABULAR.reference), drawn) == expected


def test_missing_out_of_range_and_unknown_are_counted_by_feature() -> None:
    """Each of the three counts has its features; a category that is merely rare is known."""
    binner = FeatureBinner(TABULAR.signature, TABULAR.reference)
    counts = binner.count(
        [
            (None, "blue", 0.0, True, 13),
            (17.0, "pink", 0.0, True, -1),
            (77.5, None, 0.0, False, 12),
            (50.0, "other", 0.0, False, 0),
        ]
    )
    missing = dict(zip(binner.features, counts.missing.tolist(), strict=True))
    assert missing == {"age": 1, "visits": 0, "colour": 1, "member": 0}
    outside = dict(zip(binner.numeric_features, counts.out_of_range.tolist(), strict=True))
    assert outside == {"age": 2, "visits": 2}
    assert dict(zip(binner.category_features, counts.unknown.tolist(), strict=True)) == {"colour": 1}


def test_row_of_numbers_alone_is_taken_whole() -> None:
    """A model whose every feature is a monitored number needs no picking of columns."""
    binner = FeatureBinner(REGRESSION.signature, REGRESSION.reference)
    assert named(binner, [(5.0,), (5.1,), (0.5,)]) == {("size", "5.0"): 2, ("size", "+Inf"): 1}


@pytest.mark.parametrize("bundle", [TABULAR, REGRESSION, TEXT], ids=lambda bundle: bundle.key.model_name)
def test_every_bin_of_the_reference_is_counted(bundle: CountedBundle) -> None:
    """Live counts and reference shares have the same labels, so that queries can join them."""
    binner = FeatureBinner(bundle.signature, bundle.reference)
    assert set(binner.bins) == {
        (name, label) for name, known in bundle.reference.features.items() for label in known.labels
    }


def test_no_row_no_count() -> None:
    """Nothing is counted of nothing."""
    assert named(FeatureBinner(TABULAR.signature, TABULAR.reference), []) == {}
