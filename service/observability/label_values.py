"""The closed sets that label values come from; what is in none of them is counted as `other`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from service.bundle.signature import Feature
from service.errors import VIOLATION_REASONS, ViolationReason
from service.events import OUT_BY_CATEGORY, OUT_BY_NOVELTY, OUT_BY_RANGE, Kind, Outcome, SpoolResult

OTHER = "other"

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
KINDS: tuple[Kind, ...] = get_args(Kind)
STAGES = ("queue", "preprocess", "predict", "postprocess")
INVALID_OUTPUT_REASONS = ("nan", "bounds")
OUT_OF_DISTRIBUTION_REASONS = {
    OUT_BY_RANGE: "range",
    OUT_BY_CATEGORY: "category",
    OUT_BY_NOVELTY: "novelty",
}
SPOOL_RESULTS: tuple[SpoolResult, ...] = get_args(SpoolResult)
LISTENERS = ("predictions", "http", "feature_bins", "request_log", "prediction_log", OTHER)

_PREDICT_STATUSES = (200, 400, 401, 404, 408, 409, 413, 415, 422, 429, 499, 500, 503, 504)
_LOG_STATUSES = (200, 400, 401, 404, 408, 413, 415, 422, 429, 499, 500, 503)
_READ_STATUSES = (200, 401, 404, 500, 503)
_OTHER_STATUSES = (200, 400, 401, 403, 404, 405, 408, 413, 414, 415, 431, 500, 501, 503)
HTTP_HANDLERS: dict[str, tuple[str, tuple[int, ...]]] = {
    "/v1/predict": ("POST", _PREDICT_STATUSES),
    "/v1/predict/batch": ("POST", _PREDICT_STATUSES),
    "/v1/models/{model_name}/predict": ("POST", _PREDICT_STATUSES),
    "/v1/models/{model_name}/predict/batch": ("POST", _PREDICT_STATUSES),
    "/v1/log-prediction": ("POST", _LOG_STATUSES),
    "/v1/log-ground-truth": ("POST", _LOG_STATUSES),
    "/v1/models": ("GET", _READ_STATUSES),
    "/v1/models/{model_name}": ("GET", _READ_STATUSES),
    "/health": ("GET", _READ_STATUSES),
    "/ready": ("GET", _READ_STATUSES),
    "/metrics": ("GET", _READ_STATUSES),
    "/docs": ("GET", _READ_STATUSES),
    "/openapi.json": ("GET", _READ_STATUSES),
    OTHER: (OTHER, _OTHER_STATUSES),
}
"""Method and statuses of each route; anything else, such as a 405, is counted under handler `other`."""


def violation_reasons(feature: Feature) -> tuple[ViolationReason, ...]:
    """Name the ways in which a value of this feature can break the signature."""
    if feature.is_numeric:
        return ("missing", "type", "range", "nan")
    if feature.type == "category":
        return ("missing", "type", "category", "length")
    if feature.type == "text":
        return ("missing", "type", "length")
    return ("missing", "type")


def violation_labels(features: Iterator[Feature]) -> Iterator[tuple[str, ViolationReason]]:
    """Give every pair of `field` and `reason` for the monitored features, then those of `other`."""
    for feature in features:
        for reason in violation_reasons(feature):
            yield feature.name, reason
    for reason in VIOLATION_REASONS:
        yield OTHER, reason
