"""Heads are read in one pass and queries strictly."""

from __future__ import annotations

import pytest

from service.api.request_head import PredictionQuery, read_head, read_prediction_query, refuse_query
from service.errors import BadQueryError


def test_head() -> None:
    """Only the headers that matter, and only a sane length."""
    scope = {
        "method": "POST",
        "path": "/v1/predict",
        "query_string": b"a=b",
        "headers": [(b"content-length", b"77"), (b"x-other", b"1"), (b"content-type", b"text/plain")],
    }
    head = read_head(scope)
    assert (head.method, head.path, head.query, head.content_length) == ("POST", "/v1/predict", b"a=b", 77)
    assert head.content_type == b"text/plain"
    assert head.authorization is None
    scope["headers"] = [(b"content-length", b"-1")]
    assert read_head(scope).content_length is None


def test_query() -> None:
    """Names and versions come from the query, or the name from the path."""
    query = read_prediction_query(b"model_name=a&model_version=2&probabilities=1", None)
    assert query == PredictionQuery("a", "2", True)
    assert read_prediction_query(b"", "b") == PredictionQuery("b", None, False)
    assert read_prediction_query(b"", None) == PredictionQuery()


@pytest.mark.parametrize(
    "query",
    [
        b"x=1",
        b"model_name=a&model_name=a",
        b"model_name=",
        b"model_name=a&model_version=",
        b"probabilities=",
        b"%ff=1",
        b"=",
        b"a",
    ],
)
def test_odd_queries(query: bytes) -> None:
    """Unknown, repeated, empty or wrong parameters are refused: an empty version would be no pin at all."""
    with pytest.raises(BadQueryError):
        read_prediction_query(query, None)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (b"model_name=secret", "model_name"),
        (b"a=1&b=2", "a"),
        (b"a", "a"),
        (b"=secret", ""),
        (b"&", ""),
        (b"n" * 999 + b"=1", "n" * 64),
        (b"%00%ff=1", "%00%ff"),
        (b"\xff=1", "ÿ"),
    ],
)
def test_routes_without_parameters_refuse_any(query: bytes, name: str) -> None:
    """The first one is named, shortened if need be, and its value is not shown."""
    refuse_query(b"")
    with pytest.raises(BadQueryError) as caught:
        refuse_query(query)
    assert caught.value.parameter == name
    assert "secret" not in caught.value.message
