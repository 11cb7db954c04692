"""`POST /v1/log-prediction`: predictions made elsewhere are counted and logged like ours."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from service.api.logged_prediction_endpoint import LOG_PREDICTION_ROUTE, LoggedPredictionEndpoint
from service.api.prediction_endpoint import BodyLimits
from service.api.request_head import read_head
from service.bootstrap import build_app
from service.bundle.loader import BundleDescription
from service.bundle.signature import Signature
from service.errors import (
    BundleError,
    InvalidInputError,
    NotReadyError,
    PredictionLogFullError,
    RequestError,
)
from service.events import (
    OTHER_MODEL,
    InputRejected,
    ModelKey,
    ModelRequestFinished,
    PredictionsServed,
)
from service.inference.models import Models
from service.observability import metrics_dir
from service.prediction_log.features import features_of_body
from service.prediction_log.ids import parse_id
from service.prediction_log.records import PredictionRecord
from service.settings import Settings
from tests.asgi import JSON_HEADERS, AsgiClient, assert_error_body
from tests.builders import (
    MIXED,
    NUMBERS,
    REGRESSION,
    TEXTS,
    VERSION,
    bundle_dir,
    change_manifest,
    copy_bundle,
    read_json,
)
from tests.fakes import Recorder, make_served_model
from tests.service.api.answers import logged_predictions, metric, ok
from tests.service.api.conftest import TOKEN

ROUTE = LOG_PREDICTION_ROUTE


def make_external(directory: Path) -> None:
    """Turn a copied bundle into one whose model other software serves."""
    files = read_json(directory / "manifest.json")["files"]
    for name in ("golden.json", "model.joblib"):
        (directory / name).unlink()
        del files[name]
    change_manifest(directory, external=True, container=None, output=None, files=files)


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name the folder of the prediction log."""
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, log_dir: Path) -> Iterator[AsgiClient]:
    """Serve `numbers`; the other test models are external."""
    folder = tmp_path_factory.mktemp("elsewhere")
    copy_bundle(NUMBERS, folder / "bundles")
    for name in (MIXED, REGRESSION, TEXTS):
        make_external(copy_bundle(name, folder / "bundles"))
    settings = Settings(
        bundle_dir=folder / "bundles",
        metrics_dir=folder / "metrics",
        log_dir=log_dir,
        single_body_max_bytes=4096,
        body_timeout_seconds=0.2,
        log_requests="none",
    )
    with pytest.MonkeyPatch.context() as patch:
        # Its numbers go to a folder of their own: another application of this process has other models.
        patch.setattr(metrics_dir, "_started", None)
        patch.setattr(metrics_dir, "_lock_descriptor", None)
        started = AsgiClient(build_app(settings)).__enter__()
    yield started
    started.__exit__()


def log(client: AsgiClient, request_id: str, **content: Any) -> str:
    """Log a prediction; give its id."""
    headers = (*JSON_HEADERS, ("x-request-id", request_id))
    return str(ok(client.post(ROUTE, {"latency_ms": 12.5} | content, headers))["prediction_id"])


def told(prediction_id: str) -> Any:
    """Read an id."""
    return parse_id(base64.urlsafe_b64decode(prediction_id))


@pytest.mark.parametrize("path", [ROUTE, "/log-prediction"])
def test_prediction_of_a_served_model(elsewhere: AsgiClient, path: str) -> None:
    """A model of this service may have been asked elsewhere, too: the default one needs no name."""
    answer = ok(elsewhere.post(path, {"prediction": "birch", "latency_ms": 3}))
    prediction_id = answer.pop("prediction_id")
    assert answer == {"model_name": "numbers", "model_version": "3"}
    assert (told(prediction_id).class_index, told(prediction_id).confidence) == (1, None)


MIXED_ROW = {"income": 1500.5, "visits": 3, "colour": "red", "plan": "basic", "is_member": True}


