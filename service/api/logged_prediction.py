"""The body of `POST /v1/log-prediction`, read by the signature of its model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from service.bundle.row_schema import Row
from service.bundle.signature import Signature
from service.errors import InvalidInputError, Violation, ViolationReason
from service.inference.models import DescribedModel

MAX_LATENCY_MS = 86_400_000.0
"""A day; a longer time is a mistake of units."""
FIELDS = ("prediction", "latency_ms", "model_name", "model_version", "confidence", "features")
_MAX_NUMBER = 1e30


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """One prediction that was made elsewhere.

    Args:
        class_index: position of the predicted class; None for regression.
        value: the predicted number; None for classification.
        latency_ms: how long it took there, milliseconds.
        confidence: probability of the predicted class, 0..1; None if it was not told.
        row: its features in signature order; None if they were not told.
    """

    class_index: int | None
    value: float | None
    latency_ms: float
    confidence: float | None
    row: Row | None


def read_object(body: bytes) -> dict[str, Any]:
    """Read the JSON object.

    Raises:
        InvalidInputError: it is none, or has a field that no prediction has.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _refusal("body", f"not valid JSON: {error.msg.partition(':')[0]}", "type") from error
    if not isinstance(content, dict):
        raise _refusal("body", "must be an object", "type")
    if extra := content.keys() - set(FIELDS):
        raise _refusal(min(extra)[:64], "is not a field of a prediction", "extra")
    return content


def name_in(content: Mapping[str, Any], field: str) -> str | None:
    """Return the model's name or version, None if it is not told.

    Raises:
        InvalidInputError: it is no text.
    """
    name = content.get(field)
    if name is not None and not (isinstance(name, str) and name):
        raise _refusal(field, "must be a string that is not empty", "type")
    return name


def read_logged_prediction(content: Mapping[str, Any], model: DescribedModel) -> LoggedPrediction:
    """Read the rest by the model's signature.

    Raises:
        InvalidInputError: a field breaks it; a field of a row is named as in a prediction request.
    """
    signature = model.signature
    class_index, value = _prediction(content, signature)
    latency_ms = _number(content, "latency_ms", 0.0, MAX_LATENCY_MS)
    if latency_ms is None:
        raise _refusal("latency_ms", "is missing", "missing")
    confidence = _number(content, "confidence", 0.0, 1.0)
    if confidence is not None and signature.classes is None:
        raise _refusal("confidence", "is not for a regression model", "extra")
    return LoggedPrediction(class_index, value, latency_ms, confidence, _row(content, model))


def _prediction(content: Mapping[str, Any], signature: Signature) -> tuple[int | None, float | None]:
    prediction = content.get("prediction")
    if prediction is None:
        raise _refusal("prediction", "is missing", "missing")
    if signature.classes is not None:
        index = signature.class_index(prediction)
        if index is None:
            raise _refusal("prediction", "is not one of the model's classes", "category")
        return index, None
    low = -_MAX_NUMBER if signature.output_minimum is None else signature.output_minimum
    high = _MAX_NUMBER if signature.output_maximum is None else signature.output_maximum
    return None, _number(content, "prediction", low, high)


def _row(content: Mapping[str, Any], model: DescribedModel) -> Row | None:
    features = content.get("features")
    if features is None:
        return None
    try:
        body = orjson.dumps({"features": features})
    except orjson.JSONEncodeError as error:  # it reads to a greater depth than it writes
        raise _refusal("features", "is nested too deeply", "type") from error
    return model.parser.single(body)


def _number(content: Mapping[str, Any], field: str, low: float, high: float) -> float | None:
    value = content.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refusal(field, "must be a number", "type")
    if not (math.isfinite(value) and low <= value <= high):
        raise _refusal(field, f"must be from {low:g} to {high:g}", "range")
    return float(value)


def _refusal(field: str, message: str, reason: ViolationReason) -> InvalidInputError:
    return InvalidInputError([Violation(field, message, reason, None)])
