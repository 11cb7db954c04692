"""Each request has one line, whatever its fields hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from service.events import Announcer, HttpRequestFinished, ModelKey
from service.observability.request_log import RequestLog

Mode = Literal["all", "errors", "none"]
OK = HttpRequestFinished(
    "POST", "/v1/predict", 200, 0.0123456789, "abcdefgh", "00-trace", ModelKey("loans", "7"), "ok", 3
)
BAD = HttpRequestFinished("GE\nT\ud800\x1b", "other", 404, 0.5, "ijklmnop")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Open a pipe to write lines to."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def lines(pipe: tuple[int, int], mode: Mode, *events: HttpRequestFinished) -> list[dict[str, Any]]:
    """Announce events; give the lines that were written."""
    reader, writer = pipe
    errors: list[Exception] = []
    announcer = Announcer(lambda _, error: errors.append(error))
    RequestLog(mode, writer).subscribe(announcer)
    for event in events:
        announcer.announce(event)
    os.write(writer, b"end")
    text = os.read(reader, 65536)
    assert text.endswith(b"end")
    assert not errors
    return [json.loads(line) for line in text[:-3].split(b"\n") if line]


def test_line_holds_the_request(pipe: tuple[int, int]) -> None:
    """Time in UTC, what was asked, what was answered, how long it took."""
    (line,) = lines(pipe, "all", OK)
    assert datetime.fromisoformat(line.pop("time")).utcoffset() == timedelta(0)
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "abcdefgh",
        "method": "POST",
        "handler": "/v1/predict",
        "status": 200,
        "seconds": 0.012346,
        "traceparent": "00-trace",
        "model_name": "loans",
        "model_version": "7",
        "outcome": "ok",
        "rows": 3,
    }


def test_hostile_method_stays_on_its_line(pipe: tuple[int, int]) -> None:
    """Line breaks, control characters and lone surrogates cannot forge a line."""
    (line,) = lines(pipe, "all", BAD)
    assert line["method"] == BAD.method
    assert line["level"] == "warning"
    assert "model_name" not in line


@pytest.mark.parametrize(("mode", "statuses"), [("all", [200, 404]), ("errors", [404]), ("none", [])])
def test_setting_chooses_the_requests(pipe: tuple[int, int], mode: Mode, statuses: list[int]) -> None:
    """All, only errors, or none."""
    assert [line["status"] for line in lines(pipe, mode, OK, BAD)] == statuses


def test_closed_log_costs_no_request() -> None:
    """A line that cannot be written is an error of the listener alone."""
    reader, writer = os.pipe()
    os.close(reader)
    failed: list[str] = []
    announcer = Announcer(lambda name, _: failed.append(name))
    RequestLog("all", writer).subscribe(announcer)
    announcer.announce(OK)
    os.close(writer)
    assert failed == ["request_log"]
