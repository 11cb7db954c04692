"""Checks of every answer; a problem is one line without ids or measured values, so that equal ones add up."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from loadtest.malformed import BadRequest
from loadtest.payloads import Row, Scalar
from loadtest.pending_truths import PendingTruth
from loadtest.served_models import ServedModel

ROW_KEYS = {"prediction_id", "prediction", "confidence", "out_of_distribution", "warnings"}
MODEL_KEYS = {"model_name", "model_version", "latency_ms"}
ERROR_KEYS = {"code", "message", "details", "request_id"}
MAX_DETAILS = 5
TRUTH_RESULTS = ("accepted", "duplicate", "conflict", "invalid")

Check = Callable[[int, bytes], str | None]
"""Takes status and body of an answer; returns what is wrong with it, or None."""


class PredictionChecks:
    """Checks predictions, and that the same row always gets the same one.

    A batch in the wrong order, or an answer handed to another caller, shows as a row that changed its mind.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, str, Row], tuple[Scalar, float | None]] = {}

    def single(self, model: ServedModel, row: Row) -> Check:
        """Make the check of a single prediction."""

        def check(status: int, body: bytes) -> str | None:
            answer, problem = _object(status, body, ROW_KEYS | MODEL_KEYS)
            return problem or _model_problem(model, answer) or self._row_problem(model, row, answer, answer)

        return check

    def batch(self, model: ServedModel, rows: Sequence[Row]) -> Check:
        """Make the check of a batch."""

        def check(status: int, body: bytes) -> str | None:
            answer, problem = _object(status, body, {"predictions"} | MODEL_KEYS)
            if problem := problem or _model_problem(model, answer):
                return problem
            predictions = answer["predictions"]
            if not isinstance(predictions, list) or len(predictions) != len(rows):
                return "the batch has another number of predictions than rows"
            for row, prediction in zip(rows, predictions, strict=True):
                if not isinstance(prediction, dict) or not prediction.keys() >= ROW_KEYS:
                    return "a prediction of the batch lacks a key"
                if problem := self._row_problem(model, row, prediction, answer):
                    return problem
            if len({prediction["prediction_id"] for prediction in predictions}) != len(rows):
                return "two predictions of the batch have the same prediction_id"
            return None

        return check

    def _row_problem(
        self, model: ServedModel, row: Row, prediction: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> str | None:
        if problem := _prediction_problem(model, prediction):
            return problem
        given = (prediction["prediction"], prediction["confidence"])
        key = (model.name, answer["model_version"], row)
        is_same = _same(given, self._first.setdefault(key, given))
        return None if is_same else "the same row got another prediction than before"


def prediction_ids(body: bytes) -> list[str]:
    """Return the ids of an answer that has passed its check, in order."""
    answer = json.loads(body)
    return [each["prediction_id"] for each in answer.get("predictions", [answer])]


def told_truths(truths: Sequence[PendingTruth]) -> Check:
    """Make the check of the answer to truths; one that was told before may be known already."""

    def check(status: int, body: bytes) -> str | None:
        answer, problem = _object(status, body, {"result"} if len(truths) == 1 else {"results", "counts"})
        if problem:
            return problem
        verdicts = [answer] if len(truths) == 1 else answer["results"]
        if not isinstance(verdicts, list) or len(verdicts) != len(truths):
            return "the batch has another number of results than truths"
        results = [verdict.get("result") if isinstance(verdict, dict) else None for verdict in verdicts]
        for truth, result in zip(truths, results, strict=True):
            if result not in (("accepted", "duplicate") if truth.is_repeat else ("accepted",)):
                what = "sent again" if truth.is_repeat else "sent once"
                return f"a truth {what} was answered {result if result in TRUTH_RESULTS else 'otherwise'}"
        counts = Counter(map(str, results))
        is_counted = len(truths) == 1 or answer["counts"] == {name: counts[name] for name in TRUTH_RESULTS}
        return None if is_counted else "the counts of the batch are not those of its results"

    return check


def refusal(expected: BadRequest) -> Check:
    """Make the check of the answer to a bad request."""

    def check(status: int, body: bytes) -> str | None:
        if status != expected.status:
            return f"answered {status} instead of {expected.status}"
        content = _json(body)
        if status == 200:
            return _invalid_item_problem(content, expected.field)
        error = content.get("error") if isinstance(content, dict) else None
        if not isinstance(error, dict) or set(error) != ERROR_KEYS:
            return "the body of the refusal is not the common error body"
        details = error["details"]
        if not isinstance(details, list) or len(details) > MAX_DETAILS:
            return "details is no list of at most 5"
        fields = [detail.get("field") for detail in details if isinstance(detail, dict)]
        if expected.field and expected.field not in fields:
            return f"the refusal does not name {expected.field}"
        return None

    return check


def _invalid_item_problem(content: object, field: str) -> str | None:
    """Say what is wrong with an answer that must call every truth of a batch invalid, one for `field`."""
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        return "the body has no results"
    if any(each.get("result") != "invalid" for each in results):
        return "a bad truth of the batch was not answered invalid"
    is_named = any(each.get("field") == field and each.get("reason") for each in results)
    return None if is_named else f"no result names {field}"


def _object(status: int, body: bytes, keys: set[str]) -> tuple[dict[str, Any], str | None]:
    if status != 200:
        return {}, f"answered {status} {_error_code(body)}".rstrip()
    content = _json(body)
    if not isinstance(content, dict):
        return {}, "the body is no JSON object"
    missing = sorted(keys - content.keys())
    return content, f"the answer lacks {', '.join(missing)}" if missing else None


def _model_problem(model: ServedModel, answer: Mapping[str, Any]) -> str | None:
    if answer["model_name"] != model.name:
        return "another model answered"
    if not isinstance(answer["model_version"], str) or not answer["model_version"]:
        return "model_version is no text"
    if not _is_number(answer["latency_ms"]) or answer["latency_ms"] < 0:
        return "latency_ms is no duration"
    return None


def _prediction_problem(model: ServedModel, prediction: Mapping[str, Any]) -> str | None:
    value, confidence = prediction["prediction"], prediction["confidence"]
    prediction_id = prediction["prediction_id"]
    is_probability = _is_number(confidence) and 0 <= confidence <= 1
    problems = {
        "prediction_id is no text": not isinstance(prediction_id, str) or not prediction_id,
        "out_of_distribution is neither true nor false": not isinstance(
            prediction["out_of_distribution"], bool
        ),
        "warnings is no list": not isinstance(prediction["warnings"], list),
        "confidence is not between 0 and 1": confidence is not None and not is_probability,
        "the prediction is no finite number": model.classes is None and not _is_number(value),
        "the prediction is no class of the signature": model.classes is not None
        and value not in model.classes,
    }
    return next((problem for problem, is_found in problems.items() if is_found), None)


def _same(one: tuple[Scalar, float | None], other: tuple[Scalar, float | None]) -> bool:
    if isinstance(one[0], float) and isinstance(other[0], float):
        return math.isclose(one[0], other[0], rel_tol=1e-6)
    # Up to 0.5 another class may have the same probability, and rounding may then choose either.
    is_tie = one[1] is not None and one[1] <= 0.5 + 1e-6
    return one[0] == other[0] or is_tie


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _error_code(body: bytes) -> str:
    content = _json(body)
    error = content.get("error") if isinstance(content, dict) else None
    return str(error.get("code", "")) if isinstance(error, dict) else ""


def _json(body: bytes) -> object:
    try:
        return cast(object, json.loads(body))
    except ValueError:
        return None
