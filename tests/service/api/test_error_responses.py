"""Every error has its status, code and body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from service import errors
from service.api.error_responses import ERROR_KINDS, INTERNAL_ERROR, error_answer, plain_error_answer
from service.errors import Violation

API_PAGE = Path(__file__).resolve().parents[3] / "docs" / "api.md"


def subclasses(root: type[Any]) -> set[type[Any]]:
    """Collect all classes below `root`."""
    return {below for child in root.__subclasses__() for below in {child} | subclasses(child)}


def test_table_is_complete() -> None:
    """Each class of request errors is in the table, and only those."""
    assert set(ERROR_KINDS) == subclasses(errors.RequestError)


def test_messages_are_sentences() -> None:
    """People read them."""
    assert all(kind.message.endswith(".") for kind in [*ERROR_KINDS.values(), INTERNAL_ERROR])


def test_codes_are_documented() -> None:
    """docs/api.md names every code with its status."""
    page = API_PAGE.read_text()
    for kind in [*ERROR_KINDS.values(), INTERNAL_ERROR]:
        assert f"| {kind.status} | `{kind.code}` |" in page


def test_internal_errors_say_nothing() -> None:
    """The text of an unexpected exception stays inside."""
    answer = error_answer(KeyError("/secret/path"), "request-7")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert orjson.loads(answer.body)["error"]["request_id"] == "request-7"


def test_refusals_say_when_to_come_back() -> None:
    """503 carries Retry-After, in whole seconds, spread so that the refused do not return together."""
    seconds = {
        int(dict(error_answer(errors.QueueFullError(3), "request-7").headers)[b"retry-after"])
        for _ in range(50)
    }
    assert seconds == {3, 4}


def test_full_log_says_when_to_come_back() -> None:
    """Its 503 asks for a little more patience than that of a full queue."""
    answers = [error_answer(errors.PredictionLogFullError("no room"), "request-7") for _ in range(50)]
    assert {answer.status for answer in answers} == {503}
    assert {dict(answer.headers)[b"retry-after"] for answer in answers} == {b"5", b"6"}
    assert orjson.loads(answers[0].body)["error"]["details"] == []
    assert b"no room" not in answers[0].body


def test_external_model_is_a_conflict() -> None:
    """The route exists and the body may be good, but this service cannot predict with that model."""
    answer = error_answer(errors.ExternalModelError("served elsewhere"), "request-7")
    assert (answer.status, answer.headers) == (409, ())
    assert orjson.loads(answer.body)["error"]["code"] == "external_model"


def test_details_name_field_or_limit() -> None:
    """What a client can mend is told with its field."""
    cases = {
        errors.BadQueryError("x", "is odd"): ("query.x", "is odd"),
        errors.BodyTooLargeError(77): ("body", "must have at most 77 bytes"),
        errors.BodyTimeoutError(1.5): ("body", "must arrive within 1.5 seconds"),
        errors.NotReadyError("draining"): ("model", "draining"),
        errors.MethodNotAllowedError("POST"): ("method", "must be POST"),
        errors.InvalidInputError([Violation("features.a", "is missing", "missing", "a")]): (
            "features.a",
            "is missing",
        ),
    }
    for error, (field, reason) in cases.items():
        details = orjson.loads(error_answer(error, "request-7").body)["error"]["details"]
        assert details == [{"field": field, "reason": reason}]


def test_plain_errors_have_the_same_body() -> None:
    """An error of the framework looks like ours."""
    answer = plain_error_answer(400, "bad_request", "Odd.", "request-7")
    assert orjson.loads(answer.body) == {
        "error": {"code": "bad_request", "message": "Odd.", "details": [], "request_id": "request-7"}
    }
