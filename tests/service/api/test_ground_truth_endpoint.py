"""`POST /v1/log-ground-truth`, from bytes to bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.api.ground_truth_endpoint import GROUND_TRUTH_ROUTE
from service.bootstrap import build_app
from service.prediction_log.records import TruthRecord
from service.settings import Settings
from tests.asgi import JSON_HEADERS, AsgiClient, assert_error_body
from tests.service.api.answers import logged, metric, ok
from tests.service.api.conftest import TOKEN

NUMBERS = [1.5, 11.0, -2.0]
FORGED = "QQ" + "x" * 58


@pytest.fixture
def prediction_id(client: AsgiClient) -> str:
    """Predict, and give the id."""
    answer = ok(client.post("/v1/models/numbers/predict", {"features": NUMBERS}))
    return str(answer["prediction_id"])


def truths_for(settings: Settings, prediction_id: str) -> list[tuple[Any, int, str]]:
    """Find what is spooled for one prediction: value, revision and who posted it."""
    return [
        (truth.ground_truth, truth.revision, record.caller)
        for record in logged(settings.log_dir)
        if isinstance(record, TruthRecord)
        for truth in record.truths
        if truth.prediction_id == prediction_id
    ]


@pytest.mark.parametrize("path", [GROUND_TRUTH_ROUTE, "/log-ground-truth"])
def test_single_truth_is_accepted_and_spooled(
    client: AsgiClient, settings: Settings, prediction_id: str, path: str
) -> None:
    """The answer comes once the record is in the spool."""
    answer = ok(client.post(path, {"prediction_id": prediction_id, "ground_truth": "birch"}))
    assert answer == {"result": "accepted"}
    assert truths_for(settings, prediction_id) == [("birch", 0, "")]


def test_correction_is_accepted(client: AsgiClient, settings: Settings, prediction_id: str) -> None:
    """What it means the drainer decides: here it is kept with its number."""
    body = {"prediction_id": prediction_id, "ground_truth": "cedar", "revision": 2}
    assert ok(client.post(GROUND_TRUTH_ROUTE, body)) == {"result": "accepted"}
    assert truths_for(settings, prediction_id) == [("cedar", 2, "")]


def test_batch_keeps_the_order_of_verdicts(client: AsgiClient, settings: Settings) -> None:
    """Each item has its verdict at its place; counts sum them up, and name every result."""
    predicted = ok(client.post("/v1/models/numbers/predict/batch", {"batch": [NUMBERS] * 3}))
    first, second, third = (one["prediction_id"] for one in predicted["predictions"])
    batch = [
        {"prediction_id": first, "ground_truth": "ash"},
        {"prediction_id": FORGED, "ground_truth": "ash"},
        {"prediction_id": second, "ground_truth": "oak"},
        {"prediction_id": third, "ground_truth": "cedar"},
        {"prediction_id": "short", "ground_truth": 1},
    ]
    answer = ok(client.post(GROUND_TRUTH_ROUTE, {"batch": batch}))
    assert answer == {
        "results": [
            {"result": "accepted"},
            {
                "result": "invalid",
                "field": "batch[1].prediction_id",
                "reason": "is not signed by this service",
            },
            {
                "result": "invalid",
                "field": "batch[2].ground_truth",
                "reason": "is not one of the model's classes",
            },
            {"result": "accepted"},
            {"result": "invalid", "field": "batch[4].prediction_id", "reason": "must have 60 characters"},
        ],
        "counts": {"accepted": 2, "duplicate": 0, "conflict": 0, "invalid": 3},
    }
    assert [truths_for(settings, one) for one in (first, second, third)] == [
        [("ash", 0, "")],
        [],
        [("cedar", 0, "")],
    ]


def test_batch_of_one_is_still_a_batch(client: AsgiClient) -> None:
    """The form of the answer follows that of the request; an invalid item is no error of the request."""
    answer = ok(client.post(GROUND_TRUTH_ROUTE, {"batch": [{"prediction_id": FORGED, "ground_truth": 1}]}))
    assert [one["result"] for one in answer["results"]] == ["invalid"]


def test_longest_batch_is_the_settings(client: AsgiClient, settings: Settings, prediction_id: str) -> None:
    """As many items as a batch of predictions may have rows, and one more is refused."""
    item = {"prediction_id": prediction_id, "ground_truth": "ash"}
    longest = settings.batch_rows_max
    assert ok(client.post(GROUND_TRUTH_ROUTE, {"batch": [item] * longest}))["counts"]["accepted"] == longest
    response = client.post(GROUND_TRUTH_ROUTE, {"batch": [item] * (longest + 1)})
    details = assert_error_body(response, 422, "invalid_input")
    assert details == [{"field": "batch", "reason": f"must have 1 to {longest} items"}]


INVALID = [
    ({"prediction_id": FORGED, "ground_truth": "ash"}, "prediction_id", "is not signed by this service"),
    ({"prediction_id": "", "ground_truth": "ash"}, "prediction_id", "must have 60 characters"),
    ({"ground_truth": "oak"}, "ground_truth", "is not one of the model's classes"),
    ({"ground_truth": 0}, "ground_truth", "is not one of the model's classes"),
    ({"ground_truth": "ash", "revision": -1}, "revision", "must be from 0 to 1000000"),
    ({"ground_truth": None}, "ground_truth", "is missing"),
    ({}, "ground_truth", "is missing"),
    ({"ground_truth": "ash", "note": 1}, "note", "is not a field of a ground truth"),
]


@pytest.mark.parametrize(("changes", "field", "reason"), INVALID)
def test_single_truth_that_is_invalid_is_an_error(
    client: AsgiClient,
    settings: Settings,
    prediction_id: str,
    changes: dict[str, object],
    field: str,
    reason: str,
) -> None:
    """422 with the field, and nothing is kept."""
    response = client.post(GROUND_TRUTH_ROUTE, {"prediction_id": prediction_id} | changes)
    details = assert_error_body(response, 422, "invalid_input")
    assert details == [{"field": field, "reason": reason}]
    assert truths_for(settings, prediction_id) == []


BAD_BODIES = {
    "empty": b"",
    "cut": b'{"prediction_id": "',
    "NaN": b'{"prediction_id": "x", "ground_truth": NaN}',
    "1e999": b'{"prediction_id": "x", "ground_truth": 1e999}',
    "lone surrogate": b'{"prediction_id": "\\ud800", "ground_truth": 1}',
    "not UTF-8": b'{"prediction_id": "\xff", "ground_truth": 1}',
    "deep": b'{"batch":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "deep truth": b'{"prediction_id": "x", "ground_truth":' + b"[" * 900 + b"]" * 900 + b"}",
    "list": b"[]",
    "number": b"7",
    "many keys": json.dumps({f"k{index}": 0 for index in range(5000)}).encode(),
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_body_of_any_kind_is_refused_with_one_error(client: AsgiClient, body: bytes) -> None:
    """Always 422, never 500, and no new time series."""
    before = len(client.get("/metrics").body.splitlines())
    assert_error_body(client.post(GROUND_TRUTH_ROUTE, body), 422, "invalid_input")
    assert len(client.get("/metrics").body.splitlines()) == before


def test_body_within_the_cap_of_batches(client: AsgiClient) -> None:
    """300,000 keys are more than a batch may have bytes here; the cap comes first."""
    body = json.dumps({f"key{index}": index for index in range(300_000)}).encode()
    details = assert_error_body(client.post(GROUND_TRUTH_ROUTE, body), 413, "body_too_large")
    assert details == [{"field": "body", "reason": "must have at most 65536 bytes"}]


SECRET = "s3cret-value-of-a-client"
SECRETS: list[object] = [
    {"prediction_id": SECRET, "ground_truth": "ash"},
    {"prediction_id": SECRET.ljust(60, "x"), "ground_truth": "ash"},
    {"prediction_id": ..., "ground_truth": SECRET},
    {"prediction_id": ..., "ground_truth": [SECRET]},
    {"prediction_id": ..., "ground_truth": SECRET * 20},
    {"prediction_id": [SECRET], "ground_truth": {SECRET: SECRET}, "revision": SECRET},
    {"prediction_id": ..., "ground_truth": "ash", "extra": SECRET},
    SECRET,
]


@pytest.mark.parametrize("is_batch", [False, True])
@pytest.mark.parametrize("content", SECRETS)
def test_no_value_comes_back(
    client: AsgiClient, prediction_id: str, content: dict[str, object] | str, is_batch: bool
) -> None:
    """Whatever is wrong with it, a value is not shown."""
    if isinstance(content, dict):
        content = {key: prediction_id if value is ... else value for key, value in content.items()}
    response = client.post(GROUND_TRUTH_ROUTE, {"batch": [content]} if is_batch else content)
    assert response.status in {200, 422}
    assert SECRET[:9].encode() not in response.body
    assert prediction_id.encode() not in response.body


@pytest.mark.parametrize("query", ["model_name=numbers", "revision=1", "x", "=1"])
def test_no_query_parameter_is_known(client: AsgiClient, prediction_id: str, query: str) -> None:
    """What a client hopes to say there would be lost without a word."""
    body = {"prediction_id": prediction_id, "ground_truth": "ash"}
    assert_error_body(client.post(f"{GROUND_TRUTH_ROUTE}?{query}", body), 400, "bad_query")


@pytest.mark.parametrize("path", [GROUND_TRUTH_ROUTE, "/log-ground-truth"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_other_methods(client: AsgiClient, method: str, path: str) -> None:
    """The route takes POST, and says so."""
    response = client.call(method, path)
    assert_error_body(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_only_plain_json(client: AsgiClient) -> None:
    """Neither forms nor compressed bodies."""
    for headers in ((), (("content-type", "text/plain"),), (*JSON_HEADERS, ("content-encoding", "gzip"))):
        assert_error_body(client.post(GROUND_TRUTH_ROUTE, {}, headers), 415, "unsupported_media_type")


def test_requests_and_refusals_are_counted(client: AsgiClient, prediction_id: str) -> None:
    """HTTP counts fall under the route, aliases too; invalid truths under their model, or under `other`."""
    names: list[tuple[str, dict[str, str]]] = [
        ("http_requests_total", {"handler": GROUND_TRUTH_ROUTE, "status": "200"}),
        ("http_requests_total", {"handler": GROUND_TRUTH_ROUTE, "status": "422"}),
        ("http_requests_total", {"handler": GROUND_TRUTH_ROUTE, "status": "400"}),
        ("ml_ground_truth_total", {"model_name": "numbers", "model_version": "3", "result": "invalid"}),
        ("ml_ground_truth_total", {"model_name": "other", "model_version": "other", "result": "invalid"}),
        ("ml_prediction_log_records_total", {"result": "spooled"}),
    ]
    before = [metric(client, name, **labels) for name, labels in names]
    good = {"prediction_id": prediction_id, "ground_truth": "ash"}
    wrong = good | {"ground_truth": "oak"}
    ok(client.post("/log-ground-truth", good))
    ok(client.post(GROUND_TRUTH_ROUTE, {"batch": [good, wrong, {"prediction_id": "x", "ground_truth": 1}]}))
    client.post("/log-ground-truth", wrong)
    client.post(f"{GROUND_TRUTH_ROUTE}?a=b", good)
    after = [metric(client, name, **labels) for name, labels in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 1, 1, 2, 1, 2]


def test_token_applies_and_its_holder_is_kept(guarded: AsgiClient, settings: Settings) -> None:
    """Who posted a truth stands in the log."""
    headers = (("authorization", f"Bearer {TOKEN}"), *JSON_HEADERS)
    answer = ok(guarded.post("/v1/models/numbers/predict", {"features": NUMBERS}, headers))
    body = {"prediction_id": answer["prediction_id"], "ground_truth": "ash"}
    assert_error_body(guarded.post(GROUND_TRUTH_ROUTE, body), 401, "unauthorized")
    assert truths_for(settings, answer["prediction_id"]) == []
    assert ok(guarded.post(GROUND_TRUTH_ROUTE, body, headers)) == {"result": "accepted"}
    assert truths_for(settings, answer["prediction_id"]) == [("ash", 0, "alice")]


@pytest.fixture
def full(settings: Settings, tmp_path: Path) -> Iterator[AsgiClient]:
    """Serve with a spool whose cap is reached."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "00000000000000000001-a.spool").write_bytes(bytes(1_048_576))
    changes = {"log_dir": tmp_path, "log_spool_max_bytes": 1_048_576}
    with AsgiClient(build_app(settings.model_copy(update=changes))) as started:
        yield started


def test_full_spool_takes_no_truth(full: AsgiClient, tmp_path: Path) -> None:
    """Predictions go on; a truth is refused whole, to be sent again, and nothing of it is kept."""
    answer = ok(full.post("/v1/models/numbers/predict", {"features": NUMBERS}))
    body = {"prediction_id": answer["prediction_id"], "ground_truth": "ash"}
    bad = {"prediction_id": FORGED, "ground_truth": "ash"}
    for content in (body, {"batch": [body, bad]}):
        response = full.post(GROUND_TRUTH_ROUTE, content)
        assert_error_body(response, 503, "prediction_log_full")
        assert response.headers["retry-after"] in {"5", "6"}
    assert logged(tmp_path) == []
    assert ok(full.post(GROUND_TRUTH_ROUTE, {"batch": [bad]}))["counts"]["invalid"] == 1
