"""`plumbline log query`: the newest predictions that are meant, with their truths."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import orjson

from operations.log_filters import add_filter_options, filter_of, opened_log, positive_number, time_text
from operations.terminal_table import Cell, Column, colours, shortened, show, table

if TYPE_CHECKING:
    from operations.commands import Subparsers
    from service.prediction_log.reader import LogEntry

EXAMPLES = """\
examples:
  plumbline log query --model iris --since 2h
  plumbline log query --model tickets --version 3 --wrong --since 2026-11-20 --until 2026-11-21
  plumbline log query --request-id 4c1f... --json | jq '.[].features'
"""
_WIDEST = 24


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline log query`."""
    parser = subparsers.add_parser(
        "query",
        help="show predictions with their truths, the newest first",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_filter_options(parser)
    parser.add_argument(
        "--limit", type=positive_number, default=50, metavar="COUNT", help="at most so many [%(default)s]"
    )
    parser.add_argument("--json", action="store_true", help="print everything that is known, as JSON")
    parser.set_defaults(run_log=run)


def run(options: argparse.Namespace) -> int:
    """Print what was found."""
    with opened_log() as log:
        entries = log.newest(filter_of(options), options.limit)
    if options.json:
        print(json.dumps([entry_record(entry) for entry in entries], indent=2, ensure_ascii=False))
        return 0
    if not entries:
        print("no prediction matches")
        return 0
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for line in table(_columns(entries), width, colours()):
        show(line)
    if len(entries) == options.limit:
        print(f"the newest {options.limit}; there may be more: --limit, --until")
    return 0


def entry_record(entry: LogEntry) -> dict[str, Any]:
    """Write a prediction and its truth as one JSON object."""
    return {
        "prediction_id": entry.prediction_id,
        "predicted_at": time_text(entry.predicted_timestamp),
        "model_name": entry.model_name,
        "model_version": entry.model_version,
        "features": _read(entry.features),
        "prediction": _read(entry.prediction),
        "confidence": entry.confidence,
        "out_of_distribution": entry.out_of_distribution,
        "ground_truth": _read(entry.ground_truth),
        "ground_truth_revision": entry.ground_truth_revision,
        "ground_truth_at": time_text(entry.ground_truth_timestamp),
        "ground_truth_caller": entry.ground_truth_caller,
        "request_id": entry.request_id,
        "caller": entry.caller,
    }


def _read(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


def _columns(entries: list[LogEntry]) -> list[Column]:
    def column(title: str, values: list[str | None], is_number: bool = False) -> Column:
        cells = [Cell("" if value is None else value) for value in values]
        return Column((title,), cells, "right" if is_number else "left")

    return [
        column("time (UTC)", [(time_text(one.predicted_timestamp) or "")[:19] for one in entries]),
        column("model", [_printable(one.model_name) for one in entries]),
        column("version", [_printable(one.model_version) for one in entries]),
        column("prediction", [_label(one.prediction) for one in entries]),
        column(
            "confidence",
            [None if one.confidence is None else f"{one.confidence:.3f}" for one in entries],
            True,
        ),
        column("flagged", [one.out_of_distribution for one in entries]),
        Column(("truth",), [_truth(one) for one in entries], "left"),
        column("caller", [_printable(one.caller or "") for one in entries]),
        column("prediction id", [one.prediction_id for one in entries]),
    ]


def _truth(entry: LogEntry) -> Cell:
    if entry.ground_truth is None:
        return Cell("")
    is_wrong = entry.prediction is not None and entry.ground_truth != entry.prediction
    mark = f" (revision {entry.ground_truth_revision})" if entry.ground_truth_revision else ""
    return Cell(_label(entry.ground_truth) + mark, "red" if is_wrong else "plain")


def _label(text: str | None) -> str:
    value = _read(text)
    return _printable("" if value is None else value if isinstance(value, str) else str(text))


def _printable(text: str) -> str:
    # Clients choose some of these: nothing that a terminal takes for a command.
    safe = "".join(one if one.isprintable() else "?" for one in text)
    return shortened(safe, _WIDEST)
