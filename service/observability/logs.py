"""JSON logs: one line per record, UTC, whatever the message holds."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

# `color_message` is uvicorn's copy of its message for terminals.
_LEFT_OUT = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON; what was given as `extra` becomes fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record."""
        content: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            "pid": record.process,
        }
        content |= {key: value for key, value in vars(record).items() if key not in _LEFT_OUT}
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            content["stack"] = record.stack_info
        return to_json(content).decode()


def log_config(level: str) -> dict[str, Any]:
    """Give the configuration for `logging.config.dictConfig` and for Gunicorn's `logconfig_dict`."""
    quiet = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": f"{__name__}.{JsonFormatter.__name__}"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}
        },
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            # Gunicorn hands these handlers to uvicorn's loggers; propagating as well would write lines twice.
            "gunicorn.error": {"level": level.upper(), "handlers": ["stderr"], "propagate": False},
            "gunicorn.access": {**quiet, "level": "WARNING"},
        },
    }


def set_up_logs(level: str) -> None:
    """Log JSON to stderr, warnings of Python included (processes without Gunicorn)."""
    logging.config.dictConfig(log_config(level))
    logging.captureWarnings(True)


def to_json(content: Mapping[str, object], option: int = 0) -> bytes:
    """Write one line of JSON, whatever the values are."""
    try:
        return orjson.dumps(content, str, _OPTIONS | option)
    except TypeError:
        # Lone surrogates and integers beyond 64 bits: rare, so the slow way is good enough.
        line = json.dumps(content, default=str, skipkeys=True).encode()
        return line + b"\n" if option else line
