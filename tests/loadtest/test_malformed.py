"""The table of bad requests."""

from __future__ import annotations

import json
import math

from loadtest.malformed import BadRequest, bad_requests
from loadtest.served_models import Feature, ServedModel

TABULAR = ServedModel(
    "iris",
    (Feature("a", "number", nullable=True), Feature("b", "number", nullable=False)),
    ("x",),
    ((1.5, 2.5),),
)
TEXT = ServedModel("tickets", (Feature("text", "text", nullable=False),), ("x",), (("hello",),))
IDS = {"iris": "iris-prediction-id-A", "tickets": "tickets-prediction-id-X"}


def _bad_requests(models: list[ServedModel], *, has_token: bool = False) -> tuple[BadRequest, ...]:
    return bad_requests(models, IDS, has_token=has_token)


def test_numbers_that_are_not_finite_stand_bare_in_the_body() -> None:
    """NaN, Infinity and 1e999 are sent as tokens, which no JSON library would write."""
    bodies = {bad.name: bad.body for bad in _bad_requests([TABULAR])}
    for token in ("NaN", "Infinity", "-Infinity", "1e999"):
        assert bodies[token] == b'{"features": {"a": ' + token.encode() + b', "b": 2.5}}'


def test_a_feature_that_may_be_missing_is_not_left_out() -> None:
    """Leaving out a nullable feature is no error, so another is left out."""
    missing = next(bad for bad in _bad_requests([TABULAR]) if bad.name == "missing feature")
    assert missing.body is not None
    assert json.loads(missing.body) == {"features": {"a": 1.5}}
    assert missing.field == "features.b"


def test_batches_are_one_row_too_long_or_empty() -> None:
    """The limits of a batch are tried from both sides, for each model."""
    requests = _bad_requests([TABULAR, TEXT])
    too_long = [json.loads(bad.body or b"") for bad in requests if bad.name == "batch too long"]
    assert [len(body["batch"]) for body in too_long] == [1001, 1001]
    assert sum(bad.name == "empty batch" for bad in requests) == 2


def test_a_missing_token_is_tried_only_where_tokens_are_needed() -> None:
    """Without tokens a request without one is a good request."""
    assert not any(bad.status == 401 for bad in _bad_requests([TABULAR]))
    assert sum(bad.status == 401 for bad in _bad_requests([TABULAR], has_token=True)) == 2


def test_every_bad_request_is_refused_as_the_clients_fault() -> None:
    """Nothing expects a success or a failure of the server; of a batch of truths each is refused alone."""
    requests = _bad_requests([TABULAR, TEXT], has_token=True)
    refused = [bad for bad in requests if bad.status // 100 == 4]
    one_by_one = [bad for bad in requests if bad.status == 200]
    assert len(refused) + len(one_by_one) == len(requests)
    assert {bad.name for bad in one_by_one} == {
        "truths: batch with a foreign id",
        "truths: batch with a wrong class",
    }


def test_no_bad_truth_could_be_counted() -> None:
    """Should one be taken by mistake, its value is none that a model of the table can have."""
    bodies = [
        json.loads(bad.body)
        for bad in _bad_requests([TABULAR, TEXT])
        if bad.path.startswith("/v1/log-ground-truth") and bad.body
    ]
    items = [item for body in bodies for item in body.get("batch", [body]) if "prediction_id" in item]
    numbers = [item["ground_truth"] for item in items if isinstance(item.get("ground_truth"), int | float)]
    assert items
    assert not any(map(math.isfinite, numbers))
    assert not any(item.get("ground_truth") == "x" for item in items)


def test_each_model_gets_a_truth_of_a_wrong_class() -> None:
    """The id is one that the model gave, so that only the value is wrong."""
    bodies = [bad.body for bad in _bad_requests([TABULAR, TEXT]) if bad.name == "truth of a wrong class"]
    posted = [json.loads(body or b"") for body in bodies]
    assert [each["prediction_id"] for each in posted] == list(IDS.values())


def test_a_forged_id_differs_in_one_character() -> None:
    """So only its signature can tell it from the real one."""
    for real in ("iris-prediction-id-A", "iris-prediction-id-B"):
        requests = bad_requests([TABULAR], {"iris": real}, has_token=False)
        forged = next(bad for bad in requests if bad.name == "truth with a forged id")
        prediction_id = json.loads(forged.body or b"")["prediction_id"]
        assert prediction_id[:-1] == real[:-1]
        assert prediction_id != real


def test_a_batch_of_truths_is_one_too_long() -> None:
    """The limit of the service is 1000."""
    too_long = next(bad for bad in _bad_requests([TABULAR]) if bad.name == "truths: too long batch")
    assert len(json.loads(too_long.body or b"")["batch"]) == 1001
