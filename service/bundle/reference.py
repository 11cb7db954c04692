"""The reference of a model: what its inputs and outputs looked like on training data.

Live counts are compared with it in PromQL, so a bin's label is written here and nowhere else.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MISSING_BIN = "missing"
OTHER_BIN = "other"
UPPER_BIN = "+Inf"


class FeatureReference(BaseModel):
    """Bins of one monitored feature and the reference rows in each.

    Numeric: `edges` are the inner upper bounds, ascending; bin i holds edges[i-1] < x <= edges[i], the bin
    after the last edge holds the rest, and `missing` comes last, so len(counts) == len(edges) + 2.
    Categorical (also boolean): `categories`, then `other`, then `missing`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["numeric", "categorical"]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    counts: tuple[int, ...]
    minimum: float | None = None
    """Smallest reference value (numeric); below it a value counts as out of range."""
    maximum: float | None = None
    """Largest reference value (numeric); above it a value counts as out of range."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The label value of each bin, in the order of `counts`."""
        if self.kind == "numeric":
            return (*(number_label(edge) for edge in self.edges), UPPER_BIN, MISSING_BIN)
        names: list[str] = []
        for category in self.categories:
            name = category
            while name in {OTHER_BIN, MISSING_BIN} or (name != category and name in self.categories):
                name += "_"
            names.append(name)
        return (*names, OTHER_BIN, MISSING_BIN)

    @property
    def shares(self) -> tuple[float, ...]:
        """Smoothed share of each bin, (count + 1/2) / (rows + bins/2), so that none is 0 (Jeffreys)."""
        total = sum(self.counts) + 0.5 * len(self.counts)
        return tuple((count + 0.5) / total for count in self.counts)


class ConfidenceBin(BaseModel):
    """Validation rows whose confidence lies in (lower, upper], and how many of them were right."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lower: float
    upper: float
    rows: int
    correct: int
    confidence_sum: float


class TextNovelty(BaseModel):
    """When a text is out of distribution: z(confidence) + z(share of known words) below `threshold`.

    The moments and the threshold (5 % quantile) come from in-distribution validation data alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    vocabulary: tuple[str, ...]
    """Distinct words of the training texts, sorted."""
    confidence_mean: float
    confidence_stddev: float = Field(gt=0)
    known_words_mean: float
    known_words_stddev: float = Field(gt=0)
    threshold: float


class Reference(BaseModel):
    """What `reference.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rows: int = Field(ge=1)
    """Reference rows behind the feature bins."""
    features: dict[str, FeatureReference]
    class_counts: dict[str, int] = {}
    """Rows by predicted class (label as in metrics) over validation; classification."""
    prediction: FeatureReference | None = None
    """Bins of the predicted number over validation; regression. Its `missing` bin stays empty."""
    target_stddev: float | None = None
    """Standard deviation of the target over the training data; regression."""
    confidence_bins: tuple[ConfidenceBin, ...] = ()
    validation_rows: int = Field(ge=1)
    out_of_distribution_rows: int = Field(ge=0)
    """Validation rows that the flag of the answer calls out of distribution."""
    text_novelty: TextNovelty | None = None


def number_label(value: float) -> str:
    """Write a bin edge or bucket bound as a label value, exactly as prometheus_client writes `le`.

    Go's notation: an exponent from 1e+06 on; compared with prometheus_client's own function in a test, since
    this layer does not import it.
    """
    if math.isinf(value):
        return UPPER_BIN if value > 0 else "-Inf"
    text = repr(float(value))
    point = text.find(".")
    if value > 0 and point > 6:
        mantissa = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.")
        return f"{mantissa}e+{point - 1:02d}"
    return text
