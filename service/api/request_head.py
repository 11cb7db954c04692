"""What the outermost layer needs of a request's head, read in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from service.errors import BadQueryError
from service.request_context import request_id_from, traceparent_from

_WANTED = frozenset(
    {
        b"x-request-id",
        b"traceparent",
        b"authorization",
        b"content-type",
        b"content-length",
        b"content-encoding",
    }
)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Method, path (percent-decoded, as it is routed) and the headers that matter."""

    method: str
    path: str
    query: bytes
    request_id: str
    traceparent: str | None
    authorization: bytes | None
    content_type: bytes | None
    content_length: int | None
    content_encoding: bytes | None


def read_head(scope: Mapping[str, Any]) -> RequestHead:
    """Read the head of an HTTP request from its ASGI scope."""
    found = {name: value for name, value in scope["headers"] if name in _WANTED}
    length = found.get(b"content-length")
    return RequestHead(
        scope["method"],
        scope["path"],
        scope["query_string"],
        request_id_from(found.get(b"x-request-id")),
        traceparent_from(found.get(b"traceparent")),
        found.get(b"authorization"),
        found.get(b"content-type"),
        int(length) if length is not None and length.isdigit() else None,
        found.get(b"content-encoding"),
    )


@dataclass(frozen=True, slots=True)
class PredictionQuery:
    """Query parameters of the prediction routes."""

    model_name: str | None = None
    model_version: str | None = None
    probabilities: bool = False


_NO_QUERY = PredictionQuery()
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def refuse_query(query: bytes) -> None:
    """Refuse any query parameter, on a route that knows none.

    Raises:
        BadQueryError: there is one.
    """
    if query:
        name = query.decode("latin-1").partition("&")[0].partition("=")[0]
        raise BadQueryError(name[:64], "is not known: this route has no parameters")


def read_prediction_query(query: bytes, model_name: str | None) -> PredictionQuery:
    """Read the query parameters of a prediction route.

    Args:
        query: the raw query string.
        model_name: the model named by the path; then the parameter `model_name` is not allowed.

    Raises:
        BadQueryError: an unknown or repeated parameter, or an empty or wrong value.
    """
    if not query and model_name is None:
        return _NO_QUERY
    allowed = {"model_version", "probabilities"} | ({"model_name"} if model_name is None else set())
    values: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=None):
        if name not in allowed:
            raise BadQueryError(name[:64], f"is not one of {', '.join(sorted(allowed))}")
        if name in values:
            raise BadQueryError(name, "is given twice")
        if not value:
            raise BadQueryError(name, "is empty")
        values[name] = value
    flag = values.get("probabilities", "false")
    if flag not in _FLAGS:
        raise BadQueryError("probabilities", "must be true or false")
    return PredictionQuery(model_name or values.get("model_name"), values.get("model_version"), _FLAGS[flag])
