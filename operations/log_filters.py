"""What the commands of `plumbline log` share: options that say which predictions are meant, and the log."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.prediction_log.reader import LogFilter, LogReader

QUERY_SECONDS = 300.0
"""Longest statement of a command; a filter that no index helps with reads the whole log."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def add_filter_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--model", metavar="NAME", help="predictions of this model")
    add("--version", metavar="VERSION", help="of this version")
    add(
        "--since",
        type=parse_time,
        metavar="TIME",
        help="predicted at or after; 45m, 2h, 7d ago, or 2026-11-20, 2026-11-20T08:30 (UTC)",
    )
    add("--until", type=parse_time, metavar="TIME", help="predicted before")
    add("--class", dest="predicted_class", metavar="CLASS", help="predicted as this class")
    add("--out-of-distribution", action="store_true", help="flagged as out of distribution")
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument("--labeled", action="store_true", help="with a ground truth")
    labels.add_argument("--unlabeled", action="store_true", help="without a ground truth")
    add("--wrong", action="store_true", help="with a ground truth that is not what was predicted")
    add("--request-id", metavar="ID", help="of this request; with --since and --until it is found faster")
    add("--prediction-id", metavar="ID", help="this one")


def filter_of(options: argparse.Namespace) -> LogFilter:
    """Say which predictions the options mean."""
    # Here, not above: the database library takes a moment to import, and `--help` should not wait for it.
    from service.prediction_log.reader import LogFilter  # noqa: PLC0415 - see above

    return LogFilter(
        model_name=options.model,
        model_version=options.version,
        since=options.since,
        until=options.until,
        predicted_class=options.predicted_class,
        is_out_of_distribution=options.out_of_distribution,
        is_labeled=True if options.labeled else False if options.unlabeled else None,
        is_wrong=options.wrong,
        request_id=options.request_id,
        prediction_id=options.prediction_id,
    )


@contextlib.contextmanager
def opened_log() -> Iterator[LogReader]:
    """Open the log that the settings name, for reading.

    Raises:
        SettingsError: the settings cannot be used.
        StoreError: there is no log, or its database does not answer.
    """
    from service.prediction_log.location import database_target  # noqa: PLC0415 - see filter_of
    from service.prediction_log.reader import LogReader  # noqa: PLC0415 - see filter_of
    from service.settings import load_settings  # noqa: PLC0415 - see filter_of

    reader = LogReader(database_target(load_settings()), QUERY_SECONDS)
    try:
        yield reader
    finally:
        reader.close()


def parse_time(text: str) -> float:
    """Read a time: so long ago, or a date with or without a time of day, UTC unless it says otherwise.

    Returns:
        Unix seconds.

    Raises:
        ArgumentTypeError: it is none of these.
    """
    if match := re.fullmatch(r"(\d{1,9})([smhdw])", text):
        return datetime.now(UTC).timestamp() - int(match[1]) * _SECONDS[match[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time, for example 2h, 7d or 2026-11-20") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def positive_number(text: str) -> int:
    """Read a whole number above 0.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def time_text(timestamp: float | None) -> str | None:
    """Write a Unix time in ISO 8601, UTC, to the millisecond."""
    if timestamp is None:
        return None
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
