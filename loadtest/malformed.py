"""The table of bad requests, each with the refusal that it must get."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadtest.pending_truths import GROUND_TRUTH_PATH, MAX_TRUTHS_OF_REQUEST
from loadtest.served_models import ServedModel

BATCH_ROWS_MAX = 1000
TEXT_LENGTH_MAX = 10_000
SINGLE_BODY_MAX_BYTES = 262_144
NESTING = 10_000

_NUMBER = "<number>"
_NOT_FINITE = ("NaN", "Infinity", "-Infinity", "1e999")
# Of the length and the format of an id, but signed by somebody else.
_FOREIGN_ID = urlsafe_b64encode(b"@" * 45).decode()


@dataclass(frozen=True, slots=True)
class BadRequest:
    """One request that must be refused.

    Args:
        name: as it is shown in the report.
        path: of the request.
        body: of the request.
        status: what the refusal must be; 200 for a batch of truths whose results must all be `invalid`.
        field: what the refusal must name in its details, or one of the results; empty for none.
        method: of the request.
        content_type: of the request.
        with_token: whether the token is sent along.
    """

    name: str
    path: str
    body: bytes | None
    status: int
    field: str = ""
    method: str = "POST"
    content_type: str = "application/json"
    with_token: bool = True


def bad_requests(
    models: Sequence[ServedModel], prediction_ids: Mapping[str, str], *, has_token: bool
) -> tuple[BadRequest, ...]:
    """Return every bad request for the models, those of the HTTP layer once.

    Args:
        models: that are driven.
        prediction_ids: a real one for each model, by its name.
        has_token: whether the predictor wants one.
    """
    requests = [*_of_http(models[0]), *_of_truths(prediction_ids[models[0].name])]
    if has_token:
        good = models[0].single_body(models[0].rows[0])
        requests.append(BadRequest("no token", models[0].single_path, good, 401, with_token=False))
        requests.append(BadRequest("truth without a token", GROUND_TRUTH_PATH, b"{}", 401, with_token=False))
    for model in models:
        requests.append(_wrong_class(prediction_ids[model.name]))
        requests += _of_text(model) if model.is_text else _of_rows(model)
        requests += _of_batches(model)
    return tuple(requests)


def _of_http(model: ServedModel) -> Iterator[BadRequest]:
    path, good = model.single_path, model.single_body(model.rows[0])
    yield BadRequest("broken JSON", path, good[:-1], 422, "body")
    yield BadRequest("empty body", path, None, 422, "body")
    yield BadRequest("no object", path, b"[]", 422, "body")
    yield BadRequest("invalid UTF-8", path, b'{"\xff\xfe": 1}', 422, "body")
    yield BadRequest("deep nesting", path, b'{"features":' + b"[" * NESTING + b"]" * NESTING + b"}", 422)
    yield BadRequest("body too large", path, good + b" " * SINGLE_BODY_MAX_BYTES, 413)
    yield BadRequest("wrong content type", path, good, 415, content_type="text/plain")
    yield BadRequest("wrong method", path, None, 405, method="GET")
    yield BadRequest("unknown model", "/v1/models/no-such-model/predict", good, 404)
    pin = f"/v1/predict?model_name={model.name}&model_version=no-such-version"
    yield BadRequest("unknown version", pin, good, 404)
    yield BadRequest("unknown route", "/v1/no-such-route", good, 404)


def _of_rows(model: ServedModel) -> Iterator[BadRequest]:
    path, row = model.single_path, model.named(model.rows[0])
    first = model.features[0].name

    def body(features: object) -> bytes:
        return json.dumps({"features": features}).encode()

    yield BadRequest("wrong type", path, body({**row, first: ["wrong"]}), 422, f"features.{first}")
    required = next((feature.name for feature in model.features if not feature.nullable), None)
    if required is not None:
        rest = {name: value for name, value in row.items() if name != required}
        yield BadRequest("missing feature", path, body(rest), 422, f"features.{required}")
        yield BadRequest("null", path, body({**row, required: None}), 422, f"features.{required}")
    extra = body({**row, "no_such_feature": 1})
    yield BadRequest("extra feature", path, extra, 422, "features.no_such_feature")
    values = list(row.values())
    yield BadRequest("too many values", path, body([*values, 1.5]), 422)
    yield BadRequest("too few values", path, body(values[:-1]), 422)
    number = next((item.name for item in model.features if item.type == "number"), None)
    if number is not None:
        marked = body({**row, number: _NUMBER})
        for token in _NOT_FINITE:
            broken = marked.replace(json.dumps(_NUMBER).encode(), token.encode())
            yield BadRequest(token, path, broken, 422, f"features.{number}")


def _of_text(model: ServedModel) -> Iterator[BadRequest]:
    path, name = model.single_path, model.features[0].name

    def body(text: object) -> bytes:
        return json.dumps({name: text}).encode()

    yield BadRequest("text is a number", path, body(7), 422, name)
    yield BadRequest("text is empty", path, body(""), 422, name)
    yield BadRequest("text too long", path, body("long " * (TEXT_LENGTH_MAX // 5 + 1)), 422, name)
    yield BadRequest("text missing", path, b"{}", 422, name)
    yield BadRequest("lone surrogate", path, json.dumps({name: "\ud800"}).encode(), 422)


def _of_batches(model: ServedModel) -> Iterator[BadRequest]:
    path, good = model.batch_path, model.rows[0]
    first = model.features[0].name
    yield BadRequest("empty batch", path, b'{"batch": []}', 422, "batch")
    yield BadRequest("no batch", path, b"{}", 422, "batch")
    yield BadRequest(
        "batch too long", path, model.batch_body([good] * (BATCH_ROWS_MAX + 1), positional=True), 422, "batch"
    )
    rows: list[dict[str, object]] = [{**model.named(good)} for _ in range(3)]
    rows[1][first] = ["wrong"]
    body = json.dumps({"batch": rows}).encode()
    yield BadRequest("bad row in a batch", path, body, 422, f"batch[1].{first}")


def _of_truths(real_id: str) -> Iterator[BadRequest]:
    path = GROUND_TRUTH_PATH
    # A truth that no model can have: should one of these be taken by mistake, it counts nowhere.
    impossible = {"prediction_id": real_id, "ground_truth": "no such class"}
    forged = real_id[:-1] + ("B" if real_id.endswith("A") else "A")

    def body(**changes: object) -> bytes:
        return json.dumps({**impossible, **changes}).encode()

    for name, bad_id in (("bad", "no-such-id"), ("truncated", real_id[:-4]), ("forged", forged)):
        yield BadRequest(f"truth with a {name} id", path, body(prediction_id=bad_id), 422, "prediction_id")
    yield BadRequest("truth with a foreign id", path, body(prediction_id=_FOREIGN_ID), 422, "prediction_id")
    yield BadRequest("truth whose id is a number", path, body(prediction_id=7), 422, "prediction_id")
    yield BadRequest("truth without id", path, b'{"ground_truth": 1}', 422, "prediction_id")
    without = json.dumps({"prediction_id": real_id}).encode()
    yield BadRequest("truth without a value", path, without, 422, "ground_truth")
    yield BadRequest("truth is null", path, body(ground_truth=None), 422, "ground_truth")
    yield BadRequest("truth is a list", path, body(ground_truth=["wrong"]), 422, "ground_truth")
    yield BadRequest("truth with a wrong revision", path, body(revision=-1), 422, "revision")
    yield BadRequest("truth with an extra field", path, body(no_such_field=1), 422, "no_such_field")
    yield BadRequest("truth with an unknown parameter", f"{path}?model_name=iris", body(), 400)
    yield BadRequest("truth of wrong content type", path, body(), 415, content_type="text/plain")
    yield BadRequest("truth by a wrong method", path, None, 405, method="GET")
    marked = body(ground_truth=_NUMBER)
    for number in _NOT_FINITE:
        broken = marked.replace(json.dumps(_NUMBER).encode(), number.encode())
        yield BadRequest(f"truth is {number}", path, broken, 422, "body")
    yield from _of_truth_batches(impossible)


def _of_truth_batches(impossible: Mapping[str, object]) -> Iterator[BadRequest]:
    def body(*items: object) -> bytes:
        return json.dumps({"batch": items}).encode()

    foreign = {**impossible, "prediction_id": _FOREIGN_ID}
    too_many = [impossible] * (MAX_TRUTHS_OF_REQUEST + 1)
    for name, content, status, field in (
        ("empty batch", body(), 422, "batch"),
        ("too long batch", body(*too_many), 422, "batch"),
        ("half-written batch", body(impossible, {"ground_truth": 1}), 422, "batch[1].prediction_id"),
        ("batch with a foreign id", body(impossible, foreign), 200, "batch[1].prediction_id"),
        ("batch with a wrong class", body(foreign, impossible), 200, "batch[1].ground_truth"),
    ):
        yield BadRequest(f"truths: {name}", GROUND_TRUTH_PATH, content, status, field)


def _wrong_class(real_id: str) -> BadRequest:
    # To a regression model this is no number.
    body = json.dumps({"prediction_id": real_id, "ground_truth": "no such class"}).encode()
    return BadRequest("truth of a wrong class", GROUND_TRUTH_PATH, body, 422, "ground_truth")
