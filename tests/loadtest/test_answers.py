"""Checks of answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadtest.answers import PredictionChecks, refusal
from loadtest.malformed import BadRequest
from loadtest.served_models import Feature, ServedModel

FEATURES = (Feature("a", "number", nullable=False),)
CLASSIFIER = ServedModel("iris", FEATURES, ("x", "y"), ((1.0,), (2.0,)))
REGRESSOR = ServedModel("iris", FEATURES, None, ((1.0,), (2.0,)))
COMMON = {"model_name": "iris", "model_version": "3", "latency_ms": 0.7}
PREDICTION = {
    "prediction_id": "p",
    "prediction": "x",
    "confidence": 0.8,
    "out_of_distribution": False,
    "warnings": [],
}
BAD = BadRequest("NaN", "/", b"", 422, "features.a")


def _single(model: ServedModel = CLASSIFIER, **changes: Any) -> str | None:
    body = json.dumps({**PREDICTION, **COMMON, **changes}).encode()
    return PredictionChecks().single(model, (1.0,))(200, body)


def _batch(checks: PredictionChecks, *predictions: str, ids: str = "pqr") -> str | None:
    rows = [
        {**PREDICTION, "prediction": value, "prediction_id": id_}
        for value, id_ in zip(predictions, ids, strict=False)
    ]
    body = json.dumps({"predictions": rows, **COMMON}).encode()
    return checks.batch(CLASSIFIER, ((1.0,), (2.0,)))(200, body)


def test_an_answer_as_promised_has_no_problem() -> None:
    """Labels of classifiers and numbers of regressors pass, extra keys too."""
    assert _single(probabilities={"x": 0.8}) is None
    assert _single(REGRESSOR, prediction=1.5, confidence=None) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"prediction": "z"}, "the prediction is no class of the signature"),
        ({"prediction_id": ""}, "prediction_id is no text"),
        ({"confidence": 1.5}, "confidence is not between 0 and 1"),
        ({"out_of_distribution": None}, "out_of_distribution is neither true nor false"),
        ({"warnings": None}, "warnings is no list"),
        ({"model_name": "tickets"}, "another model answered"),
        ({"model_version": None}, "model_version is no text"),
        ({"latency_ms": -1}, "latency_ms is no duration"),
    ],
)
def test_each_broken_promise_has_its_text(changes: dict[str, Any], problem: str) -> None:
    """One wrong value is one problem, named."""
    assert _single(**changes) == problem


def test_a_regressor_answers_finite_numbers() -> None:
    """A label, or a number that is not finite, is a problem."""
    for value in ("x", True, float("nan")):
        assert _single(REGRESSOR, prediction=value) == "the prediction is no finite number"


def test_status_and_keys_are_checked_first() -> None:
    """Another status is named with the error's code, a missing key by its name."""
    check = PredictionChecks().single(CLASSIFIER, (1.0,))
    assert check(500, b'{"error": {"code": "prediction_failed"}}') == "answered 500 prediction_failed"
    assert check(502, b"<html>") == "answered 502"
    assert check(200, b"[]") == "the body is no JSON object"
    lacking = json.dumps({**PREDICTION, "model_name": "iris", "model_version": "3"}).encode()
    assert check(200, lacking) == "the answer lacks latency_ms"


def test_a_batch_out_of_order_is_noticed() -> None:
    """Rows whose predictions are swapped differ from what the same rows got before."""
    checks = PredictionChecks()
    assert _batch(checks, "x", "y") is None
    assert _batch(checks, "y", "x") == "the same row got another prediction than before"


def test_a_batch_has_a_prediction_and_an_id_for_each_row() -> None:
    """A missing prediction and an id that is used twice are problems."""
    assert _batch(PredictionChecks(), "x") == "the batch has another number of predictions than rows"
    twice = _batch(PredictionChecks(), "x", "y", ids="pp")
    assert twice == "two predictions of the batch have the same prediction_id"


def test_ties_may_fall_either_way() -> None:
    """At a probability of at most a half, rounding may choose another class of the same probability."""
    checks = PredictionChecks()
    for value in ("x", "y"):
        body = json.dumps({**PREDICTION, **COMMON, "confidence": 0.5, "prediction": value}).encode()
        assert checks.single(CLASSIFIER, (1.0,))(200, body) is None


def _refused(status: int = 422, **changes: Any) -> str | None:
    details = [{"field": "features.a", "reason": "must be a finite number"}]
    error = {"code": "invalid_input", "message": "m", "details": details, "request_id": "r", **changes}
    return refusal(BAD)(status, json.dumps({"error": error}).encode())


def test_a_refusal_names_the_field_in_the_common_body() -> None:
    """Status, body and field of a refusal are checked."""
    assert _refused() is None
    assert _refused(200) == "answered 200 instead of 422"
    assert _refused(stack="...") == "the body of the refusal is not the common error body"
    assert _refused(details=[]) == "the refusal does not name features.a"
    assert _refused(details=[{"field": "x"}] * 6) == "details is no list of at most 5"
