"""Rows have the columns of their tables."""

from __future__ import annotations

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from service.prediction_log.schema import PredictionRow, day_of, ground_truths, metadata, predictions
from service.prediction_log.truth_rules import StoredTruth


def test_rows_and_tables_have_the_same_columns() -> None:
    """In the same order: rows go in as tuples."""
    assert PredictionRow._fields == tuple(predictions.columns.keys())
    assert StoredTruth._fields == tuple(ground_truths.columns.keys())


@pytest.mark.parametrize(("timestamp", "day"), [(0.0, 0), (86_399.99, 0), (86_400.0, 1), (1.8e9, 20_833)])
def test_days_begin_at_midnight(timestamp: float, day: int) -> None:
    """In UTC."""
    assert day_of(timestamp) == day


def test_ids_sort_by_bytes() -> None:
    """In PostgreSQL the collation of the system would sort them otherwise than Python does."""
    for table in (predictions, ground_truths):
        made = str(CreateTable(table).compile(dialect=postgresql.dialect()))
        assert 'prediction_id TEXT COLLATE "C" NOT NULL' in made


def test_tables_are_few() -> None:
    """Whoever looks into the database finds its way."""
    assert sorted(metadata.tables) == [
        "ground_truths",
        "log_state",
        "outcome_totals",
        "predictions",
        "pruned_truths",
        "spool_offsets",
        "stored_days",
    ]
