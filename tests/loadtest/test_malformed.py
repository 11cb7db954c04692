"""The table of bad requests."""

from __future__ import annotations

import json

from loadtest.malformed import bad_requests
from loadtest.served_models import Feature, ServedModel

TABULAR = ServedModel(
    "iris",
    (Feature("a", "number", nullable=True), Feature("b", "number", nullable=False)),
    ("x",),
    ((1.5, 2.5),),
)
TEXT = ServedModel("tickets", (Feature("text", "text", nullable=False),), ("x",), (("hello",),))


def test_numbers_that_are_not_finite_stand_bare_in_the_body() -> None:
    """NaN, Infinity and 1e999 are sent as tokens, which no JSON library would write."""
    bodies = {bad.name: bad.body for bad in bad_requests([TABULAR], has_token=False)}
    for token in ("NaN", "Infinity", "-Infinity", "1e999"):
        assert bodies[token] == b'{"features": {"a": ' + token.encode() + b', "b": 2.5}}'


def test_a_feature_that_may_be_missing_is_not_left_out() -> None:
    """Leaving out a nullable feature is no error, so another is left out."""
    missing = next(bad for bad in bad_requests([TABULAR], has_token=False) if bad.name == "missing feature")
    assert missing.body is not None
    assert json.loads(missing.body) == {"features": {"a": 1.5}}
    assert missing.field == "features.b"


def test_batches_are_one_row_too_long_or_empty() -> None:
    """The limits of a batch are tried from both sides, for each model."""
    requests = bad_requests([TABULAR, TEXT], has_token=False)
    too_long = [json.loads(bad.body or b"") for bad in requests if bad.name == "batch too long"]
    assert [len(body["batch"]) for body in too_long] == [1001, 1001]
    assert sum(bad.name == "empty batch" for bad in requests) == 2


def test_a_missing_token_is_tried_only_where_tokens_are_needed() -> None:
    """Without tokens a request without one is a good request."""
    assert not any(bad.status == 401 for bad in bad_requests([TABULAR], has_token=False))
    assert any(bad.status == 401 for bad in bad_requests([TABULAR], has_token=True))


def test_every_bad_request_is_refused_as_the_clients_fault() -> None:
    """Nothing in the table expects a success or a failure of the server."""
    requests = bad_requests([TABULAR, TEXT], has_token=True)
    assert {bad.status // 100 for bad in requests} == {4}
