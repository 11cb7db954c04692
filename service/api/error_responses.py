"""From an error to its HTTP answer: one table, one body."""

from __future__ import annotations

import random
from dataclasses import dataclass

import orjson

from service import errors
from service.api.answer import Answer


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """How one class of errors is answered."""

    status: int
    code: str
    message: str


INTERNAL_ERROR = ErrorKind(500, "internal_error", "The server failed; the log has the request id.")
ERROR_KINDS: dict[type[errors.RequestError], ErrorKind] = {
    errors.UnauthorizedError: ErrorKind(401, "unauthorized", "A valid bearer token is needed."),
    errors.NotFoundError: ErrorKind(404, "not_found", "No route has this path."),
    errors.MethodNotAllowedError: ErrorKind(405, "method_not_allowed", "The route has no such method."),
    errors.BadQueryError: ErrorKind(400, "bad_query", "A query parameter is unknown or has a wrong value."),
    errors.UnknownModelError: ErrorKind(404, "unknown_model", "No such model or version is loaded."),
    errors.MediaTypeError: ErrorKind(
        415, "unsupported_media_type", "The body must be plain JSON: Content-Type application/json."
    ),
    errors.BodyTooLargeError: ErrorKind(413, "body_too_large", "The body is too large."),
    errors.BodyTimeoutError: ErrorKind(408, "body_timeout", "The body did not arrive in time."),
    errors.InvalidInputError: ErrorKind(
        422, "invalid_input", "The input is invalid; the details say what is wrong with it."
    ),
    errors.QueueFullError: ErrorKind(503, "overloaded", "The queue is full; try again later."),
    errors.ExternalModelError: ErrorKind(
        409, "external_model", "The model is served by other software; log its predictions here."
    ),
    errors.PredictionLogFullError: ErrorKind(
        503, "prediction_log_full", "The prediction log cannot take this now; try again later."
    ),
    errors.NotReadyError: ErrorKind(503, "not_ready", "The model cannot serve now; try again later."),
    errors.DeadlineError: ErrorKind(504, "deadline_exceeded", "The prediction did not finish in time."),
    errors.ClientGoneError: ErrorKind(499, "client_gone", "The client closed the connection."),
    errors.PredictionError: ErrorKind(500, "prediction_failed", "The model failed on this input."),
}


def error_answer(error: Exception, request_id: str) -> Answer:
    """Answer an error; anything but a `RequestError` is an internal error without details."""
    kind = (
        ERROR_KINDS.get(type(error), INTERNAL_ERROR)
        if isinstance(error, errors.RequestError)
        else INTERNAL_ERROR
    )
    return _answer(kind, _details(error), request_id, _headers(error))


def plain_error_answer(status: int, code: str, message: str, request_id: str) -> Answer:
    """Answer an error that has no class of its own here."""
    return _answer(ErrorKind(status, code, message), [], request_id, [])


def _answer(
    kind: ErrorKind, details: list[dict[str, str]], request_id: str, headers: list[tuple[bytes, bytes]]
) -> Answer:
    content = {
        "error": {"code": kind.code, "message": kind.message, "details": details, "request_id": request_id}
    }
    return Answer(kind.status, orjson.dumps(content), tuple(headers))


def _details(error: Exception) -> list[dict[str, str]]:
    match error:
        case errors.InvalidInputError():
            return [{"field": one.field, "reason": one.message} for one in error.violations]
        case errors.BadQueryError():
            return [{"field": f"query.{error.parameter}", "reason": error.message}]
        case errors.BodyTooLargeError():
            return [{"field": "body", "reason": f"must have at most {error.max_bytes} bytes"}]
        case errors.BodyTimeoutError():
            return [{"field": "body", "reason": f"must arrive within {error.seconds:g} seconds"}]
        case errors.NotReadyError():
            return [{"field": "model", "reason": error.reason}]
        case errors.MethodNotAllowedError():
            return [{"field": "method", "reason": f"must be {error.allowed}"}]
        case _:
            return []


def _headers(error: Exception) -> list[tuple[bytes, bytes]]:
    match error:
        case errors.QueueFullError() | errors.NotReadyError() | errors.PredictionLogFullError():
            # Spread over two seconds, so that the refused do not all come back at once.
            seconds = error.retry_after_seconds + random.randint(0, 1)  # noqa: S311 - jitter, not a secret
            return [(b"retry-after", b"%d" % seconds)]
        case errors.UnauthorizedError():
            return [(b"www-authenticate", b"Bearer")]
        case errors.MethodNotAllowedError():
            return [(b"allow", error.allowed.encode())]
        case errors.BodyTooLargeError() | errors.BodyTimeoutError():
            return [(b"connection", b"close")]
        case _:
            return []
