"""The prediction routes, from bytes to bytes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from service.api.prediction_endpoint import prediction_route
from service.bootstrap import build_app
from service.prediction_log.ids import parse_id
from service.settings import Settings
from tests.asgi import JSON_HEADERS, AsgiClient, assert_error_body
from tests.service.api.answers import logged, logged_predictions, metric, ok

NUMBERS = {"height": 1.5, "girth": 11.0, "slope": -2.0}
MIXED = {"income": 1500.5, "visits": 3, "colour": "red", "plan": "basic", "is_member": True}
SINGLE_KEYS = {
    "prediction_id",
    "prediction",
    "confidence",
    "out_of_distribution",
    "warnings",
    "model_name",
    "model_version",
    "latency_ms",
}


def test_single_prediction(client: AsgiClient) -> None:
    """The answer has exactly the keys that docs/api.md names, with the stable version's name."""
    answer = ok(client.post("/v1/models/numbers/predict", {"features": NUMBERS}))
    assert set(answer) == SINGLE_KEYS
    assert answer["prediction"] == "ash"
    assert 0.5 < answer["confidence"] <= 1
    assert (answer["model_name"], answer["model_version"]) == ("numbers", "3")
    assert answer["latency_ms"] > 0
    assert answer["out_of_distribution"] is False
    assert answer["warnings"] == []


def test_probabilities_on_request(client: AsgiClient) -> None:
    """With `probabilities=true` each class has its own, and they sum to 1."""
    answer = ok(client.post("/v1/predict?model_name=numbers&probabilities=true", {"features": NUMBERS}))
    assert set(answer) == SINGLE_KEYS | {"probabilities"}
    assert set(answer["probabilities"]) == {"ash", "birch", "cedar"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0)
    assert max(answer["probabilities"].values()) == answer["confidence"]


def test_batch_keeps_order_and_ids_differ(client: AsgiClient) -> None:
    """A batch answers row by row what the single route answers."""
    rows = [{"height": 1.5 + step, "girth": 11.0, "slope": -2.0 + step} for step in range(6)]
    answer = ok(client.post("/v1/models/numbers/predict/batch", {"batch": rows}))
    assert set(answer) == {"predictions", "model_name", "model_version", "latency_ms"}
    singles = [ok(client.post("/v1/predict?model_name=numbers", {"features": row})) for row in rows]
    for one, single in zip(answer["predictions"], singles, strict=True):
        assert one["prediction"] == single["prediction"]
        assert one["confidence"] == pytest.approx(single["confidence"])
    assert len({one["prediction_id"] for one in answer["predictions"] + singles}) == 12


