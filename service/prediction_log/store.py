"""The database of the prediction log, as its writer uses it.

Rows, offsets and totals go in together or not at all, so whatever was committed was also counted. Several
writers may share a PostgreSQL database: each has its own offsets and totals, and a truth that reached two
of them is inserted by one. An SQLite file has one drainer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from service.errors import StoreError, StoreSchemaError
from service.events import ModelKey
from service.prediction_log.database import Database
from service.prediction_log.schema import (
    KEYS_DELETED_BEFORE,
    SCHEMA_VERSION,
    log_state,
    metadata,
    outcome_totals,
    spool_offsets,
)
from service.prediction_log.totals import Totals, VersionTotals, read_cells
from service.prediction_log.transaction import Transaction

_SCHEMA = "schema_version"
# Any number that no other user of the database takes for a lock: the bytes of "plumb".
_SCHEMA_LOCK = 0x706C756D62


@dataclass(frozen=True, slots=True)
class WriterState:
    """What a writer goes on from.

    Args:
        offsets: bytes of each spool segment that are in the database.
        totals: its totals.
    """

    offsets: dict[str, int]
    totals: Totals


class Store:
    """An open database; for one thread.

    Every method raises StoreUnavailableError when the database does not answer. Whether the last commit
    reached it is then unknown: the writer throws its state away and loads it again.

    Args:
        database: where the tables are, or will be made.

    Raises:
        StoreUnavailableError: it does not answer.
        StoreSchemaError: its tables are those of another version.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.transaction() as connection:
            if not database.is_sqlite:
                # Two drainers may start on an empty database at once.
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SCHEMA_LOCK})
            if not inspect(connection).has_table(log_state.name):
                metadata.create_all(connection)
                state = {_SCHEMA: str(SCHEMA_VERSION), KEYS_DELETED_BEFORE: "0"}
                rows = [{"name": name, "value": value} for name, value in state.items()]
                connection.execute(log_state.insert(), rows)
            check_schema(connection, database.name)

    @classmethod
    def open(cls, target: Path | str) -> Store:
        """Open a database, and make its tables if it has none.

        Args:
            target: path of an SQLite file, or the DSN of a PostgreSQL database.

        Raises:
            SettingsError: the DSN cannot be read.
            StoreUnavailableError: the database does not answer.
            StoreSchemaError: its tables are those of another version.
        """
        database = Database(target, read_only=False)
        try:
            return cls(database)
        except StoreError:
            database.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self.database.close()

    def load(self, writer: str) -> WriterState:
        """Return the committed state of a writer; that of a new one is empty."""
        with self.database.transaction() as connection:
            offsets = connection.execute(
                select(spool_offsets.c.segment, spool_offsets.c.byte_offset).where(
                    spool_offsets.c.writer == writer
                )
            )
            return WriterState({row[0]: row[1] for row in offsets}, Totals(_read_totals(connection, writer)))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run one transaction; any exception undoes it.

        Raises:
            StoreUnavailableError: the database does not answer, or the commit is in doubt.
            StoreRefusedError: it refuses a row.
        """
        with self.database.transaction() as connection:
            transaction = Transaction(connection)
            yield transaction
            transaction.finish()


def check_schema(connection: Connection, name: str) -> None:
    """Compare the version of the tables with ours.

    Raises:
        StoreSchemaError: there are none, or those of another version.
    """
    if not inspect(connection).has_table(log_state.name):
        raise StoreSchemaError(f"{name} holds no prediction log yet")
    version = connection.scalar(select(log_state.c.value).where(log_state.c.name == _SCHEMA))
    if version != str(SCHEMA_VERSION):
        raise StoreSchemaError(
            f"{name} was written by another Plumbline: its tables have version {version}, this one knows "
            f"version {SCHEMA_VERSION}; use the newer of both"
        )


def _read_totals(connection: Connection, writer: str) -> dict[ModelKey, VersionTotals]:
    found = connection.execute(select(outcome_totals).where(outcome_totals.c.writer == writer))
    return {
        ModelKey(row.model_name, row.model_version): VersionTotals(
            read_cells(row.cells), row.last_counted_timestamp, row.first_predicted_timestamp
        )
        for row in found
    }
