"""The suite of reader.py on SQLite; tests/stack runs it on PostgreSQL."""

from __future__ import annotations

from tests.service.prediction_log.reader_suite import ReaderSuite


class TestReader(ReaderSuite):
    """On a file."""
