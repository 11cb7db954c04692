"""The OpenAPI document is true: its examples are answered as it says."""

from __future__ import annotations

from typing import Any

import pytest

from service.api.ground_truth_endpoint import GROUND_TRUTH_ROUTE
from service.api.logged_prediction_endpoint import LOG_PREDICTION_ROUTE
from service.api.openapi import _value_schema
from service.bundle.signature import Feature
from tests.asgi import AsgiClient


@pytest.fixture
def document(client: AsgiClient) -> Any:
    """Read the document as a client does."""
    return client.get("/openapi.json").json()


def test_typed_routes_of_every_model(document: Any) -> None:
    """Each stable model has its own routes with its own features."""
    for name in ("numbers", "mixed", "texts", "regression"):
        assert {f"/v1/models/{name}/predict", f"/v1/models/{name}/predict/batch"} <= set(document["paths"])
    body = document["paths"]["/v1/models/mixed/predict"]["post"]["requestBody"]
    named = body["content"]["application/json"]["schema"]["anyOf"][0]["properties"]["features"]
    assert named["properties"]["plan"]["enum"] == ["basic", "plus"]
    assert named["properties"]["income"]["type"] == ["number", "null"]
    assert "income" not in named["required"]


def test_closed_category_that_may_be_missing_allows_null() -> None:
    """An enum without null would forbid what the type allows."""
    feature = Feature(name="plan", type="category", categories=("a", "b"), closed=True, nullable=True)
    schema = _value_schema(feature)
    assert schema["enum"] == ["a", "b", None]
    assert schema["type"] == ["string", "null"]


def test_examples_are_answered(client: AsgiClient, document: Any) -> None:
    """What the page shows can be sent as it stands."""
    sent = 0
    for path, operations in document["paths"].items():
        if "post" not in operations or path in {GROUND_TRUTH_ROUTE, LOG_PREDICTION_ROUTE}:
            continue
        content = operations["post"]["requestBody"]["content"]["application/json"]
        for name, example in content["examples"].items():
            query = "" if "/models/" in path else f"?model_name={name}"
            assert client.post(f"{path}{query}", example["value"]).status == 200, (path, name)
            sent += 1
    assert sent == 16


def test_errors_have_one_schema(document: Any) -> None:
    """Every error answer of every route points to the same body."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status >= "400":
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Error"}
