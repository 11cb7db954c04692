"""Records the golden requests of a model: validation rows, and the edges of what it may be asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from service.bundle.golden import Golden, GoldenRequest, output_of
from service.bundle.packing.features import UNKNOWN_CATEGORY, example_row
from service.bundle.packing.table import Row
from service.bundle.packing.validation import Validation
from service.bundle.reference import Reference
from service.bundle.row_schema import RowParser
from service.bundle.scoring import OUTPUT_OK, Scorer
from service.bundle.signature import MAX_TEXT_LENGTH, Signature
from service.errors import InvalidInputError

TOLERANCE = 1e-6
VALIDATION_REQUESTS = 8
MISSING_REQUESTS = 5

_TEXTS = {
    "one character": "x",
    "digits": "404 500 503",
    "no words": "?!... --- :)",
    "unicode": "Größe 東京 \U0001f600 naïve é Ω",
    "right to left": "مرحبا שלום",
    "control characters": "line one\nline two\ttabbed\u200b",
}


def record_golden(
    signature: Signature, reference: Reference, scorer: Scorer, validation: Validation
) -> Golden:
    """Ask the model what a client might ask and write down what it says.

    A sensitive feature is recorded with its example, never with a value of somebody's row.
    """
    requests, rows = [], []
    parser = RowParser(signature, 1)
    for name, row in _candidates(signature, reference, validation):
        request = _request(signature, row)
        try:
            rows.append(parser.single(json.dumps(request).encode()))
        except InvalidInputError:
            continue  # an edge beyond a hard limit is refused by the service, so it is nothing to repeat
        requests.append((name, request))
    scores = scorer.score(rows)
    return Golden(
        tolerance=TOLERANCE,
        requests=tuple(
            GoldenRequest(name=name, request=request, output=output_of(signature, scores, index))
            for index, (name, request) in enumerate(requests)
            if scores.invalid[index] == OUTPUT_OK
        ),
    )


def _candidates(
    signature: Signature, reference: Reference, validation: Validation
) -> Iterator[tuple[str, Row]]:
    example = example_row(signature.features)
    yield "examples", example
    for index in _spread(validation):
        yield f"validation row {index}", _without_sensitive(signature, validation.rows[index])
    if signature.input == "text":
        for name, text in {**_TEXTS, "longest": _longest(signature, str(example[0]))}.items():
            yield name, (text,)
        return
    yield "all at the smallest value", _at_ends(signature, reference, "minimum")
    yield "all at the largest value", _at_ends(signature, reference, "maximum")
    for position, feature in enumerate(signature.features):
        known = reference.features.get(feature.name)
        if feature.is_numeric and known is not None and known.maximum is not None:
            beyond = known.maximum + max(1.0, abs(known.maximum))
            yield f"{feature.name} out of range", _replaced(example, position, _typed(feature.type, beyond))
            break
    unknown = tuple(
        UNKNOWN_CATEGORY if feature.type == "category" and not feature.closed else value
        for feature, value in zip(signature.features, example, strict=True)
    )
    if unknown != example:
        yield "unknown categories", unknown
    nullable = [position for position, feature in enumerate(signature.features) if feature.nullable]
    for position in nullable[:MISSING_REQUESTS]:
        yield f"{signature.features[position].name} missing", _replaced(example, position, None)
    if len(nullable) > 1:
        everything = tuple(None if i in nullable else value for i, value in enumerate(example))
        yield "all missing that may be", everything


def _spread(validation: Validation) -> list[int]:
    """Choose rows spread over the table, and the first row of each predicted class."""
    count = len(validation.rows)
    chosen = set(np.linspace(0, count - 1, min(count, VALIDATION_REQUESTS)).astype(int).tolist())
    if validation.confidences is not None:
        chosen.update(np.unique(validation.predictions, return_index=True)[1][:20].tolist())
    return sorted(chosen)


def _request(signature: Signature, row: Row) -> dict[str, Any]:
    if signature.input == "text":
        return {"text": row[0]}
    return {"features": dict(zip((feature.name for feature in signature.features), row, strict=True))}


def _without_sensitive(signature: Signature, row: Row) -> Row:
    pairs = zip(signature.features, row, strict=True)
    return tuple(feature.example if feature.sensitive else value for feature, value in pairs)


def _at_ends(signature: Signature, reference: Reference, end: str) -> Row:
    values: list[Any] = []
    for feature in signature.features:
        known = reference.features.get(feature.name)
        bound = getattr(known, end) if known is not None and feature.is_numeric else None
        values.append(feature.example if bound is None else _typed(feature.type, bound))
    return tuple(values)


def _typed(kind: str, value: float) -> float | int:
    return int(value) if kind == "integer" else value


def _replaced(row: Row, position: int, value: Any) -> Row:
    return (*row[:position], value, *row[position + 1 :])


def _longest(signature: Signature, text: str) -> str:
    limit = signature.features[0].max_length or MAX_TEXT_LENGTH
    return (f"{text} " * (limit // (len(text) + 1) + 1))[:limit]
