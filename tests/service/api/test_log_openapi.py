"""What the document says of the routes of the prediction log is true."""

from __future__ import annotations

from typing import Any

import pytest

from service.api.ground_truth_endpoint import GROUND_TRUTH_ROUTE
from service.api.log_openapi import LOG_STATUSES
from service.api.logged_prediction import FIELDS
from service.api.logged_prediction_endpoint import LOG_PREDICTION_ROUTE
from service.prediction_log.truth_intake import TRUTH_ANSWERS
from service.settings import Settings
from tests.asgi import AsgiClient


@pytest.fixture
def document(client: AsgiClient) -> Any:
    """Read the document as a client does."""
    return client.get("/openapi.json").json()


def test_examples_of_the_log_routes_are_taken(client: AsgiClient, document: Any) -> None:
    """They are of demo models: with an id and the names of the models at hand they are answered."""
    paths = document["paths"]
    (logged,) = examples_of(paths[LOG_PREDICTION_ROUTE])
    features = {"model_name": "numbers", "prediction": "ash", "features": [1.5, 11.0, -2.0]}
    response = client.post(LOG_PREDICTION_ROUTE, logged | features)
    assert response.status == 200, response.body
    prediction_id = response.json()["prediction_id"]
    one, batch = examples_of(paths[GROUND_TRUTH_ROUTE])
    truth = {"prediction_id": prediction_id, "ground_truth": "ash"}
    assert len(one["prediction_id"]) == len(prediction_id)
    for example in (one | truth, {"batch": [item | truth for item in batch["batch"]]}):
        assert client.post(GROUND_TRUTH_ROUTE, example).status == 200
    schemas = document["components"]["schemas"]
    assert logged.keys() <= schemas["LoggedPrediction"]["properties"].keys() == set(FIELDS)
    assert one.keys() <= schemas["GroundTruth"]["properties"].keys()


def examples_of(operations: Any) -> list[Any]:
    """Give the bodies that a route shows."""
    content = operations["post"]["requestBody"]["content"]["application/json"]
    return [example["value"] for example in content["examples"].values()]


def test_answers_fit_their_schemas(client: AsgiClient, document: Any) -> None:
    """A batch has the results and counts that are told; a single truth has its result."""
    schemas = document["components"]["schemas"]
    answer = client.post(GROUND_TRUTH_ROUTE, {"batch": [{"prediction_id": "x", "ground_truth": 1}]}).json()
    assert answer.keys() == schemas["GroundTruthResults"]["properties"].keys()
    assert answer["counts"].keys() == set(TRUTH_ANSWERS)
    assert schemas["GroundTruthResult"]["properties"]["result"]["enum"] == list(TRUTH_ANSWERS)
    (item,) = answer["results"]
    assert item.keys() == schemas["GroundTruthResults"]["properties"]["results"]["items"]["properties"].keys()


def test_statuses_and_limits_are_told(document: Any, settings: Settings) -> None:
    """Each status that a client may meet is there; a batch has the length that is set."""
    truth = document["paths"][GROUND_TRUTH_ROUTE]["post"]
    logged = document["paths"][LOG_PREDICTION_ROUTE]["post"]
    assert set(truth["responses"]) == {"200", *map(str, LOG_STATUSES)}
    assert set(logged["responses"]) == {"200", "404", *map(str, LOG_STATUSES)}
    _, batch = truth["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert batch["properties"]["batch"]["maxItems"] == settings.batch_rows_max