def test_prediction_of_an_external_model_is_logged(elsewhere: AsgiClient, log_dir: Path) -> None:
    """The record is like ours: id, code, confidence, and features without the sensitive one."""
    prediction_id = log(
        elsewhere,
        "external-mixed",
        model_name=MIXED,
        model_version=VERSION,
        prediction="yes",
        confidence=0.9,
        features=MIXED_ROW,
    )
    record = logged_predictions(log_dir, "external-mixed")
    assert record.key == (MIXED, VERSION)
    assert record.ids == base64.urlsafe_b64decode(prediction_id)
    assert (record.rows, record.distribution) == (1, b"\0")
    assert record.confidences is not None
    assert record.confidences.tolist() == [0.9]
    assert told(prediction_id).class_index == 1
    assert told(prediction_id).confidence == pytest.approx(0.9, abs=1e-4)
    (request,) = record.requests
    assert b"1500" not in request.body
    assert b'"visits":3' in request.body


def test_prediction_without_features_is_not_judged(elsewhere: AsgiClient, log_dir: Path) -> None:
    """What was not told is not kept, and counts neither in nor out of distribution."""
    names = ("ml_input_in_distribution_total", "ml_input_out_of_distribution_total")
    before = [metric(elsewhere, name, model_name=MIXED) for name in names]
    predicted = metric(elsewhere, "ml_predictions_total", model_name=MIXED, predicted_class="no")
    log(elsewhere, "without-features", model_name=MIXED, prediction="no")
    record = logged_predictions(log_dir, "without-features")
    assert (record.distribution, record.confidences) == (b"\xff", None)
    assert [metric(elsewhere, name, model_name=MIXED) for name in names] == before
    now = metric(elsewhere, "ml_predictions_total", model_name=MIXED, predicted_class="no")
    assert now == predicted + 1


def test_regression(elsewhere: AsgiClient, log_dir: Path) -> None:
    """The number is in the id to the last bit, counted in its bin, and has no confidence."""
    bins = sum_of(elsewhere, "ml_prediction_bin_total", REGRESSION)
    prediction_id = log(
        elsewhere, "external-regression", model_name=REGRESSION, prediction=317.25, features=[100.5, 3]
    )
    assert told(prediction_id).value == 317.25
    record = logged_predictions(log_dir, "external-regression")
    assert record.confidences is None
    assert record.distribution == b"\0"
    assert features_of(record) == ['{"area":100.5,"rooms":3}']
    assert sum_of(elsewhere, "ml_prediction_bin_total", REGRESSION) == bins + 1


def features_of(record: PredictionRecord) -> list[str | None]:
    """Read the features of a record of the regression bundle."""
    path = bundle_dir() / REGRESSION / VERSION / "signature.json"
    signature = Signature.model_validate_json(path.read_bytes())
    return features_of_body(record.requests[0].body, signature, 1)


def sum_of(client: AsgiClient, name: str, model_name: str) -> float:
    """Add up all series of a metric of one model."""
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in client.get("/metrics").body.decode().splitlines()
        if line.startswith(f"{name}{{") and f'model_name="{model_name}"' in line
    )


OUT = [
    (MIXED, {"prediction": "no", "features": MIXED_ROW | {"income": 9e9}}, "range", 1),
    (MIXED, {"prediction": "no", "features": MIXED_ROW | {"colour": "mauve"}}, "category", 2),
    (REGRESSION, {"prediction": 5, "features": [-3.0, 2]}, "range", 1),
    (TEXTS, {"prediction": "garden", "confidence": 0.3, "features": ["quantum of leptons"]}, "novelty", 3),
    (NUMBERS, {"prediction": "ash", "features": [60.0, 11.0, -2.0]}, "range", 1),
]


