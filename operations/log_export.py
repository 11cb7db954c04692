"""`plumbline log export`: predictions joined with their truths, as a file to train from."""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from operations.log_filters import add_filter_options, filter_of, opened_log, time_text
from operations.log_query import entry_record
from service.errors import PlumblineError

if TYPE_CHECKING:
    from operations.commands import Subparsers
    from service.prediction_log.reader import LogEntry, LogFilter, LogReader

EXAMPLES = """\
examples:
  plumbline log export --format csv --output train.csv --model iris --version 2 --labeled
  plumbline log export --format jsonl --output - --since 30d | gzip > month.jsonl.gz

A CSV file has a column for each feature; `ground_truth` is the column to train on:
  plumbline pack model.joblib --data train.csv --target ground_truth --name iris --version 3 --ignore \\
      prediction_id predicted_at model_name model_version prediction confidence out_of_distribution \\
      ground_truth_revision ground_truth_at ground_truth_caller request_id caller
"""
_BEFORE_FEATURES = ("prediction_id", "predicted_at", "model_name", "model_version")
_AFTER_FEATURES = (
    "prediction",
    "confidence",
    "out_of_distribution",
    "ground_truth",
    "ground_truth_revision",
    "ground_truth_at",
    "ground_truth_caller",
    "request_id",
    "caller",
)
_PROGRESS_SECONDS = 2.0
Chunks = Iterator[list["LogEntry"]]


class ExportError(PlumblineError):
    """The file cannot be written."""


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline log export`."""
    parser = subparsers.add_parser(
        "export",
        help="write predictions with their truths to a file, the oldest first",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--format", choices=("csv", "jsonl"), required=True, help="one line a prediction")
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="where to write; - is standard output"
    )
    add_filter_options(parser)
    parser.set_defaults(run_log=run)


def run(options: argparse.Namespace) -> int:
    """Write the file."""
    wanted = filter_of(options)
    if wanted.until is None:
        # What is logged from now on is left out, so that there is an end.
        wanted = dataclasses.replace(wanted, until=time.time())
    with opened_log() as log, _output(options.output) as file:
        write = _write_csv if options.format == "csv" else _write_jsonl
        count = write(log, wanted, file)
    print(f"exported {count} prediction{'' if count == 1 else 's'}", file=sys.stderr)
    return 0


def _write_jsonl(log: LogReader, wanted: LogFilter, file: IO[str]) -> int:
    count = 0
    for chunk in _watched(log.oldest_first(wanted), "exported"):
        for entry in chunk:
            file.write(orjson.dumps(entry_record(entry)).decode() + "\n")
        count += len(chunk)
    return count


def _write_csv(log: LogReader, wanted: LogFilter, file: IO[str]) -> int:
    """Read twice: first for the names of the features, which are the header."""
    names: dict[str, None] = {}
    for chunk in _watched(log.oldest_first(wanted), "looked at"):
        for entry in chunk:
            names.update(dict.fromkeys(_features(entry)))
    fixed = {*_BEFORE_FEATURES, *_AFTER_FEATURES}
    columns = [f"feature_{name}" if name in fixed else name for name in names]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*_BEFORE_FEATURES, *columns, *_AFTER_FEATURES])
    count = left_out = 0
    for chunk in _watched(log.oldest_first(wanted), "exported"):
        for entry in chunk:
            features = _features(entry)
            if not features.keys() <= names.keys():
                left_out += 1
                continue
            record = entry_record(entry)
            values = [
                *[record[name] for name in _BEFORE_FEATURES],
                *[features.get(name) for name in names],
                *[record[name] for name in _AFTER_FEATURES],
            ]
            writer.writerow([_csv_text(value) for value in values])
            count += 1
    if left_out:
        print(f"{left_out} predictions came meanwhile with other features: export again", file=sys.stderr)
    return count


def _features(entry: LogEntry) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(entry.features) if entry.features else {}
    return found


def _csv_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value


def _watched(chunks: Chunks, done: str) -> Chunks:
    """Say now and then how far it is, if it takes long."""
    count, said = 0, time.monotonic()
    for chunk in chunks:
        yield chunk
        count += len(chunk)
        if time.monotonic() - said > _PROGRESS_SECONDS:
            said = time.monotonic()
            print(
                f"{done} {count} predictions, up to {time_text(chunk[-1].predicted_timestamp)}",
                file=sys.stderr,
            )


@contextlib.contextmanager
def _output(name: str) -> Iterator[IO[str]]:
    """Open a file that is there when it is whole, and not before; or standard output."""
    if name == "-":
        yield sys.stdout
        return
    path = Path(name)
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("w", encoding="utf-8", newline="") as file:
            yield file
        draft.replace(path)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
