"""Counts training data into the bins of the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.bundle.reference import ConfidenceBin, FeatureReference
from service.bundle.signature import Feature, Scalar

DECILES = np.arange(1, 10) / 10
ATOM_SHARE = 0.05
MAX_CATEGORIES = 50
CONFIDENCE_BINS = 20


def feature_reference(feature: Feature, values: Sequence[Scalar]) -> FeatureReference:
    """Bin the training values of one feature (None is a missing value).

    Args:
        feature: a number, category or boolean.
        values: one per training row, at least one of them present.
    """
    present = [value for value in values if value is not None]
    missing = len(values) - len(present)
    if feature.is_numeric:
        return numeric_reference(
            np.array(present, dtype=np.float64), missing, whole=feature.type == "integer"
        )
    if feature.type == "boolean":
        counts = Counter(str(value).lower() for value in present)
        return FeatureReference(
            kind="categorical",
            categories=("false", "true"),
            counts=(counts["false"], counts["true"], 0, missing),
        )
    counts = Counter(str(value) for value in present)
    kept = (feature.categories or ())[:MAX_CATEGORIES]
    shown = tuple(counts[name] for name in kept)
    return FeatureReference(
        kind="categorical",
        categories=kept,
        counts=(*shown, len(present) - sum(shown), missing),
    )


def numeric_reference(numbers: NDArray[np.float64], missing: int, *, whole: bool) -> FeatureReference:
    """Bin numbers by deciles, shape (n,).

    Values beyond the reference's range belong to the end bins, except where at least 5 % of the reference lie
    exactly at that end: there a bin beyond it is empty in the reference and shows what leaves it.

    Args:
        numbers: finite, at least one.
        missing: rows without a value.
        whole: only whole numbers can occur.
    """
    numbers = numbers + 0.0  # -0.0 would be written as a bin of its own
    low, high = float(numbers.min()), float(numbers.max())
    edges = set(np.quantile(numbers, DECILES, method="inverted_cdf").tolist()) - {high}
    if np.mean(numbers == high) >= ATOM_SHARE:
        edges.add(high)
    if np.mean(numbers == low) >= ATOM_SHARE:
        edges.add(low - 1.0 if whole else float(np.nextafter(low, -np.inf)))
    ordered = sorted(edges)
    # side="left" puts a value equal to an edge into the bin below it, as `le` does.
    positions = np.searchsorted(np.array(ordered), numbers, side="left")
    counts = np.bincount(positions, minlength=len(ordered) + 1)
    return FeatureReference(
        kind="numeric",
        edges=tuple(ordered),
        counts=(*counts.tolist(), missing),
        minimum=low,
        maximum=high,
    )


def confidence_bins(
    confidences: NDArray[np.float64], is_correct: NDArray[np.bool_]
) -> tuple[ConfidenceBin, ...]:
    """Count validation rows by confidence into 20 equal bins; both arrays of shape (n,)."""
    bounds = np.arange(1, CONFIDENCE_BINS + 1) / CONFIDENCE_BINS
    positions = np.searchsorted(bounds[:-1], confidences, side="left")
    rows = np.bincount(positions, minlength=CONFIDENCE_BINS)
    correct = np.bincount(positions, weights=is_correct, minlength=CONFIDENCE_BINS)
    sums = np.bincount(positions, weights=confidences, minlength=CONFIDENCE_BINS)
    return tuple(
        ConfidenceBin(
            lower=index / CONFIDENCE_BINS,
            upper=(index + 1) / CONFIDENCE_BINS,
            rows=int(rows[index]),
            correct=int(correct[index]),
            confidence_sum=float(sums[index]),
        )
        for index in range(CONFIDENCE_BINS)
    )
