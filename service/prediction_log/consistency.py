"""Compares the running totals with the truths in the tables: what counts is there, or was pruned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from service.events import ModelKey
from service.prediction_log.database import Database
from service.prediction_log.outcomes import Cells
from service.prediction_log.schema import ground_truths, outcome_totals, pruned_truths
from service.prediction_log.totals import read_cells


def find_differences(database: Database) -> list[str]:
    """Say where the totals of all writers differ from the counted truths: nowhere, after any commit.

    Args:
        database: read in one transaction, which must see one moment (a read-only one does).

    Raises:
        StoreUnavailableError: the database does not answer.
    """
    with database.transaction() as connection:
        stored = _counted_truths(connection)
        totals = _summed_cells(connection)
    differences = []
    for key in sorted({*stored, *totals}):
        for name, count in _counts(totals.get(key, {})).items():
            if count != stored[key]:
                differences.append(
                    f"{key.model_name} {key.model_version}: {name} is {count:g}, truths are {stored[key]}"
                )
    return differences


def _counted_truths(connection: Connection) -> Counter[ModelKey]:
    """Count the truths of each version that count, those that were pruned included."""
    names = (ground_truths.c.model_name, ground_truths.c.model_version)
    present = select(*names, func.count()).where(ground_truths.c.result == "counted").group_by(*names)
    counts: Counter[ModelKey] = Counter()
    for statement in (present, select(pruned_truths)):
        for name, version, count in connection.execute(statement):
            counts[ModelKey(name, version)] += count
    return counts


def _summed_cells(connection: Connection) -> Mapping[ModelKey, Cells]:
    sums: dict[ModelKey, Cells] = {}
    for row in connection.execute(select(outcome_totals)):
        cells = sums.setdefault(ModelKey(row.model_name, row.model_version), {})
        for cell, value in read_cells(row.cells).items():
            cells[cell] = cells.get(cell, 0) + value
    return sums


def _counts(cells: Cells) -> dict[str, float]:
    """Sum each family of cells that holds every counted truth once."""

    def total(*start: str, end: str | None = None) -> float:
        return sum(
            value
            for cell, value in cells.items()
            if cell[: len(start)] == start and (end is None or cell[-1] == end)
        )

    counts = {"counted": total("ground_truth", "counted"), "delay": total("delay")}
    if any(cell[0] == "class" for cell in cells):
        counts["actual"] = total("class", end="actual")
        counts["predicted"] = total("class", end="predicted")
    if any(cell[0] == "outcome" for cell in cells):
        counts["outcomes"] = total("outcome")
    return counts
