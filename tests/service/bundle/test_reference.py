"""Bins and their labels: written once, as Prometheus and its client write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from service.bundle.reference import FeatureReference, number_label


@given(st.floats(allow_nan=False))
@example(1e6)
@example(999999.0)
@example(1e21)
@example(5e-324)
@example(-0.0)
@example(math.inf)
@example(-math.inf)
@example(123456789.5)
def test_label_is_that_of_prometheus_client(value: float) -> None:
    """Bin edges and bucket bounds can be joined, since both are written alike."""
    assert number_label(value) == floatToGoString(value)


@given(st.floats(allow_nan=False))
def test_label_can_be_read_back(value: float) -> None:
    """A label names exactly one edge."""
    assert float(number_label(value)) == value


def test_numeric_bins_end_with_the_rest_and_missing() -> None:
    """There is a label for each count."""
    reference = FeatureReference(kind="numeric", edges=(-1.5, 2.0), counts=(3, 5, 7, 1))
    assert reference.labels == ("-1.5", "2.0", "+Inf", "missing")


def test_categories_named_like_a_bin_keep_apart() -> None:
    """A category called other is not the bin `other`."""
    reference = FeatureReference(
        kind="categorical", categories=("red", "other", "missing"), counts=(3, 5, 7, 1, 0)
    )
    assert reference.labels == ("red", "other_", "missing_", "other", "missing")
    assert len(set(reference.labels)) == len(reference.counts)


def test_no_share_is_zero() -> None:
    """An empty bin has half a row, and the shares add up to 1."""
    reference = FeatureReference(kind="numeric", edges=(2.0,), counts=(7, 0, 0))
    assert reference.shares == pytest.approx((7.5 / 8.5, 0.5 / 8.5, 0.5 / 8.5))
