"""What the OpenAPI document says of the routes of the prediction log."""

from __future__ import annotations

from typing import Any

from service.api.ground_truth_endpoint import GROUND_TRUTH_ROUTE
from service.api.logged_prediction import MAX_LATENCY_MS
from service.api.logged_prediction_endpoint import LOG_PREDICTION_ROUTE
from service.prediction_log.ids import ID_LENGTH
from service.prediction_log.truth_intake import TRUTH_ANSWERS
from service.prediction_log.truth_posts import MAX_REVISION, MAX_TRUTH_LENGTH

Json = dict[str, Any]
LOG_STATUSES = (400, 401, 405, 408, 413, 415, 422, 500, 503)
_LABEL_OR_NUMBER = ["string", "integer", "number", "boolean"]
_EXAMPLE_ID = "UinP2gQjYKK06mZpx1EAAAAAAAAAAJ4tVBYxaiMr3qpc51levL6FRAL7Cz7I"


def log_operations(errors: Json, errors_with_model: Json, items_max: int) -> Json:
    """Describe the two routes.

    Args:
        errors: responses of the error statuses in `LOG_STATUSES`.
        errors_with_model: the same, and that of an unknown model.
        items_max: most truths of a request.
    """
    prediction = _operation(
        "log_prediction",
        "Log a prediction that other software made",
        "It is counted like ours, and its id takes a ground truth. Without `model_name` it is of the default "
        "model. Alias: `/log-prediction`.",
        _ref("LoggedPrediction"),
        {
            "iris": {
                "prediction": "setosa",
                "latency_ms": 12.5,
                "model_name": "iris",
                "confidence": 0.97,
                "features": [5.1, 3.5, 1.4, 0.2],
            }
        },
        _ref("LoggedPredictionId"),
    )
    one = {"prediction_id": _EXAMPLE_ID, "ground_truth": "setosa"}
    batch = {"type": "array", "minItems": 1, "maxItems": items_max, "items": _ref("GroundTruth")}
    truth = _operation(
        "log_ground_truth",
        "Tell what turned out to be true",
        f"One ground truth, or 1 to {items_max} as a batch; any time later, to any worker or replica. "
        "`accepted` is kept and will be counted once; `duplicate` and `conflict` are said where they are "
        "known already. Alias: `/log-ground-truth`.",
        {"anyOf": [_ref("GroundTruth"), _object({"batch": batch}, ["batch"])]},
        {"one": one, "batch": {"batch": [one]}},
        {"anyOf": [_ref("GroundTruthResult"), _ref("GroundTruthResults")]},
    )
    prediction["responses"] |= errors_with_model
    truth["responses"] |= errors
    return {LOG_PREDICTION_ROUTE: {"post": prediction}, GROUND_TRUTH_ROUTE: {"post": truth}}


def log_schemas() -> Json:
    """Give the schemas that the two routes refer to."""
    identity = {
        "type": "string",
        "minLength": ID_LENGTH,
        "maxLength": ID_LENGTH,
        "description": "As a prediction was answered.",
    }
    result = {"type": "string", "enum": list(TRUTH_ANSWERS)}
    counts: Json = {name: {"type": "integer"} for name in TRUTH_ANSWERS}
    item = _object({"result": result, "field": {"type": "string"}, "reason": {"type": "string"}}, ["result"])
    return {
        "LoggedPrediction": _object(
            {
                "prediction": {"type": _LABEL_OR_NUMBER, "description": "Class label or number."},
                "latency_ms": {"type": "number", "minimum": 0, "maximum": MAX_LATENCY_MS},
                "model_name": {"type": "string"},
                "model_version": {"type": "string"},
                "confidence": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                "features": {
                    "type": ["object", "array", "null"],
                    "description": "As in a prediction request; without them no drift is counted.",
                },
            },
            ["prediction", "latency_ms"],
        ),
        "LoggedPredictionId": _object(
            {
                "prediction_id": identity,
                "model_name": {"type": "string"},
                "model_version": {"type": "string"},
            },
            ["prediction_id", "model_name", "model_version"],
        ),
        "GroundTruth": _object(
            {
                "prediction_id": identity,
                "ground_truth": {
                    "type": _LABEL_OR_NUMBER,
                    "maxLength": MAX_TRUTH_LENGTH,
                    "description": "Class label as in the signature, or a number within the model's bounds.",
                },
                "revision": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": MAX_REVISION,
                    "default": 0,
                    "description": "A higher one corrects an earlier truth in the log; no metric moves.",
                },
            },
            ["prediction_id", "ground_truth"],
        ),
        "GroundTruthResult": _object({"result": result}, ["result"]),
        "GroundTruthResults": _object(
            {
                "results": {"type": "array", "items": item, "description": "In the order of the batch."},
                "counts": _object(counts, list(TRUTH_ANSWERS)),
            },
            ["results", "counts"],
        ),
    }


def _operation(name: str, summary: str, text: str, body: Json, examples: Json, answer: Json) -> Json:
    return {
        "tags": ["prediction log"],
        "summary": summary,
        "operationId": name,
        "description": text,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": body,
                    "examples": {key: {"value": value} for key, value in examples.items()},
                }
            },
        },
        "responses": {
            "200": {"description": summary, "content": {"application/json": {"schema": answer}}},
        },
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Json, required: list[str]) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
