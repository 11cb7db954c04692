"""Checks of answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadtest.answers import PredictionChecks, prediction_ids, refusal, told_truths
from loadtest.malformed import BadRequest
from loadtest.pending_truths import PendingTruth
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
BAD_ITEM = BadRequest("foreign id", "/", b"", 200, "batch[1].prediction_id")
ONCE, AGAIN = PendingTruth("p", "x", is_repeat=False), PendingTruth("q", "y", is_repeat=True)


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


def _told(truths: list[PendingTruth], *results: object, **counts: int) -> str | None:
    verdicts = [{"result": result} for result in results]
    all_counts = {"accepted": 0, "duplicate": 0, "conflict": 0, "invalid": 0, **counts}
    return told_truths(truths)(200, json.dumps({"results": verdicts, "counts": all_counts}).encode())


def test_truths_are_accepted_and_repeated_ones_may_be_known() -> None:
    """Once is `accepted`, again is that or `duplicate`; one truth alone is answered without a list."""
    assert _told([ONCE, AGAIN], "accepted", "duplicate", accepted=1, duplicate=1) is None
    assert _told([ONCE, AGAIN], "accepted", "accepted", accepted=2) is None
    assert told_truths([ONCE])(200, b'{"result": "accepted"}') is None


@pytest.mark.parametrize("result", ["duplicate", "conflict", "invalid"])
def test_a_truth_sent_once_is_nothing_but_accepted(result: str) -> None:
    """Any other result of a first truth is a problem, named."""
    assert _told([ONCE, ONCE], "accepted", result) == f"a truth sent once was answered {result}"


def test_a_truth_sent_again_is_no_conflict() -> None:
    """The same value cannot contradict itself, and a result nobody promised is not put into the report."""
    assert _told([ONCE, AGAIN], "accepted", "conflict") == "a truth sent again was answered conflict"
    assert _told([ONCE, AGAIN], "accepted", ["p"]) == "a truth sent again was answered otherwise"


def test_results_and_counts_of_a_batch_agree() -> None:
    """There is a result for each truth, and the counts add up to them."""
    assert _told([ONCE, ONCE], "accepted") == "the batch has another number of results than truths"
    miscounted = _told([ONCE, ONCE], "accepted", "accepted", accepted=3)
    assert miscounted == "the counts of the batch are not those of its results"
    assert told_truths([ONCE, ONCE])(200, b'{"results": []}') == "the answer lacks counts"
    assert told_truths([ONCE])(422, b"{}") == "answered 422"


def test_the_ids_of_an_answer_are_those_of_its_rows() -> None:
    """One of a single prediction, all of a batch, in order."""
    assert prediction_ids(json.dumps({**PREDICTION, **COMMON}).encode()) == ["p"]
    batch = {"predictions": [{**PREDICTION, "prediction_id": each} for each in "pq"], **COMMON}
    assert prediction_ids(json.dumps(batch).encode()) == ["p", "q"]


def test_bad_truths_of_a_batch_are_invalid_by_name() -> None:
    """A batch of bad truths is answered 200: each is invalid, and the field is named."""
    first = {"result": "invalid", "field": "batch[0].ground_truth", "reason": "is no class"}
    second = {"result": "invalid", "field": "batch[1].prediction_id", "reason": "is not ours"}

    def problem(content: object) -> str | None:
        return refusal(BAD_ITEM)(200, json.dumps(content).encode())

    assert problem({"results": [first, second]}) is None
    assert problem({"results": [first]}) == "no result names batch[1].prediction_id"
    accepted = {"results": [{"result": "accepted"}, second]}
    assert problem(accepted) == "a bad truth of the batch was not answered invalid"
    assert problem({}) == "the body has no results"