@pytest.mark.parametrize(("name", "content", "reason", "code"), OUT)
def test_unusual_rows_are_flagged_and_counted(
    elsewhere: AsgiClient, log_dir: Path, name: str, content: dict[str, Any], reason: str, code: int
) -> None:
    """Judged by the same reference as a row that was predicted here."""
    labels = {"model_name": name, "reason": reason}
    before = metric(elsewhere, "ml_input_out_of_distribution_total", **labels)
    log(elsewhere, f"unusual-{name}-{reason}", model_name=name, **content)
    record = logged_predictions(log_dir, f"unusual-{name}-{reason}")
    assert record.distribution == bytes([code])
    assert metric(elsewhere, "ml_input_out_of_distribution_total", **labels) == before + 1


def test_features_confidence_and_latency_are_counted(elsewhere: AsgiClient) -> None:
    """The latency that counts is the one told, not ours; bins follow within a flush."""
    series: list[tuple[str, dict[str, str]]] = [
        ("ml_requests_total", {"outcome": "ok"}),
        ("ml_request_duration_seconds_sum", {"kind": "single"}),
        ("ml_confidence_sum", {}),
        ("ml_input_in_distribution_total", {}),
    ]
    before = [metric(elsewhere, name, model_name=MIXED, **labels) for name, labels in series]
    log(
        elsewhere,
        "counted",
        model_name=MIXED,
        prediction="yes",
        confidence=0.75,
        latency_ms=250,
        features=MIXED_ROW,
    )
    after = [metric(elsewhere, name, model_name=MIXED, **labels) for name, labels in series]
    assert [new - old for new, old in zip(after, before, strict=True)] == pytest.approx([1, 0.25, 0.75, 1])


def test_truth_of_an_external_prediction(elsewhere: AsgiClient) -> None:
    """Its id takes a truth like any other."""
    prediction_id = log(elsewhere, "with-truth", model_name=REGRESSION, prediction=5)
    body = {"prediction_id": prediction_id, "ground_truth": 7.5}
    assert ok(elsewhere.post("/v1/log-ground-truth", body)) == {"result": "accepted"}
    response = elsewhere.post("/v1/log-ground-truth", body | {"ground_truth": 9000.5})
    details = assert_error_body(response, 422, "invalid_input")
    assert details == [{"field": "ground_truth", "reason": "is outside the model's output bounds"}]


@pytest.mark.parametrize("name", [MIXED, REGRESSION, TEXTS])
def test_external_model_cannot_predict_here(elsewhere: AsgiClient, name: str) -> None:
    """It exists, so it is not unknown; but others serve it."""
    labels = {"model_name": name, "outcome": "rejected"}
    before = metric(elsewhere, "ml_requests_total", **labels)
    for target in (f"/v1/models/{name}/predict", f"/v1/models/{name}/predict/batch"):
        assert_error_body(elsewhere.post(target, {}), 409, "external_model")
    assert_error_body(
        elsewhere.post(f"/v1/predict?model_name={name}&model_version=3", {}), 409, "external_model"
    )
    assert metric(elsewhere, "ml_requests_total", **labels) == before + 3
    assert ok(elsewhere.get("/ready"))


BAD: list[tuple[dict[str, Any], int, str, str]] = [
    ({"prediction": ...}, 422, "invalid_input", "prediction"),
    ({"prediction": "maybe"}, 422, "invalid_input", "prediction"),
    ({"latency_ms": -1}, 422, "invalid_input", "latency_ms"),
    ({"confidence": 1.5}, 422, "invalid_input", "confidence"),
    ({"features": [1, "x", "red", "basic", True]}, 422, "invalid_input", "features[1]"),
    ({"features": json.loads("[" * 400 + "]" * 400)}, 422, "invalid_input", "features"),
    ({"model_name": 7}, 422, "invalid_input", "model_name"),
    ({"model_version": ""}, 422, "invalid_input", "model_version"),
    ({"prediction_id": "x"}, 422, "invalid_input", "prediction_id"),
    ({"model_name": "nobody"}, 404, "unknown_model", ""),
    ({"model_version": "9"}, 404, "unknown_model", ""),
]


