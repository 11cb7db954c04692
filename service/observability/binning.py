"""Turns rows into counts by bin, feature by feature; exactly the bins of the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.bundle.reference import FeatureReference, Reference
from service.bundle.signature import ClassLabel, Feature, Signature, class_name

Rows = Sequence[Sequence[object]]

# The comparison with all edges at once makes rows x features x edges booleans; this keeps them in the cache.
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class FeatureCounts:
    """Counts over some rows.

    Args:
        bins: shape (bins,), in the order of `FeatureBinner.bins`.
        missing: shape (features,), in the order of `FeatureBinner.features`.
        out_of_range: shape (numeric,), in the order of `FeatureBinner.numeric_features`.
        unknown: shape (open categories,), in the order of `FeatureBinner.category_features`.
    """

    bins: NDArray[np.intp]
    missing: NDArray[np.intp]
    out_of_range: NDArray[np.intp]
    unknown: NDArray[np.intp]


class FeatureBinner:
    """Counts rows of one model into the bins of its reference.

    Args:
        signature: tells which value of a row belongs to which feature.
        reference: the bins; features without one are not counted.
    """

    def __init__(self, signature: Signature, reference: Reference) -> None:
        monitored = [
            (column, feature, reference.features[feature.name])
            for column, feature in enumerate(signature.features)
            if feature.name in reference.features
        ]
        numeric = [part for part in monitored if part[2].kind == "numeric"]
        categorical = [part for part in monitored if part[2].kind == "categorical"]
        self.features = tuple(feature.name for _, feature, _ in (*numeric, *categorical))
        self.bins: tuple[tuple[str, str], ...] = tuple(
            (feature.name, label) for _, feature, known in (*numeric, *categorical) for label in known.labels
        )
        sizes = np.array([len(known.labels) for _, _, known in (*numeric, *categorical)], dtype=np.intp)
        ends = np.cumsum(sizes)
        self._missing_bins = ends - 1
        starts = ends - sizes
        self._numeric = _NumericBinner(
            [column for column, _, _ in numeric], [known for _, _, known in numeric], starts[: len(numeric)]
        )
        self._whole_row = [column for column, _, _ in numeric] == list(range(len(signature.features)))
        self._categorical = [
            _CategoryBinner(column, feature, known, int(start))
            for (column, feature, known), start in zip(categorical, starts[len(numeric) :], strict=True)
        ]
        self.numeric_features = tuple(feature.name for _, feature, _ in numeric)
        self._open = [binner for binner in self._categorical if binner.is_open]
        self.category_features = tuple(binner.name for binner in self._open)

    def count(self, rows: Rows) -> FeatureCounts:
        """Count rows; each row falls in exactly one bin of each monitored feature."""
        bins = np.zeros(len(self.bins), dtype=np.intp)
        out_of_range = np.zeros(len(self.numeric_features), dtype=np.intp)
        unknown = dict.fromkeys(self.category_features, 0)
        if self.numeric_features:
            columns = self._numeric.columns
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                part = rows[start : start + _ROWS_AT_ONCE]
                picked = part if self._whole_row else [[row[column] for column in columns] for row in part]
                out_of_range += self._numeric.count(np.array(picked, dtype=np.float64), bins)
        for binner in self._categorical:
            found = binner.count(rows, bins)
            if binner.is_open:
                unknown[binner.name] = found
        return FeatureCounts(
            bins, bins[self._missing_bins], out_of_range, np.array(list(unknown.values()), dtype=np.intp)
        )


class _NumericBinner:
    """Bins all numeric features in one comparison."""

    def __init__(self, columns: list[int], known: list[FeatureReference], starts: NDArray[np.intp]) -> None:
        self.columns = columns
        widest = max((len(reference.edges) for reference in known), default=0)
        # Missing edges are +Inf, beyond which no value lies.
        self._edges = np.full((widest, 1, len(known)), np.inf)
        for feature, reference in enumerate(known):
            self._edges[: len(reference.edges), 0, feature] = reference.edges
        self._starts = starts
        self._missing = starts + np.array([len(reference.labels) - 1 for reference in known], dtype=np.intp)
        self._low = np.array([-np.inf if r.minimum is None else r.minimum for r in known])
        self._high = np.array([np.inf if r.maximum is None else r.maximum for r in known])

    def count(self, numbers: NDArray[np.float64], bins: NDArray[np.intp]) -> NDArray[np.intp]:
        """Add rows to `bins`; return how many values of each feature lie outside its range.

        Args:
            numbers: shape (rows, features), NaN where a value is missing.
            bins: shape (bins,) of the whole model, added to.
        """
        # Edges outermost: numpy then adds whole rows of booleans.
        above = (numbers > self._edges).sum(axis=0, dtype=np.intp)
        places = np.where(np.isnan(numbers), self._missing, self._starts + above)
        bins += np.bincount(places.ravel(), minlength=len(bins))
        is_outside = (numbers < self._low) | (numbers > self._high)
        outside: NDArray[np.intp] = is_outside.sum(axis=0, dtype=np.intp)
        return outside


class _CategoryBinner:
    """Bins one categorical (or boolean) feature."""

    def __init__(self, column: int, feature: Feature, known: FeatureReference, start: int) -> None:
        self.name = feature.name
        self.is_open = feature.type == "category" and not feature.closed
        self._column = column
        self._known = frozenset(feature.categories or ())
        # `labels` ends with other and missing; in between a category may bear a changed label.
        self._places: Mapping[str, int] = {name: start + i for i, name in enumerate(known.categories)}
        self._other = start + len(known.categories)

    def count(self, rows: Rows, bins: NDArray[np.intp]) -> int:
        """Add rows to `bins`; return how many values are no category of the signature."""
        unknown = 0
        column = self._column
        for value, rows_of_it in Counter([row[column] for row in rows]).items():
            if value is None:
                bins[self._other + 1] += rows_of_it
                continue
            name = _category(value)
            bins[self._places.get(name, self._other)] += rows_of_it
            if name not in self._known:
                unknown += rows_of_it
        return unknown


def _category(value: object) -> str:
    assert isinstance(value, ClassLabel)
    return class_name(value)
