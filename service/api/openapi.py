"""The OpenAPI document: the framework's routes, and the prediction routes that are served ahead of it.

The prediction routes get their schema from the signatures that also validate, and examples from the bundles.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from service.api.error_responses import ERROR_KINDS, INTERNAL_ERROR
from service.api.log_openapi import LOG_STATUSES, log_operations, log_schemas
from service.api.prediction_endpoint import BATCH_ROUTE, SINGLE_ROUTE
from service.bundle.row_schema import MAX_INTEGER, MAX_NUMBER
from service.bundle.signature import MAX_CATEGORY_LENGTH, MAX_TEXT_LENGTH, Feature, Signature
from service.inference.models import Models, ServedModel

Json = dict[str, Any]
_PREDICTION_STATUSES = (400, 401, 404, 405, 408, 409, 413, 415, 422, 500, 503, 504)
_FEATURE_TYPES = {
    "number": "number",
    "integer": "integer",
    "category": "string",
    "boolean": "boolean",
    "text": "string",
}


def openapi_document(app: FastAPI, models: Models) -> Json:
    """Describe every route, with the models that may serve now.

    Args:
        app: the framework's application, for its routes.
        models: for the typed routes of each model's stable version, and real examples.
    """
    document = app.openapi() | {"paths": dict(app.openapi()["paths"])}
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Error": _error_schema(), "Prediction": _prediction_schema(with_model=True)}
    schemas |= {"BatchPrediction": _batch_prediction_schema()}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _use_one_error_body(document["paths"])
    stable = [model for model in models.all() if models.role(model.key) == "stable"]
    default = [model for model in stable if model.key.model_name == models.default_model]
    paths = document["paths"]
    paths |= log_operations(
        _error_responses(LOG_STATUSES), _error_responses((*LOG_STATUSES, 404)), models.batch_rows_max
    )
    schemas |= log_schemas()
    if default:
        paths[SINGLE_ROUTE] = _operation("single", default[0], stable, None)
        paths[BATCH_ROUTE] = _operation("batch", default[0], stable, None)
    for model in stable:
        base = f"/v1/models/{model.key.model_name}/predict"
        paths[base] = _operation("single", model, [model], model.key.model_name)
        paths[f"{base}/batch"] = _operation("batch", model, [model], model.key.model_name)
    document["paths"] = dict(sorted(paths.items()))
    return document


def _use_one_error_body(paths: Json) -> None:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for path in paths.values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            for status, response in operation["responses"].items():
                if status >= "400":
                    response["content"] = content


def _operation(kind: str, model: ServedModel, models: list[ServedModel], model_name: str | None) -> Json:
    is_single = kind == "single"
    title = model_name or "any model"
    body_of = _single_body if is_single else _batch_body
    schemas = [body_of(one) for one in models]
    examples = {
        one.key.model_name: {"value": _single_example(one) if is_single else _batch_example(one)}
        for one in models
    }
    answer = "Prediction" if is_single else "BatchPrediction"
    operation: Json = {
        "tags": ["predictions"],
        "summary": f"Predict {'one row' if is_single else 'many rows'}: {title}",
        "operationId": f"predict_{kind}_{model_name or 'any'}".replace("-", "_").replace(".", "_"),
        "description": _description(is_single, model_name, model),
        "parameters": _parameters(model_name),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
                    "examples": examples,
                }
            },
        },
        "responses": {
            "200": {
                "description": "The prediction."
                if is_single
                else "The predictions, in the order of the rows.",
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}},
            }
        }
        | _error_responses(),
    }
    return {"post": operation}


def _description(is_single: bool, model_name: str | None, model: ServedModel) -> str:
    alias = "/predict" if is_single else "/predict-batch"
    text = "Features by name, or as a list in the order of the signature."
    if not is_single:
        text += f" 1 to {model.parser.batch_rows_max} rows, all named or all lists."
    if model_name is None:
        text += f" Without `model_name` the default model `{model.key.model_name}` answers. Alias: `{alias}`."
    return text


def _parameters(model_name: str | None) -> list[Json]:
    def parameter(name: str, description: str, schema: Json) -> Json:
        return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}

    text = {"type": "string"}
    parameters = [
        parameter("model_version", "Pins a version; without it the stable one answers.", text),
        parameter("probabilities", "Also return the probability of each class.", {"type": "boolean"}),
    ]
    if model_name is None:
        parameters.insert(0, parameter("model_name", "The model that answers.", text))
    return parameters


def _error_responses(statuses: tuple[int, ...] = _PREDICTION_STATUSES) -> Json:
    kinds = [*ERROR_KINDS.values(), INTERNAL_ERROR]
    responses: Json = {}
    for status in sorted(statuses):
        codes = ", ".join(f"`{kind.code}`" for kind in kinds if kind.status == status)
        responses[str(status)] = {
            "description": codes,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    return responses


def _value_schema(feature: Feature) -> Json:
    schema: Json = {"type": _FEATURE_TYPES[feature.type]}
    if feature.is_numeric:
        bound = MAX_INTEGER if feature.type == "integer" else MAX_NUMBER
        schema["minimum"] = -bound if feature.minimum is None else feature.minimum
        schema["maximum"] = bound if feature.maximum is None else feature.maximum
    if feature.type == "text":
        schema |= {"minLength": 1, "maxLength": feature.max_length or MAX_TEXT_LENGTH}
    if feature.type == "category":
        schema["maxLength"] = feature.max_length or MAX_CATEGORY_LENGTH
        if feature.closed:
            schema["enum"] = [*(feature.categories or ()), *([None] if feature.nullable else [])]
    if feature.nullable:
        schema["type"] = [schema["type"], "null"]
    note = " ".join(part for part in (feature.description, feature.unit and f"[{feature.unit}]") if part)
    return schema | ({"description": note} if note else {})


def _row_schema(signature: Signature) -> Json:
    return {
        "type": "object",
        "properties": {feature.name: _value_schema(feature) for feature in signature.features},
        "required": [feature.name for feature in signature.features if not feature.nullable],
        "additionalProperties": False,
    }


def _positional_schema(signature: Signature) -> Json:
    count = len(signature.features)
    return {
        "type": "array",
        "prefixItems": [_value_schema(feature) for feature in signature.features],
        "items": False,
        "minItems": count,
        "maxItems": count,
    }


def _object(key: str, content: Json) -> Json:
    return {"type": "object", "properties": {key: content}, "required": [key], "additionalProperties": False}


def _single_body(model: ServedModel) -> Json:
    signature = model.bundle.signature
    named, positional = _row_schema(signature), _positional_schema(signature)
    forms = [_object("features", named), _object("features", positional)]
    return {"anyOf": ([named, *forms] if signature.input == "text" else forms), "title": model.key.model_name}


def _batch_body(model: ServedModel) -> Json:
    signature = model.bundle.signature
    bounds = {"type": "array", "minItems": 1, "maxItems": model.parser.batch_rows_max}
    forms = [_row_schema(signature), _positional_schema(signature)]
    return {
        "anyOf": [_object("batch", bounds | {"items": form}) for form in forms],
        "title": model.key.model_name,
    }


def _example_row(model: ServedModel) -> Json:
    return {feature.name: feature.example for feature in model.bundle.signature.features}


def _single_example(model: ServedModel) -> Json:
    row = _example_row(model)
    return row if model.bundle.signature.input == "text" else {"features": row}


def _batch_example(model: ServedModel) -> Json:
    return {"batch": [_example_row(model), _example_row(model)]}


def _error_schema() -> Json:
    kinds = [*ERROR_KINDS.values(), INTERNAL_ERROR]
    detail = {
        "type": "object",
        "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
        "required": ["field", "reason"],
    }
    error = {
        "type": "object",
        "properties": {
            "code": {"type": "string", "enum": sorted({kind.code for kind in kinds} | {"bad_request"})},
            "message": {"type": "string"},
            "details": {"type": "array", "maxItems": 5, "items": detail},
            "request_id": {"type": "string"},
        },
        "required": ["code", "message", "details", "request_id"],
    }
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


def _prediction_schema(*, with_model: bool) -> Json:
    properties: Json = {
        "prediction_id": {
            "type": "string",
            "description": "Names this prediction when its truth comes; 60 characters.",
        },
        "prediction": {"type": ["string", "integer", "number", "boolean"]},
        "confidence": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1,
            "description": "Probability of the predicted class; null if the model has none.",
        },
        "out_of_distribution": {
            "type": "boolean",
            "description": "The input is unlike the training data; do not trust the prediction.",
        },
        "warnings": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
                "required": ["field", "reason"],
            },
        },
    }
    required = list(properties)
    properties["probabilities"] = {"type": "object", "additionalProperties": {"type": "number"}}
    if with_model:
        properties |= _model_properties()
        required += list(_model_properties())
    return {"type": "object", "properties": properties, "required": required}


def _model_properties() -> Json:
    return {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "latency_ms": {"type": "number", "description": "Time spent in the service, milliseconds."},
    }


def _batch_prediction_schema() -> Json:
    predictions = {"type": "array", "items": _prediction_schema(with_model=False)}
    properties = {"predictions": predictions} | _model_properties()
    return {"type": "object", "properties": properties, "required": list(properties)}