@pytest.mark.parametrize(("changes", "status", "code", "field"), BAD)
def test_bad_content(
    elsewhere: AsgiClient, changes: dict[str, Any], status: int, code: str, field: str
) -> None:
    """One error body with the field; nothing counts as predicted, and no series is new."""
    good = {"prediction": "yes", "latency_ms": 1, "model_name": MIXED}
    content = {key: value for key, value in (good | changes).items() if value is not ...}
    before = elsewhere.get("/metrics").body.decode().splitlines()
    predicted = sum_of(elsewhere, "ml_predictions_total", MIXED)
    details = assert_error_body(elsewhere.post(ROUTE, content), status, code)
    assert [detail["field"] for detail in details] == [field] * bool(field)
    assert len(elsewhere.get("/metrics").body.decode().splitlines()) == len(before)
    assert sum_of(elsewhere, "ml_predictions_total", MIXED) == predicted


SECRET = "s3cret-value-of-a-client"


@pytest.mark.parametrize(
    "field", ["prediction", "latency_ms", "confidence", "features", "model_name", "note"]
)
@pytest.mark.parametrize("value", [SECRET, [SECRET], {"income": SECRET}])
def test_no_value_comes_back(elsewhere: AsgiClient, field: str, value: object) -> None:
    """Whatever is wrong with it, a value is not shown."""
    good = {"prediction": "yes", "latency_ms": 1, "model_name": MIXED}
    response = elsewhere.post(ROUTE, good | {field: value})
    assert response.status in {404, 422}
    assert SECRET.encode() not in response.body


def test_form_of_the_request(elsewhere: AsgiClient) -> None:
    """Method, media type, query and size are as strict as elsewhere."""
    good = {"prediction": "ash", "latency_ms": 1}
    response = elsewhere.call("GET", ROUTE)
    assert_error_body(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    assert_error_body(elsewhere.post(ROUTE, good, ()), 415, "unsupported_media_type")
    assert_error_body(elsewhere.post(f"{ROUTE}?model_name=mixed", good), 400, "bad_query")
    assert_error_body(elsewhere.post(ROUTE, b" " * 5000), 413, "body_too_large")
    assert_error_body(elsewhere.post(ROUTE, b"{"), 422, "invalid_input")


def test_http_counts_fall_under_the_route(elsewhere: AsgiClient) -> None:
    """The alias counts as its route."""
    statuses = ("200", "422", "404")
    before = [metric(elsewhere, "http_requests_total", handler=ROUTE, status=status) for status in statuses]
    for content in ({"prediction": "ash", "latency_ms": 1}, {}, {"model_name": "nobody"}):
        elsewhere.post("/log-prediction", content)
    after = [metric(elsewhere, "http_requests_total", handler=ROUTE, status=status) for status in statuses]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1]


def test_holder_of_the_token_is_kept(guarded: AsgiClient, settings: Settings) -> None:
    """Who logged a prediction stands in the log."""
    headers = (
        ("authorization", f"Bearer {TOKEN}"),
        ("x-request-id", "logged-by-alice"),
        *JSON_HEADERS,
    )
    content = {"prediction": "ash", "latency_ms": 1, "model_name": NUMBERS}
    ok(guarded.post(ROUTE, content, headers))
    record = logged_predictions(settings.log_dir, "logged-by-alice")
    assert [one.caller for one in record.requests] == ["alice"]


def described(name: str = "far") -> BundleDescription:
    """Describe a bundle without an estimator, by hand."""
    bundle = make_served_model(name=name).bundle
    known = {field.name: getattr(bundle, field.name) for field in fields(BundleDescription)}
    manifest = bundle.manifest.model_copy(update={"external": True, "container": None, "output": None})
    return BundleDescription(**(known | {"manifest": manifest, "golden": None}))


