"""Bins of the reference: deciles, with a bin beyond an end where many rows lie exactly there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.bundle.packing.reference_bins import (
    MAX_CATEGORIES,
    confidence_bins,
    feature_reference,
    numeric_reference,
)
from service.bundle.signature import Feature


def test_continuous_values_get_ten_bins_of_equal_size() -> None:
    """Outside values belong to the end bins, which are open."""
    numbers = np.random.default_rng(7).permutation(np.arange(1, 201) / 8)
    reference = numeric_reference(numbers, 13, whole=False)
    assert reference.edges == tuple(np.arange(20, 200, 20) / 8)
    assert reference.counts == (20,) * 10 + (13,)
    assert (reference.minimum, reference.maximum) == (0.125, 25.0)


def test_atom_at_the_low_end_gets_an_empty_bin_below() -> None:
    """A feature that is often exactly 0 shows at once when it falls below."""
    numbers = np.concatenate([np.zeros(30), np.arange(1, 71)])
    reference = numeric_reference(numbers, 0, whole=False)
    assert reference.edges[0] < 0.0 == reference.edges[1]
    assert reference.counts[:2] == (0, 30)
    assert np.nextafter(reference.edges[0], np.inf) == 0.0


def test_atom_of_whole_numbers_ends_at_the_next_whole_number() -> None:
    """The label can be read by people."""
    numbers = np.concatenate([np.zeros(30), np.arange(1, 71)])
    assert numeric_reference(numbers, 0, whole=True).edges[:2] == (-1.0, 0.0)


def test_atom_at_the_high_end_gets_an_empty_bin_above() -> None:
    """A feature that is often exactly at its end shows when it exceeds it."""
    numbers = np.concatenate([np.arange(1, 96), np.full(5, 96)])
    reference = numeric_reference(numbers, 0, whole=False)
    assert reference.edges[-1] == 96.0
    assert reference.counts[-2:] == (0, 0)


def test_rarer_end_value_is_no_atom() -> None:
    """Below 5 % the end bin stays open."""
    numbers = np.concatenate([np.arange(1, 97), np.full(4, 97)])
    reference = numeric_reference(numbers, 0, whole=False)
    assert reference.edges[-1] < 97.0


def test_constant_feature_has_a_bin_on_each_side() -> None:
    """Whatever moves away from the constant is seen."""
    reference = numeric_reference(np.full(40, 3.5), 2, whole=False)
    assert reference.counts == (0, 40, 0, 2)


def test_minus_zero_is_zero() -> None:
    """No edge is written -0.0."""
    reference = numeric_reference(np.array([-0.0] * 10 + [1.0] * 10), 0, whole=False)
    assert "-0.0" not in reference.labels


@given(
    arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6, width=32)),
    st.integers(0, 50),
    st.booleans(),
)
def test_every_row_is_in_the_bin_that_its_label_says(
    numbers: np.ndarray, missing: int, rounded: bool
) -> None:
    """Edges ascend, and bin i holds edges[i-1] < x <= edges[i]."""
    if rounded:
        numbers = numbers.round(-4)
    reference = numeric_reference(numbers, missing, whole=False)
    edges = (-np.inf, *reference.edges, np.inf)
    assert all(low < high for low, high in pairwise(edges))
    counts = [int(((numbers > low) & (numbers <= high)).sum()) for low, high in pairwise(edges)]
    assert reference.counts == (*counts, missing)
    assert len(reference.labels) == len(reference.counts)
    assert len(reference.counts) <= 13


def test_categories_are_counted_in_the_order_of_the_signature() -> None:
    """Then other, then missing."""
    feature = Feature(name="colour", type="category", categories=("red", "blue"))
    reference = feature_reference(feature, ["blue", "red", None, "red", "green"])
    assert reference.labels == ("red", "blue", "other", "missing")
    assert reference.counts == (2, 1, 1, 1)


def test_rare_categories_share_a_bin() -> None:
    """Fifty categories have a bin of their own, the rest is other."""
    names = tuple(f"c{index:02d}" for index in range(60))
    values = [name for index, name in enumerate(names) for _ in range(70 - index)]
    reference = feature_reference(Feature(name="c", type="category", categories=names), values)
    assert reference.categories == names[:MAX_CATEGORIES]
    assert reference.counts[-2:] == (sum(70 - index for index in range(50, 60)), 0)


def test_booleans_are_two_categories() -> None:
    """As in JSON: false and true."""
    reference = feature_reference(Feature(name="b", type="boolean"), [True, False, True, None])
    assert reference.labels == ("false", "true", "other", "missing")
    assert reference.counts == (1, 2, 0, 1)


def test_confidence_falls_into_twenty_bins() -> None:
    """A bin holds what is above its lower and at most its upper bound; 0 is in the first."""
    confidences = np.array([0.0, 0.05, 0.050001, 0.97, 1.0])
    bins = confidence_bins(confidences, np.array([False, True, False, True, True]))
    assert len(bins) == 20
    assert (bins[0].rows, bins[0].correct, bins[0].confidence_sum) == (2, 1, pytest.approx(0.05))
    assert (bins[1].rows, bins[1].correct) == (1, 0)
    assert (bins[19].lower, bins[19].upper, bins[19].rows, bins[19].correct) == (0.95, 1.0, 2, 2)
