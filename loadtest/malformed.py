"""The table of bad requests, each with the refusal that it must get."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtest.served_models import ServedModel

BATCH_ROWS_MAX = 1000
TEXT_LENGTH_MAX = 10_000
SINGLE_BODY_MAX_BYTES = 262_144
NESTING = 10_000

_NUMBER = "<number>"
_NOT_FINITE = ("NaN", "Infinity", "-Infinity", "1e999")


@dataclass(frozen=True, slots=True)
class BadRequest:
    """One request that must be refused.

    Args:
        name: as it is shown in the report.
        path: of the request.
        body: of the request.
        status: what the refusal must be.
        field: what the refusal must name in its details; empty for none.
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


def bad_requests(models: Sequence[ServedModel], *, has_token: bool) -> tuple[BadRequest, ...]:
    """Return every bad request for the models, those of the HTTP layer once."""
    requests = list(_of_http(models[0]))
    if has_token:
        good = models[0].single_body(models[0].rows[0])
        requests.append(BadRequest("no token", models[0].single_path, good, 401, with_token=False))
    for model in models:
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
