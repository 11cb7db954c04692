"""Each record is one line of JSON."""

from __future__ import annotations

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import Any

import pytest

from service.observability.logs import JsonFormatter, log_config, set_up_logs, to_json


def written(record: logging.LogRecord) -> dict[str, Any]:
    """Format a record; it must be one line of JSON without a raw control character."""
    line = JsonFormatter().format(record)
    assert not [character for character in line if ord(character) < 32]
    content: dict[str, Any] = json.loads(line)
    return content


def record(message: object, *args: object, **fields: object) -> logging.LogRecord:
    """Make a record."""
    made = logging.LogRecord("service.x", logging.WARNING, __file__, 1, message, args, None)
    made.__dict__.update(fields)
    return made


def test_line_holds_time_level_event_and_fields() -> None:
    """Time is UTC; what was given as extra is a field."""
    made = record(
        "loaded %s",
        "loans",
        model_version="7",
        when=datetime(2026, 3, 7, tzinfo=UTC),
        path={1: object},
        color_message="for terminals",
    )
    content = written(made)
    assert datetime.fromisoformat(content["time"]).timestamp() == pytest.approx(made.created, abs=1e-3)
    assert content["time"].endswith("Z")
    assert (content["level"], content["event"], content["logger"]) == ("warning", "loaded loans", "service.x")
    assert content["model_version"] == "7"
    assert content["when"] == "2026-03-07T00:00:00Z"
    assert content["path"] == {"1": "<class 'object'>"}
    assert "color_message" not in content


@pytest.mark.parametrize("message", ["two\nlines", "\x1b[31mred\x00", "\ud800 alone", "naïve ü 🍎"])
def test_message_cannot_break_its_line(message: str) -> None:
    """Line breaks, control characters and lone surrogates are escaped."""
    assert written(record(message))["event"] == message


def test_exception_is_a_field() -> None:
    """A traceback does not become many lines."""
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        made = record("failed")
        made.exc_info = (type(error), error, error.__traceback__)
    assert "ValueError: a\nb" in written(made)["exception"]


def test_numbers_that_json_has_not_are_written() -> None:
    """An integer beyond 64 bits is no reason to lose a line."""
    assert json.loads(to_json({"n": 2**70})) == {"n": 2**70}


def test_gunicorn_and_ordinary_loggers_write_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration works as it is, and writes each record once."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        set_up_logs("info")
        logging.getLogger("gunicorn.error").info("booted")
        logging.getLogger("service.y").info("ready", extra={"workers": 3})
        logging.getLogger("service.y").debug("not this")
    finally:
        root.handlers, root.level = handlers, level
        logging.captureWarnings(False)
        logging.getLogger("gunicorn.error").handlers.clear()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line.get("workers")) for line in lines] == [("booted", None), ("ready", 3)]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_level_is_that_of_the_setting(level: str) -> None:
    """Every level of the setting is one of logging's."""
    assert log_config(level)["root"]["level"] in logging.getLevelNamesMapping()