class Endpoint:
    """The endpoint with its surroundings, without an application."""

    def __init__(self) -> None:
        self.recorder = Recorder().listen(PredictionsServed, ModelRequestFinished, InputRejected)
        models = Models(
            bundles=[],
            external=[(described(), 12.5)],
            failures={ModelKey("broken", "1"): BundleError(Path("x"), "hash", "differs")},
            stable={"far": "1", "broken": "1"},
            default_model=None,
            batch_rows_max=10,
            announcer=self.recorder.announcer,
        )
        self.endpoint = LoggedPredictionEndpoint(
            models, self.recorder.record, self.recorder.announcer, BodyLimits(4096, 65536, 0.2)
        )

    def post(self, **content: Any) -> Any:
        """Post a prediction as bob."""
        body = json.dumps(content).encode()
        headers = [(b"content-type", b"application/json"), (b"x-request-id", b"request-77")]
        head = read_head({"method": "POST", "path": ROUTE, "query_string": b"", "headers": headers})

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        return json.loads(asyncio.run(self.endpoint.answer(head, receive, "bob")).body)


FAR = ModelKey("far", "1")


def test_what_is_recorded_is_announced() -> None:
    """One event after the record, then how the request ended; the answer has the id of the record."""
    one = Endpoint()
    answer = one.post(
        model_name="far", prediction="high", latency_ms=30_000, confidence=0.9, features=[11, None]
    )
    assert answer == {"prediction_id": "id-0", "model_name": "far", "model_version": "1"}
    (served,) = one.recorder.recorded
    assert [type(event) for event in one.recorder.events] == [PredictionsServed, ModelRequestFinished]
    assert one.recorder.events[0] is served
    assert one.recorder.events[1] == ModelRequestFinished(FAR, "ok", "single", 30.0)
    assert (served.key, list(served.rows)) == (FAR, [(11.0, None)])
    assert served.class_indices is not None
    assert served.confidences is not None
    assert (served.class_indices.tolist(), served.confidences.tolist()) == ([1], [0.9])
    assert served.values is None
    assert served.distribution.tolist() == [1]
    (request,) = served.requests
    assert (request.request_id, request.caller, request.rows) == ("request-77", "bob", 1)


def test_model_that_could_not_be_loaded_takes_no_predictions() -> None:
    """It is not unknown; nobody can say what a prediction of it is."""
    one = Endpoint()
    with pytest.raises(NotReadyError):
        one.post(model_name="broken", prediction="high", latency_ms=1)
    assert one.recorder.recorded == []


def test_record_that_is_refused_is_neither_answered_nor_counted() -> None:
    """The prediction log decides whether a prediction counts."""
    one = Endpoint()
    for error, outcome in (
        (PredictionLogFullError("full"), "shed"),
        (ZeroDivisionError("a mistake"), "failed"),
    ):
        one.recorder.record_error = error
        with pytest.raises(type(error)):
            one.post(model_name="far", prediction="high", latency_ms=1)
        last = one.recorder.events[-1]
        assert isinstance(last, ModelRequestFinished)
        assert (last.key, last.outcome) == (FAR, outcome)
    assert one.recorder.of(PredictionsServed) == []


def test_violations_are_announced_under_their_model() -> None:
    """A name that is none falls under `other`."""
    one = Endpoint()
    with pytest.raises(InvalidInputError):
        one.post(model_name="far", prediction="high", latency_ms=1, features=["x", 1])
    (rejected,) = one.recorder.of(InputRejected)
    assert (rejected.key, [violation.feature for violation in rejected.violations]) == (FAR, ["x"])
    for content in ({"model_name": 7}, {"model_name": "nobody"}, {}):
        with pytest.raises(RequestError):
            one.post(**content)
    assert [event.key for event in one.recorder.of(ModelRequestFinished)] == [FAR] + [OTHER_MODEL] * 3
