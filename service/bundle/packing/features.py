"""Infers the signature's features from training data and from how the estimator takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from service.bundle.packing.table import FieldOptions, Row
from service.bundle.signature import (
    MAX_CATEGORY_LENGTH,
    MAX_TEXT_LENGTH,
    ClassLabel,
    Feature,
    FeatureType,
    Scalar,
    Signature,
    Task,
)
from service.errors import PackError

UNKNOWN_CATEGORY = "plumbline: a category that no training data has"
Accepts = Callable[[Sequence[Row]], bool]


def infer_feature(column: pd.Series, options: FieldOptions, *, is_text: bool) -> Feature:
    """Infer type, categories, length and example of one feature; nullable and closed as the data suggest.

    Raises:
        PackError: the column is empty, not finite, or breaks the limits given for it.
    """
    name = str(column.name)
    present = column.dropna()
    if present.empty:
        raise PackError(f"column {name!r} has no values")
    kind: FeatureType = "text" if is_text else _type_of(present)
    if options.type == "number" and kind == "integer":
        kind = "number"
    if options.type not in {None, kind}:
        raise PackError(f"column {name!r} holds values of type {kind}, declared is {options.type}")
    if kind in {"number", "integer"}:
        _check_numbers(name, present, options)
    if is_text and options.sensitive and options.example is None:
        raise PackError(
            f"column {name!r} is sensitive: give an example for it, so that no real text is shown"
        )
    categories: tuple[str, ...] | None = None
    max_length = None
    if kind in {"category", "text"}:
        longest = int(present.astype(str).str.len().max())
        limit = MAX_TEXT_LENGTH if is_text else MAX_CATEGORY_LENGTH
        max_length = longest if longest > limit else None
    if kind == "category":
        categories = _by_frequency(present)
    content: dict[str, Any] = {
        **options.model_dump(exclude={"type", "closed", "nullable", "example"}),
        "name": name,
        "type": kind,
        "categories": categories,
        "max_length": max_length,
        "closed": bool(options.closed),
        "nullable": bool(column.isna().any()) if options.nullable is None else options.nullable,
        "example": _example(present, kind) if options.example is None else options.example,
    }
    try:
        return Feature(**content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise PackError(f"column {name!r}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def build_signature(
    task: Task,
    features: tuple[Feature, ...],
    classes: tuple[ClassLabel, ...] | None,
    *,
    is_text: bool,
    output_minimum: float | None,
    output_maximum: float | None,
) -> Signature:
    """Put the signature together.

    Raises:
        PackError: its parts do not fit together.
    """
    try:
        return Signature(
            task=task,
            input="text" if is_text else "tabular",
            features=features,
            classes=classes,
            output_minimum=output_minimum,
            output_maximum=output_maximum,
        )
    except ValidationError as error:
        raise PackError(f"no signature fits the data: {error.errors()[0]['msg']}") from error


def fit_to_estimator(
    features: tuple[Feature, ...],
    fields: Mapping[str, FieldOptions],
    accepts: Accepts,
    report: Callable[[str], None],
) -> tuple[Feature, ...]:
    """Settle what each feature may be: nullable or open only as far as the estimator takes it.

    Args:
        features: as inferred from the data.
        fields: what the user says; it is checked, not overruled.
        accepts: tells whether the estimator predicts on rows without raising.
        report: told of each decision.

    Raises:
        PackError: the user asks for something that the estimator does not take.
    """
    settled = []
    for position, feature in enumerate(features):
        options = fields.get(feature.name, FieldOptions())
        changes: dict[str, Scalar] = {}
        if feature.nullable and not accepts([_with(features, position, feature.fill)]):
            if options.nullable:
                raise PackError(
                    f"{feature.name!r} is declared nullable, but the estimator refuses a missing value"
                )
            changes["nullable"] = False
            report(f"{feature.name}: missing in some rows, but the estimator refuses that: not nullable")
        if (
            feature.type == "category"
            and not feature.closed
            and not accepts([_with(features, position, UNKNOWN_CATEGORY)])
        ):
            if options.closed is False:
                raise PackError(
                    f"{feature.name!r} is declared open, but the estimator refuses an unknown category"
                )
            changes["closed"] = True
            report(f"{feature.name}: the estimator refuses an unknown category: closed")
        settled.append(feature.model_copy(update=changes))
    return tuple(settled)


def example_row(features: tuple[Feature, ...]) -> Row:
    """Give the row of all examples: a typical input that is nobody's."""
    return tuple(feature.example for feature in features)


def _with(features: tuple[Feature, ...], position: int, value: Scalar) -> Row:
    row = list(example_row(features))
    row[position] = value
    return tuple(row)


def _type_of(present: pd.Series) -> FeatureType:
    if pd.api.types.is_bool_dtype(present) or all(isinstance(value, bool) for value in present):
        return "boolean"
    if pd.api.types.is_integer_dtype(present):
        return "integer"
    if pd.api.types.is_float_dtype(present):
        return "number"
    return "category"


def _check_numbers(name: str, present: pd.Series, options: FieldOptions) -> None:
    numbers = present.to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise PackError(f"column {name!r} has a value that is not finite")
    if options.minimum is not None and numbers.min() < options.minimum:
        raise PackError(f"column {name!r} has {numbers.min():g}, below its minimum {options.minimum:g}")
    if options.maximum is not None and numbers.max() > options.maximum:
        raise PackError(f"column {name!r} has {numbers.max():g}, above its maximum {options.maximum:g}")


def _by_frequency(present: pd.Series) -> tuple[str, ...]:
    counts = present.astype(str).value_counts()
    return tuple(sorted((str(name) for name in counts.index), key=lambda name: (-counts[name], name)))


def _example(present: pd.Series, kind: FeatureType) -> Scalar:
    if kind == "text":
        return str(present.iloc[0])
    if kind == "category":
        return _by_frequency(present)[0]
    if kind == "boolean":
        return bool(present.astype(bool).mean() >= 0.5)
    middle = np.quantile(present.to_numpy(dtype=np.float64), 0.5, method="inverted_cdf")
    return int(middle) if kind == "integer" else float(middle)
