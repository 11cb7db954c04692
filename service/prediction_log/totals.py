"""The running totals of one drainer: a row per model version, saved in the transaction that they count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import orjson

from service.events import OTHER_MODEL, ModelKey
from service.prediction_log.outcomes import Cells, zero_cells
from service.prediction_log.truth_rules import JudgedTruth
from service.prediction_log.versions import KnownVersion

RECORDS = ModelKey("", "")
"""Stands where a version would for what became of records: cells `("records", result)`."""
RecordResult = Literal["stored", "rejected", "corrupt"]
RECORD_RESULTS: tuple[RecordResult, ...] = get_args(RecordResult)


@dataclass(slots=True)
class VersionTotals:
    """Totals of one model version.

    Args:
        cells: every sum, by cell.
        last_counted: receipt of the newest counted truth, Unix seconds; None before the first.
        first_predicted: time of the first logged prediction, Unix seconds; None before it.
    """

    cells: Cells = field(default_factory=dict)
    last_counted: float | None = None
    first_predicted: float | None = None

    @property
    def timestamp(self) -> float | None:
        """Since when no truth has come: the last counted one, else the first prediction; Unix seconds."""
        return self.first_predicted if self.last_counted is None else self.last_counted


class Totals:
    """All totals of one writer; what is added is kept in memory until the store saves it.

    After a transaction that failed they are loaded again: they may hold what the database does not.

    Args:
        stored: totals as they were loaded.
    """

    def __init__(self, stored: Mapping[ModelKey, VersionTotals] | None = None) -> None:
        self.versions: dict[ModelKey, VersionTotals] = dict(stored or {})
        self._changed: set[ModelKey] = set()
        self._complete(OTHER_MODEL, zero_cells(None))
        self._complete(RECORDS, {("records", result): 0 for result in RECORD_RESULTS})

    def ensure(self, version: KnownVersion) -> bool:
        """Give a version all its cells, at 0 where nothing was counted yet; tell whether one was missing."""
        return self._complete(version.key, zero_cells(version))

    def add_predictions(self, key: ModelKey, timestamp: float) -> None:
        """Note that predictions of a version were logged, the earliest at this Unix time."""
        totals = self._of(key)
        if totals.first_predicted is None or timestamp < totals.first_predicted:
            totals.first_predicted = timestamp
            self._changed.add(key)

    def add_truth(self, judged: JudgedTruth) -> None:
        """Add what one truth counts."""
        totals = self._of(judged.key)
        for cell, increment in judged.cells.items():
            totals.cells[cell] = totals.cells.get(cell, 0) + increment
        if judged.result == "counted":
            totals.last_counted = max(judged.timestamp, totals.last_counted or judged.timestamp)
        self._changed.add(judged.key)

    def add_records(self, result: RecordResult, count: int) -> None:
        """Add to what became of records, which belongs to no version."""
        cells = self._of(RECORDS).cells
        cells["records", result] = cells.get(("records", result), 0) + count
        self._changed.add(RECORDS)

    def take_changed(self) -> dict[ModelKey, VersionTotals]:
        """Return the totals that changed since this was called last."""
        changed = {key: self.versions[key] for key in self._changed}
        self._changed.clear()
        return changed

    def _complete(self, key: ModelKey, cells: Cells) -> bool:
        known = self._of(key).cells
        missing = cells.keys() - known.keys()
        known.update(dict.fromkeys(missing, 0))
        return bool(missing)

    def _of(self, key: ModelKey) -> VersionTotals:
        return self.versions.setdefault(key, VersionTotals())


def cells_text(cells: Cells) -> str:
    """Write cells as JSON, without those at 0."""
    return orjson.dumps([(cell, value) for cell, value in cells.items() if value]).decode()


def read_cells(text: str) -> Cells:
    """Read cells from JSON."""
    return {tuple(cell): value for cell, value in orjson.loads(text)}
