"""What a writer does to the database of the prediction log within one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, text, update

from service.errors import StoreRefusedError, StoreUnavailableError
from service.events import ModelKey
from service.prediction_log.schema import (
    KEYS_DELETED_BEFORE,
    PREDICTION_ROW_BYTES,
    TRUTH_ROW_BYTES,
    PredictionRow,
    day_of,
    ground_truths,
    log_state,
    predictions,
    spool_offsets,
)
from service.prediction_log.statements import among, insert_new, text_bytes
from service.prediction_log.totals import VersionTotals, cells_text
from service.prediction_log.truth_rules import ArrivedTruth, Judge, JudgedTruth, StoredTruth, Versions

_CHANGING = [column.name for column in ground_truths.columns if column.name != "prediction_id"]
_SAVE_OFFSET = text(
    "INSERT INTO spool_offsets (writer, segment, byte_offset) VALUES (:writer, :segment, :byte_offset) "
    "ON CONFLICT (writer, segment) DO UPDATE SET byte_offset = excluded.byte_offset"
)
_SAVE_TOTALS = text(
    "INSERT INTO outcome_totals (writer, model_name, model_version, cells, "
    "last_counted_timestamp, first_predicted_timestamp) "
    "VALUES (:writer, :name, :version, :cells, :last, :first) "
    "ON CONFLICT (writer, model_name, model_version) DO UPDATE SET cells = excluded.cells, "
    "last_counted_timestamp = excluded.last_counted_timestamp, "
    "first_predicted_timestamp = excluded.first_predicted_timestamp"
)
_CHANGE_DAY = text(
    "INSERT INTO stored_days (day, stored_rows, stored_bytes) VALUES (:day, :stored_rows, :stored_bytes) "
    "ON CONFLICT (day) DO UPDATE SET stored_rows = stored_days.stored_rows + excluded.stored_rows, "
    "stored_bytes = stored_days.stored_bytes + excluded.stored_bytes"
)


class Transaction:
    """One transaction of the writer.

    Args:
        connection: within a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._days: dict[int, list[int]] = {}

    def insert_predictions(self, rows: Sequence[PredictionRow]) -> int:
        """Insert predictions; those whose id is there already are left alone.

        Returns:
            How many were inserted.

        Raises:
            StoreRefusedError: a row cannot be stored.
        """
        with _refusing_values():
            unique = {row.prediction_id: row for row in reversed(rows)}
            new = insert_new(self.connection, predictions, [unique[key] for key in sorted(unique)])
            for key in new:
                row = unique[key]
                size = PREDICTION_ROW_BYTES + text_bytes(
                    row.prediction, row.features, row.request_id, row.caller
                )
                self.change_day(day_of(row.predicted_timestamp), 1, size)
        return len(new)

    def receive_truths(self, truths: Sequence[ArrivedTruth], versions: Versions) -> list[JudgedTruth]:
        """Store truths and say what became of each, in order; an id may come several times.

        Predictions need not be there, now or ever.

        Raises:
            StoreRefusedError: a truth cannot be stored.
        """
        with _refusing_values():
            judge = Judge(versions, self._keys_deleted_before())
            firsts: dict[str, ArrivedTruth] = {}
            for truth in truths:
                firsts.setdefault(truth.prediction_id, truth)
            made = {key: judge.first(truth) for key, truth in firsts.items()}
            rows = [row for key in sorted(made) if (row := made[key][0]) is not None]
            new = insert_new(self.connection, ground_truths, rows)
            for row in rows:
                if row.prediction_id in new:
                    self.change_day(day_of(row.predicted_timestamp), 1, truth_bytes(row))
            stored = self._locked({row.prediction_id for row in rows} - new)
            return self._judge_all(truths, judge, made, new, stored)

    def save_offset(self, writer: str, segment: str, offset: int) -> None:
        """Remember how many bytes of a segment are in the database."""
        self.connection.execute(_SAVE_OFFSET, {"writer": writer, "segment": segment, "byte_offset": offset})

    def forget_segments(self, writer: str, keep: Collection[str]) -> None:
        """Forget the offsets of segments that are no more."""
        of_writer = spool_offsets.c.writer == writer
        known = self.connection.scalars(select(spool_offsets.c.segment).where(of_writer))
        for segment in set(known) - set(keep):
            self.connection.execute(
                delete(spool_offsets).where(of_writer, spool_offsets.c.segment == segment)
            )

    def save_totals(self, writer: str, changed: Mapping[ModelKey, VersionTotals]) -> None:
        """Replace the totals of the versions that changed."""
        for key, totals in changed.items():
            values = {
                "writer": writer,
                "name": key.model_name,
                "version": key.model_version,
                "cells": cells_text(totals.cells),
                "last": totals.last_counted,
                "first": totals.first_predicted,
            }
            self.connection.execute(_SAVE_TOTALS, values)

    def change_day(self, day: int, rows: int, size: int) -> None:
        """Note what a day holds more, or less; written once, at the end."""
        change = self._days.setdefault(day, [0, 0])
        change[0] += rows
        change[1] += size

    def finish(self) -> None:
        """Write what belongs at the end of a transaction.

        All writers of a PostgreSQL database meet at the row of a day: last of all and in order, so that none
        waits for long, and none for another that waits for it.
        """
        for day, (rows, size) in sorted(self._days.items()):
            self.connection.execute(_CHANGE_DAY, {"day": day, "stored_rows": rows, "stored_bytes": size})

    def _keys_deleted_before(self) -> float:
        # Shared with other writers; but whoever deletes keys waits for us, or we for them: a truth whose key
        # goes at this moment is not taken for the first.
        named = log_state.c.name == KEYS_DELETED_BEFORE
        locked = select(log_state.c.value).where(named).with_for_update(read=True)
        return float(self.connection.scalars(locked).one())

    def _locked(self, keys: set[str]) -> dict[str, StoredTruth]:
        if not keys:
            return {}
        found = self.connection.execute(
            select(ground_truths)
            .where(among(self.connection, ground_truths.c.prediction_id, sorted(keys)))
            .order_by(ground_truths.c.prediction_id)
            .with_for_update()
        )
        stored = {row[0]: StoredTruth(*row) for row in found}
        if len(stored) < len(keys):
            # A prune removed a truth of an unknown version meanwhile; the next try finds its place free.
            raise StoreUnavailableError("a row went while it was read")
        return stored

    def _judge_all(
        self,
        truths: Sequence[ArrivedTruth],
        judge: Judge,
        made: Mapping[str, tuple[StoredTruth | None, JudgedTruth]],
        new: set[str],
        stored: dict[str, StoredTruth],
    ) -> list[JudgedTruth]:
        now = dict(stored)
        judged: list[JudgedTruth] = []
        for truth in truths:
            key = truth.prediction_id
            if key in now:
                now[key], verdict = judge.next(now[key], truth)
            else:
                row, verdict = made[key]
                if row is not None:
                    now[key] = row
            judged.append(verdict)
        before = {**stored, **{key: row for key, (row, _) in made.items() if row is not None and key in new}}
        self._update([(before[key], row) for key, row in sorted(now.items()) if row is not before[key]])
        return judged

    def _update(self, changes: Sequence[tuple[StoredTruth, StoredTruth]]) -> None:
        if not changes:
            return
        statement = update(ground_truths).where(ground_truths.c.prediction_id == text(":key"))
        values: list[dict[str, Any]] = []
        for before, after in changes:
            values.append({"key": after.prediction_id, **{name: getattr(after, name) for name in _CHANGING}})
            self.change_day(day_of(after.predicted_timestamp), 0, truth_bytes(after) - truth_bytes(before))
        self.connection.execute(statement, values)


def truth_bytes(row: StoredTruth) -> int:
    """Count what a truth takes that goes when its day is pruned."""
    return TRUTH_ROW_BYTES + text_bytes(row.ground_truth, row.first_ground_truth, row.caller)


@contextlib.contextmanager
def _refusing_values() -> Iterator[None]:
    """Treat a value that Python cannot write (a lone surrogate, a number beyond 64 bits) as a refused row."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise StoreRefusedError(f"a row cannot be stored: {type(error).__name__}") from None
