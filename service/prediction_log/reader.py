"""Reads the prediction log without disturbing its writer: short transactions on a read-only connection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, or_, select

from service.errors import StoreError, StoreSchemaError
from service.prediction_log.database import STATEMENT_SECONDS, Database
from service.prediction_log.schema import ground_truths, predictions, stored_days
from service.prediction_log.store import check_schema
from service.prediction_log.truth_rules import StoredTruth, json_text

CHUNK_ROWS = 5000


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which predictions are meant; None and False leave a question open.

    Args:
        model_name: of this model.
        model_version: of this version.
        since: predicted at or after this Unix time.
        until: predicted before it.
        predicted_class: predicted as this class, as a person writes it.
        is_out_of_distribution: only what was flagged.
        is_labeled: with a ground truth, or without one.
        is_wrong: with a ground truth that is not what was predicted.
        request_id: of this request.
        prediction_id: this one.
    """

    model_name: str | None = None
    model_version: str | None = None
    since: float | None = None
    until: float | None = None
    predicted_class: str | None = None
    is_out_of_distribution: bool = False
    is_labeled: bool | None = None
    is_wrong: bool = False
    request_id: str | None = None
    prediction_id: str | None = None


class LogEntry(NamedTuple):
    """A prediction joined with its ground truth; what is not known is None.

    Args:
        prediction_id: 60 characters.
        predicted_timestamp: Unix seconds.
        model_name: empty for a truth of an unknown version without its prediction.
        model_version: as `model_name`.
        prediction: JSON; None if there is only a truth.
        confidence: 0..1.
        out_of_distribution: `range`, `category` or `novelty`.
        features: JSON object.
        request_id: of the request.
        caller: who asked for the prediction.
        ground_truth: JSON of the newest revision.
        ground_truth_revision: its number.
        ground_truth_timestamp: when it was received, Unix seconds.
        ground_truth_caller: who posted it.
    """

    prediction_id: str
    predicted_timestamp: float
    model_name: str
    model_version: str
    prediction: str | None
    confidence: float | None
    out_of_distribution: str | None
    features: str | None
    request_id: str | None
    caller: str | None
    ground_truth: str | None
    ground_truth_revision: int | None
    ground_truth_timestamp: float | None
    ground_truth_caller: str | None


class StoredDay(NamedTuple):
    """What one day holds: days since 1970 (UTC), predictions and truths, about how many bytes."""

    day: int
    rows: int
    bytes: int


_TRUTH_COLUMNS = (
    ground_truths.c.ground_truth,
    ground_truths.c.revision,
    ground_truths.c.received_timestamp,
    ground_truths.c.caller,
)


class LogReader:
    """An open prediction log; for one thread.

    Args:
        target: path of an SQLite file, or the DSN of a PostgreSQL database.
        timeout_seconds: longest statement (PostgreSQL), longest wait for a lock (SQLite).

    Raises:
        SettingsError: the DSN cannot be read.
        StoreUnavailableError: the database does not answer.
        StoreSchemaError: it holds no prediction log, or that of another version.
    """

    def __init__(self, target: Path | str, timeout_seconds: float = STATEMENT_SECONDS) -> None:
        if isinstance(target, Path) and not target.exists():
            raise StoreSchemaError(f"{target} does not exist: nothing was logged yet")
        self.database = Database(target, read_only=True, timeout_seconds=timeout_seconds)
        try:
            with self.database.transaction() as connection:
                check_schema(connection, self.database.name)
        except StoreError:
            self.database.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self.database.close()

    def newest(self, wanted: LogFilter, limit: int) -> list[LogEntry]:
        """Return the newest predictions that are meant, the newest first.

        A truth without a prediction is found by its id alone.
        """
        statement = _joined(wanted).order_by(
            predictions.c.predicted_timestamp.desc(), predictions.c.prediction_id.desc()
        )
        with self.database.transaction() as connection:
            found = [LogEntry._make(row) for row in connection.execute(statement.limit(limit))]
            if not found and wanted == LogFilter(prediction_id=wanted.prediction_id):
                lone = select(ground_truths).where(ground_truths.c.prediction_id == wanted.prediction_id)
                found = [_lone(StoredTruth._make(row)) for row in connection.execute(lone)]
        return found

    def oldest_first(self, wanted: LogFilter, chunk_rows: int = CHUNK_ROWS) -> Iterator[list[LogEntry]]:
        """Give all predictions that are meant, in chunks, each read in a transaction of its own.

        What is logged meanwhile may be among them: a time until which they are wanted keeps it out.
        """
        last: LogEntry | None = None
        while True:
            statement = _joined(wanted)
            if last is not None:
                statement = statement.where(_behind(last))
            statement = statement.order_by(predictions.c.predicted_timestamp, predictions.c.prediction_id)
            with self.database.transaction() as connection:
                chunk = [LogEntry._make(row) for row in connection.execute(statement.limit(chunk_rows))]
            if chunk:
                yield chunk
            if len(chunk) < chunk_rows:
                return
            last = chunk[-1]

    def stored_days(self) -> list[StoredDay]:
        """Return what each day holds, the oldest first."""
        with self.database.transaction() as connection:
            found = connection.execute(select(stored_days).order_by(stored_days.c.day))
            return [StoredDay(*row) for row in found]


def _lone(truth: StoredTruth) -> LogEntry:
    known = (truth.prediction_id, truth.predicted_timestamp, truth.model_name, truth.model_version)
    received = (truth.ground_truth, truth.revision, truth.received_timestamp, truth.caller)
    return LogEntry._make((*known, *[None] * 6, *received))


def _joined(wanted: LogFilter) -> Select[*tuple[Any, ...]]:
    on_id = predictions.c.prediction_id == ground_truths.c.prediction_id
    columns: list[ColumnElement[object]] = [*predictions.columns, *_TRUTH_COLUMNS]
    return (
        select(*columns).select_from(predictions.outerjoin(ground_truths, on_id)).where(*_conditions(wanted))
    )


def _conditions(wanted: LogFilter) -> list[ColumnElement[bool]]:
    equal = {
        "model_name": wanted.model_name,
        "model_version": wanted.model_version,
        "request_id": wanted.request_id,
        "prediction_id": wanted.prediction_id,
    }
    conditions = [predictions.c[name] == value for name, value in equal.items() if value is not None]
    if wanted.since is not None:
        conditions.append(predictions.c.predicted_timestamp >= wanted.since)
    if wanted.until is not None:
        conditions.append(predictions.c.predicted_timestamp < wanted.until)
    if wanted.predicted_class is not None:
        # As a text, or as a number or boolean, which are their own JSON.
        forms = {json_text(wanted.predicted_class), wanted.predicted_class}
        conditions.append(predictions.c.prediction.in_(forms))
    if wanted.is_out_of_distribution:
        conditions.append(predictions.c.out_of_distribution.is_not(None))
    truth = ground_truths.c.ground_truth
    if wanted.is_labeled is not None:
        conditions.append(truth.is_not(None) if wanted.is_labeled else truth.is_(None))
    if wanted.is_wrong:
        conditions.append(truth != predictions.c.prediction)
    return conditions


def _behind(entry: LogEntry) -> ColumnElement[bool]:
    time = predictions.c.predicted_timestamp
    # The first condition says nothing new, but an index can begin there.
    return and_(
        time >= entry.predicted_timestamp,
        or_(time > entry.predicted_timestamp, predictions.c.prediction_id > entry.prediction_id),
    )
