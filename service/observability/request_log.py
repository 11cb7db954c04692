"""Writes the one line per request: fields to JSON to one `write`, without the logging module."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Literal

import orjson

from service.events import Announcer, HttpRequestFinished
from service.observability.logs import to_json

NAME = "request_log"
_STDERR = 2


class RequestLog:
    """Listens to the end of HTTP requests; a line that cannot be written is dropped.

    Args:
        mode: which requests are written; `errors` are those answered with 400 or more.
        descriptor: where to.
    """

    def __init__(self, mode: Literal["all", "errors", "none"], descriptor: int = _STDERR) -> None:
        self._mode = mode
        self._descriptor = descriptor

    def subscribe(self, announcer: Announcer) -> None:
        """Listen to `announcer`, unless no request is to be written."""
        if self._mode != "none":
            announcer.subscribe(NAME, HttpRequestFinished, self.on_finished)

    def on_finished(self, event: HttpRequestFinished) -> None:
        """Write the line of the request."""
        is_error = event.status >= 400
        if self._mode == "errors" and not is_error:
            return
        fields: dict[str, object] = {
            "time": datetime.now(UTC),
            "level": "warning" if is_error else "info",
            "event": "request",
            "request_id": event.request_id,
            "method": event.method,
            "handler": event.handler,
            "status": event.status,
            "seconds": round(event.seconds, 6),
        }
        if event.traceparent is not None:
            fields["traceparent"] = event.traceparent
        if event.key is not None:
            fields["model_name"], fields["model_version"] = event.key
            fields["outcome"] = event.outcome
            fields["rows"] = event.rows
        os.write(self._descriptor, to_json(fields, orjson.OPT_APPEND_NEWLINE))
