"""Writes predictions as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import orjson

from service.events import IN_DISTRIBUTION, OUT_BY_NOVELTY
from service.inference.jobs import PredictedRows, Segment
from service.inference.models import ServedModel


def single_answer(
    model: ServedModel, row: Sequence[Any], predicted: PredictedRows, with_probabilities: bool, seconds: float
) -> bytes:
    """Write the answer of a single prediction; `seconds` is the time since the request entered."""
    (segment,), (prediction_id,) = predicted.segments, predicted.prediction_ids
    content = _prediction(model, row, segment, segment.start, prediction_id, with_probabilities)
    _close(content, model, seconds)
    return orjson.dumps(content)


def batch_answer(
    model: ServedModel,
    rows: Sequence[Sequence[Any]],
    predicted: PredictedRows,
    with_probabilities: bool,
    seconds: float,
) -> bytes:
    """Write the answer of a batch, in the order of its rows."""
    places = chain.from_iterable(
        ((segment, index) for index in range(segment.start, segment.stop)) for segment in predicted.segments
    )
    predictions = [
        _prediction(model, row, segment, index, prediction_id, with_probabilities)
        for row, (segment, index), prediction_id in zip(rows, places, predicted.prediction_ids, strict=True)
    ]
    content: dict[str, Any] = {"predictions": predictions}
    _close(content, model, seconds)
    return orjson.dumps(content)


def _prediction(
    model: ServedModel,
    row: Sequence[Any],
    segment: Segment,
    index: int,
    prediction_id: str,
    with_probabilities: bool,
) -> dict[str, Any]:
    result = segment.result
    distribution = result.distribution[index]
    content: dict[str, Any] = {
        "prediction_id": prediction_id,
        "prediction": result.predictions[index],
        "confidence": None if result.confidences is None else result.confidences[index],
        "out_of_distribution": distribution != IN_DISTRIBUTION,
        "warnings": [] if distribution == IN_DISTRIBUTION else _warnings(model, row, distribution),
    }
    if with_probabilities and result.probabilities is not None:
        names = model.bundle.signature.class_names
        content["probabilities"] = dict(zip(names, result.probabilities[index].tolist(), strict=True))
    return content


def _warnings(model: ServedModel, row: Sequence[Any], distribution: int) -> list[dict[str, str]]:
    if distribution == OUT_BY_NOVELTY:
        return [{"field": model.bundle.signature.features[0].name, "reason": "unlike the training texts"}]
    reasons = {"range": "outside the training data's range", "category": "a category unknown in training"}
    return [{"field": name, "reason": reasons[reason]} for name, reason in model.bundle.scorer.explain(row)]


def _close(content: dict[str, Any], model: ServedModel, seconds: float) -> None:
    content["model_name"], content["model_version"] = model.key
    content["latency_ms"] = round(seconds * 1000, 3)