def test_batch_longer_than_a_micro_batch(client: AsgiClient, settings: Any) -> None:
    """A batch in several slices is whole and in order, and each of its rows is counted once."""
    labels = {"model_name": "numbers", "model_version": "3"}
    before = metric(client, "ml_confidence_count", **labels)
    rows = [[1.5 + (step % 5), 11.0, -2.0 + (step % 5)] for step in range(settings.batch_rows_max)]
    answer = ok(client.post("/predict-batch?model_name=numbers", {"batch": rows}))
    found = [one["prediction"] for one in answer["predictions"]]
    assert found == found[:5] * (len(rows) // 5)
    assert metric(client, "ml_confidence_count", **labels) == before + len(rows)


@pytest.mark.parametrize("alias", ["/predict", "/v1/predict", "/v1/models/texts/predict"])
def test_text_models(client: AsgiClient, alias: str) -> None:
    """Text goes to the same routes."""
    query = "" if "texts" in alias else "?model_name=texts"
    answer = ok(client.post(f"{alias}{query}", {"text": "I lost my hammer and the saw"}))
    assert answer["prediction"] == "workshop"


def test_regression_has_no_confidence(client: AsgiClient) -> None:
    """A number is predicted; there is nothing to be confident about."""
    answer = ok(client.post("/v1/models/regression/predict?probabilities=true", {"features": [100.0, 3]}))
    assert 200 < answer["prediction"] < 600
    assert answer["confidence"] is None
    assert "probabilities" not in answer


def test_out_of_range_is_served_with_a_warning(client: AsgiClient) -> None:
    """Beyond the reference's range but within the hard limits: flagged, named, counted by reason."""
    labels = {"model_name": "numbers", "reason": "range"}
    before = metric(client, "ml_input_out_of_distribution_total", **labels)
    answer = ok(client.post("/v1/models/numbers/predict", {"features": NUMBERS | {"height": 60}}))
    assert answer["out_of_distribution"] is True
    assert answer["warnings"] == [{"field": "height", "reason": "outside the training data's range"}]
    assert metric(client, "ml_input_out_of_distribution_total", **labels) == before + 1


def test_unknown_category_is_served_with_a_warning(client: AsgiClient) -> None:
    """An open feature takes a category that training has not seen, and says so."""
    answer = ok(client.post("/v1/models/mixed/predict", {"features": MIXED | {"colour": "mauve"}}))
    assert answer["warnings"] == [{"field": "colour", "reason": "a category unknown in training"}]


def test_missing_values_are_served(client: AsgiClient) -> None:
    """Null, or no key at all, where training had missing values."""
    absent = {key: value for key, value in MIXED.items() if key not in {"income", "colour"}}
    for row in (absent, MIXED | {"income": None, "colour": None}):
        assert ok(client.post("/v1/models/mixed/predict", {"features": row}))["out_of_distribution"] is False


def test_unlike_texts_are_flagged(client: AsgiClient) -> None:
    """A text of unknown words is out of distribution."""
    answer = ok(client.post("/v1/models/texts/predict", {"text": "quantum entanglement of leptons"}))
    assert answer["out_of_distribution"] is True
    assert answer["warnings"] == [{"field": "text", "reason": "unlike the training texts"}]


BAD = {
    "unknown model": ("/v1/predict?model_name=nobody", {"features": NUMBERS}, 404, "unknown_model"),
    "unknown version": ("/v1/predict?model_name=numbers&model_version=9", {}, 404, "unknown_model"),
    "path as a name": ("/v1/models/..%2f..%2fetc/predict", {}, 404, "not_found"),
    "unknown parameter": ("/v1/predict?modle=numbers", {}, 400, "bad_query"),
    "parameter twice": ("/v1/predict?model_name=a&model_name=b", {}, 400, "bad_query"),
    "wrong flag": ("/v1/predict?probabilities=yes", {}, 400, "bad_query"),
    "name twice": ("/v1/models/numbers/predict?model_name=numbers", {}, 400, "bad_query"),
    "wrong type": ("/v1/models/numbers/predict", {"features": [1, 2, "3"]}, 422, "invalid_input"),
    "not JSON": ("/v1/models/numbers/predict", b"{", 422, "invalid_input"),
    "empty body": ("/v1/models/numbers/predict", b"", 422, "invalid_input"),
    "empty batch": ("/v1/models/numbers/predict/batch", {"batch": []}, 422, "invalid_input"),
    "too many rows": (
        "/v1/models/numbers/predict/batch",
        {"batch": [[1, 1, 1]] * 51},
        422,
        "invalid_input",
    ),
    "too large": ("/v1/models/numbers/predict", b" " * 5000, 413, "body_too_large"),
}


@pytest.mark.parametrize(("target", "content", "status", "code"), BAD.values(), ids=BAD)
def test_bad_requests(client: AsgiClient, target: str, content: object, status: int, code: str) -> None:
    """Each gets the one error body with the field or limit, and makes no new time series."""
    before = len(client.get("/metrics").body.splitlines())
    assert_error_body(client.post(target, content), status, code)
    assert len(client.get("/metrics").body.splitlines()) == before


def test_violations_are_counted_by_field_and_reason(client: AsgiClient) -> None:
    """A monitored feature counts under its name, anything else under `other`."""
    labels = {"model_name": "numbers", "field": "height", "reason": "type"}
    before = metric(client, "ml_schema_violations_total", **labels)
    client.post("/v1/models/numbers/predict", {"features": NUMBERS | {"height": "tall"}})
    assert metric(client, "ml_schema_violations_total", **labels) == before + 1
    other = labels | {"field": "other", "reason": "extra"}
    before = metric(client, "ml_schema_violations_total", **other)
    client.post("/v1/models/numbers/predict", {"features": NUMBERS | {"shoe": 1}})
    assert metric(client, "ml_schema_violations_total", **other) == before + 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 415),
        ((("content-type", "text/plain"),), 415),
        ((("content-type", "application/json; charset=latin-1"),), 415),
        ((("content-type", "application/json"), ("content-encoding", "gzip")), 415),
        ((("content-type", 'Application/JSON; charset="UTF-8"'),), 200),
        ((("content-type", "application/json"), ("content-encoding", "identity")), 200),
    ],
)
def test_only_plain_json(client: AsgiClient, headers: Any, status: int) -> None:
    """Neither forms nor compressed bodies are read."""
    assert client.post("/v1/models/numbers/predict", {"features": NUMBERS}, headers).status == status


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"])
def test_wrong_methods(client: AsgiClient, method: str) -> None:
    """Prediction routes take POST, and say so."""
    response = client.call(method, "/v1/predict")
    assert_error_body(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_chunked_body_is_capped_and_timed(client: AsgiClient) -> None:
    """A body without a length meets the same cap."""
    chunks = [b" " * 1000] * 6
    response = client.call("POST", "/v1/models/numbers/predict", chunks, JSON_HEADERS)
    details = assert_error_body(response, 413, "body_too_large")
    assert details == [{"field": "body", "reason": "must have at most 4096 bytes"}]
    assert response.headers["connection"] == "close"
    body = json.dumps({"features": NUMBERS}).encode()
    ok(client.call("POST", "/v1/models/numbers/predict", [body[:9], body[9:]], JSON_HEADERS))


def test_prediction_is_in_the_log_before_it_is_answered(client: AsgiClient, settings: Settings) -> None:
    """The spool holds ids, request id and body of what was answered."""
    body = json.dumps({"batch": [NUMBERS, NUMBERS | {"slope": -2.5}]}).encode()
    headers = (*JSON_HEADERS, ("x-request-id", "batch-of-two"))
    answer = ok(client.post("/v1/models/numbers/predict/batch", body, headers))
    record = logged_predictions(settings.log_dir, "batch-of-two")
    assert record.key == ("numbers", "3")
    assert [(one.request_id, one.caller, one.rows, one.body) for one in record.requests] == [
        ("batch-of-two", "", 2, body)
    ]
    ids = [base64.urlsafe_b64decode(one["prediction_id"]) for one in answer["predictions"]]
    assert b"".join(ids) == record.ids
    assert [parse_id(one).class_index for one in ids] == [0, 0]
    for one, shown in zip(ids, answer["predictions"], strict=True):
        assert parse_id(one).confidence == pytest.approx(shown["confidence"], abs=1e-4)


FULL_LOG = [("serve_and_count", 200, "ok", "dropped"), ("refuse", 503, "shed", "refused")]


@pytest.mark.parametrize(("policy", "status", "outcome", "result"), FULL_LOG)
def test_full_log_serves_and_counts_or_refuses(
    settings: Settings, tmp_path: Path, policy: str, status: int, outcome: str, result: str
) -> None:
    """By policy a prediction that cannot be logged is answered and counted as dropped, or refused."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "00000000000000000001-a.spool").write_bytes(bytes(1_048_576))
    changes = {"log_dir": tmp_path, "log_spool_max_bytes": 1_048_576, "log_full_policy": policy}
    labels = {"model_name": "numbers", "outcome": outcome}
    with AsgiClient(build_app(settings.model_copy(update=changes))) as full:
        requests = metric(full, "ml_requests_total", **labels)
        records = metric(full, "ml_prediction_log_records_total", result=result)
        predicted = metric(full, "ml_predictions_total", model_name="numbers", predicted_class="ash")
        single = full.post("/v1/models/numbers/predict", {"features": NUMBERS})
        batch = full.post("/v1/models/numbers/predict/batch", {"batch": [NUMBERS] * 5})
        assert [single.status, batch.status] == [status, status]
        if status == 503:
            assert_error_body(single, 503, "prediction_log_full")
            assert single.headers["retry-after"] in {"5", "6"}
        assert metric(full, "ml_requests_total", **labels) == requests + 2
        assert metric(full, "ml_prediction_log_records_total", result=result) == records + 6
        now = metric(full, "ml_predictions_total", model_name="numbers", predicted_class="ash")
        assert now == predicted + (6 if status == 200 else 0)
    assert logged(tmp_path) == []


def test_requests_are_counted_before_they_are_answered(client: AsgiClient) -> None:
    """One answer, one request, one prediction."""
    labels = {"model_name": "numbers", "model_version": "3"}
    names = {"ml_requests_total": {"outcome": "ok"}, "ml_predictions_total": {"predicted_class": "ash"}}
    before = [metric(client, name, **labels, **extra) for name, extra in names.items()]
    ok(client.post("/v1/models/numbers/predict", {"features": NUMBERS}))
    assert [metric(client, name, **labels, **extra) for name, extra in names.items()] == [
        value + 1 for value in before
    ]


def test_unknown_models_share_one_series(client: AsgiClient) -> None:
    """Whatever names clients invent, they count under `other`."""
    labels = {"model_name": "other", "model_version": "other", "outcome": "rejected"}
    before = metric(client, "ml_requests_total", **labels)
    for name in ("ghost", "phantom"):
        client.post(f"/v1/models/{name}/predict", {})
    assert metric(client, "ml_requests_total", **labels) == before + 2


def test_routes_by_raw_path() -> None:
    """Only exact paths are prediction routes."""
    route = prediction_route("/v1/models/numbers/predict/batch")
    assert route is not None
    assert (route.kind, route.model_name) == ("batch", "numbers")
    assert route.handler == "/v1/models/{model_name}/predict/batch"
    for path in ("/v1/predict/", "/v1/predictx", "/v1/models//predict", "/v1/models/a/b/predict", "/"):
        assert prediction_route(path) is None
