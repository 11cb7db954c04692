"""The tables of the prediction log, the same on SQLite and PostgreSQL; see docs/prediction_log.md."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import BigInteger, Column, Double, Index, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import TEXT

SCHEMA_VERSION = 1
SECONDS_PER_DAY = 86_400
PREDICTION_ROW_BYTES = 230
"""What a prediction takes beside its texts, indexes included. Measured: 202 (SQLite), 260 (PostgreSQL)."""
TRUTH_ROW_BYTES = 245
"""The same of a truth. Measured: 203 (SQLite), 287 (PostgreSQL)."""
KEYS_DELETED_BEFORE = "keys_deleted_before"
"""Row of `log_state`: keys of predictions before this Unix time may be gone."""

# By bytes, as Python sorts: no collation of the operating system, whose next version may sort otherwise.
_ID = Text().with_variant(TEXT(collation="C"), "postgresql")

metadata = MetaData()

predictions = Table(
    "predictions",
    metadata,
    Column("prediction_id", _ID, primary_key=True),
    Column("predicted_timestamp", Double, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("prediction", Text, nullable=False),
    Column("confidence", Double),
    Column("out_of_distribution", Text),
    Column("features", Text),
    Column("request_id", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Index("predictions_by_time", "predicted_timestamp"),
)

ground_truths = Table(
    "ground_truths",
    metadata,
    Column("prediction_id", _ID, primary_key=True),
    Column("predicted_timestamp", Double, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("received_timestamp", Double, nullable=False),
    Column("ground_truth", Text),
    Column("first_ground_truth", Text),
    Column("revision", BigInteger, nullable=False),
    Column("caller", Text, nullable=False),
    Column("result", Text, nullable=False),
    Index("ground_truths_by_time", "predicted_timestamp"),
)
# The keys that outlive their rows, by age.
Index(
    "ground_truths_pruned",
    ground_truths.c.predicted_timestamp,
    sqlite_where=ground_truths.c.ground_truth.is_(None),
    postgresql_where=ground_truths.c.ground_truth.is_(None),
)

outcome_totals = Table(
    "outcome_totals",
    metadata,
    Column("writer", Text, primary_key=True),
    Column("model_name", Text, primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("cells", Text, nullable=False),
    Column("last_counted_timestamp", Double),
    Column("first_predicted_timestamp", Double),
)

pruned_truths = Table(
    "pruned_truths",
    metadata,
    Column("model_name", Text, primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("counted", BigInteger, nullable=False),
)

stored_days = Table(
    "stored_days",
    metadata,
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("stored_rows", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
)

spool_offsets = Table(
    "spool_offsets",
    metadata,
    Column("writer", Text, primary_key=True),
    Column("segment", Text, primary_key=True),
    Column("byte_offset", BigInteger, nullable=False),
)

log_state = Table(
    "log_state",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


class PredictionRow(NamedTuple):
    """A row of the table `predictions`, its columns in their order.

    Args:
        prediction_id: 60 characters, primary key.
        predicted_timestamp: the time in the id, Unix seconds.
        model_name: name of the model.
        model_version: its version.
        prediction: class label or number, JSON.
        confidence: probability of the predicted class, 0..1; None if there is none.
        out_of_distribution: `range`, `category` or `novelty`; None in distribution, or if nobody judged.
        features: JSON object by feature name; None if they are not kept.
        request_id: of the request.
        caller: name of the token's holder; empty without tokens.
    """

    prediction_id: str
    predicted_timestamp: float
    model_name: str
    model_version: str
    prediction: str
    confidence: float | None
    out_of_distribution: str | None
    features: str | None
    request_id: str
    caller: str


def day_of(timestamp: float) -> int:
    """Return the day of a Unix time: days since 1970, UTC."""
    return int(timestamp // SECONDS_PER_DAY)
