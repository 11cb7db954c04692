"""The features that the prediction log keeps of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from service.bundle.signature import Signature


def has_sensitive(signature: Signature) -> bool:
    """Tell whether a feature must never be written."""
    return any(feature.sensitive for feature in signature.features)


def named_features(signature: Signature, row: Sequence[object]) -> dict[str, object]:
    """Name the values of a row, without sensitive ones.

    Args:
        signature: the names, and which are sensitive.
        row: values in signature order.
    """
    return {
        feature.name: value
        for feature, value in zip(signature.features, row, strict=True)
        if not feature.sensitive
    }


def features_of_body(body: bytes, signature: Signature, rows: int) -> list[str | None]:
    """Read the features of each row out of a request's body, as JSON objects by name.

    The body was accepted before, or was written by the recorder.

    Args:
        body: `{"features": ...}`, `{"batch": [...]}`, for a text model also `{"text": "..."}`; empty if
            nothing was kept.
        signature: names for rows that are lists; leaves sensitive features out.
        rows: how many there must be.

    Raises:
        ValueError: the body is something else.
    """
    if not body:
        return [None] * rows
    content = orjson.loads(body)
    if len(content) == 1 and isinstance(content.get(signature.features[0].name), str):
        found = [content]  # {"text": "..."}, whatever the feature's name
    elif "batch" in content:
        found = content["batch"]
    elif "features" in content:
        found = [content["features"]]
    else:
        found = [None]
    if len(found) != rows:
        raise ValueError(f"a body has {len(found)} rows, its record says {rows}")
    return [None if row is None else orjson.dumps(_in_order(signature, row)).decode() for row in found]


def _in_order(signature: Signature, row: Mapping[str, Any] | Sequence[Any]) -> dict[str, object]:
    if isinstance(row, Mapping):
        row = [row.get(feature.name) for feature in signature.features]
    return named_features(signature, row)
